//! Who did what, with which weights and vocabulary: the same in all cases, or mixed.

use serde::{Deserialize, Serialize};

use super::Engine;
use crate::case::ability::Ability;
use crate::case::model::{Quant, Vocabulary};
use crate::receipt::CaseReceipt;

/// Which side did what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Who turned the prompt into ids.
    pub tokenizer: String,
    /// Who computed.
    pub compute: String,
    /// The same without what was forced, as the predecessor's receipts call it.
    pub backend: String,
}

impl Validation {
    /// Follows from who the subject was: its fingerprint says what kind of thing computed, and an
    /// engine that was told how to read the weights decided less than one that found out.
    pub fn of(engine: &Engine, quant: &Quant) -> Self {
        let kind = match engine.identity.fingerprint.split_once(' ') {
            Some(("engine", _)) => "rust",
            Some(("scripted", _)) => "script",
            _ => engine.identity.brought().unwrap_or("recording"),
        };
        let forced = if quant.forced {
            " with a forced flavor"
        } else {
            ""
        };
        let given = engine.lacking.contains(&Ability::Tokenize);
        Validation {
            tokenizer: if given { "rust" } else { kind }.into(),
            compute: format!("{kind}{forced}"),
            backend: kind.into(),
        }
    }

    fn named(name: &str) -> Self {
        Validation {
            tokenizer: name.into(),
            compute: name.into(),
            backend: name.into(),
        }
    }

    /// That of all cases.
    pub fn common(cases: &[CaseReceipt]) -> Self {
        common(cases.iter().map(|c| &c.claims.validation), Self::named)
    }
}

impl Quant {
    /// That of all cases.
    pub fn common(cases: &[CaseReceipt]) -> Self {
        common(cases.iter().map(|c| &c.claims.quant), Self::named)
    }
}

impl Vocabulary {
    /// That of all cases, if it is one.
    pub fn common(cases: &[CaseReceipt]) -> Option<Self> {
        let all = cases.iter().map(|c| &c.claims.tokenizer);
        common(all, |_| None)
    }
}

/// What is the same in all cases: `none` without a case, `mixed` where they differ.
fn common<'a, T: Clone + PartialEq + 'a>(
    mut all: impl Iterator<Item = &'a T>,
    named: impl Fn(&str) -> T,
) -> T {
    match all.next() {
        None => named("none"),
        Some(first) if all.all(|other| other == first) => first.clone(),
        Some(_) => named("mixed"),
    }
}
