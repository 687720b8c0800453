//! Rows of which a side names the most likely tokens only: both sides become the probabilities of
//! the tokens that both know and of all the others together, in logarithms.
//!
//! What is found on these rows is true of the whole ones as far as it goes: the divergence of the
//! merged distributions is never larger than that of the whole ones.

use std::collections::BTreeMap;

use engine::Token;

use super::compare::{PositionFindings, compare_rows};
use crate::numbers::metrics::{confidence, log_softmax, top1};

/// One side's row.
#[derive(Debug, Clone, Copy)]
pub struct Row<'r> {
    /// Logits or, of the tokens that are named, the logarithms of their probabilities.
    pub values: &'r [f32],
    /// The tokens, where they are not the whole vocabulary.
    pub names: Option<&'r [Token]>,
}

/// Logarithms of probabilities.
enum Logs {
    Whole(Vec<f64>),
    Named(BTreeMap<Token, f64>),
}

/// Compares two rows of which one or both name tokens; nothing where a token is named twice or is
/// not in the other's vocabulary, or no token is known to both.
pub fn compare_named(position: usize, theirs: Row<'_>, ours: Row<'_>) -> Option<PositionFindings> {
    let (p, q) = (theirs.logs()?, ours.logs()?);
    let known = |token: &Token| p.of(*token).is_some() && q.of(*token).is_some();
    let names = ours.names.or(theirs.names)?;
    let shared: Vec<Token> = names.iter().copied().filter(known).collect();
    let partly = theirs.names.is_some() && ours.names.is_some();
    if shared.is_empty() || !partly && shared.len() < names.len() {
        return None;
    }
    let merged = |logs: &Logs| merged(shared.iter().filter_map(|&token| logs.of(token)));
    let mut found = compare_rows(position, &merged(&p), &merged(&q));
    // The others together may be likelier than any token.
    let (expected, best) = (theirs.best()?, ours.best()?);
    found.top1_equal = best == expected;
    let value = |token| theirs.value(token).map(f64::from);
    let gap = value(expected).zip(value(best)).map(|(a, b)| a - b);
    found.flip_gap = gap.filter(|gap| gap.is_finite() && !found.top1_equal);
    let same = found.confidence.is_none();
    found.confidence = theirs.confidence().filter(|_| !same);
    Some(found)
}

impl Row<'_> {
    fn logs(&self) -> Option<Logs> {
        let Some(names) = self.names else {
            return log_softmax(self.values).map(Logs::Whole);
        };
        let values = self.values.iter().map(|&value| f64::from(value));
        let logs: BTreeMap<Token, f64> = names.iter().copied().zip(values).collect();
        (logs.len() == names.len() && logs.values().all(|v| v.is_finite()))
            .then_some(Logs::Named(logs))
    }

    fn best(&self) -> Option<Token> {
        let place = top1(self.values)?;
        self.names
            .map_or(Some(place as Token), |names| names.get(place).copied())
    }

    fn value(&self, token: Token) -> Option<f32> {
        let place = match self.names {
            None => token as usize,
            Some(names) => names.iter().position(|&name| name == token)?,
        };
        self.values.get(place).copied()
    }

    fn confidence(&self) -> Option<f64> {
        match self.names {
            None => confidence(self.values),
            Some(_) => Some(f64::from(self.values[top1(self.values)?]).exp()),
        }
    }
}

impl Logs {
    fn of(&self, token: Token) -> Option<f64> {
        match self {
            Logs::Whole(logs) => logs.get(token as usize).copied(),
            Logs::Named(logs) => logs.get(&token).copied(),
        }
    }
}

/// Logarithms of probabilities, and that of what is left to one.
fn merged(logs: impl Iterator<Item = f64>) -> Vec<f32> {
    /// What rounding leaves of nothing.
    const NOTHING: f64 = 1e-7;
    let mut row: Vec<f32> = logs.map(|log| log as f32).collect();
    let sum: f64 = row.iter().map(|&v| f64::from(v).exp()).sum();
    row.push((1.0 - sum).max(NOTHING).ln() as f32);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Row<'_> = Row {
        values: &[2.0, 1.0, 0.0, -1.0],
        names: None,
    };

    fn named<'r>(names: &'r [Token], values: &'r [f32]) -> Row<'r> {
        let names = Some(names);
        Row { values, names }
    }

    fn logs() -> Vec<f32> {
        let whole = log_softmax(WHOLE.values).expect("finite");
        whole.into_iter().map(|log| log as f32).collect()
    }

    #[test]
    fn the_tokens_that_are_named_and_the_rest_are_compared() {
        let whole = logs();
        let ours = [whole[1], whole[0]];
        let same = compare_named(3, WHOLE, named(&[1, 0], &ours)).expect("two tokens");
        assert!(same.top1_equal && same.kl < Some(1e-9), "{same:?}");
        let swapped = [ours[1], ours[0]];
        let other = compare_named(3, WHOLE, named(&[1, 0], &swapped)).expect("two tokens");
        assert!(!other.top1_equal && other.kl > Some(0.1), "{other:?}");
        assert_eq!(other.flip_gap, Some(1.0));
        assert_eq!(other.confidence, confidence(WHOLE.values));
        assert_eq!(compare_named(3, WHOLE, named(&[1, 1], &ours)), None);
        assert_eq!(compare_named(3, WHOLE, named(&[1, 4], &ours)), None);
        let reverse = compare_named(3, named(&[1, 0], &swapped), WHOLE).expect("two tokens");
        assert!(!reverse.top1_equal && reverse.kl > Some(0.1), "{reverse:?}");
        assert_eq!(reverse.flip_gap.map(|gap| gap > 0.9), Some(true));
    }

    #[test]
    fn two_lists_are_compared_where_they_name_the_same_tokens() {
        let whole = logs();
        let three = [whole[0], whole[1], whole[2]];
        let one = named(&[0, 1, 2], &three);
        let same = compare_named(0, one, one).expect("three tokens");
        assert!(same.distance.is_bit_identical() && same.confidence.is_none());
        let two = [whole[1], whole[3]];
        let part = compare_named(0, one, named(&[1, 3], &two)).expect("one in common");
        assert_eq!(part.distance.values, 2, "it and the rest");
        assert!(part.kl < Some(1e-9) && !part.top1_equal, "{part:?}");
        assert_eq!(compare_named(0, one, named(&[3], &two[1..])), None);
    }
}
