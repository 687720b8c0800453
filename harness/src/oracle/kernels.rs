//! Single kernels, asked the same questions on both sides: packing, decoding, quantising
//! activations, multiplying. Every comparison is of bits.
//!
//! A [`Question`](crate::runner::kernels::question::Question) is a call and what it reads, and a
//! [`Computer`](crate::runner::kernels::question::Computer) answers it. A family asks many
//! questions about one kernel, hand-picked ones first, then random ones, all made from a seed.
//! Where the two answers differ, the question is made smaller as long as they still do.

mod examine;
mod excuse;
pub(crate) mod record;
mod shrink;
pub mod table;

use engine::kernels::Kernel;
use engine::numerics::Profile;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use examine::{Ending, Row, Scope, examine};

use crate::case::shard::Share;
use crate::judge::outcome::Outcome;
use crate::reference::LiveReference;

/// Everything that was found: what `--json` writes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub schema_version: u32,
    pub outcome: Outcome,
    pub seed: u64,
    /// Random questions a kernel.
    pub random_cases: usize,
    pub kernel: &'static str,
    pub references: Vec<Examined>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// What stands in where there is no reference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recorded: Vec<Recalled>,
}

impl Report {
    /// Before anything was asked.
    pub fn of(seed: u64, random_cases: usize) -> Self {
        Report {
            schema_version: 2,
            outcome: Outcome::Ok,
            seed,
            random_cases,
            kernel: "",
            references: Vec::new(),
            share: None,
            recorded: Vec::new(),
        }
    }
}

/// A reference, and what became of each kernel.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Examined {
    pub reference: LiveReference,
    pub profile: &'static str,
    pub seconds: f64,
    /// The command that asks the same again, as far as the question.
    pub again: String,
    pub kernels: Vec<Row>,
}

/// What a result comes to whose rows were put together from shares.
pub fn of_shares(whole: &mut Value) -> Result<Outcome, String> {
    let references = whole["references"].as_array().into_iter().flatten();
    let rows = references.flat_map(|one| one["kernels"].as_array().into_iter().flatten());
    let rows: Vec<Row> = rows
        .map(|row| Row::deserialize(row).map_err(|e| format!("kernels: {e}")))
        .collect::<Result<_, _>>()?;
    let outcome = outcome(&rows);
    whole["outcome"] = json!(outcome);
    Ok(outcome)
}

/// The kernels of one set of instructions, held to what is on record or to the plain ones.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Recalled {
    /// Whose record; the plain kernels where nobody was asked in that arithmetic.
    pub library: Option<String>,
    pub profile: &'static str,
    pub kernel: &'static str,
    pub kernels: Vec<Row>,
}

impl Recalled {
    fn new(library: Option<&String>, profile: Profile, kernel: Kernel, kernels: Vec<Row>) -> Self {
        Recalled {
            library: library.cloned(),
            profile: profile.name(),
            kernel: kernel.name(),
            kernels,
        }
    }
}

/// The worst of all rows; a run in which nothing was asked is no agreement.
pub fn outcome<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Outcome {
    let mut asked = false;
    let outcomes = rows.into_iter().map(|row| {
        asked |= row.cases > 0;
        row.outcome()
    });
    let worst = Outcome::worst(Outcome::Ok, outcomes);
    if asked {
        worst
    } else {
        worst.max(Outcome::Incomplete)
    }
}
