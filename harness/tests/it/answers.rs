//! What `trace` and `attribute` keep when a reference dies, refuses or takes no part: every pair of
//! outcomes they can meet, and the program's exit code and JSON.
#![cfg(unix)]

use std::path::{Path, PathBuf};

use clap::Parser;
use engine::Token;
use engine::numerics::Profile;
use engine::transformer::probe::{Node, Probe};
use harness::case::observation::{Identity, Lane, Observation};
use harness::case::schedule::{Schedule, Step};
use harness::command::answers::{Answers, Finding, NoFinding};
use harness::command::flags::Json;
use harness::command::selection::{Question, Selection};
use harness::command::{attribute, trace};
use harness::exit::Exit;
use harness::judge::outcome::Outcome;
use harness::oracle::attribute::Sides;
use harness::oracle::attribute::modules::Depth;
use harness::oracle::attribute::run::Run;
use harness::runner::passes::Passes;
use harness::runner::scripted::Scripted;
use harness::runner::suite::Suite;
use harness::runner::watch::Watch;
use harness::runner::{Followed, Opened, RunError, Runner};
use serde_json::{Value, json};

use crate::program::recorded::planted;
use crate::program::silence::{self, Silence};
use crate::program::{Folder, Harness, fixture};

const RECORDING: &str = "mar2026-b158-avx512";

#[derive(clap::Parser)]
struct Trace {
    #[command(flatten)]
    args: trace::Args,
}

#[derive(clap::Parser)]
struct Attribute {
    #[command(flatten)]
    args: attribute::Args,
}

/// What a reference is made to do.
type Edit = fn(&mut Observation) -> Result<(), RunError>;

/// Every way a reference can end, and what it comes to: none for one that takes no part.
#[rustfmt::skip] // a table: a line a row
const WAYS: [(&str, Option<Outcome>, Edit); 9] = [
    ("agrees", Some(Outcome::Ok), |_| Ok(())),
    ("declines", None, |_| Err(Silence::Declines.planted())),
    ("shows too little", Some(Outcome::Incomplete), |seen| { seen.trace.pop(); Ok(()) }),
    ("does not know it", Some(Outcome::ReferenceMissing), |_| Err(Silence::KnowsNothing.planted())),
    ("dies", Some(Outcome::ReferenceDied), |_| Err(Silence::Dies.planted())),
    ("panics", Some(Outcome::ReferenceDied), |_| Err(Silence::Panics.planted())),
    ("refuses", Some(Outcome::Refused), |_| Err(Silence::Refuses.planted())),
    ("has a NaN", Some(Outcome::Divergence), |_| Err(Silence::ComputesNoNumber.planted())),
    ("diverges", Some(Outcome::Divergence), other_logits),
];

fn other_logits(seen: &mut Observation) -> Result<(), RunError> {
    seen.trace.last_mut().expect("nodes").values[0] += 1.0;
    Ok(())
}

fn suite() -> Suite {
    Suite::open(&fixture("")).expect("the committed fixtures are sound")
}

fn question(selection: &Selection) -> Question {
    let case = suite().cases.remove(0);
    assert!(case.nodes > 0 && case.recordings.contains(&RECORDING.to_owned()));
    let path = fixture(&case.model);
    selection.question(case, path).expect("a fixture")
}

fn scripted(name: &str, edit: Edit) -> impl Runner + use<> {
    let source = suite().recordings[RECORDING].clone();
    Scripted::new(name, source, move |_, seen| edit(seen))
}

