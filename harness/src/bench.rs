//! How fast: several builds side by side on one machine, each in a process of its own, of which
//! only those count whose logits were compared in the same run.
//!
//! Rounds go forth and back (A B C, C B A), so that whatever drifts hits all of them alike; what is
//! reported is the middle of the ratios of neighbours, and how sure it is. What the machine can do
//! at most is measured between the rounds.
#![forbid(unsafe_code)]

pub mod lane;
pub mod products;
pub mod report;
pub mod roofline;
mod table;
pub mod traffic;

use engine::Token;
use serde::Serialize;

use self::lane::{Lane, Timing};
use self::report::{Build, Logits, Measured, Report, Speed};
use self::roofline::{Busy, Roofline};
use crate::case::schedule::{Schedule, Step};
use crate::numbers::split_mix::SplitMix64;
use crate::reference::isolation::WorkerExit;

/// Tokens of the prompt whose first answer is waited for.
const FIRST_PROMPT: usize = 16;
/// Positions with which memory is counted.
const POSITIONS: usize = 512;
/// Tokens computed together at most.
const UBATCH: usize = 512;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Lengths of prompts.
    pub prompts: Vec<usize>,
    /// Numbers of tokens that are fed one by one.
    pub generated: Vec<usize>,
    /// Positions that are filled before.
    pub depths: Vec<usize>,
    /// Numbers of threads.
    pub threads: Vec<usize>,
    /// How often every build is timed forth and back.
    pub rounds: usize,
    /// Decides which tokens are fed.
    pub seed: u64,
}

/// One line of the plan; the names are those of `llama-bench`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Test {
    /// Tokens fed at once, if it is a prefill.
    pub n_prompt: usize,
    /// Tokens fed one by one, if it is a decode.
    pub n_gen: usize,
    /// Positions filled before the clock starts.
    pub n_depth: usize,
    /// Threads of every build.
    pub n_threads: usize,
}

impl Plan {
    /// Every line.
    pub fn tests(&self) -> Vec<Test> {
        let mut tests = Vec::new();
        for &n_threads in &self.threads {
            for &n_depth in &self.depths {
                let test = |n_prompt, n_gen| Test {
                    n_prompt,
                    n_gen,
                    n_depth,
                    n_threads,
                };
                tests.extend(self.prompts.iter().map(|&n| test(n, 0)));
                tests.extend(self.generated.iter().map(|&n| test(0, n)));
            }
        }
        tests
    }
}

impl Test {
    /// As `llama-bench` writes it.
    pub fn name(&self) -> String {
        let name = match (self.n_prompt, self.n_gen) {
            (0, n) => format!("tg{n}"),
            (n, _) => format!("pp{n}"),
        };
        if self.n_depth == 0 {
            name
        } else {
            format!("{name} @ d{}", self.n_depth)
        }
    }

    /// Tokens on the clock.
    pub fn timed(&self) -> usize {
        self.n_prompt + self.n_gen
    }

    /// Positions it fills.
    pub fn positions(&self) -> usize {
        self.n_depth + self.timed()
    }

    /// Random tokens of a vocabulary: the depth, then what is timed. The logits of the first and
    /// the last timed portion are handed out.
    fn schedule(&self, vocabulary: usize, seed: u64) -> Schedule {
        let mut dice = SplitMix64(seed);
        let mut draw =
            |n: usize| -> Vec<Token> { (0..n).map(|_| dice.below(vocabulary) as Token).collect() };
        let mut steps = Vec::new();
        if self.n_depth > 0 {
            steps.push(Step::Last(draw(self.n_depth)));
        }
        let first = steps.len();
        if self.n_prompt > 0 {
            steps.push(Step::Last(draw(self.n_prompt)));
        }
        steps.extend((0..self.n_gen).map(|_| Step::Last(draw(1))));
        let mut only = vec![first, steps.len() - 1];
        only.dedup();
        Schedule {
            ubatch: UBATCH,
            threads: self.n_threads,
            only: Some(only),
            ..Schedule::of(steps)
        }
    }

    /// Tokens a second.
    fn rate(&self, timing: &Timing) -> f64 {
        let portions = if self.n_prompt > 0 { 1 } else { self.n_gen };
        let feeds = &timing.cost.feeds;
        let timed = &feeds[feeds.len().saturating_sub(portions)..];
        self.timed() as f64 / timed.iter().sum::<std::time::Duration>().as_secs_f64()
    }
}

