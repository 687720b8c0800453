//! A campaign with a rogue among its references: one case is lost at most, and the receipt says to
//! what.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::LazyLock;

use harness::case::Case;
use harness::exit::Exit;
use harness::judge::outcome::Outcome;
use harness::judge::verdict::Verdict;
use harness::oracle::crossval::campaign::{Campaign, Live, Step};
use harness::receipt::verify::verify;
use harness::receipt::{Receipt, disagreement};
use harness::reference::Reference;
use harness::reference::isolation::Kind;
use harness::runner::scripted::Scripted;
use harness::runner::suite::Suite;

use crate::rogue::{CASE, RECORDING, launch};
use crate::workers::limits;

const CASES: [&str; 3] = ["bitnet-ishmael", CASE, "bitnet-best-of-times"];

/// Without the recordings whose continuations part from the others': that is legal in a tie, and
/// how close a choice was is the one thing that a subject made of recordings cannot tell.
fn suite() -> Suite {
    static SUITE: LazyLock<Suite> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
        let mut suite = Suite::open(&folder).expect("the committed fixtures are sound");
        for case in &mut suite.cases {
            case.recordings.retain(|name| !name.ends_with("-fp16"));
        }
        suite
    });
    SUITE.clone()
}

fn live(name: &str, tale: &'static str) -> Live {
    let command = move || launch(&format!("tell: {tale}"));
    let reference = Reference::open(name, limits(), Rc::new(command)).expect("it says hello");
    Live::lanes(reference, Default::default()).remove(0)
}

fn campaign(name: &str, tale: &'static str) -> Campaign {
    let suite = suite();
    // The side under examination repeats what the reference once said.
    let source = suite.recordings[RECORDING].clone();
    let subject = Scripted::new("subject", source, |_, _| Ok(()));
    Campaign::new(suite, vec![Box::new(subject)], 1).with_references(vec![live(name, tale)])
}

fn cases() -> Vec<(Case, PathBuf)> {
    let suite = suite();
    let wanted = suite.cases.iter().filter(|c| CASES.contains(&&c.name[..]));
    wanted
        .map(|c| (c.clone(), suite.folder.join(&c.model)))
        .collect()
}

/// Runs, and checks what holds whatever the tale: the receipt verifies, the other cases are well.
fn run(name: &str, tale: &'static str) -> Receipt {
    let receipt = campaign(name, tale)
        .run(&cases(), |_| Ok(()))
        .expect("nothing is written");
    let verified = verify(&receipt, Some(&suite()));
    assert_eq!(verified.refuted, [], "{tale}");
    let [first, _, last] = &receipt.cases[..] else {
        panic!("{:?}", receipt.failures);
    };
    if tale != "no" {
        for case in [first, last] {
            assert_eq!(
                case.claims.status,
                Outcome::Ok,
                "{tale}: {}: {}",
                case.claims.case,
                case.claims.comparisons.last().expect("asked").verdict
            );
            let live = case.claims.comparisons.last().expect("asked");
            assert!(live.live && live.logits_bit_identical, "{tale}");
        }
        assert!(receipt.parity.cpp_available);
        assert_eq!(receipt.circumstances.references.len(), 1);
    }
    receipt
}

fn verdict(receipt: &Receipt) -> &Verdict {
    &receipt.cases[1]
        .claims
        .comparisons
        .last()
        .expect("asked")
        .verdict
}

#[test]
fn a_live_reference_that_agrees_makes_a_run_ok() {
    let receipt = run("rogue", "the truth");
    assert_eq!(receipt.parity.status, Outcome::Ok);
    let controls = |i: usize| receipt.cases[i].claims.controls.len();
    assert_eq!(
        [controls(0), controls(1)],
        [2, 1],
        "two threads on the traced case only"
    );
}

#[test]
fn a_death_costs_one_case_and_its_record_is_on_the_receipt() {
    let receipt = run("rogue", "death");
    assert_eq!(receipt.parity.status.exit(), Exit::ReferenceDied);
    let Verdict::ReferenceDied { message } = verdict(&receipt) else {
        panic!("{}", verdict(&receipt));
    };
    assert!(
        message.contains("reference_crashed while decoding the prompt, SIGABRT"),
        "{message}"
    );
    assert!(
        message.contains("GGML_ASSERT(k >= 8*QK_IQ1BN)"),
        "{message}"
    );
    let comparisons = receipt.cases[1].claims.comparisons.len();
    let death = receipt.cases[1].measured[comparisons - 1].death.as_ref();
    assert_eq!(death.expect("recorded").kind, Kind::Crashed);
}

#[test]
fn an_answer_for_another_model_is_garbage() {
    let receipt = run("rogue", "another model");
    assert_eq!(receipt.parity.status.exit(), Exit::ReferenceDied);
    let words = verdict(&receipt).to_string();
    assert!(words.contains("reference_garbage"), "{words}");
    assert!(
        words.contains("it answers for a model with sha256 0000"),
        "{words}"
    );
}

#[test]
fn a_reference_that_differs_from_itself_certifies_nothing() {
    let campaign = campaign("rogue", "moods");
    let receipt = campaign
        .run(&cases(), |_| Ok(()))
        .expect("nothing is written");
    assert_eq!(verify(&receipt, Some(&suite())).refuted, []);
    assert_eq!(receipt.parity.status.exit(), Exit::Incomplete);
    let traced = &receipt.cases[0].claims;
    let live = traced.comparisons.last().expect("asked");
    assert!(matches!(&live.verdict, Verdict::Unsteady { why } if why.contains("2 threads")));
    assert!(
        traced
            .controls
            .iter()
            .any(|c| matches!(c.verdict, Verdict::Diverge { .. }))
    );
    assert!(traced.witnesses.is_empty(), "its word counts for nobody");
}

#[test]
fn a_liar_stands_alone() {
    let receipt = run("rogue", "lie");
    assert_eq!(receipt.parity.status.exit(), Exit::Diverges);
    let told = disagreement::sentences(&receipt.cases[1].claims);
    let sentence =
        format!("{CASE} in ggml-avx512: rogue stands alone; {RECORDING}, the engine agree");
    assert_eq!(told, [sentence]);
}

#[test]
fn declining_is_a_gap_only_where_an_answer_was_promised() {
    let receipt = run("a stranger", "no");
    assert_eq!(receipt.parity.status, Outcome::RustOnly);
    assert!(!receipt.parity.cpp_available);
    assert!(receipt.circumstances.references.is_empty());
    let receipt = run("bitnet", "no");
    assert_eq!(receipt.parity.status.exit(), Exit::Incomplete);
    assert!(matches!(verdict(&receipt), Verdict::Declined { .. }));
}

#[test]
fn a_run_that_was_ended_goes_on_where_it_was() {
    let mut kept = None;
    let ended = campaign("rogue", "the truth").run(&cases()[..2], |step| {
        if let Step::Ended(_, receipt) = step {
            kept = Some(receipt.clone());
        }
        Ok(())
    });
    ended.expect("nothing is written");
    // The rogue would die in the second case, if it were asked again.
    let resumed = campaign("rogue", "death").resuming(kept.expect("two cases"));
    let receipt = resumed
        .run(&cases(), |_| Ok(()))
        .expect("nothing is written");
    assert_eq!(receipt.parity.status, Outcome::Ok);
    assert_eq!(receipt.cases.len(), 3);
}
