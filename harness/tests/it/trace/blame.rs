//! Who is blamed, and for what.

use std::collections::BTreeSet;

use engine::kernels::activation::quantise_row;
use engine::numerics::Profile;
use engine::transformer::probe::{Node, Probe};
use harness::exit::Exit;
use harness::judge::tolerance::local::Rung;
use harness::oracle::trace::table::render;
use harness::oracle::trace::{NodeReport, boundary};
use harness::runner::anatomy::{self, NodeName};

use crate::program::recorded::planted;
use crate::trace::traced::{B158, BITNET, Traced, spoil};

/// Elements that differ only because the inputs do.
fn inherited(node: &NodeReport) -> usize {
    node.inherited.as_ref().expect("it was fed").differing
}

#[test]
fn the_engine_agrees_with_its_own_arithmetic_in_every_bit_of_every_node() {
    for (recording, profile, nodes) in [
        (B158, Profile::GgmlAvx512, 118),
        (BITNET, Profile::GgmlAvx512, 114),
        ("mar2026-b158-avx2", Profile::GgmlAvx2, 118),
        ("dec2024-bitnet-avx2", Profile::GgmlAvx2, 114),
        ("dec2024-bitnet-neon", Profile::GgmlNeon, 114),
        ("dec2024-bitnet-neon-fp16", Profile::GgmlNeonFp16, 114),
    ] {
        let located = Traced::open(recording).located(profile);
        assert_eq!(located.rung, Rung::Bits);
        assert_eq!(
            (located.coverage.compared, located.differing()),
            (nodes, [0, 0])
        );
        assert_eq!(
            (&located.blamed, located.outcome().exit()),
            (&None, Exit::Agrees)
        );
        assert_eq!(located.flips(), [0, 0]);
        assert!(render(&located, false, None).ends_with("all bits agree\n"));
    }
}

#[test]
fn another_arithmetic_differs_inside_attention_and_the_logits_and_every_flip_is_certified() {
    for (recording, rung, local, flips) in [
        ("mar2026-b158-avx2", Rung::OtherOrder, 10, 0),
        ("dec2024-bitnet-avx2", Rung::OtherOrder, 14, 0),
        ("dec2024-bitnet-neon", Rung::OtherOrder, 16, 1),
        ("dec2024-bitnet-neon-fp16", Rung::HalfSums, 17, 18636),
    ] {
        let located = Traced::open(recording).located(Profile::GgmlAvx512);
        assert_eq!(located.rung, rung, "{recording}");
        assert_eq!(located.blamed, None, "{recording}");
        assert_eq!(located.differing()[1], local, "{recording}");
        assert_eq!(located.flips(), [flips, flips], "{recording}");
        // Integer products, norms and sums do not depend on the instruction set.
        let alone = located.nodes.iter().filter(|n| n.differs_alone());
        let vectors = ["kq", "ffn_silu", "result_output"];
        for node in alone {
            let known = vectors.iter().any(|name| node.key.starts_with(name));
            assert!(known, "{recording}: {}", node.key);
        }
    }
}

#[test]
fn one_bit_in_any_kind_of_node_is_found_there_and_nowhere_else() {
    for recording in [B158, BITNET] {
        let traced = Traced::open(recording);
        let keys = traced.theirs.trace.iter().map(|node| &node.key);
        // Of the layers one: the others are made of the same operations.
        let keys = keys.filter(|k| k.contains("-1") || !k.contains('-'));
        let mut planted = 0;
        for key in keys {
            let located = traced.with_fault(spoil(key, |values| {
                let middle = values.len() / 2;
                values[middle] = f32::from_bits(values[middle].to_bits() ^ 1);
            }));
            let blame = located.blamed.as_ref().expect(key);
            assert_eq!(
                (&blame.key, located.outcome().exit()),
                (key, Exit::Diverges)
            );
            assert_eq!(
                located.differing()[1],
                1,
                "{key}: fed, it stays where it is"
            );
            let node = located
                .nodes
                .iter()
                .find(|n| n.key == *key)
                .expect("compared");
            assert_eq!(
                (node.own().differing, node.own().max_ulps),
                (1, Some(1)),
                "{key}"
            );
            assert_eq!((&node.total, inherited(node)), (node.own(), 0), "{key}");
            planted += 1;
        }
        assert!(planted >= 28, "{recording}: {planted} nodes are too few");
    }
}

