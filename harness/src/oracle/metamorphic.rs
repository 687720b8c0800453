//! Oracles that need no second engine: edits of a model file, and other ways through the same
//! tokens, that leave every bit of the logits where it was, if the arithmetic is what it claims.
//!
//! Each relation has a one-sided control that must show: a relation that holds beside a control
//! that changes nothing has tested nothing, and fails the run.
#![forbid(unsafe_code)]

#[cfg(unix)]
mod outcome;
mod places;
mod plan;
mod relation;
mod schedules;
mod signs;
mod sizes;
mod table;

use engine::Token;
use engine::bytes::ModelBytes;
use engine::config::Config;
use engine::gguf::Gguf;

use crate::case::coverage::Count;
use crate::case::observation::Lane;
use crate::case::schedule::{Schedule, Step};
use crate::exit::{Exit, Failure};
use crate::file::document::Document;
use crate::runner::{RunError, Runner, guarded};

#[cfg(unix)]
pub use outcome::{Claim, Control, Coverage, Difference, Outcome, Prompt, Report, Status, Verdict};
pub use plan::{NotApplicable, Plan, Rewrite, Subject};
pub use relation::Relation;
pub use schedules::Detour;

use relation::Way;

/// The version of the JSON this build writes.
pub const SCHEMA: u32 = 1;

/// A model and prompts, examined by one source of logits.
pub struct Examination<'a> {
    source: &'a mut dyn Runner,
    document: Document,
    file: Vec<u8>,
    config: Config,
    prompts: Vec<Prompt>,
    /// What the unedited model computes, for each lane and prompt.
    known: Vec<Vec<Vec<f32>>>,
}

impl<'a> Examination<'a> {
    /// Computes what every relation is measured against. Prompts are cut to half the context,
    /// because some ways go through them twice.
    pub fn begin(
        source: &'a mut dyn Runner,
        gguf: &Gguf,
        mut prompts: Vec<Prompt>,
    ) -> Result<Self, Failure> {
        let config = Config::from_gguf(gguf)?;
        let document = Document::read(gguf)?;
        let file = document.file();
        for prompt in &mut prompts {
            prompt.tokens.truncate((config.context_length / 2).max(1));
            if prompt.tokens.is_empty() {
                return Err(Failure::input("a prompt of no tokens tests nothing"));
            }
        }
        let mut examination = Examination {
            source,
            document,
            file: Vec::new(),
            config,
            prompts,
            known: Vec::new(),
        };
        let known = examination.lanes(&file, None);
        examination.known = known.map_err(unexaminable)?;
        examination.file = file;
        Ok(examination)
    }

    /// One relation with its control.
    pub fn relation(&mut self, relation: &Relation) -> Outcome {
        let mut outcome = Outcome::new(relation);
        match relation.way {
            Way::Edit(plan) => {
                let subject = Subject {
                    document: &self.document,
                    config: &self.config,
                };
                match plan(subject) {
                    Ok(plan) => self.edit(&plan, &mut outcome),
                    Err(NotApplicable(why)) => outcome.cannot(why),
                }
            }
            Way::Detour(detour) => self.detours(detour, usize::MAX, &mut outcome),
            Way::Threads(detour) => {
                let most = self.source.most_on_threads();
                self.detours(detour, most, &mut outcome);
            }
        }
        outcome
    }

    /// What an edit comes to.
    pub fn edit(&mut self, plan: &Plan, outcome: &mut Outcome) {
        let against = match &plan.against {
            None => Ok(self.known.clone()),
            Some(other) => self.lanes(&other.file(), None),
        };
        let against = match against {
            Ok(against) => against,
            Err(error) => return outcome.fail(&error),
        };
        match &plan.edited {
            Err(why) => outcome.verdict = Verdict::NotApplicable { why: why.clone() },
            Ok(edited) => match self.rewritten(edited) {
                Ok(found) => self.compare(&against, &found, outcome),
                Err(error) => return outcome.fail(&error),
            },
        }
        match self.rewritten(&plan.control) {
            Ok(found) => {
                for (known, found) in against.iter().zip(&found) {
                    let equal = |p: usize| self.equal_rows(&known[p], &found[p]);
                    let equal: usize = (0..self.prompts.len()).map(equal).sum();
                    outcome.show(equal, self.positions());
                }
            }
            // A model that stops being one differs as clearly as can be.
            Err(RunError::NotFinite(_)) => {
                Lane::ALL
                    .iter()
                    .for_each(|_| outcome.show(0, self.positions()));
            }
            Err(error) => outcome.fail(&error),
        }
    }

