//! The small model for libraries that do not know I2_S: the same file, its ternary matrices as F32.
#![forbid(unsafe_code)]

use std::path::Path;

use tempfile::NamedTempFile;

const F32: u32 = 0;
const I2_S: u32 = 36;
const ALIGNMENT: usize = 32;

/// The widened copy, gone when it is dropped.
pub fn widened(original: &Path) -> NamedTempFile {
    let bytes = std::fs::read(original).expect("the fixture is readable");
    let file = NamedTempFile::new().expect("the temporary folder is writable");
    std::fs::write(file.path(), widen(&bytes)).expect("the temporary folder is writable");
    file
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        self.at += n;
        &self.bytes[self.at - n..self.at]
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> usize {
        u64::from_le_bytes(self.take(8).try_into().unwrap()) as usize
    }

    fn skip_string(&mut self) {
        let length = self.u64();
        self.take(length);
    }

    fn skip_value(&mut self, kind: u32) {
        match kind {
            0 | 1 | 7 => drop(self.take(1)),
            2 | 3 => drop(self.take(2)),
            4..=6 => drop(self.take(4)),
            8 => self.skip_string(),
            9 => {
                let element = self.u32();
                (0..self.u64()).for_each(|_| self.skip_value(element));
            }
            10..=12 => drop(self.take(8)),
            other => panic!("the fixture has a value of type {other}"),
        }
    }
}

struct Tensor<'a> {
    name_and_dims: &'a [u8],
    n: usize,
    kind: u32,
    offset: usize,
}

fn widen(bytes: &[u8]) -> Vec<u8> {
    let mut cursor = Cursor { bytes, at: 8 };
    let (n_tensors, n_values) = (cursor.u64(), cursor.u64());
    for _ in 0..n_values {
        cursor.skip_string();
        let kind = cursor.u32();
        cursor.skip_value(kind);
    }
    let mut out = bytes[..cursor.at].to_vec();
    let tensors: Vec<_> = (0..n_tensors).map(|_| tensor(&mut cursor)).collect();
    let data = &bytes[cursor.at.next_multiple_of(ALIGNMENT)..];
    let ends = tensors.iter().skip(1).map(|t| t.offset).chain([data.len()]);
    let mut new_data = Vec::new();
    for (tensor, end) in tensors.iter().zip(ends) {
        let stored = &data[tensor.offset..end];
        let is_ternary = tensor.kind == I2_S;
        out.extend(tensor.name_and_dims);
        out.extend((if is_ternary { F32 } else { tensor.kind }).to_le_bytes());
        out.extend((new_data.len() as u64).to_le_bytes());
        if is_ternary {
            new_data.extend(
                decode(stored, tensor.n)
                    .into_iter()
                    .flat_map(f32::to_le_bytes),
            );
        } else {
            new_data.extend(stored);
        }
        new_data.resize(new_data.len().next_multiple_of(ALIGNMENT), 0);
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    out.extend(new_data);
    out
}

fn tensor<'a>(cursor: &mut Cursor<'a>) -> Tensor<'a> {
    let start = cursor.at;
    cursor.skip_string();
    let n = (0..cursor.u32()).map(|_| cursor.u64()).product();
    let name_and_dims = &cursor.bytes[start..cursor.at];
    Tensor {
        name_and_dims,
        n,
        kind: cursor.u32(),
        offset: cursor.u64(),
    }
}

fn decode(stored: &[u8], n: usize) -> Vec<f32> {
    let scale = f32::from_le_bytes(stored[n / 4..n / 4 + 4].try_into().unwrap());
    let code = |i: usize| stored[32 * (i / 128) + i % 32] >> (6 - 2 * (i % 128 / 32)) & 3;
    (0..n).map(|i| (f32::from(code(i)) - 1.0) * scale).collect()
}