#[test]
fn what_comes_after_a_fault_inherits_it_and_what_comes_before_does_not() {
    let traced = Traced::open(B158);
    // The keys and values reach later operations through the cache alone.
    for key in [
        "Kcur-1|ROPE#0",
        "Vcur-1|MUL_MAT#0",
        "l_out-1|ADD#0",
        "inp_embd|GET_ROWS#0",
    ] {
        let negate = |values: &mut [f32]| values.iter_mut().step_by(3).for_each(|v| *v = -*v);
        let located = traced.with_fault(spoil(key, negate));
        assert_eq!(located.blamed.as_ref().expect(key).key, key);
        let at = located
            .nodes
            .iter()
            .position(|n| n.key == key)
            .expect("there");
        let (before, from) = located.nodes.split_at(at);
        let (fault, after) = from.split_first().expect("the fault itself");
        assert!(before.iter().all(|n| n.total.is_identical()), "{key}");
        assert!(fault.own().nmse.expect("finite") > 0.06, "{key}");
        assert!(after.iter().all(|n| !n.differs_alone()), "{key}");
        let inherits = |key: &str| {
            let node = after.iter().find(|n| n.key == key).expect("there");
            assert_eq!(
                node.total.nmse,
                node.inherited.as_ref().and_then(|i| i.nmse),
                "all of it is inherited"
            );
            inherited(node) > 0
        };
        assert!(inherits("kqv-2|MUL_MAT#0"), "{key}");
        assert!(inherits("result_output|MUL_MAT#0"), "{key}");
        assert!(located.flips()[1] > 0, "{key}: such an error flips codes");
    }
}

#[test]
fn a_node_with_the_values_of_another_is_blamed() {
    struct Mixed(Vec<f32>);
    impl Probe for Mixed {
        fn at(&mut self, node: Node, _: &[usize], values: &mut [f32]) {
            match &*node.to_string() {
                "Kcur-2|MUL_MAT#0" => self.0 = values.to_vec(),
                "Vcur-2|MUL_MAT#0" => values.copy_from_slice(&self.0),
                _ => {}
            }
        }
    }
    let located = Traced::open(BITNET).with_fault(Mixed(Vec::new()));
    assert_eq!(
        located.blamed.as_ref().expect("mixed").key,
        "Vcur-2|MUL_MAT#0"
    );
    assert_eq!(located.differing()[1], 1);

    let mut traced = Traced::open(BITNET);
    let at = |key| {
        traced
            .theirs
            .trace
            .iter()
            .position(|n| n.key == key)
            .expect(key)
    };
    let (k, v) = (at("Kcur-2|MUL_MAT#0"), at("Vcur-2|MUL_MAT#0"));
    let [a, b] = [k, v].map(|i| traced.theirs.trace[i].values.clone());
    (traced.theirs.trace[k].values, traced.theirs.trace[v].values) = (b, a);
    let located = traced.located(Profile::GgmlAvx512);
    let blame = located.blamed.as_ref().expect("swapped");
    assert_eq!(blame.key, "Kcur-2|MUL_MAT#0", "the first of the two");
}

#[test]
fn a_nan_is_located_and_not_only_refused() {
    let key = "result_norm|MUL#0";
    let located = Traced::open(B158).with_fault(spoil(key, |values| values[3] = f32::NAN));
    assert_eq!(located.blamed.as_ref().expect("a NaN").key, key);
    assert!(
        located.logits.starts_with("NOT_FINITE"),
        "{}",
        located.logits
    );
}

#[test]
fn an_element_that_crosses_a_boundary_alone_is_not_certified() {
    let mut traced = Traced::open(B158);
    // Another arithmetic, so that a small local difference is let pass.
    traced.theirs.identity.profile = "ggml-other".into();
    assert_eq!(traced.located(Profile::GgmlAvx512).blamed, None);
    let node = traced.theirs.trace.iter_mut().filter(|n| {
        let mut sources = ["attn_norm-", "attn_sub_norm-", "ffn_norm-"].iter();
        sources.any(|s| n.key.starts_with(s))
    });
    let moved = node.into_iter().find_map(|n| {
        let width = *n.shape.last().expect("rows");
        let crossed = n.values.chunks_exact_mut(width).any(cross);
        crossed.then(|| n.key.clone())
    });
    let key = moved.expect("some value lies that close to a boundary");
    let located = traced.located(Profile::GgmlAvx512);
    let blame = located.blamed.as_ref().expect("an illegal flip");
    assert_eq!(blame.key, key);
    assert!(blame.because.contains("boundary"), "{}", blame.because);
    let node = located.nodes.iter().find(|n| n.key == key).expect("there");
    assert!(node.acceptable, "the local error alone is within the rung");
    assert_eq!(
        node.flips.as_ref().map(|f| (f.flipped, f.legal)),
        Some((1, 0))
    );
}

