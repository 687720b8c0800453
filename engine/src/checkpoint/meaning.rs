//! How a linear weight is meant: digits and the scale they stand under, told from the tensor, its
//! `weight_scale` and the configuration, or refused.
//!
//! Two mistakes go unnoticed elsewhere: a scale that is missing is made up, and weights that are
//! ternary already are ternarised again under another scale.

use super::content::{Cells, Content, Digit, Magnitudes};
use super::description::{ScaleRule, Ternary};
use super::tensors::{Tensor, Tensors};
use crate::encoding::float::Float;
use crate::flavor::Shape;
use crate::pool::Pool;
use crate::refusal::{Code, Refusal};

/// The scales of weights that were trained ternary are far below this.
const PLAUSIBLE: f32 = 10.0;
/// No mean is smaller: a matrix of zeros has a scale too.
const SMALLEST_MEAN: f32 = 1e-5;

/// What the user says where a checkpoint does not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said {
    /// What to do with floats.
    pub floats: Option<Floats>,
    /// What `weight_scale` does.
    pub rule: Option<ScaleRule>,
    /// The scale of digits that have none.
    pub missing_scale: Option<f32>,
}

/// What to do with linear weights that are floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floats {
    /// They are ternary: they keep their scale.
    AsIs,
    /// They become ternary under the mean of their magnitudes.
    Absmean,
}

/// A linear weight, understood.
pub struct Meant<'a> {
    /// Its cells and their scale.
    pub content: Content<'a>,
    /// In a few words.
    pub how: &'static str,
}

/// What a linear weight is asked about.
pub struct Question<'a> {
    /// All tensors.
    pub tensors: &'a Tensors,
    /// The weight.
    pub tensor: Tensor<'a>,
    /// Rows and columns of what is written.
    pub shape: Shape,
    /// See [`Content::interleave`].
    pub interleave: Option<usize>,
    /// What the configuration says.
    pub ternary: Option<Ternary>,
    /// Whether only digits can be written.
    pub to_digits: bool,
    /// What the user says.
    pub said: Said,
}

