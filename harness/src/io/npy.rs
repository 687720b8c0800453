//! NumPy's file format, as far as logits need it: `float32` in C order is written, `float16` is
//! read as well, little-endian both.
#![forbid(unsafe_code)]

use std::io::{self, Write};

use engine::encoding::float::Float;

use super::array::decoded;

const MAGIC: &[u8; 8] = b"\x93NUMPY\x01\x00";
/// The values start at a multiple of this.
const ALIGNMENT: usize = 64;

/// Writes what comes before the values of an array of that shape.
pub fn write_header(out: &mut dyn Write, shape: &[usize]) -> io::Result<()> {
    let dims: String = shape.iter().map(|dim| format!("{dim}, ")).collect();
    // A tuple of one keeps its comma, longer ones lose it.
    let dims = match shape {
        [_] => dims.trim_end(),
        _ => dims.trim_end_matches(", "),
    };
    let dict = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({dims}), }}");
    let fixed = MAGIC.len() + 2;
    let padded = (fixed + dict.len() + 1).next_multiple_of(ALIGNMENT) - fixed;
    let length = u16::try_from(padded).map_err(|_| io::ErrorKind::InvalidInput)?;
    out.write_all(MAGIC)?;
    out.write_all(&length.to_le_bytes())?;
    writeln!(out, "{dict:<width$}", width = padded - 1)
}

/// Writes values after the header. The caller sees to it that they fill the shape.
pub fn write_values(out: &mut dyn Write, values: &[f32]) -> io::Result<()> {
    out.write_all(&Float::F32.encode(values))
}

/// Reads a file as NumPy writes it: its shape and its values, widened. The error is a sentence that
/// says what is wrong.
pub fn read(bytes: &[u8]) -> Result<(Vec<usize>, Vec<f32>), String> {
    const CUT: &str = "the header is cut off";
    let rest = bytes.strip_prefix(&MAGIC[..6]).ok_or("not a NumPy file")?;
    let ([version, _], rest) = rest.split_first_chunk().ok_or(CUT)?;
    let (length, rest) = if *version == 1 {
        let (length, rest) = rest.split_first_chunk().ok_or(CUT)?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk().ok_or(CUT)?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    let (header, data) = rest.split_at_checked(length).ok_or(CUT)?;
    let header = std::str::from_utf8(header).map_err(|_| "the header is not text")?;
    let whole = || {
        let header = header.trim_end();
        format!("not float32 or float16 in C order, save it with .astype('float32'): {header}")
    };
    let member = |name: &str| {
        let (_, rest) = header.split_once(name)?;
        let rest = rest.strip_prefix(['\'', '"'])?.trim_start();
        Some(rest.strip_prefix(':')?.trim_start())
    };
    let descr = member("descr").and_then(|rest| rest.strip_prefix(['\'', '"']));
    let (float, _) = [("<f4", Float::F32), ("<f2", Float::F16)]
        .into_iter()
        .find_map(|(name, float)| Some((float, descr?.strip_prefix(name)?)))
        .ok_or_else(whole)?;
    let c_order = member("fortran_order").is_some_and(|rest| rest.starts_with("False"));
    let dims = member("shape").and_then(|rest| Some(rest.strip_prefix('(')?.split_once(')')?.0));
    let dims = dims.filter(|_| c_order).ok_or_else(whole)?;
    let shape = dims
        .split(',')
        .map(str::trim)
        .filter(|dim| !dim.is_empty())
        .map(|dim| dim.parse().map_err(|_| format!("`{dim}` is no dimension")))
        .collect::<Result<Vec<usize>, _>>()?;
    let promised = shape
        .iter()
        .try_fold(float.element_bytes(), |bytes, &dim| bytes.checked_mul(dim));
    if promised != Some(data.len()) {
        return Err(format!(
            "the shape is {shape:?}, but {} bytes of values follow",
            data.len()
        ));
    }
    Ok((shape, decoded(float, data)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(shape: &[usize], values: &[f32]) -> Vec<u8> {
        let mut out = Vec::new();
        write_header(&mut out, shape).expect("memory");
        write_values(&mut out, values).expect("memory");
        out
    }

    #[test]
    fn the_header_is_what_numpy_writes() {
        let bytes = file(&[2, 3], &[0.0; 6]);
        let head = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, \
                     'shape': (2, 3), }";
        assert_eq!(&bytes[..head.len()], head);
        assert_eq!(bytes.len(), 128 + 24, "the values start at 128");
        assert_eq!(bytes[127], b'\n');
        let row = file(&[5], &[0.0; 5]);
        assert!(row.windows(4).any(|w| w == b"(5,)"), "a tuple of one");
    }

    #[test]
    fn a_header_in_another_order_says_the_same() {
        let whole = file(&[1, 2], &[1.0, 2.0]);
        let with = |header: &str| {
            let header = format!("{header:<117}\n");
            read(&[&whole[..10], header.as_bytes(), &whole[128..]].concat())
        };
        let sound = r#"{"shape": (1,2), "fortran_order":False, "descr": "<f4"}"#;
        assert_eq!(with(sound), Ok((vec![1, 2], vec![1.0, 2.0])));
        for wrong in [
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), }",
            "{'descr': '>f4', 'fortran_order': False, 'shape': (1, 2), }",
            "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }",
            "{'descr': '<f4', 'fortran_order': False}",
        ] {
            let refused = with(wrong).expect_err(wrong);
            assert!(refused.contains("astype"), "{wrong}: {refused}");
        }
    }

    #[test]
    fn what_is_written_is_read_to_the_bit() {
        let values = [1.5, -0.0, f32::from_bits(1), f32::MAX];
        let (shape, back) = read(&file(&[4, 1], &values)).expect("reads");
        assert_eq!(shape, [4, 1]);
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(&values));
        assert_eq!(read(&file(&[0, 7], &[])), Ok((vec![0, 7], vec![])));
    }

    #[test]
    fn a_damaged_file_is_refused_at_every_length() {
        let whole = file(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "cut to {length} bytes");
        }
        let huge = String::from_utf8_lossy(&whole[10..128]).replace("2, 2", "9, 9");
        let mut lie = whole.clone();
        lie[10..128].copy_from_slice(huge.as_bytes());
        assert!(read(&lie).is_err(), "the shape promises more than there is");
    }
}
