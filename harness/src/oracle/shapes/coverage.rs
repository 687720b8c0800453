//! What the trials covered: every value of every dimension, counted, and those that are missing.
#![forbid(unsafe_code)]

use engine::config::Architecture;
use serde::Serialize;

use super::trial::{ON_THREADS, PORTIONS};
use super::{Cell, Plan, Trial};
use crate::case::coverage::Count;
use crate::case::schedule::{Schedule, Step};
use crate::fixture::random::{GROUPS, HEAD_DIMS, HEADS, KV_HEADS, LAYERS, RandomShape, WEIGHTS};

/// Trials that must have covered a value, in a run that is long enough to reach everything.
pub const LEAST: usize = 4;

/// Trials of one value of one dimension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The dimension.
    pub dimension: &'static str,
    /// The value.
    pub value: String,
    /// Whether a long run must reach it.
    pub demanded: bool,
    /// Trials that have it, and those of them in which both sides answered.
    pub trials: Count,
}

/// Everything that was covered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coverage {
    /// Whether the run was long enough to reach everything.
    pub full: bool,
    /// Value by value.
    pub rows: Vec<Row>,
    /// Combinations of architecture, head dimension, group and format of the head: those that are
    /// possible, and those that were compared.
    pub combinations: Count,
    #[serde(skip)]
    missing: Vec<Cell>,
}

impl Coverage {
    /// Nothing is covered yet.
    pub fn new(plan: &Plan) -> Self {
        let missing = Cell::all(plan.architectures());
        let combinations = Count {
            declared: missing.len(),
            compared: 0,
        };
        let mut coverage = Coverage {
            full: plan.is_full(),
            rows: Vec::new(),
            combinations,
            missing,
        };
        for dimension in dimensions(plan.architectures()) {
            for value in dimension.demanded {
                coverage.row(dimension.name, value).demanded = true;
            }
        }
        coverage
    }

    /// One more trial, in which both sides answered or not.
    pub fn add(&mut self, trial: &Trial, compared: bool) {
        for dimension in dimensions(&[]) {
            let mut values = (dimension.of)(trial);
            values.sort();
            values.dedup();
            for value in values {
                self.row(dimension.name, value).trials += Count {
                    declared: 1,
                    compared: usize::from(compared),
                };
            }
        }
        let here = Cell::of(&trial.shape);
        let place = self.missing.iter().position(|cell| *cell == here);
        if let Some(place) = place.filter(|_| compared) {
            self.missing.swap_remove(place);
            self.combinations.compared += 1;
        }
    }

    /// Whether nothing is missing that was to be covered.
    pub fn is_complete(&self) -> bool {
        let combined = !self.full || self.combinations.is_complete();
        combined && !self.rows.iter().any(|row| self.is_short(row))
    }

    /// Whether a value was covered less than it should have been.
    pub fn is_short(&self, row: &Row) -> bool {
        let few = self.full && row.demanded && row.trials.compared < LEAST;
        few || !row.trials.is_complete()
    }

    fn row(&mut self, dimension: &'static str, value: String) -> &mut Row {
        let same = |row: &Row| row.dimension == dimension && row.value == value;
        let place = self.rows.iter().position(same).unwrap_or_else(|| {
            // Behind the others of its dimension.
            let others = self.rows.iter().rposition(|row| row.dimension == dimension);
            let place = others.map_or(self.rows.len(), |last| last + 1);
            let row = Row {
                dimension,
                value,
                demanded: false,
                trials: Count::default(),
            };
            self.rows.insert(place, row);
            place
        });
        &mut self.rows[place]
    }
}

/// One property of trials.
struct Dimension {
    name: &'static str,
    /// Values that a long run must reach.
    demanded: Vec<String>,
    /// Values that a trial has.
    of: Box<dyn Fn(&Trial) -> Vec<String>>,
}

/// A property of which a shape has one value.
fn one<T: ToString>(
    name: &'static str,
    values: impl IntoIterator<Item = T>,
    of: fn(&RandomShape) -> T,
) -> Dimension
where
    T: 'static,
{
    let mut demanded: Vec<String> = values.into_iter().map(|v| v.to_string()).collect();
    demanded.dedup();
    Dimension {
        name,
        demanded,
        of: Box::new(move |trial| vec![of(&trial.shape).to_string()]),
    }
}

