//! Checks that need a built reference: each runs in a process of its own, against each reference
//! there is. Without any, every check is counted as skipped, aloud.
#![forbid(unsafe_code)]

mod bad_input;
mod bench;
mod identity;
mod kernels;
mod lifecycle;
mod recording;
mod requantize;
mod widened;

use std::process::{Command, ExitCode};

use ffi::reference::{COMMAND, Cache, IfMissing, Prepared, Recipe, Spec, known, named, prepare};

use bench::{Bench, Check};

/// Tells a process that it is to run one check, against the reference of this place.
const PLACE: &str = "FFI_LIVE_PLACE";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let Some(place) = std::env::var_os(PLACE) {
        let check = checks()
            .find(|check| check.name == arguments[0])
            .expect("the parent knows it");
        (check.run)(&Bench::open(place.as_ref()));
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "--list") {
        checks().for_each(|check| println!("{}: test", check.name));
        return ExitCode::SUCCESS;
    }
    let filter: Vec<_> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let wanted =
        |check: &Check| filter.is_empty() || filter.iter().any(|f| check.name.contains(*f));
    let chosen: Vec<_> = checks().filter(wanted).collect();
    let references = if ffi::support_compiled_in() {
        references()
    } else {
        Vec::new()
    };
    if references.is_empty() {
        return without_references(chosen.len());
    }
    let outcomes: Vec<_> = references
        .iter()
        .flat_map(|reference| chosen.iter().map(move |check| run_alone(check, reference)))
        .collect();
    let count = |outcome| outcomes.iter().filter(|&&o| o == outcome).count();
    let (passed, skipped) = (count(Outcome::Passed), count(Outcome::Skipped));
    let failed = count(Outcome::Failed);
    println!("live: {passed} passed, {failed} failed, {skipped} skipped (reason beside each)");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Nothing was checked: that is a failure where it must not happen.
fn without_references(skipped: usize) -> ExitCode {
    println!("live: 0 passed, 0 failed, {skipped} skipped: no reference is built; run {COMMAND}");
    let required = std::env::var_os("HARNESS_REQUIRE_LIVE").is_some_and(|set| set == "1");
    if required {
        println!("live: HARNESS_REQUIRE_LIVE=1 asks for one");
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn checks() -> impl Iterator<Item = Check> {
    [
        lifecycle::CHECKS,
        bad_input::CHECKS,
        identity::CHECKS,
        kernels::CHECKS,
        recording::CHECKS,
        requantize::CHECKS,
    ]
    .concat()
    .into_iter()
}

/// The one the environment names, else every known one that is built.
fn references() -> Vec<Prepared> {
    let cache = Cache::from_environment().expect("there is a place for a cache");
    let mut report = |line: &str| println!("{line}");
    let named = Spec::from_environment().expect("the environment names a reference");
    if let Some(asked) = named {
        let prepared = prepare(&asked, &cache, IfMissing::Fail, &mut report);
        return vec![prepared.expect("the reference that was named can be prepared")];
    }
    let built = known()
        .iter()
        .filter(|recipe| recipe.install_dir(&cache).is_dir());
    built
        .map(|recipe| {
            let asked = Spec::Named(recipe);
            prepare(&asked, &cache, IfMissing::Fail, &mut report).expect("it is built")
        })
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

fn run_alone(check: &Check, reference: &Prepared) -> Outcome {
    let title = format!("{} ({})", check.name, reference.name);
    let lacking = named(&reference.name).and_then(Recipe::lacking);
    let lacking = lacking.map(|what| format!("it needs {what}, which this processor has not"));
    let foreign = reference.tree.foreign();
    let foreign = foreign.map(|name| format!("it is built for {name}"));
    let runs = foreign.or(lacking).map_or(Ok(()), Err);
    if let Err(reason) = runs.and_then(|()| (check.applies)(reference)) {
        println!("{title} ... skipped: {reason}");
        return Outcome::Skipped;
    }
    let executable = std::env::current_exe().expect("a test knows its own file");
    let mut child = Command::new(executable);
    child
        .arg(check.name)
        .env(PLACE, &reference.tree.root)
        .env("RUST_BACKTRACE", "0");
    let output = child.output().expect("a test can start itself");
    if output.status.success() {
        println!("{title} ... ok");
        return Outcome::Passed;
    }
    println!("{title} ... FAILED, {}", output.status);
    print!("{}", String::from_utf8_lossy(&output.stderr));
    Outcome::Failed
}
