//! The harness can fail: everything that can be wrong is planted, and must be noticed.
//!
//! No engine takes part. The side under examination repeats the recordings under another name,
//! with one thing changed.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use harness::case::Case;
use harness::case::observation::{Identity, Lane, Observation};
use harness::exit::Exit;
use harness::judge::outcome::Outcome;
use harness::judge::tolerance::Tolerance;
use harness::judge::verdict::{Divergence, Verdict};
use harness::oracle::crossval::campaign::Campaign;
use harness::receipt::Receipt;
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

/// Repeats, for each case, its first recording.
struct Shelf(Suite);

impl Runner for Shelf {
    fn identity(&self) -> Identity {
        let mut recordings = self.0.recordings.values();
        let same = recordings.find(|r| r.manifest().profile == "ggml-avx512");
        same.expect("among the fixtures").identity()
    }

    fn is_live(&self) -> bool {
        false
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        let name = &task.case.recordings[0];
        let recorded = self.0.recordings.get_mut(name).expect("checked");
        recorded.observe(task)
    }
}

type Edit = fn(&mut Observation);

fn subject(edit: Edit) -> Box<dyn Subject> {
    let edit = move |task: Task<'_>, seen: &mut Observation| {
        if task.case.name == CASE {
            edit(seen);
        }
        Ok(())
    };
    Box::new(Scripted::new("subject", Shelf(suite()), edit))
}

/// The case without the recordings whose continuations part from ours: that is legal in a tie, and
/// how close a choice was is the one thing that a subject made of recordings cannot tell.
fn known_ties(case: &Case) -> Case {
    let mut case = case.clone();
    case.recordings.retain(|name| !name.ends_with("-fp16"));
    case
}

/// Runs the cases whose name passes.
fn examine(wanted: fn(&str) -> bool, edit: Edit) -> Receipt {
    let suite = suite();
    let cases: Vec<(Case, PathBuf)> = suite
        .cases
        .iter()
        .filter(|case| wanted(&case.name))
        .map(|case| (known_ties(case), suite.folder.join(&case.model)))
        .collect();
    let campaign = Campaign::new(suite, vec![subject(edit)], 1);
    campaign
        .run(&cases, |_| Ok(()))
        .expect("nothing is written")
}

/// The receipt of a run of two cases, one of them edited; the other must be untouched by it.
fn planted(edit: Edit) -> Receipt {
    let receipt = examine(|name| [CASE, "b158-white-whale"].contains(&name), edit);
    let others: Vec<_> = receipt
        .cases
        .iter()
        .filter(|c| c.claims.case != CASE)
        .collect();
    assert_eq!(others.len(), 1);
    for other in others {
        assert_eq!(
            other.claims.status,
            Outcome::RustOnly,
            "{}",
            other.claims.case
        );
    }
    receipt
}

/// The verdict of the edited case against the recording of the same arithmetic.
fn verdict(receipt: &Receipt) -> &Verdict {
    let case = receipt.cases.iter().find(|c| c.claims.case == CASE);
    &case.expect("it came to claims").claims.comparisons[0].verdict
}

fn exit(receipt: &Receipt) -> Exit {
    receipt.parity.status.exit()
}

fn first(receipt: &Receipt) -> &Divergence {
    assert_eq!(exit(receipt), Exit::Diverges);
    assert_eq!(receipt.parity.status, Outcome::Divergence);
    match verdict(receipt) {
        Verdict::Diverge { first } => first,
        other => panic!("{other}"),
    }
}

/// The logits of a position, not to the bit.
fn other_bits(lane: Lane, position: usize) -> Divergence {
    Divergence::Logits {
        lane,
        position,
        rule: "bits differ".into(),
    }
}

fn prefill(seen: &mut Observation) -> &mut Vec<f32> {
    &mut seen.lanes.get_mut(&Lane::Prefill).expect("recorded").values
}

#[test]
fn an_unedited_copy_agrees_to_the_bit_and_covers_everything() {
    let receipt = examine(|_| true, |_| {});
    assert_eq!(exit(&receipt), Exit::Agrees);
    assert_eq!(
        receipt.parity.status,
        Outcome::RustOnly,
        "recordings are not a live reference"
    );
    assert!(!receipt.parity.cpp_available);
    assert_eq!(receipt.parity.cosine_similarity, Some(1.0));
    assert_eq!(receipt.parity.exact_match_rate, Some(1.0));
    assert!(receipt.coverage.is_complete());
    assert_eq!(receipt.coverage.cases.compared, 25);
    for case in &receipt.cases {
        let same = &case.claims.comparisons[0];
        assert!(same.logits_bit_identical, "{}", case.claims.case);
        for other in &case.claims.comparisons[1..] {
            // One text may be too short to be judged; all of them together were.
            let good = matches!(other.verdict, Verdict::Agree | Verdict::NotJudged);
            assert!(good, "{}: {}", other.reference, other.verdict);
            assert_ne!(other.tolerance, Tolerance::Exact);
        }
    }
}

