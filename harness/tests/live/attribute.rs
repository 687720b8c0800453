//! Swaps in the run of a real C++ reference.

use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use engine::numerics::Profile;
use harness::case::observation::TracedNode;
use harness::exit::Exit;
use harness::oracle::attribute::modules::Depth;
use harness::oracle::attribute::run::{Run, shown};
use harness::oracle::attribute::{Attribution, Sides, attribute};
use harness::reference::Reference;
use harness::reference::isolation::{Limits, Shown};
use harness::runner::reference::Observing;
use harness::runner::watch::Watch;
use harness::runner::{ModelFile, RunError, Runner};

use libtest_mimic::Trial;

use crate::bench::{BITNET, Bench, SEED, Way};
use crate::{built, live};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        live!(
            ["bitnet-portable"],
            the_engines_modules_change_nothing_in_the_references_run_unless_one_is_faulty
        ),
        live!(
            ["bitnet-portable"],
            what_cannot_be_replaced_is_refused_by_name
        ),
        live!(
            ["bitnet-portable"],
            a_head_in_bf16_is_swapped_like_any_other
        ),
    ]
}

/// The portable reference, which has the same bits on every x86 machine.
fn reference() -> Reference {
    let place = built("bitnet-portable")
        .expect("it was asked for")
        .tree
        .root;
    let launch = Rc::new(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command.args(["worker", "--place"]).arg(&place);
        command
    });
    let opened = Reference::open("bitnet-portable", Limits::default(), launch);
    opened.expect("it is built")
}

fn attributed(reference: &Reference, bench: &Bench, way: Way) -> Attribution {
    let mut runner = Observing::unchanged(reference.clone());
    let opened = runner.open(ModelFile::Read(&bench.input));
    let mut opened = opened.expect("it takes part");
    let identity = reference.facts().identity();
    let (mut passes, prefill) = (bench.passes(way), bench.prefill());
    let sides = Sides::new(identity, &mut passes, way.depth, |keys| {
        shown(&mut *opened, &prefill, keys)
    });
    let sides = sides.expect("comparable");
    let mut run = Run::of_reference(&mut *opened, prefill, &sides);
    let found = attribute(&sides, &mut run, SEED, || ()).expect("steady");
    assert_eq!(
        run.alone(0).expect("kept"),
        sides.logits[0],
        "its last node is its logits"
    );
    found
}

fn the_engines_modules_change_nothing_in_the_references_run_unless_one_is_faulty() {
    let reference = reference();
    let bench = Bench::open(BITNET);
    let own = Profile::from_name(&reference.facts().profile()).expect("known");
    for (depth, modules) in [(Depth::Block, 11), (Depth::Op, 83)] {
        let found = attributed(&reference, &bench, Way::new(own, depth));
        assert_eq!((found.rows.len(), found.controls), (modules, modules));
        assert!(found.rows.iter().all(|row| row.effect.is_identical()));
        assert_eq!((found.sum, found.named), (Some(0.0), None));
    }
    let other = attributed(
        &reference,
        &bench,
        Way::new(Profile::GgmlAvx512, Depth::Block),
    );
    assert!(
        other.sum.is_some_and(|sum| sum > 0.0 && sum < 1e-12),
        "{:?}",
        other.sum
    );
    assert_eq!(other.named, None);
    for (fault, layer, depth, module) in [
        ("embedding-scaled", None, Depth::Block, "embedding"),
        (
            "rope-missing-on-keys",
            Some(0),
            Depth::Block,
            "layer 0 attention",
        ),
        ("stuck-lane", None, Depth::Block, "layer 1 feed-forward"),
        ("mask-sees-next", Some(3), Depth::Op, "layer 3 softmax"),
        ("last-norm-skipped", None, Depth::Block, "final norm"),
        ("logits-soft-capped", None, Depth::Block, "head"),
    ] {
        let way = Way {
            plant: Some((fault, layer)),
            ..Way::new(own, depth)
        };
        let found = attributed(&reference, &bench, way);
        assert_eq!(found.named.as_ref().expect(fault).module, module);
        assert_eq!(
            (found.outcome().exit(), found.additivity),
            (Exit::Diverges, Some(1.0)),
            "{fault}"
        );
    }
}

fn what_cannot_be_replaced_is_refused_by_name() {
    let reference = reference();
    let bench = Bench::open(BITNET);
    let mut runner = Observing::unchanged(reference);
    let opened = runner.open(ModelFile::Read(&bench.input));
    let mut opened = opened.expect("it takes part");
    let mut replaced = |key: &str, values: &[f32]| {
        let node = TracedNode {
            key: key.into(),
            shape: vec![values.len()],
            values: values.to_vec(),
        };
        let watch = Watch {
            shown: Shown::These(vec!["nobody|MUL#0".into()]),
            replaced: [(key, &node)].into_iter().collect(),
        };
        opened.follow(&bench.prefill(), &watch)
    };
    for (key, complaint) in [
        ("attic-0|MUL#0", "the graph has no attic-0|MUL#0"),
        (
            "l_out-1|ADD#0",
            "l_out-1|ADD#0 has 2816 values, 3 were given",
        ),
    ] {
        let refused = replaced(key, &[1.0, 2.0, 3.0]);
        let Err(RunError::Declined(message)) = refused else {
            panic!("{key}: {refused:?}")
        };
        assert!(message.contains(complaint), "{message}");
    }
    // The same process still answers.
    let sound = replaced("l_out-1|ADD#0", &[0.5; 2816]).expect("it fits");
    assert_eq!((sound.rows.len(), sound.nodes.len()), (11 * 1024, 0));
}

fn a_head_in_bf16_is_swapped_like_any_other() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/random");
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["attribute", "--reference", "bitnet-portable", "--model"])
        .arg(models.join("random-scaled.gguf"))
        .args(["--prompt", "Call me Ahab"])
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    // Of each side in the other's run.
    let same = said.matches("modules 5: 0 differ on the reference's inputs");
    assert_eq!(same.count(), 2, "{said}");
}
