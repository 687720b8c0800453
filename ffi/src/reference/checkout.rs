//! A user's own checkout: what it is, what it lacks, and how its build is told from others.
#![forbid(unsafe_code)]

use std::path::Path;

use crate::error::Error;
use crate::reference::recipe::{Family, Plan, Processor};
use crate::reference::tree::files_below;

/// How the source below `dir` is built, for this processor, if it is one that can be.
pub fn plan(dir: &Path) -> Option<Plan> {
    Some(Plan {
        name: name(dir),
        origin: "a checkout".into(),
        content: None,
        family: family(dir)?,
        processor: Processor::Native,
        tl2: false,
    })
}

/// What a directory is called.
pub fn name(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or(dir.as_os_str());
    name.to_string_lossy().into_owned()
}

fn family(dir: &Path) -> Option<Family> {
    let has = |file: &str| dir.join(file).is_file();
    if !has("CMakeLists.txt") {
        None
    } else if has("3rdparty/llama.cpp/include/llama.h") {
        Some(Family::BitNet)
    } else if !has("include/llama.h") {
        None
    } else if dir.join("ggml/src/iqk").is_dir() {
        Some(Family::Ik)
    } else {
        Some(Family::Upstream)
    }
}

/// A name for a checkout's build: path, and size and time of every file.
pub fn key(plan: &Plan, dir: &Path) -> Result<String, Error> {
    let real = dir.canonicalize().map_err(|e| Error::io(dir, e))?;
    let mut listing = String::new();
    for path in files_below(&real)? {
        let Ok(metadata) = path.metadata() else {
            continue;
        };
        let (size, time) = (metadata.len(), metadata.modified().ok());
        listing.push_str(&format!("{} {size} {time:?}\n", path.display()));
    }
    Ok(plan.key(&[&real.to_string_lossy(), &listing]))
}

/// The first submodule that git names and did not fetch: what a plain `git clone` leaves behind.
pub fn empty_submodule(dir: &Path) -> Option<Error> {
    let modules = std::fs::read_to_string(dir.join(".gitmodules")).ok()?;
    let path = |line: &str| {
        Some(
            line.trim()
                .strip_prefix("path")?
                .split_once('=')?
                .1
                .trim()
                .into(),
        )
    };
    let is_empty = |path: &String| {
        let entries = std::fs::read_dir(dir.join(path));
        entries.map_or(true, |mut entries| entries.next().is_none())
    };
    let submodule = modules.lines().filter_map(path).find(is_empty)?;
    let dir = dir.to_owned();
    Some(Error::EmptySubmodule { dir, submodule })
}
