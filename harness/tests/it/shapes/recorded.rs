//! Models by record: the engine computes what is on record, and a record that says otherwise is
//! noticed. At knife edges, faults of one ulp that a random model passes are found.

use std::path::{Path, PathBuf};

use engine::Model;
use engine::bytes::Storage;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use harness::case::observation::TracedNode;
use harness::case::schedule::{Schedule, Step};
use harness::file::document::Document;
use harness::file::reading::Reading;
use harness::fixture::knife_edges;
use harness::runner::Opened;
use harness::runner::engine::Computing;
use harness::runner::watch::{Watch, by_key};
use serde_json::Value;

use crate::program::ends::{assert_ends, harness};

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

/// Asks a fixtures folder with nothing in it but the record of one library, changed.
#[track_caller]
fn asked(name: &str, change: impl Fn(&mut Value), code: i32, words: &[&str]) {
    let folder = std::env::temp_dir().join(format!("recorded-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let bytes = std::fs::read(committed().join("shapes.json")).expect("committed");
    let mut record: Value = serde_json::from_slice(&bytes).expect("JSON");
    for part in ["libraries", "logits"] {
        let libraries = record[part].as_object_mut().expect("libraries");
        let one = libraries.keys().next().expect("a library").clone();
        libraries.retain(|name, _| *name == one);
    }
    change(&mut record);
    std::fs::write(folder.join("shapes.json"), record.to_string()).expect("written");
    let place = folder.to_str().expect("plain path");
    let output = harness(&["shapes", "--recorded", "--fixtures", place]);
    std::fs::remove_dir_all(&folder).expect("it was made here");
    assert_ends(&output, code, words);
}

/// Of every library the first model on record.
fn first(record: &mut Value) -> &mut serde_json::Map<String, Value> {
    let libraries = record["logits"].as_object_mut().expect("libraries");
    let models = libraries.values_mut().next().expect("a library");
    models.as_object_mut().expect("models")
}

#[test]
fn every_model_on_record_is_computed_again_and_a_change_is_named() {
    let output = harness(&["shapes", "--recorded"]);
    let words = [
        "equal in every way; 0 ways differ, 0 models lost",
        "by feature: ",
    ];
    assert_ends(&output, 0, &words);
    let bend = |record: &mut Value| {
        let (_, hashes) = first(record).iter_mut().next().expect("a model");
        let text = hashes.as_str().expect("hashes").to_owned();
        *hashes = format!("{}{}", "0".repeat(12), &text[12..]).into();
    };
    asked("changed", bend, 1, &["DIFFERS: knife edges of "]);
    let add = |record: &mut Value| {
        first(record).insert("seed=1 nowhere".into(), "0".into());
    };
    asked("unknown", add, 5, &["LOST: seed=1 nowhere: "]);
    let empty = |record: &mut Value| first(record).clear();
    asked("empty", empty, 5, &["0 models equal"]);
    let nothing = std::env::temp_dir();
    let nothing = nothing.to_str().expect("plain path");
    let output = harness(&["shapes", "--recorded", "--fixtures", nothing]);
    assert_ends(&output, 3, &["has no shapes.json"]);
}

/// What is wrong about a node, computed from those before it.
type Fault = fn(&[TracedNode], &mut TracedNode);

/// The norm whose squares are added up from the last to the first.
fn summed_backwards(before: &[TracedNode], norm: &mut TracedNode) {
    let width = knife_edges::shape().width;
    let rows = before[0].values.chunks_exact(width);
    for (row, out) in rows.zip(norm.values.chunks_exact_mut(width)) {
        let mean = knife_edges::mean(row.iter().rev());
        let scale = 1.0 / (mean + knife_edges::shape().epsilon).sqrt();
        for (out, x) in out.iter_mut().zip(row) {
            *out = x * scale;
        }
    }
}

/// Values that the cache rounds away from zero where they lie halfway between two halves.
fn halfway_up(_: &[TracedNode], values: &mut TracedNode) {
    for x in &mut values.values {
        let bits = half::f16::from_f32(*x).to_bits();
        let half = |bits| half::f16::from_bits(bits).to_f32();
        let beside = [bits.wrapping_sub(1), bits.wrapping_add(1)];
        let is_tie = beside.map(|other| (half(bits) + half(other)) / 2.0 == *x);
        if is_tie.contains(&true) && half(bits) != *x {
            *x = f32::from_bits(x.to_bits() + 1);
        }
    }
}

/// 1 / ln 2, which `exp` finds the nearest power of two with.
const LOG2_E: u32 = 0x3fb8_aa3b;

/// ggml's `exp` on vectors of AVX2, with that constant, of numbers that are not far from zero.
fn exp(x: f32, log2_e: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    let of = f32::from_bits;
    let n = x.mul_add(log2_e, SHIFT) - SHIFT;
    let b = (-n).mul_add(of(0x35bf_be8e), (-n).mul_add(of(0x3f31_7200), x));
    let high = of(0x3c07_2010).mul_add(b, of(0x3d2b_9f17));
    let low = of(0x3e2a_af33).mul_add(b, of(0x3eff_fedb));
    let j = high.mul_add(b * b, low).mul_add(b * b, of(0x3f7f_fff6) * b);
    let k = of(((n as i32 + 127) as u32) << 23);
    k.mul_add(j, k)
}

fn gated(before: &[TracedNode], silu: &mut TracedNode, log2_e: u32) {
    let gate = before.iter().rfind(|node| node.key.starts_with("ffn_gate"));
    let gate = gate.expect("something is gated");
    for (out, x) in silu.values.iter_mut().zip(&gate.values) {
        *out = x / (1.0 + exp(0.0 - x, f32::from_bits(log2_e)));
    }
}

/// As it should be.
fn the_constant(before: &[TracedNode], silu: &mut TracedNode) {
    gated(before, silu, LOG2_E);
}

fn the_constant_an_ulp_down(before: &[TracedNode], silu: &mut TracedNode) {
    gated(before, silu, LOG2_E - 1);
}

/// Whether a fault in the node of that name shows in the logits of a prompt of edges.
fn shows(document: &Document, name: &str, fault: Fault) -> bool {
    let options = Reading::default().options(Storage::Read, Some(Kernel::best()));
    let model = Model::from_bytes(document.file(), &options).expect("a model");
    let mut engine = Computing::new(&model, Profile::GgmlAvx2);
    let prompt = Schedule::of(vec![Step::Feed(knife_edges::tokens())]);
    let sound = engine
        .follow(&prompt, &Watch::every())
        .expect("it computes");
    let nodes = &sound.nodes;
    let at = nodes.iter().rposition(|node| node.key.starts_with(name));
    let at = at.unwrap_or_else(|| panic!("no {name} in {:?}", keys(nodes)));
    let mut wrong = nodes[at].clone();
    fault(&nodes[..at], &mut wrong);
    let replaced = std::slice::from_ref(&wrong);
    let watch = Watch::replacing(by_key(replaced));
    let found = engine.follow(&prompt, &watch).expect("it computes");
    let bits = |rows: &[f32]| rows.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    bits(&found.rows) != bits(&sound.rows)
}

fn keys(nodes: &[TracedNode]) -> Vec<&str> {
    nodes.iter().map(|node| &*node.key).collect()
}

#[test]
fn faults_of_one_ulp_pass_a_random_model_and_are_found_at_knife_edges() {
    let faults: [(&str, Fault, bool); 4] = [
        ("norm-0|RMS_NORM#0", summed_backwards, true),
        ("Vcur-0", halfway_up, true),
        ("ffn_silu-0", the_constant_an_ulp_down, true),
        ("ffn_silu-0", the_constant, false),
    ];
    let models = [knife_edges::document(), knife_edges::plain()];
    for (name, fault, is_one) in faults {
        let found = [&models[0], &models[1]].map(|model| shows(model, name, fault));
        assert_eq!(found, [is_one, false], "{name}: at edges and at random");
    }
}
