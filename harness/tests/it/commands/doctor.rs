//! `harness doctor`: a model that lost what it had learnt is told from a sound one without another
//! file beside it, whatever was done to it.

use engine::bytes::ModelBytes;
use engine::gguf::Gguf;
use harness::file::document::Document;
use serde_json::Value;

use crate::program::{Answer, Folder, Harness, document, fixture};

const MOBY: &str = "moby-tiny/moby-tiny-b158.gguf";

fn doctor(damage: impl FnOnce(&mut Document)) -> Answer {
    let folder = Folder::new();
    let mut document = document(MOBY);
    damage(&mut document);
    let model = folder.file("damaged.gguf", &document.file());
    Harness::new("doctor")
        .arg(model)
        .args("--strict --json")
        .run()
}

fn found(report: &Value) -> Vec<&str> {
    let findings = report["file"]["findings"].as_array().expect("findings");
    let names = findings.iter().map(|finding| finding["name"].as_str());
    names.map(|name| name.expect("a name")).collect()
}

/// Exchanges two tensors in every layer.
fn exchange(document: &mut Document, one: &str, other: &str) {
    for layer in 0..4 {
        let [one, other] = [one, other].map(|part| format!("blk.{layer}.{part}.weight"));
        let first = document.bytes(&one).expect("there").clone();
        let second = std::mem::replace(document.bytes(&other).expect("there"), first);
        *document.bytes(&one).expect("there") = second;
    }
}

fn in_every_matrix(document: &mut Document, edit: fn(&mut harness::file::document::Grid)) {
    let names = document.tensors().iter().map(|tensor| tensor.name.clone());
    let matrices = names.filter(|name| name.starts_with("blk.") && !name.contains("norm"));
    for name in matrices.collect::<Vec<_>>() {
        document.edit(&name, edit).expect("its format holds that");
    }
}

type Damage = fn(&mut Document);

/// What a single look at bytes and shapes cannot see.
const LOST: [Damage; 5] = [
    |document| exchange(document, "ffn_gate", "ffn_up"),
    |document| exchange(document, "attn_q", "attn_output"),
    |document| exchange(document, "attn_k", "attn_v"),
    |document| in_every_matrix(document, |grid| grid.negate_rows(|_| true)),
    |document| {
        in_every_matrix(document, |grid| {
            let order: Vec<usize> = (0..grid.shape.rows).rev().collect();
            grid.permute_rows(&order);
        });
    },
];

#[test]
fn a_model_that_lost_what_it_had_learnt_is_found_and_a_sound_one_is_not() {
    let sound = doctor(|_| {}).exits(0).json();
    assert_eq!(found(&sound), ["type-id-contested"]);
    for (number, damage) in LOST.into_iter().enumerate() {
        let report = doctor(damage).exits(1).json();
        assert!(
            found(&report).contains(&"word-order-ignored"),
            "{number}: {report}"
        );
    }
}

/// Exchanges two tensors in one layer.
fn exchange_in(document: &mut Document, layer: usize, one: &str, other: &str) {
    let [one, other] = [one, other].map(|part| format!("blk.{layer}.{part}.weight"));
    let first = document.bytes(&one).expect("there").clone();
    let second = std::mem::replace(document.bytes(&other).expect("there"), first);
    *document.bytes(&one).expect("there") = second;
}

