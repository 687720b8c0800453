//! Writes what was planned, some rows at a time on every thread, and measures what was lost.
#![forbid(unsafe_code)]

use std::io::Write;
use std::num::NonZeroUsize;
use std::thread;

use super::{Decoded, Entry, ExportConfig, ExportError, Loss, Plan, Source};
use crate::encoding::Quantiser;
use crate::flavor::Shape;
use crate::format::{Encode, Format};
use crate::gguf::Writer;
use crate::gguf::writer::{Data, Field};
use crate::kernels::gemm::Stored;
use crate::pool::Pool;

/// Values a thread reads, writes and reads again in one piece.
const PIECE: usize = 1 << 18;

/// A tensor that is in the file now.
#[derive(Debug, Clone)]
pub struct Written<'a> {
    /// What was planned.
    pub entry: &'a Entry,
    /// How far it is from what was read.
    pub loss: Loss,
}

/// Writes a file: the keys given, those the configuration asks for, then every tensor of the
/// plan. `done` is told of each.
pub fn write(
    source: &dyn Source,
    plan: &Plan,
    config: &ExportConfig,
    metadata: &[(String, Field)],
    out: &mut dyn Write,
    done: &mut dyn FnMut(Written),
) -> Result<(), ExportError> {
    let mut data = head(plan, config, metadata).begin(out)?;
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut pool = Pool::new(threads);
    for entry in &plan.entries {
        let decoded = source.open(entry.source)?;
        let importance = config.importance.as_ref().filter(|_| entry.weighed);
        let mut encoder = Encoder {
            entry,
            quantiser: Quantiser {
                author: config.author,
                importance: importance.and_then(|all| all.of(&entry.name)),
            },
            pool: &mut pool,
        };
        let loss = encoder.write(&*decoded, &mut data)?;
        done(Written { entry, loss });
    }
    data.finish()?.flush()?;
    Ok(())
}

/// Bytes of the whole file that [`write()`] would write.
pub fn file_bytes(plan: &Plan, config: &ExportConfig, metadata: &[(String, Field)]) -> u64 {
    head(plan, config, metadata).size()
}

/// Keys, and the directory of tensors that will follow.
fn head(plan: &Plan, config: &ExportConfig, metadata: &[(String, Field)]) -> Writer {
    let own = own_keys(config);
    let mut writer = Writer::new(3);
    for (key, value) in metadata {
        let replaced = own.iter().any(|(known, _)| known == key);
        if let ("general.alignment", Field::U32(alignment)) = (&key[..], value) {
            writer = writer.alignment(*alignment);
        } else if !replaced {
            writer = writer.key(key, value.clone());
        }
    }
    for (key, value) in own {
        writer = writer.key(key, value);
    }
    plan.entries.iter().fold(writer, |writer, entry| {
        writer.declare(&entry.name, &entry.dims, entry.format.types[0], entry.bytes)
    })
}

/// What an export says of itself. The version of the quantisation is a number where every loader
/// expects one.
fn own_keys(config: &ExportConfig) -> Vec<(&'static str, Field)> {
    let mut keys = Vec::new();
    let text = |text: &String| Field::from(text.as_str());
    let named = [
        ("general.name", &config.model_name),
        ("general.version", &config.model_version),
        ("general.description", &config.description),
    ];
    keys.extend(
        named
            .iter()
            .filter_map(|(key, value)| Some((*key, text(value.as_ref()?)))),
    );
    keys.push(("general.quantization_version", Field::U32(2)));
    if let Some(file_type) = config.format.file_type {
        keys.push(("general.file_type", Field::U32(file_type)));
    }
    keys
}

/// Writes one tensor.
struct Encoder<'a> {
    entry: &'a Entry,
    quantiser: Quantiser<'a>,
    pool: &'a mut Pool,
}

