//! An arithmetic without a name, judged by its error against double precision over the reference's
//! own: another order of sums passes, and a fault that every tier lets pass is caught.

use std::collections::BTreeMap;

use engine::encoding::float::Float;
use harness::io::array::Array;
use harness::judge::demand::JudgedBy;
use harness::judge::verdict::{Divergence, Verdict};
use serde_json::json;

use super::{Desk, PROMPT, model};
use crate::program::ends::{assert_ends, harness};

/// The name that verdicts have.
const RULE: &str = "t1e-error-ratio";

/// Logits and nodes of the engine in another order of sums.
fn computed(desk: &Desk, profile: &str) -> (String, String) {
    let [logits, trace] = ["other.npy", "other.safetensors"].map(|name| desk.path(name));
    let model = model();
    let words = [
        "eval",
        "--model",
        &model,
        "--prompt",
        PROMPT,
        "--profile",
        profile,
        "--logits",
        &logits,
        "--trace",
        &trace,
    ];
    assert_ends(&harness(&words), 0, &[]);
    (logits, trace)
}

fn arrays(path: &str) -> BTreeMap<String, Array> {
    let bytes = std::fs::read(path).expect("just written");
    Array::all_of(&bytes, &[Float::F32]).expect("sound")
}

/// A safetensors file of these arrays.
fn write(path: &str, arrays: &BTreeMap<String, Array>) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, array) in arrays {
        let begin = data.len();
        data.extend(Float::F32.encode(&array.values));
        let offsets = [begin, data.len()];
        let entry = json!({"dtype": "F32", "shape": array.shape, "data_offsets": offsets});
        header.insert(name.clone(), entry);
    }
    let header = serde_json::to_vec(&header).expect("plain data");
    let length = (header.len() as u64).to_le_bytes();
    std::fs::write(path, [&length[..], &header, &data].concat()).expect("written");
}

#[test]
fn another_order_of_sums_errs_as_much_as_the_reference() {
    for profile in ["ggml-neon", "ggml-avx2"] {
        let desk = Desk::new();
        let (logits, trace) = computed(&desk, profile);
        let subject = format!("{logits},trace={trace}");
        let words = format!("judged by {RULE}");
        let said = assert_ends(&desk.judge(&subject, &["--oracle"]), 0, &[&words]);
        assert!(
            said.contains("error: prefill") && said.contains("worst node"),
            "{said}"
        );
        let receipt = desk.receipt();
        let comparisons = &receipt.cases[0].claims.comparisons;
        let ratios = comparisons
            .iter()
            .filter(|c| c.judged_by == Some(JudgedBy::ErrorRatio));
        assert!(ratios.count() >= 2, "all that are not equal to the bit");
        let errors = receipt.cases[0]
            .measured
            .iter()
            .filter_map(|m| m.findings.as_ref());
        let nodes = errors.map(|f| f.errors.as_ref().expect("it was asked for").nodes.len());
        assert!(
            nodes.clone().all(|count| count > 80),
            "{:?}",
            nodes.collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_fault_that_every_tier_lets_pass_is_beyond_the_ratio() {
    let desk = Desk::new();
    let (shape, values) = desk.ours();
    let mut halves = vec![0.0; values.len()];
    Float::F16.decode(&Float::F16.encode(&values), &mut halves);
    let file = desk.write("halves.npy", &shape, &halves);
    assert_ends(
        &desk.judge(&file, &[]),
        0,
        &["nearest tier t2-other-activations"],
    );
    let words = [
        "DIVERGE: prefill: t1e-error-ratio: RMS error",
        "times, at most 2",
    ];
    assert_ends(&desk.judge(&file, &["--oracle"]), 1, &words);
    let receipt = desk.receipt();
    let diverges = receipt.cases[0]
        .claims
        .comparisons
        .iter()
        .any(|comparison| {
            let lane = matches!(
                comparison.verdict,
                Verdict::Diverge {
                    first: Divergence::Lane { .. }
                }
            );
            lane && comparison.judged_by == Some(JudgedBy::ErrorRatio)
        });
    assert!(diverges, "{:?}", receipt.parity);
    // Whoever says what is enough has said it.
    assert_ends(
        &desk.judge(&file, &["--oracle", "--rtol", "1e-2", "--atol", "1e-2"]),
        0,
        &["own"],
    );
}

#[test]
fn a_node_whose_scale_is_slightly_off_is_named() {
    let desk = Desk::new();
    let mut nodes = arrays(&desk.path("n.safetensors"));
    let key = "ffn_out-1|MUL#0";
    let node = nodes.get_mut(key).expect("the engine shows it");
    node.values
        .iter_mut()
        .for_each(|value| *value *= 1.0 + 1e-4);
    let trace = desk.path("off.safetensors");
    write(&trace, &nodes);
    let subject = format!("{},trace={trace}", desk.path("ours.npy"));
    assert_ends(&desk.judge(&subject, &[]), 0, &["nearest tier"]);
    let words = format!("DIVERGE: node {key}: {RULE}: RMS error");
    assert_ends(&desk.judge(&subject, &["--oracle"]), 1, &[&words]);
    desk.receipt();
}

#[test]
fn arithmetics_that_have_names_are_judged_by_them_beside_the_oracle_as_well() {
    let desk = Desk::new();
    let receipt = desk.path("r.json");
    let words = [
        "crossval",
        "--case",
        "b158-ishmael",
        "--oracle",
        "--json",
        &receipt,
    ];
    assert_ends(&harness(&words), 0, &["bit-identical"]);
    let receipt = desk.receipt();
    let comparisons = &receipt.cases[0].claims.comparisons;
    assert!(
        comparisons
            .iter()
            .all(|comparison| comparison.judged_by.is_none())
    );
}