/// Every line of the plan; the first lane is the one that the others are held against. `done` is
/// shown the report after each step, so that nothing is lost with the rest.
pub fn run(plan: &Plan, lanes: &mut [Lane], done: &mut dyn FnMut(&Report)) -> Report {
    let mut report = Report::begin(lanes);
    start(plan, lanes, &mut report);
    done(&report);
    for test in plan.tests() {
        let measured = measure(plan, test, lanes);
        report.tests.push(measured);
        done(&report);
    }
    report.end();
    report
}

/// From nothing to the first token of a short prompt, in new processes; then how much memory a
/// longer one leaves in use.
fn start(plan: &Plan, lanes: &mut [Lane], report: &mut Report) {
    let threads = plan.threads[0];
    let test = |n_prompt: usize, most: usize| Test {
        n_prompt: n_prompt.min(most),
        n_gen: 0,
        n_depth: 0,
        n_threads: threads,
    };
    for _ in 0..plan.rounds {
        for (lane, build) in lanes.iter_mut().zip(&mut report.builds) {
            lane.restart();
            let short = test(FIRST_PROMPT, lane.context).schedule(lane.vocabulary, plan.seed);
            let first = lane.time(&short);
            let long = test(POSITIONS, lane.context).schedule(lane.vocabulary, plan.seed);
            match first.and_then(|first| Ok((first, lane.time(&long)?))) {
                Ok((first, after)) => build.add(&first, &after),
                Err(exit) => build.lost = Some(exit.to_string()),
            }
        }
    }
}

/// One line: the logits of all, then the rounds.
fn measure(plan: &Plan, test: Test, lanes: &mut [Lane]) -> Measured {
    let mut speeds: Vec<Speed> = lanes.iter().map(|lane| Speed::of(lane, test)).collect();
    let mut ours = None;
    for (at, (lane, speed)) in lanes.iter_mut().zip(&mut speeds).enumerate() {
        let answer = lane.time(&test.schedule(lane.vocabulary, plan.seed));
        match (answer, &ours) {
            (Err(exit), _) => speed.lose(lane, &exit),
            (Ok(answer), None) if at == 0 => ours = Some(answer.rows),
            (Ok(_), None) => {
                speed.logits = Logits::Lost {
                    why: format!("{}: the engine has no logits beside these", lane.name),
                };
            }
            (Ok(answer), Some(ours)) => {
                speed.logits = if lane.likeliest {
                    Logits::likeliest(&answer.rows, ours, lane.vocabulary)
                } else {
                    Logits::between(lane.computes_same_bits, &answer.rows, ours)
                };
            }
        }
    }
    let mut rooflines = Vec::new();
    let busy = Busy::begin();
    let kernel = lanes[0].kernel;
    for _ in 0..plan.rounds {
        for forth in [true, false] {
            rooflines.push(Roofline::measure(test.n_threads, kernel));
            let mut pairs: Vec<_> = lanes.iter_mut().zip(&mut speeds).collect();
            if !forth {
                pairs.reverse();
            }
            for (lane, speed) in pairs.into_iter().filter(|(_, speed)| speed.counts()) {
                match lane.time(&test.schedule(lane.vocabulary, plan.seed)) {
                    Ok(timing) => speed.samples_ts.push(test.rate(&timing)),
                    Err(exit) => speed.lose(lane, &exit),
                }
            }
        }
    }
    Measured::new(test, speeds, Roofline::most(&rooflines), busy.end())
}

impl Build {
    fn add(&mut self, first: &Timing, after: &Timing) {
        let begun = first.cost.load + first.cost.begin;
        let first_token = begun + first.cost.feeds.iter().sum::<std::time::Duration>();
        self.load_ms.push(first.cost.load.as_secs_f64() * 1e3);
        self.first_token_ms.push(first_token.as_secs_f64() * 1e3);
        self.resident_mb.push(after.cost.resident as f64 / 1e6);
    }
}

impl Speed {
    fn lose(&mut self, lane: &Lane, exit: &WorkerExit) {
        let name = &lane.name;
        self.logits = Logits::Lost {
            why: format!("{name}: {exit}"),
        };
    }
}
