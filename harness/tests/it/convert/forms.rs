//! Every form that checkpoints have becomes the same file, in every type what it holds.

use std::fs;

use clap::ValueEnum;
use engine::checkpoint::TARGETS;
use engine::config::{Architecture, Config};
use engine::gguf::Gguf;
use engine::refusal::Code;
use harness::file::document::Document;
use harness::fixture::checkpoint::Form;
use harness::fixture::random::RandomShape;

use super::{MOBY, Made, options, parse};
use crate::program::{Folder, Harness, fixture};

#[test]
fn every_form_becomes_the_fixture_bit_for_bit() {
    for (model, shards) in [(MOBY, 1), ("moby-tiny/moby-tiny-bitnet.gguf", 3)] {
        let expected = fs::read(fixture(model)).expect("committed");
        for &form in Form::value_variants() {
            let made = Made::of(&fixture(model), form, shards);
            let (bytes, _) = made.convert(&options()).expect("sound");
            let same = bytes.iter().zip(&expected).take_while(|(a, b)| a == b);
            assert!(
                bytes == expected,
                "{model}, {form:?}: byte {} differs",
                same.count()
            );
        }
    }
}

#[test]
fn the_command_writes_the_fixture_and_says_what_became_of_each_tensor() {
    let made = Made::moby(Form::Multiply, 2);
    let out = Folder::new();
    let path = out.path().join("m.gguf");
    let answer = Harness::new("convert --name moby-tiny")
        .arg(made.path())
        .arg("-o")
        .arg(&path)
        .args("--json")
        .run()
        .exits(0);
    assert!(fs::read(&path).expect("written") == fs::read(fixture(MOBY)).expect("committed"));
    let told = answer.json();
    let query = &told["tensors"][2];
    assert_eq!(query["source"], "model.layers.0.self_attn.q_proj.weight");
    assert_eq!(query["how"], "unpacked");
    assert_eq!(query["values_changed"], 0);
}

#[test]
fn a_dry_run_says_the_sizes_and_writes_nothing() {
    let made = Made::moby(Form::Values, 1);
    let out = Folder::new();
    let path = out.path().join("m.gguf");
    let answer = Harness::new("convert --dry-run -o")
        .arg(&path)
        .arg(made.path())
        .args("--json")
        .run()
        .exits(0);
    assert!(!path.exists());
    let told = answer.json();
    let (bytes, written) = made.convert(&options()).expect("sound");
    let tensors = told["tensors"].as_array().expect("a list");
    for (planned, written) in tensors.iter().zip(&written) {
        assert_eq!(planned["bytes"], written.bytes, "{}", written.name);
    }
    assert_eq!(tensors.len(), written.len());
    let sum: u64 = written.iter().map(|tensor| tensor.bytes).sum();
    let head = parse(bytes.clone()).data_start;
    assert_eq!(
        sum + head,
        bytes.len() as u64,
        "these sizes need no padding"
    );
}

/// What a type cannot hold is counted, and what it can hold is not touched.
#[test]
fn every_type_holds_the_digits_and_tells_what_it_changed() {
    let made = Made::moby(Form::Values, 1);
    let exact = read(&made, "f32");
    for target in TARGETS.iter().filter(|target| !target.is_whole()) {
        let (document, written) = (read(&made, target.name), written(&made, target.name));
        for tensor in exact.tensors() {
            let (name, shape) = (&tensor.name, tensor.shape());
            let values = |document: &Document| {
                let mut document = document.clone();
                let format = document.tensor(name).expect("there").format.expect("known");
                format.decode(document.bytes(name).expect("there"), shape)
            };
            let (before, after) = (values(&exact), values(&document));
            let differ = before.iter().zip(&after).filter(|(a, b)| a != b).count();
            let said = written.iter().find(|one| one.name == *name).expect("told");
            assert_eq!(said.changed, differ as u64, "{} in {}", name, target.name);
            // Digits keep their signs, and zeros stay near zero, whatever becomes of their scale.
            let Some(scale) = said.scale else { continue };
            let mut pairs = before.iter().zip(&after);
            let kept = pairs.all(|(a, b)| a * b > 0.0 || (*a == 0.0 && b.abs() < scale / 4.0));
            assert!(kept, "{name} in {}", target.name);
        }
    }
}

