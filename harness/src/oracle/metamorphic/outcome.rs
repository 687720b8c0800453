//! What an examination comes to: plain data, claims without measured numbers, one status.
#![forbid(unsafe_code)]

use engine::Token;
use engine::config::Config;
use serde::Serialize;

use super::Relation;
use crate::case::coverage::Count;
use crate::case::observation::{Identity, Lane};
use crate::exit::Exit;
use crate::runner::RunError;

/// What was fed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Prompt {
    /// The text; none where the model has no vocabulary.
    pub text: Option<String>,
    /// Its ids, as many as the context takes twice.
    pub tokens: Vec<Token>,
}

/// The first bit that moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// On which lane.
    pub lane: Lane,
    /// In which prompt.
    pub prompt: usize,
    /// At which of its positions.
    pub position: usize,
    /// Which logit.
    pub token: usize,
    /// Its bits without the edit.
    pub expected: u32,
    /// Its bits with it.
    pub found: u32,
}

/// Whether a relation holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Verdict {
    /// Every bit is where it was.
    Holds,
    /// At least one is not.
    Broken {
        /// The first.
        first: Difference,
    },
    /// The relation says nothing about this model.
    NotApplicable {
        /// Why.
        why: String,
    },
    /// It could not be computed.
    Failed {
        /// Why.
        why: String,
        /// How bad that is.
        status: Status,
    },
}

/// Whether the control showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// It did, on every lane.
    Differs,
    /// It did not on one lane at least: the relation beside it has tested nothing.
    Vacuous,
    /// There is none where the relation says nothing.
    NotApplicable,
}

/// One relation about one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Its stable name.
    pub relation: &'static str,
    /// What was done.
    pub edit: &'static str,
    /// What the control did.
    pub control_edit: &'static str,
    /// Whether it holds.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Whether the control showed.
    pub control: Control,
    /// Positions compared, over prompts, lanes and ways, and how many kept every bit.
    pub positions: Count,
    /// Positions of the control that changed.
    pub control_changed: Count,
}

/// What was to be compared and what was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Coverage {
    /// Relations that say something about the model.
    pub relations: Count,
    /// Relations that do not.
    pub not_applicable: usize,
    /// Controls, and those that showed.
    pub controls: Count,
    /// Positions, and those that kept every bit.
    pub positions: Count,
}

/// What it all comes to, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every relation holds and every control shows.
    Holds,
    /// Something was not computed, or nothing was.
    Incomplete,
    /// A control does not show.
    Vacuous,
    /// A relation does not hold.
    Broken,
    /// The reference died, or had no more time.
    ReferenceDied,
    /// The engine died.
    Died,
}

/// Everything about one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Who computed.
    pub computed_by: Identity,
    /// The family of the model.
    pub architecture: &'static str,
    /// What was fed.
    pub prompts: Vec<Prompt>,
    /// Each relation.
    pub relations: Vec<Outcome>,
    /// All of it counted.
    pub coverage: Coverage,
    /// What it comes to.
    pub status: Status,
}

/// What is asserted about one relation, the same on every machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// Its name.
    pub relation: &'static str,
    /// Whether it holds.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Whether the control showed.
    pub control: Control,
    /// Positions compared.
    pub positions: usize,
}

impl Outcome {
    /// A relation about which nothing is known yet.
    pub fn new(relation: &Relation) -> Self {
        let why = "no prompt was long enough".to_owned();
        Outcome {
            relation: relation.name,
            edit: relation.edit,
            control_edit: relation.control,
            verdict: Verdict::NotApplicable { why },
            control: Control::NotApplicable,
            positions: Count::default(),
            control_changed: Count::default(),
        }
    }

    /// One more position was compared.
    pub(super) fn position(&mut self, difference: Option<Difference>) {
        self.positions.declared += 1;
        match (difference, &self.verdict) {
            (None, Verdict::NotApplicable { .. }) => self.verdict = Verdict::Holds,
            (Some(first), Verdict::NotApplicable { .. } | Verdict::Holds) => {
                self.verdict = Verdict::Broken { first };
            }
            _ => {}
        }
        self.positions.compared += usize::from(difference.is_none());
    }

    /// The control was compared on one more lane.
    pub(super) fn show(&mut self, equal: usize, positions: usize) {
        self.control_changed.declared += positions;
        self.control_changed.compared += positions - equal;
        self.control = match (equal == positions, self.control) {
            (true, _) | (_, Control::Vacuous) => Control::Vacuous,
            _ => Control::Differs,
        };
    }

    /// Nothing can be said, unless something already was.
    pub(super) fn cannot(&mut self, because: String) {
        if let Verdict::NotApplicable { why } = &mut self.verdict {
            *why = because;
        }
    }

    /// It could not be computed.
    pub(super) fn fail(&mut self, error: &RunError) {
        self.verdict = Verdict::Failed {
            why: error.to_string(),
            status: match error {
                RunError::Died(_) => Status::Died,
                RunError::Lost(_) => Status::ReferenceDied,
                // The model itself was finite: an edit that is not has moved every bit.
                RunError::NotFinite(_) => Status::Broken,
                _ => Status::Incomplete,
            },
        };
    }

    fn status(&self) -> Status {
        match (&self.verdict, self.control) {
            (Verdict::Broken { .. }, _) => Status::Broken,
            (Verdict::Failed { status, .. }, Control::Vacuous) => Status::Vacuous.max(*status),
            (Verdict::Failed { status, .. }, _) => *status,
            (_, Control::Vacuous) => Status::Vacuous,
            _ => Status::Holds,
        }
    }
}

impl Report {
    /// Counts, and says what it comes to: the worst of all relations.
    pub fn conclude(
        computed_by: Identity,
        config: &Config,
        prompts: Vec<Prompt>,
        relations: Vec<Outcome>,
    ) -> Self {
        let coverage = Coverage::of(&relations);
        let floor = match coverage.relations.compared {
            0 => Status::Incomplete,
            _ => Status::Holds,
        };
        let status = relations.iter().map(Outcome::status).fold(floor, Ord::max);
        Report {
            computed_by,
            architecture: config.architecture.name(),
            prompts,
            relations,
            coverage,
            status,
        }
    }

    /// What is asserted, without the numbers that were measured on the way.
    pub fn claims(&self) -> Vec<Claim> {
        let claim = |outcome: &Outcome| Claim {
            relation: outcome.relation,
            verdict: outcome.verdict.clone(),
            control: outcome.control,
            positions: outcome.positions.declared,
        };
        self.relations.iter().map(claim).collect()
    }
}

impl Status {
    /// As printed and as written in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Status::Holds => "holds",
            Status::Incomplete => "incomplete",
            Status::Vacuous => "vacuous",
            Status::Broken => "broken",
            Status::ReferenceDied => "reference died",
            Status::Died => "died",
        }
    }

    /// What the process ends with.
    pub fn exit(self) -> Exit {
        match self {
            Status::Holds => Exit::Agrees,
            Status::Incomplete => Exit::Incomplete,
            Status::Vacuous | Status::Broken => Exit::Diverges,
            Status::ReferenceDied => Exit::ReferenceDied,
            Status::Died => Exit::EngineDied,
        }
    }
}
