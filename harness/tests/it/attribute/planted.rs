//! Faults of the catalogue, each in one module, and which module is named.

use engine::numerics::Profile;
use harness::exit::Exit;
use harness::judge::tolerance::local::Rung;
use harness::oracle::attribute::modules::Depth;
use harness::oracle::attribute::table::render;

use crate::attribute::bench::{B158, BITNET, Bench, Way};

/// Model, fault and layer, and the module that is to be named.
type Planted = (&'static str, &'static str, Option<usize>, &'static str);

#[rustfmt::skip] // a table: a line a row
const BLOCKS: [Planted; 10] = [
    (BITNET, "embedding-scaled", None, "embedding"),
    (BITNET, "query-heads-swapped", Some(1), "layer 1 attention"),
    (BITNET, "rope-missing-on-keys", Some(0), "layer 0 attention"),
    (BITNET, "residual-dropped", Some(2), "layer 2 attention"),
    (BITNET, "hidden-state-in-bf16", Some(2), "layer 3 attention"),
    (BITNET, "gelu-for-silu", Some(2), "layer 2 feed-forward"),
    (BITNET, "one-value-one-ulp-off", None, "layer 2 feed-forward"),
    (B158, "relu-not-squared", Some(3), "layer 3 feed-forward"),
    (BITNET, "last-norm-skipped", None, "final norm"),
    (BITNET, "head-not-tied", None, "head"),
];

#[rustfmt::skip] // a table: a line a row
const OPERATIONS: [Planted; 6] = [
    (BITNET, "rope-missing-on-keys", Some(0), "layer 0 key rope"),
    (BITNET, "key-cache-in-bf16", Some(2), "layer 2 scores"),
    (BITNET, "mask-sees-next", Some(3), "layer 3 softmax"),
    (BITNET, "value-cache-in-q8", Some(1), "layer 1 value mix"),
    (BITNET, "stuck-lane", None, "layer 1 up product"),
    (B158, "silu-for-squared-relu", Some(0), "layer 0 activation"),
];

#[test]
fn every_planted_fault_is_named_by_its_module_and_nothing_else_differs() {
    let benches = [BITNET, B158].map(|recording| (recording, Bench::open(recording)));
    let benches = std::collections::BTreeMap::from(benches);
    for (depth, faults) in [(Depth::Block, &BLOCKS[..]), (Depth::Op, &OPERATIONS)] {
        for &(recording, fault, layer, module) in faults {
            let way = Way {
                plant: Some((fault, layer)),
                ..Way::new(Profile::GgmlAvx512, depth)
            };
            let found = benches[recording].attributed(way);
            let named = found.named.as_ref().expect(fault);
            assert_eq!(
                (&*named.module, found.outcome().exit()),
                (module, Exit::Diverges),
                "{fault}"
            );
            let differing: Vec<_> = found
                .rows
                .iter()
                .filter(|r| !r.error.is_identical())
                .collect();
            assert_eq!(differing.len(), 1, "{fault}: the others see sound inputs");
            let row = differing[0];
            // A single rounding may be absorbed by the next rounding to eight bits.
            let absorbed = fault == "one-value-one-ulp-off";
            assert_eq!(row.rank, (!absorbed).then_some(1), "{fault}");
            assert_eq!(
                row.effect.kl_mean, found.sum,
                "{fault}: all of it is its own"
            );
            assert_eq!(
                found.full, row.effect,
                "{fault}: it is all there is between the sides"
            );
            assert_eq!(found.additivity, (!absorbed).then_some(1.0), "{fault}");
            assert!(render(&found, true, None).contains(&format!("NAMED {module}: ")));
        }
    }
}

#[test]
fn in_the_same_arithmetic_nobody_is_named_and_every_number_is_exactly_zero() {
    for (recording, profile, depth) in [
        (BITNET, Profile::GgmlAvx512, Depth::Block),
        (
            "dec2024-bitnet-neon-fp16",
            Profile::GgmlNeonFp16,
            Depth::Block,
        ),
        ("mar2026-b158-avx2", Profile::GgmlAvx2, Depth::Block),
        ("dec2024-bitnet-avx2", Profile::GgmlAvx2, Depth::Op),
        (B158, Profile::GgmlAvx512, Depth::Op),
    ] {
        let modules = match depth {
            Depth::Block => 11,
            Depth::Op => 83,
        };
        let found = Bench::open(recording).attributed(Way::new(profile, depth));
        assert_eq!((found.rung, found.rows.len()), (Rung::Bits, modules));
        assert_eq!(found.controls, modules, "{recording}");
        let nothing = |row: &harness::oracle::attribute::Row| {
            let zero = row.effect.kl_mean == Some(0.0) && row.effect.kl_max == Some(0.0);
            zero && row.error.is_identical() && row.effect.is_identical() && row.rank.is_none()
        };
        assert!(found.rows.iter().all(nothing), "{recording}");
        assert_eq!((found.sum, found.full.kl_mean), (Some(0.0), Some(0.0)));
        assert_eq!(
            (&found.named, found.outcome().exit()),
            (&None, Exit::Agrees)
        );
        assert!(render(&found, true, None).ends_with("every module is the same, 0 bits\n"));
    }
}

#[test]
fn another_arithmetic_is_measured_and_only_an_error_of_substance_is_named() {
    let bench = Bench::open("dec2024-bitnet-avx2");
    let way = Way::new(Profile::GgmlAvx512, Depth::Block);
    for found in [bench.attributed(way), bench.in_reference(way)] {
        assert_eq!((found.rung, &found.named), (Rung::OtherOrder, &None));
        let sum = found.sum.expect("finite");
        assert!(sum > 0.0 && sum < 1e-12, "{sum:e}");
        let additivity = found.additivity.expect("both are more than nothing");
        assert!((0.5..2.0).contains(&additivity), "{additivity}");
        let first = found
            .rows
            .iter()
            .find(|row| row.rank == Some(1))
            .expect("some effect");
        assert_eq!(first.module.name, "head");
        assert!(first.beyond_noise.is_some(), "noise of that size shows");
    }
    let faulty = Way {
        plant: Some(("mask-sees-next", Some(1))),
        ..way
    };
    for found in [bench.attributed(faulty), bench.in_reference(faulty)] {
        let named = found.named.expect("planted");
        assert_eq!(named.module, "layer 1 attention");
    }
}

#[test]
fn a_fault_of_every_layer_is_spread_over_its_modules() {
    let bench = Bench::open(BITNET);
    let found = bench.in_reference(Way {
        plant: Some(("gelu-for-silu", None)),
        ..Way::new(Profile::GgmlAvx512, Depth::Block)
    });
    let mut ranked: Vec<_> = found.rows.iter().filter(|row| row.rank.is_some()).collect();
    ranked.sort_by_key(|row| row.rank);
    assert_eq!(ranked.len(), 4);
    assert!(
        ranked
            .iter()
            .all(|row| row.module.name.ends_with("feed-forward"))
    );
    let named = found.named.expect("planted").module;
    assert_eq!(named, ranked[0].module.name);
    let shares: f64 = ranked.iter().filter_map(|row| row.share).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
    let falling = ranked.is_sorted_by(|a, b| a.effect.kl_mean >= b.effect.kl_mean);
    assert!(falling && found.additivity.is_some_and(|a| (0.5..1.5).contains(&a)));
}
