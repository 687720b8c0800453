//! Every ternary product of somebody's run checked without computing it again (Freivalds).
//!
//! A ternary product adds whole numbers and scales their sum once, so the sums y can be taken back
//! out of its outputs. For a random v the equation v·y = (v·W)·x, modulo the prime 2⁶¹ − 1, holds
//! where y = W·x, and where it is not with a probability of 2⁻⁶¹. v·W is computed once a matrix;
//! then a product costs its inputs and outputs, and no weight is read again. Only where the
//! equation fails are the rows computed, to name the one that is wrong.

mod challenge;
mod sums;
pub mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::{Duration, Instant};

use engine::Model;
use engine::flavor::i2_s_p128::width;
use engine::flavor::{Shape, i2_s};
use engine::kernels::activation::{BLOCK, quantise_row};
use engine::kernels::gemm::{Form, Stored};
use engine::kernels::{BlockOrder, Kernel};
use engine::matrix::{Matrix, Packed};
use engine::numerics::Profile;
use serde::Serialize;

use self::challenge::Challenge;
use self::sums::{NoSum, recover};
use crate::case::coverage::Count;
use crate::case::observation::{Identity, TracedNode};
use crate::io::threads::parallel_map;
use crate::judge::outcome::Outcome;
use crate::numbers::split_mix::SplitMix64;
use crate::runner::anatomy;

/// Of the prime 2⁶¹ − 1.
const BITS: u32 = 61;

/// One product of a run: some positions times one matrix.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Product {
    /// The node that holds its outputs.
    pub node: String,
    /// The matrix.
    pub tensor: String,
    /// Positions that were multiplied.
    pub positions: usize,
    /// Multiplications that were not repeated.
    pub multiplications: u64,
    /// What was found.
    pub verdict: Verdict,
}

/// What is known of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", content = "why", rename_all = "snake_case")]
pub enum Verdict {
    /// Every sum is the matrix times the activations.
    Right,
    /// One is not, and which.
    Wrong(String),
    /// Nothing can be said, and why.
    Unverifiable(String),
}

/// Everything found about one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verified {
    /// Who computed.
    pub by: Identity,
    /// Makes the random vectors.
    pub seed: u64,
    /// Its products with weights, in the order of the pass.
    pub products: Vec<Product>,
    /// Those that were there and those that were checked.
    pub coverage: Count,
    /// Products of other weights, by their format: sums of floats, which have no equation.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sums_of_floats: BTreeMap<&'static str, usize>,
    /// Preparing the matrices took so long, once a model.
    pub preparing_s: f64,
    /// Checking took so long.
    pub checking_s: f64,
}

impl Verified {
    /// What it comes to.
    pub fn outcome(&self) -> Outcome {
        let wrong = |p: &Product| matches!(p.verdict, Verdict::Wrong(_));
        if self.products.iter().any(wrong) {
            Outcome::Divergence
        } else if !self.coverage.is_complete() {
            Outcome::Incomplete
        } else {
            Outcome::Ok
        }
    }
}

/// A product with weights among the nodes of a run.
struct Multiplied {
    at: usize,
    tensor: String,
    /// The node that was multiplied, if it is shown.
    input: Option<usize>,
}

/// All of them.
fn multiplied(nodes: &[TracedNode]) -> impl Iterator<Item = Multiplied> + '_ {
    (0..nodes.len()).filter_map(|at| {
        let (tensor, input) = anatomy::multiplies(nodes, at)?;
        Some(Multiplied { at, tensor, input })
    })
}

/// What is known of a matrix before anything is multiplied with it.
enum Prepared {
    /// Products with it are whole numbers under one scale.
    Ternary(Packed, Challenge<BITS>),
    /// They are sums of floats; the name of its format.
    Floats(&'static str),
    /// It cannot be read, and why.
    Unreadable(String),
}

/// A model's matrices, each prepared when a run first multiplies with it.
pub struct Verifier<'m> {
    model: &'m Model,
    seed: u64,
    prepared: BTreeMap<String, Prepared>,
}

