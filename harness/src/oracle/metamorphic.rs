//! Oracles that need no second engine: edits of a model file, and other schedules of the same
//! tokens, that leave every bit of the logits where it was, if the arithmetic is what it claims.
//!
//! Each relation has a one-sided control that must show: a relation that holds beside a control
//! that changes nothing has tested nothing, and fails the run.

mod edits;
mod plan;
mod relation;
mod report;
mod schedules;
mod table;

use engine::Token;
use engine::bytes::ModelBytes;
use engine::config::Config;
use engine::gguf::Gguf;

use crate::case::ability::{self, Ability, Lacking};
use crate::case::coverage::Count;
use crate::case::observation::Lane;
use crate::case::schedule::{Schedule, Step};
use crate::exit::{Exit, Failure};
use crate::file::document::Document;
use crate::runner::{RunError, Runner, guarded};

pub use plan::{NotApplicable, Plan, Rewrite, Subject};
pub use relation::Relation;
pub use report::{Control, Coverage, Difference, Prompt, Report, Row, Verdict};

use relation::By;

/// The version of the JSON this build writes.
pub const SCHEMA: u32 = 1;

/// What a file computes: the rows of logits of every prompt, first in prefill, then in decode.
type Logits = Vec<Vec<f32>>;

/// A model and prompts, examined by one source of logits.
pub struct Examination<'a> {
    source: &'a mut dyn Runner,
    document: Document,
    config: Config,
    prompts: Vec<Prompt>,
    lanes: Vec<Lane>,
    lacking: Lacking,
    /// What the unedited model computes.
    known: Logits,
}

impl<'a> Examination<'a> {
    /// Computes what every relation is measured against. Prompts are cut to half the context,
    /// because some schedules go through them twice.
    pub fn begin(
        source: &'a mut dyn Runner,
        gguf: &Gguf,
        mut prompts: Vec<Prompt>,
    ) -> Result<Self, Failure> {
        let config = Config::from_gguf(gguf)?;
        let document = Document::read(gguf)?;
        for prompt in &mut prompts {
            prompt.tokens.truncate((config.context_length / 2).max(1));
            if prompt.tokens.is_empty() {
                return Err(Failure::input("a prompt of no tokens tests nothing"));
            }
        }
        let lacking = source.lacking();
        let lanes: Vec<Lane> = ability::lanes(&lacking).collect();
        if lanes.is_empty() || lacking.contains(&Ability::Rows) {
            let name = source.identity().name;
            let why =
                format!("{name} hands out no whole rows of logits, so no bit of them is seen");
            return Err(Failure::new(Exit::Incomplete, why));
        }
        let unedited = Rewrite::of(document.clone());
        let mut examination = Examination {
            lanes,
            lacking,
            source,
            document,
            config,
            prompts,
            known: Logits::new(),
        };
        let known = examination.rewritten(&unedited);
        examination.known = known.map_err(|error| match error {
            RunError::NoAnswer(why) => Failure::new(Exit::Incomplete, why),
            error => error.into(),
        })?;
        Ok(examination)
    }

    /// One relation with its control.
    pub fn relation(&mut self, relation: &Relation) -> Row {
        let mut row = Row::new(relation);
        let done = match relation.by {
            By::File(plan) => {
                let subject = Subject {
                    document: &self.document,
                    config: &self.config,
                };
                match plan(subject) {
                    Ok(plan) => self.edit(&plan, &mut row),
                    Err(NotApplicable(why)) => {
                        row.cannot(why);
                        Ok(())
                    }
                }
            }
            By::Schedule(variants) => self.schedules(variants, usize::MAX, &mut row),
            By::Threads(variants) => {
                let most = self.source.most_on_threads();
                self.schedules(variants, most, &mut row)
            }
        };
        if let Err(error) = done {
            row.fail(&error);
        }
        row
    }

    /// What an edit of the file comes to.
    pub fn edit(&mut self, plan: &Plan, row: &mut Row) -> Result<(), RunError> {
        let expected = match &plan.against {
            None => self.known.clone(),
            Some(other) => self.rewritten(&Rewrite::of(other.clone()))?,
        };
        match &plan.edited {
            Err(why) => row.cannot(why.clone()),
            Ok(edited) => {
                let found = self.rewritten(edited)?;
                self.each(&expected, &found, |_, compared| row.compare(compared));
            }
        }
        let mut changed = vec![Count::default(); self.lanes.len()];
        match self.rewritten(&plan.control) {
            // A model that stops being one differs as clearly as can be.
            Err(RunError::NotFinite(_)) => {
                let positions = self.prompts.iter().map(|p| p.tokens.len()).sum();
                changed.fill(Count {
                    declared: positions,
                    compared: positions,
                });
            }
            found => self.each(&expected, &found?, |lane, compared| {
                changed[lane] += changes(&compared);
            }),
        }
        changed.into_iter().for_each(|lane| row.control(lane));
        Ok(())
    }

