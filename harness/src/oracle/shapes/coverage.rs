//! What the trials covered: every value of every dimension, counted, and those that are missing.
#![forbid(unsafe_code)]

use engine::config::Architecture;
use serde::Serialize;

use super::{Cell, Plan, Trial};
use crate::case::coverage::Count;
use crate::case::schedule::{Schedule, Step};

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
pub struct Table {
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

impl Table {
    /// Nothing is covered yet.
    pub fn new(plan: &Plan) -> Self {
        let demanded = demanded(plan.architectures()).into_iter();
        let row = |(dimension, value): (&'static str, &str)| Row {
            dimension,
            value: value.to_owned(),
            demanded: true,
            trials: Count::default(),
        };
        let missing = Cell::all(plan.architectures());
        let combinations = Count {
            declared: missing.len(),
            compared: 0,
        };
        Table {
            full: plan.is_full(),
            rows: demanded.map(row).collect(),
            combinations,
            missing,
        }
    }

    /// One more trial, in which both sides answered or not.
    pub fn add(&mut self, trial: &Trial, compared: bool) {
        for (dimension, value) in values(trial) {
            let row = self.row(dimension, value);
            row.trials.declared += 1;
            row.trials.compared += usize::from(compared);
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

/// Every value a long run must reach. What an architecture does not have is not asked of it.
fn demanded(architectures: &[Architecture]) -> Vec<(&'static str, &'static str)> {
    let has = |architecture| architectures.contains(&architecture);
    let mut all: Vec<_> = architectures
        .iter()
        .map(|a| ("architecture", a.name()))
        .collect();
    let mut take = |dimension, values: &[&'static str]| {
        all.extend(values.iter().map(|&value| (dimension, value)));
    };
    take("head dimension", &["32", "64", "96", "128"]);
    take("query heads per key head", &["1", "2", "4", "5"]);
    take("key heads", &["1", "2", "3", "4"]);
    take("layers", &["1", "2"]);
    take("weights", &["i2_s-p128", "f16", "f32", "tq2_0"]);
    take("head", &["f16", "f32", "q8_0", "q6_k"]);
    take(
        "head is",
        if has(Architecture::Llama) {
            &["tied", "its own"]
        } else {
            &["tied"]
        },
    );
    take("width", &["of 64s", "not of 64s"]);
    take("feed-forward", &["of 64s", "not of 64s"]);
    let scales: &[_] = if has(Architecture::Bitnet) {
        &["no", "yes"]
    } else {
        &["no"]
    };
    take("scales", scales);
    let others = architectures.iter().any(|&a| a != Architecture::Bitnet);
    let optional: &[_] = if others { &["no", "yes"] } else { &["no"] };
    take("biases", optional);
    take("rope factors", optional);
    take(
        "fed",
        &[
            "in 512s",
            "in 7s",
            "in 1s",
            "one by one",
            "prompt, then one by one",
        ],
    );
    take("threads", &["1", "2", "3"]);
    take(
        "positions",
        &["to 32", "to 64", "to 128", "more", "the whole context"],
    );
    all
}

/// The values a trial has.
fn values(trial: &Trial) -> Vec<(&'static str, String)> {
    let shape = &trial.shape;
    let yes = |holds| String::from(if holds { "yes" } else { "no" });
    let sixty_fours = |n: usize| {
        let whole = n.is_multiple_of(64);
        String::from(if whole { "of 64s" } else { "not of 64s" })
    };
    let mut all = vec![
        ("architecture", shape.architecture.name().to_owned()),
        ("head dimension", shape.head_dim.to_string()),
        ("query heads per key head", shape.group.to_string()),
        ("key heads", shape.kv_heads.to_string()),
        ("layers", shape.layers.to_string()),
        ("weights", shape.weights.to_string()),
        ("head", Cell::of(shape).head.to_string()),
        (
            "head is",
            shape.output.map_or("tied", |_| "its own").to_owned(),
        ),
        ("width", sixty_fours(shape.width)),
        ("feed-forward", sixty_fours(shape.inner)),
        ("scales", yes(shape.scales)),
        ("biases", yes(shape.biases)),
        ("rope factors", yes(shape.rope_factors)),
    ];
    let mut ways: Vec<_> = trial.schedules.iter().map(|s| ("fed", fed(s))).collect();
    let threads = trial.schedules.iter().map(|s| s.threads.to_string());
    ways.extend(threads.map(|n| ("threads", n)));
    let longest = trial.schedules.iter().map(Schedule::context).max();
    let longest = longest.unwrap_or(0);
    let positions = match longest {
        0..=32 => "to 32",
        33..=64 => "to 64",
        65..=128 => "to 128",
        _ => "more",
    };
    ways.push(("positions", positions.to_owned()));
    if longest == shape.context {
        ways.push(("positions", "the whole context".to_owned()));
    }
    ways.sort();
    ways.dedup();
    all.extend(ways);
    all
}

/// How a schedule feeds, in the words of the table.
fn fed(schedule: &Schedule) -> String {
    match &schedule.steps[..] {
        [Step::Feed(_)] => format!("in {}s", schedule.ubatch),
        [Step::Last(_), ..] => "prompt, then one by one".into(),
        steps if steps.iter().all(|s| s.tokens().len() == 1) => "one by one".into(),
        _ => "otherwise".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::random::{GROUPS, HEAD_DIMS};

    #[test]
    fn the_demanded_values_are_those_the_generator_knows() {
        let demanded = demanded(&[Architecture::Llama]);
        let of = |dimension| -> Vec<usize> {
            let values = demanded.iter().filter(|(d, _)| *d == dimension);
            values.map(|(_, v)| v.parse().expect("a number")).collect()
        };
        assert_eq!(of("head dimension"), HEAD_DIMS);
        assert_eq!(of("query heads per key head"), GROUPS);
    }
}
