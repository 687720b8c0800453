//! Which module causes what: one module of one side put into the other side's run, and the
//! divergence of the logits that it alone causes.
//!
//! A module's two versions are the reference's and the engine's, both on the reference's own
//! inputs. Whatever comes before it is the reference's; whatever comes after it is computed by
//! whoever the run belongs to. In the reference's run its output is replaced by the engine's; in
//! the engine's run, which recordings suffice for, it is the reference's that is put in.
//!
//! Three controls go with every module. Its own values put back must leave every bit of the logits
//! alone, else the run certifies nothing. A module whose two versions are the same is swapped all
//! the same, by that control. And noise of the error's own size says whether the error is an
//! ordinary one: only what does much more than noise points somewhere.

pub mod effect;
pub mod modules;
pub mod noise;
pub mod run;
pub mod table;

use serde::Serialize;

use crate::case::observation::{Identity, TracedNode};
use crate::exit::{Exit, Failure};
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::local::Rung;
use crate::judge::tolerance::tolerances;
use crate::numbers::gap::Gap;
use crate::numbers::metrics::same_bits;
use crate::numbers::split_mix::SplitMix64;
use crate::numbers::statistics::mean;
use effect::Effect;
use modules::{Depth, Module};
use run::{Run, Whose};

/// Draws of noise for each module.
const DRAWS: usize = 3;

/// The two versions of every module, and what the two sides end with on their own.
pub struct Sides {
    /// Who the reference is.
    pub reference: Identity,
    /// The order of the engine's float operations.
    pub profile: &'static str,
    /// How large a module is.
    pub depth: Depth,
    /// The modules, in the order of a pass.
    pub modules: Vec<Module>,
    /// What leaves each of them in the reference's own run.
    pub theirs: Vec<TracedNode>,
    /// What the engine's version makes of the reference's inputs.
    pub ours: Vec<TracedNode>,
    /// The logits of the reference's own run, and of the engine's own.
    pub logits: [Vec<f32>; 2],
    /// Length of a row of logits.
    pub vocab_size: usize,
}

/// One module, swapped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Which.
    #[serde(flatten)]
    pub module: Module,
    /// Between its two versions' outputs.
    pub error: Gap,
    /// What swapping it alone does to the logits.
    pub effect: Effect,
    /// The mean KL that noise of the error's size causes; none if there is no error, or it is so
    /// small that such noise rounds away.
    pub noise: Option<f64>,
    /// How many times the KL of the noise the error's is.
    pub beyond_noise: Option<f64>,
    /// Its part of the sum over all modules.
    pub share: Option<f64>,
    /// Its place among those that have an effect, from 1.
    pub rank: Option<usize>,
}

/// The module that is wrong, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Named {
    /// Which.
    pub module: String,
    /// A sentence.
    pub because: String,
}

/// Everything found in one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attribution {
    /// Who the reference is; the entry that this belongs to says it in JSON.
    #[serde(skip)]
    pub reference: Identity,
    /// The order of the engine's float operations.
    pub profile: &'static str,
    /// Whose run the modules were put into.
    pub run: Whose,
    /// How large a module is.
    pub depth: Depth,
    /// What the two versions of a module are held against.
    pub rung: Rung,
    /// The modules, in the order of a pass.
    pub rows: Vec<Row>,
    /// The sum of the modules' mean KLs; none if one has none.
    pub sum: Option<f64>,
    /// Between the reference's own logits and the engine's own.
    pub full: Effect,
    /// The sum in units of the full KL; none if that is 0.
    pub additivity: Option<f64>,
    /// Modules whose own values were put back and changed no bit: all of them.
    pub controls: usize,
    /// What decides the noise.
    pub seed: u64,
    /// The module that is wrong, if one is.
    pub named: Option<Named>,
}

impl Attribution {
    /// What it comes to.
    pub fn outcome(&self) -> Outcome {
        if self.named.is_some() {
            Outcome::Divergence
        } else {
            Outcome::Ok
        }
    }
}

/// Puts every module alone into `run`; `done` is called after each.
pub fn attribute(
    sides: &Sides,
    run: &mut Run<'_>,
    seed: u64,
    mut done: impl FnMut(),
) -> Result<Attribution, Failure> {
    let mut random = SplitMix64(seed);
    let mut rows = Vec::new();
    for at in 0..sides.modules.len() {
        rows.push(swap(sides, run, at, &mut random)?);
        done();
    }
    let rung = Rung::between(&sides.reference.profile, sides.profile);
    let sum: Option<f64> = rows.iter().map(|row| row.effect.kl_mean).sum();
    rank(&mut rows, sum);
    let [theirs, ours] = &sides.logits;
    let full = Effect::between(sides.vocab_size, theirs, ours);
    let parts = sum.zip(full.kl_mean.filter(|&kl| kl > 0.0));
    Ok(Attribution {
        reference: sides.reference.clone(),
        profile: sides.profile,
        run: run.whose(),
        depth: sides.depth,
        rung,
        controls: rows.len(),
        named: name(&rows, rung),
        additivity: parts.map(|(sum, full)| sum / full),
        rows,
        sum,
        full,
        seed,
    })
}

