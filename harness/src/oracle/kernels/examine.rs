//! Asks both sides and keeps count: what is equal, what is excused and by which name, what differs.

use engine::flavor::Shape;
use serde::{Deserialize, Serialize};

use super::excuse::{Mismatch, known};
use super::record;
use super::shrink::candidates;
use crate::file::document::Format;
use crate::judge::excuse::{Applied, Excused, find};
use crate::judge::outcome::Outcome;
use crate::numbers::shrink::shrink;
use crate::reference::isolation::{Call, WorkerExit};
use crate::runner::kernels::family::Family;
use crate::runner::kernels::question::{Answer, Computer, Difference, Place, Question};
use crate::runner::{RunError, guarded};

/// Smaller questions tried at most for one difference.
const BUDGET: usize = 400;

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
    /// Whether its encoders are to give the bytes that ours do. If not, they are not asked.
    pub same_author: bool,
}

/// How far the questions about a kernel came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ended", content = "why", rename_all = "snake_case")]
pub enum Ending {
    /// All were answered by both sides.
    #[default]
    Complete,
    /// The library has no such kernel.
    NotThere(String),
    /// The library refused a question that it was expected to answer.
    Refused(String),
    /// The library's process ended.
    Died(String),
    /// The engine panicked.
    EngineDied(String),
}

/// One kernel, examined.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub kernel: String,
    /// How far it came.
    #[serde(flatten)]
    pub ending: Ending,
    /// Whether a difference counts.
    pub judged: bool,
    /// Questions answered.
    pub cases: usize,
    /// Numbers compared.
    pub values: usize,
    /// Those with equal bits.
    pub equal: usize,
    /// Those that differ for a reason that has a name.
    pub excused: Excused,
    /// Those that differ.
    pub differ: usize,
    /// The first question whose answers differ without an excuse. It decides nothing.
    #[serde(skip_deserializing)]
    pub first: Option<First>,
    /// What goes on record of each answer.
    #[serde(skip)]
    pub hashes: Vec<String>,
}

/// A difference, and how small the question became that still shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct First {
    pub case: usize,
    pub about: &'static str,
    pub asked: String,
    pub shrunk_to: String,
    /// The numbers of it that are not zero, as far as they are few.
    pub inputs: String,
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
    let row = |&family: &Family| {
        let judged = scope.same_arithmetic
            || family.is_decoder()
            || family.is_encoder() && scope.same_author;
        let mut row = Row::new(family, judged);
        if let Err(ending) = fill(&mut row, family, theirs, ours, scope) {
            row.ending = ending;
        }
        done();
        row
    };
    scope.families.iter().map(row).collect()
}

fn fill(
    row: &mut Row,
    family: Family,
    theirs: &mut dyn Computer,
    ours: &mut dyn Computer,
    scope: &Scope,
) -> Result<(), Ending> {
    if let Some(why) = family.obstacle(theirs)? {
        return Err(Ending::NotThere(why));
    }
    if family.is_encoder() && !scope.same_author {
        let why = "its author's choices are not known here, and some of them abort";
        return Err(Ending::NotThere(why.into()));
    }
    let cases = match scope.case {
        Some(case) => case..case + 1,
        None => 0..family.chosen() + scope.cases,
    };
    for case in cases {
        let question = family.question(scope.seed, case);
        let answers = both(&question, theirs, ours)?;
        row.count(case, &question, &answers);
        if row.differ > 0 && row.first.is_none() {
            row.first = Some(first((family, case), question, answers, theirs, ours));
        }
    }
    Ok(())
}

/// What both say, reduced to what has a meaning.
fn both(
    question: &Question,
    theirs: &mut dyn Computer,
    ours: &mut dyn Computer,
) -> Result<[Answer; 2], Ending> {
    let theirs = theirs.compute(question)?;
    let died = |died: RunError| Ending::EngineDied(format!("{}: {died}", question.call));
    let ours = guarded(|| Ok(ours.compute(question))).map_err(died)?;
    Ok([theirs, ours?].map(|answer| meaningful(question, answer)))
}

/// An answer without what writers leave behind the scale: whatever was in their buffer.
pub(super) fn meaningful(question: &Question, mut answer: Answer) -> Answer {
    if let Call::Encode { columns, rows, .. } = question.call
        && question.format() == Some(Format::I2_S_P128)
    {
        answer.bytes.truncate(columns * rows / 4 + 4);
    }
    answer
}

/// The places that differ, each with its excuse if it has one.
fn mismatches(
    question: &Question,
    [theirs, ours]: &[Answer; 2],
) -> impl Iterator<Item = (Place, Option<Applied<'static>>)> {
    let places = theirs.differing(ours).into_iter();
    places.map(move |place| {
        let mismatch = Mismatch {
            question,
            theirs,
            ours,
            place,
        };
        (place, find(&known(), &mismatch))
    })
}

