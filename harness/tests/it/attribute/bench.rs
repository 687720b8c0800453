//! Traced cases with everything that attributing takes.

use engine::Model;
use engine::numerics::Profile;
use engine::session::OpenOptions;
use harness::case::observation::{Lane, Observation};
use harness::case::schedule::{Schedule, Step};
use harness::exit::Failure;
use harness::file::provenance::Input;
use harness::oracle::attribute::modules::Depth;
use harness::oracle::attribute::run::Run;
use harness::oracle::attribute::{Attribution, Sides, attribute};
use harness::oracle::power;
use harness::runner::passes::Passes;

use crate::program::recorded;

pub const B158: &str = "mar2026-b158-avx512";
pub const BITNET: &str = "dec2024-bitnet-avx512";

/// What decides the noise.
pub const SEED: u64 = 1;

/// A traced case and what a recording saw of it.
pub struct Bench {
    pub input: Input,
    pub model: Model,
    pub theirs: Observation,
}

/// How the engine computes, and what is wrong with it.
#[derive(Clone, Copy)]
pub struct Way {
    pub profile: Profile,
    pub depth: Depth,
    /// A fault of the catalogue and the layer it is confined to.
    pub plant: Option<(&'static str, Option<usize>)>,
}

impl Way {
    pub fn new(profile: Profile, depth: Depth) -> Self {
        Way {
            profile,
            depth,
            plant: None,
        }
    }
}

impl Bench {
    pub fn open(recording: &str) -> Self {
        let (_, input, theirs) = recorded::traced(recording);
        Bench {
            theirs,
            model: Model::open(&input.path, &OpenOptions::default()).expect("a fixture"),
            input,
        }
    }

    pub fn passes(&self, way: Way) -> Passes<'_> {
        let tokens = &self.theirs.tokens;
        let passes = Passes::new(&self.model, tokens, way.profile, 512).expect("some tokens");
        match way.plant {
            None => passes,
            Some((fault, layer)) => {
                let fault = power::of_values(fault).expect("a fault of values");
                let plant = fault.plant(layer, &self.model, way.profile);
                passes.with(plant.expect("a fault of this model"))
            }
        }
    }

    pub fn sides(&self, way: Way) -> Result<Sides, Failure> {
        let identity = self.theirs.identity.clone();
        let trace = |_: &[String]| Ok(self.theirs.trace.clone());
        Sides::new(identity, &mut self.passes(way), way.depth, trace)
    }

    /// In the engine's run.
    pub fn attributed(&self, way: Way) -> Attribution {
        let sides = self.sides(way).expect("comparable");
        let mut passes = self.passes(way);
        let mut run = Run::of_engine(&mut passes, &sides);
        attribute(&sides, &mut run, SEED, || ()).expect("steady")
    }

    /// In the run of an engine without a fault, which stands for the reference.
    pub fn in_reference(&self, way: Way) -> Attribution {
        let sides = self.sides(way).expect("comparable");
        let theirs = Profile::from_name(&self.theirs.identity.profile).expect("known");
        let mut passes = self.passes(Way::new(theirs, way.depth));
        let prefill = self.prefill();
        let mut run = Run::of_reference(&mut passes.engine, prefill, &sides);
        attribute(&sides, &mut run, SEED, || ()).expect("steady")
    }

    /// The prompt in one portion.
    pub fn prefill(&self) -> Schedule {
        Schedule::of(Step::of_lane(Lane::Prefill, &self.theirs.tokens))
    }
}