/// Moves the first value of a row over a boundary that lies within 4e-6 of the row's rms.
fn cross(row: &mut [f32]) -> bool {
    let mut codes = vec![0; row.len()];
    let scale = f64::from(quantise_row(row, &mut codes).scale);
    let squares: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
    let reach = 4e-6 * (squares / row.len() as f64).sqrt();
    let place = row.iter().position(|&x| {
        let u = f64::from(x) * scale;
        let boundary = u.floor() + 0.5;
        // Small ones, which their own rounding moves least.
        u.abs() < 20.0 && (u - boundary).abs() < 0.4 * reach * scale
    });
    let Some(i) = place else { return false };
    let boundary = (f64::from(row[i]) * scale).floor() + 0.5;
    let away = if f64::from(row[i]) * scale < boundary {
        1.0
    } else {
        -1.0
    };
    row[i] = (boundary / scale + away * 0.6 * reach) as f32;
    true
}

#[test]
fn a_missing_node_is_incomplete_and_a_repeated_one_refused() {
    let mut traced = Traced::open(B158);
    let gone = traced.theirs.trace.remove(40);
    let located = traced.located(Profile::GgmlAvx512);
    assert_eq!(
        (located.blamed.as_ref(), located.outcome().exit()),
        (None, Exit::Incomplete)
    );
    assert_eq!(located.coverage.to_string(), "117/118");
    assert!(located.unjudged.contains(&gone.key));

    let mut flat = gone.clone();
    flat.shape = vec![flat.values.len()];
    traced.theirs.trace.push(flat);
    let located = traced.located(Profile::GgmlAvx512);
    assert_eq!(
        (located.missing, located.coverage.compared),
        (vec![gone.key], 117)
    );

    traced.theirs.trace.push(traced.theirs.trace[0].clone());
    let twice = traced.locate(&mut traced.passes(Profile::GgmlAvx512));
    assert_eq!(twice.err().expect("refused").exit, Exit::BadInput);
}

#[test]
fn observing_that_changes_the_result_and_other_tokens_end_the_comparison() {
    let traced = Traced::open(B158);
    let mut passes_seen = 0;
    let once = spoil("result_output|MUL_MAT#0", |values| {
        passes_seen += 1;
        values[0] += f32::from(u8::from(passes_seen == 1));
    });
    let mut passes = traced.passes(Profile::GgmlAvx512).with(planted(once));
    let failure = traced.locate(&mut passes).err().expect("meddling");
    assert_eq!(failure.exit, Exit::Diverges);
    assert!(failure.message.contains("observing changed"), "{failure}");

    let mut other = Traced::open(B158);
    other.theirs.tokens[2] += 1;
    let failure = other.locate(&mut traced.passes(Profile::GgmlAvx512));
    let failure = failure.err().expect("other tokens");
    assert!(failure.message.contains("token ids differ"), "{failure}");
}

#[test]
fn the_table_describes_every_node_of_every_architecture() {
    for recording in [B158, BITNET] {
        let traced = Traced::open(recording);
        let free = traced.passes(Profile::GgmlAvx512).free().expect("computes");
        for (at, shown) in free.nodes.iter().enumerate() {
            let node = NodeName::of(&shown.key);
            assert!(node.part().is_some(), "{}", shown.key);
            let inputs = anatomy::inputs(&free.nodes, at);
            assert_eq!(inputs.is_none(), node.name == "node", "{}", shown.key);
        }
    }
    // The names of architectures without a fixture are only written down in the engine.
    let labels = include_str!("../../../../engine/src/transformer/labels.rs");
    let code = labels.lines().filter(|l| !l.trim_start().starts_with("//"));
    let names: Vec<_> = code.flat_map(|l| l.split('"').skip(1).step_by(2)).collect();
    assert!(
        names.contains(&"ffn_gate_par") && names.len() > 15,
        "{names:?}"
    );
    for name in names {
        let mut rows = anatomy::parts();
        assert!(rows.any(|part| part.name == name), "{name}");
    }
}

#[test]
fn anybody_who_shows_nodes_is_a_reference_also_of_a_single_token() {
    let mut traced = Traced::open(BITNET);
    traced.theirs.tokens.truncate(1);
    let free = traced.passes(Profile::GgmlAvx2).free().expect("computes");
    traced.theirs.trace = free.nodes.clone();
    traced.theirs.identity.profile = "ggml-avx2".into();
    let same = traced.located(Profile::GgmlAvx2);
    assert_eq!(
        (same.differing(), same.outcome().exit()),
        ([0, 0], Exit::Agrees)
    );
    assert!(same.unjudged.is_empty(), "{:?}", same.unjudged);
    assert_eq!(traced.located(Profile::GgmlAvx512).blamed, None);
    // Where every kind of value is rounded, the roundings are looked at.
    let model = &traced.model;
    let rounded = boundary::rounded(model, &free.nodes);
    let name = |&i: &usize| NodeName::of(&free.nodes[i].key).name;
    let names: BTreeSet<_> = rounded.keys().map(name).collect();
    for name in [
        "attn_norm",
        "ffn_norm",
        "Qcur",
        "Kcur",
        "Vcur",
        "kq_soft_max_ext",
    ] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
}