fn swap(
    sides: &Sides,
    run: &mut Run<'_>,
    at: usize,
    random: &mut SplitMix64,
) -> Result<Row, Failure> {
    let (theirs, ours) = (&sides.theirs[at], &sides.ours[at]);
    let (own, other) = match run.whose() {
        Whose::Reference => (theirs, ours),
        Whose::Engine => (ours, theirs),
    };
    let between = |theirs: &[f32], ours: &[f32]| Effect::between(sides.vocab_size, theirs, ours);
    let alone = run.alone(at)?;
    let put_back = run.given(at, &own.values)?;
    if !same_bits(&alone, &put_back) {
        return Err(unsteady(&sides.modules[at], &between(&alone, &put_back)));
    }
    let error = Gap::between(&theirs.values, &ours.values);
    let (mut effect, mut noise) = (between(&alone, &put_back), None);
    if !error.is_identical() {
        let swapped = run.given(at, &other.values)?;
        effect = match run.whose() {
            Whose::Reference => between(&alone, &swapped),
            Whose::Engine => between(&swapped, &alone),
        };
        let width = own.shape.last().copied().unwrap_or(1);
        let mut draws = Vec::new();
        for _ in 0..DRAWS {
            let noisy = noise::around(&own.values, &other.values, width, random);
            let noisy = noisy.map(|noisy| run.given(at, &noisy)).transpose()?;
            draws.push(noisy.and_then(|noisy| between(&alone, &noisy).kl_mean));
        }
        let draws: Option<Vec<f64>> = draws.into_iter().collect();
        noise = draws.and_then(|draws| mean(&draws)).filter(|&kl| kl > 0.0);
    }
    let beyond_noise = effect.kl_mean.zip(noise).map(|(kl, noise)| kl / noise);
    Ok(Row {
        module: sides.modules[at].clone(),
        error,
        effect,
        noise,
        beyond_noise,
        share: None,
        rank: None,
    })
}

/// A run that its own values change says nothing about anybody's.
fn unsteady(module: &Module, effect: &Effect) -> Failure {
    let kl = effect.kl_mean;
    let kl = kl.map_or("no number".into(), |kl| format!("{kl:e}"));
    let (name, output, differing) = (&module.name, &module.output, effect.differing);
    let message = format!(
        "UNSTEADY: {name}: its own values put back at {output} changed {differing} logits \
         (KL {kl}, which must be exactly 0): this run certifies nothing"
    );
    Failure::new(Exit::Incomplete, message)
}

fn rank(rows: &mut [Row], sum: Option<f64>) {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.retain(|&i| !rows[i].effect.is_identical());
    order.sort_by(|&a, &b| rows[b].effect.weight().total_cmp(&rows[a].effect.weight()));
    for (rank, &i) in order.iter().enumerate() {
        rows[i].rank = Some(rank + 1);
    }
    for row in rows {
        let part = row.effect.kl_mean.zip(sum.filter(|&sum| sum > 0.0));
        row.share = part.map(|(kl, sum)| kl / sum);
    }
}

/// The module that causes most, among those that cause more than they may.
fn name(rows: &[Row], rung: Rung) -> Option<Named> {
    let guilty = rows.iter().filter(|row| is_guilty(row, rung));
    // The first of equals: what comes after it may only suffer from it.
    let heavier = |row: &Row, than: &Row| row.effect.weight() > than.effect.weight();
    let worst = guilty.reduce(|worst, row| if heavier(row, worst) { row } else { worst })?;
    let output = &worst.module.output;
    let causes = match worst.effect.kl_mean {
        _ if worst.effect.is_identical() => "no logit shows it".into(),
        Some(kl) => format!("alone it causes a KL of {kl:.1e} a position"),
        None => "alone it makes logits that are no numbers".into(),
    };
    let limit = match rung {
        Rung::Bits => "in the same arithmetic every bit must be equal".to_owned(),
        _ => "more than two arithmetics are apart".to_owned(),
    };
    Some(Named {
        module: worst.module.name.clone(),
        because: format!(
            "{causes}, {} values differ at {output}; {limit}",
            worst.error.differing
        ),
    })
}

/// In the same arithmetic no bit may differ. Between two that sum in single precision, a module
/// alone may do no more than two builds of the reference do that differ in all modules. Sums in
/// half precision have no such limit: they are measured.
fn is_guilty(row: &Row, rung: Rung) -> bool {
    let limits = &tolerances().operation;
    let beyond = |found: Option<f64>, most: f64| found.is_none_or(|found| found > most);
    match rung {
        Rung::Bits => !row.error.is_identical(),
        Rung::OtherOrder => {
            beyond(row.effect.nmse_median, limits.module_median)
                || beyond(row.effect.nmse_max, limits.layer_nmse)
        }
        Rung::HalfSums | Rung::Unmeasured => false,
    }
}
