//! Asks both sides and keeps count: what is equal, what is excused and by which name, what differs.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use engine::flavor::Shape;
use serde::Serialize;

use super::excuse::excuse;
use super::shrink::shrink;
use crate::file::document::Format;
use crate::reference::isolation::{Call, WorkerExit};
use crate::runner::kernels::family::Family;
use crate::runner::kernels::question::{Answer, Computer, Difference, Place, Question};
use crate::runner::{RunError, guarded};

/// What is asked.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Makes the questions.
    pub seed: u64,
    /// Random questions a kernel, beside the chosen ones.
    pub cases: usize,
    /// The kernels.
    pub families: Vec<Family>,
    /// This question only.
    pub case: Option<usize>,
    /// Whether every kernel is to give our bits. If not, decoders alone are judged: what stored
    /// bytes mean is the same for all, in what order floats are added up is not.
    pub same_arithmetic: bool,
}

/// What became of a kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "why", rename_all = "snake_case")]
pub enum Outcome {
    /// Every bit is equal or excused.
    #[default]
    Agrees,
    /// Some bits are not.
    Differs,
    /// The library cannot be asked.
    NotThere(String),
    /// The library refused a question that it was expected to answer.
    Refused(String),
    /// The library's process ended.
    Died(String),
    /// The engine panicked.
    EngineDied(String),
}

/// One kernel, examined.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub kernel: &'static str,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Whether a difference counts.
    pub judged: bool,
    /// Questions answered.
    pub cases: usize,
    /// Numbers compared.
    pub values: usize,
    /// Those with equal bits.
    pub equal: usize,
    /// Those that differ for a reason that has a name, by that name.
    pub excused: BTreeMap<&'static str, Excused>,
    /// The first question whose answers differ without an excuse.
    pub first: Option<First>,
}

/// What was excused by one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excused {
    /// How many numbers.
    pub count: usize,
    /// The first question it was given for.
    pub case: usize,
    /// What held there.
    pub because: String,
}

/// A difference, and how small the question became that still shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct First {
    /// The question.
    pub case: usize,
    /// What it is about.
    pub about: &'static str,
    /// What was asked.
    pub asked: String,
    /// The smaller question.
    pub shrunk_to: String,
    /// The numbers of it that are not zero, as far as they are few.
    pub inputs: String,
    /// Where the answers to the smaller question differ.
    pub difference: Difference,
    /// Another packing whose bytes the reference wrote: that of a build for another processor.
    pub packing: Option<&'static str>,
}

/// Examines every kernel of the scope. One that the library dies of costs that kernel only.
pub fn examine(
    theirs: &mut dyn Computer,
    ours: &mut dyn Computer,
    scope: &Scope,
    done: &mut dyn FnMut(),
) -> Vec<Row> {
    let families = scope.families.iter();
    families
        .map(|&family| {
            let mut row = Row {
                kernel: family.name,
                judged: scope.same_arithmetic || family.is_decoder(),
                ..Row::default()
            };
            if let Err(lost) = fill(&mut row, family, theirs, ours, scope) {
                row.outcome = lost;
            }
            done();
            row
        })
        .collect()
}

fn fill(
    row: &mut Row,
    family: Family,
    theirs: &mut dyn Computer,
    ours: &mut dyn Computer,
    scope: &Scope,
) -> Result<(), Outcome> {
    if let Some(why) = family.obstacle(theirs)? {
        return Err(Outcome::NotThere(why));
    }
    let cases = match scope.case {
        Some(case) => case..case + 1,
        None => 0..family.chosen() + scope.cases,
    };
    for case in cases {
        let question = family.question(scope.seed, case);
        let answers = both(&question, theirs, ours)?;
        let differs = row.count(case, &question, &answers);
        if differs && row.first.is_none() {
            row.outcome = Outcome::Differs;
            row.first = Some(first(family, case, question, theirs, ours)?);
        }
    }
    Ok(())
}

/// What both say, reduced to what has a meaning.
fn both(
    question: &Question,
    theirs: &mut dyn Computer,
    ours: &mut dyn Computer,
) -> Result<[Answer; 2], Outcome> {
    let theirs = theirs.compute(question)?;
    let died = |died: RunError| Outcome::EngineDied(format!("{}: {died}", question.call));
    let ours = guarded(|| Ok(ours.compute(question))).map_err(died)?;
    let mut answers = [theirs, ours?];
    if let Call::Encode {
        kind,
        columns,
        rows,
    } = question.call
        && kind == Format::I2sP128.type_id() as i32
    {
        // Behind the scale writers leave whatever was in their buffer.
        let meaningful = columns * rows / 4 + 4;
        answers
            .iter_mut()
            .for_each(|answer| answer.bytes.truncate(meaningful));
    }
    Ok(answers)
}

