//! Live references that do not come through their own repetition, and what the engine's death
//! leaves uncompared.
#![forbid(unsafe_code)]

use std::path::Path;

use harness::case::coverage::Coverage;
use harness::case::observation::{Identity, Observation};
use harness::file::provenance::Input;
use harness::judge::outcome::Outcome;
use harness::judge::verdict::Verdict;
use harness::oracle::crossval::examine::examine;
use harness::receipt::{CaseReceipt, Failed};
use harness::reference::isolation::{Death, Kind};
use harness::runner::recorded::Recorded;
use harness::runner::scripted::Scripted;
use harness::runner::suite::Suite;
use harness::runner::{RunError, Runner, Task};

const CASE: &str = "b158-white-whale";
const RECORDING: &str = "mar2026-b158-avx512";

/// Says what a recording says, as a live reference, and has been asked again with this outcome.
struct Live {
    recorded: Recorded,
    name: &'static str,
    shows_nodes: bool,
    again: Option<RunError>,
}

impl Runner for Live {
    fn identity(&self) -> Identity {
        Identity {
            name: self.name.into(),
            ..self.recorded.identity()
        }
    }

    fn is_live(&self) -> bool {
        true
    }

    fn shows_nodes(&self) -> bool {
        self.shows_nodes
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        let mut seen = self.recorded.observe(task)?;
        seen.identity = self.identity();
        Ok(seen)
    }

    fn controls(&self, _: Task<'_>) -> Vec<Box<dyn Runner>> {
        let silent = |error: &RunError| Box::new(Silent(error.clone())) as Box<dyn Runner>;
        self.again.iter().map(silent).collect()
    }
}

/// Never answers.
struct Silent(RunError);

impl Runner for Silent {
    fn identity(&self) -> Identity {
        Identity {
            name: "live again, 2 threads".into(),
            profile: "ggml-avx512".into(),
            fingerprint: "silent".into(),
        }
    }

    fn is_live(&self) -> bool {
        true
    }

    fn observe(&mut self, _: Task<'_>) -> Result<Observation, RunError> {
        Err(self.0.clone())
    }
}

fn suite() -> Suite {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    Suite::open(&folder).expect("the committed fixtures are sound")
}

/// The case, with `live` as its only reference, and an engine that lives or dies.
fn run(live: &mut Live, case: &str, engine_lives: bool) -> Result<CaseReceipt, Box<Failed>> {
    let suite = suite();
    let case = suite.cases.iter().find(|c| c.name == case).expect("listed");
    let (model, _) = Input::read(&suite.folder.join(&case.model)).expect("a fixture");
    let task = Task {
        case,
        model: &model,
    };
    let source = suite.recordings[RECORDING].clone();
    let mut engine = Scripted::new("engine", source, move |_, _| {
        assert!(engine_lives, "planted death");
        Ok(())
    });
    examine(task, &mut [&mut engine], &mut [live], None, &suite.ledger)
}

fn live(name: &'static str, again: Option<RunError>) -> Live {
    let recorded = suite().recordings[RECORDING].clone();
    Live {
        recorded,
        name,
        shows_nodes: true,
        again,
    }
}

fn lost(kind: Kind) -> RunError {
    RunError::Lost(Box::new(Death {
        kind,
        phase: "prefill of the prompt".into(),
        signal: None,
        exit_code: None,
        complaint: Some("no answer within 120s".into()),
        assertion: None,
        last_words: String::new(),
        memory_seen: 0,
        milliseconds: 120_000,
    }))
}

#[track_caller]
fn verdict(again: Option<RunError>) -> (Verdict, Outcome, Option<Kind>) {
    let mut receipt = run(&mut live("live", again), CASE, true).expect("the engine lives");
    let claims = receipt.claims;
    let death = receipt.measured.remove(0).death.map(|death| death.kind);
    (claims.comparisons[0].verdict.clone(), claims.status, death)
}

#[test]
fn a_repetition_that_takes_too_long_is_no_difference() {
    let (verdict, status, death) = verdict(Some(lost(Kind::Timeout)));
    assert_eq!(verdict.word(), "TIMED OUT");
    let words = verdict.to_string();
    for part in ["live again, 2 threads", "reference_timeout", "within 120s"] {
        assert!(words.contains(part), "{words}");
    }
    assert_eq!(
        (status, death),
        (Outcome::ReferenceDied, Some(Kind::Timeout))
    );
}

#[test]
fn a_repetition_that_dies_is_a_death() {
    let (verdict, status, death) = verdict(Some(lost(Kind::Crashed)));
    assert!(
        matches!(verdict, Verdict::ReferenceDied { .. }),
        "{verdict}"
    );
    assert_eq!(
        (status, death),
        (Outcome::ReferenceDied, Some(Kind::Crashed))
    );
}

#[test]
fn who_answers_once_and_declines_the_next_time_is_not_the_same() {
    let (verdict, status, death) = verdict(Some(RunError::Declined("not today".into())));
    assert!(
        matches!(&verdict, Verdict::Unsteady { why } if why.contains("not today")),
        "{verdict}"
    );
    assert_eq!((status, death), (Outcome::Incomplete, None));
    let (verdict, status, _) = self::verdict(None);
    assert_eq!((verdict, status), (Verdict::Agree, Outcome::Ok));
}

/// What a dead engine leaves uncompared with a live reference.
fn missed(case: &str, name: &'static str, shows_nodes: bool) -> Coverage {
    let mut live = live(name, None);
    live.shows_nodes = shows_nodes;
    let failed = run(&mut live, case, false).expect_err("the engine died");
    assert_eq!(failed.status, Outcome::EngineDied);
    failed.coverage
}

#[test]
fn a_dead_engine_owes_an_answer_to_every_reference_that_promised_one() {
    let own = |case: &str| {
        let cases = suite().cases;
        let case = cases.into_iter().find(|c| c.name == case).expect("listed");
        case.declared(true)
    };
    let traced = own("b158-ishmael");
    assert!(traced.nodes.declared > 0, "it has a trace");
    let whole = missed("b158-ishmael", "ik", true).declared();
    assert_eq!(whole, traced);
    let other_graph = missed("b158-ishmael", "ik", false);
    assert_eq!(other_graph.nodes.declared, 0, "it shows none of our nodes");
    assert_eq!(other_graph.positions, traced.positions);
    // Whoever promised nothing would have been free to decline.
    let stranger = missed(CASE, "a stranger", true);
    assert_eq!(stranger.references.declared, 0);
    assert_eq!(stranger.cases.declared, 1);
}
