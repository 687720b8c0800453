//! Single products beside what the machine allows: every format in every order of sums with every
//! instruction set, each shown in the same run to give the bits of the scalar one.

mod weights;

use std::collections::{HashMap, HashSet};
use std::hint::black_box;
use std::time::{Duration, Instant};

use engine::flavor::Shape;
use engine::format::{FORMATS, Format, Product};
use engine::kernels::gemm::Gemm;
use engine::kernels::{BlockOrder, Kernel, limits};
use engine::numerics::{Profile, arithmetic};
use serde::Serialize;

use weights::BEYOND_CACHES;
pub use weights::{Candidate, Weights};

use super::roofline::Roofline;
use crate::file::provenance::Machine;
use crate::io::table::{Table, number, words};
use crate::judge::outcome::Outcome;
use crate::numbers::split_mix::SplitMix64;

/// A sample takes at least so long, all samples of a product at least so long.
const SAMPLE: Duration = Duration::from_millis(2);
const SAMPLES: Duration = Duration::from_millis(100);

/// What is timed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Names of formats; none for all.
    pub formats: Vec<String>,
    /// Rows and columns of the matrix.
    pub shape: Shape,
    /// Numbers of tokens that are computed together.
    pub tokens: Vec<usize>,
    /// Makes the weights and the activations.
    pub seed: u64,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Grows with every change of the fields.
    pub schema_version: u32,
    /// What it comes to.
    pub outcome: Outcome,
    /// Where it was measured.
    pub machine: Machine,
    /// Rows of the matrix.
    pub rows: usize,
    /// Its columns.
    pub cols: usize,
    /// What one thread can do with each instruction set.
    pub limits: Vec<Limit>,
    /// Product by product.
    pub products: Vec<Speed>,
}

/// What one thread can do with an instruction set.
#[derive(Debug, Clone, Serialize)]
pub struct Limit {
    /// Which.
    pub kernel: &'static str,
    /// How much.
    #[serde(flatten)]
    pub roofline: Roofline,
}

/// One product with some tokens.
#[derive(Debug, Clone, Serialize)]
pub struct Speed {
    /// As receipts call it.
    pub name: String,
    /// The profile whose order it keeps.
    pub profile: &'static str,
    /// Tokens that are computed together.
    pub tokens: usize,
    /// Outputs that were compared with the scalar kernel's.
    pub values: usize,
    /// How many of them differ.
    pub differing: usize,
    /// Its speed, unless an output differs.
    #[serde(flatten)]
    pub speed: Option<Measured>,
}

/// A speed, and how much of what is possible it is.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Measured {
    /// Stored bytes, in billions a second.
    pub gb_per_s: f64,
    /// Products of an element with an activation, in billions a second.
    pub gmac_per_s: f64,
    /// Share of the streaming read.
    pub of_stream: f64,
    /// Share of the int8 products that registers allow, where activations are int8.
    pub of_int8: Option<f64>,
    /// How many times as fast as plain Rust it is, in the same order with as many tokens.
    pub times_scalar: f64,
}

/// Every product of the plan; `done` hears of each format.
pub fn run(plan: &Plan, done: &mut dyn FnMut()) -> Result<Report, String> {
    let chosen = chosen(&plan.formats, plan.shape)?;
    let limits: Vec<Limit> = Kernel::available().into_iter().map(limit).collect();
    let mut products = Vec::new();
    for format in chosen {
        let copies = Weights::random(format, plan.shape, plan.seed)?;
        for profile in profiles(format) {
            let oracle = &mut copies.candidate(profile, Kernel::Scalar);
            let mut seen: HashSet<String> = products.iter().map(key).collect();
            let mut plain = HashMap::new();
            for kernel in Kernel::available() {
                let mut candidate = copies.candidate(profile, kernel);
                if seen.insert(format!("{} {}", candidate.name, profile.name())) {
                    for &tokens in &plan.tokens {
                        let limit = limits.iter().find(|limit| limit.kernel == kernel.name());
                        let limit = limit.expect("one for each").roofline;
                        let mut one = time(&mut candidate, oracle, &copies, tokens, plan, limit);
                        if let Some(speed) = &mut one.speed {
                            // The scalar kernel comes first.
                            let plain = plain.entry(tokens).or_insert(speed.gmac_per_s);
                            speed.times_scalar = speed.gmac_per_s / *plain;
                        }
                        products.push(one);
                    }
                }
            }
        }
        done();
    }
    Ok(Report::new(plan.shape, limits, products))
}

