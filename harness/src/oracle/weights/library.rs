//! What a library makes of the bytes of a tensor, by its own functions.
//!
//! The two-bit weights of bitnet.cpp have no decoder in it. Their codes are read by its dot product
//! instead; its encoder, given our values, must write the bytes of the file again, the scale and
//! its place among them; and the last four operations of a product are done here, in the order
//! of the reference's graph. A packing that no library reads is handed over as F32.

use std::borrow::Cow;
use std::ops::Range;

use engine::flavor::{Shape, i2_s};
use engine::gguf::{Gguf, TensorInfo};
use engine::kernels::Kernel;

use super::measure::{Engine, Tensor, activations};
use super::{Finding, Verdict};
use crate::file::document::Format;
use crate::file::provenance::Hash;
use crate::reference::isolation::WorkerExit;
use crate::runner::kernels::activations::Activations;
use crate::runner::kernels::family::Family;
use crate::runner::kernels::question::{Answer, Computer, Question};

/// Most elements of a tensor that is encoded again, which is done in one piece.
const ENCODED_AT_ONCE: usize = 1 << 27;

/// A library that is asked about tensors.
pub struct Library<'a> {
    computer: &'a mut dyn Computer,
}

/// What it answered about a tensor, for a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hashes {
    pub decoded: Option<String>,
    pub product: Option<String>,
}

impl<'a> Library<'a> {
    /// One that answers.
    pub fn new(computer: &'a mut dyn Computer) -> Self {
        Library { computer }
    }

    /// Compares a tensor as the library reads it from `theirs` with ours.
    pub fn compare(
        &mut self,
        theirs: (&Gguf, &TensorInfo),
        ours: &Tensor,
        engine: Engine,
    ) -> Result<(Finding, Hashes), WorkerExit> {
        let mut hashes = Hashes::default();
        let mut finding = Finding::new(ours);
        let region = theirs.0.region(theirs.1);
        let (format, bytes) = match ours.format() {
            Some(format) => (format, Cow::Borrowed(&region[..])),
            None => (Format::F32, Cow::Owned(widened(theirs)?)),
        };
        let asked = Stored {
            bytes: &bytes,
            format,
            shape: ours.shape,
        };
        finding.decoded = match self.obstacle(&asked, "decode")? {
            Some(why) => Verdict::Declined(why),
            None => self.compare_values(&asked, ours, &mut hashes)?,
        };
        if ours.multiplies {
            finding.product = match self.obstacle(&asked, "dot")? {
                Some(why) => Verdict::Declined(why),
                None => self.compare_product(&asked, ours, engine, &mut hashes)?,
            };
        }
        if format.is_i2_s() {
            finding.encoded = match self.obstacle(&asked, "encode")? {
                Some(why) => Verdict::Declined(why),
                None => self.compare_encoded(&asked, ours)?,
            };
        }
        Ok((finding, hashes))
    }

    /// Why it cannot be asked.
    fn obstacle(&mut self, asked: &Stored<'_>, what: &str) -> Result<Option<String>, WorkerExit> {
        let (format, cols) = (asked.format, asked.shape.cols);
        if format == Format::F32 && what == "decode" {
            return Ok(None);
        }
        if format.is_i2_s() && (format != Format::I2_S_P128 || !cols.is_multiple_of(128)) {
            let why = format!("its kernels do not read {format} in rows of {cols}");
            return Ok(Some(why));
        }
        match Family::by_name(&format!("{}-{what}", format.type_name())) {
            Ok(family) => family.obstacle(self.computer),
            Err(_) => Ok(Some(format!("{what} of {format} is not compared"))),
        }
    }

    fn compare_values(
        &mut self,
        asked: &Stored<'_>,
        ours: &Tensor,
        hashes: &mut Hashes,
    ) -> Result<Verdict, WorkerExit> {
        let mut hash = Hash::default();
        let mut verdict = Verdict::Equal;
        for rows in ours.portions() {
            let first = rows.start * asked.shape.cols;
            let theirs = self.values(asked, asked.rows(&rows))?;
            hash.add(&theirs);
            if verdict == Verdict::Equal {
                let ours = ours.decode(rows);
                verdict = compare("element", first, &theirs, &ours);
            }
        }
        hashes.decoded = Some(hash.hex());
        Ok(verdict)
    }

    /// The values of stored rows, as the library reads them.
    fn values(&mut self, asked: &Stored<'_>, rows: &[u8]) -> Result<Vec<f32>, WorkerExit> {
        let question = Question::decode(asked.format, rows);
        let answer = self.computer.compute(&question)?;
        if !asked.format.is_i2_s() {
            return Ok(answer.values);
        }
        let value = |code: u8| (f32::from(code) - 1.0) * asked.scale();
        Ok(answer.bytes.into_iter().map(value).collect())
    }

