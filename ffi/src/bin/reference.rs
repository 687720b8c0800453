//! Prepares a reference and prints the line that makes it the one in use: the work behind
//! `scripts/reference.sh`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ffi::reference::{Cache, IfMissing, STEP, Spec, VARIABLE, known, prepare, run_step};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let Some((STEP, step)) = arguments
        .split_first()
        .map(|(first, rest)| (first.as_str(), rest))
    {
        run_step(step);
        return ExitCode::SUCCESS;
    }
    let [name] = &arguments[..] else {
        eprintln!("usage: reference NAME|DIR\n\nknown names:");
        for recipe in known() {
            eprintln!("  {:16} {}", recipe.name, recipe.summary);
        }
        return ExitCode::from(2);
    };
    match run(name) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("reference: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str) -> Result<String, ffi::Error> {
    let cache = Cache::from_environment()?;
    let asked = Spec::parse(name)?;
    let prepared = prepare(&asked, &cache, IfMissing::Build, &mut |line| {
        eprintln!("{line}")
    })?;
    let root = prepared.tree.root.display().to_string();
    Ok(format!(
        "export {VARIABLE}='{}'",
        root.replace('\'', r"'\''")
    ))
}
