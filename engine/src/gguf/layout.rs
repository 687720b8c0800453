//! Where the tensors lie: inside the file, aligned, and not on top of each other.
#![forbid(unsafe_code)]

use super::directory::{Directory, TensorInfo};
use super::oddity::Oddities;
use crate::refusal::{Code, Refusal};

/// What everybody aligns to who does not say otherwise.
pub(super) const DEFAULT_ALIGNMENT: u64 = 32;

/// The parts of the file the rules compare tensors with.
pub(super) struct Frame {
    pub(super) alignment: u64,
    pub(super) data_start: u64,
    pub(super) file_len: u64,
}

/// Checks every rule about places, makes offsets absolute and fills in the gaps.
pub(super) fn settle(
    directory: &mut Directory,
    frame: &Frame,
    odd: &mut Oddities,
) -> Result<(), Refusal> {
    let tensors = directory.as_mut_slice();
    check_total(tensors, frame.alignment)?;
    for tensor in tensors.iter_mut() {
        tensor.offset = absolute(tensor, frame)?;
    }
    let mut order: Vec<u32> = (0..tensors.len() as u32).collect();
    if !tensors.is_sorted_by_key(|tensor| tensor.offset) {
        odd.note("TENSORS_UNORDERED", || {
            let detail = "data does not lie in the order of the tensor table";
            ("tensors".into(), detail.into())
        });
        order.sort_unstable_by_key(|&at| (tensors[at as usize].offset, at));
    }
    let mut covered = Covered {
        end: frame.data_start,
        at_most: frame.data_start,
        by: None,
    };
    for (position, &at) in order.iter().enumerate() {
        let tensor = &tensors[at as usize];
        let next = order
            .get(position + 1)
            .map(|&at| tensors[at as usize].offset);
        covered.check(tensor, tensors, frame, odd)?;
        covered.extend(tensor, at);
        let end = next.unwrap_or(frame.file_len).min(frame.file_len);
        tensors[at as usize].gap = end.saturating_sub(tensors[at as usize].offset);
    }
    covered.check_end(tensors, &order, frame, odd)
}

/// The running end of the data, walking the tensors in the order they lie in.
struct Covered {
    /// Everything before this is certainly taken.
    end: u64,
    /// Where the data before may end at the latest; later than `end` after contested types.
    at_most: u64,
    by: Option<u32>,
}

impl Covered {
    fn check(
        &self,
        tensor: &TensorInfo,
        tensors: &[TensorInfo],
        frame: &Frame,
        odd: &mut Oddities,
    ) -> Result<(), Refusal> {
        let start = tensor.offset;
        if start < self.end {
            let owner = &tensors[self.by.expect("something ends behind the start") as usize];
            let rule = format!("data that starts at byte {} or later", self.end);
            let found = format!("byte {start}, inside \"{}\"", owner.name);
            return Err(tensor.refuse(Code::TensorOverlap, "offset", rule, found));
        }
        let hole = start > self.padded(frame);
        if start >= frame.file_len && hole {
            let rule = format!("an offset inside the file's {} bytes", frame.file_len);
            return Err(tensor.refuse(Code::OffsetInvalid, "offset", rule, start));
        }
        if hole {
            odd.note("DATA_HOLE", || {
                let detail = format!("bytes {}..{start} belong to no tensor", self.at_most);
                (format!("tensors.\"{}\".offset", tensor.name), detail)
            });
        }
        let end = tensor
            .known_bytes()
            .map_or(start + 1, |bytes| start.saturating_add(bytes));
        if end > frame.file_len {
            return Err(past_end(tensor, tensors, end, frame));
        }
        Ok(())
    }

    /// Where the next tensor starts at the latest if nothing is left out.
    fn padded(&self, frame: &Frame) -> u64 {
        let padded = self.at_most.checked_next_multiple_of(frame.alignment);
        padded.unwrap_or(u64::MAX)
    }

    fn extend(&mut self, tensor: &TensorInfo, at: u32) {
        let known = tensor.known_bytes();
        let widest = known.unwrap_or_else(|| widest_reading(tensor));
        self.end = tensor.offset + known.unwrap_or(1);
        self.at_most = tensor.offset.saturating_add(widest);
        self.by = Some(at);
    }

    fn check_end(
        &self,
        tensors: &[TensorInfo],
        order: &[u32],
        frame: &Frame,
        odd: &mut Oddities,
    ) -> Result<(), Refusal> {
        let Some(&last) = order.last() else {
            return Ok(());
        };
        if frame.file_len > self.padded(frame) {
            odd.note("TRAILING_DATA", || {
                let field = format!("tensors.\"{}\".data", tensors[last as usize].name);
                let spare = frame.file_len - self.at_most;
                (field, format!("{spare} bytes follow the last tensor"))
            });
        }
        Ok(())
    }
}

/// The most bytes any reading of a contested type takes: four an element, or the padded rows of
/// the packings with a row stride, and room for a trailer.
fn widest_reading(tensor: &TensorInfo) -> u64 {
    let padded_rows = tensor
        .rows()
        .saturating_mul(tensor.cols().div_ceil(256))
        .saturating_mul(64);
    tensor
        .elements()
        .saturating_mul(4)
        .max(padded_rows)
        .saturating_add(64)
}

/// No reader survives sizes that add up to more than an `i64`.
fn check_total(tensors: &[TensorInfo], alignment: u64) -> Result<(), Refusal> {
    let mut total = 0u64;
    for tensor in tensors {
        let bytes = tensor.known_bytes().unwrap_or(1);
        let sum = bytes
            .checked_next_multiple_of(alignment)
            .and_then(|padded| padded.checked_add(total))
            .filter(|&sum| i64::try_from(sum).is_ok());
        total = sum.ok_or_else(|| {
            let rule = format!("all tensors together in {} bytes", i64::MAX);
            let found = format!("{bytes} bytes after {total}");
            tensor.refuse(Code::SizeOverflow, "dims", rule, found)
        })?;
    }
    Ok(())
}

/// The tensor's absolute offset, if it is one.
fn absolute(tensor: &TensorInfo, frame: &Frame) -> Result<u64, Refusal> {
    let relative = tensor.offset;
    if !relative.is_multiple_of(frame.alignment) {
        let rule = format!("a multiple of {}", frame.alignment);
        // Laid out for the default alignment, while the key says another: the key is wrong.
        return Err(if relative.is_multiple_of(DEFAULT_ALIGNMENT) {
            let refusal = tensor.refuse(Code::OffsetInvalid, "offset", rule, relative);
            refusal.hint("laid out for an alignment of 32? then general.alignment is wrong")
        } else {
            tensor.refuse(Code::OffsetUnaligned, "offset", rule, relative)
        });
    }
    frame
        .data_start
        .checked_add(relative)
        .filter(|&start| i64::try_from(start).is_ok())
        .ok_or_else(|| {
            let rule = format!("an offset inside the file's {} bytes", frame.file_len);
            tensor.refuse(Code::OffsetInvalid, "offset", rule, relative)
        })
}

fn past_end(tensor: &TensorInfo, tensors: &[TensorInfo], end: u64, frame: &Frame) -> Refusal {
    let whole = tensors
        .iter()
        .map(|tensor| {
            tensor
                .offset
                .saturating_add(tensor.known_bytes().unwrap_or(1))
        })
        .max();
    let rule = format!("data up to byte {end}");
    let found = format!("a file of {} bytes", frame.file_len);
    tensor
        .refuse(Code::DataPastEof, "data", rule, found)
        .hint(format!(
            "the file looks cut off: it should have at least {} bytes; download it again",
            whole.unwrap_or(end)
        ))
}