/// TL1 and TL2 have tables for a few shapes only, which differ in every place of a weight.
#[test]
fn tables_are_written_for_the_shapes_they_are_of_and_others_are_refused() {
    let words = "layers=1 head_dim=96 kv_heads=16 group=1 width=1536 inner=4096 vocab=259 \
        context=128 embedding=f16 output=tied scales=no biases=no rope_factors=no seed=7";
    let document = |weights: &str| {
        let drawn = RandomShape::from_seed(7, Some(Architecture::Bitnet));
        let shape = drawn.changed(&format!("{words} weights={weights}"));
        shape
            .and_then(|shape| shape.document())
            .expect("a shape of the tables")
    };
    let folder = Folder::new();
    let path = folder.file("model.gguf", &document("i2_s-p128").file());
    let made = Made::of(&path, Form::Multiply, 1);
    for name in ["tl1", "tl2"] {
        let (bytes, _) = made.convert(&typed(name)).expect("sound");
        let mut back = Document::read(&parse(bytes)).expect("it can be read");
        let mut drawn = document(name);
        for matrix in ["attn_q", "ffn_up", "ffn_down"] {
            let matrix = format!("blk.0.{matrix}.weight");
            let [ours, theirs] =
                [&mut back, &mut drawn].map(|d| d.bytes(&matrix).expect("there").clone());
            assert!(ours == theirs, "{matrix} in {name}");
        }
    }
    let refusal = Made::moby(Form::Values, 1).refused(&typed("tl2"));
    assert_eq!(refusal.code, Code::BlockMismatch);
    assert!(refusal.expected.contains("tl2 has tables for"), "{refusal}");
}

fn written(made: &Made, target: &str) -> Vec<engine::checkpoint::Written> {
    made.convert(&typed(target)).expect("sound").1
}

fn read(made: &Made, target: &str) -> Document {
    let (bytes, _) = made.convert(&typed(target)).expect("sound");
    Document::read(&parse(bytes)).expect("it can be read")
}

fn typed(target: &str) -> engine::checkpoint::Options {
    let mut options = options();
    options.target = engine::checkpoint::Target::named(target).expect("a name");
    if !options.target.is_ternary() {
        options.table = options.target;
    }
    options
}

/// Rows of queries and keys are interleaved for an architecture that rotates neighbours, and
/// biases with them.
#[test]
fn a_llama_comes_back_with_its_rows_in_place() {
    comes_back("arch=llama width=256 biases=yes output=f16");
}

#[test]
fn a_qwen_comes_back_with_the_norms_of_its_heads() {
    comes_back("arch=qwen3 width=128 biases=no output=tied");
    comes_back("arch=qwen3 width=256 biases=yes output=f16");
}

fn comes_back(words: &str) {
    let others = "layers=2 head_dim=32 kv_heads=2 group=4 inner=256 vocab=259 context=128 \
        weights=i2_s-p128 embedding=f16 scales=no rope_factors=no rope_base=10000 \
        epsilon=0.00001 seed=7";
    let shape = RandomShape::from_seed(7, Some(Architecture::Llama));
    let shape = shape.changed(&format!("{words} {others}"));
    let model = shape
        .and_then(|shape| shape.document())
        .expect("a possible shape");
    let folder = Folder::new();
    let path = folder.path().join("model.gguf");
    fs::write(&path, model.file()).expect("written");
    for &form in Form::value_variants() {
        let made = Made::of(&path, form, 1);
        let (bytes, _) = made.convert(&options()).expect("sound");
        let gguf = parse(bytes);
        let config = |gguf: &Gguf| Config::from_gguf(gguf).expect("sound");
        assert_eq!(config(&gguf), config(&parse(model.file())));
        let mut back = Document::read(&gguf).expect("it can be read");
        assert_eq!(back.tensors().len(), model.tensors().len());
        for tensor in model.tensors() {
            let name = &tensor.name;
            let before = model.clone().bytes(name).expect("there").clone();
            assert!(
                *back.bytes(name).expect("there") == before,
                "{name}, {form:?}"
            );
        }
    }
}
