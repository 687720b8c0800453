//! Compiles our C interface against one reference's headers and libraries.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::reference::cache::{Cache, key};
use crate::reference::recipe::AARCH64;
use crate::reference::tool::{is_installed, run};
use crate::reference::tree::Tree;

/// The sources travel inside the program: a reference can be prepared without this repository.
const SOURCES: [(&str, &str); 9] = [
    ("bitnet_shim.h", include_str!("../../shim/bitnet_shim.h")),
    ("guard.hpp", include_str!("../../shim/guard.hpp")),
    ("generation.hpp", include_str!("../../shim/generation.hpp")),
    ("handles.hpp", include_str!("../../shim/handles.hpp")),
    ("backend.cpp", include_str!("../../shim/backend.cpp")),
    ("model.cpp", include_str!("../../shim/model.cpp")),
    ("nodes.cpp", include_str!("../../shim/nodes.cpp")),
    ("session.cpp", include_str!("../../shim/session.cpp")),
    ("kernels.cpp", include_str!("../../shim/kernels.cpp")),
];

/// No arithmetic happens in the interface, so its flags decide nothing but its speed.
const FLAGS: [&str; 8] = [
    "-std=c++20",
    "-O2",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wno-deprecated-declarations",
];

/// The interface compiled against `tree`, from the cache if it is there.
pub fn compiled(
    tree: &Tree,
    cache: &Cache,
    report: &mut dyn FnMut(&str),
) -> Result<PathBuf, Error> {
    let place = cache.shim(&content_key(tree)?);
    let library = place.join(file_name());
    if library.is_file() {
        return Ok(library);
    }
    report(&format!(
        "compiling the interface to {}",
        tree.libllama.display()
    ));
    let scratch = cache.scratch()?;
    let (source, done) = (scratch.path().join("source"), scratch.path().join("done"));
    for folder in [&source, &done] {
        std::fs::create_dir(folder).map_err(|e| Error::io(folder, e))?;
    }
    for (name, text) in SOURCES {
        let file = source.join(name);
        std::fs::write(&file, text).map_err(|e| Error::io(&file, e))?;
    }
    run(
        "compiling the interface",
        &mut command(tree, &source, &done.join(file_name())),
    )?;
    scratch.publish("done", &place)?;
    Ok(library)
}

fn file_name() -> String {
    format!("libbitnet_shim{}", std::env::consts::DLL_SUFFIX)
}

/// Libraries are named by path and found again by it: an `rpath` of the kind that also serves the
/// libraries they need themselves, and that `LD_LIBRARY_PATH` does not override.
fn command(tree: &Tree, source: &Path, output: &Path) -> Command {
    let mut command = Command::new(compiler());
    command.args(FLAGS).arg("-o").arg(output);
    if tree.foreign() == Some("aarch64") {
        command.arg(format!("--target={AARCH64}"));
    }
    for (name, _) in SOURCES.iter().filter(|(name, _)| name.ends_with(".cpp")) {
        command.arg(source.join(name));
    }
    for include in &tree.includes {
        command.arg("-I").arg(include);
    }
    command.args(tree.libraries());
    for folder in tree.library_folders() {
        command.arg(format!("-Wl,-rpath,{}", folder.display()));
    }
    if cfg!(target_os = "linux") {
        command.arg("-Wl,--disable-new-dtags");
    }
    command
}

/// `$CXX`, else the first that is installed. Any will do: the C++ library is shared by all.
fn compiler() -> String {
    let set = std::env::var("CXX").ok().filter(|cxx| !cxx.is_empty());
    let found = || {
        ["clang++", "g++", "c++"]
            .into_iter()
            .find(|name| is_installed(name))
    };
    set.unwrap_or_else(|| found().unwrap_or("c++").to_owned())
}

/// Our source, the headers it meets, the libraries it is linked to and where they are.
fn content_key(tree: &Tree) -> Result<String, Error> {
    let mut parts: Vec<Vec<u8>> = vec![FLAGS.join(" ").into()];
    parts.extend(
        SOURCES
            .into_iter()
            .flat_map(|(name, text)| [name.into(), text.into()]),
    );
    for folder in &tree.includes {
        for header in ["llama.h", "ggml.h", "ggml-backend.h", "ggml-cpu.h"] {
            parts.push(std::fs::read(folder.join(header)).unwrap_or_default());
        }
    }
    for library in tree.libraries() {
        parts.push(library.to_string_lossy().into_owned().into());
        parts.push(std::fs::read(library).map_err(|e| Error::io(library, e))?);
    }
    Ok(key(parts.iter().map(Vec::as_slice)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_source_file_is_carried() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/shim");
        let mut on_disk: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        on_disk.sort();
        let mut carried: Vec<_> = super::SOURCES
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        carried.sort();
        assert_eq!(on_disk, carried);
    }
}
