//! What a relation asks for: a model file that must compute the same, what it is measured
//! against, and a one-sided edit that must not.

use engine::config::Config;

use crate::file::document::{Document, Format, Grid, Uneditable};
use crate::numbers::split_mix::SplitMix64;

/// A model in which something may be renamed.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// The file.
    pub document: Document,
    /// The old token in the place of each, where the rows of the logits moved.
    pub columns: Option<Vec<usize>>,
    /// The new token in the place of each old one, where the prompt has to be renamed.
    pub tokens: Option<Vec<usize>>,
}

/// A relation about one model file.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Must compute the same; the reason where the model has nothing it could be said of.
    pub edited: Result<Rewrite, String>,
    /// What `edited` and `control` are measured against, if not the model itself.
    pub against: Option<Document>,
    /// Must compute something else.
    pub control: Rewrite,
}

/// A model file with what is known about it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The file.
    pub document: &'a Document,
    /// Its hyper-parameters.
    pub config: &'a Config,
}

/// An edit the file does not allow, or that would say nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotApplicable(pub String);

impl From<Uneditable> for NotApplicable {
    fn from(uneditable: Uneditable) -> Self {
        NotApplicable(uneditable.to_string())
    }
}

impl Rewrite {
    /// A file that means the same tokens.
    pub fn of(document: Document) -> Self {
        Rewrite {
            document,
            columns: None,
            tokens: None,
        }
    }
}

/// What is done to a part of a layer.
#[derive(Clone, Copy)]
pub(super) enum Change<'a> {
    /// Negates outputs, with their bias.
    Negate(&'a dyn Fn(usize) -> bool),
    /// Negates all outputs, but not the bias.
    NegateWeights,
    /// Negates what these inputs are multiplied by.
    NegateInputs(&'a dyn Fn(usize) -> bool),
    /// Puts output `order[i]` in the place of output `i`, with its bias; of a norm its gains.
    Permute(&'a [usize]),
    /// Puts input `order[i]` in the place of input `i`.
    PermuteInputs(&'a [usize]),
    /// Multiplies the outputs.
    Scale(f32),
    /// Makes it compute nothing.
    Clear,
}

impl Change<'_> {
    /// Changes one layer. A bias or a norm that the architecture does not have stays away.
    pub fn apply(self, to: &mut Document, layer: usize, part: &str) -> Result<(), Uneditable> {
        let [weight, bias] = names(layer, part);
        let has_bias = to.tensor(&bias).is_some();
        let mut edit = |edit: &dyn Fn(&mut Grid), edit_bias: &dyn Fn(&mut Grid)| {
            to.edit(&weight, edit)?;
            if has_bias {
                to.edit(&bias, edit_bias)?;
            }
            Ok(())
        };
        match self {
            Change::Negate(wanted) => edit(&|g| g.negate_rows(wanted), &|g| g.negate_cols(wanted)),
            Change::NegateWeights => to.edit(&weight, |grid| grid.negate_rows(|_| true)),
            Change::NegateInputs(wanted) => to.edit(&weight, |grid| grid.negate_cols(wanted)),
            Change::Permute(order) if part.ends_with("norm") => {
                if to.tensor(&weight).is_some() {
                    to.edit(&weight, |grid| grid.permute_cols(order))?;
                }
                Ok(())
            }
            Change::Permute(order) => {
                to.permute_rows(&weight, order)?;
                if has_bias {
                    to.edit(&bias, |grid| grid.permute_cols(order))?;
                }
                Ok(())
            }
            Change::PermuteInputs(order) => to.edit(&weight, |grid| grid.permute_cols(order)),
            Change::Scale(factor) => edit(&|g| g.multiply(factor), &|g| g.multiply(factor)),
            Change::Clear => edit(&Grid::clear, &Grid::clear),
        }
    }
}

/// A part of every layer, and what is done to it.
pub(super) type PartChange<'a> = (&'static str, Change<'a>);

fn names(layer: usize, part: &str) -> [String; 2] {
    ["weight", "bias"].map(|kind| format!("blk.{layer}.{part}.{kind}"))
}

impl Subject<'_> {
    /// A copy with changes in every layer.
    pub(super) fn with(&self, changes: &[PartChange<'_>]) -> Result<Document, NotApplicable> {
        let mut document = self.document.clone();
        for (part, change) in changes {
            for layer in 0..self.config.block_count {
                change.apply(&mut document, layer, part)?;
            }
        }
        Ok(document)
    }

    /// Two sides of one edit: both together must change nothing, the first alone must.
    pub(super) fn two_sided(
        &self,
        one: &[PartChange<'_>],
        other: &[PartChange<'_>],
    ) -> Result<Plan, NotApplicable> {
        Ok(Plan {
            edited: Ok(Rewrite::of(self.with(&[one, other].concat())?)),
            against: None,
            control: Rewrite::of(self.with(one)?),
        })
    }

    /// Whether the columns of a part may change places: only sums of integers do not mind.
    pub(super) fn require_orderless(&self, part: &str) -> Result<(), NotApplicable> {
        let why = "only sums of I2_S do not depend on their order";
        self.require(part, why, Format::is_i2_s)
    }

    /// Whether the sums of parts change their sign with their weights. Those of the block formats
    /// of trits do not: they add digits of 0 to 2 in some lanes and take the offset away in
    /// others, so that the lanes round differently. Nor do those of formats with a minimum or
    /// with more codes below zero than above.
    pub(super) fn require_symmetric(&self, parts: &[&str]) -> Result<(), NotApplicable> {
        let why = "its sums do not turn round with its weights";
        let blocks = [Format::Q8_0, Format::Q6_K];
        let symmetric = |f: Format| f.is_float() || f.is_i2_s() || blocks.contains(&f);
        let mut parts = parts.iter();
        parts.try_for_each(|part| self.require(part, why, symmetric))
    }

    fn require(
        &self,
        part: &str,
        why: &str,
        allowed: impl Fn(Format) -> bool,
    ) -> Result<(), NotApplicable> {
        for layer in 0..self.config.block_count {
            let [name, _] = names(layer, part);
            let format = self.document.tensor(&name).and_then(|tensor| tensor.format);
            if !format.is_some_and(&allowed) {
                let format = format.map_or("of an unknown type", Format::name);
                return Err(NotApplicable(format!("{name} is {format}, and {why}")));
            }
        }
        Ok(())
    }
}

/// The numbers below `len`, with blocks `a` and `b` of `block` of them swapped.
pub(super) fn swapped(len: usize, block: usize, a: usize, b: usize) -> Vec<usize> {
    let partner = |i: usize| match i / block {
        at if at == a => b * block + i % block,
        at if at == b => a * block + i % block,
        _ => i,
    };
    (0..len).map(partner).collect()
}

/// A generator that every relation starts anew, so that none depends on those before it.
pub(super) fn dice() -> SplitMix64 {
    SplitMix64(0x7e57_0f5a_33e7)
}
