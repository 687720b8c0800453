//! Whose file it is: told by what only one writer writes, refused where two would have written it,
//! and read to the values that were meant.

use engine::bytes::ModelBytes;
use engine::gguf::Gguf;
use engine::gguf::dialect::Dialect;
use engine::kernels::Kernel;
use engine::matrix::Matrix;
use engine::refusal::{Code, Refusal};
use half::f16;

use crate::builder::{Built, Draft, text, u32};

const NAME: &str = "blk.0.ffn_up.weight";

/// A file with one tensor.
fn one(type_id: u32, dims: &[u64], bytes: Vec<u8>) -> Draft {
    let mut draft = Draft::new();
    draft.tensor(NAME, dims, type_id, bytes);
    draft
}

fn parse(built: Built) -> Result<Gguf, Refusal> {
    Gguf::parse(ModelBytes::from_vec(built.bytes))
}

fn sound(draft: &Draft) -> Gguf {
    parse(draft.build()).unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn read_as(draft: &Draft, dialect: Dialect) -> Result<Gguf, Refusal> {
    Gguf::parse_as(ModelBytes::from_vec(draft.build().bytes), Some(dialect))
}

/// Every value of the one tensor.
fn values(gguf: &Gguf) -> Result<Vec<f32>, Refusal> {
    let tensor = gguf.tensors.get(NAME).expect("the one there is");
    let matrix = Matrix::from_tensor(gguf, tensor, None, Kernel::Scalar)?;
    let mut values = vec![0.0; matrix.rows() * matrix.cols()];
    for (row, out) in values.chunks_exact_mut(matrix.cols()).enumerate() {
        matrix.decode_row(row, out);
    }
    Ok(values)
}

/// A ternary block of 128: 32 bytes of codes, and the scale in front or behind.
fn ternary(scale: f32, behind: bool) -> Vec<u8> {
    let codes = (0..32u8).map(|i| [0b10_01_00_10, 0b10_00_01_01, 0b00_10_10_00][i as usize % 3]);
    let scale = f16::from_f32(scale).to_le_bytes();
    let codes: Vec<u8> = codes.collect();
    if behind {
        [codes.as_slice(), &scale].concat()
    } else {
        [scale.as_slice(), &codes].concat()
    }
}

#[test]
fn number_42_is_three_things_and_size_and_scales_tell_which() {
    for (behind, dialect) in [(true, Dialect::OxiBonsai), (false, Dialect::PrismMl)] {
        let bytes: Vec<u8> = (1..=32)
            .flat_map(|i| ternary(i as f32 / 64.0, behind))
            .collect();
        let gguf = sound(&one(42, &[256, 16], bytes));
        assert_eq!(gguf.spoken.dialect, Some(dialect), "{:?}", gguf.spoken);
        let first = values(&gguf).expect("readable");
        let unit = 1.0 / 64.0;
        assert_eq!(first[..6], [unit, -unit, 0.0, unit, 0.0, 0.0]);
        assert_eq!(
            first[128],
            2.0 * unit,
            "the second block has a scale of its own"
        );
    }
    let upstream = [[0x00, 0x3c].as_slice(), &[0b01_10_00_01; 16]].concat();
    let gguf = sound(&one(42, &[64, 4], upstream.repeat(4)));
    assert_eq!(gguf.spoken.dialect, Some(Dialect::Ggml));
    assert_eq!(values(&gguf).expect("Q2_0")[..4], [0.0, -1.0, 1.0, 0.0]);
}

#[test]
fn what_two_writers_would_have_written_is_refused_with_both_and_read_as_either() {
    // Codes that could be scales, and scales that could be codes.
    let block = [[0x00, 0x2c].as_slice(), &[0x2c; 32]].concat();
    let draft = one(42, &[128, 32], block.repeat(32));
    let gguf = sound(&draft);
    assert_eq!(gguf.spoken.dialect, None, "{:?}", gguf.spoken);
    let refusal = values(&gguf).expect_err("undecided");
    assert_eq!(refusal.code, Code::DialectAmbiguous);
    let said = refusal.to_string();
    assert!(said.contains("TQ2_0_G128 in oxibonsai"), "{said}");
    assert!(
        said.contains("--dialect oxibonsai|oxibonsai-0.1|prismml"),
        "{said}"
    );
    let [oxibonsai, prism] = [Dialect::OxiBonsai, Dialect::PrismMl]
        .map(|dialect| values(&read_as(&draft, dialect).expect("possible")).expect("readable"));
    assert_ne!(oxibonsai, prism);
    let refusal = read_as(&draft, Dialect::Ggml).err().expect("impossible");
    assert_eq!(refusal.code, Code::DialectUnknown);
    assert!(refusal.found.contains("1088 bytes"), "{refusal}");
}

#[test]
fn a_version_that_is_a_text_and_unpadded_data_are_oxibonsai_s() {
    let mut draft = Draft::new();
    draft.alignment = 1;
    draft.set("general.quantization_version", text("F8_E4M3"));
    draft.tensor(
        "output_norm.weight",
        &[3],
        0,
        [1.0f32, 2.0, 3.0].map(f32::to_le_bytes).concat(),
    );
    let block = [[0x38; 32].as_slice(), &[0x00, 0x38]].concat();
    draft.tensor(NAME, &[32, 3], 43, block.repeat(3));
    let built = draft.build();
    // Its data section is aligned, and nothing in it.
    let at = built.place("data.start") as usize;
    let mut bytes = built.bytes;
    let pad = at.next_multiple_of(32) - at;
    bytes.splice(at..at, vec![0; pad]);
    let gguf = Gguf::parse(ModelBytes::from_vec(bytes)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(gguf.spoken.dialect, Some(Dialect::OxiBonsai));
    let notes = gguf.spoken.notes.join("; ");
    assert!(notes.contains("not padded"), "{notes}");
    assert_eq!(values(&gguf).expect("readable"), [0.5; 96]);
}

/// Without a sign of OxiBonsai an offset must be aligned as ever.
#[test]
fn unpadded_data_alone_is_a_damaged_file() {
    let mut draft = Draft::new();
    draft.tensor("output_norm.weight", &[3], 0, vec![0; 12]);
    draft.tensor(NAME, &[32, 1], 8, vec![0; 34]);
    draft.find(NAME).offset = Some(12);
    let refusal = parse(draft.build()).err().expect("refused");
    assert_eq!(refusal.code, Code::OffsetUnaligned);
}

#[test]
fn int8_that_says_it_is_f32_is_found_with_its_shape() {
    let (rows, cols) = (24usize, 96usize);
    let mut bytes: Vec<u8> = (0..rows * cols).map(|i| (i * 91 % 255) as u8).collect();
    bytes
        .iter_mut()
        .for_each(|q| *q = if *q == 0x80 { 0 } else { *q });
    for row in bytes.chunks_exact_mut(cols) {
        row[7] = 0x81; // −127
    }
    bytes.extend((0..rows).flat_map(|row| (0.001 * (row + 1) as f32).to_le_bytes()));
    let mut draft = one(0, &[bytes.len() as u64 / 4], bytes.clone());
    draft.set("general.quantization_version", text("INT8_PER_CHANNEL"));
    let gguf = sound(&draft);
    assert_eq!(
        gguf.spoken.dialect,
        Some(Dialect::OxiBonsai01),
        "{:?}",
        gguf.spoken
    );
    let read = values(&gguf).expect("readable");
    assert_eq!(read.len(), rows * cols);
    assert_eq!(read[7], -127.0 * 0.001);
    let last = (rows - 1) * cols + 8;
    let scale = 0.001 * rows as f32;
    assert_eq!(read[last], f32::from(bytes[last].cast_signed()) * scale);
    // The same bytes from somebody else are floats, whatever they are worth.
    let plain = sound(&one(0, &[bytes.len() as u64 / 4], bytes));
    assert_eq!(plain.spoken.dialect, Some(Dialect::Ggml));
}

#[test]
fn signs_that_0_1_negated_cannot_be_told_but_by_a_norm() {
    let plus = [[0x00, 0x3c].as_slice(), &[0xff; 16]].concat();
    let mut draft = one(41, &[128, 1], plus.clone());
    draft.set("general.quantization_version", text("Q1_0G128"));
    let gguf = sound(&draft);
    assert_eq!(gguf.spoken.dialect, None);
    let signs = |dialect| values(&read_as(&draft, dialect).expect("possible")).expect("readable");
    assert_eq!(signs(Dialect::OxiBonsai), [1.0; 128]);
    assert_eq!(signs(Dialect::OxiBonsai01), [-1.0; 128]);
    for (norm, dialect) in [
        (plus.clone(), Dialect::OxiBonsai),
        (vec![0; 18], Dialect::OxiBonsai01),
    ] {
        let mut told = draft.clone();
        told.tensor("output_norm.weight", &[128], 41, norm);
        assert_eq!(sound(&told).spoken.dialect, Some(dialect));
    }
    // Upstream's file has no such text, and one reading.
    let upstream = sound(&one(41, &[128, 1], plus));
    assert_eq!(upstream.spoken.dialect, Some(Dialect::Ggml));
}

/// BitNet-rs believed in 12 bytes more of header, and its converter wrote them.
#[test]
fn a_header_of_36_bytes_is_read_and_told() {
    let mut draft = Draft::new();
    draft.set("general.architecture", text("bitnet"));
    draft.set("bitnet.quantization_type", text("f16"));
    draft.tensor(
        NAME,
        &[2, 3],
        1,
        [0x3c00u16, 0, 0, 0, 0, 0x4000]
            .map(u16::to_le_bytes)
            .concat(),
    );
    let built = draft.build();
    let (table, start) = (
        built.place("tensors.end") as usize,
        built.place("data.start") as usize,
    );
    let data_start = (table + 12).next_multiple_of(32);
    let mut bytes = built.bytes[..24].to_vec();
    bytes.extend(32u32.to_le_bytes());
    bytes.extend((data_start as u64).to_le_bytes());
    bytes.extend(&built.bytes[24..table]);
    bytes.resize(data_start, 0);
    bytes.extend(&built.bytes[start..]);
    let gguf = Gguf::parse(ModelBytes::from_vec(bytes)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(gguf.spoken.dialect, Some(Dialect::BitnetRs));
    assert_eq!(
        gguf.metadata.string("general.architecture"),
        Ok(Some("bitnet"))
    );
    assert!(
        gguf.spoken.notes[0].contains("36 bytes"),
        "{:?}",
        gguf.spoken.notes
    );
    assert_eq!(
        values(&gguf).expect("readable"),
        [1.0, 0.0, 0.0, 0.0, 0.0, 2.0]
    );
}

#[test]
fn numbers_beyond_upstream_s_are_whoever_has_them() {
    let ik = sound(&one(135, &[64, 2], vec![0; 40]));
    assert_eq!(ik.spoken.dialect, Some(Dialect::Ik));
    let refusal = values(&ik).expect_err("named, and not read");
    assert_eq!(refusal.code, Code::DtypeMismatch);
    assert!(refusal.found.contains("IQ2_BN"), "{refusal}");
    let prism = sound(&one(142, &[128, 1], ternary(0.5, false)));
    assert_eq!(prism.spoken.dialect, Some(Dialect::PrismMl));
    let refusal = parse(one(150, &[32, 1], vec![0; 34]).build())
        .err()
        .expect("unknown");
    assert_eq!(refusal.code, Code::TensorTypeUnknown);
    let rs = sound(&one(24, &[256, 1], vec![1; 82]));
    assert_eq!(
        rs.spoken.dialect,
        Some(Dialect::BitnetRs),
        "82 bytes are no I8"
    );
}

/// A file that everybody reads alike stays what it was, and a chosen dialect changes nothing.
#[test]
fn common_files_are_nobody_s_in_particular() {
    let mut draft = one(
        8,
        &[32, 2],
        [[0x00, 0x3c].as_slice(), &[5; 32]].concat().repeat(2),
    );
    draft.set("general.quantization_version", u32(2));
    let gguf = sound(&draft);
    assert_eq!(gguf.spoken.dialect, Some(Dialect::Ggml));
    assert_eq!(gguf.spoken.reason, "nothing speaks for any other");
    for dialect in Dialect::ALL {
        let read = read_as(&draft, dialect).expect("possible");
        assert_eq!(values(&read).expect("readable"), [5.0; 64]);
    }
}
