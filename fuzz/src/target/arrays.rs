//! Files of numbers: NumPy, safetensors, the base of llama-perplexity, raw.

use engine::encoding::float::Float;
use harness::io::array::Array;
use harness::io::kl_base::{CodedRow, Head, KlBase};
use harness::io::npy;

/// The first byte says what the rest is.
pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 4 {
        0 => numpy(bytes),
        1 => {
            let all = Array::in_order(bytes, &[Float::F32, Float::F16, Float::Bf16]);
            for (_, array) in all.into_iter().flatten() {
                filled(&array);
            }
        }
        2 => base(bytes),
        _ => {
            let (shape, bytes) = bytes.split_at(bytes.len().min(4));
            let shape: Vec<usize> = shape.iter().map(|&n| usize::from(n)).collect();
            if let Ok(array) = Array::from_raw(bytes, &shape) {
                filled(&array);
            }
        }
    }
}

fn filled(array: &Array) {
    assert_eq!(array.values.len(), array.shape.iter().product::<usize>());
}

fn bits(array: &Array) -> Vec<u32> {
    array.values.iter().map(|value| value.to_bits()).collect()
}

fn numpy(bytes: &[u8]) {
    let Ok(array) = Array::from_npy(bytes) else {
        return;
    };
    filled(&array);
    let again = numpy_of(&array.shape, &array.values);
    let again = Array::from_npy(&again).expect("as it was written");
    assert_eq!((&again.shape, bits(&again)), (&array.shape, bits(&array)));
}

fn numpy_of(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let mut file = Vec::new();
    npy::write_header(&mut file, shape).expect("memory");
    npy::write_values(&mut file, values).expect("memory");
    file
}

fn base(bytes: &[u8]) {
    let Ok(base) = KlBase::parse(bytes) else {
        return;
    };
    let mut again = Vec::new();
    base.head.write(&mut again).expect("memory");
    assert_eq!(bytes[..again.len()], again, "another head");
    for chunk in 0..base.head.chunks() {
        for row in base.chunk(chunk).into_iter().flatten() {
            assert_eq!(row.codes.len(), base.head.vocab_size);
        }
    }
}

/// A small one of each.
pub fn seeds() -> Vec<Vec<u8>> {
    let with = |kind: u8, bytes: Vec<u8>| [vec![kind], bytes].concat();
    let header = concat!(
        r#"{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"#,
        r#""b":{"dtype":"F32","shape":[1,1],"data_offsets":[4,8]}}"#,
    );
    let header = header.as_bytes();
    let length = (header.len() as u64).to_le_bytes();
    let mut base = Vec::new();
    let head = Head {
        length: 4,
        vocab_size: 3,
        tokens: vec![0, 1, 2, 1],
    };
    head.write(&mut base).expect("memory");
    let row = CodedRow {
        step: 0.5,
        least: -8.0,
        codes: vec![1, 2, 65535],
    };
    row.write(&mut base).expect("memory");
    vec![
        with(
            0,
            numpy_of(&[2, 3], &[1.0, -0.0, f32::NAN, f32::MIN, 1e-40, 7.5]),
        ),
        with(1, [&length[..], header, &[1; 8]].concat()),
        with(2, base),
        with(3, [&[1, 2, 1, 1][..], &[9; 8]].concat()),
    ]
}
