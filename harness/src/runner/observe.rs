//! A case, observed: its lanes, its nodes and its continuation are schedules that one opened model
//! follows.

use std::collections::BTreeMap;

use engine::Token;
use engine::sampler::greedy;

use super::watch::Watch;
use super::{Followed, Opened, RunError};
use crate::case::Case;
use crate::case::ability::{self, Ability, Lacking};
use crate::case::observation::{Greedy, Identity, Lane, Logits, Observation};
use crate::case::schedule::{Schedule, Step};
use crate::case::taken::Taken;

/// What an opened model makes of a case, on so many threads.
pub fn observe(
    opened: &mut dyn Opened,
    identity: Identity,
    case: &Case,
    threads: usize,
) -> Result<Observation, RunError> {
    let tokens = opened.tokenize(&case.prompt)?;
    observe_tokens(opened, identity, case, tokens, (threads, &Lacking::new()))
}

/// The same where the prompt is these tokens; what an engine lacks is left out.
pub fn observe_tokens(
    opened: &mut dyn Opened,
    identity: Identity,
    case: &Case,
    tokens: Vec<Token>,
    (threads, lacking): (usize, &Lacking),
) -> Result<Observation, RunError> {
    let inside = |p: &&usize| **p < tokens.len();
    let positions: Vec<usize> = case.positions.iter().filter(inside).copied().collect();
    let of = |steps| Schedule {
        ubatch: case.ubatch,
        threads,
        context: case.context,
        ..Schedule::of(steps)
    };
    let mut lane = |lane: Lane, watch: &Watch<'_>| {
        let schedule = Schedule {
            only: Some(positions.clone()),
            ..of(Step::of_lane(lane, &tokens))
        };
        follow(opened, &schedule, watch)
    };
    let (mut lanes, mut trace) = (BTreeMap::new(), Vec::new());
    for name in ability::lanes(lacking) {
        let traced = name == Lane::Prefill && case.nodes > 0 && !lacking.contains(&Ability::Nodes);
        let watch = if traced {
            Watch::every()
        } else {
            Watch::default()
        };
        let followed = lane(name, &watch)?;
        trace.extend(followed.nodes);
        let logits = Logits {
            positions: positions.clone(),
            values: followed.rows,
            vocab_size: followed.vocab_size,
            named: followed.named,
            sixteen_bits: false,
        };
        lanes.insert(name, logits);
    }
    let greedy = if lacking.contains(&Ability::Greedy) {
        Greedy::default()
    } else {
        continuation(opened, case.greedy_steps, &tokens, of)?
    };
    Ok(Observation {
        identity,
        lanes,
        greedy,
        trace,
        tokens,
        taken: Taken::default(),
    })
}

/// As the recordings were made: a prefill that asks for its last position only, then one token at
/// a time.
fn continuation(
    opened: &mut dyn Opened,
    steps: usize,
    tokens: &[Token],
    of: impl Fn(Vec<Step>) -> Schedule,
) -> Result<Greedy, RunError> {
    let mut found = Greedy::default();
    if let Some(after_the_first) = steps.checked_sub(1) {
        let prompt = Step::Last(tokens.to_vec());
        let schedule = of(vec![prompt, Step::Greedy(after_the_first)]);
        let followed = follow(opened, &schedule, &Watch::default())?;
        let rows = followed.rows.chunks_exact(followed.vocab_size.max(1));
        found.logits = rows.map(<[f32]>::to_vec).collect();
        found.tokens = found.logits.iter().map(|row| greedy(row)).collect();
        if !followed.named.is_empty() {
            // Places among the named ones become tokens; what is not named is out of the question.
            let named = followed.named.iter().zip(&found.tokens);
            found.tokens = named.map(|(names, place)| names[*place as usize]).collect();
            let rows = followed.named.iter().zip(&found.logits);
            found.logits = rows.map(|(names, row)| spread(names, row)).collect();
        }
    }
    found.text = opened.text(&found.tokens)?;
    Ok(found)
}

/// The logarithms of probabilities in the places of their tokens.
fn spread(names: &[Token], logprobs: &[f32]) -> Vec<f32> {
    let length = names.iter().max().map_or(0, |&most| most as usize + 1);
    let mut row = vec![f32::NEG_INFINITY; length];
    for (&name, &logprob) in names.iter().zip(logprobs) {
        row[name as usize] = logprob;
    }
    row
}

/// Follows a schedule, and takes no answer that is shorter than it has to be.
fn follow(
    opened: &mut dyn Opened,
    schedule: &Schedule,
    watch: &Watch<'_>,
) -> Result<Followed, RunError> {
    let followed = opened.follow(schedule, watch)?;
    let (kept, found) = (schedule.kept(), followed.rows.len());
    if Some(found) != kept.checked_mul(followed.vocab_size) {
        let message = format!("{found} logits came back where {kept} rows were asked for");
        return Err(RunError::NoAnswer(message));
    }
    Ok(followed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every logit is 1; the answer of that number lacks a row.
    struct Short(Option<usize>, usize);

    impl Opened for Short {
        fn tokenize(&mut self, text: &str) -> Result<Vec<Token>, RunError> {
            Ok(text.bytes().map(Token::from).collect())
        }

        fn text(&mut self, tokens: &[Token]) -> Result<String, RunError> {
            Ok(format!("{tokens:?}"))
        }

        fn follow(&mut self, schedule: &Schedule, _: &Watch<'_>) -> Result<Followed, RunError> {
            let missing = usize::from(self.0 == Some(self.1));
            self.1 += 1;
            assert_eq!((schedule.context, schedule.threads), (9, 3));
            Ok(Followed {
                named: Vec::new(),
                rows: vec![1.0; 4 * (schedule.kept() - missing)],
                vocab_size: 4,
                nodes: Vec::new(),
            })
        }
    }

    #[test]
    fn a_case_is_three_schedules_and_none_may_be_answered_in_part() {
        let case = Case {
            context: 9,
            positions: vec![0, 2],
            greedy_steps: 3,
            ..Case::of_prompt("a", "m", "pqr", 3)
        };
        let identity = Identity {
            name: "short".into(),
            profile: String::new(),
            fingerprint: String::new(),
        };
        let observed = |cut| observe(&mut Short(cut, 0), identity.clone(), &case, 3);
        let whole = observed(None).expect("whole");
        assert_eq!(whole.tokens, [112, 113, 114]);
        for lane in Lane::ALL {
            let Logits {
                positions, values, ..
            } = &whole.lanes[&lane];
            assert_eq!((&positions[..], values.len()), (&[0, 2][..], 8));
        }
        assert_eq!(
            (whole.greedy.logits.len(), &*whole.greedy.text),
            (3, "[0, 0, 0]")
        );
        for cut in 0..3 {
            let error = observed(Some(cut)).expect_err("a row is missing");
            assert!(matches!(error, RunError::NoAnswer(_)), "{cut}: {error}");
        }
    }
}
