//! What a conversion writes: keys and tensors, each with where it comes from; and the writing.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::thread;

use super::content::{Cells, Content, Digit};
use super::description::Description;
use super::meaning::{Meant, Question};
use super::rope::FACTORS;
use super::target::Target;
use super::tensors::Tensor;
use super::{Checkpoint, Options};
use crate::config::{RopePairs, names};
use crate::encoding::float::Float;
use crate::flavor::Shape;
use crate::format::F32;
use crate::gguf::Writer;
use crate::gguf::writer::Field;
use crate::pool::Pool;
use crate::refusal::{Code, Refusal};
use crate::weights::{self, LINEAR};

/// Everything that will be written.
pub struct Plan<'a> {
    /// The keys, in order.
    pub keys: Vec<(String, Field)>,
    /// The tensors, in order.
    pub tensors: Vec<Planned<'a>>,
    /// What is worth knowing about it.
    pub notes: Vec<String>,
    checkpoint: &'a Checkpoint,
    description: Description,
    options: Options,
}

/// One tensor that will be written.
pub struct Planned<'a> {
    /// Its name in the file.
    pub name: String,
    /// Dimensions in ggml order, the contiguous one first.
    pub dims: Vec<u64>,
    /// How it is written.
    pub target: &'static Target,
    /// Bytes it takes.
    pub bytes: u64,
    tensor: Tensor<'a>,
    linear: bool,
}

/// One tensor that was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its name in the file.
    pub name: String,
    /// What it was called in the checkpoint.
    pub source: String,
    /// How an element was written there, e.g. `BF16`.
    pub dtype: &'static str,
    /// How it is written.
    pub target: &'static str,
    /// Bytes it takes.
    pub bytes: u64,
    /// What was done to it, in a few words.
    pub how: &'static str,
    /// The scale of its digits, if they are under one.
    pub scale: Option<f32>,
    /// How many values are not quite what they were.
    pub changed: u64,
    /// By how much at most.
    pub worst: f32,
}

impl Checkpoint {
    /// Decides what is written, without reading a weight.
    pub fn plan(&self, options: &Options) -> Result<Plan<'_>, Refusal> {
        let description = Description::read(&self.config, options.architecture)?;
        let mut notes = description.notes.clone();
        let tensors = self.planned(&description, options, &mut notes)?;
        if description.rope_factors.is_some() {
            notes.push(format!("{FACTORS} is computed from rope_scaling"));
        }
        let config = &description.config;
        let name = options.name.clone().unwrap_or_else(|| self.name());
        let mut keys: Vec<(String, Field)> = vec![
            (
                "general.architecture".into(),
                config.architecture.name().into(),
            ),
            ("general.name".into(), name.as_str().into()),
            (
                "general.file_type".into(),
                options.target.file_type().into(),
            ),
            ("general.quantization_version".into(), 2_u32.into()),
        ];
        keys.extend(description.keys());
        let pre = options.word_rules.as_deref();
        let vocabulary = self
            .vocabulary
            .keys(&self.config.node(), config.vocab_size, pre)?;
        keys.extend(vocabulary);
        Ok(Plan {
            keys,
            tensors,
            notes,
            checkpoint: self,
            description,
            options: options.clone(),
        })
    }

    fn planned(
        &self,
        description: &Description,
        options: &Options,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Planned<'_>>, Refusal> {
        let config = &description.config;
        let most = self.tensors.iter().count();
        if config.block_count > most {
            let node = self.config.node().need("num_hidden_layers", "a number")?;
            let rule = format!("at most {most}, the tensors there are");
            return Err(node.refuse(Code::HparamInvalid, rule, config.block_count));
        }
        let mut used = Vec::new();
        let mut planned = Vec::new();
        for expected in weights::expected(config) {
            let names = names::sources(&expected.name);
            let found = names.iter().find_map(|name| self.tensors.get(name));
            if expected.name == names::HEAD && description.tied {
                used.extend(names);
                if found.is_some() {
                    notes.push("the head is the table of embeddings; its own is left out".into());
                }
                continue;
            }
            let Some(tensor) = found else {
                if expected.required {
                    let field = names.first().unwrap_or(&expected.name);
                    let rule = format!("a tensor for {} of {:?}", expected.name, expected.dims);
                    let found = "no tensor of that name";
                    return Err(Refusal::new(Code::MissingTensor, field, rule, found));
                }
                continue;
            };
            used.push(tensor.name().to_owned());
            used.push(format!("{}_scale", tensor.name()));
            planned.push(Planned::of(tensor, expected, options)?);
        }
        let known = |tensor: &Tensor| {
            names::is_derived(tensor.name()) || used.iter().any(|name| name == tensor.name())
        };
        match self.tensors.iter().find(|tensor| !known(tensor)) {
            None => Ok(planned),
            Some(stranger) => {
                let architecture = config.architecture.name();
                let rule = format!("only tensors that {architecture} has");
                let found = format!("{:?} of {}", stranger.shape(), stranger.dtype());
                Err(stranger.refuse(Code::UnknownTensor, "shape", rule, found))
            }
        }
    }
}

