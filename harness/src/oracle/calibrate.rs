//! How far apart lanes without a fault are: the floors that the gates of the ladder stand on.
//!
//! Runners of one arithmetic must have the same bits, document by document. So it makes no
//! difference to a floor who computed: a build of the reference, or the engine in its arithmetic.

pub mod documents;
pub mod floors;
mod report;
pub mod written;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::case::Case;
use crate::case::observation::{Identity, Lane, Observation};
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::judge::compare::{LaneFindings, compare};
use crate::judge::tolerance::ArithmeticGap;
use crate::runner::{RunError, Runner, Task, guarded};

pub use report::Report;

/// The arithmetic that all others are measured against.
pub const BASE: &str = "ggml-avx512";

/// What was measured.
pub struct Calibration {
    /// Who computed.
    pub runners: Vec<Identity>,
    /// How far apart those of different arithmetics, or paths, are.
    pub lanes: BTreeMap<Pair, Vec<LaneFindings>>,
    /// Those of one arithmetic beside the first of it: the documents in which all bits are equal.
    pub equal: Vec<Equal>,
    /// Why it ended before the last document; what was measured until then is there.
    pub ended_by: Option<Failure>,
}

/// Two lanes: what sets them apart, their profiles, and the way both took.
pub type Pair = (ArithmeticGap, [String; 2], Lane);

/// A runner beside the first of its arithmetic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Equal {
    /// The two names.
    pub between: [String; 2],
    /// Documents of which every logit has the same bits on both ways, and documents there are.
    pub documents: [usize; 2],
}

impl Equal {
    /// Whether all of them are equal.
    pub fn holds(&self) -> bool {
        self.documents[0] == self.documents[1]
    }
}

/// Shows every document to every runner. The first of [`BASE`] stands for it. What was asked for
/// and did not answer leaves no floor, so it ends the calibration.
pub fn measure(
    cases: &[Case],
    model: &Input,
    runners: &mut [Box<dyn Runner>],
    mut done: impl FnMut(),
) -> Calibration {
    let mut calibration = Calibration {
        runners: runners.iter().map(|r| r.identity()).collect(),
        lanes: BTreeMap::new(),
        equal: Vec::new(),
        ended_by: None,
    };
    for case in cases {
        let task = Task { case, model };
        let mut observe = |runner: &mut Box<dyn Runner>| {
            let seen = guarded(|| runner.observe(task));
            done();
            seen.map_err(|why| no_observation(&runner.identity().name, &case.name, &why))
        };
        let seen: Result<Vec<_>, _> = runners.iter_mut().map(&mut observe).collect();
        if let Err(failure) = seen.and_then(|seen| calibration.add(case, &seen)) {
            calibration.ended_by = Some(failure);
            break;
        }
    }
    calibration
}

impl Calibration {
    /// One document as everybody saw it.
    fn add(&mut self, case: &Case, seen: &[Observation]) -> Result<(), Failure> {
        let first = |profile: &str| seen.iter().position(|s| s.identity.profile == profile);
        let base =
            first(BASE).ok_or_else(|| Failure::input(format!("no lane is computed in {BASE}")))?;
        let [prefill, mut decode] = Lane::ALL.map(|lane| lane_only(&seen[base], lane));
        decode.identity.name.push_str(", decode");
        self.keep(case, ArithmeticGap::Path, &prefill, &decode)?;
        for (i, theirs) in seen.iter().enumerate() {
            let profile = &theirs.identity.profile;
            match first(profile) {
                Some(first) if first != i => self.equal(&seen[first], theirs),
                _ if i == base => {}
                _ => {
                    let apart = ArithmeticGap::profiles(profile, BASE);
                    self.keep(case, apart, theirs, &seen[base])?;
                }
            }
        }
        Ok(())
    }

    fn keep(
        &mut self,
        case: &Case,
        apart: ArithmeticGap,
        theirs: &Observation,
        ours: &Observation,
    ) -> Result<(), Failure> {
        let found = compare(case, theirs, ours).map_err(Failure::input)?;
        if let Some(index) = found.tokens.first_difference {
            let (a, b) = (&theirs.identity.name, &ours.identity.name);
            let text = &case.name;
            let message = format!("{a} and {b} read {text} otherwise from token {index} on");
            return Err(Failure::new(Exit::Diverges, message));
        }
        let profiles = [theirs, ours].map(|s| s.identity.profile.clone());
        for lane in found.lanes.into_iter().filter(|l| !l.positions.is_empty()) {
            let pair = (apart, profiles.clone(), lane.lane);
            self.lanes.entry(pair).or_default().push(lane);
        }
        Ok(())
    }

    fn equal(&mut self, first: &Observation, other: &Observation) {
        let between = [first, other].map(|s| s.identity.name.clone());
        let bits = |seen: &Observation| -> Vec<u32> {
            let values = seen.lanes.values().flat_map(|lane| &lane.values);
            values.map(|value| value.to_bits()).collect()
        };
        let same = first.tokens == other.tokens && bits(first) == bits(other);
        let known = self.equal.iter().position(|e| e.between == between);
        let place = known.unwrap_or_else(|| {
            let documents = [0, 0];
            self.equal.push(Equal { between, documents });
            self.equal.len() - 1
        });
        let [equal, all] = &mut self.equal[place].documents;
        *equal += usize::from(same);
        *all += 1;
    }
}

/// The same observation with one lane only, in the place of the prefill.
fn lane_only(seen: &Observation, lane: Lane) -> Observation {
    let logits = seen.lanes.get(&lane).cloned();
    let lanes = logits.map(|logits| (Lane::Prefill, logits));
    Observation {
        lanes: lanes.into_iter().collect(),
        ..seen.clone()
    }
}

fn no_observation(runner: &str, document: &str, why: &RunError) -> Failure {
    let exit = match why {
        RunError::Lost(_) => Exit::ReferenceDied,
        RunError::Died(_) => Exit::EngineDied,
        RunError::NotFinite(_) => Exit::Diverges,
        _ => Exit::Incomplete,
    };
    let message = format!("{document}: {runner}: {why}");
    Failure::new(exit, message)
}
