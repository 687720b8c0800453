//! Computes again what a receipt says, from the numbers it holds and the files that are there.
//!
//! A receipt is its writer's word. Here it is held against itself and against every file at hand:
//! what contradicts is refuted, each kind under a [`Code`] of its own; what would take a file that
//! is not here, or another run, is unverifiable and no agreement either.

mod case;
mod circumstances;
mod conclusions;

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_variant::to_variant_name;

use super::{Receipt, SCHEMA};
use crate::judge::outcome::Outcome;
use crate::runner::suite::Suite;

/// What kind of contradiction it is: a word that programs may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)] // `meaning` says it
pub enum Code {
    Seal,
    Schema,
    Numbers,
    Conclusion,
    Case,
    Missing,
    LeftOut,
    Inputs,
    Tensors,
    Model,
    Facts,
    Prompt,
    Tokens,
    Text,
    Engine,
    Declared,
    Recording,
    Output,
    Ledger,
    Reference,
    Rerun,
    Signature,
    Options,
}

impl Code {
    /// As printed and as in JSON.
    pub fn name(self) -> &'static str {
        to_variant_name(&self).expect("a variant without fields")
    }
}

/// One thing that is not as the receipt says, or of which nothing here can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Objection {
    /// What kind of thing.
    pub code: Code,
    /// Which.
    pub what: String,
}

/// What the checks came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verification {
    /// What was computed again and is as the receipt says.
    pub confirmed: Vec<String>,
    /// What is not as the receipt says.
    pub refuted: Vec<Objection>,
    /// What could not be computed again here.
    pub unverifiable: Vec<Objection>,
    /// What another run would repeat, and nothing else can tell.
    pub on_trust: Vec<String>,
    /// Cases that were run again and came to the same.
    pub repeated: BTreeSet<String>,
}

/// Checks a receipt; `suite` are the fixtures, if they are at hand.
pub fn verify(receipt: &Receipt, suite: Option<&Suite>) -> Verification {
    verify_repeated(receipt, suite, BTreeSet::new())
}

/// The same where some of its cases, drawn by whoever verifies, were run again and came to the same
/// claims: what live references computed in the others is taken on trust then.
pub fn verify_repeated(
    receipt: &Receipt,
    suite: Option<&Suite>,
    repeated: BTreeSet<String>,
) -> Verification {
    let mut result = Verification {
        repeated,
        ..Verification::default()
    };
    let (seal, schema) = (receipt.computed_seal(), receipt.schema_version);
    result.note(Code::Seal, "the seal", seal == receipt.seal);
    result.note(Code::Schema, "the schema", schema == SCHEMA);
    result.conclusions(receipt);
    result.names(receipt);
    result.references(receipt);
    match suite {
        Some(suite) => {
            result.left_out(receipt, suite);
            result.inputs(receipt, suite);
            for case in &receipt.cases {
                result.case(case, suite);
            }
        }
        None => {
            let why = "models and recordings: no fixtures folder";
            result.cannot_tell(Code::Inputs, why);
        }
    }
    let word = "when, where and on which machine it ran, and which build of what compiler";
    result.on_trust.push(word.into());
    result
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Objection { code, what } in &self.refuted {
            writeln!(f, "REFUTED    {what} [{}]", code.name())?;
        }
        for Objection { code, what } in &self.unverifiable {
            writeln!(f, "UNVERIFIABLE  {what} [{}]", code.name())?;
        }
        for what in &self.on_trust {
            writeln!(f, "on trust   {what}")?;
        }
        let (confirmed, unverifiable) = (self.confirmed.len(), self.unverifiable.len());
        writeln!(
            f,
            "{confirmed} confirmed, {} refuted, {unverifiable} could not be checked here",
            self.refuted.len()
        )
    }
}

impl Verification {
    /// What it comes to: what cannot be told here is no agreement.
    pub fn outcome(&self) -> Outcome {
        if !self.refuted.is_empty() {
            Outcome::Divergence
        } else if !self.unverifiable.is_empty() {
            Outcome::Incomplete
        } else {
            Outcome::Ok
        }
    }

    /// One more thing that was looked at.
    pub fn note(&mut self, code: Code, what: &str, holds: bool) {
        if holds {
            self.confirmed.push(what.to_owned());
        } else {
            self.refute(code, what.to_owned());
        }
    }

    fn refute(&mut self, code: Code, what: String) {
        self.refuted.push(Objection { code, what });
    }

    /// One more thing that nothing here can tell.
    pub fn cannot_tell(&mut self, code: Code, what: impl Into<String>) {
        let what = what.into();
        self.unverifiable.push(Objection { code, what });
    }
}