impl Encoder<'_> {
    /// Gives the loss. More or fewer bytes than were planned are an error of the data section.
    fn write<W: Write>(
        &mut self,
        decoded: &dyn Decoded,
        out: &mut Data<W>,
    ) -> Result<Loss, ExportError> {
        let in_pieces =
            self.entry.padding == 0 && matches!(self.entry.format.encode, Encode::Rows(_));
        if in_pieces {
            self.write_pieces(decoded, out)
        } else {
            self.write_whole(decoded, out)
        }
    }

    /// A format of rows: pieces of rows, one after the other on each thread.
    fn write_pieces<W: Write>(
        &mut self,
        decoded: &dyn Decoded,
        out: &mut Data<W>,
    ) -> Result<Loss, ExportError> {
        let Shape { rows, cols } = self.entry.shape;
        let rows_a_piece = (PIECE / cols).max(1);
        let pieces = rows.div_ceil(rows_a_piece);
        let (entry, quantiser) = (self.entry, self.quantiser);
        let encoded = |piece| {
            let start = piece * rows_a_piece;
            let rows = rows.min(start + rows_a_piece) - start;
            let mut values = vec![0.0; rows * cols];
            for (row, out) in (start..).zip(values.chunks_exact_mut(cols)) {
                decoded.row(row, out);
            }
            let encoded = Encoded::of(entry.format, &values, Shape { rows, cols }, &quantiser);
            let loss = encoded.loss(&values, 0);
            (encoded, loss)
        };
        let mut loss = Loss::default();
        self.pool.in_order(pieces, encoded, |(encoded, piece)| {
            out.put(&encoded.stored.bytes)?;
            loss = loss.and(piece);
            Ok::<_, ExportError>(())
        })?;
        Ok(loss)
    }

    /// A format of matrices, or one whose last block is padded: a long row then.
    fn write_whole<W: Write>(
        &mut self,
        decoded: &dyn Decoded,
        out: &mut Data<W>,
    ) -> Result<Loss, ExportError> {
        let Shape { rows, cols } = self.entry.shape;
        let mut values = vec![0.0; rows * cols + self.entry.padding];
        let count = rows * cols;
        self.pool
            .over_parts(&mut values[..count], cols, |row, out| decoded.row(row, out));
        let shape = if self.entry.padding == 0 {
            self.entry.shape
        } else {
            Shape {
                rows: 1,
                cols: values.len(),
            }
        };
        let encoded = Encoded::of(self.entry.format, &values, shape, &self.quantiser);
        let mut losses = vec![Loss::default(); shape.rows];
        self.pool.over_parts(&mut losses, 1, |row, loss| {
            let from = row * shape.cols;
            loss[0] = encoded.loss(&values[from..count.min(from + shape.cols)], row);
        });
        out.put(&encoded.stored.bytes)?;
        Ok(losses.into_iter().fold(Loss::default(), Loss::and))
    }
}

/// Rows as they are written.
struct Encoded<'a> {
    format: &'a Format,
    stored: Stored,
}

impl<'a> Encoded<'a> {
    fn of(format: &'a Format, values: &[f32], shape: Shape, quantiser: &Quantiser) -> Self {
        let bytes = format.encode_matrix(values, shape, quantiser);
        let bytes = bytes.expect("the plan holds what can be written");
        Encoded {
            format,
            stored: Stored::from_vec(shape, bytes, Vec::new()),
        }
    }

    /// What the rows from one on lose; the values may end before the last row does.
    fn loss(&self, values: &[f32], from: usize) -> Loss {
        let Stored { shape, bytes, .. } = &self.stored;
        let mut back = vec![0.0; shape.cols];
        let mut loss = Loss::default();
        for (row, values) in (from..).zip(values.chunks(shape.cols)) {
            match self.format.flavor {
                Some(flavor) => flavor.decode_row(bytes, &[], *shape, row, &mut back),
                None => (self.format.decode_row)(&self.stored, row, &mut back),
            }
            loss = loss.and(Loss::between(values, &back[..values.len()]));
        }
        loss
    }
}
