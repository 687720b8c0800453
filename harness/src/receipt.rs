//! What a run leaves behind: claims that are the same on every machine, numbers they follow from,
//! and circumstances.
//!
//! [`Claims`] are snapshotted and reviewed: they hold no time, path, host or measured float.
//! Everything above the findings is a function of them, so [`verify`] can compute it again.
#![forbid(unsafe_code)]

pub mod claims;
pub mod diff;
pub mod disagreement;
mod explanation;
pub mod exports;
pub mod features;
pub mod junit;
pub mod merge;
mod parity;
pub mod pooled;
pub mod stale;
pub mod statement;
pub mod table;
pub mod verify;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use engine::Token;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::claims::{Claims, Comparison, Engine, Model, Quant, Validation, Vocabulary, Witness};
pub use self::explanation::{
    ad_hoc_name, lane_word, lines as explanation_lines, next as trace_command,
    shown as explanation_of,
};
pub use self::features::Features;
pub use self::parity::Parity;
use self::parity::exact;
pub use self::pooled::Pooled;
use crate::case::Case;
use crate::case::coverage::Coverage;
use crate::case::shard::Share;
use crate::case::taken::Taken;
use crate::file::provenance::{self, Machine};
use crate::judge::compare::Findings;
use crate::judge::outcome::Outcome;
use crate::judge::verdict::Verdict;
pub use crate::reference::LiveReference;
use crate::reference::isolation::Death;
use crate::runner::products::Products;

/// The version of receipts this build writes and reads.
pub const SCHEMA: u32 = 2;

/// The numbers a comparison's verdict follows from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Name of the reference or repetition.
    pub with: String,
    /// None if the two could not be compared.
    pub findings: Option<Findings>,
    /// What the reference died of, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub death: Option<Death>,
    /// The parts of the engine that ran for it.
    #[serde(default, skip_serializing_if = "Taken::is_empty")]
    pub taken: Taken,
}

/// One case: claims, and in the same order the numbers of its comparisons, repetitions, controls
/// and witnesses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseReceipt {
    /// What is asserted.
    pub claims: Claims,
    /// What it follows from.
    pub measured: Vec<Measured>,
    /// The texts of the tokens that are named, where the engine knows them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<Token, String>,
    /// How long it took.
    pub seconds: f64,
}

impl CaseReceipt {
    /// Comparisons, repetitions and controls, each with its findings, where it has any.
    pub fn pairs(&self) -> impl Iterator<Item = (&Comparison, Option<&Findings>)> {
        let claims = &self.claims;
        let all = claims.comparisons.iter().chain(&claims.repetitions);
        let all = all.chain(&claims.controls).zip(&self.measured);
        all.map(|(comparison, measured)| (comparison, measured.findings.as_ref()))
    }

    /// Those with references.
    pub fn compared(&self) -> impl Iterator<Item = (&Comparison, Option<&Findings>)> {
        self.pairs().take(self.claims.comparisons.len())
    }
}

/// The comparisons of cases with references.
pub fn comparisons(cases: &[CaseReceipt]) -> impl Iterator<Item = &Comparison> {
    cases.iter().flat_map(|case| &case.claims.comparisons)
}

/// A case that came to no claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Name of the case.
    pub case: String,
    /// How it ended.
    pub status: Outcome,
    /// Why.
    pub message: String,
    /// What was to be compared; nothing was.
    pub coverage: Coverage,
}

impl Failed {
    /// A case that ended early, with all that it leaves uncompared: `expected` is what each of its
    /// references would have been held to.
    pub fn new(
        case: &Case,
        status: Outcome,
        message: impl ToString,
        expected: &[Coverage],
    ) -> Self {
        let mut coverage = Coverage::default();
        coverage.cases.declared = 1;
        expected.iter().for_each(|declared| coverage += *declared);
        Failed {
            case: case.name.clone(),
            status,
            message: message.to_string(),
            coverage,
        }
    }
}

/// When, where and how; no claim depends on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Circumstances {
    /// Seconds since 1970 when the run began.
    pub started_unix: u64,
    /// How long it took so far.
    pub seconds: f64,
    /// Threads the engine used.
    pub threads: usize,
    /// The machine and the build.
    pub machine: Machine,
    /// Names of the cases that there were to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<String>,
    /// The live references that answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<LiveReference>,
    /// Every file that was read, and its SHA-256.
    pub inputs: Vec<InputFile>,
    /// Entries for known divergences that excused nothing, as `case with reference`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale_entries: Vec<String>,
    /// Prompts that were not run, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Live references that were asked for by name and answered no case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<String>,
    /// Files that were no longer the same afterwards.
    pub changed_inputs: Vec<String>,
    /// What this machine can multiply with: by format and kernel the orders of sums.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub products: Products,
    /// Of which run this is a share, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
}

/// A case that was not examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Its name, or the beginning of its prompt.
    pub case: String,
    /// Why.
    #[serde(default)]
    pub why: String,
    /// The live references that would answer it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answered_by: Vec<String>,
}

impl LeftOut {
    /// A case that only live references answer, none of which was asked.
    pub fn unasked(case: &Case) -> Self {
        LeftOut {
            case: case.name.clone(),
            why: format!("only a live reference answers it: {}", case.live.join(", ")),
            answered_by: case.live.clone(),
        }
    }

