//! Which packing a tensor is found to be in, and what is said when none or several fit.
#![forbid(unsafe_code)]

use engine::bytes::ModelBytes;
use engine::encoding::float::Float;
use engine::flavor::{self, Detection, Flavor, Shape};
use engine::gguf::{Gguf, writer::Writer};
use engine::kernels::Kernel;
use engine::matrix::Matrix;
use engine::refusal::{Code, Refusal};

use crate::model::random::encoded;

const NAME: &str = "blk.0.attn_q.weight";

/// A tensor followed by another one, so that the file says where it ends.
struct Planted {
    type_id: u32,
    dims: Vec<u64>,
    bytes: Vec<u8>,
    followed: bool,
    sibling: Option<(&'static str, Vec<f32>)>,
}

impl Planted {
    fn new(type_id: u32, cols: u64, rows: u64, bytes: Vec<u8>) -> Self {
        Planted {
            type_id,
            dims: vec![cols, rows],
            bytes,
            followed: true,
            sibling: None,
        }
    }

    fn last_in_the_file(mut self) -> Self {
        self.followed = false;
        self
    }

    fn with_sibling(mut self, name: &'static str, scales: Vec<f32>) -> Self {
        self.sibling = Some((name, scales));
        self
    }

    fn file(&self) -> Gguf {
        let mut file = Writer::new(3);
        if let Some((name, scales)) = &self.sibling {
            let bytes = Float::F32.encode(scales);
            file = file.tensor(name, &[scales.len() as u64], 0, bytes);
        }
        file = file.tensor(NAME, &self.dims, self.type_id, self.bytes.clone());
        if self.followed {
            file = file.tensor("output.weight", &[8], 0, vec![0; 32]);
        }
        Gguf::parse(ModelBytes::from_vec(file.finish())).expect("a sound file")
    }

    fn detect(&self, forced: Option<Flavor>) -> Result<Detection, Refusal> {
        let gguf = self.file();
        let tensor = gguf.tensors.get(NAME).expect("just written");
        flavor::detect(&gguf, tensor, forced)
    }

    fn flavor(&self) -> Flavor {
        self.detect(None).unwrap_or_else(|e| panic!("{e}")).flavor
    }

    fn refusal(&self) -> Refusal {
        self.detect(None).expect_err("nothing fits")
    }
}

fn ternary(rows: usize, cols: usize) -> Vec<u8> {
    let weights: Vec<f32> = (0..rows * cols)
        .map(|i| ((i * 7 % 11 % 3) as f32 - 1.0) * 0.25)
        .collect();
    flavor::i2_s::encode(&weights, Shape { rows, cols }, flavor::i2_s_p128::width)
}

// AC:AC6
#[test]
fn i2_s_is_found_under_both_ids_and_p128_is_the_default() {
    for type_id in [26, 36] {
        let detection = Planted::new(type_id, 256, 64, ternary(64, 256)).detect(None);
        let detection = detection.expect("sound I2_S");
        assert_eq!(detection.flavor, Flavor::I2sP128);
        assert!(
            detection.reason.contains("--flavor overrides"),
            "{}",
            detection.reason
        );
        let possible = |c: &&flavor::Candidate| c.excluded.is_none() && !c.roomy;
        let possible: Vec<_> = detection.candidates.iter().filter(possible).collect();
        assert_eq!(possible.len(), 3, "{possible:?}");
        assert!(possible[0].facts[1].starts_with("scale 2.5e-1 at byte 4096"));
        assert_eq!(possible[0].bytes_needed, Some(64 * 256 / 4 + 32));
    }
}

#[test]
fn the_flag_chooses_among_the_possible_and_never_the_impossible() {
    let planted = Planted::new(36, 256, 64, ternary(64, 256));
    for flavor in [Flavor::I2sP64, Flavor::I2sP4r] {
        assert_eq!(
            planted.detect(Some(flavor)).expect("possible").flavor,
            flavor
        );
    }
    for (flavor, why) in [
        (
            Flavor::Bitnet32F16,
            "it needs 5120 bytes and there are 4128",
        ),
        (Flavor::Split32, "no sibling"),
        (Flavor::Tq2_0, "type id 36 does not stand for it"),
    ] {
        let refusal = planted.detect(Some(flavor)).expect_err("impossible");
        assert_eq!(refusal.code, Code::FlavorUnknown);
        assert!(refusal.found.contains(why), "{refusal}");
    }
}

#[test]
fn rows_of_sixty_four_are_i2_s_and_rows_of_sixty_are_not() {
    let complete = Planted::new(36, 64, 64, ternary(64, 64)).last_in_the_file();
    assert_eq!(complete.flavor(), Flavor::I2sP128);

    let mut cut = ternary(64, 64);
    cut.truncate(1024);
    let refusal = Planted::new(36, 64, 64, cut).last_in_the_file().refusal();
    assert_eq!(refusal.code, Code::DataPastEof, "{refusal}");
    assert_eq!(refusal.expected, "at least 1056 bytes, as i2_s-p128 needs");

    let sixty = Planted::new(36, 60, 64, vec![0x55; 992])
        .last_in_the_file()
        .refusal();
    assert_eq!(sixty.code, Code::I2sShape, "{sixty}");
    assert_eq!(sixty.found, "60");
}

#[test]
fn a_tensor_cut_short_by_the_next_one_overlaps_it() {
    let refusal = Planted::new(36, 64, 64, vec![0x55; 512]).refusal();
    assert_eq!(refusal.code, Code::TensorOverlap, "{refusal}");
}

#[test]
fn the_three_small_files_of_the_predecessor_are_what_they_are() {
    let qk256 = Planted::new(36, 256, 4, vec![0xaa; 256]);
    assert_eq!(qk256.flavor(), Flavor::Qk256);
    let tailed = Planted::new(36, 300, 3, vec![0; 384]);
    assert_eq!(tailed.flavor(), Flavor::Qk256);
    let block = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x3c];
    let bitnet32 = Planted::new(36, 64, 2, block.repeat(4));
    assert_eq!(bitnet32.flavor(), Flavor::Bitnet32F16);
    // The same without another tensor behind: no padding, the file just ends.
    for planted in [qk256, tailed, bitnet32] {
        let followed = planted.flavor();
        assert_eq!(planted.last_in_the_file().flavor(), followed);
    }
}

