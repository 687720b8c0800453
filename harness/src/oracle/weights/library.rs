//! What a library makes of the bytes of a tensor, by its own functions.
//!
//! The two-bit weights of bitnet.cpp have no decoder in it. Their codes are read by its dot product
//! instead; its encoder, given our values, must write the bytes of the file again, the scale and
//! its place among them; and the last four operations of a product are done here, in the order
//! of the reference's graph.
#![forbid(unsafe_code)]

use engine::flavor::Shape;
use engine::gguf::{Gguf, TensorInfo};

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
    /// Hash of the values.
    pub decoded: Option<String>,
    /// Hash of the product.
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
        let Some(format) = ours.format() else {
            let why = format!("no library knows {}", finding.encoding);
            finding.decoded = Verdict::Declined(why);
            return Ok((finding, hashes));
        };
        let region = theirs.0.region(theirs.1);
        let asked = Stored {
            bytes: &region,
            format,
            shape: ours.shape,
        };
        finding.decoded = match self.obstacle(format, "decode", ours.shape)? {
            Some(why) => Verdict::Declined(why),
            None => self.compare_values(&asked, ours, &mut hashes)?,
        };
        if ours.multiplies {
            finding.product = match self.obstacle(format, "dot", ours.shape)? {
                Some(why) => Verdict::Declined(why),
                None => self.compare_product(&asked, ours, engine, &mut hashes)?,
            };
        }
        if format.is_i2_s() {
            finding.encoded = match self.obstacle(format, "encode", ours.shape)? {
                Some(why) => Verdict::Declined(why),
                None => self.compare_encoded(&asked, ours)?,
            };
        }
        Ok((finding, hashes))
    }

    /// Why it cannot be asked.
    fn obstacle(
        &mut self,
        format: Format,
        what: &str,
        shape: Shape,
    ) -> Result<Option<String>, WorkerExit> {
        if format == Format::F32 && what == "decode" {
            return Ok(None);
        }
        if format.is_i2_s() && (format != Format::I2sP128 || !shape.cols.is_multiple_of(128)) {
            let cols = shape.cols;
            return Ok(Some(format!(
                "its kernels do not read {format} in rows of {cols}"
            )));
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
            let theirs = self.values(asked, rows.start, rows.len())?;
            hash.add(&theirs);
            if verdict == Verdict::Equal {
                let ours = ours.decode(rows);
                verdict = compare("element", first, &theirs, &ours);
            }
        }
        hashes.decoded = Some(hash.hex());
        Ok(verdict)
    }

    /// The values of some rows, as the library reads them.
    fn values(
        &mut self,
        asked: &Stored<'_>,
        first: usize,
        rows: usize,
    ) -> Result<Vec<f32>, WorkerExit> {
        let question = Question::decode(asked.format, asked.rows(first, rows));
        let answer = self.computer.compute(&question)?;
        if !asked.format.is_i2_s() {
            return Ok(answer.values);
        }
        let scale = asked.scale();
        let value = |code: u8| (f32::from(code) - 1.0) * scale;
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
        let row = if form.is_float() {
            let bytes = activations(cols).into_iter().flat_map(f32::to_le_bytes);
            Answer {
                bytes: bytes.collect(),
                ..Answer::default()
            }
        } else {
            let question = Question::activation(form, &activations(cols));
            self.computer.compute(&question)?
        };
        let mut theirs = Vec::with_capacity(asked.shape.rows);
        for rows in ours.portions() {
            let weights = asked.rows(rows.start, rows.len());
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

/// The bytes of a tensor, and what they are.
struct Stored<'a> {
    bytes: &'a [u8],
    format: Format,
    shape: Shape,
}

impl Stored<'_> {
    fn rows(&self, first: usize, rows: usize) -> &[u8] {
        let stride = self.format.row_bytes(self.shape.cols);
        &self.bytes[first * stride..][..rows * stride]
    }

    /// The scale, which lies behind the codes: that it does is what encoding again shows.
    fn scale(&self) -> f32 {
        let at = self.shape.rows * self.shape.cols / 4;
        f32::from_le_bytes([0, 1, 2, 3].map(|i| self.bytes[at + i]))
    }
}

/// Where two rows of numbers first differ.
fn compare(what: &str, first: usize, theirs: &[f32], ours: &[f32]) -> Verdict {
    if theirs.len() != ours.len() {
        let (theirs, ours) = (theirs.len(), ours.len());
        return Verdict::Different(format!("{theirs} values, ours are {ours}"));
    }
    let pairs = theirs.iter().zip(ours);
    let place = pairs
        .enumerate()
        .find(|(_, (x, y))| x.to_bits() != y.to_bits());
    let Some((at, (theirs, ours))) = place else {
        return Verdict::Equal;
    };
    Verdict::Different(format!(
        "{what} {}: reference {theirs:e} ({:#010x}), ours {ours:e} ({:#010x})",
        first + at,
        theirs.to_bits(),
        ours.to_bits()
    ))
}
