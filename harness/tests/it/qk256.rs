//! The six committed files are found to be what they are, and decode to what their recipe says.

use std::path::Path;

use engine::bytes::{ModelBytes, Storage};
use engine::flavor::{Flavor, detect};
use engine::gguf::Gguf;
use engine::kernels::Kernel;
use engine::matrix::Matrix;
use harness::fixture::qk256::{Codes, FOLDER, Packing, RECIPES, Recipe};

const PACKED: &str = "tok_embeddings.weight";

fn open(recipe: &Recipe) -> Gguf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let path = root.join(FOLDER).join(recipe.name);
    let (bytes, _) = ModelBytes::open(&path, Storage::Read).expect("committed");
    let gguf = Gguf::parse(bytes).expect("valid");
    assert!(
        gguf.warnings.is_empty(),
        "{}: {:?}",
        recipe.name,
        gguf.warnings
    );
    gguf
}

/// The value of one element, from the format's description alone.
fn value(recipe: &Recipe, bytes: &[u8], row: usize, col: usize) -> f32 {
    const MEANING: [f32; 4] = [-2.0, -1.0, 1.0, 2.0];
    let code = |byte: u8, at: usize| MEANING[usize::from(byte >> (2 * at) & 3)];
    match recipe.packing {
        Packing::Qk256 => {
            let row_bytes = recipe.cols.div_ceil(256) * 64;
            code(bytes[row * row_bytes + col / 4], col % 4)
        }
        Packing::Bitnet32F16 => {
            let block = &bytes[(row * recipe.cols + col) / 32 * 10..][..10];
            let scale = half::f16::from_le_bytes([block[8], block[9]]).to_f32();
            code(block[col % 32 / 4], col % 4) * scale
        }
    }
}

// AC:AC1
#[test]
fn each_file_is_recognised() {
    for recipe in &RECIPES {
        let gguf = open(recipe);
        let tensor = gguf.tensors.get(PACKED).expect("listed");
        assert_eq!(
            tensor.dims,
            [recipe.cols as u64, recipe.rows as u64],
            "contiguous first"
        );
        let expected = match recipe.packing {
            Packing::Qk256 => Flavor::Qk256,
            Packing::Bitnet32F16 => Flavor::Bitnet32F16,
        };
        let detection = detect(&gguf, tensor, None).expect("one packing fits");
        assert_eq!(
            detection.flavor, expected,
            "{}: {}",
            recipe.name, detection.reason
        );
    }
}

// AC:AC2
#[test]
fn each_element_decodes_to_what_the_description_says() {
    for recipe in &RECIPES {
        let gguf = open(recipe);
        let tensor = gguf.tensors.get(PACKED).expect("listed");
        let bytes = gguf.region(tensor);
        let matrix = Matrix::from_tensor(&gguf, tensor, None, Kernel::Scalar).expect("readable");
        assert_eq!((matrix.rows(), matrix.cols()), (recipe.rows, recipe.cols));
        let mut decoded = vec![f32::NAN; recipe.cols];
        for row in 0..recipe.rows {
            matrix.decode_row(row, &mut decoded);
            for (col, &got) in decoded.iter().enumerate() {
                let expected = value(recipe, &bytes, row, col);
                assert_eq!(got, expected, "{} row {row} column {col}", recipe.name);
            }
        }
        if recipe.codes == Codes::Constant {
            let all = [-2.0, -1.0, 1.0, 2.0][recipe.seed as usize % 4];
            assert!(decoded.iter().all(|&v| v == all), "{}", recipe.name);
        }
    }
}
