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
/// Pieces in memory at once, for each thread.
const PIECES_AT_ONCE: usize = 4;

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

/// A piece of a tensor on its way.
#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    loss: Loss,
}

impl Encoder<'_> {
    /// Gives the loss. More or fewer bytes than were planned are an error of the data section.
    fn write<W: Write>(
        &mut self,
        decoded: &dyn Decoded,
        out: &mut Data<W>,
    ) -> Result<Loss, ExportError> {
        let Shape { rows, cols } = self.entry.shape;
        let in_pieces =
            self.entry.padding == 0 && matches!(self.entry.format.encode, Encode::Rows(_));
        let rows_a_piece = if in_pieces {
            (PIECE / cols).max(1)
        } else {
            rows
        };
        let pieces = rows.div_ceil(rows_a_piece);
        let mut loss = Loss::default();
        let at_once = self.pool.threads() * PIECES_AT_ONCE;
        for first in (0..pieces).step_by(at_once) {
            let mut batch: Vec<Piece> = Vec::new();
            batch.resize_with(at_once.min(pieces - first), Piece::default);
            let (entry, quantiser) = (self.entry, self.quantiser);
            self.pool.over_parts(&mut batch, 1, |i, piece| {
                let start = (first + i) * rows_a_piece;
                let end = rows.min(start + rows_a_piece);
                let mut values = vec![0.0; (end - start) * cols];
                for (row, out) in (start..end).zip(values.chunks_exact_mut(cols)) {
                    decoded.row(row, out);
                }
                piece[0] = encode(entry, &quantiser, values, end - start);
            });
            for piece in batch {
                out.put(&piece.bytes)?;
                loss = loss.and(piece.loss);
            }
        }
        Ok(loss)
    }
}

/// Some rows, and what they lose.
fn encode(entry: &Entry, quantiser: &Quantiser, mut values: Vec<f32>, rows: usize) -> Piece {
    let count = values.len();
    values.resize(count + entry.padding, 0.0);
    let shape = if entry.padding == 0 {
        Shape {
            rows,
            cols: entry.shape.cols,
        }
    } else {
        // Padded as one long row.
        Shape {
            rows: 1,
            cols: values.len(),
        }
    };
    let bytes = entry.format.encode_matrix(&values, shape, quantiser);
    let bytes = bytes.expect("the plan holds what can be written");
    let back = decode(entry.format, shape, bytes.clone());
    Piece {
        loss: Loss::between(&values[..count], &back[..count]),
        bytes,
    }
}

fn decode(format: &Format, shape: Shape, bytes: Vec<u8>) -> Vec<f32> {
    let mut values = vec![0.0; shape.rows * shape.cols];
    match format.flavor {
        Some(flavor) => {
            for (row, out) in values.chunks_exact_mut(shape.cols).enumerate() {
                flavor.decode_row(&bytes, &[], shape, row, out);
            }
        }
        None => {
            let stored = Stored::from_vec(shape, bytes, Vec::new());
            for (row, out) in values.chunks_exact_mut(shape.cols).enumerate() {
                (format.decode_row)(&stored, row, out);
            }
        }
    }
    values
}