#[test]
fn a_sibling_with_a_scale_a_block_makes_it_split32() {
    let scales = vec![0.5; 4 * 8];
    for name in ["blk.0.attn_q.scales", "blk.0.attn_q.weight_scale"] {
        let planted = Planted::new(36, 256, 4, vec![0b11_10_01_00; 256]);
        let planted = planted.with_sibling(name, scales.clone());
        let detection = planted.detect(None).expect("a sibling is evidence");
        assert_eq!(detection.flavor, Flavor::Split32);
        assert_eq!(detection.scales.as_deref(), Some(name));
        let gguf = planted.file();
        let tensor = gguf.tensors.get(NAME).expect("just written");
        let matrix = Matrix::from_tensor(&gguf, tensor, None, Kernel::Scalar).expect("loads");
        let mut row = vec![0.0; 256];
        matrix.decode_row(3, &mut row);
        assert_eq!(row[..4], [-1.0, -0.5, 0.5, 1.0]);
    }
    // One scale for all is no scale a block: that is another format's `.scale`.
    let lone = Planted::new(36, 256, 4, vec![0xaa; 256]);
    let lone = lone.with_sibling("blk.0.attn_q.scale", vec![1.0]);
    assert_eq!(lone.flavor(), Flavor::Qk256);
}

#[test]
fn a_hole_behind_the_tensor_does_not_hide_i2_s() {
    let mut bytes = ternary(64, 256);
    bytes.extend([0; 4096]);
    let detection = Planted::new(36, 256, 64, bytes)
        .detect(None)
        .expect("sound");
    assert_eq!(detection.flavor, Flavor::I2sP128);
    assert!(detection.candidates[0].roomy);
}

#[test]
fn room_for_several_scales_betrays_a_threaded_quantiser() {
    let mut bytes = ternary(256, 256);
    bytes.extend([0; 3 * 32]);
    let refusal = Planted::new(36, 256, 256, bytes).refusal();
    assert_eq!(refusal.code, Code::FlavorUnknown);
    assert!(refusal.found.contains("room for 4 scales"), "{refusal}");
}

#[test]
fn a_code_three_and_an_absurd_scale_each_rule_i2_s_out() {
    let sound = ternary(64, 256);
    let mut three = sound.clone();
    three[77] |= 0b11;
    let mut infinite = sound.clone();
    infinite[4096..4100].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let mut negative = sound.clone();
    negative[4096..4100].copy_from_slice(&(-0.5f32).to_le_bytes());
    for (bytes, why) in [
        (three, "1 of 16384 two-bit codes are 3"),
        (infinite, "would be inf"),
        (negative, "would be -5e-1"),
    ] {
        // Any bytes can be QK256, so bytes that only it explains, with some to spare, are refused
        // unless it is asked for.
        let planted = Planted::new(36, 256, 64, bytes);
        let refusal = planted.refusal();
        assert_eq!(refusal.code, Code::FlavorUnknown);
        assert!(refusal.found.contains(why), "{refusal}");
        let asked = planted.detect(Some(Flavor::Qk256)).expect("possible");
        assert_eq!(asked.flavor, Flavor::Qk256);
    }
}

