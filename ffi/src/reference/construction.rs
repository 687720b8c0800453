//! Builds a reference: a copy of its source, mended, with cmake and ninja, into the cache.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

use crate::error::Error;
use crate::reference::cache::Cache;
use crate::reference::mend::mend;
use crate::reference::provenance::Provenance;
use crate::reference::recipe::{Family, Plan};
use crate::reference::tool::run;
use crate::reference::tree::walk;

/// Builds `source` as `plan` says; afterwards `place` holds `include/`, `lib/` and a record of
/// where they come from. The source itself is only read.
pub fn install(
    plan: Plan,
    source: &Path,
    place: &Path,
    cache: &Cache,
    report: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    let scratch = cache.scratch()?;
    let (copy, build) = (scratch.path().join("source"), scratch.path().join("build"));
    let done = scratch.path().join("done");
    copy_tree(source, &copy)?;
    mend(plan.family, &copy)?;
    report(&format!("configuring {} ({})", plan.name, plan.origin));
    let mut configure = Command::new("cmake");
    configure
        .arg("-S")
        .arg(&copy)
        .arg("-B")
        .arg(&build)
        .args(["-G", "Ninja"]);
    configure.args(plan.flags().iter().map(|flag| format!("-D{flag}")));
    run("configuring the reference", &mut configure)?;
    report(&format!("compiling {}, a few minutes at most", plan.name));
    let mut compile = Command::new("cmake");
    compile
        .arg("--build")
        .arg(&build)
        .args(["--target", "llama"]);
    run("compiling the reference", &mut compile)?;
    collect(plan.family, &copy, &build, &done)?;
    Provenance::record(&plan, source, &build, &done)?;
    scratch.publish("done", place)
}

/// Public headers and libraries, the latter without any path of the build in them.
fn collect(family: Family, source: &Path, build: &Path, done: &Path) -> Result<(), Error> {
    let (include, lib) = (done.join("include"), done.join("lib"));
    for folder in [&include, &lib] {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    }
    let llama = family.llama(source);
    for folder in [llama.join("include"), llama.join("ggml/include")] {
        for_each_file(&folder, |path, name| {
            if name.ends_with(".h") {
                copy_file(path, &include.join(name))
            } else {
                Ok(())
            }
        })?;
    }
    walk_libraries(build, &mut |path, name| {
        let to = lib.join(name);
        // A link to the versioned name beside it stays a link.
        match std::fs::read_link(path) {
            Ok(target) => link(&target, &to),
            Err(_) => copy_file(path, &to),
        }
    })
}

fn walk_libraries(
    build: &Path,
    visit: &mut dyn FnMut(&Path, &str) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut outcome = Ok(());
    walk(build, &mut |path, _| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let known = name.starts_with("libllama.") || name.starts_with("libggml");
        let shared = name.contains(std::env::consts::DLL_SUFFIX);
        if known && shared && outcome.is_ok() {
            outcome = visit(path, &name);
        }
    })?;
    outcome
}

fn for_each_file(
    folder: &Path,
    mut visit: impl FnMut(&Path, &str) -> Result<(), Error>,
) -> Result<(), Error> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    entries
        .flatten()
        .try_for_each(|e| visit(&e.path(), &e.file_name().to_string_lossy()))
}

/// Everything but hidden folders (`.git`) and builds of the user's own.
fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(to).map_err(|e| Error::io(to, e))?;
    let entries = std::fs::read_dir(from).map_err(|e| Error::io(from, e))?;
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let hidden = name.to_string_lossy().starts_with('.');
        if is_folder && !hidden && !path.join("CMakeCache.txt").exists() {
            copy_tree(&path, &to.join(name))?;
        } else if path.is_file() {
            copy_file(&path, &to.join(name))?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::copy(from, to)
        .map(drop)
        .map_err(|e| Error::io(from, e))
}

#[cfg(unix)]
fn link(target: &Path, at: &Path) -> Result<(), Error> {
    std::os::unix::fs::symlink(target, at).map_err(|e| Error::io(at, e))
}

#[cfg(not(unix))]
fn link(target: &Path, at: &Path) -> Result<(), Error> {
    copy_file(target, at)
}
