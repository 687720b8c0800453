//! Going on where a run was ended: what it had finished is taken over, if this run would do the
//! same again.

use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::case::observation::Identity;
use crate::exit::Failure;
use crate::file::provenance::{Input, Machine};
use crate::receipt::{CaseReceipt, Comparison, Receipt};
use crate::runner::Task;

/// Reads a receipt to go on from. One that was edited, or made by another build of this program or
/// on another machine, is none.
pub fn open(path: &Path) -> Result<Receipt, Failure> {
    let (_, bytes) = Input::read(path)?;
    let name = path.display();
    let wrong = |why: String| Failure::input(format!("cannot resume {name}: {why}"));
    let receipt = Receipt::read(&bytes).map_err(wrong)?;
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

/// The case as the earlier run left it, if this run would ask the same subjects, the engine and the
/// other ways it runs, and the same references in the same order.
pub fn finished<'a>(
    earlier: &'a Receipt,
    Task { case, model }: Task<'_>,
    subjects: &[Identity],
    references: &[Identity],
) -> Option<&'a CaseReceipt> {
    let (first, others) = subjects.split_first()?;
    let named = |c: &&CaseReceipt| c.claims.case == case.name && c.claims.engine.identity == *first;
    let done = earlier.cases.iter().find(named)?;
    let claims = &done.claims;
    let same = |comparisons: &[Comparison], identities: &[Identity]| {
        comparisons.iter().map(|c| &c.reference).eq(identities)
    };
    let asked = case.declared_without(&claims.engine.lacking, true);
    let declared = |c: &Comparison| c.is_declined() || c.coverage.declared() == asked;
    let whole = claims.prompt == case.prompt
        && claims.unrecorded == case.unrecorded
        && claims.model.sha256 == model.sha256
        && same(&claims.repetitions, others)
        && same(&claims.comparisons, references)
        && claims.comparisons.iter().all(declared);
    whole.then_some(done)
}
