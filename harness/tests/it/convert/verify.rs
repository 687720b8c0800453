//! `--verify` and `--against`: what was converted well is verified, and every planted fault is
//! told by the question that it is a fault for.

use engine::config::Architecture;
use harness::file::document::Document;
use harness::fixture::checkpoint::Form;
use serde_json::Value;

use super::{MOBY, Made};
use crate::program::{Folder, Harness, document, fixture};

/// Verifies a changed fixture against its checkpoint.
fn against(change: impl FnOnce(&mut Document), code: i32) -> Value {
    let made = Made::moby(Form::Multiply, 1);
    let mut document = document(MOBY);
    change(&mut document);
    let folder = Folder::new();
    let path = folder.file("changed.gguf", &document.file());
    let answer = Harness::new("convert")
        .arg(made.path())
        .arg("--against")
        .arg(&path);
    let answer = answer.args("--json").run().exits(code);
    answer.json()["verified"].clone()
}

#[test]
fn a_sound_conversion_is_verified_to_the_bit() {
    let found = against(|_| (), 0);
    assert_eq!(found["weights"]["changed"], 0);
    assert_eq!(found["weights"]["tensors"], 46);
    let (logits, equal) = (
        &found["in_floats"]["logits"],
        &found["in_floats"]["bit_equal"],
    );
    assert_eq!(logits, equal);
    assert!(logits.as_u64().is_some_and(|logits| logits > 10_000));
    let cosine = found["as_it_runs"]["least_cosine"].as_f64();
    assert!(
        cosine.is_some_and(|cosine| cosine > 0.999 && cosine < 1.0),
        "{cosine:?}"
    );
    let surprise = found["as_it_runs"]["surprise"][1]
        .as_f64()
        .expect("a number");
    let nothing = found["as_it_runs"]["surprise_of_nothing"]
        .as_f64()
        .expect("a number");
    assert!(
        surprise < nothing - 1.0,
        "{surprise} nats, and {nothing} of what knows nothing"
    );
}

#[test]
fn a_wrong_scale_is_named() {
    let name = "blk.2.ffn_up.weight";
    let found = against(
        |document| {
            document
                .edit(name, |grid| grid.multiply(1.001))
                .expect("digits")
        },
        1,
    );
    assert_eq!(found["weights"]["beyond"]["tensor"], name);
    assert_eq!(found["weights"]["beyond"]["format"], "i2_s-p128");
    assert_eq!(
        found["in_floats"]["first_node"]["node"],
        "ffn_up-2|MUL_MAT#0"
    );
}

#[test]
fn a_wrong_hyper_parameter_is_found_at_its_node() {
    let base = |document: &mut Document| document.set("bitnet-b1.58.rope.freq_base", 10_000_f32);
    let found = against(base, 1);
    assert_eq!(found["weights"]["changed"], 0, "no weight is wrong");
    let node = found["in_floats"]["first_node"]["node"]
        .as_str()
        .expect("a node");
    assert!(node.contains("ROPE"), "{node}");
}

#[test]
fn a_tensor_that_is_missing_or_moved_is_named() {
    let swap = |document: &mut Document| {
        let (one, two) = ("blk.0.attn_k.weight", "blk.0.attn_v.weight");
        let first = document.bytes(one).expect("there").clone();
        let second = std::mem::replace(document.bytes(two).expect("there"), first);
        *document.bytes(one).expect("there") = second;
    };
    let found = against(swap, 1);
    assert_eq!(found["weights"]["first"]["tensor"], "blk.0.attn_k.weight");
    assert_eq!(found["in_floats"]["first_node"]["node"], "Kcur-0|MUL_MAT#0");
}

#[test]
fn what_a_type_loses_is_told_and_no_fault() {
    let made = Made::moby(Form::Values, 1);
    let folder = Folder::new();
    let path = folder.path().join("m.gguf");
    for kind in ["q8_0", "tq1_0"] {
        let convert = Harness::new("convert")
            .arg(made.path())
            .arg("-o")
            .arg(&path);
        let convert = convert.args("--verify --type").arg(kind);
        let found = convert.args("--json").run().exits(0).json();
        let weights = &found["verified"]["weights"];
        assert!(
            weights["changed"]
                .as_u64()
                .is_some_and(|changed| changed > 0),
            "{kind}"
        );
        assert_eq!(weights["beyond"], Value::Null, "{kind}");
        let told: u64 = found["tensors"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|tensor| tensor["values_changed"].as_u64().expect("a number"))
            .sum();
        assert_eq!(weights["changed"], told, "{kind}: as many as were told");
    }
}

#[test]
fn another_activation_is_found_although_every_weight_is_right() {
    let made = Made::moby(Form::Values, 1);
    let other = fixture("moby-tiny/moby-tiny-bitnet.gguf");
    let answer = Harness::new("convert")
        .arg(made.path())
        .arg("--against")
        .arg(&other);
    let answer = answer.args("--json").run().exits(1).json();
    let found = &answer["verified"];
    assert_eq!(found["weights"]["changed"], 0);
    let node = found["in_floats"]["first_node"]["node"]
        .as_str()
        .expect("a node");
    assert!(node.contains("-0|"), "the first layer already: {node}");
    let same = Harness::new("convert")
        .arg(made.path())
        .arg("--against")
        .arg(&other);
    let name = Architecture::Bitnet.name();
    same.args("--arch").arg(name).run().exits(0);
}