impl<'m> Verifier<'m> {
    /// Nothing is prepared so far. Whoever computes must not know the seed beforehand.
    pub fn new(model: &'m Model, seed: u64) -> Self {
        Verifier {
            model,
            seed,
            prepared: BTreeMap::new(),
        }
    }

    /// Checks every ternary product among the nodes of a run; `Err` where nothing can be said.
    pub fn verify(&mut self, by: Identity, nodes: &[TracedNode]) -> Result<Verified, String> {
        if Profile::from_name(&by.profile).is_none() {
            let why = "makes activations of its own, which are not known here";
            return Err(format!("{} {why}", by.profile));
        }
        let began = Instant::now();
        let found: Vec<Multiplied> = multiplied(nodes).collect();
        self.prepare(&found);
        let preparing = began.elapsed();
        let mut sums_of_floats = BTreeMap::new();
        for Multiplied { tensor, .. } in &found {
            if let Prepared::Floats(format) = self.prepared[tensor] {
                *sums_of_floats.entry(format).or_default() += 1;
            }
        }
        let judge = |at: usize| Ok::<_, Infallible>(self.product(nodes, &found[at]));
        let Ok(products) = parallel_map(found.len(), judge);
        let products: Vec<Product> = products.into_iter().flatten().collect();
        if products.is_empty() {
            let formats: Vec<&str> = sums_of_floats.keys().copied().collect();
            let why = "no ternary product is there; products of other formats, which are sums of \
                       floats:";
            return Err(format!("{why} {}", formats.join(", ")));
        }
        let settled = |p: &&Product| !matches!(p.verdict, Verdict::Unverifiable(_));
        let seconds = |time: Duration| time.as_secs_f64();
        Ok(Verified {
            by,
            seed: self.seed,
            coverage: Count {
                declared: products.len(),
                compared: products.iter().filter(settled).count(),
            },
            products,
            sums_of_floats,
            preparing_s: seconds(preparing),
            checking_s: seconds(began.elapsed() - preparing),
        })
    }

    /// Takes every matrix in that was not seen before.
    fn prepare(&mut self, found: &[Multiplied]) {
        let names: BTreeSet<&String> = found.iter().map(|product| &product.tensor).collect();
        let new = names
            .into_iter()
            .filter(|name| !self.prepared.contains_key(*name));
        let new: Vec<String> = new.cloned().collect();
        let prepare = |at: usize| Ok::<_, Infallible>(self.matrix(&new[at]));
        let Ok(prepared) = parallel_map(new.len(), prepare);
        self.prepared.extend(new.into_iter().zip(prepared));
    }

    fn matrix(&self, name: &str) -> Prepared {
        self.challenged(name).unwrap_or_else(Prepared::Unreadable)
    }

    fn challenged(&self, name: &str) -> Result<Prepared, String> {
        let gguf = self.model.gguf();
        let tensor = gguf
            .tensors
            .get(name)
            .ok_or("the model has no such tensor")?;
        let mut decided = self.model.detections().iter();
        let flavor = decided.find(|(tensor, _)| tensor == name);
        let flavor = flavor.map(|(_, detection)| detection.flavor);
        let matrix = Matrix::from_tensor(gguf, tensor, flavor, Kernel::Scalar);
        let matrix = matrix.map_err(|e| e.to_string())?;
        let encoding = matrix.encoding();
        let Matrix::Packed(packed) = matrix else {
            return Ok(Prepared::Floats(encoding));
        };
        if packed.gemm(BlockOrder::ALL[0]).form() != Form::Int8 {
            return Ok(Prepared::Floats(encoding));
        }
        // Each matrix has a vector of its own.
        let place = gguf.tensors.iter().position(|t| t.name == name);
        let mut dice = SplitMix64(self.seed.wrapping_add(place.unwrap_or(0) as u64));
        let mut dice = SplitMix64(dice.bits());
        let challenge = Challenge::new(packed.stored(), &mut dice);
        Ok(Prepared::Ternary(packed, challenge))
    }

