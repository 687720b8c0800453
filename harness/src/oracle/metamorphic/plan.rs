//! What a relation asks for: a model file that must compute the same, what it is measured
//! against, and a one-sided edit that must not.
#![forbid(unsafe_code)]

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

/// A change to a copy of the model.
pub(super) type Change<'a> = &'a dyn Fn(&mut Document) -> Result<(), Uneditable>;

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

impl Subject<'_> {
    /// A copy with changes.
    pub(super) fn with(&self, changes: &[Change<'_>]) -> Result<Document, NotApplicable> {
        let mut document = self.document.clone();
        for change in changes {
            change(&mut document)?;
        }
        Ok(document)
    }

    /// Two sides of one edit: both together must change nothing, the first alone must.
    pub(super) fn two_sided(
        &self,
        one: Change<'_>,
        other: Change<'_>,
    ) -> Result<Plan, NotApplicable> {
        Ok(Plan {
            edited: Ok(Rewrite::of(self.with(&[one, other])?)),
            against: None,
            control: Rewrite::of(self.with(&[one])?),
        })
    }

    /// The same change in every layer.
    pub(super) fn in_layers(
        &self,
        document: &mut Document,
        change: impl Fn(&mut Document, &Layer) -> Result<(), Uneditable>,
    ) -> Result<(), Uneditable> {
        (0..self.config.block_count).try_for_each(|layer| change(document, &Layer(layer)))
    }

    /// Whether the columns of a part may change places: only sums of integers do not mind.
    pub(super) fn require_orderless(&self, part: &str) -> Result<(), NotApplicable> {
        let why = "only sums of I2_S do not depend on their order";
        self.require(part, why, Format::is_i2_s)
    }

    /// Whether the sums of a part turn round with its weights. Those of the block formats of
    /// trits do not: they add digits of 0 to 2 in some lanes and take the offset away in others,
    /// so that the lanes round differently.
    pub(super) fn require_mirrored(&self, part: &str) -> Result<(), NotApplicable> {
        let why = "its sums do not turn round with its weights";
        self.require(part, why, |f| !matches!(f, Format::Tq1_0 | Format::Tq2_0))
    }

    fn require(
        &self,
        part: &str,
        why: &str,
        allowed: impl Fn(Format) -> bool,
    ) -> Result<(), NotApplicable> {
        for layer in 0..self.config.block_count {
            let name = Layer(layer).weight(part);
            let format = self.document.tensor(&name).and_then(|tensor| tensor.format);
            if !format.is_some_and(&allowed) {
                let format = format.map_or("of an unknown type", Format::name);
                return Err(NotApplicable(format!("{name} is {format}, and {why}")));
            }
        }
        Ok(())
    }
}

/// Names of one layer's tensors.
pub(super) struct Layer(pub usize);

impl Layer {
    pub fn weight(&self, part: &str) -> String {
        format!("blk.{}.{part}.weight", self.0)
    }

    fn bias(&self, part: &str) -> String {
        format!("blk.{}.{part}.bias", self.0)
    }

    /// Negates the outputs of a part, all or those that are asked for.
    pub fn negate_outputs(
        &self,
        document: &mut Document,
        part: &str,
        wanted: &dyn Fn(usize) -> bool,
    ) -> Result<(), Uneditable> {
        document.edit(&self.weight(part), |grid| grid.negate_rows(wanted))?;
        match document.tensor(&self.bias(part)).is_some() {
            true => document.edit(&self.bias(part), |grid| grid.negate_cols(wanted)),
            false => Ok(()),
        }
    }

    /// Puts output `order[i]` of a part in the place of output `i`.
    pub fn permute_outputs(
        &self,
        document: &mut Document,
        part: &str,
        order: &[usize],
    ) -> Result<(), Uneditable> {
        document.permute_rows(&self.weight(part), order)?;
        self.permute_vector(document, &self.bias(part), order)
    }

    /// Puts input `order[i]` of a part in the place of input `i`.
    pub fn permute_inputs(
        &self,
        document: &mut Document,
        part: &str,
        order: &[usize],
    ) -> Result<(), Uneditable> {
        document.edit(&self.weight(part), |grid| grid.permute_cols(order))
    }

    /// The same for the gains of a norm, where the architecture has it.
    pub fn permute_norm(
        &self,
        document: &mut Document,
        part: &str,
        order: &[usize],
    ) -> Result<(), Uneditable> {
        self.permute_vector(document, &self.weight(part), order)
    }

    /// Makes a part compute nothing.
    pub fn clear(&self, document: &mut Document, part: &str) -> Result<(), Uneditable> {
        document.edit(&self.weight(part), Grid::clear)?;
        match document.tensor(&self.bias(part)).is_some() {
            true => document.edit(&self.bias(part), Grid::clear),
            false => Ok(()),
        }
    }

    fn permute_vector(
        &self,
        document: &mut Document,
        name: &str,
        order: &[usize],
    ) -> Result<(), Uneditable> {
        match document.tensor(name).is_some() {
            true => document.edit(name, |grid| grid.permute_cols(order)),
            false => Ok(()),
        }
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
