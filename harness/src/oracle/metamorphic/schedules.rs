//! Other schedules of the same tokens: more threads, other portions, tokens that are forgotten.

use engine::Token;

use super::plan::{NotApplicable, dice};
use crate::case::observation::Lane;
use crate::case::schedule::{LEAST_PORTION, Schedule, Step};

/// Schedules that a relation compares on one model file: what the others are compared with, those
/// that must leave every bit, and last the one that must not.
pub(super) type Variants = Result<Vec<Schedule>, NotApplicable>;

/// Two and three threads; the control replaces a token, so that threads which compute nothing
/// are seen.
pub(super) fn threads(tokens: &[Token], lane: Lane) -> Variants {
    let plain = Schedule::of(Step::of_lane(lane, tokens));
    let on = |threads| Schedule {
        threads,
        ..plain.clone()
    };
    let mut other = tokens.to_vec();
    let replaced = other.len() / 2;
    other[replaced] = u32::from(other[replaced] == 0);
    let control = Schedule {
        threads: 2,
        ..Schedule::of(Step::of_lane(lane, &other))
    };
    Ok(vec![on(1), on(2), on(3), control])
}

/// Portions of eight tokens and more, made by the caller and by the ubatch; the control begins the
/// second portion one position early.
pub(super) fn portions(tokens: &[Token], lane: Lane) -> Variants {
    if lane == Lane::Decode {
        return Err(NotApplicable("single tokens have no other portions".into()));
    }
    let portions = cut(tokens)?;
    let plain = Schedule::of(Step::of_lane(lane, tokens));
    let whole = |size: &usize| matches!(tokens.len() % size, 0 | LEAST_PORTION..);
    let ubatch = (LEAST_PORTION..).find(whole);
    let ubatch = ubatch.expect("what leaves one portion over is among them");
    let steps: Vec<Step> = portions.iter().map(|p| Step::Feed(p.to_vec())).collect();
    let mut early = steps.clone();
    early.insert(1, Step::Truncate(portions[0].len() - 1));
    let split = Schedule {
        ubatch,
        ..plain.clone()
    };
    let [steps, early] = [steps, early].map(Schedule::of);
    Ok(vec![plain, steps, split, early])
}

/// Tokens that are fed and forgotten half way; the control does not forget them.
pub(super) fn rollback(tokens: &[Token], lane: Lane) -> Variants {
    let half = tokens.len() / 2;
    if half == 0 {
        return Err(NotApplicable("one token has no half".into()));
    }
    let (first, second) = tokens.split_at(half);
    let decoy: Vec<Token> = first.iter().rev().copied().collect();
    let with = |between: Vec<Step>| {
        let parts = [
            Step::of_lane(lane, first),
            between,
            Step::of_lane(lane, second),
        ];
        Schedule::of(parts.concat())
    };
    let decoy = Step::FeedAndDiscard(decoy);
    let forgotten = vec![decoy.clone(), Step::Truncate(half)];
    let all = [Vec::new(), forgotten, vec![decoy]];
    Ok(all.map(with).to_vec())
}

/// Everything forgotten and fed again; the control feeds it again without forgetting.
pub(super) fn replay(tokens: &[Token], lane: Lane) -> Variants {
    let once = Step::FeedAndDiscard(tokens.to_vec());
    let after = |before: Vec<Step>| Schedule::of([before, Step::of_lane(lane, tokens)].concat());
    let forgotten = vec![once.clone(), Step::Truncate(0)];
    let all = [Vec::new(), forgotten, vec![once]];
    Ok(all.map(after).to_vec())
}

/// At least two portions.
fn cut(tokens: &[Token]) -> Result<Vec<&[Token]>, NotApplicable> {
    if tokens.len() < 2 * LEAST_PORTION {
        let why = format!(
            "fewer than {} tokens make no two portions",
            2 * LEAST_PORTION
        );
        return Err(NotApplicable(why));
    }
    let (mut dice, mut rest, mut portions) = (dice(), tokens, Vec::new());
    while rest.len() >= 2 * LEAST_PORTION {
        let spare = rest.len() - 2 * LEAST_PORTION;
        let size = LEAST_PORTION + dice.below(spare.min(LEAST_PORTION) + 1);
        let (portion, after) = rest.split_at(size);
        portions.push(portion);
        rest = after;
    }
    portions.push(rest);
    Ok(portions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_are_of_eight_tokens_at_least_and_leave_nothing_out() {
        for len in 16..200_u32 {
            let tokens: Vec<Token> = (0..len).collect();
            let portions = cut(&tokens).expect("enough");
            assert!(portions.len() >= 2, "{len}");
            assert!(
                portions.iter().all(|p| p.len() >= LEAST_PORTION),
                "{len}: {portions:?}"
            );
            assert_eq!(portions.concat(), tokens);
            let variants = self::portions(&tokens, Lane::Prefill).expect("enough");
            let ubatch = variants[2].ubatch;
            assert!(ubatch < tokens.len());
            assert!(
                matches!(tokens.len() % ubatch, 0 | LEAST_PORTION..),
                "{len}"
            );
        }
        assert!(cut(&[1; 15]).is_err());
    }
}