    /// Shows the positions of each prompt, with the number of the lane.
    fn each(
        &self,
        expected: &Logits,
        found: &Logits,
        mut show: impl FnMut(usize, Vec<Option<Difference>>),
    ) {
        for (i, (expected, found)) in expected.iter().zip(found).enumerate() {
            let (lane, prompt) = (i / self.prompts.len(), i % self.prompts.len());
            show(
                lane,
                self.compare((self.lanes[lane], prompt), expected, found),
            );
        }
    }

    /// All variants of the schedules of at most `most` tokens of each prompt.
    fn schedules(
        &mut self,
        variants: relation::VariantsOf,
        most: usize,
        row: &mut Row,
    ) -> Result<(), RunError> {
        let file = self.document.file();
        for lane in self.lanes.clone() {
            let mut changed = Count::default();
            for prompt in 0..self.prompts.len() {
                let tokens = &self.prompts[prompt].tokens;
                let variants = match variants(&tokens[..tokens.len().min(most)], lane) {
                    Ok(variants) => variants,
                    Err(NotApplicable(why)) => {
                        row.cannot(why);
                        continue;
                    }
                };
                let mut lacked = variants
                    .iter()
                    .map(|way| ability::lacked(way, &self.lacking));
                if let Some(ability) = lacked.find_map(|ability| ability) {
                    row.cannot(format!("it does not offer {}", ability.name()));
                    continue;
                }
                let found = self.follow(&file, &variants)?;
                let [plain, same @ .., control] = &found[..] else {
                    return Err(RunError::NoAnswer("fewer schedules than asked for".into()));
                };
                for other in same {
                    row.compare(self.compare((lane, prompt), plain, other));
                }
                changed += changes(&self.compare((lane, prompt), plain, control));
            }
            if changed.declared > 0 {
                row.control(changed);
            }
        }
        Ok(())
    }

    /// The logits of a rewritten model in the order of the old tokens.
    fn rewritten(&mut self, rewrite: &Rewrite) -> Result<Logits, RunError> {
        let rename = |&token: &Token| match &rewrite.tokens {
            Some(names) => names[token as usize] as Token,
            None => token,
        };
        let prompts = self.prompts.iter();
        let prompts: Vec<Vec<Token>> = prompts
            .map(|prompt| prompt.tokens.iter().map(rename).collect())
            .collect();
        let schedules = self.lanes.iter().flat_map(|&lane| {
            let prompts = prompts.iter();
            prompts.map(move |tokens| Schedule::of(Step::of_lane(lane, tokens)))
        });
        let schedules: Vec<Schedule> = schedules.collect();
        let mut found = self.follow(&rewrite.document.file(), &schedules)?;
        if let Some(columns) = &rewrite.columns {
            let rows = found.iter_mut();
            for row in rows.flat_map(|logits| logits.chunks_exact_mut(columns.len())) {
                let new = row.to_vec();
                let moved = columns.iter().zip(new);
                moved.for_each(|(&old, logit)| row[old] = logit);
            }
        }
        Ok(found)
    }

    /// Asks the source, and does not let it answer with less than it was asked for.
    fn follow(&mut self, file: &[u8], schedules: &[Schedule]) -> Result<Vec<Vec<f32>>, RunError> {
        let found = guarded(|| self.source.logits(file, schedules))?;
        let wanted = schedules.iter().map(|s| s.kept() * self.config.vocab_size);
        if found.iter().map(Vec::len).eq(wanted) {
            Ok(found)
        } else {
            let why = "there are fewer logits than positions";
            Err(RunError::NoAnswer(why.into()))
        }
    }

    /// Position by position, the first logit whose bits differ.
    fn compare(
        &self,
        (lane, prompt): (Lane, usize),
        expected: &[f32],
        found: &[f32],
    ) -> Vec<Option<Difference>> {
        let width = self.config.vocab_size;
        let rows = expected.chunks_exact(width).zip(found.chunks_exact(width));
        let compared = rows.enumerate().map(|(position, (expected, found))| {
            let mut pairs = expected.iter().zip(found);
            let token = pairs.position(|(a, b)| a.to_bits() != b.to_bits())?;
            Some(Difference {
                lane,
                prompt,
                position,
                token,
                expected: expected[token].to_bits(),
                found: found[token].to_bits(),
            })
        });
        compared.collect()
    }
}

/// Positions compared, and those that changed.
fn changes(compared: &[Option<Difference>]) -> Count {
    Count {
        declared: compared.len(),
        compared: compared.iter().flatten().count(),
    }
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
    let mut rows = Vec::new();
    for relation in &Relation::ALL {
        rows.push(examination.relation(relation));
        done();
    }
    let architecture = examination.config.architecture;
    Ok(Report::conclude(
        identity,
        architecture,
        examination.prompts,
        rows,
    ))
}
