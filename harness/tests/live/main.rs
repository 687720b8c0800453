//! What depends on what is installed here: real C++ references, and every example of every
//! `--help`.
//!
//! A check whose reference is not built is listed and counted as ignored, with what it needs; with
//! `HARNESS_REQUIRE_LIVE=1` it fails instead.
#![cfg(unix)]
#![forbid(unsafe_code)]

mod adapters;
mod architectures;
mod attribute;
#[path = "../it/attribute/bench.rs"]
#[allow(dead_code)] // its other half is what the tests without a reference use
mod bench;
mod bisect;
mod commands;
mod containers;
mod crossval;
mod doctor;
mod examples;
mod export;
mod kernels;
mod pending;
mod program;
mod shapes;
mod shards;
mod signals;
mod tokenizer;

use std::process::ExitCode;

use ffi::reference::{Cache, IfMissing, Prepared, Spec, prepare};
use libtest_mimic::{Arguments, Failed, Trial};

/// A check that needs those references, named after the function that makes it.
macro_rules! live {
    ([$($reference:expr),*], $check:ident) => {{
        let name = concat!(module_path!(), "::", stringify!($check));
        let name = name.split_once("::").map_or(name, |(_, name)| name);
        crate::needs(&[$($reference),*], name, || {
            $check();
            Ok(())
        })
    }};
}
pub(crate) use live;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = [
        adapters::trials(),
        architectures::trials(),
        attribute::trials(),
        bisect::trials(),
        commands::trials(),
        containers::trials(),
        crossval::trials(),
        doctor::trials(),
        kernels::trials(),
        pending::trials(),
        shapes::trials(),
        shards::trials(),
        signals::trials(),
        tokenizer::trials(),
        export::trials(),
        examples::trials(),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}

/// The reference of that name, if it is built.
pub fn built(name: &str) -> Result<Prepared, String> {
    let cache = Cache::from_environment().map_err(|e| e.to_string())?;
    let asked = Spec::parse(name).map_err(|e| e.to_string())?;
    prepare(&asked, &cache, IfMissing::Fail, &mut |_| ()).map_err(|e| e.to_string())
}

/// Whether a build for this machine's own processor is one for AVX-512, whose order of sums is
/// another than that of a portable build.
pub fn native_is_avx512() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512f");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// A check that needs those references.
pub fn needs(
    references: &[&str],
    name: impl Into<String>,
    run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let missing = |reference: &&str| built(reference).is_err();
    let missing: Vec<&str> = references.iter().copied().filter(missing).collect();
    if missing.is_empty() {
        return Trial::test(name, run);
    }
    let without = missing.join(" and ");
    let why = format!("{without} is not built here: scripts/reference.sh {without}");
    cannot_run(name.into(), &without, why)
}

/// A check that needs those references, and what is absent, if anything is.
pub fn unless(absent: Option<&str>, references: &[&str], name: &str, check: fn()) -> Trial {
    match absent {
        Some(what) => cannot_run(name.to_owned(), what, format!("there is no {what}")),
        None => needs(references, name, move || {
            check();
            Ok(())
        }),
    }
}

/// Counted as ignored, or failing where everything must run.
fn cannot_run(name: String, without: &str, why: String) -> Trial {
    let required = std::env::var_os("HARNESS_REQUIRE_LIVE").is_some_and(|set| set == "1");
    Trial::test(name, move || Err(why.into()))
        .with_kind(format!("without {without}"))
        .with_ignored_flag(!required)
}
