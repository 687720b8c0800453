//! Makes what fails smaller while it fails: the one loop that all shrinkers share.

/// What is left of something that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk<T> {
    /// The smallest found. It fails.
    pub smallest: T,
    /// Candidates tried on the way.
    pub tried: usize,
    /// Whether every candidate for something smaller was tried; if not, the budget ended it.
    pub finished: bool,
}

/// Takes the first of the `candidates` that still fails, asks for its candidates, and so on until
/// none fails or `budget` of them were tried. `start` is known to fail.
///
/// A candidate that still fails is handed back with what is known about its failure, so that the
/// next candidates can follow from it. Candidates that take away most should come first; each must
/// be simpler than what it was made from, or the budget alone ends the loop.
pub fn shrink<T, C, I: IntoIterator<Item = C>>(
    start: T,
    candidates: impl Fn(&T) -> I,
    mut still_fails: impl FnMut(C) -> Option<T>,
    budget: usize,
) -> Shrunk<T> {
    let mut shrunk = Shrunk {
        smallest: start,
        tried: 0,
        finished: false,
    };
    'smaller: loop {
        for candidate in candidates(&shrunk.smallest) {
            if shrunk.tried == budget {
                return shrunk;
            }
            shrunk.tried += 1;
            if let Some(failing) = still_fails(candidate) {
                shrunk.smallest = failing;
                continue 'smaller;
            }
        }
        shrunk.finished = true;
        return shrunk;
    }
}

/// Where a list of that length may be cut: spans of half of it first, then ever shorter ones down
/// to single elements, each length from the front.
pub fn spans(length: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let halved = |span: &usize| (*span > 1).then(|| span.div_ceil(2));
    let first = (length > 0).then(|| length.div_ceil(2));
    std::iter::successors(first, halved).flat_map(move |span| {
        let starts = (0..length).step_by(span);
        starts.map(move |start| start..length.min(start + span))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every list with one span less.
    fn shorter(list: &[u32]) -> Vec<Vec<u32>> {
        let without = |span: std::ops::Range<usize>| [&list[..span.start], &list[span.end..]];
        spans(list.len())
            .map(|span| without(span).concat())
            .collect()
    }

    fn run(list: &[u32], fails: impl Fn(&[u32]) -> bool, budget: usize) -> Shrunk<Vec<u32>> {
        let still_fails = |list: Vec<u32>| fails(&list).then_some(list);
        let candidates = |list: &Vec<u32>| shorter(list);
        shrink(list.to_vec(), candidates, still_fails, budget)
    }

    #[test]
    fn what_is_left_is_minimal() {
        let list: Vec<u32> = (0..300).collect();
        let needed = |list: &[u32]| list.contains(&17) && list.contains(&202);
        let found = run(&list, needed, 10_000);
        assert_eq!(found.smallest, [17, 202]);
        assert!(found.finished && found.tried < 400, "{}", found.tried);
        let sum = run(&list, |list| list.iter().sum::<u32>() >= 500, 10_000);
        assert!(
            shorter(&sum.smallest)
                .iter()
                .all(|l| l.iter().sum::<u32>() < 500)
        );
        assert!(run(&list, |_| true, 10_000).smallest.is_empty());
    }

    #[test]
    fn the_budget_is_kept_and_what_comes_back_still_fails() {
        let list: Vec<u32> = (0..60).collect();
        let fails = |list: &[u32]| list.iter().filter(|x| *x % 7 == 3).count() > 5;
        let whole = run(&list, fails, usize::MAX);
        for budget in 0..whole.tried {
            let found = run(&list, fails, budget);
            assert!(fails(&found.smallest), "budget {budget}");
            assert_eq!((found.tried, found.finished), (budget, false));
        }
        assert!(whole.finished && fails(&whole.smallest));
        let kept = run(&list, |_| false, 50);
        assert_eq!((kept.smallest, kept.tried), (list, 50));
    }

    #[test]
    fn a_candidate_follows_from_what_is_known_about_the_last_failure() {
        // Each failure tells how far to go down next.
        let candidates = |(at, step): &(u32, u32)| at.checked_sub(*step);
        let mut seen = Vec::new();
        let still_fails = |at: u32| {
            seen.push(at);
            (at >= 10).then_some((at, at / 10))
        };
        let found = shrink((100, 50), candidates, still_fails, 100);
        assert_eq!(found.smallest.0, 10);
        assert_eq!(seen[..3], [50, 45, 41]);
    }

    #[test]
    fn spans_go_from_halves_to_single_elements() {
        let found: Vec<_> = spans(5).collect();
        let expected = [0..3, 3..5, 0..2, 2..4, 4..5, 0..1, 1..2, 2..3, 3..4, 4..5];
        assert_eq!(found, expected);
        assert_eq!(spans(0).count(), 0);
        assert_eq!(spans(1).count(), 1);
    }
}
