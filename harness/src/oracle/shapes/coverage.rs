//! What the trials covered: every value of every dimension, counted, and those that are missing.

use engine::config::Architecture;
use serde::Serialize;

use super::trial::{ON_THREADS, PORTIONS};
use super::{Cell, Plan, Trial};
use crate::case::coverage::Count;
use crate::case::schedule::{Schedule, Step};
use crate::fixture::random::{GROUPS, HEAD_DIMS, HEADS, KV_HEADS, LAYERS, WEIGHTS};

/// Trials that must have covered a value, in a run that is long enough to reach everything.
pub const LEAST: usize = 4;

/// Trials of one value of one dimension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub dimension: &'static str,
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
        let missing = Cell::all(&plan.architectures);
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
        for dimension in dimensions(&plan.architectures) {
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
    of: fn(&Trial) -> Vec<String>,
}

fn dimension<T: ToString>(
    name: &'static str,
    demanded: impl IntoIterator<Item = T>,
    of: fn(&Trial) -> Vec<String>,
) -> Dimension {
    let demanded = demanded.into_iter().map(|value| value.to_string());
    let mut demanded: Vec<String> = demanded.collect();
    demanded.dedup();
    Dimension { name, demanded, of }
}

/// What the generator draws from. What an architecture does not have is not demanded of it.
fn dimensions(architectures: &[Architecture]) -> Vec<Dimension> {
    let has = |wanted| architectures.contains(&wanted);
    let others = architectures.iter().any(|&a| a != Architecture::Bitnet);
    let of = |both, values: [&'static str; 2]| values.into_iter().take(1 + usize::from(both));
    let names = architectures.iter().map(|a| a.name());
    let fed = PORTIONS.map(in_portions).into_iter();
    let spans = SPANS.map(|(_, name)| name).into_iter();
    let several = ON_THREADS.map(|(_, threads)| threads).into_iter();
    vec![
        dimension("architecture", names, |t| one(t.shape.architecture.name())),
        dimension("head dimension", HEAD_DIMS, |t| one(t.shape.head_dim)),
        dimension("query heads per key head", GROUPS, |t| one(t.shape.group)),
        dimension("key heads", KV_HEADS, |t| one(t.shape.kv_heads)),
        dimension("layers", LAYERS, |t| one(t.shape.layers)),
        dimension("weights", WEIGHTS, |t| one(t.shape.weights)),
        dimension("head", HEADS, |t| one(Cell::of(&t.shape).head)),
        dimension("head is", of(has(Architecture::Llama), OWN), |t| {
            either(t.shape.output.is_some(), OWN)
        }),
        dimension("width", SIXTY_FOURS, |t| sixty_fours(t.shape.width)),
        dimension("feed-forward", SIXTY_FOURS, |t| sixty_fours(t.shape.inner)),
        dimension("scales", of(has(Architecture::Bitnet), YES), |t| {
            either(t.shape.scales, YES)
        }),
        dimension("biases", of(others, YES), |t| either(t.shape.biases, YES)),
        dimension("rope factors", of(others, YES), |t| {
            either(t.shape.rope_factors, YES)
        }),
        dimension(
            "fed",
            fed.chain([ONE_BY_ONE, CHAT].map(String::from)),
            |t| t.schedules.iter().map(self::fed).collect(),
        ),
        dimension("threads", [1].into_iter().chain(several), |t| {
            t.schedules.iter().map(|s| s.threads.to_string()).collect()
        }),
        dimension("positions", spans.chain(["more", WHOLE]), positions),
    ]
}

const YES: [&str; 2] = ["no", "yes"];
const OWN: [&str; 2] = ["tied", "its own"];
const SIXTY_FOURS: [&str; 2] = ["of 64s", "not of 64s"];
const ONE_BY_ONE: &str = "one by one";
const CHAT: &str = "prompt, then one by one";
const WHOLE: &str = "the whole context";
/// Lengths up to which attention keeps its order of operations.
const SPANS: [(usize, &str); 3] = [(32, "to 32"), (64, "to 64"), (128, "to 128")];

fn one(value: impl ToString) -> Vec<String> {
    vec![value.to_string()]
}

fn either(second: bool, names: [&str; 2]) -> Vec<String> {
    one(names[usize::from(second)])
}

fn sixty_fours(size: usize) -> Vec<String> {
    either(!size.is_multiple_of(64), SIXTY_FOURS)
}

fn in_portions(size: usize) -> String {
    format!("in {size}s")
}

/// How a schedule feeds.
fn fed(schedule: &Schedule) -> String {
    match &schedule.steps[..] {
        [Step::Feed(_)] => in_portions(schedule.ubatch),
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
