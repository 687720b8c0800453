//! The engine as a backend: the functions a forward pass is made of, one at a time.

use engine::encoding::float::Float;
use engine::encoding::{Author, Quantiser};
use engine::flavor::{Shape, i2_s, i2_s_p128};
use engine::format::Product;
use engine::kernels::Kernel;
use engine::kernels::activation::RowScale;
use engine::kernels::gemm::{Form, Inputs, Stored, outputs};
use engine::numerics::dense::Rows;
use engine::numerics::{Arithmetic, Profile, arithmetic};

use ffi::TypeFacts;

use super::activations::{Activations, read_q8_0, read_q8_1, read_q8_k};
use super::question::{Answer, Computer, Question};
use crate::file::document::Format;
use crate::reference::isolation::{Call, WorkerExit};

/// The engine, in one arithmetic, on one set of instructions.
#[derive(Clone, Copy)]
pub struct EngineKernels {
    kernel: Kernel,
    arithmetic: &'static dyn Arithmetic,
    author: Author,
}

impl EngineKernels {
    /// In that arithmetic, with those instructions.
    pub fn new(profile: Profile, kernel: Kernel) -> Self {
        EngineKernels {
            kernel,
            arithmetic: arithmetic(profile, kernel),
            author: Author::Bitnet,
        }
    }

    /// As somebody else writes weights.
    pub fn writing_as(self, author: Author) -> Self {
        EngineKernels { author, ..self }
    }

    fn dot(&self, format: Format, columns: usize, weights: &[u8], row: &[u8]) -> Vec<f32> {
        let stride = format.row_bytes(columns);
        let rows = weights.len() / stride;
        let Some(gemm) = format
            .row()
            .gemm(self.arithmetic.block_order(), self.kernel)
        else {
            return self.dot_floats(format, columns, weights, row);
        };
        let form = gemm.form();
        let when = |wanted: Form| if form == wanted { row } else { &[] };
        let int8: Vec<i8> = when(Form::Int8).iter().map(|b| b.cast_signed()).collect();
        let inputs = Inputs {
            tokens: 1,
            int8: &int8,
            scales: &[RowScale { scale: 1.0, sum: 0 }],
            plain: &singles(when(Form::Plain)),
            q8_0: &read_q8_0(when(Form::Q8_0)),
            q8_1: &read_q8_1(when(Form::Q8_1)),
            q8_k: &read_q8_k(when(Form::Q8K)),
            ..Inputs::default()
        };
        let shape = shape(rows, columns);
        // The scale of one makes an I2_S output of the integer sum itself.
        let weights = Stored::from_vec(shape, weights.to_vec(), vec![1.0]);
        outputs(gemm, &weights, &inputs)
    }

    fn dot_floats(&self, format: Format, columns: usize, weights: &[u8], row: &[u8]) -> Vec<f32> {
        let mut out = vec![0.0; weights.len() / format.row_bytes(columns)];
        let halves = Rows {
            elements: weights.as_chunks::<2>().0,
            stride: columns,
        };
        let row_of_halves = row.as_chunks::<2>().0;
        match format.row().product {
            Product::Floats(Float::F16) => {
                self.arithmetic.dot_f16(halves, row_of_halves, 1, &mut out);
            }
            Product::Floats(Float::Bf16) => {
                self.arithmetic.dot_bf16(halves, row_of_halves, &mut out);
            }
            _ => {
                // Of a format without a product of its own: its values.
                let shape = shape(out.len(), columns);
                let values = format.decode(weights, shape);
                let values: Vec<[u8; 4]> = values.iter().map(|x| x.to_le_bytes()).collect();
                let rows = Rows {
                    elements: &values,
                    stride: columns,
                };
                self.arithmetic.dot_f32(rows, &singles(row), 1, &mut out);
            }
        }
        out
    }
}

impl Computer for EngineKernels {
    /// Everything the engine has, as a library would say it.
    fn describe(&mut self, kind: i32) -> Result<Option<TypeFacts>, WorkerExit> {
        let format = Format::of_kind(kind);
        let activations = Activations::of_kind(kind);
        let name = format.map(Format::type_name);
        let (block, block_bytes) = activations.map_or((1, 1), |a| a.block);
        let name = name.or(activations.map(|a| a.name));
        Ok(name.map(|name| TypeFacts {
            name: name.to_owned(),
            block_size: block,
            block_bytes,
            dot_partner: format.map(|f| Activations::of(f).kind),
            can_quantize: format.is_some(),
            can_dequantize: format.is_some_and(|f| !f.is_i2_s()),
            can_quantize_activation: activations.is_some(),
            can_dot: format.is_some(),
        }))
    }

    fn compute(&mut self, question: &Question) -> Result<Answer, WorkerExit> {
        let (values, bytes) = (&question.values, &question.bytes);
        let refuse = |kind| WorkerExit::Refused(format!("the engine has no type {kind}"));
        let known = |kind| Format::of_kind(kind).ok_or_else(|| refuse(kind));
        let mut answer = Answer::default();
        match question.call {
            Call::Encode {
                kind,
                columns,
                rows,
                ..
            } => {
                let (values, importance) = question.matrix();
                let quantiser = Quantiser {
                    author: self.author,
                    importance,
                };
                let format = known(kind)?;
                answer.bytes = format.encode_with(values, shape(rows, columns), &quantiser);
            }
            Call::Decode { kind, count } => {
                answer.values = known(kind)?.decode(bytes, shape(1, count));
            }
            Call::Codes { count, .. } => {
                let row = shape(1, count);
                let code = |col| i2_s::code(bytes, row, 0, col, i2_s_p128::width);
                answer.bytes = (0..count).map(code).collect();
            }
            Call::Activation { kind, .. } => {
                let form = Activations::of_kind(kind).ok_or_else(|| refuse(kind))?;
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

fn singles(bytes: &[u8]) -> Vec<f32> {
    let singles = bytes.as_chunks().0.iter();
    singles.map(|b| f32::from_le_bytes(*b)).collect()
}

fn shape(rows: usize, cols: usize) -> Shape {
    Shape { rows, cols }
}
