//! What an examination comes to: plain data, claims without measured numbers, one outcome.

use engine::Token;
use engine::config::Architecture;
use serde::Serialize;

use super::Relation;
use crate::case::coverage::Count;
use crate::case::observation::{Identity, Lane};
use crate::judge::outcome::Outcome;
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
        status: Outcome,
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
pub struct Row {
    /// Its stable name.
    pub relation: &'static str,
    /// What was done.
    pub edit: &'static str,
    /// What the control did.
    pub control_edit: &'static str,
    /// Whether it holds.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What ended it after it was found to be broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// Whether the control showed.
    pub control: Control,
    /// Positions compared, over prompts, lanes and variants, and how many kept every bit.
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
    pub relations: Vec<Row>,
    /// All of it counted.
    pub coverage: Coverage,
    /// What it comes to.
    pub status: Outcome,
}

impl Row {
    /// A relation about which nothing is known yet.
    pub fn new(relation: &Relation) -> Self {
        let why = "no prompt was long enough".to_owned();
        Row {
            relation: relation.name,
            edit: relation.edit,
            control_edit: relation.control,
            verdict: Verdict::NotApplicable { why },
            ended_by: None,
            control: Control::NotApplicable,
            positions: Count::default(),
            control_changed: Count::default(),
        }
    }

    /// More positions were compared, each with the first difference in it.
    pub(super) fn compare(&mut self, compared: Vec<Option<Difference>>) {
        let first = compared.iter().flatten().next();
        match (first, &self.verdict) {
            (_, Verdict::Broken { .. }) => {}
            (Some(first), _) => self.verdict = Verdict::Broken { first: *first },
            (None, _) if compared.is_empty() => {}
            (None, _) => self.verdict = Verdict::Holds,
        }
        self.positions += Count {
            declared: compared.len(),
            compared: compared.len() - compared.iter().flatten().count(),
        };
    }

    /// The control was compared on one more lane: positions, and those that changed.
    pub(super) fn control(&mut self, changed: Count) {
        self.control_changed += changed;
        self.control = if changed.compared == 0 || self.control == Control::Vacuous {
            Control::Vacuous
        } else {
            Control::Differs
        };
    }

    /// Nothing can be said, unless something already was.
    pub(super) fn cannot(&mut self, because: String) {
        if let Verdict::NotApplicable { why } = &mut self.verdict {
            *why = because;
        }
    }

    /// It could not be computed, or not to the end: what was found until then is kept.
    pub(super) fn fail(&mut self, error: &RunError) {
        let why = error.to_string();
        if let Verdict::Broken { .. } = self.verdict {
            self.ended_by = Some(why);
            return;
        }
        let status = match error {
            RunError::Died(_) => Outcome::EngineDied,
            RunError::Lost(_) => Outcome::ReferenceDied,
            // The model itself was finite: an edit that is not has moved every bit.
            RunError::NotFinite(_) => Outcome::Divergence,
            _ => Outcome::Incomplete,
        };
        self.verdict = Verdict::Failed { why, status };
    }

    /// What it comes to. A control that does not show is a failed check.
    pub fn outcome(&self) -> Outcome {
        let relation = match &self.verdict {
            Verdict::Broken { .. } => Outcome::Divergence,
            Verdict::Failed { status, .. } => *status,
            Verdict::Holds | Verdict::NotApplicable { .. } => Outcome::Ok,
        };
        let vacuous = (self.control == Control::Vacuous).then_some(Outcome::Divergence);
        Outcome::worst(relation, vacuous)
    }
}

impl Report {
    /// Counts, and says what it comes to: the worst of all relations.
    pub fn conclude(
        computed_by: Identity,
        architecture: Architecture,
        prompts: Vec<Prompt>,
        relations: Vec<Row>,
    ) -> Self {
        let coverage = Coverage::of(&relations);
        let nothing = (coverage.relations.compared == 0).then_some(Outcome::Incomplete);
        let all = relations.iter().map(Row::outcome).chain(nothing);
        let status = Outcome::worst(Outcome::Ok, all);
        Report {
            computed_by,
            architecture: architecture.name(),
            prompts,
            relations,
            coverage,
            status,
        }
    }
}

impl Coverage {
    /// Counts what was declared and what was compared.
    fn of(rows: &[Row]) -> Self {
        let mut coverage = Coverage::default();
        let count = |there| Count {
            declared: 1,
            compared: usize::from(there),
        };
        for row in rows {
            match &row.verdict {
                Verdict::NotApplicable { .. } => coverage.not_applicable += 1,
                verdict => {
                    coverage.relations += count(!matches!(verdict, Verdict::Failed { .. }));
                }
            }
            coverage.positions += row.positions;
            if row.control != Control::NotApplicable {
                coverage.controls += count(row.control == Control::Differs);
            }
        }
        coverage
    }
}
