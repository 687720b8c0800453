//! Cases of a receipt run again, drawn where it is verified and not where it was written.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::{Command, Stdio};

use crate::case::taken::Taken;
use crate::exit::{Exit, Failure};
use crate::numbers::split_mix::SplitMix64;
use crate::receipt::diff::differences;
use crate::receipt::{CaseReceipt, Claims, Receipt};
use crate::runner::suite::Suite;
use engine::refusal::escape;

/// The names of the cases that were run again and came to the same claims; `Err` says which did
/// not, and in what.
pub fn repeat(
    receipt: &Receipt,
    suite: &Suite,
    count: usize,
) -> Result<Result<BTreeSet<String>, String>, Failure> {
    let known = |claims: &&Claims| {
        let fixture = suite.cases.iter().any(|case| case.name == claims.case);
        fixture && claims.engine.identity.is_built_in() && !claims.quant.forced
    };
    let claims: Vec<&Claims> = receipt
        .cases
        .iter()
        .map(|c| &c.claims)
        .filter(known)
        .collect();
    if claims.is_empty() {
        let why = "--rerun: no case of this receipt is one of the fixtures and the engine's own";
        return Err(Failure::new(Exit::Incomplete, why));
    }
    let mut dice = SplitMix64(RandomState::new().build_hasher().finish());
    let drawn: Vec<&Claims> = {
        let order = dice.order(claims.len());
        order.into_iter().take(count).map(|at| claims[at]).collect()
    };
    let again = run(receipt, suite, &drawn)?;
    let value = |claims: &Claims| serde_json::to_value(claims).expect("claims are plain data");
    for claims in &drawn {
        let name = &claims.case;
        let same = again.cases.iter().find(|case| case.claims.case == *name);
        let Some(same) = same else {
            return Ok(Err(format!(
                "case {name}: run again, it comes to no claims"
            )));
        };
        let found = differences("", &value(claims), &value(&same.claims));
        if let Some(first) = found.first() {
            return Ok(Err(format!("case {name}, run again: {first}")));
        }
        let theirs = receipt.cases.iter().find(|case| case.claims.case == *name);
        if theirs.is_some_and(|theirs| taken(theirs).ne(taken(same))) {
            let what = "it exercises other parts of the engine";
            return Ok(Err(format!("case {name}, run again: {what}")));
        }
    }
    Ok(Ok(drawn.iter().map(|claims| claims.case.clone()).collect()))
}

/// What each of its comparisons exercised.
fn taken(case: &CaseReceipt) -> impl Iterator<Item = &Taken> {
    case.measured.iter().map(|measured| &measured.taken)
}

/// This program, asked about these cases in a process of its own.
fn run(receipt: &Receipt, suite: &Suite, drawn: &[&Claims]) -> Result<Receipt, Failure> {
    let program = std::env::current_exe().map_err(Failure::environment)?;
    let mut command = Command::new(program);
    command
        .args(["crossval", "--json", "-", "--fixtures"])
        .arg(&suite.folder);
    for claims in drawn {
        command.args(["--case", &claims.case]);
    }
    // In their order. A library that is asked in two ways is described twice.
    let mut libraries: Vec<(&[String], &String)> = Vec::new();
    for reference in &receipt.circumstances.references {
        let (library, name) = (&reference.hello.sha256[..], &reference.name);
        match libraries.iter_mut().find(|(known, _)| *known == library) {
            Some((_, known)) if name.len() < known.len() => *known = name,
            Some(_) => {}
            None => libraries.push((library, name)),
        }
    }
    for (_, name) in libraries {
        command.args(["--reference", name]);
    }
    if let Some(alone) = drawn.iter().find(|claims| claims.repetitions.is_empty()) {
        command.args(["--kernel", &alone.engine.kernel]);
    }
    command.args(["--threads", &receipt.circumstances.threads.to_string()]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.map_err(Failure::environment)?;
    Receipt::read(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("nothing");
        let why = format!("--rerun: {}: {last}", output.status);
        Failure::new(Exit::Incomplete, escape(&why))
    })
}
