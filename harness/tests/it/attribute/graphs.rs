//! Every graph the engine knows, cut into modules: one spoiled value names the module it is in.

use engine::Model;
use engine::config::Architecture;
use engine::numerics::Profile;
use engine::session::OpenOptions;
use engine::transformer::probe::{Node, Probe};
use harness::case::observation::{Identity, TracedNode};
use harness::fixture::random::RandomShape;
use harness::oracle::attribute::modules::Depth;
use harness::oracle::attribute::run::Run;
use harness::oracle::attribute::{Attribution, Sides, attribute};
use harness::runner::passes::Passes;

use crate::attribute::bench::SEED;
use crate::program::recorded::planted;

const PROFILE: Profile = Profile::GgmlAvx2;
const TOKENS: [u32; 5] = [1, 7, 3, 200, 5];

/// Turns the sign of one value of a node.
struct Spoil(String);

impl Probe for Spoil {
    fn at(&mut self, node: Node, _: &[usize], values: &mut [f32]) {
        if node.to_string() == self.0 {
            let middle = values.len() / 2;
            values[middle] = 1.0 - values[middle];
        }
    }
}

/// A model of one layer, small enough to be swapped to pieces.
fn model(architecture: Architecture, factors: &str) -> Model {
    let shape = RandomShape::from_seed(11, Some(architecture));
    let shape = shape.changed(&format!(
        "output=tied layers=1 head_dim=32 kv_heads=2 group=2 width=128 inner=128 vocab=260 \
         context=64 weights=i2_s-p128 embedding=f16 rope_factors=no {factors}"
    ));
    let bytes = shape
        .expect("possible")
        .document()
        .expect("possible")
        .file();
    Model::from_bytes(bytes, &OpenOptions::default()).expect("sound")
}

fn passes(model: &Model) -> Passes<'_> {
    Passes::new(model, &TOKENS, PROFILE, 512).expect("some tokens")
}

/// A faulty engine against the trace of a sound one, as a reference would show it.
fn attributed(model: &Model, trace: &[TracedNode], depth: Depth, spoiled: &str) -> Attribution {
    let reference = Identity {
        name: "the sound engine".into(),
        profile: PROFILE.name().into(),
        fingerprint: "itself".into(),
    };
    let mut faulty = passes(model).with(planted(Spoil(spoiled.into())));
    let sides = Sides::new(reference, &mut faulty, depth, |_| Ok(trace.to_vec()));
    let sides = sides.expect("comparable");
    let mut run = Run::of_engine(&mut faulty, &sides);
    attribute(&sides, &mut run, SEED, || ()).expect("steady")
}

#[test]
fn a_spoiled_value_names_its_module_in_every_graph() {
    let mut named = 0;
    for (architecture, factors) in [
        (Architecture::Bitnet, "scales=no biases=no"),
        (Architecture::Bitnet, "scales=yes biases=no"),
        (Architecture::BitnetB158, "scales=no biases=yes"),
        (Architecture::Llama, "scales=no biases=no"),
        (Architecture::Llama, "scales=no biases=yes"),
    ] {
        let model = model(architecture, factors);
        let free = passes(&model).free().expect("computes");
        // References do not show what has only a number.
        let mut trace = free.nodes;
        trace.retain(|node| !node.key.starts_with("node_"));
        let whole = attributed(&model, &trace, Depth::Block, "nobody");
        let names: Vec<_> = whole.rows.iter().map(|row| &*row.module.name).collect();
        let blocks = ["layer 0 attention", "layer 0 feed-forward"];
        let expected = ["embedding", blocks[0], blocks[1], "final norm", "head"];
        assert_eq!((names, whole.named), (expected.to_vec(), None));
        let sound = attributed(&model, &trace, Depth::Op, "nobody");
        let modules: Vec<_> = sound.rows.iter().map(|row| row.module.clone()).collect();
        assert_eq!(sound.named, None);
        assert!(
            modules.len() >= 21,
            "{}: {}",
            architecture.name(),
            modules.len()
        );
        for module in modules {
            let found = attributed(&model, &trace, Depth::Op, &module.output);
            let key = &module.output;
            assert_eq!(found.named.expect(key).module, module.name);
            named += 1;
        }
    }
    assert!(named > 100, "{named}");
}
