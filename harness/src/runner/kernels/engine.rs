//! The engine as one who answers: the functions a forward pass is made of, one at a time.
#![forbid(unsafe_code)]

use engine::flavor::{Shape, i2_s, i2_s_p128};
use engine::kernels::{BlockOrder, Kernel, whole_blocks};
use engine::numerics::dense::Rows;
use engine::numerics::{Arithmetic, Profile, arithmetic};

use super::activations::{Activations, read_q8_0, read_q8_k};
use super::question::{Answer, Computer, Question};
use crate::file::document::Format;
use crate::reference::isolation::{Call, TypeFacts, WorkerExit};

/// The engine, in one arithmetic, on one set of instructions.
#[derive(Clone, Copy)]
pub struct Ours {
    kernel: Kernel,
    arithmetic: &'static dyn Arithmetic,
}

impl Ours {
    /// In that arithmetic, with those instructions.
    pub fn new(profile: Profile, kernel: Kernel) -> Self {
        Ours {
            kernel,
            arithmetic: arithmetic(profile, kernel),
        }
    }

    fn dot(&self, format: Format, columns: usize, weights: &[u8], row: &[u8]) -> Vec<f32> {
        let stride = format_bytes(format, columns);
        let rows = || weights.chunks_exact(stride);
        let mut out = vec![0.0; weights.len() / stride];
        let halves = Rows {
            elements: weights.as_chunks::<2>().0,
            stride: columns,
        };
        let order = self.arithmetic.block_order();
        match format {
            Format::F32 => {
                let singles = Rows {
                    elements: weights.as_chunks::<4>().0,
                    stride: columns,
                };
                let row = row.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
                let row: Vec<f32> = row.collect();
                self.arithmetic.dot_f32(singles, &row, 1, &mut out);
            }
            Format::F16 => self
                .arithmetic
                .dot_f16(halves, row.as_chunks().0, 1, &mut out),
            Format::Bf16 => self
                .arithmetic
                .dot_bf16(halves, row.as_chunks().0, &mut out),
            Format::Q8_0 => {
                let row = read_q8_0(row);
                let dot = |weights| match order {
                    BlockOrder::EightLanes => self.kernel.q8_0_dot(weights, &row),
                    BlockOrder::WholeBlocks => whole_blocks::q8_0_dot(weights, &row, 1),
                };
                out = rows().map(dot).collect();
            }
            Format::Q6K | Format::Tq1_0 | Format::Tq2_0 => {
                let row = read_q8_k(row);
                let dot = |weights| match (format, order) {
                    (Format::Q6K, BlockOrder::EightLanes) => self.kernel.q6_k_dot(weights, &row),
                    (Format::Q6K, _) => whole_blocks::q6_k_dot(weights, &row),
                    (Format::Tq1_0, BlockOrder::EightLanes) => self.kernel.tq1_0_dot(weights, &row),
                    (Format::Tq1_0, _) => whole_blocks::tq1_0_dot(weights, &row),
                    (_, BlockOrder::EightLanes) => self.kernel.tq2_0_dot(weights, &row),
                    _ => whole_blocks::tq2_0_dot(weights, &row),
                };
                out = rows().map(dot).collect();
            }
            Format::I2sP128 | Format::I2sP64 | Format::I2sP4r => {
                let row: Vec<i8> = row.iter().map(|byte| byte.cast_signed()).collect();
                let dot = |weights| self.kernel.ternary_dot(weights, &row) as f32;
                out = rows().map(dot).collect();
            }
        }
        out
    }
}

/// Bytes of one stored row without what follows the last one.
pub fn format_bytes(format: Format, columns: usize) -> usize {
    match format.is_i2_s() {
        true => columns / 4,
        false => format.bytes(Shape {
            rows: 1,
            cols: columns,
        }),
    }
}

/// The format that number stands for in a library that knows I2_S as `P128`.
pub fn format_of(kind: i32) -> Option<Format> {
    match u32::try_from(kind).ok()? {
        36 => Some(Format::I2sP128),
        id => Format::of_type(id),
    }
}

impl Computer for Ours {
    /// Everything the engine has, as a library would say it.
    fn describe(&mut self, kind: i32) -> Result<Option<TypeFacts>, WorkerExit> {
        let format = format_of(kind);
        let activations = Activations::of_kind(kind);
        let name = format.map(Format::name).or(activations.map(|a| a.name()));
        let name = name.map(|name| name.trim_end_matches("-p128").to_owned());
        Ok(name.map(|name| TypeFacts {
            name,
            block: activations.map_or(1, |a| a.block().0),
            block_bytes: activations.map_or(1, |a| a.block().1),
            partner: format.map(|f| Activations::of(f).kind()),
            encodes: format.is_some(),
            decodes: format.is_some_and(|f| !f.is_i2_s()),
            quantises: activations.is_some(),
            multiplies: format.is_some(),
        }))
    }

    fn compute(&mut self, question: &Question) -> Result<Answer, WorkerExit> {
        let Question {
            call,
            values,
            bytes,
        } = question;
        let known = |kind| {
            let nobody = || WorkerExit::Refused(format!("the engine has no type {kind}"));
            format_of(kind).ok_or_else(nobody)
        };
        let mut answer = Answer::default();
        match *call {
            Call::Describe { .. } => {}
            Call::Encode {
                kind,
                columns,
                rows,
            } => {
                let cols = columns;
                answer.bytes = known(kind)?.encode(values, Shape { rows, cols });
            }
            Call::Decode { kind, count, .. } => {
                let shape = Shape {
                    rows: 1,
                    cols: count,
                };
                answer.values = known(kind)?.decode(bytes, shape);
            }
            Call::Codes { count, .. } => {
                let shape = Shape {
                    rows: 1,
                    cols: count,
                };
                let code = |col| i2_s::code(bytes, shape, 0, col, i2_s_p128::place);
                answer.bytes = (0..count).map(code).collect();
            }
            Call::Activation { kind, .. } => {
                let nobody =
                    || WorkerExit::Refused(format!("the engine has no activations {kind}"));
                let form = Activations::of_kind(kind).ok_or_else(nobody)?;
                answer = form.quantise(values, self.arithmetic);
            }
            Call::Dot {
                kind,
                columns,
                weights,
                ..
            } => {
                let (weights, row) = bytes.split_at(weights);
                answer.values = self.dot(known(kind)?, columns, weights, row);
            }
        }
        Ok(answer)
    }
}
