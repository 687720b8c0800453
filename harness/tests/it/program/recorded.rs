//! A recording's traced case, with its model file and what was seen of it; faults to plant.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;

use engine::transformer::probe::Probe;
use harness::case::Case;
use harness::case::observation::Observation;
use harness::file::provenance::Input;
use harness::runner::suite::Suite;
use harness::runner::watch::{Moment, Plant};
use harness::runner::{Runner, Task};

/// The case of which that recording keeps every node.
pub fn traced(recording: &str) -> (Case, Input, Observation) {
    static SUITE: LazyLock<Suite> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
        Suite::open(&folder).expect("the committed fixtures are sound")
    });
    let mut suite = SUITE.clone();
    let traced = suite.cases.iter().find(|case| {
        let answers = case.recordings.iter().any(|name| name == recording);
        answers && case.nodes > 0
    });
    let case = traced.expect("every recording has a trace").clone();
    let (input, _) = Input::read(&suite.folder.join(&case.model)).expect("a fixture");
    let recorded = suite.recordings.get_mut(recording).expect("listed");
    let task = Task {
        case: &case,
        model: &input,
    };
    let theirs = recorded.observe(task).expect("recorded");
    (case, input, theirs)
}

/// A faulty operation, the same one in every pass.
pub fn planted<'m>(fault: impl Probe + 'm) -> Plant<'m> {
    let fault = Rc::new(RefCell::new(fault));
    Box::new(move || {
        let fault = Rc::clone(&fault);
        Box::new(move |moment, node, shape, values| {
            if moment == Moment::Made {
                fault.borrow_mut().at(node, shape, values);
            }
        })
    })
}