fn key(speed: &Speed) -> String {
    format!("{} {}", speed.name, speed.profile)
}

/// Those that were named, or all that can hold such a matrix: some have tables for a few shapes.
fn chosen(names: &[String], shape: Shape) -> Result<Vec<&'static Format>, String> {
    let holds = |format: &&Format| format.bytes_needed(shape).is_some();
    if names.is_empty() {
        return Ok(FORMATS.into_iter().filter(holds).collect());
    }
    let named = |name: &String| {
        let known = || FORMATS.map(|format| format.name).join(", ");
        let format = Format::named(name)
            .ok_or_else(|| format!("no format is called {name:?}; there are {}", known()))?;
        let fitting = Some(format).filter(holds);
        fitting.ok_or_else(|| format!("{name} holds no such matrix; see --matrix"))
    };
    names.iter().map(named).collect()
}

/// One for each order there is: of the blocks for formats with kernels of their own.
fn profiles(format: &Format) -> Vec<Profile> {
    if matches!(format.product, Product::Floats(_) | Product::Decoded) {
        return Profile::ALL.to_vec();
    }
    let of = |order: BlockOrder| {
        let keeps = |profile: &Profile| arithmetic(*profile, Kernel::Scalar).block_order() == order;
        let mut all = Profile::ALL.into_iter();
        all.find(keeps).expect("a profile for every order")
    };
    let names = |profile: &Profile| {
        let order = arithmetic(*profile, Kernel::Scalar).block_order();
        format.gemm(order, Kernel::Scalar).map(Gemm::name)
    };
    let mut profiles = BlockOrder::ALL.map(of).to_vec();
    // Where every order has the same product there is one.
    profiles.dedup_by_key(|profile| names(profile));
    profiles
}

/// As the products are timed: what disturbs the machine hits both alike.
fn limit(kernel: Kernel) -> Limit {
    const PORTION: usize = 1 << 20;
    const ROUNDS: u64 = 1 << 12;
    let bytes = vec![1_u8; 4 * BEYOND_CACHES];
    let portions: Vec<&[u8]> = bytes.chunks(PORTION).collect();
    let streamed = shortest(portions.len(), |copy| {
        black_box(limits::stream(kernel, portions[copy]));
    });
    let mut products = 0;
    let multiplied = shortest(1, |_| products = limits::int8_products(kernel, ROUNDS));
    Limit {
        kernel: kernel.name(),
        roofline: Roofline {
            stream_gb_per_s: PORTION as f64 / streamed / 1e9,
            int8_gmac_per_s: products as f64 / multiplied / 1e9,
        },
    }
}

