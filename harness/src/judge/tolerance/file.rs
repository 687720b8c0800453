//! `tolerances.toml`, read strictly: the tiers, the measured floors, and the gates they make.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{ArithmeticGap, Tolerance};
use crate::case::observation::Lane;
use crate::exit::Failure;
use crate::numbers::statistics::{Intervals, Tail};

/// The file as it was compiled in.
pub const TEXT: &str = include_str!("../../../tolerances.toml");
/// Its name.
pub const FILE: &str = "tolerances.toml";

/// The whole file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerances {
    schema: u32,
    factor: Factors,
    /// Where several documents are judged together.
    pub pooled: Pooled,
    margin: Margin,
    /// How sure the intervals are.
    pub interval: Intervals,
    /// One operation alone.
    pub operation: Operation,
    /// An arithmetic without a name, beside a run in double precision.
    pub error_ratio: ErrorRatio,
    /// The ladder, the strictest first.
    pub tier: Vec<Tier>,
    /// When and how the floors were measured.
    pub measured: Measured,
    /// The floors.
    pub floor: Vec<Floor>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Factors {
    mean: f64,
    tail: f64,
    median: f64,
}

/// Where several documents are judged together.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pooled {
    /// Documents from which on they are.
    pub documents: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Margin {
    floors: f64,
}

/// What is demanded of one operation alone, on the reference's own inputs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Both sum in single precision, in another order.
    pub other_order: f64,
    /// One side sums in half precision.
    pub half_sums: f64,
    /// Largest NMSE of what leaves a layer, between two arithmetics.
    pub layer_nmse: f64,
    /// How many times nearer every node before it is, where a fault was made in a free run.
    pub made_here: f64,
    /// Median NMSE of the logits that one module of another arithmetic may cause.
    pub module_median: f64,
}

/// What is demanded of an error, measured by the reference's own.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRatio {
    /// As in verdicts.
    pub name: String,
    /// Share of the positions that are at most as noisy as the one that is looked at.
    pub quiet: f64,
    /// Root mean square of a row, over the reference's, at most.
    pub rmse: f64,
    /// Largest error of a row, over the reference's, at most.
    pub max: f64,
    /// What is below it is no error.
    pub rmse_floor: f64,
    /// The same of the largest.
    pub max_floor: f64,
}

/// One rung of the ladder.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Which.
    pub name: Tolerance,
    /// What it demands.
    pub meaning: String,
    /// When it applies.
    pub applies: String,
    /// Why it exists.
    pub reason: String,
    /// What is allowed whatever the floor; none where distances do not decide.
    pub constant: Option<Constants>,
}

/// Distances that are allowed whatever the floor.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constants {
    nmse_median: f64,
    nmse_mean: f64,
    nmse_tail: f64,
    kld_mean: f64,
    kld_tail: f64,
    top1: f64,
}

/// When and how the floors were measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The day, in UTC.
    pub date: String,
    /// The model file's name.
    pub model: String,
    /// Of its bytes.
    pub model_sha256: String,
    /// Texts the model wrote.
    pub documents: usize,
    /// What measured them.
    pub command: String,
    /// Who computed, as `name (profile) fingerprint`.
    pub witnesses: Vec<String>,
}

/// The distance of two lanes without a fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// What sets the two apart.
    pub apart: ArithmeticGap,
    /// Their profiles, the one that plays the reference first.
    pub profiles: [String; 2],
    /// The way both took; the reference's where they differ in that.
    pub path: Lane,
    /// Positions compared.
    pub positions: usize,
    /// Which number stands for the tails.
    pub tail: Tail,
    /// Median of the NMSE.
    pub nmse_median: f64,
    /// Its mean.
    pub nmse_mean: f64,
    /// Its tail.
    pub nmse_tail: f64,
    /// Mean of `KL(reference ‖ other)`.
    pub kld_mean: f64,
    /// Its tail.
    pub kld_tail: f64,
    /// Tail of the largest difference of two logits.
    pub max_abs: f64,
    /// Positions whose most likely token is another.
    pub flips: usize,
}

/// What a comparison must not exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gates {
    /// Median of the NMSE over several documents.
    pub nmse_median: f64,
    /// Its mean over several documents.
    pub nmse_mean: f64,
    /// Its tail in a document.
    pub nmse_tail: f64,
    /// Mean of `KL(reference ‖ ours)` over several documents.
    pub kld_mean: f64,
    /// Its tail in a document.
    pub kld_tail: f64,
    /// Share of positions whose most likely token may be another, over several documents.
    pub flips: f64,
    /// What a tie is at most, in logits: the most likely token may be another only in one.
    pub tie: f64,
}

/// The file that was compiled in.
pub fn tolerances() -> &'static Tolerances {
    static BOOK: LazyLock<Tolerances> =
        LazyLock::new(|| Tolerances::parse(TEXT).expect("a test reads what is compiled in"));
    &BOOK
}

