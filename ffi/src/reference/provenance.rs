//! Where a reference comes from and how it was compiled: as recorded when it was built, or as far
//! as its directory tells.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::reference::cache::sha256;
use crate::reference::recipe::Plan;
use crate::reference::tool::run;
use crate::reference::tree::Tree;

/// The file that a built reference carries.
const FILE: &str = "reference.json";

/// Facts about a build. `None` is unknown, not absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The name it is asked for by.
    pub name: Option<String>,
    /// The crate and version, or the directory, it was built from.
    pub origin: String,
    /// The commit, if the directory is a git checkout.
    pub commit: Option<String>,
    /// The compiler's own words.
    pub compiler: Option<String>,
    /// The command that compiled the tensor library's largest file.
    pub flags: Option<String>,
    /// SHA-256 of libllama and of each libggml. Two references with the same are one.
    pub sha256: Vec<String>,
}

impl Provenance {
    /// Of a tree that was found.
    pub fn of(tree: &Tree) -> Result<Self, Error> {
        let sha256 = hashes(tree)?;
        let file = tree.root.join(FILE);
        let Ok(json) = std::fs::read(&file) else {
            return Ok(Provenance {
                name: None,
                origin: tree.root.display().to_string(),
                commit: commit(&tree.root),
                compiler: None,
                flags: flags_below(&tree.root),
                sha256,
            });
        };
        let recorded: Provenance = serde_json::from_slice(&json).map_err(|e| {
            Error::not_a_reference(&tree.root, format!("its {FILE} cannot be read: {e}"))
        })?;
        if recorded.sha256 == sha256 {
            return Ok(recorded);
        }
        let what = format!("its libraries are not those that {FILE} describes");
        Err(Error::not_a_reference(&tree.root, what))
    }

    /// Writes what is known about a fresh build beside it.
    pub fn record(plan: &Plan, source: &Path, build: &Path, dir: &Path) -> Result<(), Error> {
        let tree = Tree::find(dir)?;
        let version = run(
            "asking the compiler",
            Command::new(plan.family.compilers().1).arg("--version"),
        )?;
        let provenance = Provenance {
            name: Some(plan.name.clone()),
            origin: plan.origin.clone(),
            commit: commit(source),
            compiler: version.lines().next().map(str::to_owned),
            flags: flags_in(build),
            sha256: hashes(&tree)?,
        };
        let json = serde_json::to_vec_pretty(&provenance).expect("plain strings serialise");
        let file = dir.join(FILE);
        std::fs::write(&file, json).map_err(|e| Error::io(&file, e))
    }
}

fn hashes(tree: &Tree) -> Result<Vec<String>, Error> {
    tree.libraries().map(sha256).collect()
}

/// The commit of a checkout whose root is `dir` itself, not one it merely lies in.
fn commit(dir: &Path) -> Option<String> {
    if !dir.join(".git").exists() {
        return None;
    }
    let mut git = Command::new("git");
    git.arg("-C")
        .arg(dir)
        .args(["describe", "--always", "--dirty", "--abbrev=40"]);
    run("asking git", &mut git)
        .ok()
        .map(|text| text.trim().to_owned())
}

fn flags_below(root: &Path) -> Option<String> {
    flags_in(root).or_else(|| flags_in(&root.join("build")))
}

/// How the tensor library was compiled, without the parts that name files.
fn flags_in(build: &Path) -> Option<String> {
    let text = std::fs::read_to_string(build.join("compile_commands.json")).ok()?;
    let entries: Vec<serde_json::Value> = serde_json::from_str(&text).ok()?;
    let of = |file: &str| {
        entries
            .iter()
            .find(|entry| entry["file"].as_str().is_some_and(|f| f.ends_with(file)))
    };
    let entry = of("ggml-cpu/ggml-cpu.c").or_else(|| of("ggml/src/ggml.c"))?;
    let flags = entry["command"]
        .as_str()?
        .split_whitespace()
        .filter(|word| {
            word.starts_with("-O")
                || ["-D", "-m", "-f", "-std"]
                    .iter()
                    .any(|p| word.starts_with(p))
        });
    Some(flags.collect::<Vec<_>>().join(" "))
}
