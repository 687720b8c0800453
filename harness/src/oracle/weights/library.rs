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
use crate::reference::isolation::{Call, WorkerExit};
use crate::runner::kernels::activations::Activations;
use crate::runner::kernels::family::Family;
use crate::runner::kernels::question::{Answer, Computer, Question};

/// Most elements of a tensor that is encoded again, which is done in one piece.
const ENCODED_AT_ONCE: usize = 1 << 25;

/// A library that is asked about tensors.
pub struct Library<'a> {
    computer: &'a mut dyn Computer,
}

/// What it said of a tensor, for a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
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
    ) -> Result<(Finding, Said), WorkerExit> {
        let mut said = Said::default();
        let mut finding = Finding {
            tensor: ours.name.clone(),
            encoding: ours.encoding().into(),
            elements: ours.shape.rows * ours.shape.cols,
            decoded: Verdict::None,
            product: Verdict::None,
            encoded: Verdict::None,
        };
        let Some(format) = ours.format() else {
            let why = format!("no library knows {}", finding.encoding);
            finding.decoded = Verdict::NotAsked(why);
            return Ok((finding, said));
        };
        let region = theirs.0.region(theirs.1);
        let asked = Asked {
            bytes: &region,
            format,
            shape: ours.shape,
        };
        finding.decoded = match self.obstacle(format, "decode", ours.shape)? {
            Some(why) => Verdict::NotAsked(why),
            None => self.compare_values(&asked, ours, &mut said)?,
        };
        if ours.multiplies {
            finding.product = match self.obstacle(format, "dot", ours.shape)? {
                Some(why) => Verdict::NotAsked(why),
                None => self.compare_product(&asked, ours, engine, &mut said)?,
            };
        }
        if format.is_i2_s() {
            finding.encoded = match self.obstacle(format, "encode", ours.shape)? {
                Some(why) => Verdict::NotAsked(why),
                None => self.compare_encoded(&asked, ours)?,
            };
        }
        Ok((finding, said))
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
        let stem = format.name().trim_end_matches("-p128");
        match Family::by_name(&format!("{stem}-{what}")) {
            Ok(family) => family.obstacle(self.computer),
            Err(_) => Ok(Some(format!("{what} of {format} is not compared"))),
        }
    }

    fn compare_values(
        &mut self,
        asked: &Asked<'_>,
        ours: &Tensor,
        said: &mut Said,
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
        said.decoded = Some(hash.hex());
        Ok(verdict)
    }

    /// The values of some rows, as the library reads them.
    fn values(
        &mut self,
        asked: &Asked<'_>,
        first: usize,
        rows: usize,
    ) -> Result<Vec<f32>, WorkerExit> {
        let kind = asked.format.type_id() as i32;
        let count = rows * asked.shape.cols;
        let bytes = asked.rows(first, rows).to_vec();
        if asked.format.is_i2_s() {
            let scale = asked.scale();
            let codes = self
                .ask(Call::Codes { kind, count }, Vec::new(), bytes)?
                .bytes;
            let value = |code: u8| (f32::from(code) - 1.0) * scale;
            return Ok(codes.into_iter().map(value).collect());
        }
        let call = Call::Decode {
            kind,
            count,
            bytes: bytes.len(),
        };
        Ok(self.ask(call, Vec::new(), bytes)?.values)
    }

    fn compare_product(
        &mut self,
        asked: &Asked<'_>,
        ours: &Tensor,
        engine: Engine,
        said: &mut Said,
    ) -> Result<Verdict, WorkerExit> {
        let cols = asked.shape.cols;
        let form = Activations::of(asked.format);
        let call = Call::Activation {
            kind: form.kind(),
            count: cols,
        };
        let row = match form.is_float() {
            true => Answer {
                bytes: activations(cols)
                    .iter()
                    .flat_map(|x| x.to_le_bytes())
                    .collect(),
                ..Answer::default()
            },
            false => self.ask(call, activations(cols), Vec::new())?,
        };
        let mut theirs = Vec::with_capacity(asked.shape.rows);
        for rows in ours.portions() {
            let weights = asked.rows(rows.start, rows.len());
            let call = Call::Dot {
                kind: asked.format.type_id() as i32,
                columns: cols,
                rows: rows.len(),
                weights: weights.len(),
                activations: row.bytes.len(),
            };
            let bytes = [weights, &row.bytes].concat();
            theirs.extend(self.ask(call, Vec::new(), bytes)?.values);
        }
        if asked.format.is_i2_s() {
            let (scale, sum) = (asked.scale(), row.sum.unwrap_or(0));
            // Sum off, scale of the activations, scale of the weights: each rounds to a float.
            let finish = |dot: &mut f32| *dot = (*dot - sum as f32) / row.values[0] * scale;
            theirs.iter_mut().for_each(finish);
        }
        let mut hash = Hash::default();
        hash.add(&theirs);
        said.product = Some(hash.hex());
        Ok(compare("output", 0, &theirs, &ours.product(engine)))
    }

    fn compare_encoded(&mut self, asked: &Asked<'_>, ours: &Tensor) -> Result<Verdict, WorkerExit> {
        let Shape { rows, cols } = asked.shape;
        if rows * cols > ENCODED_AT_ONCE {
            let why = format!("{} elements are too many at once", rows * cols);
            return Ok(Verdict::NotAsked(why));
        }
        let call = Call::Encode {
            kind: asked.format.type_id() as i32,
            columns: cols,
            rows,
        };
        let theirs = self.ask(call, ours.decode(0..rows), Vec::new())?.bytes;
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

    fn ask(&mut self, call: Call, values: Vec<f32>, bytes: Vec<u8>) -> Result<Answer, WorkerExit> {
        let question = Question {
            call,
            values,
            bytes,
        };
        self.computer.compute(&question)
    }
}

/// The bytes of a tensor, and what they are.
struct Asked<'a> {
    bytes: &'a [u8],
    format: Format,
    shape: Shape,
}

impl Asked<'_> {
    fn rows(&self, first: usize, rows: usize) -> &[u8] {
        let cols = self.shape.cols;
        let stride = match self.format.is_i2_s() {
            true => cols / 4,
            false => self.format.bytes(Shape { rows: 1, cols }),
        };
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
