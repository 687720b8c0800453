//! What is said about tensors that are missing, wrong, or of no use.

use engine::refusal::{Code, Refusal};
use engine::session::{Model, OpenOptions};

use crate::model::made;
use crate::model::random::{Format, Recipe, Tensor, file, tensors, vector};

/// Opens the model after its tensors were tampered with.
fn opened(recipe: &Recipe, tamper: impl Fn(&mut Vec<Tensor>)) -> Result<Model, Refusal> {
    let mut tensors = tensors(recipe);
    tamper(&mut tensors);
    Model::from_bytes(file(recipe, tensors), &OpenOptions::default())
}

fn refused(recipe: &Recipe, tamper: impl Fn(&mut Vec<Tensor>)) -> Refusal {
    match opened(recipe, tamper) {
        Err(refusal) => refusal,
        Ok(_) => panic!("a broken model was opened"),
    }
}

fn named<'a>(tensors: &'a mut [Tensor], name: &str) -> &'a mut Tensor {
    let found = tensors.iter_mut().find(|tensor| tensor.name == name);
    found.expect("the recipe has it")
}

#[test]
fn every_tensor_is_missed_by_name() {
    for arch in ["bitnet", "bitnet-25", "bitnet-b1.58", "llama"] {
        let recipe = Recipe::new(arch);
        for tensor in tensors(&recipe) {
            // Without an embedding the number of tokens is already in doubt.
            if tensor.name == "token_embd.weight" {
                continue;
            }
            let refusal = refused(&recipe, |all| all.retain(|other| other.name != tensor.name));
            assert_eq!(refusal.code, Code::MissingTensor, "{arch} {}", tensor.name);
            assert_eq!(refusal.field, format!("tensors.\"{}\"", tensor.name));
        }
    }
}

#[test]
fn a_matrix_of_another_shape_is_named_with_both_shapes() {
    let recipe = Recipe::new("bitnet-b1.58");
    let refusal = refused(&recipe, |all| {
        named(all, "blk.1.attn_q.weight").dims[1] = 64
    });
    assert_eq!(refusal.code, Code::ShapeMismatch);
    assert_eq!(refusal.field, "tensors.\"blk.1.attn_q.weight\".dims");
    let sides = (refusal.expected.as_str(), refusal.found.as_str());
    assert_eq!(sides, ("[128, 128]", "[128, 64]"));
    assert!(refusal.offset.is_some());
}

#[test]
fn norms_are_single_precision() {
    let recipe = Recipe::new("llama");
    let refusal = refused(&recipe, |all| {
        let norm = named(all, "blk.0.attn_norm.weight");
        norm.type_id = 1;
        norm.bytes.truncate(256);
    });
    assert_eq!(refusal.code, Code::DtypeMismatch);
    assert_eq!(refusal.field, "tensors.\"blk.0.attn_norm.weight\".type");
}

#[test]
fn a_head_of_its_own_is_used_ignored_or_refused() {
    let with_output = |arch| Recipe {
        output: Some(Format::F16),
        ..Recipe::new(arch)
    };
    let refusal = refused(&with_output("bitnet"), |_| {});
    assert_eq!(refusal.code, Code::UnknownTensor);
    assert!(refusal.field.contains("output.weight"));

    let model = opened(&with_output("bitnet-b1.58"), |_| {}).expect("known, and ignored");
    let names: Vec<_> = model.warnings().map(|warning| warning.name).collect();
    assert_eq!(names, ["IGNORED_TENSOR"]);

    let model = opened(&with_output("llama"), |_| {}).expect("used");
    assert_eq!(model.warnings().count(), 0);
}

#[test]
fn tensors_of_no_use_are_counted_in_one_warning() {
    let model = opened(&Recipe::new("llama"), |all| {
        all.push(vector("extra.weight", &[1.0]));
        all.push(vector("blk.0.attn_q.scale", &[1.0]));
    });
    let model = model.expect("opened all the same");
    let [warning] = model.warnings().collect::<Vec<_>>()[..] else {
        panic!("one warning");
    };
    assert_eq!((warning.name, warning.count), ("UNKNOWN_TENSOR", 2));
    assert_eq!(warning.field, "tensors.\"extra.weight\"");
}

#[test]
fn decisions_about_packings_are_kept_in_file_order() {
    let recipe = Recipe::new("bitnet-b1.58");
    let model = made(&recipe);
    let decided: Vec<&str> = model.detections().iter().map(|(n, _)| n.as_str()).collect();
    let in_file: Vec<&str> = model
        .gguf()
        .tensors
        .iter()
        .map(|t| t.name.as_str())
        .collect();
    let packed: Vec<&str> = in_file
        .into_iter()
        .filter(|name| decided.contains(name))
        .collect();
    assert_eq!(decided, packed);
    assert_eq!(decided.len(), 7 * recipe.layers);
}
