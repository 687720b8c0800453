//! A recording's traced case, with its model file and what was seen of it.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::LazyLock;

use harness::case::Case;
use harness::case::observation::Observation;
use harness::file::provenance::Input;
use harness::runner::suite::Suite;
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
