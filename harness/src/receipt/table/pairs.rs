//! A line for each model and reference, the first thing that is printed of a run: as soon as the
//! last case that asks both has ended.

use std::collections::{BTreeMap, BTreeSet};

use crate::case::Case;
use crate::io::table::{Column, Layout, Table, number, words};
use crate::judge::compare::Findings;
use crate::judge::verdict::Verdict;
use crate::receipt::explanation::lane_word;
use crate::receipt::table::rows::{equal_nodes, equal_steps};
use crate::receipt::{CaseReceipt, Comparison, Receipt};

const COLUMNS: [Column; 7] = [
    words("model"),
    words("with"),
    words("verdict").whole(),
    number("cases").spare(),
    number("bit-equal").spare(),
    number("nodes").spare(),
    number("greedy").spare(),
];

/// Whom nobody but the engine itself was compared with.
const ITSELF: &str = "itself only";

/// Who was compared: the engine that was brought, if one was, the model, the reference.
type Pair = (Option<String>, String, String);

/// All lines of a finished run, under their heading; nothing where no case came to claims.
pub fn table(receipt: &Receipt) -> Table {
    let mut table = Table::new(&COLUMNS);
    for (pair, found) in pairs(receipt) {
        table.row(found.cells(&pair));
    }
    table
}

/// The lines of a run that goes on.
pub struct Stream {
    /// The cases that have not ended.
    pending: Vec<Case>,
    shown: BTreeSet<Pair>,
    layout: Layout,
    begun: bool,
}

impl Stream {
    /// Nothing has ended. The names of those that were brought, and of the live references or who
    /// stands in for them, make room for themselves.
    pub fn new(cases: &[&Case], brought: &[String], live: &[String], width: Option<usize>) -> Self {
        let mut room = Table::new(&COLUMNS);
        let beside = |with: &String| {
            let together = brought.iter().map(|who| together(who, with));
            together
                .max_by_key(String::len)
                .unwrap_or_else(|| with.clone())
        };
        for case in cases {
            for with in case
                .recordings
                .iter()
                .chain(live)
                .chain([&ITSELF.to_owned()])
            {
                let count = format!("{0}/{0}", cases.len());
                let verdict = if brought.is_empty() {
                    "bit-identical"
                } else {
                    "t1-other-order"
                };
                let cells = [short(&case.model), &beside(with), verdict, &count];
                let cells = cells
                    .into_iter()
                    .chain(["000000/000000", "0000/0000", "0000/0000"]);
                room.row(cells);
            }
        }
        Stream {
            pending: cases.iter().map(|case| (*case).clone()).collect(),
            shown: BTreeSet::new(),
            layout: room.layout(width),
            begun: false,
        }
    }

    /// A case has ended: the lines that are complete now, under a heading if they are the first.
    pub fn ended(&mut self, case: &str, receipt: &Receipt) -> String {
        self.pending.retain(|pending| pending.name != case);
        self.complete(receipt)
    }

    /// Nothing more comes: the lines that were not printed yet.
    pub fn rest(&mut self, receipt: &Receipt) -> String {
        self.pending.clear();
        self.complete(receipt)
    }

    /// The lines that are not complete yet, with what is known so far.
    pub fn running(&self, receipt: &Receipt) -> String {
        let open = pairs(receipt).into_iter();
        let open = open.filter(|(pair, found)| self.is_open(pair, found, receipt));
        open.map(|(pair, found)| self.layout.line(&found.cells(&pair)))
            .collect()
    }

    /// Whether a case that has not ended can change the line.
    fn is_open(&self, (_, model, with): &Pair, found: &Found<'_>, receipt: &Receipt) -> bool {
        let recorded = receipt.is_recorded(with);
        let asks = |pending: &Case| {
            short(&pending.model) == model && (!recorded || pending.recordings.contains(with))
        };
        // What all documents together decide is not decided yet.
        let undecided = found.undecided && !self.pending.is_empty();
        undecided || self.pending.iter().any(asks)
    }

    fn complete(&mut self, receipt: &Receipt) -> String {
        let mut text = String::new();
        for (pair, found) in pairs(receipt) {
            if self.shown.contains(&pair) || self.is_open(&pair, &found, receipt) {
                continue;
            }
            if !self.begun {
                text += &self.layout.heading();
                self.begun = true;
            }
            text += &self.layout.line(&found.cells(&pair));
            self.shown.insert(pair);
        }
        text
    }
}

