//! How runs end when somebody dies, refuses, changes or repeats himself.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use harness::case::Case;
use harness::case::model::ModelFacts;
use harness::case::observation::{Identity, Observation};
use harness::exit::Exit;
use harness::judge::compare::Incomparable;
use harness::judge::outcome::Outcome;
use harness::judge::verdict::Verdict;
use harness::oracle::crossval::campaign::{Campaign, Step};
use harness::receipt::Receipt;
use harness::receipt::table::Detail;
use harness::runner::scripted::Scripted;
use harness::runner::suite::Suite;
use harness::runner::{RunError, Runner, Subject, Task};

const CASE: &str = "b158-ishmael";

fn suite() -> Suite {
    static SUITE: LazyLock<Suite> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
        Suite::open(&folder).expect("the committed fixtures are sound")
    });
    SUITE.clone()
}

/// Repeats one of the recordings, whatever the case.
struct Recording(Suite, &'static str);

impl Runner for Recording {
    fn identity(&self) -> Identity {
        self.0.recordings[self.1].identity()
    }

    fn is_live(&self) -> bool {
        false
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        let recorded = self.0.recordings.get_mut(self.1).expect("listed");
        recorded.observe(task)
    }
}

fn subject(
    recording: &'static str,
    edit: impl FnMut(Task<'_>, &mut Observation) -> Result<(), RunError> + 'static,
) -> Box<dyn Subject> {
    Box::new(Scripted::new(
        "subject",
        Recording(suite(), recording),
        edit,
    ))
}

/// Runs the five cases of one model, on `model` if it is given.
fn run(subjects: Vec<Box<dyn Subject>>, model: Option<&Path>) -> Receipt {
    let suite = suite();
    let cases: Vec<(Case, PathBuf)> = suite
        .cases
        .iter()
        .filter(|case| case.name.starts_with("b158-"))
        .map(|case| {
            let own = suite.folder.join(&case.model);
            (case.clone(), model.map_or(own, Path::to_owned))
        })
        .collect();
    let campaign = Campaign::new(suite, subjects, 1);
    campaign
        .run(&cases, |_| Ok(()))
        .expect("nothing is written")
}

#[test]
fn a_dying_engine_costs_one_case_and_the_others_are_kept() {
    let dying = subject("mar2026-b158-avx512", |task, _| {
        assert_ne!(task.case.name, "b158-white-whale", "planted death");
        Ok(())
    });
    let receipt = run(vec![dying], None);
    assert_eq!(receipt.parity.status.exit(), Exit::EngineDied);
    assert_eq!(receipt.cases.len(), 4);
    let failed = &receipt.failures[0];
    assert_eq!(failed.case, "b158-white-whale");
    assert!(
        failed.message.contains("planted death"),
        "{}",
        failed.message
    );
    let cases = receipt.coverage.cases;
    assert_eq!((cases.declared, cases.compared), (5, 4));
    assert!(
        !receipt.coverage.positions.is_complete(),
        "its positions are missed"
    );
}

#[test]
fn a_machine_without_room_accuses_neither_side() {
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    let stopped = subject("mar2026-b158-avx512", move |_, _| Err(full().into()));
    let receipt = run(vec![stopped], None);
    assert_eq!(receipt.parity.status.exit(), Exit::Environment);
    let why = Incomparable::Environment(full().to_string());
    let outcome = Verdict::Incomparable { why }.outcome();
    assert_eq!(outcome.exit(), Exit::Environment);
}

/// A path need not be text to be meant.
#[test]
#[cfg(unix)]
fn a_reference_whose_path_is_no_text_was_asked_for_all_the_same() {
    use std::os::unix::ffi::OsStrExt;

    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(["crossval", "--case", "edges-the-end"]);
    let path = std::ffi::OsStr::from_bytes(b"/there/is/no\xff");
    let output = command.env("BITNET_CPP_DIR", path).output();
    let output = output.expect("the program starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("/there/is/no"), "{told}");
}

#[test]
fn an_engine_that_computes_no_number_diverges() {
    let broken = subject("mar2026-b158-avx512", |task, _| {
        if task.case.name == CASE {
            Err(RunError::NotFinite(
                "NOT_FINITE: NaN in node l_out-2".into(),
            ))
        } else {
            Ok(())
        }
    });
    let receipt = run(vec![broken], None);
    assert_eq!(receipt.parity.status.exit(), Exit::Diverges);
    assert_eq!(receipt.failures[0].status, Outcome::Divergence);
}

#[test]
fn a_dying_reference_is_named_as_such() {
    struct Dying;
    impl Runner for Dying {
        fn identity(&self) -> Identity {
            Recording(suite(), "mar2026-b158-avx512").identity()
        }
        fn is_live(&self) -> bool {
            true
        }
        fn observe(&mut self, _: Task<'_>) -> Result<Observation, RunError> {
            panic!("assertion failed in the reference")
        }
    }
    let suite = suite();
    let case = &suite.cases[0];
    let (model, _) =
        harness::file::provenance::Input::read(&suite.folder.join(&case.model)).expect("a fixture");
    let task = Task {
        case,
        model: &model,
    };
    let mut ours = subject("mar2026-b158-avx512", |_, _| Ok(()));
    let examined = harness::oracle::crossval::examine::examine(
        task,
        &mut [ours.as_mut()],
        &mut [&mut Dying],
        None,
        &suite.ledger,
    );
    let claims = examined.expect("the engine lives").claims;
    assert_eq!(claims.status.exit(), Exit::ReferenceDied);
    let Verdict::ReferenceDied { message } = &claims.comparisons[0].verdict else {
        panic!("{}", claims.comparisons[0].verdict);
    };
    assert!(message.contains("assertion failed"), "{message}");
}

#[test]
fn a_model_other_than_the_recorded_one_is_refused() {
    let other = suite().folder.join("moby-tiny/moby-tiny-bitnet.gguf");
    let receipt = run(
        vec![subject("mar2026-b158-avx512", |_, _| Ok(()))],
        Some(&other),
    );
    assert_eq!(receipt.parity.status.exit(), Exit::BadInput);
    assert!(
        receipt.failures[0]
            .message
            .contains("was made from a model with sha256")
    );
}

#[test]
fn a_model_that_changes_during_the_run_makes_the_receipt_void() {
    let copy = std::env::temp_dir().join(format!("changing-{}.gguf", std::process::id()));
    std::fs::copy(suite().folder.join("moby-tiny/moby-tiny-b158.gguf"), &copy).expect("copied");
    let path = copy.clone();
    let rewriting = subject("mar2026-b158-avx512", move |task, _| {
        if task.case.name == CASE {
            std::fs::write(&path, b"something else").expect("writable");
        }
        Ok(())
    });
    let receipt = run(vec![rewriting], Some(&copy));
    std::fs::remove_file(&copy).expect("there");
    assert_eq!(receipt.parity.status, Outcome::Void);
    assert_eq!(receipt.parity.status.exit(), Exit::BadInput);
    assert_eq!(
        receipt.circumstances.changed_inputs,
        [copy.display().to_string()]
    );
    assert!(
        harness::receipt::table::render(&receipt, Detail::Pairs, None)
            .contains("nothing in this receipt counts")
    );
}

#[test]
fn a_reference_compared_with_itself_is_an_error_not_an_agreement() {
    struct Itself(Recording);
    impl Runner for Itself {
        fn identity(&self) -> Identity {
            self.0.identity()
        }
        fn is_live(&self) -> bool {
            false
        }
        fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
            self.0.observe(task)
        }
    }
    impl Subject for Itself {
        fn facts(&mut self, _: Task<'_>) -> Result<harness::runner::Facts, RunError> {
            Ok(harness::runner::Facts {
                lacking: Default::default(),
                kernel: "recorded".into(),
                model: ModelFacts::named("recorded"),
                multiplied_by: Default::default(),
            })
        }
    }
    let itself = Itself(Recording(suite(), "mar2026-b158-avx512"));
    let receipt = run(vec![Box::new(itself)], None);
    assert_eq!(receipt.parity.status, Outcome::Refused);
    assert_eq!(receipt.parity.status.exit(), Exit::BadInput);
    let verdict = &receipt.cases[0].claims.comparisons[0].verdict;
    let Verdict::Incomparable { why } = verdict else {
        panic!("{verdict}");
    };
    assert!(matches!(why, Incomparable::SameIdentity(_)));
}

#[test]
fn where_nobody_knows_how_far_apart_two_arithmetics_may_be_a_case_is_incomplete() {
    let foreign = subject("mar2026-b158-avx2", |_, seen| {
        seen.identity.profile = "unheard-of".into();
        Ok(())
    });
    let suite = suite();
    let case = &suite.cases[0];
    let mut asked = case.clone();
    asked.recordings = vec!["mar2026-b158-avx512".into()];
    let path = suite.folder.join(&case.model);
    let cases = [(asked, path)];
    let campaign = Campaign::new(suite, vec![foreign], 1);
    let receipt = campaign
        .run(&cases, |_| Ok(()))
        .expect("nothing is written");
    assert!(receipt.coverage.is_complete(), "everything was measured");
    assert_eq!(
        receipt.parity.status.exit(),
        Exit::Incomplete,
        "but nothing was judged"
    );
}

#[test]
fn a_repetition_must_give_the_same_bits() {
    let ours = || subject("mar2026-b158-avx512", |_, _| Ok(()));
    let slip = |_: Task<'_>, seen: &mut Observation| {
        let node = &mut seen.trace.iter_mut().next();
        if let Some(node) = node {
            node.values[0] = f32::from_bits(node.values[0].to_bits() ^ 1);
        }
        Ok(())
    };
    let source = Recording(suite(), "mar2026-b158-avx512");
    let other = Scripted::new("another kernel", source, slip);
    let receipt = run(vec![ours(), Box::new(other)], None);
    assert_eq!(receipt.parity.status.exit(), Exit::Diverges);
    let traced = &receipt.cases[0].claims.repetitions[0];
    assert!(
        matches!(traced.verdict, Verdict::Diverge { .. }),
        "{}",
        traced.verdict
    );
    let source = Recording(suite(), "mar2026-b158-avx512");
    let same = Scripted::new("another kernel", source, |_, _| Ok(()));
    let receipt = run(vec![ours(), Box::new(same)], None);
    assert_eq!(receipt.parity.status, Outcome::RustOnly);
    assert_eq!(
        receipt.coverage.kernels.compared, 10,
        "two ways, five cases"
    );
}

#[test]
fn a_run_that_is_cut_short_leaves_a_receipt_that_says_so() {
    let suite = suite();
    let cases: Vec<(Case, PathBuf)> = suite
        .cases
        .iter()
        .take(3)
        .map(|case| (case.clone(), suite.folder.join(&case.model)))
        .collect();
    let ours = subject("mar2026-b158-avx512", |_, _| Ok(()));
    let mut kept = Vec::new();
    let campaign = Campaign::new(suite.clone(), vec![ours], 1);
    let ended = campaign.run(&cases, |step| {
        if let Step::Ended(_, receipt) = step {
            kept.push(receipt.clone().sealed());
        }
        match kept.len() {
            2 => Err(harness::exit::Failure::environment(
                "planted: the disk is full",
            )),
            _ => Ok(()),
        }
    });
    assert_eq!(ended.expect_err("cut short").exit, Exit::Environment);
    let last = &kept[1];
    assert_eq!((last.cases.len(), kept.len()), (2, 2));
    assert_eq!(last.parity.status.exit(), Exit::Incomplete);
    let verified = harness::receipt::verify::verify(last, Some(&suite));
    assert_eq!(verified.refuted, []);
}
