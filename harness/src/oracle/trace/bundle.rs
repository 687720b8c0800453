//! One operation to take away: its inputs, what both sides made of them, and how to repeat it.
//!
//! Replaying feeds the inputs to a pass of the same model and looks at this one node: earlier
//! operations run, too, but nothing of theirs reaches it.

use std::fs;
use std::path::{Path, PathBuf};

use engine::Token;
use serde::{Deserialize, Serialize};

use super::{Evidence, acceptable};
use crate::case::observation::{Identity, Observation, TracedNode};
use crate::exit::Failure;
use crate::file::provenance::Input;
use crate::io::atomic;
use crate::io::npy;
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::local::Rung;
use crate::numbers::gap::Gap;
use crate::runner::anatomy;
use crate::runner::passes::Passes;
use crate::runner::watch::by_key;

const SCHEMA: u32 = 1;
const MANIFEST: &str = "bundle.json";
const THEIRS: &str = "theirs.npy";
const OURS: &str = "ours.npy";

/// `bundle.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Must be 1.
    pub schema: u32,
    /// The operation.
    pub node: String,
    /// What it does.
    pub does: String,
    /// The nodes it reads, the values of each in `input-N.npy`.
    pub inputs: Vec<String>,
    /// The prompt's ids.
    pub tokens: Vec<Token>,
    /// Where the model file was.
    pub model: PathBuf,
    /// What it was.
    pub model_sha256: String,
    /// Who computed `theirs.npy`.
    pub reference: Identity,
    /// The order of float operations that `ours.npy` was computed in.
    pub profile: String,
    /// The inner loops it was computed with.
    pub kernel: String,
    /// Repeats this operation.
    pub command: String,
}

/// A bundle read back.
pub struct Bundle {
    /// What it says about itself.
    pub manifest: Manifest,
    inputs: Vec<TracedNode>,
    theirs: Vec<f32>,
    ours: Vec<f32>,
}

/// What repeating gave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replay {
    /// The operation.
    pub node: String,
    /// Against the reference's result.
    pub theirs: Gap,
    /// Against the engine's result when the bundle was made.
    pub ours: Gap,
    /// The difference from the reference is within the rung.
    pub acceptable: bool,
}

impl Replay {
    /// What it comes to.
    pub fn outcome(&self) -> Outcome {
        if self.acceptable {
            Outcome::Ok
        } else {
            Outcome::Divergence
        }
    }
}

/// The folder of the bundle meant by `folder`: itself or, as `--bundle` writes them, the only one
/// in `CASE/RECORDING` below it.
pub fn find(folder: &Path) -> Result<PathBuf, Failure> {
    if folder.join(MANIFEST).is_file() || !folder.is_dir() {
        return Ok(folder.to_owned()); // reading it says what is wrong
    }
    let mut found = Vec::new();
    for case in folders(folder)? {
        found.extend(folders(&case)?);
        found.push(case);
    }
    found.retain(|folder| folder.join(MANIFEST).is_file());
    found.sort();
    let place = folder.display();
    match &found[..] {
        [only] => Ok(only.clone()),
        [] => Err(Failure::input(format!(
            "{place}: there is no {MANIFEST}, neither there nor in CASE/RECORDING below it"
        ))),
        several => {
            let commands: Vec<_> = several.iter().map(|one| command(one)).collect();
            let (count, commands) = (several.len(), commands.join("\n  "));
            let message = format!("{place} has {count} bundles; choose one:\n  {commands}");
            Err(Failure::input(message))
        }
    }
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |e| Failure::environment(format!("{}: {e}", folder.display()));
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(unreadable));
    let folders = paths.filter(|path| path.as_ref().map_or(true, |path| path.is_dir()));
    folders.collect()
}

/// Repeats the operation of that bundle.
fn command(folder: &Path) -> String {
    format!("harness trace --replay '{}'", folder.display())
}

