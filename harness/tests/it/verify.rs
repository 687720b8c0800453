//! `harness verify`: right products of C++ runs pass, planted wrong ones are found and named.

use engine::Model;
use engine::session::OpenOptions;
use harness::case::observation::{Observation, TracedNode};
use harness::judge::outcome::Outcome;
use harness::numbers::split_mix::SplitMix64;
use harness::oracle::verify::{Verdict, Verified, Verifier};

use crate::program::{Harness, recorded};

fn verified(model: &Model, seen: &Observation, nodes: &[TracedNode], seed: u64) -> Verified {
    let mut verifier = Verifier::new(model, seed);
    let found = verifier.verify(seen.identity.clone(), nodes);
    found.expect("a ternary model")
}

/// A recorded run and its model.
fn run(recording: &str) -> (Model, Observation) {
    let (_, input, seen) = recorded::traced(recording);
    let model = Model::open(&input.path, &OpenOptions::default()).expect("a fixture");
    (model, seen)
}

#[test]
fn the_products_of_every_build_that_was_recorded_are_right() {
    for recording in [
        "dec2024-bitnet-avx512",
        "dec2024-bitnet-avx2",
        "dec2024-bitnet-neon",
        "dec2024-bitnet-neon-fp16",
        "mar2026-b158-avx512",
    ] {
        let (model, seen) = run(recording);
        let found = verified(&model, &seen, &seen.trace, 5);
        assert_eq!(found.products.len(), 28, "7 products in 4 layers");
        let right = |p: &_| matches!(p, Verdict::Right);
        assert!(
            found.products.iter().all(|p| right(&p.verdict)),
            "{found:?}"
        );
        assert_eq!(found.outcome(), Outcome::Ok);
    }
}

#[test]
fn a_wrong_sum_is_found_wherever_it_is_and_named() {
    let (model, seen) = run("dec2024-bitnet-avx2");
    let mut dice = SplitMix64(6);
    let mut verifier = Verifier::new(&model, 1);
    let mut verified = |nodes: &[TracedNode]| {
        let found = verifier.verify(seen.identity.clone(), nodes);
        found.expect("a ternary model")
    };
    let products = verified(&seen.trace).products;
    let mut planted = 0;
    while planted < 100 {
        let product = &products[dice.below(products.len())];
        let mut nodes = seen.trace.clone();
        let node = nodes.iter_mut().find(|n| n.key == product.node);
        let node = node.expect("it was checked");
        // Another output of the same run is a possible one, of another sum.
        let rows = node.values.len() / product.positions;
        let position = dice.below(product.positions);
        let row = dice.below(rows - 1);
        let place = position * rows + row;
        if node.values[place] == node.values[place + 1] {
            continue;
        }
        node.values[place] = node.values[place + 1];
        planted += 1;
        let found = verified(&nodes);
        let changed = found.products.iter().find(|p| p.node == product.node);
        let Some(Verdict::Wrong(why)) = changed.map(|p| &p.verdict) else {
            panic!("{} went unnoticed at {position}, {row}", product.node);
        };
        let named = format!("position {position}, row {row}: the sum is ");
        assert!(why.starts_with(&named), "{why}");
        assert_eq!(found.outcome(), Outcome::Divergence);
    }
}

#[test]
fn a_value_that_no_sum_becomes_and_an_input_that_was_not_multiplied_are_wrong() {
    let (model, seen) = run("mar2026-b158-avx512");
    let mut nodes = seen.trace.clone();
    let of = |nodes: &[TracedNode], key: &str| nodes.iter().position(|n| n.key == key);
    let up = of(&nodes, "ffn_up-2|MUL_MAT#0").expect("traced");
    nodes[up].values[3] += 1e-3;
    let normed = of(&nodes, "attn_norm-1|MUL#0").expect("traced");
    nodes[normed].values[7] = -nodes[normed].values[7] - 1.0;
    let found = verified(&model, &seen, &nodes, 2);
    let wrong = |p: &_| matches!(p, Verdict::Wrong(_));
    let wrong = found.products.iter().filter(|p| wrong(&p.verdict));
    let wrong: Vec<&str> = wrong.map(|p| &*p.tensor).collect();
    let expected = [
        "blk.1.attn_q.weight",
        "blk.1.attn_k.weight",
        "blk.1.attn_v.weight",
    ];
    assert_eq!(wrong, [&expected[..], &["blk.2.ffn_up.weight"]].concat());
}

#[test]
fn what_cannot_be_checked_is_said_and_is_no_agreement() {
    let (model, seen) = run("dec2024-bitnet-avx512");
    let without = |key: &str| -> Vec<TracedNode> {
        let rest = seen.trace.iter().filter(|n| n.key != key);
        rest.cloned().collect()
    };
    let cut = without("ffn_sub_norm-0|MUL#0");
    let found = verified(&model, &seen, &cut, 3);
    assert_ne!(found.outcome(), Outcome::Ok);
    let mut other = seen.identity.clone();
    other.profile = "q8_k64".into();
    let refused = Verifier::new(&model, 1).verify(other, &seen.trace);
    assert!(
        refused
            .expect_err("unknown")
            .contains("activations of its own")
    );

    Harness::new("verify --recording bitnet-random-qk256")
        .run()
        .exits(5);
    let found = Harness::new("verify --case bitnet-ishmael --seed 7")
        .run()
        .exits(0);
    assert_eq!(
        found
            .stdout
            .matches("products 28/28: 28 right, 0 wrong")
            .count(),
        4
    );
    assert!(found.stdout.contains("seed 7"));
}