impl Receipt {
    /// Whether a comparison with that name was one with a recording.
    fn is_recorded(&self, with: &str) -> bool {
        let mut all = self.cases.iter().flat_map(|case| &case.claims.comparisons);
        all.any(|c| c.reference.name == with && !c.live && !c.reference.is_built_in())
    }
}

/// What the cases of a pair came to together.
#[derive(Default)]
struct Found<'r> {
    verdicts: BTreeSet<&'static str>,
    undecided: bool,
    agreeing: usize,
    cases: usize,
    findings: Vec<&'r Findings>,
}

impl Found<'_> {
    fn cells(&self, (brought, model, with): &Pair) -> [String; 7] {
        let verdicts: Vec<&str> = self.verdicts.iter().copied().collect();
        let sum = |part: fn(&Findings) -> [usize; 2]| {
            let all = self.findings.iter().map(|found| part(found));
            let [equal, of] = all.fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
            if of == 0 {
                return String::new();
            }
            format!("{equal}/{of}")
        };
        [
            model.clone(),
            brought
                .as_ref()
                .map_or_else(|| with.clone(), |who| together(who, with)),
            if verdicts.is_empty() {
                "-".into()
            } else {
                verdicts.join(", ")
            },
            format!("{}/{}", self.agreeing, self.cases),
            sum(|f| {
                let [all, equal] = f.logits();
                [equal, all]
            }),
            sum(|f| {
                [
                    equal_nodes(f),
                    f.nodes.compared.len() + f.nodes.missing.len(),
                ]
            }),
            sum(|f| [equal_steps(f), f.greedy.steps]),
        ]
    }
}

fn together(brought: &str, with: &str) -> String {
    format!("{brought} with {with}")
}

/// In the order in which they came.
fn pairs(receipt: &Receipt) -> Vec<(Pair, Found<'_>)> {
    let mut all: Vec<(Pair, Found<'_>)> = Vec::new();
    let mut places: BTreeMap<Pair, usize> = BTreeMap::new();
    let mut at = |pair: Pair, all: &mut Vec<(Pair, Found<'_>)>| {
        *places.entry(pair.clone()).or_insert_with(|| {
            all.push((pair, Found::default()));
            all.len() - 1
        })
    };
    for case in &receipt.cases {
        let compared = case.compared().filter(|(c, _)| !c.is_declined());
        let mut any = false;
        for (comparison, findings) in compared {
            any = true;
            let place = at(pair(case, &comparison.reference.name), &mut all);
            let found = &mut all[place].1;
            found.cases += 1;
            found.undecided |= comparison.verdict == Verdict::NotJudged;
            found.agreeing += usize::from(receipt.agrees(comparison));
            found
                .verdicts
                .extend(verdicts(receipt, comparison, findings));
            found.findings.extend(findings);
        }
        if !any {
            let place = at(pair(case, ITSELF), &mut all);
            all[place].1.cases += 1;
        }
    }
    all
}

fn pair(case: &CaseReceipt, with: &str) -> Pair {
    let claims = &case.claims;
    let brought = claims.engine.identity.brought().is_some();
    let brought = brought.then(|| claims.engine.identity.name.clone());
    (
        brought,
        short(&claims.model.file).to_owned(),
        with.to_owned(),
    )
}

/// The words for a comparison: one for each lane where it agrees, else the one for all of it.
fn verdicts(
    receipt: &Receipt,
    comparison: &Comparison,
    findings: Option<&Findings>,
) -> BTreeSet<&'static str> {
    if !receipt.agrees(comparison) {
        return BTreeSet::from([comparison.verdict.word()]);
    }
    let lanes = findings.map(|f| &f.lanes[..]).unwrap_or_default();
    let declared = comparison.coverage.positions.declared / lanes.len().max(1);
    let word = |lane| lane_word(receipt, lane, comparison, declared);
    lanes.iter().map(word).collect()
}

/// A model by the name of its file alone.
fn short(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.strip_suffix(".gguf").unwrap_or(name)
}