    /// All ways through at most `most` tokens of each prompt.
    fn detours(&mut self, detour: relation::DetourOf, most: usize, outcome: &mut Outcome) {
        for lane in Lane::ALL {
            let (mut equal, mut positions) = (0, 0);
            for index in 0..self.prompts.len() {
                let tokens = &self.prompts[index].tokens;
                let plan = detour(&tokens[..tokens.len().min(most)], lane);
                let Ok(plan) = plan.map_err(|NotApplicable(why)| outcome.cannot(why)) else {
                    continue;
                };
                match self.detour(&plan, (lane, index), outcome) {
                    Ok(control) => equal += control,
                    Err(error) => return outcome.fail(&error),
                }
                positions += plan.straight.kept();
            }
            if positions > 0 {
                outcome.show(equal, positions);
            }
        }
    }

    /// Compares all ways with the straight one. Returns how many positions the control left as
    /// they were.
    fn detour(
        &mut self,
        plan: &Detour,
        (lane, prompt): (Lane, usize),
        outcome: &mut Outcome,
    ) -> Result<usize, RunError> {
        let ways = [&plan.straight].into_iter().chain(&plan.same);
        let ways: Vec<Schedule> = ways.chain([&plan.control]).cloned().collect();
        let found = self.follow(&self.file.clone(), &ways)?;
        let [straight, same @ .., control] = &found[..] else {
            return Err(RunError::NoAnswer("fewer ways than were asked for".into()));
        };
        for way in same {
            self.compare_rows(straight, way, (lane, prompt), outcome);
        }
        Ok(self.equal_rows(straight, control))
    }

    /// The logits of a rewritten model in the order of the old tokens.
    fn rewritten(&mut self, rewrite: &Rewrite) -> Result<Vec<Vec<Vec<f32>>>, RunError> {
        let mut found = self.lanes(&rewrite.document.file(), rewrite.tokens.as_deref())?;
        let Some(columns) = &rewrite.columns else {
            return Ok(found);
        };
        for row in found
            .iter_mut()
            .flatten()
            .flat_map(|v| v.chunks_exact_mut(columns.len()))
        {
            let new = row.to_vec();
            columns
                .iter()
                .zip(new)
                .for_each(|(&old, logit)| row[old] = logit);
        }
        Ok(found)
    }

    /// What a file computes, for each lane and prompt.
    fn lanes(
        &mut self,
        file: &[u8],
        names: Option<&[usize]>,
    ) -> Result<Vec<Vec<Vec<f32>>>, RunError> {
        let rename = |&token: &Token| match names {
            Some(names) => names[token as usize] as Token,
            None => token,
        };
        let prompts = self.prompts.iter();
        let prompts: Vec<Vec<Token>> = prompts
            .map(|p| p.tokens.iter().map(rename).collect())
            .collect();
        let prefill = prompts
            .iter()
            .map(|p| Schedule::of(vec![Step::Feed(p.clone())]));
        let single = |tokens: &Vec<Token>| tokens.iter().map(|&t| Step::Feed(vec![t])).collect();
        let decode = prompts.iter().map(|p| Schedule::of(single(p)));
        let schedules: Vec<Schedule> = prefill.chain(decode).collect();
        let mut found = self.follow(file, &schedules)?;
        let decode = found.split_off(prompts.len());
        Ok(vec![found, decode])
    }

