//! The traced cases, ready to be located, and faults to plant.

use std::path::PathBuf;

use engine::Model;
use engine::numerics::Profile;
use engine::session::OpenOptions;
use engine::transformer::probe::{Node, Probe};
use harness::case::observation::Observation;
use harness::exit::Failure;
use harness::file::provenance::Input;
use harness::oracle::trace::{Evidence, Located, locate};
use harness::runner::passes::Passes;

use crate::program::recorded;

pub const B158: &str = "mar2026-b158-avx512";
pub const BITNET: &str = "dec2024-bitnet-avx512";

/// A traced case: its model, what a recording saw of it, and how many nodes it declares.
pub struct Traced {
    pub input: Input,
    pub model: Model,
    pub theirs: Observation,
    pub nodes: usize,
}

impl Traced {
    pub fn open(recording: &str) -> Self {
        let (case, input, theirs) = recorded::traced(recording);
        Traced {
            theirs,
            model: Model::open(&input.path, &OpenOptions::default()).expect("a fixture"),
            nodes: case.nodes,
            input,
        }
    }

    pub fn passes(&self, profile: Profile) -> Passes<'_> {
        Passes::new(&self.model, &self.theirs.tokens, profile, 512).expect("one ubatch")
    }

    pub fn locate(&self, passes: &mut Passes<'_>) -> Result<Evidence, Failure> {
        locate(&self.theirs, self.nodes, passes)
    }

    /// In an order of float operations.
    pub fn located(&self, profile: Profile) -> Located {
        let evidence = self.locate(&mut self.passes(profile));
        evidence.expect("comparable").located
    }

    /// With a fault planted in the engine, in the recording's own arithmetic.
    pub fn with_fault(&self, fault: impl Probe) -> Located {
        let mut passes = self
            .passes(Profile::GgmlAvx512)
            .with(recorded::planted(fault));
        self.locate(&mut passes).expect("comparable").located
    }
}

/// Spoils the values of one node.
pub struct Spoil<F> {
    pub key: String,
    pub how: F,
}

impl<F: FnMut(&mut [f32])> Probe for Spoil<F> {
    fn at(&mut self, node: Node, _: &[usize], values: &mut [f32]) {
        if node.to_string() == self.key {
            (self.how)(values);
        }
    }
}

pub fn spoil<F: FnMut(&mut [f32])>(key: &str, how: F) -> Spoil<F> {
    let key = key.to_owned();
    Spoil { key, how }
}

/// A folder of its own under the system's temporary one.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("localise-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("temporary folder");
    folder
}
