//! Who did what, and what the weights are: the same in all cases, or mixed.

use serde::{Deserialize, Serialize};

use super::{Engine, is_false};
use crate::case::ability::Ability;
use crate::receipt::CaseReceipt;

/// Which side did what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Who turned the prompt into ids.
    pub tokenizer: String,
    /// Who computed.
    pub compute: String,
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
        }
    }

    fn named(name: &str) -> Self {
        Validation {
            tokenizer: name.into(),
            compute: name.into(),
        }
    }

    /// That of all cases.
    pub fn common(cases: &[CaseReceipt]) -> Self {
        common(cases.iter().map(|c| &c.claims.validation), Self::named)
    }
}

/// The ternary weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quant {
    /// Format, e.g. `I2_S`.
    pub format: String,
    /// Packing, e.g. `P128`.
    pub flavor: String,
    /// Whether the packing was given instead of found out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub forced: bool,
}

impl Quant {
    /// That of all cases.
    pub fn common(cases: &[CaseReceipt]) -> Self {
        let named = |name: &str| Quant {
            format: name.into(),
            flavor: name.into(),
            forced: false,
        };
        common(cases.iter().map(|c| &c.claims.quant), named)
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