/// Asks for each outcome once, and answers with every pair of them.
fn every_pair<F>(mut ask: impl FnMut(&mut dyn Runner) -> Result<Finding<F>, NoFinding>) {
    let json = Json::to("-".parse().expect("infallible")); // so that nothing is printed
    let asked = WAYS.map(|(name, expected, edit)| {
        let mut reference = scripted(name, edit);
        (name, expected, reference.identity(), ask(&mut reference))
    });
    silence::every_pair(&asked, |one, other| {
        let mut answers = Answers::new(&json);
        for (_, _, identity, found) in [one, other] {
            answers.add("case", Some(identity.clone()), again(found));
        }
        let names = format!("{}, {}", one.0, other.0);
        assert_eq!(answers.entries().len(), 2, "{names}: both are kept");
        for (entry, expected) in answers.entries().iter().zip([one.1, other.1]) {
            assert_eq!(entry.declined, expected.is_none(), "{names}");
            assert_eq!(entry.why.is_some(), entry.found.is_none(), "{names}");
        }
        let worst = one.1.into_iter().chain(other.1).max();
        assert_eq!(answers.outcome(), worst, "{names}");
        if [one.1, other.1].contains(&Some(Outcome::Divergence)) {
            let exit = answers.outcome().map(Outcome::exit);
            assert_eq!(exit, Some(Exit::Diverges), "{names}: not hidden");
        }
    });
}

/// The same answer once more.
fn again<F>(result: &Result<Finding<F>, NoFinding>) -> Result<Finding<()>, NoFinding> {
    match result {
        Ok(finding) => Ok(Finding {
            outcome: finding.outcome,
            text: String::new(),
            found: (),
        }),
        Err(nothing) => Err(nothing.clone()),
    }
}

#[test]
fn trace_folds_every_pair_of_outcomes() {
    let Trace { args } = Trace::parse_from(["trace"]);
    let question = question(&args.selection);
    every_pair(|reference| args.ask(&question, &question.case, reference));
}

#[test]
fn attribute_folds_every_pair_of_outcomes() {
    let Attribute { args } = Attribute::parse_from(["attribute"]);
    let question = question(&args.selection);
    every_pair(|reference| args.ask(&question, reference));
}

/// A reference that is gone as soon as another module than these is replaced.
struct Dying {
    outputs: Vec<String>,
    logits: Vec<f32>,
    vocab_size: usize,
}

impl Opened for Dying {
    fn tokenize(&mut self, _: &str) -> Result<Vec<Token>, RunError> {
        unreachable!("the prompt is tokens already")
    }

    fn text(&mut self, _: &[Token]) -> Result<String, RunError> {
        unreachable!("nothing is continued")
    }

    fn follow(&mut self, _: &Schedule, watch: &Watch<'_>) -> Result<Followed, RunError> {
        let known = |key: &&str| self.outputs.iter().any(|output| output == key);
        if !watch.replaced.keys().all(known) {
            return Err(Silence::Dies.planted());
        }
        Ok(Followed {
            named: Vec::new(),
            rows: self.logits.clone(),
            vocab_size: self.vocab_size,
            nodes: Vec::new(),
        })
    }
}

#[test]
fn a_reference_that_dies_between_two_modules_costs_its_own_run_only() {
    let typed = ["attribute", "--plant", "relu-not-squared@3"];
    let Attribute { args } = Attribute::parse_from(typed);
    let question = question(&args.selection);
    let mut recorded = scripted("recorded", |_| Ok(()));
    let (case, model) = (&question.case, &question.input);
    let theirs = recorded.observe(harness::runner::Task { case, model });
    let theirs = theirs.expect("recorded");
    let profile = args.selection.profile(&theirs.identity.profile);
    let mut passes = Passes::new(&question.model, &theirs.tokens, profile, 512).expect("tokens");
    let trace = theirs.trace.clone();
    let identity = theirs.identity.clone();
    let sides = Sides::new(identity.clone(), &mut passes, Depth::Block, |_| Ok(trace));
    let sides = sides.expect("comparable");

    let json = Json::to("-".parse().expect("infallible"));
    let mut answers = Answers::new(&json);
    let outputs = sides.modules[..2]
        .iter()
        .map(|module| module.output.clone());
    let mut dying = Dying {
        outputs: outputs.collect(),
        logits: sides.logits[0].clone(),
        vocab_size: sides.vocab_size,
    };
    let prefill = Schedule::of(Step::of_lane(Lane::Prefill, &theirs.tokens));
    let died = args.swapped(&sides, &mut Run::of_reference(&mut dying, prefill, &sides));
    answers.add("case", Some(identity.clone()), died);
    assert_eq!(answers.outcome(), Some(Outcome::ReferenceDied));
    answers.add("case", Some(identity), args.ask(&question, &mut recorded));
    assert_eq!(answers.outcome(), Some(Outcome::Divergence), "it was found");
    assert_eq!(answers.entries().len(), 2);
}

