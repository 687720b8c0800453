//! What was timed and what it comes to: what `--json` writes.

use engine::sampler::greedy;
use serde::Serialize;

use super::Test;
use super::lane::Lane;
use super::roofline::{Load, Roofline};
use crate::file::provenance::Machine;
use crate::judge::outcome::Outcome;
use crate::numbers::metrics::{Distance, median};
use crate::numbers::statistics::{Intervals, mean};

/// The version of the JSON this build writes.
const SCHEMA: u32 = 1;
/// Logits of another arithmetic, or of weights that were rounded again, are those of the same
/// model as long as their error is no larger than this part of them: other models' is near 2.
const SAME_MODEL: f64 = 0.25;
/// How sure the interval of a ratio is.
const INTERVALS: Intervals = Intervals {
    confidence: 0.95,
    resamples: 2000,
    seed: 1,
};

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Grows with every change of the fields.
    pub schema_version: u32,
    /// What it comes to.
    pub outcome: Outcome,
    /// Where it was measured.
    pub machine: Machine,
    /// Who was measured, the engine first.
    pub builds: Vec<Build>,
    /// Line by line.
    pub tests: Vec<Measured>,
}

/// A build, and how it starts.
#[derive(Debug, Serialize)]
pub struct Build {
    /// As printed.
    pub name: String,
    /// What it was compiled for, in its own words.
    pub compiled_for: String,
    /// Whether it is another engine.
    pub is_reference: bool,
    /// SHA-256 of its file.
    pub model_sha256: String,
    /// Length of its file.
    pub model_bytes: u64,
    /// Loading the model, in milliseconds.
    pub load_ms: Vec<f64>,
    /// From a new process with the file in the page cache to the logits of a prompt of 16 tokens.
    pub first_token_ms: Vec<f64>,
    /// Megabytes in memory after 512 positions, the mapped file included.
    pub resident_mb: Vec<f64>,
    /// Why it did not start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

/// One line of the plan.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Which.
    #[serde(flatten)]
    pub test: Test,
    /// What the machine could do meanwhile.
    pub roofline: Roofline,
    /// How busy it was.
    pub load: Load,
    /// Build by build, the engine first.
    pub speeds: Vec<Speed>,
}

/// One build in one line.
#[derive(Debug, Serialize)]
pub struct Speed {
    /// Which.
    pub build: String,
    /// Tokens a second, forth and back in turn.
    pub samples_ts: Vec<f64>,
    /// Their mean.
    pub avg_ts: Option<f64>,
    /// The one in the middle.
    pub median_ts: Option<f64>,
    /// How much faster the engine was beside it.
    pub engine_is: Option<Ratio>,
    /// Megabytes that a decode step reads.
    pub mb_per_token: f64,
    /// Those in billions of bytes a second, for a decode.
    pub gb_per_s: Option<f64>,
    /// Share of the stream that was measured in the same minutes, for a decode.
    pub of_stream: Option<f64>,
    /// Share of the int8 products that registers allow, for a prefill.
    pub of_int8: Option<f64>,
    /// More bytes a second than memory has: it has not read what it should have.
    pub impossible: bool,
    /// What became of its logits.
    pub logits: Logits,
}

/// The middle of ratios, and where it lies for nineteen of twenty samples like this one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// The one in the middle.
    pub median: f64,
    /// From here.
    pub low: f64,
    /// To here.
    pub high: f64,
}

/// What became of the logits of a build beside the engine's.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "are", rename_all = "snake_case")]
pub enum Logits {
    /// The engine's own.
    Own,
    /// The same bits.
    Equal {
        /// How many.
        values: usize,
    },
    /// Of the same model in another arithmetic.
    Close {
        /// Normalised mean squared error.
        nmse: f64,
    },
    /// Something else: its speed says nothing.
    Different {
        /// How many differ, of how many.
        differing: usize,
        /// How many there are.
        values: usize,
        /// Normalised mean squared error, where all are numbers.
        nmse: Option<f64>,
        /// Whether they had to be the same bits.
        bits: bool,
    },
    /// There are none.
    Lost {
        /// Why.
        why: String,
    },
}

impl Logits {
    /// Theirs beside ours.
    pub fn between(same_bits: bool, theirs: &[f32], ours: &[f32]) -> Self {
        if theirs.len() != ours.len() {
            let (theirs, ours) = (theirs.len(), ours.len());
            let why = format!("{theirs} logits beside the engine's {ours}");
            return Logits::Lost { why };
        }
        let distance = Distance::between(theirs, ours);
        let values = distance.values;
        if distance.is_bit_identical() {
            return Logits::Equal { values };
        }
        match distance
            .nmse
            .filter(|nmse| *nmse <= SAME_MODEL && !same_bits)
        {
            Some(nmse) => Logits::Close { nmse },
            None => Logits::Different {
                differing: values - distance.bit_equal,
                values,
                nmse: distance.nmse,
                bits: same_bits,
            },
        }
    }

