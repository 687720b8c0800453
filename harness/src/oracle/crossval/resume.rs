//! Going on where a run was ended: what it had finished is taken over, if this run would do the
//! same again.
#![forbid(unsafe_code)]

use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::case::Case;
use crate::case::observation::Identity;
use crate::exit::Failure;
use crate::file::provenance::{Input, Machine};
use crate::receipt::{CaseReceipt, Comparison, Receipt};

/// What would be asked in this run.
pub struct Plan<'a> {
    /// The case.
    pub case: &'a Case,
    /// Its model.
    pub model: &'a Input,
    /// The engine, and the other ways it runs.
    pub subjects: &'a [Identity],
    /// The references, in the order they are asked.
    pub references: &'a [Identity],
}

/// Reads a receipt to go on from. One that was edited, or made by another build of this program or
/// on another machine, is none.
pub fn open(path: &Path) -> Result<Receipt, Failure> {
    let (_, bytes) = Input::read(path)?;
    let name = path.display();
    let wrong = |why: String| Failure::input(format!("cannot resume {name}: {why}"));
    let receipt: Receipt = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
    if receipt.computed_seal() != receipt.seal {
        return Err(wrong("its seal is broken".into()));
    }
    if receipt.circumstances.machine != Machine::here() {
        return Err(wrong(
            "it was made on another machine, or steered otherwise".into(),
        ));
    }
    if !receipt.circumstances.changed_inputs.is_empty() {
        return Err(wrong("one of its inputs changed while it was made".into()));
    }
    let built = std::env::current_exe().and_then(|program| program.metadata()?.modified());
    let built = built.map_err(Failure::environment)?;
    let built = built.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    if receipt.circumstances.started_unix < built {
        return Err(wrong("this program was built after the run began".into()));
    }
    Ok(receipt)
}

/// The case as the earlier run left it, if this run would ask the same of the same.
pub fn finished<'a>(earlier: &'a Receipt, plan: &Plan<'_>) -> Option<&'a CaseReceipt> {
    let named = |c: &&CaseReceipt| c.claims.case == plan.case.name;
    let done = earlier.cases.iter().find(named)?;
    let claims = &done.claims;
    let (first, others) = plan.subjects.split_first()?;
    let same = |comparisons: &[Comparison], identities: &[Identity]| {
        comparisons.iter().map(|c| &c.reference).eq(identities)
    };
    let declared =
        |c: &Comparison| c.is_declined() || c.coverage.declared() == plan.case.declared();
    let whole = claims.prompt == plan.case.prompt
        && claims.unrecorded == plan.case.unrecorded
        && claims.model.sha256 == plan.model.sha256
        && claims.engine.identity == *first
        && same(&claims.repetitions, others)
        && same(&claims.comparisons, plan.references)
        && claims.comparisons.iter().all(declared);
    whole.then_some(done)
}
