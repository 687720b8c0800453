//! Two continuations, step by step.

use engine::Token;

use super::{GreedyDivergence, GreedyFindings};
use crate::case::Case;
use crate::case::observation::Greedy;

/// Where they part, and how narrow the choice was there.
pub(super) fn compare_greedy(case: &Case, theirs: &Greedy, ours: &Greedy) -> GreedyFindings {
    let steps = theirs.tokens.len().min(ours.tokens.len());
    let steps = steps.min(case.greedy_steps);
    let parting = (0..steps).find(|&i| theirs.tokens[i] != ours.tokens[i]);
    let whole = steps == theirs.tokens.len() && steps == ours.tokens.len();
    GreedyFindings {
        steps,
        text_equal: parting.is_none() && (!whole || theirs.text == ours.text),
        first_divergence: parting.map(|step| {
            let tokens = [theirs.tokens[step], ours.tokens[step]];
            let logit = |row: &Vec<f32>, token: Token| row.get(token as usize).copied();
            let between = |row: &Vec<f32>, [more, less]: [Token; 2]| {
                let gap = f64::from(logit(row, more)?) - f64::from(logit(row, less)?);
                gap.is_finite().then_some(gap)
            };
            let [a, b] = tokens;
            // A tie is one in both rows, where both are known.
            let own = ours.logits.get(step).map(|row| between(row, [b, a]));
            let other = theirs.logits.get(step).map(|row| between(row, [a, b]));
            let known = [own, other].into_iter().flatten();
            let gap = known
                .reduce(|one, other| Some(one?.max(other?)))
                .unwrap_or_default();
            GreedyDivergence { step, tokens, gap }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_continuations_part_the_width_of_the_tie_is_told() {
        let case = crate::case::parse(
            br#"{"schema": 1, "cases": [{"name": "a", "model": "m", "prompt": "p", "context": 9,
            "ubatch": 9, "recordings": ["r"], "tokens": 1, "positions": [0], "nodes": 0,
            "greedy_steps": 3}]}"#,
        );
        let case = case.expect("sound").remove(0);
        let said = |tokens: [Token; 3], logits: &[[f32; 2]]| Greedy {
            tokens: tokens.into(),
            text: String::new(),
            logits: logits.iter().map(|row| row.to_vec()).collect(),
        };
        let ours = said([1, 0, 1], &[[0.0, 1.0], [0.5, 0.25], [0.0, 1.0]]);
        let found = compare_greedy(&case, &said([1, 1, 1], &[]), &ours);
        let parting = found.first_divergence.expect("the second step");
        assert_eq!((parting.step, parting.tokens), (1, [1, 0]));
        assert_eq!(parting.gap, Some(0.25));
        assert_eq!(found.steps, 3);
        // A token beyond our vocabulary has no logit, and so no gap.
        let found = compare_greedy(&case, &said([9, 1, 1], &[]), &ours);
        assert_eq!(found.first_divergence.expect("the first step").gap, None);
    }
}