impl<'a> Planned<'a> {
    fn of(
        tensor: Tensor<'a>,
        expected: weights::Expected,
        options: &Options,
    ) -> Result<Self, Refusal> {
        let part = expected.name.strip_suffix(".weight");
        let part = part.and_then(|name| name.rsplit('.').next());
        let linear = expected.dims.len() == 2 && part.is_some_and(|part| LINEAR.contains(&part));
        let dims: Vec<u64> = expected.dims.iter().map(|&dim| dim as u64).collect();
        let mut shape: Vec<u64> = dims.iter().rev().copied().collect();
        if linear && tensor.dtype() == "U8" {
            shape[0] = shape[0].div_ceil(4);
        }
        if tensor.shape() != shape {
            let rule = format!("{shape:?}, as config.json has it");
            let found = format!("{:?}", tensor.shape());
            return Err(tensor.refuse(Code::ShapeMismatch, "shape", rule, found));
        }
        let target = match dims.len() {
            1 => Target::named("f32").expect("a name of the table"),
            _ if linear => options.target,
            _ => options.table,
        };
        let bytes = target.bytes(shape_of(&dims)).ok_or_else(|| {
            let found = if target.is_whole() {
                format!("{shape:?}")
            } else {
                dims[0].to_string()
            };
            tensor.refuse(Code::BlockMismatch, "shape", target.rule(), found)
        })?;
        Ok(Planned {
            name: expected.name,
            dims,
            target,
            bytes,
            tensor,
            linear,
        })
    }
}

/// Some rows as they are written, and what of them is lost.
struct Piece {
    bytes: Vec<u8>,
    changed: u64,
    worst: f32,
}

impl Piece {
    fn of(target: &Target, cells: &[f32], scale: f32, shape: Shape) -> Self {
        let bytes = target.encode(cells, scale, shape);
        let (changed, worst) = target.loss(cells, scale, &bytes, shape);
        Piece {
            bytes,
            changed,
            worst,
        }
    }
}

fn shape_of(dims: &[u64]) -> Shape {
    Shape {
        rows: dims[1..].iter().product::<u64>() as usize,
        cols: dims[0] as usize,
    }
}

impl Plan<'_> {
    /// Bytes that will be read.
    pub fn to_read(&self) -> u64 {
        self.tensors
            .iter()
            .map(|tensor| tensor.tensor.bytes())
            .sum()
    }

    /// Keys, and the directory of tensors that will follow.
    fn head(&self) -> Writer {
        let mut writer = Writer::new(3);
        for (key, value) in &self.keys {
            writer = writer.key(key, value.clone());
        }
        if let Some(factors) = &self.description.rope_factors {
            let (dims, bytes) = ([factors.len() as u64], 4 * factors.len() as u64);
            writer = writer.declare(FACTORS, &dims, F32.types[0], bytes);
        }
        for planned in &self.tensors {
            let (name, id) = (&planned.name, planned.target.type_id());
            writer = writer.declare(name, &planned.dims, id, planned.bytes);
        }
        writer
    }

    /// Writes the file. `progress` is told of the bytes of every tensor when it is done with.
    pub fn write(
        &self,
        out: impl Write,
        mut progress: impl FnMut(u64),
    ) -> Result<Vec<Written>, Refusal> {
        let cannot = |e: io::Error| Refusal::new(Code::Io, "output", "a writable file", e);
        let factors = self.description.rope_factors.as_deref();
        let mut data = self.head().begin(out).map_err(cannot)?;
        let mut pool = Pool::new(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
        if let Some(factors) = factors {
            data.put(&Float::F32.encode(factors)).map_err(cannot)?;
        }
        let mut written = Vec::new();
        for planned in &self.tensors {
            let Meant { content, how } = self.meant(planned, &mut pool)?;
            let target = planned.target;
            let (mut changed, mut worst) = (0, 0.0);
            let encoded = |cells: &[f32], shape| Piece::of(target, cells, content.scale, shape);
            content.pieces(&mut pool, target.is_whole(), encoded, |piece| {
                (changed, worst) = (changed + piece.changed, f32::max(worst, piece.worst));
                data.put(&piece.bytes).map_err(cannot)
            })?;
            let trailer = target.trailer(content.scale);
            if !trailer.is_empty() {
                data.put(&trailer).map_err(cannot)?;
            }
            progress(planned.tensor.bytes());
            written.push(Written {
                name: planned.name.clone(),
                source: planned.tensor.name().to_owned(),
                dtype: planned.tensor.dtype(),
                target: target.name,
                bytes: planned.bytes,
                how,
                scale: content.is_digits().then_some(content.scale),
                changed,
                worst,
            });
        }
        data.finish().map_err(cannot)?.flush().map_err(cannot)?;
        Ok(written)
    }

    /// How a tensor is meant, and what its rotation asks for.
    fn meant<'p>(&'p self, planned: &Planned<'p>, pool: &mut Pool) -> Result<Meant<'p>, Refusal> {
        let config = &self.description.config;
        let shape = shape_of(&planned.dims);
        let turned = ["attn_q.", "attn_k."]
            .iter()
            .any(|part| planned.name.contains(part));
        let adjacent = config.rope_pairs == RopePairs::Adjacent;
        let interleave = (turned && adjacent).then_some(config.head_dim);
        if !planned.linear {
            let content = Content {
                // A bias is turned like the rows of its weight.
                shape: match interleave {
                    Some(_) => Shape {
                        rows: shape.cols,
                        cols: 1,
                    },
                    None => shape,
                },
                scale: 1.0,
                interleave,
                cells: Cells::Floats {
                    tensor: planned.tensor,
                    float: planned.tensor.float()?,
                    digit: Digit::Value,
                },
            };
            let how = "as it is";
            return Ok(Meant { content, how });
        }
        let question = Question {
            tensors: &self.checkpoint.tensors,
            tensor: planned.tensor,
            shape,
            interleave,
            ternary: self.description.ternary,
            to_digits: planned.target.is_ternary(),
            said: self.options.said,
        };
        question.answer(pool)
    }
}
