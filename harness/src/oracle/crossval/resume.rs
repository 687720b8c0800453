//! Going on where a run was ended: what it had finished is taken over, if this run would do the
//! same again.

use std::path::Path;

use crate::case::observation::Identity;
use crate::exit::Failure;
use crate::file::provenance::{Input, Machine};
use crate::receipt::verify::{Objection, verify};
use crate::receipt::{CaseReceipt, Comparison, Receipt};
use crate::runner::Task;
use crate::runner::suite::Suite;

/// Reads a receipt to go on from. One that [`verify`] refutes, or made by another build of this
/// program or on another machine, is none.
pub fn open(path: &Path, suite: &Suite) -> Result<Receipt, Failure> {
    let (_, bytes) = Input::read(path)?;
    let name = path.display();
    let wrong = |why: String| Failure::input(format!("cannot resume {name}: {why}"));
    let receipt = Receipt::read(&bytes).map_err(wrong)?;
    if receipt.computed_seal() != receipt.seal {
        return Err(wrong("its seal is broken".into()));
    }
    let (theirs, here) = (&receipt.circumstances.machine, Machine::here());
    if theirs.program != here.program {
        return Err(wrong("another build of this program made it".into()));
    }
    if *theirs != here {
        return Err(wrong(
            "it was made on another machine, or steered otherwise".into(),
        ));
    }
    if !receipt.circumstances.changed_inputs.is_empty() {
        return Err(wrong("one of its inputs changed while it was made".into()));
    }
    if let Some(Objection { code, what }) = verify(&receipt, Some(suite)).refuted.first() {
        let code = code.name();
        let why = format!("{what} [{code}]; `harness receipt verify {name}` says all of it");
        return Err(wrong(why));
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