#[test]
fn an_engine_that_dies_costs_its_own_pass_and_hides_no_divergence() {
    struct Dies;
    impl Probe for Dies {
        fn at(&mut self, _: Node, _: &[usize], _: &mut [f32]) {
            panic!("planted");
        }
    }
    let Trace { args } = Trace::parse_from(["trace"]);
    let question = question(&args.selection);
    let passes = Passes::new(&question.model, &[1, 2], Profile::default(), 512);
    let died = passes.expect("tokens").with(planted(Dies)).free();
    let died = died.err().expect("it panicked");
    assert_eq!(
        (died.exit, &*died.message),
        (Exit::EngineDied, "the engine died: planted")
    );

    let json = Json::to("-".parse().expect("infallible"));
    let mut answers = Answers::new(&json);
    let mut diverging = scripted("diverging", other_logits);
    let found = args.ask(&question, &question.case, &mut diverging);
    answers.add("case", None, found);
    let died: Result<Finding<_>, _> = Err(died.into());
    answers.add("case", None, died);
    assert_eq!(answers.entries()[1].outcome, Outcome::EngineDied);
    assert_eq!(answers.outcome(), Some(Outcome::Divergence));
}

#[test]
fn what_takes_no_part_counts_only_where_nothing_else_was_asked() {
    let json = Json::default();
    let nobody = |outcomes: &[Outcome]| {
        let mut answers = Answers::<()>::new(&json);
        for &outcome in outcomes {
            let why = NoFinding::declined(outcome, "planted");
            answers.add("case", None::<Identity>, Err(why));
        }
        answers.end().expect_err("nothing was found").exit
    };
    assert_eq!(nobody(&[]), Exit::ReferenceMissing);
    assert_eq!(nobody(&[Outcome::ReferenceMissing]), Exit::ReferenceMissing);
    let both = [Outcome::ReferenceMissing, Outcome::Refused];
    assert_eq!(nobody(&both), Exit::BadInput);
}

/// Fixtures of two cases: the first diverges in one bit of its trace, the second is refused because
/// its model is not the recorded one.
fn diverging_and_refused(first: &str) -> Folder {
    let folder = Folder::new();
    let place = |path: &str| -> PathBuf { folder.path().join(path) };
    let shelf = |name: &str| place(&format!("recordings/{name}"));
    std::fs::create_dir_all(place("moby-tiny")).expect("temporary folder");
    let b158 = "moby-tiny/moby-tiny-b158.gguf";
    std::fs::copy(fixture(b158), place(b158)).expect("a fixture");
    std::fs::copy(fixture(b158), place("moby-tiny/moby-tiny-bitnet.gguf")).expect("a fixture");
    let bitnet = "dec2024-bitnet-avx512";
    let mut listed = String::new();
    for name in [RECORDING, bitnet] {
        std::fs::create_dir_all(shelf(name)).expect("temporary folder");
        for file in ["recording.json", "logits.safetensors", "trace.safetensors"] {
            let from = fixture(&format!("recordings/{name}/{file}"));
            std::fs::copy(from, shelf(name).join(file)).expect("a fixture");
        }
        if name == RECORDING {
            spoil(&shelf(name));
        }
        let hash = sha256(&shelf(name).join("recording.json"));
        listed += &format!("{hash}  {name}/recording.json\n");
    }
    std::fs::write(place("recordings/checksums.txt"), listed).expect("temporary file");
    let mut cases: Vec<_> = suite().cases;
    cases.retain(|case| ["b158-ishmael", "bitnet-ishmael"].contains(&&*case.name));
    for case in &mut cases {
        let kept = if case.name == "b158-ishmael" {
            RECORDING
        } else {
            bitnet
        };
        case.recordings.retain(|name| name == kept);
    }
    cases.sort_by_key(|case| case.name != first);
    let cases = json!({ "schema": 1, "cases": cases }).to_string();
    folder.file("cases.json", cases.as_bytes());
    folder
}