    /// Asks the source, and does not let it answer with less than it was asked for.
    fn follow(&mut self, file: &[u8], ways: &[Schedule]) -> Result<Vec<Vec<f32>>, RunError> {
        let found = guarded(|| self.source.logits(file, ways))?;
        let width = self.config.vocab_size;
        let whole = |(logits, way): (&Vec<f32>, &Schedule)| logits.len() == way.kept() * width;
        match found.len() == ways.len() && found.iter().zip(ways).all(whole) {
            true => Ok(found),
            false => Err(RunError::NoAnswer(
                "there are fewer logits than positions".into(),
            )),
        }
    }

    fn compare(&self, known: &[Vec<Vec<f32>>], found: &[Vec<Vec<f32>>], outcome: &mut Outcome) {
        for (lane, (known, found)) in Lane::ALL.iter().zip(known.iter().zip(found)) {
            for (prompt, (known, found)) in known.iter().zip(found).enumerate() {
                self.compare_rows(known, found, (*lane, prompt), outcome);
            }
        }
    }

    fn compare_rows(
        &self,
        known: &[f32],
        found: &[f32],
        (lane, prompt): (Lane, usize),
        outcome: &mut Outcome,
    ) {
        let width = self.config.vocab_size;
        let rows = known.chunks_exact(width).zip(found.chunks_exact(width));
        for (position, (known, found)) in rows.enumerate() {
            let mut pairs = known.iter().zip(found);
            let differ = pairs.position(|(a, b)| a.to_bits() != b.to_bits());
            outcome.position(differ.map(|token| Difference {
                lane,
                prompt,
                position,
                token,
                expected: known[token].to_bits(),
                found: found[token].to_bits(),
            }));
        }
    }

    /// Positions whose logits are the same to the bit.
    fn equal_rows(&self, known: &[f32], found: &[f32]) -> usize {
        let width = self.config.vocab_size;
        let rows = known.chunks_exact(width).zip(found.chunks_exact(width));
        let equal = |(a, b): &(&[f32], &[f32])| {
            a.iter()
                .map(|x| x.to_bits())
                .eq(b.iter().map(|x| x.to_bits()))
        };
        rows.filter(equal).count()
    }

    fn positions(&self) -> usize {
        self.prompts.iter().map(|prompt| prompt.tokens.len()).sum()
    }
}

/// Why a source cannot be examined on a model at all.
fn unexaminable(error: RunError) -> Failure {
    let exit = match error {
        // It does not take part, which is no fault of the model.
        RunError::Declined(_) => Exit::ReferenceMissing,
        RunError::Lost(_) => Exit::ReferenceDied,
        RunError::Died(_) => Exit::EngineDied,
        _ => Exit::BadInput,
    };
    let message = error.to_string();
    Failure { exit, message }
}

/// Every relation about one model. `done` is called after each.
pub fn examine(
    source: &mut dyn Runner,
    file: ModelBytes,
    prompts: Vec<Prompt>,
    done: &mut dyn FnMut(),
) -> Result<Report, Failure> {
    let gguf = Gguf::parse(file)?;
    let identity = source.identity();
    let mut examination = Examination::begin(source, &gguf, prompts)?;
    let mut relations = Vec::new();
    for relation in &Relation::ALL {
        relations.push(examination.relation(relation));
        done();
    }
    let config = &examination.config;
    Ok(Report::conclude(
        identity,
        config,
        examination.prompts,
        relations,
    ))
}

impl Coverage {
    /// Counts what was declared and what was compared.
    fn of(relations: &[Outcome]) -> Self {
        let mut coverage = Coverage::default();
        for outcome in relations {
            let count = |there| Count {
                declared: 1,
                compared: usize::from(there),
            };
            match &outcome.verdict {
                Verdict::NotApplicable { .. } => coverage.not_applicable += 1,
                verdict => {
                    coverage.relations += count(!matches!(verdict, Verdict::Failed { .. }));
                }
            }
            coverage.positions += outcome.positions;
            if outcome.control != Control::NotApplicable {
                coverage.controls += count(outcome.control == Control::Differs);
            }
        }
        coverage
    }
}
