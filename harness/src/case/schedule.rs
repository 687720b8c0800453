//! In which portions tokens reach a model: the part of a question that decides the arithmetic.

mod text;
mod timed;

use engine::Token;
use engine::sampler::greedy;
use engine::session::Wanted;
use serde::{Deserialize, Serialize};

pub use engine::session::LEAST_PORTION;

pub use self::timed::Timed;
use crate::case::observation::Lane;

/// In which portions tokens reach the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Tokens computed together at most.
    pub ubatch: usize,
    /// Threads that compute.
    pub threads: usize,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// Positions the cache holds; as many as are needed, if 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub context: usize,
    /// The rows of logits that are handed out, ascending, of all that the steps keep; every one,
    /// if none are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<usize>>,
}

/// What a schedule is followed on: a session of the engine or of a reference.
pub trait Session {
    /// Why a step cannot be taken.
    type Error;

    /// Feeds tokens after those that were fed before; hands out the wanted rows of logits.
    fn feed(&mut self, tokens: &[Token], wanted: Wanted) -> Result<Vec<f32>, Self::Error>;

    /// Forgets every position from this one on.
    fn truncate(&mut self, length: usize) -> Result<(), Self::Error>;
}

/// One step of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Feeds tokens and keeps the logits of each.
    Feed(Vec<Token>),
    /// Feeds tokens and asks for the logits of the last only, as a chat does with a prompt: what
    /// only the others need is not computed, and a single row is computed in an order of its own.
    Last(Vec<Token>),
    /// Feeds tokens and forgets their logits, but not what they leave in the cache.
    FeedAndDiscard(Vec<Token>),
    /// Forgets every position from this one on.
    Truncate(usize),
    /// Feeds so many times the token that is most likely next, and keeps the logits of each.
    Greedy(usize),
}

impl Schedule {
    /// On one thread, in portions as large as they come.
    pub fn of(steps: Vec<Step>) -> Self {
        Schedule {
            ubatch: 512,
            threads: 1,
            steps,
            context: 0,
            only: None,
        }
    }

    /// As a phase: what is being done when whoever does it dies of it.
    pub fn in_words(&self) -> &'static str {
        let single = |step: &Step| matches!(step, Step::Feed(tokens) if tokens.len() == 1);
        match &self.steps[..] {
            [.., Step::Greedy(_)] => "greedy continuation",
            [Step::Feed(_)] => "prefill of the prompt",
            steps if steps.iter().all(single) => "decode of the prompt, token by token",
            _ => "following a schedule",
        }
    }

    /// Positions the cache holds.
    pub fn context(&self) -> usize {
        if self.context > 0 {
            return self.context;
        }
        self.needed()
    }

    /// Positions that are used at once at most.
    pub fn needed(&self) -> usize {
        let (mut used, mut most) = (0, 1);
        for step in &self.steps {
            match step {
                Step::Truncate(len) => used = used.min(*len),
                Step::Greedy(count) => used += count,
                _ => used += step.tokens().len(),
            }
            most = most.max(used);
        }
        most
    }

    /// Rows of logits that are handed out.
    pub fn kept(&self) -> usize {
        let all = self.steps.iter().map(Step::kept).sum();
        let inside = |only: &Vec<usize>| only.iter().filter(|&&row| row < all).count();
        self.only.as_ref().map_or(all, inside)
    }

    /// Takes the steps one by one on an empty session; hands out the rows of logits that are
    /// kept. This is the only place where a schedule is followed, whoever computes.
    pub fn follow<S: Session>(&self, session: &mut S) -> Result<Vec<f32>, S::Error> {
        let mut kept = Kept {
            only: self.only.as_deref(),
            count: 0,
            rows: Vec::new(),
            last: Vec::new(),
        };
        for step in &self.steps {
            let tokens = step.tokens();
            match step {
                Step::Truncate(length) => session.truncate(*length)?,
                Step::Greedy(count) => {
                    for _ in 0..*count {
                        // Nobody has said anything yet: the rows that are missing show it.
                        if kept.last.is_empty() {
                            break;
                        }
                        let row = session.feed(&[greedy(&kept.last)], Wanted::Last)?;
                        kept.take(row, 1);
                    }
                }
                // A library refuses to compute nothing.
                _ if tokens.is_empty() => {}
                Step::Last(_) => kept.take(session.feed(tokens, Wanted::Last)?, 1),
                Step::Feed(_) => kept.take(session.feed(tokens, Wanted::All)?, tokens.len()),
                Step::FeedAndDiscard(_) => drop(session.feed(tokens, Wanted::All)?),
            }
        }
        Ok(kept.rows)
    }
}

/// The rows of logits that were handed out so far.
struct Kept<'a> {
    only: Option<&'a [usize]>,
    /// Rows that came by.
    count: usize,
    rows: Vec<f32>,
    /// The last that came by.
    last: Vec<f32>,
}

