//! Builds a reference: a copy of its source, patched, with cmake and ninja, into the cache.
#![forbid(unsafe_code)]

use std::path::Path;

use walkdir::DirEntry;

use crate::error::Error;
use crate::reference::cache::{Cache, create_dir, publish};
use crate::reference::cmake;
use crate::reference::patch::patch;
use crate::reference::provenance::Provenance;
use crate::reference::recipe::{Family, Plan};
use crate::reference::tree::{content, files_below, walk};

/// Builds `source` as `plan` says; afterwards `install_dir` holds `include/`, `lib/` and a record
/// of where they come from. The source itself is only read.
pub fn build(
    plan: &Plan,
    source: &Path,
    install_dir: &Path,
    cache: &Cache,
    report: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    let reference = cmake::program()?;
    let scratch = cache.scratch()?;
    let (copy, done) = (scratch.path().join("source"), scratch.path().join("done"));
    let log = cache.log(install_dir);
    create_dir(log.parent().expect("it is below the cache's root"))?;
    copy_tree(source, &copy)?;
    require_content(plan, source, &copy)?;
    patch(plan, &copy)?;
    report(&format!(
        "building {} ({}), a few minutes at most; the log is {}",
        plan.name,
        plan.origin,
        log.display()
    ));
    let build = cmake::build(reference, plan, &copy, scratch.path(), &log)?;
    collect(plan.family, &copy, &build, &done)?;
    Provenance::record(plan, source, &build, &done)?;
    publish(&done, install_dir)
}

/// Public headers and libraries, the latter without any path of the build in them.
fn collect(family: Family, source: &Path, build: &Path, done: &Path) -> Result<(), Error> {
    let (include, lib) = (done.join("include"), done.join("lib"));
    create_dir(&include)?;
    create_dir(&lib)?;
    let llama = family.llama(source);
    for folder in [llama.join("include"), llama.join("ggml/include")] {
        for path in files_below(&folder)? {
            if path.extension().is_some_and(|extension| extension == "h") {
                copy_file(&path, &include.join(path.file_name().unwrap_or_default()))?;
            }
        }
    }
    for path in files_below(build)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let known = name.starts_with("libllama.") || name.starts_with("libggml");
        if known && name.contains(std::env::consts::DLL_SUFFIX) {
            let to = lib.join(&*name);
            // A link to the versioned name beside it stays a link.
            match std::fs::read_link(&path) {
                Ok(target) => link(&target, &to)?,
                Err(_) => copy_file(&path, &to)?,
            }
        }
    }
    Ok(())
}

/// What is compiled must be what the plan was made for: whoever can write to cargo's registry could
/// have changed it since it was checked.
fn require_content(plan: &Plan, source: &Path, copy: &Path) -> Result<(), Error> {
    let found = content(copy)?;
    match plan.content {
        Some(expected) if found != expected => {
            let what = format!(
                "its files are not those of {}: their hash is {found}, expected {expected}; remove \
                 the folder and cargo unpacks it again",
                plan.origin
            );
            Err(Error::not_a_reference(source, what))
        }
        _ => Ok(()),
    }
}

/// Everything but hidden folders (`.git`) and builds of the user's own.
fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    let is_build = |entry: &DirEntry| entry.path().join("CMakeCache.txt").exists();
    for entry in walk(from, |entry| entry.depth() == 0 || !is_build(entry)) {
        let entry = entry?;
        let inside = entry.path().strip_prefix(from);
        let copy = to.join(inside.expect("a walk stays below its root"));
        if entry.file_type().is_dir() {
            create_dir(&copy)?;
        } else if entry.path().is_file() {
            copy_file(entry.path(), &copy)?;
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

#[cfg(test)]
mod tests {
    use super::require_content;
    use crate::reference::recipe::named;

    #[test]
    fn a_source_that_was_changed_after_it_was_unpacked_is_not_compiled() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ggml.c"), "int changed;").unwrap();
        let plan = named("bitnet").unwrap().plan();
        let told = require_content(&plan, folder.path(), folder.path());
        let told = told.unwrap_err().to_string();
        assert!(told.contains("expected 00f904ec"), "{told}");
    }
}
