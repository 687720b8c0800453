//! Whose GGUF a file is. Five worlds write it, and the same type number, the same dimensions and
//! the same header mean different things in them.
//!
//! `settle` weighs every dialect against type numbers, sizes, metadata and content, and takes
//! one only where the evidence leaves one, or where those that are left read every tensor alike.
#![forbid(unsafe_code)]

mod content;
mod meanings;
mod weigh;
mod written;

use std::fmt;
use std::str::FromStr;

use crate::gguf::TypeId;
use crate::refusal::{Code, Refusal};

pub(crate) use content::Channels;
pub use meanings::{OWN, Own};
pub(crate) use weigh::{Corrections, settle};
#[cfg(test)]
pub(crate) use written::bytes_of_packing;
pub(crate) use written::{Written, spans};

/// Who writes GGUF in a way of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Upstream's: what a file is that gives no sign of another.
    Ggml,
    /// Microsoft's: I2_S, TL1 and TL2.
    BitnetCpp,
    /// EffortlessMetrics': rows written first, two-bit packings without I2_S's trailer, a header
    /// of 36 bytes.
    BitnetRs,
    /// From version 0.2 on: blocks of 128 under upstream's numbers, K-quants with bits of their
    /// own, data that is not padded.
    OxiBonsai,
    /// Before: also the signs of Q1_0 negated, Q4_0 in pairs, INT8 that says it is F32.
    OxiBonsai01,
    /// Ternary blocks of 128 with the scale first.
    PrismMl,
    /// ik_llama.cpp's, with numbers of its own from 97 on.
    Ik,
}

impl Dialect {
    /// Every dialect, in the order they are listed to people and preferred where they agree.
    pub const ALL: [Dialect; 7] = [
        Dialect::Ggml,
        Dialect::BitnetCpp,
        Dialect::BitnetRs,
        Dialect::OxiBonsai,
        Dialect::OxiBonsai01,
        Dialect::PrismMl,
        Dialect::Ik,
    ];

    /// Both versions of OxiBonsai.
    pub const OXIBONSAI: &'static [Dialect] = &[Dialect::OxiBonsai, Dialect::OxiBonsai01];

    /// Stable name, e.g. `bitnet.cpp`: what `--dialect` takes and receipts carry.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Ggml => "ggml",
            Dialect::BitnetCpp => "bitnet.cpp",
            Dialect::BitnetRs => "bitnet-rs",
            Dialect::OxiBonsai => "oxibonsai",
            Dialect::OxiBonsai01 => "oxibonsai-0.1",
            Dialect::PrismMl => "prismml",
            Dialect::Ik => "ik",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dialect {
    type Err = String;

    /// Reads a name back; the error lists the names there are.
    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|dialect| dialect.name() == name);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Dialect::name).join(", ");
            format!("no dialect is called {name:?}; there are {names}")
        })
    }
}

/// What was found out about a file.
#[derive(Debug, Clone)]
pub struct Spoken {
    /// The dialect to read it in; `None` where several are possible and read it differently.
    pub dialect: Option<Dialect>,
    /// Why this one was taken, or none, in one sentence.
    pub reason: String,
    /// Every dialect, with what speaks for and against it.
    pub candidates: Vec<Candidate>,
    /// What the engine reads otherwise than it is written, one sentence each.
    pub notes: Vec<String>,
    /// Where the possible dialects part: a tensor, and what it is in each of them.
    pub(crate) parting: Option<Parting>,
}

/// A tensor that the possible dialects read differently.
#[derive(Debug, Clone)]
pub(crate) struct Parting {
    pub field: String,
    pub at: u64,
    pub readings: Vec<(Dialect, &'static str)>,
}

/// One dialect weighed against a file.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The dialect.
    pub dialect: Dialect,
    /// What only it explains, one sentence each.
    pub facts: Vec<String>,
    /// Why it cannot be this one, if it cannot.
    pub excluded: Option<String>,
}

impl Spoken {
    /// Whose meaning a type number has: none where the possible dialects part over it.
    pub(crate) fn dialect_of(&self, number: u32) -> Option<Dialect> {
        let Some(parting) = self.parting.as_ref().filter(|_| self.dialect.is_none()) else {
            return Some(self.dialect.unwrap_or(Dialect::Ggml));
        };
        let mut dialects = parting.readings.iter().map(|&(dialect, _)| dialect);
        let first = dialects.next()?;
        let same = |other| TypeId::of(number, other) == TypeId::of(number, first);
        dialects.all(same).then_some(first)
    }

    /// The dialect, or the refusal that lists those there are to choose from.
    pub fn decided(&self) -> Result<Dialect, Refusal> {
        let Some(parting) = self.parting.as_ref().filter(|_| self.dialect.is_none()) else {
            return Ok(self.dialect.unwrap_or(Dialect::Ggml));
        };
        let readings = parting.readings.iter();
        let found: Vec<String> = readings
            .map(|(dialect, reading)| format!("{reading} in {dialect}"))
            .collect();
        let names = parting.readings.iter().map(|(dialect, _)| dialect.name());
        let names = names.collect::<Vec<_>>().join("|");
        let expected = "a file that only one dialect explains";
        let refusal = Refusal::new(
            Code::DialectAmbiguous,
            parting.field.clone(),
            expected,
            found.join(", "),
        );
        Err(refusal
            .at(parting.at)
            .hint(format!("choose one with --dialect {names}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect.name().parse(), Ok(dialect));
        }
        let error = "llama".parse::<Dialect>().expect_err("not a name");
        assert!(error.contains("oxibonsai-0.1"), "{error}");
    }
}
