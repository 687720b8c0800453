//! Prompts that take several ubatches: every node is there once in each, and each is judged.

use std::collections::BTreeSet;

use engine::numerics::Profile;
use harness::case::observation::TracedNode;
use harness::exit::Exit;
use harness::judge::tolerance::local::Rung;
use harness::oracle::trace::layers::search;
use harness::oracle::trace::{boundary, bundle, locate};
use harness::runner::passes::Passes;

use crate::program::recorded::planted;
use crate::trace::traced::{B158, BITNET, Traced, folder, spoil};

/// The engine in place of a reference, in ubatches of so many tokens.
fn split(recording: &str, ubatch: usize, profile: Profile) -> (Traced, Vec<TracedNode>) {
    let mut traced = Traced::open(recording);
    let free = passes(&traced, ubatch, profile).free().expect("computes");
    traced.theirs.trace = free.nodes.clone();
    traced.theirs.identity.profile = profile.name().into();
    traced.nodes = free.nodes.len();
    (traced, free.nodes)
}

fn passes(traced: &Traced, ubatch: usize, profile: Profile) -> Passes<'_> {
    Passes::new(&traced.model, &traced.theirs.tokens, profile, ubatch).expect("some tokens")
}

#[test]
fn every_ubatch_has_keys_of_its_own_and_agrees_with_its_own_arithmetic() {
    for (recording, ubatch, ubatches) in [(B158, 4, 3), (BITNET, 10, 2), (BITNET, 1, 11)] {
        let (traced, nodes) = split(recording, ubatch, Profile::GgmlAvx2);
        let keys: BTreeSet<&str> = nodes.iter().map(|n| &*n.key).collect();
        assert_eq!(keys.len(), nodes.len(), "no two nodes share a key");
        let whole = passes(&traced, 512, Profile::GgmlAvx2).free();
        assert_eq!(nodes.len(), ubatches * whole.expect("computes").nodes.len());
        let mut again = passes(&traced, ubatch, Profile::GgmlAvx2);
        let found = locate(&traced.theirs, traced.nodes, &mut again).expect("comparable");
        let located = found.located;
        assert_eq!(
            (located.differing(), located.outcome().exit()),
            ([0, 0], Exit::Agrees)
        );
        assert_eq!(located.coverage.compared, nodes.len());
        let mut other = passes(&traced, ubatch, Profile::GgmlAvx512);
        let found = locate(&traced.theirs, traced.nodes, &mut other).expect("comparable");
        assert_eq!(found.located.blamed, None, "{recording} in {ubatch}s");
        assert!(found.located.differing()[1] > 0, "{recording} in {ubatch}s");
    }
}

#[test]
fn a_fault_of_one_ubatch_is_found_in_that_one() {
    let (traced, _) = split(B158, 4, Profile::GgmlAvx512);
    let mut shown = 0;
    let fault = spoil("Vcur-2|MUL_MAT#0", |values| {
        shown += 1;
        if shown % 3 == 2 {
            values[5] = -values[5];
        }
    });
    let mut faulty = passes(&traced, 4, Profile::GgmlAvx512).with(planted(fault));
    let found = locate(&traced.theirs, traced.nodes, &mut faulty).expect("comparable");
    let blame = found.located.blamed.as_ref().expect("planted");
    assert_eq!(blame.key, "Vcur-2|MUL_MAT#1", "the second of three");
    let node = |key: &str| {
        let mut nodes = found.located.nodes.iter();
        nodes.find(|n| n.key == key).expect("compared")
    };
    assert!(
        node("kqv-2|MUL_MAT#0").total.is_identical(),
        "computed before"
    );
    let later = node("kqv-2|MUL_MAT#2");
    assert!(
        !later.differs_alone() && later.inherited.as_ref().is_some_and(|i| i.differing > 0),
        "through the cache"
    );

    let theirs = |key: &str| traced.theirs.trace.iter().find(|n| n.key == key);
    let layers = search(theirs, &mut faulty, Rung::Bits).expect("comparable");
    assert_eq!(layers.first_bad, Some(2));
    let folder = folder("several-ubatches");
    let refused = bundle::write(&folder, &found, &traced.theirs, &faulty, &traced.input);
    let refused = refused.expect_err("attention reads more than the bundle holds");
    assert!(refused.message.contains("several ubatches"), "{refused}");
    std::fs::remove_dir_all(folder).expect("made above");
}

#[test]
fn a_last_ubatch_of_one_token_rounds_as_decoding_does() {
    let (traced, nodes) = split(BITNET, 10, Profile::GgmlAvx512);
    let rounded = boundary::rounded(&traced.model, &nodes);
    let key = |at: &usize| nodes[*at].key.as_str();
    let keys: BTreeSet<&str> = rounded.keys().map(key).collect();
    assert!(keys.contains("attn_norm-0|MUL#0") && keys.contains("attn_norm-0|MUL#1"));
    let weights = [
        "kq_soft_max_ext-0|SOFT_MAX#0",
        "kq_soft_max_ext-0|SOFT_MAX#1",
    ];
    let half = weights.map(|weights| keys.contains(weights));
    assert_eq!(
        half,
        [false, true],
        "batches keep probabilities as they are"
    );
}

#[test]
fn no_tokens_are_refused() {
    let traced = Traced::open(B158);
    let refused = Passes::new(&traced.model, &[], Profile::GgmlAvx512, 10);
    assert_eq!(refused.err().expect("nothing").exit, Exit::BadInput);
}