/// A property that each schedule of a trial has in its own way.
fn many(name: &'static str, demanded: Vec<String>, of: fn(&Trial) -> Vec<String>) -> Dimension {
    Dimension {
        name,
        demanded,
        of: Box::new(of),
    }
}

/// What the generator draws from. What an architecture does not have is not demanded of it.
fn dimensions(architectures: &[Architecture]) -> Vec<Dimension> {
    let has = |wanted| architectures.contains(&wanted);
    let others = architectures.iter().any(|&a| a != Architecture::Bitnet);
    let optional = |possible| ["no", "yes"].into_iter().take(1 + usize::from(possible));
    let heads = ["tied", "its own"].into_iter();
    let heads = heads.take(1 + usize::from(has(Architecture::Llama)));
    let names = architectures.iter().map(|a| a.name());
    let fed = PORTIONS.map(|size| format!("in {size}s")).into_iter();
    let fed = fed.chain([ONE_BY_ONE, CHAT].map(String::from));
    let positions = (SPANS.map(|(_, name)| name).into_iter()).chain(["more", WHOLE]);
    vec![
        one("architecture", names, |s| s.architecture.name()),
        one("head dimension", HEAD_DIMS, |s| s.head_dim),
        one("query heads per key head", GROUPS, |s| s.group),
        one("key heads", KV_HEADS, |s| s.kv_heads),
        one("layers", LAYERS, |s| s.layers),
        one("weights", WEIGHTS, |s| s.weights),
        one("head", HEADS, |s| Cell::of(s).head),
        one("head is", heads, |s| s.output.map_or("tied", |_| "its own")),
        one("width", SIXTY_FOURS, |s| sixty_fours(s.width)),
        one("feed-forward", SIXTY_FOURS, |s| sixty_fours(s.inner)),
        one("scales", optional(has(Architecture::Bitnet)), |s| {
            yes(s.scales)
        }),
        one("biases", optional(others), |s| yes(s.biases)),
        one("rope factors", optional(others), |s| yes(s.rope_factors)),
        many("fed", fed.collect(), |trial| {
            trial.schedules.iter().map(self::fed).collect()
        }),
        many("threads", threads(), |trial| {
            trial
                .schedules
                .iter()
                .map(|s| s.threads.to_string())
                .collect()
        }),
        many(
            "positions",
            positions.map(String::from).collect(),
            self::positions,
        ),
    ]
}

const SIXTY_FOURS: [&str; 2] = ["of 64s", "not of 64s"];
const ONE_BY_ONE: &str = "one by one";
const CHAT: &str = "prompt, then one by one";
const WHOLE: &str = "the whole context";
/// Lengths up to which attention keeps its order of operations.
const SPANS: [(usize, &str); 3] = [(32, "to 32"), (64, "to 64"), (128, "to 128")];

fn sixty_fours(size: usize) -> &'static str {
    SIXTY_FOURS[usize::from(!size.is_multiple_of(64))]
}

fn yes(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}

fn threads() -> Vec<String> {
    let several = ON_THREADS.iter().map(|(_, threads)| *threads);
    [1].into_iter()
        .chain(several)
        .map(|n| n.to_string())
        .collect()
}

/// How a schedule feeds.
fn fed(schedule: &Schedule) -> String {
    match &schedule.steps[..] {
        [Step::Feed(_)] => format!("in {}s", schedule.ubatch),
        [Step::Last(_), ..] => CHAT.into(),
        steps if steps.iter().all(|s| s.tokens().len() == 1) => ONE_BY_ONE.into(),
        _ => "otherwise".into(),
    }
}

/// How far the longest schedule goes.
fn positions(trial: &Trial) -> Vec<String> {
    let longest = trial.schedules.iter().map(Schedule::context).max();
    let longest = longest.unwrap_or(0);
    let span = SPANS.iter().find(|(most, _)| longest <= *most);
    let whole = (longest == trial.shape.context).then_some(WHOLE);
    let names = [span.map_or("more", |(_, name)| *name)];
    names.into_iter().chain(whole).map(String::from).collect()
}