    /// A prompt that cannot be asked of this model.
    pub fn prompt(prompt: &str, why: String) -> Self {
        let shown: String = prompt.chars().take(24).collect();
        let dots = if shown.len() < prompt.len() {
            "…"
        } else {
            ""
        };
        LeftOut {
            case: format!("prompt {shown:?}{dots}"),
            why,
            answered_by: Vec::new(),
        }
    }
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputFile {
    /// Where.
    pub path: String,
    /// What.
    pub sha256: String,
    /// The same of the bytes of each tensor, if it is a model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tensors: BTreeMap<String, String>,
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`SCHEMA`].
    pub schema_version: u32,
    /// Who did what.
    pub validation: Validation,
    /// The weights; `mixed` where the cases differ.
    pub quant: Quant,
    /// The vocabulary; left out where the cases differ.
    pub tokenizer: Option<Vocabulary>,
    /// The run in one object.
    pub parity: Parity,
    /// All of it counted.
    pub coverage: Coverage,
    /// Which parts of the engine were exercised, and which were not.
    #[serde(default, skip_serializing_if = "Features::is_empty")]
    pub features: Features,
    /// The cases that came to claims.
    pub cases: Vec<CaseReceipt>,
    /// The cases that did not.
    pub failures: Vec<Failed>,
    /// The lanes that are judged by distances, over all cases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pooled: Vec<Pooled>,
    /// When the run began, as people write it.
    pub timestamp: String,
    /// When, where and how.
    pub circumstances: Circumstances,
    /// SHA-256 of this receipt with an empty seal. It notices edits, it does not prove origin.
    pub seal: String,
}

impl Receipt {
    /// Puts a run together and seals it. `asked` is the number of cases there were to be.
    pub fn assemble(
        asked: usize,
        cases: Vec<CaseReceipt>,
        failures: Vec<Failed>,
        circumstances: Circumstances,
    ) -> Self {
        Self::unsealed(asked, cases, failures, circumstances).sealed()
    }

    /// The same without a seal, which costs as much as writing it down.
    pub fn unsealed(
        asked: usize,
        cases: Vec<CaseReceipt>,
        failures: Vec<Failed>,
        circumstances: Circumstances,
    ) -> Self {
        let mut coverage = Coverage::default();
        let failed = failures.iter().map(|f| f.coverage);
        for part in cases.iter().map(|c| c.claims.coverage).chain(failed) {
            coverage += part;
        }
        coverage.cases.declared = asked;
        let pooled = pooled::pool(&cases);
        Receipt {
            schema_version: SCHEMA,
            validation: Validation::common(&cases),
            quant: Quant::common(&cases),
            tokenizer: Vocabulary::common(&cases),
            parity: Parity::of(&coverage, &cases, &failures, &pooled, &circumstances),
            coverage,
            features: Features::of(&cases, &circumstances.products),
            cases,
            failures,
            pooled,
            timestamp: circumstances.began(),
            circumstances,
            seal: String::new(),
        }
    }

    /// With a seal of what it says.
    pub fn sealed(mut self) -> Self {
        self.seal = self.computed_seal();
        self
    }

    /// Whether a comparison agrees, by itself or, where one document is too short to tell, with all
    /// documents together.
    pub fn agrees(&self, comparison: &Comparison) -> bool {
        let settled = || pooled::settles(&self.pooled, comparison);
        match comparison.verdict {
            Verdict::Agree => true,
            Verdict::NotJudged => settled(),
            _ => false,
        }
    }

    /// The hash the seal should be.
    pub fn computed_seal(&self) -> String {
        let unsealed = Receipt {
            seal: String::new(),
            ..self.clone()
        };
        provenance::sha256(unsealed.to_json().as_bytes())
    }

    /// As it lies in a file that this build, and no other version of it, can have written.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            schema_version: Value,
        }
        let Version { schema_version } =
            serde_json::from_slice(bytes).map_err(|e| format!("it is no receipt: {e}"))?;
        if schema_version != SCHEMA {
            let mend = "run crossval again, or read it with the build that wrote it";
            return Err(format!(
                "schema_version is {schema_version}, this build reads {SCHEMA}: {mend}"
            ));
        }
        serde_json::from_slice(bytes).map_err(|e| format!("it is no receipt: {e}"))
    }

    /// As written to a file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("string keys and finite floats only") + "\n"
    }
}

impl Circumstances {
    /// When the run began, as people write it: `2026-11-28T12:00:00Z`.
    fn began(&self) -> String {
        let began = UNIX_EPOCH.checked_add(Duration::from_secs(self.started_unix));
        let time = began.map(humantime::format_rfc3339_seconds);
        let mut text = String::new();
        // It has no words for years beyond 9999, which only a forger knows.
        match time.map(|time| write!(text, "{time}")) {
            Some(Ok(())) => text,
            _ => "unknown".to_owned(),
        }
    }

    /// Whether a reference that was asked for, or without which nothing can be asked, said nothing,
    /// or nothing was compared with any, and so nothing agrees.
    fn is_unanswered(&self, coverage: &Coverage, cases: &[CaseReceipt]) -> bool {
        let all_left_out = coverage.cases.declared == 0 && !self.left_out.is_empty();
        let alone = |case: &CaseReceipt| {
            case.claims.unrecorded && case.claims.coverage.references.compared == 0
        };
        let all_alone = !cases.is_empty() && cases.iter().all(alone);
        all_left_out || all_alone || !self.unanswered.is_empty()
    }
}