/// Writes the suspect's bundle and returns its node; none if no operation differs on its own.
pub fn write(
    folder: &Path,
    evidence: &Evidence,
    reference: &Observation,
    passes: &Passes<'_>,
    model: &Input,
) -> Result<Option<String>, Failure> {
    let (Some(suspect), Some(fed)) = (evidence.located.suspect(), &evidence.fed) else {
        return Ok(None);
    };
    let nodes = &fed.nodes;
    let key = &suspect.key;
    let impossible = |why: &str| Failure::input(format!("{key} cannot be bundled: {why}"));
    if passes.portions() > 1 {
        let why = "the prompt takes several ubatches, and attention reads those before it";
        return Err(impossible(why));
    }
    let at = nodes.iter().position(|n| n.key == *key);
    let at = at.ok_or_else(|| impossible("the engine did not show it"))?;
    let inputs = anatomy::inputs(nodes, at);
    let inputs = inputs.ok_or_else(|| impossible("the table does not tell what it reads"))?;
    let theirs = |key: &str| {
        let node = reference.trace.iter().find(|n| n.key == key);
        node.ok_or_else(|| impossible(&format!("the reference does not show its input {key}")))
    };
    fs::create_dir_all(folder).map_err(Failure::environment)?;
    let inputs: Vec<&str> = inputs.iter().map(|&i| &*nodes[i].key).collect();
    for (i, input) in inputs.iter().enumerate() {
        put(folder, &format!("input-{i}.npy"), theirs(input)?)?;
    }
    put(folder, THEIRS, theirs(key)?)?;
    put(folder, OURS, &nodes[at])?;
    let manifest = Manifest {
        schema: SCHEMA,
        node: key.clone(),
        does: suspect.does.into(),
        inputs: inputs.into_iter().map(str::to_owned).collect(),
        tokens: passes.tokens().to_vec(),
        model: fs::canonicalize(&model.path).map_err(Failure::environment)?,
        model_sha256: model.sha256.clone(),
        reference: reference.identity.clone(),
        profile: passes.engine.profile().name().into(),
        kernel: passes.engine.model().kernel().name().into(),
        command: command(folder),
    };
    let json = serde_json::to_vec_pretty(&manifest).map_err(Failure::environment)?;
    // Last, so that a folder with a manifest is whole.
    atomic::write(&folder.join(MANIFEST), &json).map_err(Failure::environment)?;
    Ok(Some(key.clone()))
}

impl Bundle {
    /// Reads a folder.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let wrong = |file: &str, why: &dyn std::fmt::Display| {
            Failure::input(format!("{}: {why}", folder.join(file).display()))
        };
        let (_, json) = Input::read(&folder.join(MANIFEST))?;
        let manifest: Manifest = serde_json::from_slice(&json).map_err(|e| wrong(MANIFEST, &e))?;
        if manifest.schema != SCHEMA {
            let why = format!("schema {}, this build reads {SCHEMA}", manifest.schema);
            return Err(wrong(MANIFEST, &why));
        }
        let array = |file: &str, key: &str| {
            let (_, bytes) = Input::read(&folder.join(file))?;
            let (shape, values) = npy::read(&bytes).map_err(|e| wrong(file, &e))?;
            let key = key.to_owned();
            Ok::<_, Failure>(TracedNode { key, shape, values })
        };
        let inputs = manifest.inputs.iter().enumerate();
        let inputs = inputs.map(|(i, key)| array(&format!("input-{i}.npy"), key));
        Ok(Bundle {
            inputs: inputs.collect::<Result<_, _>>()?,
            theirs: array(THEIRS, &manifest.node)?.values,
            ours: array(OURS, &manifest.node)?.values,
            manifest,
        })
    }

    /// Repeats the operation. `passes` are over the bundle's tokens.
    pub fn replay(&self, passes: &mut Passes<'_>) -> Result<Replay, Failure> {
        let node = &self.manifest.node;
        let pass = passes.fed(by_key(&self.inputs))?;
        let find = |key: &str| pass.nodes.iter().find(|n| n.key == key);
        let lacks = |key: &str| {
            Failure::input(format!(
                "this model shows no {key} in the shape of the bundle"
            ))
        };
        let shaped =
            |input: &&TracedNode| find(&input.key).is_some_and(|n| input.is_shaped(&n.shape));
        if let Some(stranger) = self.inputs.iter().find(|input| !shaped(input)) {
            return Err(lacks(&stranger.key));
        }
        let fits =
            |n: &&TracedNode| [&self.theirs, &self.ours].map(Vec::len) == [n.values.len(); 2];
        let now = find(node).filter(fits).ok_or_else(|| lacks(node))?;
        let theirs = Gap::between(&self.theirs, &now.values);
        let rung = Rung::between(
            &self.manifest.reference.profile,
            passes.engine.profile().name(),
        );
        Ok(Replay {
            node: node.clone(),
            acceptable: acceptable(&theirs, rung),
            ours: Gap::between(&self.ours, &now.values),
            theirs,
        })
    }
}

fn put(folder: &Path, file: &str, node: &TracedNode) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    npy::write_header(&mut bytes, &node.shape).map_err(Failure::environment)?;
    npy::write_values(&mut bytes, &node.values).map_err(Failure::environment)?;
    atomic::write(&folder.join(file), &bytes).map_err(Failure::environment)
}
