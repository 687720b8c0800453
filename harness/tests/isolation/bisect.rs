//! Builds in a row, of which some misbehave: the first whose answers differ is found, with the node
//! at which they do.

use std::path::Path;
use std::rc::Rc;

use harness::file::provenance::Input;
use harness::judge::outcome::Outcome;
use harness::oracle::bisect::{Build, End, Found, Question, Tested, search};
use harness::reference::Reference;
use harness::runner::reference::Observing;
use harness::runner::suite::Suite;
use harness::runner::{Runner, Task};

use crate::rogue::launch;
use crate::tale::OTHER;
use crate::workers::limits;

/// A case whose nodes are recorded.
const CASE: &str = "bitnet-ishmael";

/// Looks through builds that tell these tales; the builds that were asked come back as well.
fn looked(tales: &[&'static str], known: &[Tested]) -> (Result<Found, String>, Vec<usize>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let suite = Suite::open(&folder).expect("the committed fixtures are sound");
    let case = suite.cases.iter().find(|case| case.name == CASE);
    let case = case.expect("it is one of the fixtures");
    let (model, _) = Input::read(&folder.join(&case.model)).expect("a fixture");
    let question = Question {
        task: Task {
            case,
            model: &model,
        },
        within_tier: false,
    };
    let build = |at: usize| Build {
        name: format!("build {at}"),
        key: format!("{at} {}", tales[at]),
    };
    let builds: Vec<Build> = (0..tales.len()).map(build).collect();
    let mut asked = Vec::new();
    let mut kept = 0;
    let mut open = |at: usize, _: &Build| {
        asked.push(at);
        let tale = format!("tell: {}, build {at}", tales[at]);
        let tale = if tales[at] == "no" {
            "tell: no".into()
        } else {
            tale
        };
        let command = move || launch(&tale);
        let opened = Reference::open("rogue", limits(), Rc::new(command));
        let opened = opened.map_err(|exit| exit.to_string())?;
        Ok(Box::new(Observing::new(opened)) as Box<dyn Runner>)
    };
    let mut keep = |tested: &[Tested]| {
        assert!(tested.len() > kept, "each time there is more");
        kept = tested.len();
        Ok(())
    };
    let found = search(&question, &builds, &mut open, known, &mut keep);
    (found.map_err(|failure| failure.message), asked)
}

const TRUE: &str = "the truth";
const OTHER_NODE: &str = "another node";

#[test]
fn the_first_build_with_other_answers_is_found_with_its_node() {
    for first in 1..8 {
        let tales: Vec<_> = (0..8)
            .map(|at| if at < first { TRUE } else { OTHER_NODE })
            .collect();
        let (found, asked) = looked(&tales, &[]);
        let found = found.expect("both ends answer");
        assert_eq!(found.outcome(), Outcome::Divergence);
        let change = found.change.expect("there is one");
        assert_eq!(change.first_other, format!("build {first}"));
        assert_eq!(change.last_same, format!("build {}", first - 1));
        assert_eq!(change.node.as_deref(), Some(OTHER));
        assert!(change.first.contains(OTHER), "{}", change.first);
        assert!(asked.len() <= 5, "{asked:?}");
    }
}

#[test]
fn where_nothing_changes_nothing_is_found_and_ends_that_say_nothing_end_it() {
    let (found, asked) = looked(&[TRUE, OTHER_NODE, TRUE], &[]);
    let found = found.expect("both ends answer");
    assert_eq!((found.outcome(), &found.change), (Outcome::Ok, &None));
    assert_eq!(asked, [0, 2], "there is nothing between equal ends");
    let why = |tales: &[&'static str]| looked(tales, &[]).0.expect_err("an end is silent");
    let good = why(&["no", TRUE]);
    assert!(
        good.starts_with("build 0 gives no answer to compare with"),
        "{good}"
    );
    let bad = why(&[TRUE, TRUE, "no"]);
    assert!(bad.starts_with("build 2 gives no answer"), "{bad}");
}

#[test]
fn builds_that_die_or_decline_are_passed_over_and_named_where_it_may_be_them() {
    let (found, _) = looked(
        &[TRUE, "no", TRUE, "no", "no", OTHER_NODE, "no", OTHER_NODE],
        &[],
    );
    let found = found.expect("both ends answer");
    assert_eq!(found.outcome(), Outcome::Incomplete);
    let change = found.change.expect("there is one");
    assert_eq!(
        (&change.last_same[..], &change.first_other[..]),
        ("build 2", "build 5")
    );
    assert_eq!(change.unknown, ["build 3", "build 4"]);
    let silent = found.tested.iter().filter_map(|tested| match &tested.end {
        End::NoAnswer { why } => Some(why),
        _ => None,
    });
    for why in silent {
        assert!(why.contains("unknown model architecture"), "{why}");
    }
    let (found, _) = looked(&[TRUE, "no", OTHER_NODE], &[]);
    assert_eq!(
        found.expect("both ends answer").outcome(),
        Outcome::Incomplete
    );
}

#[test]
fn what_is_known_of_the_same_build_is_not_asked_again() {
    let tales = [TRUE, TRUE, TRUE, OTHER_NODE, OTHER_NODE];
    let (found, asked) = looked(&tales, &[]);
    let known = found.expect("both ends answer");
    assert!(asked.len() > 3, "{asked:?}");
    let (again, asked) = looked(&tales, &known.tested);
    assert_eq!(asked, [0; 0]);
    assert_eq!(again.expect("known"), known);
    // Half of it: the rest is asked. Another build under an old name: it is asked, and believed.
    let (again, asked) = looked(&tales, &known.tested[..2]);
    assert!(!asked.is_empty() && again.expect("both ends answer").change == known.change);
    let (moved, asked) = looked(
        &[TRUE, TRUE, OTHER_NODE, OTHER_NODE, OTHER_NODE],
        &known.tested,
    );
    assert!(asked.contains(&2), "{asked:?}");
    let change = moved
        .expect("both ends answer")
        .change
        .expect("there is one");
    assert_eq!(change.first_other, "build 2");
}
