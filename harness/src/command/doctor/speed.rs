//! Whether a build takes as long for a token as its weights take to be read, or anything like it.

use std::path::Path;
use std::time::Duration;

use engine::kernels::Kernel;

use super::finding;
use crate::bench::lane::{Known, Lane};
use crate::bench::roofline::Roofline;
use crate::case::schedule::{Schedule, Step};
use crate::exit::Failure;
use crate::file::check::{Finding, Lint};
use crate::io::threads;
use crate::numbers::metrics::median;
use crate::reference::Reference;

/// Weights that no cache holds: of smaller files a speed says nothing about memory.
const LARGE: u64 = 256 << 20;
/// Single tokens, of which the first pays for the pages.
const STEPS: u32 = 9;
/// Times the stream of memory: above it, not everything can have been read.
const MOST: f64 = 1.5;
/// Share of the stream below which no vector instruction can have taken part.
const LEAST: f64 = 0.02;

/// Times single tokens of a large file; a smaller one is told.
pub(super) fn ask(
    reference: &Reference,
    file: &Path,
    asked: &mut Vec<String>,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let known = Known::read(file)?;
    let weights = known.traffic.weights;
    if weights < LARGE {
        let least = LARGE >> 20;
        asked.push(format!(
            "no speed: weights of less than {least} MiB fit into a cache"
        ));
        return Ok(());
    }
    let threads = threads::cores();
    let steps = (0..STEPS).map(|token| Step::Feed(vec![token]));
    let schedule = Schedule {
        threads,
        ..Schedule::of(steps.collect())
    };
    let name = reference.facts().name.clone();
    let mut lane = Lane::new(reference.clone(), name.clone(), Kernel::best(), &known);
    let feeds = match lane.time(&schedule) {
        Ok(timing) => timing.cost.feeds,
        Err(exit) => {
            asked.push(format!("no speed: {exit}"));
            return Ok(());
        }
    };
    let seconds: Vec<f64> = feeds.iter().skip(1).map(Duration::as_secs_f64).collect();
    let rate = median(&seconds).map(|second| weights as f64 / second / 1e9);
    let stream = Roofline::measure(threads, Kernel::best()).stream_gb_per_s;
    let rate = rate.unwrap_or(f64::NAN);
    asked.push(format!(
        "single tokens on {threads} threads: {rate:.1} GB/s of weights, beside a stream of \
         {stream:.1}"
    ));
    if let Some(detail) = odd(rate, stream) {
        found.push(finding(Lint::BuildSpeedOdd, &name, detail));
    }
    Ok(())
}

/// Why a rate cannot be, or should not.
fn odd(rate: f64, stream: f64) -> Option<String> {
    let share = rate / stream;
    if share > MOST {
        return Some(format!(
            "{rate:.1} GB/s of weights, {share:.1} times what memory gives: not all are read"
        ));
    }
    // Written so that "no number" is odd.
    let plausible = share >= LEAST;
    (!plausible).then(|| format!("{rate:.2} GB/s of weights, where memory gives {stream:.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_that_memory_cannot_give_and_those_of_no_vectors_are_odd() {
        for sound in [0.5, 5.0, 20.0, 25.0] {
            assert_eq!(odd(sound, 20.0), None, "{sound}");
        }
        assert!(
            odd(31.0, 20.0)
                .expect("too fast")
                .contains("not all are read")
        );
        assert!(
            odd(0.3, 20.0)
                .expect("too slow")
                .contains("memory gives 20.0")
        );
        assert!(odd(f64::NAN, 20.0).is_some());
    }
}