#[test]
fn bytes_that_several_packings_explain_are_refused_with_the_flag() {
    // 2 × 256: I2_S and BitNet32-F16 both take 160 bytes; zeros are codes and scales in both.
    let mut bytes = vec![0u8; 160];
    bytes[128..132].copy_from_slice(&1.0f32.to_le_bytes());
    let refusal = Planted::new(36, 256, 2, bytes).refusal();
    assert_eq!(refusal.code, Code::FlavorAmbiguous, "{refusal}");
    let hint = refusal.hint.expect("the way out");
    assert!(
        hint.contains("--flavor") && hint.contains("bitnet32-f16"),
        "{hint}"
    );
}

#[test]
fn tq_ids_mean_what_they_say_if_every_scale_is_finite() {
    let shape = Shape { rows: 2, cols: 512 };
    let weights: Vec<f32> = (0..1024).map(|i| (i % 3) as f32 - 1.0).collect();
    let tq1_0 = encoded("tq1_0", &weights, shape);
    let mut tq2_0 = encoded("tq2_0", &weights, shape);
    assert_eq!(Planted::new(34, 512, 2, tq1_0).flavor(), Flavor::Tq1_0);
    assert_eq!(
        Planted::new(35, 512, 2, tq2_0.clone()).flavor(),
        Flavor::Tq2_0
    );
    tq2_0[66 + 65] = 0x7c; // the upper byte of an infinite f16
    let refusal = Planted::new(35, 512, 2, tq2_0).refusal();
    assert_eq!(refusal.code, Code::FlavorUnknown, "{refusal}");
    assert!(refusal.found.contains("block 1 is inf"), "{refusal}");
}

#[test]
fn thirty_two_bit_integers_are_not_taken_for_weights() {
    let refusal = Planted::new(26, 128, 4, vec![1; 128 * 4 * 4]).refusal();
    assert_eq!(refusal.code, Code::FlavorUnknown);
    assert!(refusal.found.contains("32-bit integer"), "{refusal}");
}

#[test]
fn the_trained_model_is_p128_and_its_first_weights_are_the_checkpoints() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fixtures/moby-tiny/moby-tiny-b158.gguf"
    );
    let bytes = ModelBytes::from_vec(std::fs::read(path).expect("a committed file"));
    let gguf = Gguf::parse(bytes).expect("a sound file");
    let mut ternary_tensors = 0;
    for tensor in gguf.tensors.iter().filter(|tensor| tensor.type_id == 36) {
        let detection = flavor::detect(&gguf, tensor, None).expect("a published packing");
        assert_eq!(detection.flavor, Flavor::I2sP128, "{}", tensor.name);
        ternary_tensors += 1;
    }
    assert_eq!(ternary_tensors, 28, "seven a layer, four layers");
    let tensor = gguf.tensors.get(NAME).expect("every model has it");
    let matrix = Matrix::from_tensor(&gguf, tensor, None, Kernel::Scalar).expect("loads");
    let mut row = vec![0.0; 256];
    matrix.decode_row(0, &mut row);
    // Signs and scale as they stand in the checkpoint the file was made from.
    let signs = [1.0, -1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, -1.0, 0.0];
    assert_eq!(row[..12], signs.map(|sign| sign * row[0]));
    assert_eq!(row[0].to_bits(), 0x3e21_28da);
    matrix.decode_row(255, &mut row);
    let signs = [
        0.0, 0.0, -1.0, 1.0, 1.0, -1.0, 0.0, 0.0, 1.0, -1.0, 1.0, 1.0,
    ];
    assert_eq!(row[224..236], signs.map(|sign| sign * row[227]));
}

/// For every shape there are kernels for: what I2_S says, both lookup-table packings say again.
#[test]
fn weights_go_through_tl1_and_tl2_and_back_without_loss() {
    let mut shapes = 0;
    for (rows, cols) in [(1536, 1536), (1024, 4096), (3200, 3200)] {
        let shape = Shape { rows, cols };
        let values: Vec<f32> = (0..rows * cols)
            .map(|i| ((i * 7 + i / 11 * 5 + i / 1000) % 3) as f32 - 1.0)
            .map(|sign| sign * 0.375)
            .collect();
        for (format, type_id) in [(&engine::format::TL1, 38), (&engine::format::TL2, 39)] {
            let quantiser = engine::encoding::Quantiser::default();
            let bytes = format
                .encode_matrix(&values, shape, &quantiser)
                .expect("a known shape");
            let planted = Planted::new(type_id, cols as u64, rows as u64, bytes);
            let gguf = planted.file();
            let tensor = gguf.tensors.get(NAME).expect("just written");
            let (matrix, found) =
                Matrix::with_evidence(&gguf, tensor, None, Kernel::Scalar).expect("loads");
            assert_eq!(Some(found.expect("decided").flavor), format.flavor);
            let mut row = vec![0.0; cols];
            for (number, expected) in values.chunks_exact(cols).enumerate() {
                matrix.decode_row(number, &mut row);
                assert_eq!(row, expected, "{} row {number}", format.name);
            }
        }
        shapes += 1;
    }
    assert_eq!(shapes, 3);
}