    /// Tokens with their logits beside all of the engine's logits: each must be the likeliest.
    pub fn likeliest(theirs: &[f32], ours: &[f32], vocabulary: usize) -> Self {
        let rows = theirs.chunks(2).zip(ours.chunks(vocabulary));
        let right = |(pair, row): &(&[f32], &[f32])| {
            let token = greedy(row);
            let bits = row[token as usize].to_bits();
            pair[0] == token as f32 && pair[1].to_bits() == bits
        };
        let values = rows.len();
        match values - rows.filter(right).count() {
            0 => Logits::Equal { values },
            differing => Logits::Different {
                differing,
                values,
                nmse: None,
                bits: true,
            },
        }
    }

    /// What it comes to.
    fn outcome(&self) -> Outcome {
        match self {
            Logits::Own | Logits::Equal { .. } | Logits::Close { .. } => Outcome::Ok,
            Logits::Different { .. } => Outcome::Divergence,
            Logits::Lost { .. } => Outcome::ReferenceDied,
        }
    }
}

impl Report {
    /// Nothing is measured yet.
    pub fn begin(lanes: &[Lane]) -> Self {
        let build = |lane: &Lane| Build {
            name: lane.name.clone(),
            compiled_for: lane.compiled_for.clone(),
            is_reference: lane.is_reference,
            model_sha256: lane.file.sha256.clone(),
            model_bytes: lane.bytes,
            load_ms: Vec::new(),
            first_token_ms: Vec::new(),
            resident_mb: Vec::new(),
            lost: None,
        };
        Report {
            schema_version: SCHEMA,
            outcome: Outcome::Incomplete,
            machine: Machine::here(),
            builds: lanes.iter().map(build).collect(),
            tests: Vec::new(),
        }
    }

    /// All is measured.
    pub fn end(&mut self) {
        let floor = if self.builds.iter().any(|build| build.is_reference) {
            Outcome::Ok
        } else {
            Outcome::RustOnly
        };
        let builds = self.builds.iter().enumerate();
        let lost = builds.filter(|(_, build)| build.lost.is_some());
        let lost = lost.map(|(at, _)| lost_by(at));
        let speeds = self.tests.iter().flat_map(Measured::outcomes);
        self.outcome = Outcome::worst(floor, lost.chain(speeds));
    }
}

/// What it comes to where a build gave no answer; the first is the engine.
fn lost_by(place: usize) -> Outcome {
    if place == 0 {
        Outcome::EngineDied
    } else {
        Outcome::ReferenceDied
    }
}

impl Measured {
    /// Numbers from samples.
    pub fn new(test: Test, mut speeds: Vec<Speed>, roofline: Roofline, load: Load) -> Self {
        let ours = speeds[0].samples_ts.clone();
        for speed in &mut speeds {
            speed.sum_up(test, &ours, &roofline);
        }
        speeds[0].engine_is = None;
        Measured {
            test,
            roofline,
            load,
            speeds,
        }
    }

    fn outcomes(&self) -> impl Iterator<Item = Outcome> + '_ {
        let speeds = self.speeds.iter().enumerate();
        speeds.map(|(at, speed)| match speed.logits {
            Logits::Lost { .. } => lost_by(at),
            _ => speed.logits.outcome(),
        })
    }
}

impl Speed {
    /// Nothing was timed yet.
    pub fn of(lane: &Lane, test: Test) -> Self {
        let middle = test.n_depth as f64 + test.n_gen as f64 / 2.0;
        Speed {
            build: lane.name.clone(),
            samples_ts: Vec::new(),
            avg_ts: None,
            median_ts: None,
            engine_is: None,
            mb_per_token: lane.traffic.at(middle) / 1e6,
            gb_per_s: None,
            of_stream: None,
            of_int8: (test.n_prompt > 0).then_some(lane.traffic.products as f64 / 1e9),
            impossible: false,
            logits: Logits::Own,
        }
    }

    /// Whether its speed says anything.
    pub fn counts(&self) -> bool {
        self.logits.outcome() == Outcome::Ok
    }

    fn sum_up(&mut self, test: Test, ours: &[f64], roofline: &Roofline) {
        let products = self.of_int8.take();
        if !self.counts() {
            self.samples_ts.clear();
        }
        self.avg_ts = mean(&self.samples_ts);
        self.median_ts = median(&self.samples_ts);
        let Some(rate) = self.median_ts else { return };
        self.engine_is = Ratio::of(ours, &self.samples_ts);
        if test.n_gen > 0 {
            let gb_per_s = rate * self.mb_per_token / 1e3;
            self.gb_per_s = Some(gb_per_s);
            self.of_stream = Some(gb_per_s / roofline.stream_gb_per_s);
            self.impossible = gb_per_s > roofline.stream_gb_per_s;
        }
        self.of_int8 = products.map(|products| rate * products / roofline.int8_gmac_per_s);
    }
}

impl Ratio {
    /// Of neighbours; none where a sample has none.
    fn of(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        if ours.len() != theirs.len() {
            return None;
        }
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
        let [low, high] = INTERVALS.of_median(&ratios)?;
        Some(Ratio {
            median: median(&ratios)?,
            low,
            high,
        })
    }
}
