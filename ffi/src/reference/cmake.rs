//! Configures and builds with the crate `cmake`, in a process of its own.
//!
//! The crate is made for build scripts: it prints on stdout and panics where something fails. In
//! the program `reference` the one is a log and the other an exit code.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::reference::recipe::Plan;
use crate::reference::tool::{run_logged, triple};

/// The first argument that tells the program `reference` to do nothing but [`run`].
pub const STEP: &str = "--cmake";

/// Has `reference` build libllama and what it needs below `out`; answers the build folder. All
/// that the tools write goes into `log`.
pub fn build(
    mut reference: Command,
    plan: &Plan,
    source: &Path,
    out: &Path,
    log: &Path,
) -> Result<PathBuf, Error> {
    let (c, _) = plan.family.compilers();
    let command = &mut reference;
    command.args([STEP, &plan.target()]).arg(source).arg(out);
    // What cmake takes when it is told nothing; said because the crate, and the environment's
    // CFLAGS, would have it take something else.
    let usual = ["C_FLAGS=", "CXX_FLAGS=", "ASM_FLAGS="].map(|flag| format!("CMAKE_{flag}"));
    command.args(usual).arg(format!("CMAKE_ASM_COMPILER={c}"));
    command.args(plan.flags()).env("RUST_BACKTRACE", "0");
    run_logged("building the reference", "reference --cmake", command, log)?;
    Ok(out.join("build"))
}

/// The other side of [`build`]: target, source, output folder and definitions, as it passes them.
/// Panics where anything fails; whoever calls it is the program `reference`.
pub fn run(arguments: &[String]) {
    let [target, source, out, definitions @ ..] = arguments else {
        panic!("{STEP} needs a target, a source, an output folder and definitions");
    };
    let mut config = cmake::Config::new(source);
    config
        .target(target)
        .host(&triple(std::env::consts::ARCH))
        .out_dir(out)
        .profile("Release")
        .generator("Ninja")
        .build_target("llama");
    for definition in definitions {
        let (key, value) = definition
            .split_once('=')
            .expect("a definition is KEY=VALUE");
        config.define(key, value);
    }
    config.build();
}

/// The program `reference`: this one if it is that, else what cargo makes of the tree this one was
/// run from, else the one beside this one.
pub fn program() -> Result<Command, Error> {
    let this = std::env::current_exe().map_err(|e| Error::io("this program", e))?;
    let beside = this.with_file_name(format!("reference{}", std::env::consts::EXE_SUFFIX));
    let cargo = std::env::var_os("CARGO").zip(std::env::var_os("CARGO_MANIFEST_DIR"));
    if let Some((cargo, package)) = cargo
        && this != beside
    {
        let mut command = Command::new(cargo);
        command.current_dir(package);
        command.args("run --quiet --locked --package ffi --bin reference --".split(' '));
        return Ok(command);
    }
    if beside.is_file() {
        return Ok(Command::new(beside));
    }
    Err(Error::Absent {
        what: format!(
            "to build anything, the program {} is needed",
            beside.display()
        ),
        command: "cargo build --package ffi --bin reference".into(),
    })
}
