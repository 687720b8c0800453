//! Compiles our C interface against one reference's headers and libraries.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::reference::cache::{Cache, create_dir, key, publish};
use crate::reference::tool::{run, triple};
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

/// No arithmetic happens in the interface, so neither its compiler nor its flags decide anything
/// but its speed.
const STANDARD: &str = "c++20";

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
    create_dir(&source)?;
    create_dir(&done)?;
    for (name, text) in SOURCES {
        let file = source.join(name);
        std::fs::write(&file, text).map_err(|e| Error::io(&file, e))?;
    }
    let mut command = command(tree, &source, &done.join(file_name()))?;
    run("compiling the interface", &mut command)?;
    publish(&done, &place)?;
    Ok(library)
}

fn file_name() -> String {
    format!("libbitnet_shim{}", std::env::consts::DLL_SUFFIX)
}

/// The compiler that the crate `cc` finds (`$CXX` and its kin, a cross compiler, the system's),
/// called once to compile and link. Libraries are named by path and found again by it: an `rpath`
/// of the kind that also serves the libraries they need themselves, and that `LD_LIBRARY_PATH`
/// does not override.
fn command(tree: &Tree, source: &Path, output: &Path) -> Result<Command, Error> {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std(STANDARD)
        .opt_level(2)
        .debug(false)
        .pic(true)
        .warnings(false)
        .flag("-fvisibility=hidden")
        .includes(&tree.includes)
        .host(&triple(std::env::consts::ARCH))
        .target(&triple(
            tree.architecture().unwrap_or(std::env::consts::ARCH),
        ))
        .out_dir(source)
        .inherit_rustflags(false)
        // Outside a build script nobody reads what it would print.
        .cargo_metadata(false)
        .cargo_warnings(false)
        .cargo_debug(false)
        .cargo_output(false);
    let compiler = build.try_get_compiler().map_err(|e| Error::Tool {
        step: "looking for a C++ compiler",
        command: "cc".into(),
        how: format!("answered: {e}"),
        log: String::new(),
    })?;
    let mut command = compiler.to_command();
    command.arg("-shared").arg("-o").arg(output);
    for (name, _) in SOURCES.iter().filter(|(name, _)| name.ends_with(".cpp")) {
        command.arg(source.join(name));
    }
    command.args(tree.libraries());
    for folder in tree.library_folders() {
        command.arg(format!("-Wl,-rpath,{}", folder.display()));
    }
    if cfg!(target_os = "linux") {
        command.arg("-Wl,--disable-new-dtags");
    }
    Ok(command)
}

/// Our source, the headers it meets, the libraries it is linked to and where they are.
fn content_key(tree: &Tree) -> Result<String, Error> {
    let mut parts: Vec<Vec<u8>> = vec![STANDARD.into()];
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
