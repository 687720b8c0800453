//! Single functions of the library: quantise, dequantise, dot; and its file-to-file quantiser.

use std::path::Path;

use crate::bindings::{bitnet_shim_requantize_options, bitnet_shim_type_facts};
use crate::convert::{c_path, growing, text_in};
use crate::error::Error;
use crate::facts::{ActivationRow, RequantizeOptions, TypeFacts};
use crate::loaded::Loaded;

/// Single functions of a library. Types are numbers, as in its files: their meaning differs
/// between generations, which [`Kernels::describe`] makes visible.
#[derive(Debug, Clone, Copy)]
pub struct Kernels(&'static Loaded);

impl Kernels {
    pub(crate) fn of(loaded: &'static Loaded) -> Self {
        Kernels(loaded)
    }

    /// What can be done with a type.
    pub fn describe(&self, kind: i32) -> Result<TypeFacts, Error> {
        let mut facts = bitnet_shim_type_facts {
            size: size_of::<bitnet_shim_type_facts>() as u32,
            ..Default::default()
        };
        self.0.call("describe", |shim| {
            // SAFETY: the output lives through the call.
            unsafe { shim.bitnet_shim_type_describe(kind, &raw mut facts) }
        })?;
        Ok(TypeFacts {
            name: text_in(&facts.name),
            block_size: usize::try_from(facts.block_size).unwrap_or(0),
            block_bytes: facts.block_bytes as usize,
            dot_partner: (facts.dot_partner >= 0).then_some(facts.dot_partner),
            can_quantize: facts.can_quantize != 0,
            can_dequantize: facts.can_dequantize != 0,
            can_quantize_activation: facts.can_quantize_activation != 0,
            can_dot: facts.can_dot != 0,
        })
    }

    /// A matrix of `columns` wide rows as a file stores it; where there is an importance of the
    /// columns, with regard to it.
    pub fn quantize(
        &self,
        kind: i32,
        values: &[f32],
        columns: usize,
        importance: Option<&[f32]>,
    ) -> Result<Vec<u8>, Error> {
        let rows = values.len().checked_div(columns).unwrap_or(0);
        if importance.is_some_and(|all| all.len() != columns) {
            let what = format!("the importance is not that of {columns} columns");
            return Err(Error::Argument {
                call: "quantize",
                what,
            });
        }
        if rows * columns != values.len() || values.is_empty() {
            let what = format!("{} values are no rows of {columns}", values.len());
            return Err(Error::Argument {
                call: "quantize",
                what,
            });
        }
        let mut bytes = Vec::new();
        growing(&mut bytes, |bytes, needed| {
            self.0.call("quantize", |shim| {
                // SAFETY: `values` holds rows × columns floats, the importance columns floats or
                // none, `bytes` as many as said.
                unsafe {
                    shim.bitnet_shim_quantize(
                        kind,
                        values.as_ptr(),
                        rows,
                        columns,
                        importance.map_or(std::ptr::null(), <[f32]>::as_ptr),
                        bytes.as_mut_ptr(),
                        bytes.len(),
                        needed,
                    )
                }
            })
        })?;
        Ok(bytes)
    }

    /// `n` values from their stored form.
    pub fn dequantize(&self, kind: i32, bytes: &[u8], n: usize) -> Result<Vec<f32>, Error> {
        let mut values = vec![0_f32; n];
        self.0.call("dequantize", |shim| {
            // SAFETY: both buffers are as long as said.
            unsafe {
                shim.bitnet_shim_dequantize(
                    kind,
                    bytes.as_ptr(),
                    bytes.len(),
                    values.as_mut_ptr(),
                    values.len(),
                )
            }
        })?;
        Ok(values)
    }

    /// One row of activations, as a dot product takes it.
    pub fn quantize_activation(&self, kind: i32, values: &[f32]) -> Result<ActivationRow, Error> {
        let mut row = ActivationRow {
            bytes: Vec::new(),
            scale: 0.0,
            sum: 0,
        };
        let (scale, sum) = (&raw mut row.scale, &raw mut row.sum);
        growing(&mut row.bytes, |bytes, needed| {
            self.0.call("quantize_activation", |shim| {
                // SAFETY: both buffers are as long as said; the outputs live through the call.
                unsafe {
                    shim.bitnet_shim_quantize_activation(
                        kind,
                        values.as_ptr(),
                        values.len(),
                        bytes.as_mut_ptr(),
                        bytes.len(),
                        needed,
                        scale,
                        sum,
                    )
                }
            })
        })?;
        Ok(row)
    }

    /// The dot product of `n` stored weights with a row of their partner type. For I2_S it is the
    /// bare integer sum.
    pub fn dot(&self, kind: i32, n: usize, weights: &[u8], row: &[u8]) -> Result<f32, Error> {
        let mut result = 0_f32;
        self.0.call("dot", |shim| {
            // SAFETY: both buffers are as long as said; the output lives through the call.
            unsafe {
                shim.bitnet_shim_dot(
                    kind,
                    n,
                    weights.as_ptr(),
                    weights.len(),
                    row.as_ptr(),
                    row.len(),
                    &raw mut result,
                )
            }
        })?;
        Ok(result)
    }
}

/// Has the library write a file anew.
pub fn requantize(
    loaded: &Loaded,
    from: &Path,
    to: &Path,
    options: &RequantizeOptions,
) -> Result<(), Error> {
    let (from, to) = (c_path("requantize", from)?, c_path("requantize", to)?);
    let options = bitnet_shim_requantize_options {
        size: size_of::<bitnet_shim_requantize_options>() as u32,
        file_type: options.file_type,
        n_threads: options.threads,
        allow_requantize: options.allow_requantize.into(),
        pure_: options.pure.into(),
        only_copy: options.only_copy.into(),
        quantize_output: options.quantize_output.into(),
    };
    loaded.call("requantize", |shim| {
        // SAFETY: paths and options live through the call.
        unsafe { shim.bitnet_shim_requantize(from.as_ptr(), to.as_ptr(), &raw const options) }
    })
}