/// The places that differ and have no excuse.
fn unexcused(question: &Question, [theirs, ours]: &[Answer; 2]) -> Vec<Place> {
    let mut places = theirs.differing(ours);
    places.retain(|&place| excuse(question, theirs, ours, place).is_none());
    places
}

impl Row {
    /// How many numbers were excused.
    pub fn excused(&self) -> usize {
        self.excused.values().map(|excused| excused.count).sum()
    }

    /// Counts the answers to a question; whether they differ without an excuse.
    fn count(&mut self, case: usize, question: &Question, answers: &[Answer; 2]) -> bool {
        let [theirs, ours] = answers;
        let places = theirs.differing(ours);
        self.cases += 1;
        self.values += theirs.size();
        self.equal += theirs.size() - places.len();
        let mut differs = false;
        for place in places {
            let Some(excuse) = excuse(question, theirs, ours, place) else {
                differs = true;
                continue;
            };
            let entry = self.excused.entry(excuse.name);
            let excused = entry.or_insert(Excused {
                count: 0,
                case,
                because: excuse.because,
            });
            excused.count += 1;
        }
        differs
    }
}

impl From<WorkerExit> for Outcome {
    fn from(ended: WorkerExit) -> Self {
        match ended {
            WorkerExit::Refused(message) => Outcome::Refused(message),
            WorkerExit::Died(death) => Outcome::Died(death.to_string()),
        }
    }
}

/// The difference of a question, shown on the smallest that shows one.
fn first(
    family: Family,
    case: usize,
    question: Question,
    theirs: &mut dyn Computer,
    ours: &mut dyn Computer,
) -> Result<First, Outcome> {
    let asked = question.call.to_string();
    let packing = packing(&question, &both(&question, theirs, ours)?[0]);
    let smallest = shrink(question, |smaller| {
        let answers = both(smaller, theirs, ours);
        answers.is_ok_and(|answers| !unexcused(smaller, &answers).is_empty())
    });
    let answers = both(&smallest, theirs, ours)?;
    let [theirs, ours] = &answers;
    // Shrinking kept it different, so there is a place.
    let place = unexcused(&smallest, &answers);
    let place = place.first().copied().unwrap_or(Place::Length);
    Ok(First {
        case,
        about: family.describe(case),
        asked,
        shrunk_to: smallest.call.to_string(),
        inputs: inputs(&smallest),
        difference: Difference::at(place, theirs, ours),
        packing,
    })
}

/// The packing of two-bit weights, not the usual one, that these bytes are in.
fn packing(question: &Question, theirs: &Answer) -> Option<&'static str> {
    let Call::Encode {
        kind,
        columns: cols,
        rows,
    } = question.call
    else {
        return None;
    };
    let shape = Shape { rows, cols };
    let others = [Format::I2sP64, Format::I2sP4r].into_iter();
    let written = others
        .filter(|other| other.type_id() as i32 == kind)
        .filter(|other| {
            other
                .flavor()
                .is_some_and(|f| f.bytes_needed(shape).is_some())
        })
        .find(|other| {
            other
                .encode(&question.values, shape)
                .starts_with(&theirs.bytes)
        });
    written.map(Format::name)
}

/// The numbers of a question that are not zero, a few of them.
fn inputs(question: &Question) -> String {
    const SHOWN: usize = 8;
    let values = question.values.iter().enumerate();
    let values = values
        .filter(|(_, v)| v.to_bits() != 0)
        .map(|(i, v)| format!("[{i}] {v:e} ({:#010x})", v.to_bits()));
    let bytes = question.bytes.iter().enumerate();
    let bytes = bytes
        .filter(|(_, b)| **b != 0)
        .map(|(i, b)| format!("[{i}] {b:#04x}"));
    let all: Vec<String> = values.chain(bytes).collect();
    match all.len() {
        0 => "all zero".into(),
        n if n > SHOWN => format!("{} and {} more", all[..SHOWN].join(", "), n - SHOWN),
        _ => all.join(", "),
    }
}