#[test]
fn one_flipped_bit_in_one_logit_of_one_position_diverges() {
    let receipt = planted(|seen| {
        let value = &mut prefill(seen)[1024 + 5];
        *value = f32::from_bits(value.to_bits() ^ 1);
    });
    assert_eq!(first(&receipt), &other_bits(Lane::Prefill, 1));
    let case = &receipt.cases[0];
    assert!(!case.claims.comparisons[0].logits_bit_identical);
    let findings = case.measured[0].findings.as_ref().expect("compared");
    let [values, equal] = findings.logits();
    assert_eq!((values, equal), (2 * 11 * 1024, 2 * 11 * 1024 - 1));
    let difference = findings.lanes[0].first_difference.as_ref().expect("one");
    assert_eq!(
        (difference.place.as_str(), difference.index),
        ("position 1", 5)
    );
    assert_eq!(difference.bits[0] ^ 1, difference.bits[1]);
}

#[test]
fn a_wrong_logit_diverges_where_it_is() {
    let receipt = planted(|seen| prefill(seen)[3 * 1024 + 700] += 10.0);
    assert_eq!(first(&receipt), &other_bits(Lane::Prefill, 3));
}

#[test]
fn another_most_likely_token_diverges() {
    let receipt = planted(|seen| {
        let row = &mut prefill(seen)[..1024];
        let top = harness::numbers::metrics::top1(row).expect("numbers");
        let second = row[top];
        row[(top + 1) % 1024] = second + second.abs() * 1e-6;
    });
    assert_eq!(first(&receipt), &other_bits(Lane::Prefill, 0));
}

#[test]
fn the_lanes_are_judged_apart() {
    let receipt = planted(|seen| {
        let decode = seen.lanes.get_mut(&Lane::Decode).expect("recorded");
        let last = decode.values.last_mut().expect("a row");
        *last = f32::from_bits(last.to_bits() ^ 1);
    });
    assert_eq!(first(&receipt), &other_bits(Lane::Decode, 10));
}

#[test]
fn one_flipped_bit_in_one_node_diverges_though_every_logit_is_the_same() {
    let receipt = planted(|seen| {
        let value = &mut seen.trace[20].values[9];
        *value = f32::from_bits(value.to_bits() ^ 1);
    });
    let key = "ffn_gate-0|MUL_MAT#0".to_owned();
    let rule = "bits differ".to_owned();
    assert_eq!(first(&receipt), &Divergence::Node { key, rule });
    assert!(receipt.cases[0].claims.comparisons[0].logits_bit_identical);
}

#[test]
fn not_a_number_diverges_even_against_another_arithmetic() {
    for broken in [f32::NAN, f32::INFINITY] {
        let receipt = if broken.is_nan() {
            planted(|seen| prefill(seen)[17] = f32::NAN)
        } else {
            planted(|seen| prefill(seen)[17] = f32::INFINITY)
        };
        assert!(matches!(
            first(&receipt),
            Divergence::Logits { position: 0, .. }
        ));
        let other = &receipt.cases[0].claims.comparisons[1];
        assert!(
            matches!(other.verdict, Verdict::Diverge { .. }),
            "{}",
            other.verdict
        );
    }
}

#[test]
fn swapped_tokens_diverge_and_their_logits_are_not_compared() {
    let receipt = planted(|seen| seen.tokens.swap(3, 4));
    assert_eq!(first(&receipt), &Divergence::Tokens { index: 3 });
    let findings = receipt.cases[0].measured[0]
        .findings
        .as_ref()
        .expect("compared");
    assert!(findings.lanes.is_empty());
    let shorter = planted(|seen| seen.tokens.truncate(10));
    assert_eq!(first(&shorter), &Divergence::Tokens { index: 10 });
}

#[test]
fn another_continuation_diverges_at_its_step() {
    let receipt = planted(|seen| seen.greedy.tokens[7] += 1);
    assert!(matches!(
        first(&receipt),
        Divergence::Greedy { step: 7, .. }
    ));
    assert_eq!(receipt.parity.first_divergence_step, Some(7));
    let receipt = planted(|seen| seen.greedy.text.push('!'));
    assert_eq!(first(&receipt), &Divergence::GreedyText);
}

#[test]
fn a_wrong_node_diverges_before_the_logits_it_spoils() {
    let receipt = planted(|seen| {
        seen.trace[20].values[9] += 10.0;
        prefill(seen)[0] += 10.0;
    });
    assert!(matches!(first(&receipt), Divergence::Node { .. }));
    let claim = &receipt.cases[0].claims.comparisons[0];
    assert_eq!(
        claim.first_differing_node.as_deref(),
        Some("ffn_gate-0|MUL_MAT#0")
    );
}

#[test]
fn whatever_is_missing_is_incomplete_and_never_a_pass() {
    let gaps: [(&str, Edit); 6] = [
        ("nodes 117/118", |seen| drop(seen.trace.remove(50))),
        ("nodes 117/118", |seen| seen.trace[50].shape.push(1)),
        ("positions 21/22", |seen| {
            let lane = seen.lanes.get_mut(&Lane::Decode).expect("recorded");
            lane.positions.pop();
            lane.values.truncate(10 * 1024);
        }),
        ("positions 11/22", |seen| {
            drop(seen.lanes.remove(&Lane::Decode))
        }),
        ("greedy steps 47/48", |seen| seen.greedy.tokens.truncate(47)),
        ("greedy steps 0/48", |seen| seen.greedy.tokens.clear()),
    ];
    for (gap, edit) in gaps {
        let receipt = planted(edit);
        let missing = gap.to_owned();
        assert_eq!(verdict(&receipt), &Verdict::Incomplete { missing });
        assert_eq!(exit(&receipt), Exit::Incomplete, "{gap}");
        assert!(!receipt.coverage.is_complete());
    }
}
