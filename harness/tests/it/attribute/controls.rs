//! What makes a run worth nothing, and what cannot be asked.

use std::path::Path;

use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::transformer::probe::{Node, Probe};
use engine::{Model, Token};
use harness::case::observation::TracedNode;
use harness::case::schedule::Schedule;
use harness::command::answers::NoFinding;
use harness::exit::Exit;
use harness::judge::outcome::Outcome;
use harness::oracle::attribute::modules::Depth;
use harness::oracle::attribute::run::Run;
use harness::oracle::attribute::{Sides, attribute};
use harness::reference::isolation::Shown;
use harness::runner::engine::{Computing, Engine};
use harness::runner::passes::Passes;
use harness::runner::suite::Suite;
use harness::runner::watch::Watch;
use harness::runner::{Followed, ModelFile, Opened, RunError, Runner};

use crate::attribute::bench::{B158, BITNET, Bench, SEED, Way};
use crate::program::recorded::planted;

const WAY: Profile = Profile::GgmlAvx512;

/// A run in which putting something back at one node moves one logit by one unit in the last
/// place.
struct Moody<'a> {
    inner: Computing<'a, &'a Model>,
    node: &'static str,
}

impl Opened for Moody<'_> {
    fn tokenize(&mut self, text: &str) -> Result<Vec<Token>, RunError> {
        self.inner.tokenize(text)
    }

    fn text(&mut self, tokens: &[Token]) -> Result<String, RunError> {
        self.inner.text(tokens)
    }

    fn follow(&mut self, schedule: &Schedule, watch: &Watch<'_>) -> Result<Followed, RunError> {
        let mut followed = self.inner.follow(schedule, watch)?;
        if watch.replaced.contains_key(self.node) {
            followed.rows[77] = f32::from_bits(followed.rows[77].to_bits() + 1);
        }
        Ok(followed)
    }
}

#[test]
fn own_values_that_change_a_bit_certify_nothing() {
    let bench = Bench::open(BITNET);
    let way = Way::new(WAY, Depth::Block);
    let sides = bench.sides(way).expect("comparable");
    let mut moody = Moody {
        inner: bench.passes(way).engine,
        node: "l_out-2|ADD#0",
    };
    let mut run = Run::of_reference(&mut moody, bench.prefill(), &sides);
    let mut swapped = 0;
    let failure = attribute(&sides, &mut run, SEED, || swapped += 1).expect_err("unsteady");
    assert_eq!((failure.exit, swapped), (Exit::Incomplete, 6));
    for words in [
        "UNSTEADY",
        "layer 2 feed-forward",
        "l_out-2|ADD#0",
        "changed 1 logits",
    ] {
        assert!(failure.message.contains(words), "{failure}");
    }
}

#[test]
fn the_engine_shows_and_replaces_what_it_is_told_to_and_a_recording_follows_nothing() {
    let bench = Bench::open(BITNET);
    let mut engine = Engine::new(Kernel::best(), 1);
    let opened = engine.open(ModelFile::Read(&bench.input));
    let mut opened = opened.expect("a fixture");
    let (key, schedule) = ("l_out-2|ADD#0", bench.prefill());
    let shown = Watch {
        shown: Shown::These(vec![key.into(), "attic|MUL#0".into()]),
        ..Watch::default()
    };
    let free = opened.follow(&schedule, &shown).expect("computes");
    let mut node = match &free.nodes[..] {
        [node] => node.clone(),
        others => panic!("{} nodes", others.len()),
    };
    let mut replaced = |key: &str, node: &TracedNode| {
        let replaced = [(key, node)].into_iter().collect();
        let watch = Watch {
            replaced,
            ..Watch::default()
        };
        opened.follow(&schedule, &watch)
    };
    let same = replaced(key, &node).expect("it fits");
    assert_eq!((same.rows, same.nodes.len()), (free.rows.clone(), 0));
    let refused = replaced("attic|MUL#0", &node).expect_err("there is none");
    assert!(refused.to_string().contains("no attic|MUL#0"), "{refused}");
    node.values[0] += 1.0;
    let other = replaced(key, &node).expect("it fits");
    assert_ne!(other.rows, free.rows);

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let suite = Suite::open(&folder).expect("the committed fixtures are sound");
    let silent = suite.recordings[BITNET]
        .clone()
        .logits(&[], &[schedule])
        .expect_err("it computes nothing");
    assert!(matches!(silent, RunError::NoAnswer(_)), "{silent}");
}