    fn compare_product(
        &mut self,
        asked: &Stored<'_>,
        ours: &Tensor,
        engine: Engine,
        hashes: &mut Hashes,
    ) -> Result<Verdict, WorkerExit> {
        let cols = asked.shape.cols;
        let form = Activations::of(asked.format);
        let mut row = Answer::default();
        if form == Activations::F32 {
            let values = activations(cols).into_iter();
            row.bytes = values.flat_map(f32::to_le_bytes).collect();
        } else {
            let question = Question::activation(form, &activations(cols));
            row = self.computer.compute(&question)?;
        }
        let mut theirs = Vec::with_capacity(asked.shape.rows);
        for rows in ours.portions() {
            let weights = asked.rows(&rows);
            let question = Question::dot(asked.format, cols, weights, &row.bytes);
            theirs.extend(self.computer.compute(&question)?.values);
        }
        if asked.format.is_i2_s() {
            let (scale, sum) = (asked.scale(), row.sum.unwrap_or(0));
            // Sum off, scale of the activations, scale of the weights: each rounds to a float.
            let finish = |dot: &mut f32| *dot = (*dot - sum as f32) / row.values[0] * scale;
            theirs.iter_mut().for_each(finish);
        }
        let mut hash = Hash::default();
        hash.add(&theirs);
        hashes.product = Some(hash.hex());
        Ok(compare("output", 0, &theirs, &ours.product(engine)))
    }

    fn compare_encoded(
        &mut self,
        asked: &Stored<'_>,
        ours: &Tensor,
    ) -> Result<Verdict, WorkerExit> {
        let Shape { rows, cols } = asked.shape;
        if rows * cols > ENCODED_AT_ONCE {
            let why = format!("{} elements are too many at once", rows * cols);
            return Ok(Verdict::NotCompared(why));
        }
        let question = Question::encode(asked.format, cols, &ours.decode(0..rows));
        let theirs = self.computer.compute(&question)?.bytes;
        // What follows the scale has no meaning.
        let meaningful = rows * cols / 4 + 4;
        let pairs = theirs.iter().zip(asked.bytes).take(meaningful);
        let place = pairs.enumerate().find(|(_, (x, y))| x != y);
        Ok(match place {
            _ if theirs.len() < meaningful => Verdict::Different("it wrote fewer bytes".into()),
            None => Verdict::Equal,
            Some((at, (wrote, file))) => Verdict::Different(format!(
                "byte {at}: the encoder wrote {wrote:#04x} for our values, the file has {file:#04x}"
            )),
        })
    }
}

/// The values of a tensor that no library reads, as one that it does.
fn widened((gguf, info): (&Gguf, &TensorInfo)) -> Result<Vec<u8>, WorkerExit> {
    let tensor = Tensor::of(gguf, info, Kernel::Scalar);
    let tensor = tensor.map_err(|refusal| WorkerExit::Refused(refusal.to_string()))?;
    let values = tensor.decode(0..tensor.shape.rows).into_iter();
    Ok(values.flat_map(f32::to_le_bytes).collect())
}

/// The bytes of a tensor, and what they are.
struct Stored<'a> {
    bytes: &'a [u8],
    format: Format,
    shape: Shape,
}

impl Stored<'_> {
    fn rows(&self, rows: &Range<usize>) -> &[u8] {
        let stride = self.format.row_bytes(self.shape.cols);
        &self.bytes[rows.start * stride..rows.end * stride]
    }

    /// The scale, which lies behind the codes: that it does is what encoding again shows.
    fn scale(&self) -> f32 {
        i2_s::scale(self.bytes, self.shape)
    }
}

/// Where two rows of numbers first differ.
fn compare(what: &str, first: usize, theirs: &[f32], ours: &[f32]) -> Verdict {
    if theirs.len() != ours.len() {
        let (theirs, ours) = (theirs.len(), ours.len());
        return Verdict::Different(format!("{theirs} values, ours are {ours}"));
    }
    let mut pairs = theirs.iter().zip(ours).enumerate();
    let Some((at, (theirs, ours))) = pairs.find(|(_, (x, y))| x.to_bits() != y.to_bits()) else {
        return Verdict::Equal;
    };
    let [x, y] = [theirs, ours].map(|value| format!("{value:e} ({:#010x})", value.to_bits()));
    Verdict::Different(format!("{what} {}: reference {x}, ours {y}", first + at))
}