    /// What is found of a product; nothing if its sums are of floats.
    fn product(&self, nodes: &[TracedNode], product: &Multiplied) -> Option<Product> {
        let Multiplied { at, tensor, input } = product;
        let output = &nodes[*at];
        let found = |verdict, positions: usize, each: usize| Product {
            node: output.key.clone(),
            tensor: tensor.clone(),
            positions,
            multiplications: positions as u64 * each as u64,
            verdict,
        };
        let unknown = |why: String| Some(found(Verdict::Unverifiable(why), 0, 0));
        let (weights, challenge) = match &self.prepared[tensor] {
            Prepared::Ternary(packed, challenge) => (packed.stored(), challenge),
            Prepared::Floats(_) => return None,
            Prepared::Unreadable(why) => return unknown(why.clone()),
        };
        let Some(input) = input.map(|at| &nodes[at]) else {
            return unknown("the run does not show what it multiplied".into());
        };
        let Shape { rows, cols } = weights.shape;
        let positions = output.values.len() / rows;
        if [positions * cols, positions * rows] != [input, output].map(|n| n.values.len()) {
            let [had, has] = [&input.shape, &output.shape];
            return unknown(format!(
                "{had:?} became {has:?} by a matrix of {rows} by {cols}"
            ));
        }
        let pairs = input
            .values
            .chunks_exact(cols)
            .zip(output.values.chunks_exact(rows));
        let verdicts = pairs.map(|(x, y)| judge(weights, challenge, x, y));
        // What is wrong is wrong, whatever else cannot be told.
        let mut worst = Verdict::Right;
        for (position, found) in verdicts.enumerate() {
            match (&worst, found) {
                (Verdict::Wrong(_), _) | (_, Verdict::Right) => {}
                (_, Verdict::Wrong(why)) => {
                    worst = Verdict::Wrong(format!("position {position}, {why}"));
                }
                (Verdict::Unverifiable(_), _) => {}
                (_, Verdict::Unverifiable(why)) => {
                    worst = Verdict::Unverifiable(format!("position {position}, {why}"));
                }
            }
        }
        Some(found(worst, positions, rows * cols))
    }
}

/// Checks the product of a matrix with the activations of one position.
fn judge(weights: &Stored, challenge: &Challenge<BITS>, x: &[f32], y: &[f32]) -> Verdict {
    let mut codes = vec![0; x.len().next_multiple_of(BLOCK)];
    let activation = quantise_row(x, &mut codes);
    let scale = weights.scales[0];
    let mut sums = Vec::with_capacity(y.len());
    for (row, &out) in y.iter().enumerate() {
        match recover(out, activation, scale) {
            Ok(sum) => sums.push(sum),
            Err(NoSum::Ambiguous) => {
                let why = format!("more than one sum becomes {out:e}");
                return Verdict::Unverifiable(format!("row {row}: {why}"));
            }
            Err(NoSum::Impossible) => {
                let expected = expected(weights, row, &codes);
                let why = format!("no sum becomes {out:e}; it must be that of {expected}");
                return Verdict::Wrong(format!("row {row}: {why}"));
            }
        }
    }
    if challenge.holds(&codes, &sums) {
        return Verdict::Right;
    }
    let mut rows = sums.iter().enumerate();
    let wrong = rows.find_map(|(row, &sum)| {
        let expected = expected(weights, row, &codes);
        (sum != expected).then(|| format!("row {row}: the sum is {sum}, must be {expected}"))
    });
    Verdict::Wrong(wrong.expect("where every sum is right the equation holds"))
}

/// The sum of a row, computed.
fn expected(weights: &Stored, row: usize, codes: &[i8]) -> i32 {
    let shape = Shape {
        cols: codes.len(),
        ..weights.shape
    };
    let code = |col| i2_s::code(&weights.bytes, shape, row, col, width);
    let terms = codes.iter().enumerate();
    terms
        .map(|(col, &x)| (i32::from(code(col)) - 1) * i32::from(x))
        .sum()
}