impl Kept<'_> {
    fn take(&mut self, rows: Vec<f32>, count: usize) {
        let width = rows.len() / count;
        self.last = rows[rows.len() - width..].to_vec();
        match self.only {
            None => self.rows.extend(rows),
            Some(only) => {
                let wanted = only.iter().filter_map(|row| row.checked_sub(self.count));
                for row in wanted.filter(|&row| row < count) {
                    self.rows.extend(&rows[row * width..][..width]);
                }
            }
        }
        self.count += count;
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Step {
    /// A prompt, fed as that lane has it.
    pub fn of_lane(lane: Lane, tokens: &[Token]) -> Vec<Step> {
        match lane {
            Lane::Prefill => vec![Step::Feed(tokens.to_vec())],
            Lane::Decode => tokens.iter().map(|&t| Step::Feed(vec![t])).collect(),
        }
    }

    /// What is fed.
    pub fn tokens(&self) -> &[Token] {
        match self {
            Step::Feed(tokens) | Step::Last(tokens) | Step::FeedAndDiscard(tokens) => tokens,
            Step::Truncate(_) | Step::Greedy(_) => &[],
        }
    }

    /// The same kind of step with other tokens.
    pub fn with(&self, tokens: Vec<Token>) -> Step {
        match self {
            Step::Feed(_) => Step::Feed(tokens),
            Step::Last(_) => Step::Last(tokens),
            Step::FeedAndDiscard(_) => Step::FeedAndDiscard(tokens),
            Step::Truncate(_) | Step::Greedy(_) => self.clone(),
        }
    }

    /// Rows of logits that are kept.
    pub fn kept(&self) -> usize {
        match self {
            Step::Feed(tokens) => tokens.len(),
            Step::Last(tokens) => tokens.len().min(1),
            Step::Greedy(count) => *count,
            Step::FeedAndDiscard(_) | Step::Truncate(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        Schedule::of(vec![
            Step::Feed(vec![1; 5]),
            Step::FeedAndDiscard(vec![2; 9]),
            Step::Truncate(5),
            Step::Last(vec![3; 4]),
        ])
    }

    #[test]
    fn a_schedule_knows_the_room_it_needs_and_the_rows_it_keeps() {
        assert_eq!((schedule().context(), schedule().kept()), (14, 6));
    }

    /// Logits in which the token after `t` is the likeliest, of a vocabulary of eight.
    #[derive(Default)]
    struct Counting(Vec<Token>);

    impl Session for Counting {
        type Error = ();

        fn feed(&mut self, tokens: &[Token], wanted: Wanted) -> Result<Vec<f32>, ()> {
            self.0.extend(tokens);
            let shown = match wanted {
                Wanted::All => tokens,
                Wanted::Last => &tokens[tokens.len() - 1..],
            };
            let row = |t: Token| (0..8).map(move |i| f32::from(u8::from(i == t + 1)));
            Ok(shown.iter().copied().flat_map(row).collect())
        }

        fn truncate(&mut self, length: usize) -> Result<(), ()> {
            self.0.truncate(length);
            Ok(())
        }
    }

    fn chosen(schedule: &Schedule) -> Vec<Token> {
        let rows = schedule.follow(&mut Counting::default()).expect("fed");
        assert_eq!(rows.len(), 8 * schedule.kept());
        rows.chunks(8).map(greedy).collect()
    }

    #[test]
    fn a_schedule_hands_out_the_rows_it_keeps_and_goes_on_with_the_likeliest() {
        assert_eq!(chosen(&schedule()), [2, 2, 2, 2, 2, 4]);
        let mut way = Schedule::of(vec![Step::Last(vec![5, 1]), Step::Greedy(3)]);
        assert_eq!(chosen(&way), [2, 3, 4, 5]);
        assert_eq!(way.context(), 5);
        way.steps.insert(0, Step::Feed(vec![0, 1, 2]));
        way.only = Some(vec![1, 4, 6, 9]);
        assert_eq!(chosen(&way), [2, 3, 5]);
        let mut session = Counting::default();
        schedule().follow(&mut session).expect("fed");
        assert_eq!(session.0, [1, 1, 1, 1, 1, 3, 3, 3, 3]);
        let nothing = Schedule::of(vec![Step::Feed(vec![]), Step::Greedy(2)]);
        assert_eq!(nothing.follow(&mut Counting::default()), Ok(vec![]));
    }

    #[test]
    fn a_schedule_reads_back_as_it_prints_and_as_json() {
        let words = schedule().to_string();
        assert_eq!(
            words,
            "ubatch=512 threads=1 feed=1*5 distract=2*9 truncate=5 last=3*4"
        );
        assert_eq!(words.parse(), Ok(schedule()));
        let words = "ubatch=2 threads=1 context=9 only=0.2 last=3 greedy=2";
        let parsed = words.parse::<Schedule>().expect("words of its own");
        assert_eq!(parsed.to_string(), words);
        let json = serde_json::to_string(&schedule()).expect("plain data");
        assert_eq!(
            serde_json::from_str::<Schedule>(&json).ok(),
            Some(schedule())
        );
    }

    #[test]
    fn words_that_are_no_schedule_say_why() {
        for (words, why) in [
            ("feed", "key=value"),
            ("", "tests nothing"),
            ("distract=1", "tests nothing"),
            ("feed=1 ubatch=0", "at least 1"),
            ("feed=1 threads=x", "no number"),
            ("feed=1.", "no number"),
            ("feed=1*99999999999", "more than"),
            ("feed=1 sing=2", "there are ubatch"),
        ] {
            let refused = words.parse::<Schedule>().expect_err(words);
            assert!(refused.contains(why), "{words}: {refused}");
        }
    }
}
