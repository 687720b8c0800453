//! The search by halving.

use engine::numerics::Profile;
use harness::judge::tolerance::local::Rung;
use harness::oracle::trace::layers::{Search, search};
use harness::runner::watch::Watch;

use crate::program::recorded::planted;
use crate::trace::traced::{B158, Traced, spoil};

fn searched(traced: &Traced, fault: Option<usize>) -> Search {
    let mut passes = traced.passes(Profile::GgmlAvx512);
    if let Some(layer) = fault {
        let key = format!("ffn_up-{layer}|MUL_MAT#0");
        passes = passes.with(planted(spoil(&key, |v| {
            v.iter_mut().for_each(|v| *v *= 1.5)
        })));
    }
    let node = |key: &str| traced.theirs.trace.iter().find(|n| n.key == key);
    search(node, &mut passes, Rung::Bits).expect("comparable")
}

#[test]
fn the_first_bad_layer_is_found_in_few_passes() {
    let traced = Traced::open(B158);
    let clean = searched(&traced, None);
    assert_eq!(
        (clean.first_bad, clean.passes()),
        (None, 1),
        "the last layer tells"
    );
    for layer in 0..4 {
        let search = searched(&traced, Some(layer));
        assert_eq!(search.first_bad, Some(layer));
        assert_eq!((search.layers, search.passes()), (4, 3), "{search:?}");
    }
}

#[test]
fn a_pass_of_the_search_keeps_one_node() {
    let traced = Traced::open(B158);
    let mut passes = traced.passes(Profile::GgmlAvx512);
    let pass = passes.pass(&Watch::these(vec!["l_out-2|ADD#0".into()]));
    assert_eq!(pass.expect("computes").nodes.len(), 1);
}

#[test]
fn between_two_arithmetics_bad_is_far() {
    let traced = Traced::open("mar2026-b158-avx2");
    let mut passes = traced.passes(Profile::GgmlAvx512);
    let node = |key: &str| traced.theirs.trace.iter().find(|n| n.key == key);
    let found = search(node, &mut passes, Rung::OtherOrder).expect("comparable");
    assert_eq!(found.first_bad, None);
    let bits = search(node, &mut passes, Rung::Bits).expect("comparable");
    assert!(bits.first_bad.is_some(), "some bits do differ");
}

#[test]
fn a_reference_without_the_layers_is_no_agreement() {
    let traced = Traced::open(B158);
    let mut passes = traced.passes(Profile::GgmlAvx512);
    let failure = search(|_| None, &mut passes, Rung::Bits).expect_err("nothing to compare");
    assert_eq!(failure.exit, harness::exit::Exit::Incomplete);
}
