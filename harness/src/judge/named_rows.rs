//! Rows of which one side names the most likely tokens only: both sides become the probabilities
//! of those tokens and of all the others together, in logarithms.
//!
//! What is found on these rows is true of the whole ones as far as it goes: the divergence of the
//! merged distributions is never larger than that of the whole ones.

use engine::Token;

use super::compare::{PositionFindings, compare_rows};
use crate::numbers::metrics::{log_softmax, top1};

/// Compares a whole row of logits with the log-probabilities of the tokens that are named; nothing
/// where one of these is not in the vocabulary, or is named twice.
pub fn compare_named(
    position: usize,
    theirs: &[f32],
    names: &[Token],
    ours: &[f32],
) -> Option<PositionFindings> {
    let mut seen = names.to_vec();
    seen.sort_unstable();
    seen.dedup();
    let known = names.iter().all(|&id| (id as usize) < theirs.len());
    if seen.len() != names.len() || !known || names.is_empty() {
        return None;
    }
    let whole = log_softmax(theirs)?;
    let named = names.iter().map(|&id| whole[id as usize] as f32);
    let (theirs_named, ours_named) = (merged(named), merged(ours.iter().copied()));
    let mut found = compare_rows(position, &theirs_named, &ours_named);
    // The others together may be likelier than any token.
    let best = top1(ours).map(|place| names[place] as usize);
    let expected = top1(theirs);
    found.top1_equal = best.is_some() && best == expected;
    let pair = expected.zip(best).filter(|_| !found.top1_equal);
    let gap = pair.map(|(a, b)| f64::from(theirs[a]) - f64::from(theirs[b]));
    found.flip_gap = gap.filter(|gap| gap.is_finite());
    Some(found)
}

/// Logarithms of probabilities, and that of what is left to one.
fn merged(named: impl Iterator<Item = f32>) -> Vec<f32> {
    /// What rounding leaves of nothing.
    const NOTHING: f64 = 1e-7;
    let mut row: Vec<f32> = named.collect();
    let sum: f64 = row.iter().map(|&v| f64::from(v).exp()).sum();
    row.push((1.0 - sum).max(NOTHING).ln() as f32);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tokens_that_are_named_and_the_rest_are_compared() {
        let theirs = [2.0, 1.0, 0.0, -1.0];
        let whole = log_softmax(&theirs).expect("finite");
        let ours = [whole[1] as f32, whole[0] as f32];
        let same = compare_named(3, &theirs, &[1, 0], &ours).expect("two tokens");
        assert!(same.top1_equal && same.kl < Some(1e-9), "{same:?}");
        let other = compare_named(3, &theirs, &[1, 0], &[ours[1], ours[0]]).expect("two tokens");
        assert!(!other.top1_equal && other.kl > Some(0.1), "{other:?}");
        assert_eq!(other.flip_gap, Some(1.0));
        assert_eq!(compare_named(3, &theirs, &[1, 1], &ours), None);
        assert_eq!(compare_named(3, &theirs, &[1, 4], &ours), None);
    }
}