impl Tolerances {
    /// Reads and checks the file.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::input(format!("{FILE}: {why}"));
        let tolerances: Tolerances = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        tolerances
            .fault()
            .map_or(Ok(tolerances), |why| Err(wrong(why)))
    }

    fn fault(&self) -> Option<String> {
        if self.schema != 1 {
            return Some(format!("schema {} where this build reads 1", self.schema));
        }
        if !self.interval.is_sound() {
            return Some("no interval can be made like that".into());
        }
        let ratio = &self.error_ratio;
        let above_one = [ratio.rmse, ratio.max].iter().all(|most| *most >= 1.0);
        let floors = [ratio.rmse_floor, ratio.max_floor].iter().all(|f| *f > 0.0);
        if !(above_one && floors && (0.0..1.0).contains(&ratio.quiet)) {
            return Some("the error ratio allows less than the reference's own error".into());
        }
        let names = self.tier.iter().map(|tier| tier.name);
        if !names.eq(Tolerance::ALL) {
            return Some("the tiers are not the five of the ladder, in order".into());
        }
        for tier in &self.tier {
            let name = tier.name.name();
            if tier.constant.is_some() != tier.name.is_measured() {
                return Some(format!(
                    "{name}: constants are for tiers judged by distances"
                ));
            }
            if tier.constant.is_some_and(|constant| !constant.is_sound()) {
                return Some(format!("{name}: a constant is no positive number"));
            }
        }
        let unsound = self.floor.iter().find(|floor| !floor.is_sound());
        let unsound = unsound.map(|floor| format!("the floor of {} is no distance", floor.label()));
        unsound.or_else(|| self.without_floor())
    }

    /// What has no floor would pass whatever its distance.
    fn without_floor(&self) -> Option<String> {
        let kinds = ArithmeticGap::MEASURED.into_iter();
        let mut lanes = kinds.flat_map(|apart| Lane::ALL.map(|lane| (apart, lane)));
        let (apart, lane) = lanes.find(|(a, lane)| self.gates(*a, *lane).is_none())?;
        Some(format!("{}, {} has no floor", apart.words(), lane.name()))
    }

    /// A tier by its name.
    pub fn tier(&self, name: Tolerance) -> &Tier {
        let found = self.tier.iter().find(|tier| tier.name == name);
        found.expect("every tier is there, which was checked")
    }

    /// What two lanes set apart by this may not exceed on one path; none where distances do not
    /// decide.
    pub fn gates(&self, apart: ArithmeticGap, path: Lane) -> Option<Gates> {
        let constant = self.tier(apart.tier()).constant?;
        // Two ways beside each other have one floor, whichever is the reference.
        let both = apart == ArithmeticGap::Path;
        let on_path = |f: &&Floor| f.apart == apart && (f.path == path || both);
        let floors: Vec<&Floor> = self.floor.iter().filter(on_path).collect();
        if floors.is_empty() {
            return None;
        }
        // Pairs of profiles that are set apart by the same share their gate.
        let most = |part: fn(&Floor) -> f64| floors.iter().map(|f| part(f)).fold(0.0, f64::max);
        let Factors { mean, tail, median } = self.factor;
        let share = most(|f| f.flips as f64 / f.positions as f64);
        let nmse_mean = constant.nmse_mean.max(mean * most(|f| f.nmse_mean));
        let nmse_median = constant.nmse_median.max(median * most(|f| f.nmse_median));
        Some(Gates {
            // Distances lie so that most are below their mean: above it, a median asks for nothing.
            nmse_median: nmse_median.min(nmse_mean),
            nmse_mean,
            nmse_tail: constant.nmse_tail.max(tail * most(|f| f.nmse_tail)),
            kld_mean: constant.kld_mean.max(mean * most(|f| f.kld_mean)),
            kld_tail: constant.kld_tail.max(tail * most(|f| f.kld_tail)),
            flips: (1.0 - constant.top1).max(mean * share).min(1.0),
            tie: self.margin.floors * most(|f| f.max_abs),
        })
    }
}

impl Constants {
    fn is_sound(&self) -> bool {
        let distances = [
            self.nmse_median,
            self.nmse_mean,
            self.nmse_tail,
            self.kld_mean,
            self.kld_tail,
        ];
        let positive = distances.iter().all(|d| *d > 0.0 && d.is_finite());
        positive && self.top1 > 0.0 && self.top1 <= 1.0
    }
}

impl Floor {
    /// In words.
    pub fn label(&self) -> String {
        let [theirs, ours] = &self.profiles;
        match self.apart {
            ArithmeticGap::Path => format!("prefill against decode, {ours}"),
            _ => format!("{theirs} against {ours}, {}", self.path.name()),
        }
    }

    fn is_sound(&self) -> bool {
        let distances = [
            self.nmse_median,
            self.nmse_mean,
            self.nmse_tail,
            self.kld_mean,
            self.kld_tail,
            self.max_abs,
        ];
        let [theirs, ours] = &self.profiles;
        let fits = match self.apart {
            ArithmeticGap::Path => theirs == ours,
            apart => apart == ArithmeticGap::profiles(theirs, ours) && apart.tier().is_measured(),
        };
        let sound = distances.iter().all(|d| *d >= 0.0 && d.is_finite());
        fits && sound && self.flips <= self.positions && self.positions > 0
    }
}
