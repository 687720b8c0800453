//! Sources that answer otherwise than the engine: what each comes to, and what it hides.
#![forbid(unsafe_code)]

use engine::config::Architecture;
use harness::case::observation::Identity;
use harness::case::schedule::Schedule;
use harness::judge::outcome::Outcome;
use harness::oracle::metamorphic::*;
use harness::reference::isolation::{Death, Kind};
use harness::runner::{RunError, Runner};

use super::{engine, report, small, tokens};

/// Answers what `answer` makes of the engine's answer.
struct Meddler<F>(F, usize);

impl<F: FnMut(usize, Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, RunError>> Runner for Meddler<F> {
    fn identity(&self) -> Identity {
        engine().identity()
    }

    fn logits(&mut self, file: &[u8], ways: &[Schedule]) -> Result<Vec<Vec<f32>>, RunError> {
        self.1 += 1;
        (self.0)(self.1, engine().logits(file, ways)?)
    }
}

#[test]
fn a_source_that_always_answers_the_same_breaks_nothing_and_fails_by_every_control() {
    let same = |_: usize, found: Vec<Vec<f32>>| {
        Ok(found
            .into_iter()
            .map(|logits| vec![1.0; logits.len()])
            .collect())
    };
    let report = report(&mut Meddler(same, 0), small(), tokens(17));
    assert_eq!(report.status, Outcome::Divergence);
    for row in &report.relations {
        let expected = (&Verdict::Holds, Control::Vacuous);
        assert_eq!((&row.verdict, row.control), expected, "{}", row.relation);
    }
    assert_eq!(report.coverage.controls.to_string(), "0/13");
}

type Logits = Vec<Vec<f32>>;
type Fault = fn(Logits) -> Result<Logits, RunError>;

fn lost() -> RunError {
    RunError::Lost(Box::new(Death {
        kind: Kind::Crashed,
        phase: "planted".into(),
        signal: Some(11),
        exit_code: None,
        complaint: None,
        assertion: None,
        last_words: String::new(),
        memory_seen: 0,
        milliseconds: 1,
    }))
}

fn flipped(mut found: Logits) -> Logits {
    found[1][77] = f32::from_bits(found[1][77].to_bits() ^ 1);
    found
}

/// Each way in which an answer can be other than it should be, what that comes to, and the words.
const FAULTS: [(Fault, Outcome, &str); 6] = [
    (
        |_| panic!("planted"),
        Outcome::EngineDied,
        "neuron-signs: died: planted",
    ),
    (|_| Err(lost()), Outcome::ReferenceDied, "reference_crashed"),
    (
        |_| Err(RunError::Refused("planted".into())),
        Outcome::Incomplete,
        "neuron-signs: planted",
    ),
    (
        |found| Ok(found[1..].to_vec()),
        Outcome::Incomplete,
        "fewer logits than positions",
    ),
    (
        |_| Err(RunError::NotFinite("planted".into())),
        Outcome::Divergence,
        "neuron-signs: planted",
    ),
    (
        |found| Ok(flipped(found)),
        Outcome::Divergence,
        "logit 77 at position 0 of prompt 0 in decode is",
    ),
];

#[test]
fn a_source_that_dies_refuses_or_answers_less_neither_holds_nor_stops_the_others() {
    for (fault, expected, words) in FAULTS {
        // The first question is the model itself, then follow each edit and its control.
        for (question, relation, other) in [(2, "neuron-signs", 1), (4, "value-signs", 0)] {
            let answer = |n, found| {
                if n == question {
                    fault(found)
                } else {
                    Ok(found)
                }
            };
            let report = report(&mut Meddler(answer, 0), small(), tokens(17));
            let said = report.render(None);
            assert_eq!(report.status, expected, "{said}");
            assert!(
                said.contains(&words.replace("neuron-signs", relation)),
                "{said}"
            );
            assert_eq!(report.relations[other].verdict, Verdict::Holds, "{said}");
        }
    }
}

#[test]
fn a_control_that_shows_on_one_lane_only_is_none_and_no_relation_at_all_is_incomplete() {
    let mut plain = Vec::new();
    let answer = |n, mut found: Logits| {
        match n {
            1 => plain = found.clone(),
            // The control of the first edit: as if nothing had been changed in decode.
            3 => found[1] = plain[1].clone(),
            _ => {}
        }
        Ok(found)
    };
    let found = report(&mut Meddler(answer, 0), small(), tokens(17));
    let row = &found.relations[0];
    assert_eq!(
        (&row.verdict, row.control),
        (&Verdict::Holds, Control::Vacuous)
    );
    assert!(row.control_changed.compared > 0);
    assert_eq!(found.status, Outcome::Divergence);
    let nothing = Report::conclude(
        found.computed_by,
        Architecture::Bitnet,
        Vec::new(),
        Vec::new(),
    );
    assert_eq!(nothing.status, Outcome::Incomplete);
}

#[test]
fn a_difference_is_not_hidden_behind_a_death_in_the_same_relation() {
    for (fault, _, _) in FAULTS {
        // The first edit differs, and its control is never computed.
        let answer = |n, found| match n {
            2 => Ok(flipped(found)),
            3 => fault(found),
            _ => Ok(found),
        };
        let report = report(&mut Meddler(answer, 0), small(), tokens(17));
        let said = report.render(None);
        assert_eq!(report.status, Outcome::Divergence, "{said}");
        assert!(said.contains("neuron-signs: to negate"), "{said}");
    }
}