/// The first place that differs and has no excuse.
fn unexcused(question: &Question, answers: &[Answer; 2]) -> Option<Place> {
    let mut places = mismatches(question, answers);
    places.find_map(|(place, excuse)| excuse.is_none().then_some(place))
}

impl Row {
    /// Of a kernel that was asked nothing yet.
    pub(super) fn new(family: Family, judged: bool) -> Self {
        Row {
            kernel: family.name(),
            judged,
            ..Row::default()
        }
    }

    /// What it means. Without a judgement of its arithmetic a difference is a measurement.
    pub fn outcome(&self) -> Outcome {
        let ended = match &self.ending {
            // What a library does not have is a property of the library.
            Ending::Complete | Ending::NotThere(_) => Outcome::Ok,
            Ending::Refused(_) => Outcome::Incomplete,
            Ending::Died(_) => Outcome::ReferenceDied,
            Ending::EngineDied(_) => Outcome::EngineDied,
        };
        if self.judged && self.differ > 0 {
            return ended.max(Outcome::Divergence);
        }
        ended
    }

    /// Counts the answers to a question.
    fn count(&mut self, case: usize, question: &Question, answers: &[Answer; 2]) {
        self.cases += 1;
        self.values += answers[0].size();
        self.equal += answers[0].size();
        self.hashes.push(record::recorded(question, answers));
        for (_, excuse) in mismatches(question, answers) {
            self.equal = self.equal.saturating_sub(1);
            let Some(excuse) = excuse else {
                self.differ += 1;
                continue;
            };
            let first = || format!("--only {} --case {case}", self.kernel);
            self.excused.add(excuse, first);
        }
    }
}

impl From<WorkerExit> for Ending {
    fn from(ended: WorkerExit) -> Self {
        match ended {
            WorkerExit::Refused(message) => Ending::Refused(message),
            WorkerExit::Died(death) => Ending::Died(death.to_string()),
        }
    }
}

/// The difference of a question, shown on the smallest that shows one. A smaller question that
/// somebody dies of shows none.
fn first(
    (family, case): (Family, usize),
    question: Question,
    answers: [Answer; 2],
    theirs: &mut dyn Computer,
    ours: &mut dyn Computer,
) -> First {
    let asked = question.call.to_string();
    let packing = packing(&question, &answers[0]);
    let still_differs = |smaller: Question| {
        let answers = both(&smaller, theirs, ours).ok()?;
        unexcused(&smaller, &answers)?;
        Some((smaller, answers))
    };
    let start = (question, answers);
    let shrunk = shrink(start, |(whole, _)| candidates(whole), still_differs, BUDGET);
    let (smallest, answers) = shrunk.smallest;
    let place = unexcused(&smallest, &answers).expect("it was kept because it differs");
    let [theirs, ours] = &answers;
    First {
        case,
        about: family.describe(case),
        asked,
        shrunk_to: smallest.call.to_string(),
        inputs: inputs(&smallest),
        difference: Difference::at(place, theirs, ours),
        packing,
    }
}

/// The packing of two-bit weights, not the usual one, that these bytes are in.
fn packing(question: &Question, theirs: &Answer) -> Option<&'static str> {
    let Call::Encode { columns, rows, .. } = question.call else {
        return None;
    };
    let shape = Shape {
        rows,
        cols: columns,
    };
    let written = |format: &Format| {
        let needed = format.flavor().and_then(|f| f.bytes_needed(shape));
        let written = || format.encode(question.matrix().0, shape);
        needed.is_some() && written().starts_with(&theirs.bytes)
    };
    let is_i2_s = question.format() == Some(Format::I2_S_P128);
    let mut others = [Format::I2_S_P64, Format::I2_S_P4R].into_iter();
    others.find(|f| is_i2_s && written(f)).map(Format::name)
}

/// The numbers of a question that are not zero, a few of them.
pub(super) fn inputs(question: &Question) -> String {
    const SHOWN: usize = 8;
    let values = question.values.iter().enumerate();
    let value = |(i, v): (usize, &f32)| format!("[{i}] {v:e} ({:#010x})", v.to_bits());
    let values = values.filter(|(_, v)| v.to_bits() != 0).map(value);
    let bytes = question.bytes.iter().enumerate();
    let bytes = bytes.filter(|(_, b)| **b != 0);
    let bytes = bytes.map(|(i, b)| format!("[{i}] {b:#04x}"));
    let all: Vec<String> = values.chain(bytes).collect();
    match all.len() {
        0 => "all zero".into(),
        n if n > SHOWN => format!("{} and {} more", all[..SHOWN].join(", "), n - SHOWN),
        _ => all.join(", "),
    }
}
