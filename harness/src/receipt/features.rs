//! Which parts of the engine the comparisons of a run exercised, and which none did: counted from
//! what ran in the comparisons that agree to the bit, nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use engine::format::FORMATS;
use engine::numerics::Profile;
use engine::transformer::probe::Step;
use serde::{Deserialize, Serialize};

use super::{CaseReceipt, Comparison, Measured};
use crate::case::coverage::Count;
use crate::case::taken::Taken;
use crate::judge::verdict::Verdict;
use crate::runner::products::{Products, format_of, ways};

/// What was exercised, of all that the engine can do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Formats and steps, each in every order of sums and way, whichever kernel computed.
    pub ways: Count,
    /// The same with every kernel of the machine.
    pub kernels: Count,
    /// What no comparison exercised with any kernel: by way and order the formats or steps.
    pub not_covered: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// The kernels with which a format is not covered in an order, though it is with another.
    pub kernels_not_covered: BTreeMap<String, Vec<String>>,
}

/// A format or step in an order of sums, and the way it is taken.
pub type Cell = (String, String, String);

/// The order of what has none.
const ANY: &str = "any order";

impl Features {
    /// Follows from the comparisons, and from what there is to multiply with.
    pub fn of(cases: &[CaseReceipt], products: &Products) -> Self {
        Self::of_cells(&exercised(cases), products)
    }

    /// Follows from what was exercised.
    pub fn of_cells(exercised: &BTreeSet<Cell>, products: &Products) -> Self {
        if products.is_empty() {
            return Features::default();
        }
        let possible = possible(products);
        let covered = |cell: &&Cell| exercised.contains(*cell);
        let mut by_format: BTreeMap<&Cell, bool> = BTreeMap::new();
        for (cell, any_kernel) in possible.iter() {
            *by_format.entry(any_kernel).or_default() |= exercised.contains(cell);
        }
        let mut features = Features {
            ways: count(by_format.len(), by_format.values().filter(|c| **c).count()),
            kernels: count(possible.len(), possible.keys().filter(covered).count()),
            ..Features::default()
        };
        for (&(what, order, way), _) in by_format.iter().filter(|(_, covered)| !**covered) {
            let of_way = features.not_covered.entry(way.clone()).or_default();
            of_way.entry(order.clone()).or_default().push(what.clone());
        }
        let lacking = |(cell, _): &(&Cell, &Cell)| !exercised.contains(*cell);
        for ((what, order, _), any_kernel) in possible.iter().filter(lacking) {
            let list = features
                .kernels_not_covered
                .entry(order.clone())
                .or_default();
            if by_format[any_kernel] && list.last() != Some(what) {
                list.push(what.clone());
            }
        }
        features
            .kernels_not_covered
            .retain(|_, list| !list.is_empty());
        features
    }

    /// Nobody said what there is to exercise.
    pub fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// The counts, in lines that fit a terminal.
    pub fn counts(&self) -> String {
        format!(
            "by feature: {} ways compared to the bit, {} with every kernel,\n  \
             a way: format or step x order of sums x path x lane; -v lists the rest",
            self.ways, self.kernels
        )
    }

    /// What is not covered, in lines.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (way, orders) in &self.not_covered {
            // Orders that lack the same are told together.
            let mut alike: BTreeMap<&Vec<String>, Vec<&str>> = BTreeMap::new();
            for (order, what) in orders {
                alike.entry(what).or_default().push(order);
            }
            for (what, orders) in alike {
                let (orders, what) = (orders.join(", "), what.join(", "));
                lines.push(format!("not covered: {way}: {orders}: {what}"));
            }
        }
        for (order, products) in &self.kernels_not_covered {
            let mut line = format!("not covered in {order}, but with another kernel:");
            for product in products {
                let kernel = product
                    .split_once(' ')
                    .map_or(&product[..], |(_, kernel)| kernel);
                write!(line, " {kernel}").expect("a string");
            }
            lines.push(line);
        }
        lines
    }
}

fn count(declared: usize, compared: usize) -> Count {
    Count { declared, compared }
}

fn any_kernel((what, order, way): &Cell) -> Cell {
    let format = format_of(what).map_or(&what[..], |format| format.name);
    (format.to_owned(), order.clone(), way.clone())
}

/// Everything there is to exercise, each beside what it is whichever kernel computes.
pub type Possible = BTreeMap<Cell, Cell>;

/// That of these products. The last answer is remembered: a run asks for the same again and again.
pub fn possible(products: &Products) -> Arc<Possible> {
    static LAST: Mutex<Option<(Products, Arc<Possible>)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    match &*last {
        Some((of, possible)) if of == products => Arc::clone(possible),
        _ => {
            let possible = Arc::new(all_possible(products));
            *last = Some((products.clone(), Arc::clone(&possible)));
            possible
        }
    }
}

fn all_possible(products: &Products) -> Possible {
    let steps = Step::ALL.map(Step::name);
    let orders = || Profile::ALL.map(Profile::name);
    let multiplied = products.iter().flat_map(|(what, orders)| {
        let orders = orders.iter().map(String::as_str);
        orders.map(move |order| (&what[..], order))
    });
    let steps = steps
        .into_iter()
        .flat_map(|step| orders().map(|order| (step, order)));
    let tables = FORMATS.into_iter().map(|format| (format.name, ANY));
    let all = multiplied.chain(steps).chain(tables);
    all.flat_map(|(what, order)| cells(what, order, ways(what)))
        .map(|cell| {
            let any_kernel = any_kernel(&cell);
            (cell, any_kernel)
        })
        .collect()
}

fn cells(what: &str, order: &str, ways: impl IntoIterator<Item = String>) -> Vec<Cell> {
    let ways = ways.into_iter();
    ways.map(|way| (what.to_owned(), order.to_owned(), way))
        .collect()
}

/// What ran in the comparisons with references that agree to the bit, and in the repetitions of
/// what agrees with one.
fn exercised(cases: &[CaseReceipt]) -> BTreeSet<Cell> {
    let mut found = BTreeSet::new();
    for case in cases {
        let claims = &case.claims;
        if !claims.engine.identity.is_built_in() {
            continue;
        }
        let equal = |c: &Comparison| c.verdict == Verdict::Agree && c.is_exact();
        let own = &claims.engine.identity.profile;
        let anchored = claims
            .comparisons
            .iter()
            .any(|c| equal(c) && c.profile == *own);
        let repetitions = claims.repetitions.iter().filter(|_| anchored);
        let repeated = repetitions.zip(case.measured.iter().skip(claims.comparisons.len()));
        let compared = claims.comparisons.iter().zip(&case.measured);
        for (comparison, Measured { taken, .. }) in compared.chain(repeated) {
            if equal(comparison) {
                found.extend(taken_cells(&comparison.profile, taken));
            }
        }
    }
    found
}

/// Ways that were taken in an order of sums.
pub fn taken_cells(order: &str, Taken(taken): &Taken) -> Vec<Cell> {
    let cells = taken.iter().flat_map(|(what, ways)| {
        let is_table = format_of(what).is_some_and(|format| format.name == what);
        let order = if is_table { ANY } else { order };
        cells(what, order, ways.iter().cloned())
    });
    cells.collect()
}

/// Whether all that a comparison says it took can be taken.
pub fn is_possible(order: &str, taken: &Taken, possible: &Possible) -> bool {
    taken_cells(order, taken)
        .iter()
        .all(|cell| possible.contains_key(cell))
}