#[test]
fn an_engine_with_moods_is_unsteady_too() {
    /// Spoils a node in every second pass.
    struct Moods(usize);
    impl Probe for Moods {
        fn at(&mut self, node: Node, _: &[usize], values: &mut [f32]) {
            if node.to_string() == "result_norm|MUL#0" {
                self.0 += 1;
                values[0] += (self.0 % 2) as f32;
            }
        }
    }
    let bench = Bench::open(B158);
    let sides = bench
        .sides(Way::new(WAY, Depth::Block))
        .expect("comparable");
    let mut passes = bench
        .passes(Way::new(WAY, Depth::Block))
        .with(planted(Moods(0)));
    let mut run = Run::of_engine(&mut passes, &sides);
    let failure = attribute(&sides, &mut run, SEED, || ()).expect_err("unsteady");
    assert_eq!(failure.exit, Exit::Incomplete, "{failure}");
}

#[test]
fn a_module_that_makes_no_numbers_is_named() {
    struct Broken;
    impl Probe for Broken {
        fn at(&mut self, node: Node, _: &[usize], values: &mut [f32]) {
            if node.to_string() == "ffn_up-2|MUL_MAT#0" {
                values[9] = f32::NAN;
            }
        }
    }
    let bench = Bench::open(BITNET);
    let way = Way::new(WAY, Depth::Block);
    let mut passes = bench.passes(way).with(planted(Broken));
    let trace = |_: &[String]| Ok(bench.theirs.trace.clone());
    let identity = bench.theirs.identity.clone();
    let sides = Sides::new(identity, &mut passes, Depth::Block, trace).expect("comparable");
    let mut run = Run::of_engine(&mut passes, &sides);
    let found = attribute(&sides, &mut run, SEED, || ()).expect("steady");
    let named = found.named.expect("a NaN");
    assert_eq!(named.module, "layer 2 feed-forward");
    assert!(named.because.contains("no numbers"), "{}", named.because);
    assert_eq!((found.sum, found.full.kl_mean), (None, None));

    // A run of another engine than the sides were made of is no control of them.
    let mut sound = bench.passes(way);
    let mut run = Run::of_engine(&mut sound, &sides);
    let failure = attribute(&sides, &mut run, SEED, || ()).expect_err("another engine");
    assert_eq!(failure.exit, Exit::Incomplete, "{failure}");
}

#[test]
fn what_is_missing_or_split_is_refused_or_joined() {
    let mut bench = Bench::open(BITNET);
    let way = Way::new(WAY, Depth::Op);
    let hidden = |key: &str, bench: &mut Bench| bench.theirs.trace.retain(|n| n.key != key);
    hidden("ffn_norm-1|MUL#0", &mut bench);
    let found = bench.attributed(way);
    assert_eq!(found.rows.len(), 82);
    let joined = "layer 1 feed-forward norm + layer 1 gate product";
    assert!(found.rows.iter().any(|row| row.module.name == joined));

    bench.theirs.trace[0].shape = vec![7];
    let failure = bench.sides(way).err().expect("another shape");
    assert_eq!(failure.exit, Exit::Incomplete, "{failure}");

    hidden("result_output|MUL_MAT#0", &mut bench);
    let failure = bench.sides(way).err().expect("no logits");
    assert!(
        failure.message.contains("what leaves the head"),
        "{failure}"
    );
    assert_eq!(failure.exit, Exit::Incomplete);

    let tokens = &bench.theirs.tokens;
    let mut split = Passes::new(&bench.model, tokens, WAY, 4).expect("some tokens");
    let identity = bench.theirs.identity.clone();
    let failure = Sides::new(identity, &mut split, Depth::Op, |_| Ok(Vec::new()));
    let failure = failure.err().expect("several ubatches");
    assert_eq!(failure.exit, Exit::BadInput, "{failure}");
}

#[test]
fn an_engine_without_memory_is_a_failure_of_the_environment_and_of_no_input() {
    let bench = Bench::open(BITNET);
    let way = Way::new(WAY, Depth::Block);
    let sides = bench.sides(way).expect("comparable");
    let mut passes = bench.passes(way);
    passes.prefill.context = 1 << 56;
    let mut run = Run::of_engine(&mut passes, &sides);
    let failure = attribute(&sides, &mut run, SEED, || ()).expect_err("a cache of petabytes");
    assert_eq!(failure.exit, Exit::Environment, "{failure}");
    let outcome = NoFinding::from(failure).lost.outcome;
    assert_eq!(outcome, Outcome::Environment);
    assert_eq!(passes.free().err().map(|f| f.exit), Some(Exit::Environment));
}
