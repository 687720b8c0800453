//! A schedule as words, and words as a schedule.

use std::fmt;
use std::str::FromStr;

use super::{Schedule, Step};

/// Nobody writes more tokens than this, and a repetition must not eat all memory.
const MOST_TOKENS: usize = 1 << 20;
/// What a word can be about.
const KEYS: &str =
    "there are ubatch, threads, context, only, feed, last, distract, truncate and greedy";

impl fmt::Display for Schedule {
    /// `ubatch=512 threads=1 feed=1.2.3 feed=4*7`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ubatch={} threads={}", self.ubatch, self.threads)?;
        if self.context > 0 {
            write!(f, " context={}", self.context)?;
        }
        if let Some(only) = &self.only {
            write!(f, " only={}", Run(only))?;
        }
        for step in &self.steps {
            match step {
                Step::Feed(tokens) => write!(f, " feed={}", Run(tokens))?,
                Step::Last(tokens) => write!(f, " last={}", Run(tokens))?,
                Step::FeedAndDiscard(tokens) => write!(f, " distract={}", Run(tokens))?,
                Step::Truncate(len) => write!(f, " truncate={len}")?,
                Step::Greedy(count) => write!(f, " greedy={count}")?,
            }
        }
        Ok(())
    }
}

/// Tokens, equal neighbours counted.
struct Run<'a, N>(&'a [N]);

impl<N: fmt::Display + PartialEq> fmt::Display for Run<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, equal) in self.0.chunk_by(|a, b| a == b).enumerate() {
            let dot = if i == 0 { "" } else { "." };
            match equal.len() {
                1 => write!(f, "{dot}{}", equal[0])?,
                n => write!(f, "{dot}{}*{n}", equal[0])?,
            }
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = String;

    /// The inverse of printing; what is not said is as in [`Schedule::of`].
    fn from_str(words: &str) -> Result<Self, String> {
        let mut schedule = Schedule::of(Vec::new());
        for word in words.split_whitespace() {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| format!("{word:?} is not of the form key=value"))?;
            let wrong = |why: &str| format!("{word}: {why}");
            match key {
                "ubatch" => schedule.ubatch = positive(value).map_err(|e| wrong(&e))?,
                "threads" => schedule.threads = positive(value).map_err(|e| wrong(&e))?,
                "context" => schedule.context = positive(value).map_err(|e| wrong(&e))?,
                "only" => schedule.only = Some(numbers(value).map_err(|e| wrong(&e))?),
                _ => schedule
                    .steps
                    .push(step(key, value).map_err(|e| wrong(&e))?),
            }
        }
        match schedule.kept() {
            0 => Err("a schedule that keeps no logits tests nothing".into()),
            _ => Ok(schedule),
        }
    }
}

fn step(key: &str, value: &str) -> Result<Step, String> {
    Ok(match key {
        "feed" => Step::Feed(numbers(value)?),
        "last" => Step::Last(numbers(value)?),
        "distract" => Step::FeedAndDiscard(numbers(value)?),
        "truncate" => Step::Truncate(number(value)?),
        "greedy" => Step::Greedy(number(value)?),
        _ => return Err(KEYS.into()),
    })
}

fn numbers<N: FromStr + Clone>(value: &str) -> Result<Vec<N>, String> {
    let mut all = Vec::new();
    for part in value.split('.') {
        let (token, times) = part.split_once('*').unwrap_or((part, "1"));
        let times = positive(times)?;
        if all.len() + times > MOST_TOKENS {
            return Err(format!("more than {MOST_TOKENS} tokens"));
        }
        all.extend(std::iter::repeat_n(number::<N>(token)?, times));
    }
    Ok(all)
}

fn positive(value: &str) -> Result<usize, String> {
    match number(value)? {
        0 => Err("must be at least 1".into()),
        n => Ok(n),
    }
}

fn number<T: FromStr>(value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{value:?} is no number it can be"))
}
