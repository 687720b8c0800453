//! One operation taken away and repeated.

use engine::numerics::Profile;
use harness::oracle::trace::bundle::{Bundle, write};
use harness::oracle::trace::locate;

use crate::trace::traced::{B158, BITNET, Traced, folder};

#[test]
fn every_kind_of_operation_is_repeated_to_the_bit_from_its_bundle() {
    let folder = folder("every-kind");
    for recording in [B158, BITNET] {
        let traced = Traced::open(recording);
        let mut repeated = 0;
        for (at, node) in traced.theirs.trace.iter().enumerate() {
            // Of the layers one: the others are made of the same operations.
            let (key, in_a_layer) = (&node.key, node.key.contains('-'));
            if in_a_layer && !key.contains("-2") {
                continue;
            }
            let mut theirs = traced.theirs.clone();
            theirs.trace[at].values[0] += 1.0;
            let mut passes = traced.passes(Profile::GgmlAvx512);
            let evidence = locate(&theirs, traced.nodes, &mut passes).expect("comparable");
            let written = write(&folder, &evidence, &theirs, &passes, &traced.input);
            if key.starts_with("node_") {
                // Of two that only a number tells apart, nobody knows what either reads.
                let refused = written.expect_err("it has no name");
                assert!(refused.message.contains("does not tell what it reads"));
                continue;
            }
            assert_eq!(written.expect("possible").as_ref(), Some(key));
            let bundle = Bundle::read(&folder).expect("just written");
            let replay = bundle.replay(&mut passes).expect("repeats");
            assert!(replay.ours.is_identical(), "{key}");
            assert_eq!((replay.theirs.differing, replay.acceptable), (1, false));
            repeated += 1;
        }
        assert!(repeated >= 28, "{recording}: {repeated} nodes are too few");
    }
    std::fs::remove_dir_all(&folder).expect("temporary folder");
}

#[test]
fn a_damaged_bundle_is_refused_and_agreement_has_none() {
    let folder = folder("damaged");
    let traced = Traced::open("mar2026-b158-avx2");
    let mut passes = traced.passes(Profile::GgmlAvx512);
    let evidence = traced.locate(&mut passes).expect("comparable");
    let written = write(&folder, &evidence, &traced.theirs, &passes, &traced.input);
    assert_eq!(
        written.expect("possible").as_deref(),
        Some("kq-0|MUL_MAT#0")
    );
    let bundle = Bundle::read(&folder).expect("just written");
    assert_eq!(bundle.manifest.inputs, ["Qcur-0|ROPE#0", "Kcur-0|ROPE#0"]);
    let replay = bundle.replay(&mut passes).expect("repeats");
    assert!(replay.acceptable && !replay.theirs.is_identical());

    let file = |name: &str| std::fs::read(folder.join(name)).expect("written");
    for name in ["bundle.json", "input-1.npy", "theirs.npy", "ours.npy"] {
        let whole = file(name);
        std::fs::write(folder.join(name), &whole[..whole.len() - 3]).expect("writable");
        let refused = Bundle::read(&folder).err().expect(name);
        assert!(refused.message.contains(name), "{refused}");
        std::fs::write(folder.join(name), whole).expect("writable");
    }
    // Whole again, but for another operation: the shape gives it away.
    let swapped = file("input-0.npy");
    std::fs::write(folder.join("input-1.npy"), swapped).expect("writable");
    let strange = Bundle::read(&folder).expect("whole").replay(&mut passes);
    assert!(strange.is_err(), "queries are no keys");
    std::fs::remove_dir_all(&folder).expect("temporary folder");

    let traced = Traced::open(B158);
    let mut passes = traced.passes(Profile::GgmlAvx512);
    let evidence = traced.locate(&mut passes).expect("comparable");
    let none = write(&folder, &evidence, &traced.theirs, &passes, &traced.input);
    assert_eq!(none.expect("nothing to do"), None);
    assert!(!folder.exists(), "nothing was written");
}