/// Compares the outputs with the oracle's, and times them where they are the same.
pub fn time(
    candidate: &mut Candidate,
    oracle: &mut Candidate,
    weights: &Weights,
    tokens: usize,
    plan: &Plan,
    limit: Roofline,
) -> Speed {
    let mut dice = SplitMix64(plan.seed ^ tokens as u64);
    let plain = (0..tokens * plan.shape.cols).map(|_| dice.signed_unit());
    let plain: Vec<f32> = plain.collect();
    let expected = (oracle.compute)(0, &plain);
    let found = (candidate.compute)(0, &plain);
    let pairs = expected.iter().zip(&found);
    let equal = pairs.filter(|(a, b)| a.to_bits() == b.to_bits()).count();
    let differing = expected.len().max(found.len()) - equal;
    let mut speed = Speed {
        name: candidate.name.clone(),
        profile: candidate.profile.name(),
        tokens,
        values: expected.len(),
        differing,
        speed: None,
    };
    if differing == 0 {
        let seconds = shortest(weights.count(), |copy| {
            black_box((candidate.compute)(copy, &plain));
        });
        let gb_per_s = weights.bytes as f64 / seconds / 1e9;
        let products = plan.shape.rows * plan.shape.cols * tokens;
        let gmac_per_s = products as f64 / seconds / 1e9;
        let of_int8 = gmac_per_s / limit.int8_gmac_per_s;
        speed.speed = Some(Measured {
            gb_per_s,
            gmac_per_s,
            of_stream: gb_per_s / limit.stream_gb_per_s,
            of_int8: candidate.integer.then_some(of_int8),
            times_scalar: 1.0,
        });
    }
    speed
}

/// Seconds of one call in the fastest sample: what disturbs the others is not the product.
fn shortest(copies: usize, mut call: impl FnMut(usize)) -> f64 {
    let (began, mut shortest, mut copy) = (Instant::now(), f64::INFINITY, 0);
    while began.elapsed() < SAMPLES {
        let (sample, mut calls) = (Instant::now(), 0);
        while sample.elapsed() < SAMPLE {
            call(copy % copies);
            copy += 1;
            calls += 1;
        }
        shortest = shortest.min(sample.elapsed().as_secs_f64() / f64::from(calls));
    }
    shortest
}

impl Report {
    /// What it comes to: a product with other bits than the scalar one is a divergence.
    pub fn new(shape: Shape, limits: Vec<Limit>, products: Vec<Speed>) -> Self {
        let wrong = products.iter().any(|product| product.differing > 0);
        let outcome = if wrong {
            Outcome::Divergence
        } else {
            Outcome::RustOnly
        };
        Report {
            schema_version: 2,
            outcome,
            machine: Machine::here(),
            rows: shape.rows,
            cols: shape.cols,
            limits,
            products,
        }
    }

    /// For a person, on a terminal of that width.
    pub fn render(&self, width: Option<usize>) -> String {
        let mut table = Table::new(&[
            words("product"),
            words("order of"),
            number("tokens"),
            number("GB/s"),
            number("of stream"),
            number("GMAC/s"),
            number("of int8"),
            number("scalar"),
            words("beside the scalar one"),
        ]);
        for one in &self.products {
            table.row(row(one));
        }
        let mut text = format!(
            "{}, one thread, {} rows of {}\n\n{}\n",
            self.machine.processor,
            self.rows,
            self.cols,
            table.render(width)
        );
        for limit in &self.limits {
            let Roofline {
                stream_gb_per_s: stream,
                int8_gmac_per_s: int8,
            } = limit.roofline;
            let kernel = limit.kernel;
            text += &format!("{kernel}: stream {stream:.1} GB/s, int8 {int8:.0} GMAC/s\n");
        }
        text + self.outcome.name() + "\n"
    }
}

fn row(one: &Speed) -> [String; 9] {
    let shown = |number: fn(&Measured) -> Option<f64>, digits: usize, unit: &str| {
        let number = one.speed.as_ref().and_then(number);
        number.map_or("-".into(), |number| format!("{number:.digits$}{unit}"))
    };
    let bits = match one.differing {
        0 => format!("same bits ({})", one.values),
        some => format!("{some} of {} differ: has no speed", one.values),
    };
    [
        one.name.clone(),
        one.profile.to_owned(),
        one.tokens.to_string(),
        shown(|speed| Some(speed.gb_per_s), 2, ""),
        shown(|speed| Some(100.0 * speed.of_stream), 0, " %"),
        shown(|speed| Some(speed.gmac_per_s), 1, ""),
        shown(|speed| Some(100.0 * speed.of_int8?), 0, " %"),
        shown(|speed| Some(speed.times_scalar), 1, "×"),
        bits,
    ]
}