impl<'a> Question<'a> {
    /// The answer.
    pub fn answer(&self, pool: &mut Pool) -> Result<Meant<'a>, Refusal> {
        if self.tensor.dtype() == "U8" {
            return self.packed();
        }
        let float = self.tensor.float()?;
        if self.ternary.is_none() && !self.to_digits {
            return Ok(self.meant(self.floats(float, Digit::Value), 1.0, "as it is"));
        }
        let plain = self.meant(self.floats(float, Digit::Value), 1.0, "");
        let found = Magnitudes::of(&plain.content, pool)?;
        match self.stored_scale()? {
            Some(scale) => self.scaled_digits(float, found, scale),
            None => self.unscaled(float, found),
        }
    }

    /// Four digits to the byte, and a scale in a tensor of its own.
    fn packed(&self) -> Result<Meant<'a>, Refusal> {
        let scale = match (self.stored_scale()?, self.said.missing_scale) {
            (Some(scale), _) => scale,
            (None, Some(scale)) => scale,
            (None, None) => return Err(self.scale_missing()),
        };
        let tensor = self.tensor;
        Ok(self.meant(Cells::Packed { tensor }, scale, "unpacked"))
    }

    /// Floats that have a scale as well: digits, or they would be scaled twice.
    fn scaled_digits(
        &self,
        float: Float,
        found: Magnitudes,
        scale: f32,
    ) -> Result<Meant<'a>, Refusal> {
        if !found.ternary {
            return Err(self.not_ternary("digits, for it has a weight_scale"));
        }
        if found.largest != 1.0 && found.largest != 0.0 {
            let rule = "digits −1, 0 and +1, for it has a weight_scale";
            let is = format!("0 and ±{}, scaled already", found.largest);
            return Err(self.tensor.refuse(Code::TernaryTwice, "data", rule, is));
        }
        let cells = self.floats(float, Digit::Sign);
        Ok(self.meant(cells, scale, "digits and their scale"))
    }

    /// Floats alone.
    fn unscaled(&self, float: Float, found: Magnitudes) -> Result<Meant<'a>, Refusal> {
        let online = self.ternary.is_some_and(|ternary| ternary.online);
        let offline = self.ternary.is_some_and(|ternary| !ternary.online);
        let as_is = |scale, how| Ok(self.meant(self.floats(float, Digit::Sign), scale, how));
        match (found.ternary, self.said.floats) {
            (false, Some(Floats::AsIs)) => Err(self.not_ternary("0 and ±one scale, as was said")),
            (true, Some(Floats::AsIs)) => as_is(found.largest, "ternary already"),
            (_, Some(Floats::Absmean)) => Ok(self.absmean(float, found)),
            (true, None) if offline && found.largest == 1.0 => match self.said.missing_scale {
                None => Err(self.scale_missing()),
                Some(scale) => as_is(scale, "digits, their scale was said"),
            },
            (true, None) if online && found.largest > 0.0 => {
                let (scale, mean) = (found.largest, found.mean);
                let rule = "weights that are not ternary yet: they are ternarised when loaded";
                let is = format!("0 and ±{scale}; once more, the scale would be {mean}");
                let refusal = self.tensor.refuse(Code::TernaryTwice, "data", rule, is);
                Err(refusal.hint("say --ternary as-is to keep the scale, or --ternary absmean"))
            }
            (true, None) => as_is(found.largest, "ternary already"),
            (false, None) if online => Ok(self.absmean(float, found)),
            (false, None) => Err(self.not_ternary(if offline {
                "digits and their scales, as quantization_mode says"
            } else {
                "ternary weights for a ternary type"
            })),
        }
    }

    fn absmean(&self, float: Float, found: Magnitudes) -> Meant<'a> {
        let scale = found.mean.max(SMALLEST_MEAN);
        let cells = self.floats(float, Digit::Nearest(1.0 / scale));
        self.meant(cells, scale, "ternarised by the mean of its magnitudes")
    }

    /// The scale that a tensor beside this one stores.
    fn stored_scale(&self) -> Result<Option<f32>, Refusal> {
        let name = format!("{}_scale", self.tensor.name());
        let Some(tensor) = self.tensors.get(&name) else {
            return Ok(None);
        };
        let stored = scalar(&tensor)?;
        let by_file = self
            .ternary
            .map_or(ScaleRule::Multiply, |ternary| ternary.rule);
        let scale = match self.said.rule.unwrap_or(by_file) {
            ScaleRule::Multiply => stored as f32,
            ScaleRule::Divide => (1.0 / stored) as f32,
        };
        if scale.is_finite() && scale > 0.0 && (scale <= PLAUSIBLE || self.said.rule.is_some()) {
            return Ok(Some(scale));
        }
        let rule = format!("a scale above 0 and up to {PLAUSIBLE}");
        let is = format!("{scale}, from the stored {stored}");
        let refusal = tensor.refuse(Code::ScaleImplausible, "data", rule, is);
        Err(refusal.hint("say --scale multiply or --scale divide to choose what the scale does"))
    }

    fn floats(&self, float: Float, digit: Digit) -> Cells<'a> {
        Cells::Floats {
            tensor: self.tensor,
            float,
            digit,
        }
    }

    fn meant(&self, cells: Cells<'a>, scale: f32, how: &'static str) -> Meant<'a> {
        let content = Content {
            shape: self.shape,
            scale,
            interleave: self.interleave,
            cells,
        };
        Meant { content, how }
    }

    fn scale_missing(&self) -> Refusal {
        let name = format!("{}_scale", self.tensor.name());
        let rule = format!("the scale of its digits, a tensor \"{name}\"");
        let refusal = self
            .tensor
            .refuse(Code::ScaleMissing, "data", rule, "no such tensor");
        refusal.hint("say --missing-scale 1 if the digits are the weights")
    }

    fn not_ternary(&self, rule: &str) -> Refusal {
        let is = "more than two magnitudes";
        let refusal = self.tensor.refuse(Code::NotTernary, "data", rule, is);
        refusal.hint("say --ternary absmean to ternarise it, which makes another model of it")
    }
}

/// The one number that a tensor holds.
fn scalar(tensor: &Tensor) -> Result<f64, Refusal> {
    if tensor.shape().iter().product::<u64>() != 1 {
        let found = format!("{:?}", tensor.shape());
        return Err(tensor.refuse(Code::ShapeMismatch, "shape", "one number", found));
    }
    let bytes = tensor.read_all()?;
    if tensor.dtype() == "F64" {
        return Ok(f64::from_le_bytes(bytes.try_into().expect("eight bytes")));
    }
    let mut value = [0.0];
    tensor.float()?.decode(&bytes, &mut value);
    Ok(f64::from(value[0]))
}