/// Turns the lowest bit of the last traced value, and makes every hash fit again.
fn spoil(recording: &Path) {
    let trace = recording.join("trace.safetensors");
    let mut bytes = std::fs::read(&trace).expect("a fixture");
    let at = bytes.len() - 4;
    bytes[at] ^= 1;
    std::fs::write(&trace, bytes).expect("temporary file");
    let manifest = recording.join("recording.json");
    let text = std::fs::read(&manifest).expect("a fixture");
    let mut value: Value = serde_json::from_slice(&text).expect("JSON");
    value["files"]["trace.safetensors"] = sha256(&trace).into();
    std::fs::write(&manifest, value.to_string()).expect("temporary file");
}

fn sha256(file: &Path) -> String {
    let bytes = std::fs::read(file).expect("a fixture");
    harness::file::provenance::sha256(&bytes)
}

#[test]
fn the_program_prints_and_writes_both_a_divergence_and_a_refusal_in_either_order() {
    for first in ["b158-ishmael", "bitnet-ishmael"] {
        let folder = diverging_and_refused(first);
        for command in ["trace", "attribute"] {
            let json = folder.path().join("found.json");
            let asked = Harness::new(command).arg("--fixtures").arg(folder.path());
            let answer = asked.arg("--json").arg(&json).run().exits(1);
            let kept = if command == "trace" {
                "BLAMED"
            } else {
                "NAMED"
            };
            assert!(answer.stdout.contains(kept), "{}", answer.stdout);
            let refused = "bitnet-ishmael: dec2024-bitnet-avx512 (ggml-avx512): refused: ";
            assert!(answer.stdout.contains(refused), "{}", answer.stdout);
            let written = std::fs::read(&json).expect("written");
            let written: Value = serde_json::from_slice(&written).expect("JSON");
            let outcome = |case: &str| {
                let entries = written.as_array().expect("a list");
                let entry = entries.iter().find(|entry| entry["case"] == case);
                let entry = entry.expect("every case has an entry");
                assert!(entry["reference"]["name"].is_string());
                (entry["outcome"].clone(), entry["why"].is_string())
            };
            assert_eq!(outcome("b158-ishmael"), ("divergence".into(), false));
            assert_eq!(outcome("bitnet-ishmael"), ("refused".into(), true));
        }
    }
}

#[test]
fn an_unknown_recording_is_named_and_the_known_ones_are_listed() {
    for command in ["trace --recording nope", "attribute --recording nope"] {
        let refused = Harness::new(command).run().exits(2);
        let words = "there is no recording \"nope\"; there are bitnet-edges, ";
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        assert!(refused.stderr.contains("mar2026-b158-avx2"));
    }
}

#[test]
fn an_output_over_the_model_is_refused_before_anything_runs() {
    let folder = Folder::new();
    let bytes = std::fs::read(fixture("moby-tiny/moby-tiny-b158.gguf")).expect("a fixture");
    let model = folder.file("model.gguf", &bytes);
    for command in ["trace --model", "attribute --model"] {
        let over = Harness::new(command).arg(&model).arg("--json").arg(&model);
        let refused = over.run().exits(2);
        assert!(refused.stderr.contains("is the same file as --model"));
        assert_eq!(std::fs::read(&model).expect("still there"), bytes);
    }
}