#[test]
fn what_ails_a_model_that_still_knows_something_is_found_by_undoing_it() {
    let rescaled = |document: &mut Document, edit: fn(f32) -> f32| {
        for bytes in document.packed() {
            let at = bytes.len() - engine::flavor::i2_s::TRAILER_BYTES as usize;
            let scale = f32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
            bytes[at..at + 4].copy_from_slice(&edit(scale).to_le_bytes());
        }
    };
    let inverted = doctor(|document| rescaled(document, |scale| 1.0 / scale));
    let report = inverted.exits(1).json();
    let finding = |report: &Value, name: &str| {
        let findings = report["file"]["findings"]
            .as_array()
            .expect("findings")
            .clone();
        findings.into_iter().find(|finding| finding["name"] == name)
    };
    let scales = finding(&report, "scale-inverted").expect("0.19 nats");
    assert_eq!(scales["subjects"][0], "every scale");
    assert_eq!(scales["upstream"][0], "microsoft/BitNet#616");
    let lost = doctor(|document| rescaled(document, |_| 1.0))
        .exits(1)
        .json();
    let lost = finding(&lost, "scales-lost").expect("all of them");
    assert_eq!(lost["subjects"].as_array().map(Vec::len), Some(28));
    for (layer, one, other) in [
        (0, "ffn_gate", "ffn_up"),
        (3, "ffn_gate", "ffn_up"),
        (2, "attn_q", "attn_output"),
    ] {
        let report = doctor(|document| exchange_in(document, layer, one, other));
        let report = report.exits(1).json();
        let found = finding(&report, "tensors-exchanged").expect("half a nat");
        let named = [one, other].map(|part| format!("blk.{layer}.{part}.weight"));
        assert_eq!(found["subjects"], serde_json::json!(named));
    }
    let everywhere = doctor(|document| exchange(document, "attn_k", "attn_v"))
        .exits(1)
        .json();
    let found = finding(&everywhere, "tensors-exchanged").expect("several nats");
    assert_eq!(found["subjects"].as_array().map(Vec::len), Some(8));
    let sound = doctor(|_| {}).exits(0).json();
    let mends = &sound["file"]["mends"];
    assert_eq!(mends["known"], mends["tried"]);
    assert_eq!(
        (&mends["known"], &mends["better"]),
        (&21.into(), &Value::Null)
    );
}

#[test]
fn a_file_is_held_against_a_list_of_hashes() {
    let folder = Folder::new();
    let hash = harness::file::provenance::sha256(&std::fs::read(fixture(MOBY)).expect("there"));
    let ends = |list: String, code: i32, words: &str| {
        let list = folder.file("known.txt", list.as_bytes());
        let harness = Harness::new("doctor").arg(fixture(MOBY)).arg("--manifest");
        let said = harness.arg(list).run().exits(code);
        assert!(said.stdout.contains(words), "{}", said.stdout);
    };
    let other = "0".repeat(64);
    ends(
        format!("{hash}  a/b.gguf\n"),
        0,
        "its bytes are those of a/b.gguf",
    );
    ends(
        format!("{other}  there/moby-tiny-b158.gguf\n"),
        1,
        "error[manifest-mismatch]",
    );
    ends(
        format!("{other}  b.gguf\n"),
        0,
        "neither its name nor its bytes are listed",
    );
    let list = folder.file("broken.txt", b"nonsense");
    let harness = Harness::new("doctor").arg(fixture(MOBY)).arg("--manifest");
    harness.arg(list).run().exits(2);
}

#[test]
fn what_check_finds_is_found_and_a_model_that_does_not_open_is_no_surprise() {
    let hole =
        doctor(|document| document.bytes("blk.2.ffn_up.weight").expect("there")[..8192].fill(0));
    assert!(found(&hole.exits(1).json()).contains(&"zero-run"));
    let report = doctor(|document| document.retain(|name| name != "output_norm.weight"));
    let report = report.exits(1).json();
    assert!(found(&report).contains(&"tensor-missing"));
    let why = report["file"]["does_not_open"].as_str().expect("a reason");
    assert!(why.contains("output_norm.weight") && report["file"]["word_order"].is_null());
}

#[test]
fn something_must_be_there_to_look_at() {
    let nothing = Harness::new("doctor").run().exits(2);
    assert!(nothing.stderr.contains("--build"), "{}", nothing.stderr);
    let folder = Folder::new();
    let pointer = folder.file("lfs.gguf", b"version https://git-lfs.github.com/spec/v1\n");
    let answer = Harness::new("doctor").arg(pointer).run().exits(2);
    assert!(answer.stderr.contains("git lfs pull"), "{}", answer.stderr);
}

#[test]
fn the_shapes_of_a_published_model_do_not_make_it_that_file() {
    use harness::file::release::Release;
    let published = "4221b252fdd5fd25e15847adfeb5ee88886506ba50b8a34548374492884c2162";
    assert!(Release::of_hash(published).is_some());
    let gguf = ModelBytes::from_vec(document(MOBY).file());
    let config = engine::config::Config::from_gguf(&Gguf::parse(gguf).expect("sound"));
    let mut config = config.expect("a model");
    assert_eq!(Release::of_shape(&config), None);
    (config.block_count, config.embedding_length) = (30, 2560);
    (config.feed_forward_length, config.vocab_size) = (6912, 128_256);
    assert!(Release::of_shape(&config).is_some());
}
