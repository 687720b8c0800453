//! `harness trace`: node by node, which operation is the first to compute something else.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use engine::Model;
use engine::bytes::Storage;
use engine::flavor::Flavor;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::session::OpenOptions;
use serde::Serialize;

use crate::case::{self, Case};
use crate::exit::{Exit, Failure};
use crate::isolation::Limits;
use crate::localise::bundle::{self, Bundle};
use crate::localise::layers::{self, Search};
use crate::localise::passes::Passes;
use crate::localise::table::{self, Rows};
use crate::localise::{Located, locate};
use crate::observation::{Identity, Observation};
use crate::output;
use crate::provenance::Input;
use crate::reference;
use crate::runner::reference::Observing;
use crate::runner::{RunError, Runner, Task, guarded};
use crate::suite::Suite;
use crate::tolerance::local::Rung;
use crate::{atomic, flags};

const HELP: &str = "\
Examples:
  harness trace
  harness trace --case b158-ishmael --recording mar2026-b158-avx2
  harness trace --reference bitnet
  harness trace --profile ggml-avx2 --recording mar2026-b158-avx512 --bundle blamed/
  harness trace --replay blamed/

Columns: differ is the share of elements whose bits differ in the free pass. total, local and
inherited are NMSEs: of the free pass, of the operation alone on the reference's inputs, and of what
came with the inputs. flips counts certified and all roundings that fell the other way. The element
shown is where the operation alone differs first, or where it does not, the free pass.";

/// Locate the first operation that computes something else than a reference's trace
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Trace this case only; may be given several times [default: every case with a trace]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["model", "prompt"])]
    case: Vec<String>,

    /// Against this recording only; may be given several times [default: all that have a trace]
    #[arg(long, value_name = "NAME")]
    recording: Vec<String>,

    /// This model file, with --prompt; a recording must have both. With --replay: where it is now
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// With --model: this prompt
    #[arg(long, value_name = "TEXT", requires = "model")]
    prompt: Option<String>,

    /// Against this C++ reference as well: bitnet, bitnet-portable, ik, llama, or a directory; may
    /// be given several times [default: what BITNET_CPP_DIR names, if it is set]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    /// Order of the float operations [default: the reference's own, as far as it is known]
    #[arg(long, value_name = "NAME", value_parser = flags::profile)]
    profile: Option<Profile>,

    /// Inner loops to use instead of the fastest this CPU has; none changes a result
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

    /// Packing of the two-bit weights, where the bytes allow several
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Flavor>)]
    flavor: Option<Flavor>,

    /// Only find the first bad layer, by halving, without keeping every node
    #[arg(long, conflicts_with = "bundle")]
    layer_search: bool,

    /// Print every node, not only those that differ
    #[arg(long)]
    all: bool,

    /// Write what was found here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the inputs and both results of the first suspect here, to take away and replay
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,

    /// Repeat the operation of a bundle alone, and nothing else
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "case", "recording", "reference", "prompt", "profile", "kernel", "layer_search", "bundle",
        "json",
    ])]
    replay: Option<PathBuf>,

    /// The folder with cases.json [default: fixtures/ here, above, or where this was built]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
}

/// One case against one reference.
#[derive(Serialize)]
struct Entry {
    case: String,
    reference: Identity,
    #[serde(flatten)]
    found: Found,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    Located(Box<Located>),
    Search(Search),
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    if let Some(folder) = &args.replay {
        return replay(&args, folder);
    }
    let folder = args.fixtures.clone().map_or_else(Suite::find, Ok)?;
    let mut suite = Suite::open(&folder)?;
    let live = reference::open(&args.reference, Limits::default())?;
    let mut live: Vec<Observing> = live.into_iter().map(Observing::new).collect();
    let mut entries = Vec::new();
    let (mut worst, mut skipped) = (Exit::Agrees, 0);
    for (case, path) in cases(&args, &suite)? {
        let (input, bytes) = Input::read(&path)?;
        drop(bytes); // the engine reads the file itself, and the stamp tells whether it is the same
        let model = open(&args, &input, args.kernel)?;
        let task = Task {
            case: &case,
            model: &input,
        };
        let recorded = suite.recordings.iter_mut().filter(|(name, _)| {
            let asked = args.recording.is_empty() || args.recording.contains(name);
            asked && case.recordings.contains(name)
        });
        let recorded = recorded.map(|(_, recorded)| recorded as &mut dyn Runner);
        let live = live.iter_mut().map(|live| live as &mut dyn Runner);
        for reference in recorded.chain(live) {
            match one(&args, task, reference, &model)? {
                Some((entry, exit)) => {
                    worst = worse(worst, exit);
                    entries.push(entry);
                }
                None => skipped += 1,
            }
        }
    }
    if skipped > 0 {
        let line = format!("skipped {skipped}: the reference does not take part\n");
        output::put(line.as_bytes())?;
    }
    if entries.is_empty() {
        return Err(Failure {
            exit: Exit::ReferenceMissing,
            message: "no recording has a trace of that".into(),
        });
    }
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&entries).map_err(Failure::environment)?;
        atomic::write(path, &json).map_err(Failure::environment)?;
    }
    Ok(worst)
}

/// A wrong operation weighs more than a node nobody compared.
fn worse(one: Exit, other: Exit) -> Exit {
    match [one, other].contains(&Exit::Diverges) {
        true => Exit::Diverges,
        false => one.max(other),
    }
}

/// One case against whoever answers it with nodes: a recording, or anybody else who observes. None
/// if that one does not take part.
fn one(
    args: &Args,
    task: Task<'_>,
    reference: &mut dyn Runner,
    model: &Model,
) -> Result<Option<(Entry, Exit)>, Failure> {
    let theirs = match guarded(|| reference.observe(task)) {
        Err(RunError::Declined(why)) => {
            let line = format!("{}: {}: {why}\n", task.case.name, reference.identity());
            output::put(line.as_bytes())?;
            return Ok(None);
        }
        seen => seen.map_err(unanswered)?,
    };
    let own = || Profile::from_name(&theirs.identity.profile);
    let profile = args.profile.or_else(own).unwrap_or_default();
    let mut passes = Passes::new(model, &theirs.tokens, profile, task.case.ubatch)?;
    let (found, exit) = match args.layer_search {
        true => search(&theirs, &mut passes)?,
        false => nodes(args, task, &theirs, &mut passes)?,
    };
    let entry = Entry {
        case: task.case.name.clone(),
        reference: theirs.identity,
        found,
    };
    Ok(Some((entry, exit)))
}

fn nodes(
    args: &Args,
    task: Task<'_>,
    theirs: &Observation,
    passes: &mut Passes<'_>,
) -> Result<(Found, Exit), Failure> {
    let evidence = locate(theirs, task.case.nodes, passes)?;
    let rows = if args.all { Rows::All } else { Rows::Differing };
    let mut text = format!(
        "{}: {}",
        task.case.name,
        table::render(&evidence.located, rows)
    );
    if let Some(folder) = &args.bundle {
        let folder = folder.join(&task.case.name).join(&theirs.identity.name);
        match bundle::write(&folder, &evidence, theirs, passes, task.model)? {
            Some(node) => text.push_str(&format!("{node} is bundled in {}\n", folder.display())),
            None => text.push_str("no operation differs on its own, so there is no bundle\n"),
        }
    }
    text.push('\n');
    output::put(text.as_bytes())?;
    let exit = evidence.located.exit();
    Ok((Found::Located(Box::new(evidence.located)), exit))
}

fn search(theirs: &Observation, passes: &mut Passes<'_>) -> Result<(Found, Exit), Failure> {
    let rung = Rung::between(&theirs.identity.profile, passes.profile().name());
    let node = |key: &str| theirs.trace.iter().find(|n| n.key == key);
    let search = layers::search(node, passes, rung)?;
    let text = format!("{}: {}", theirs.identity, table::search(&search));
    output::put(text.as_bytes())?;
    let exit = match search.first_bad {
        Some(_) => Exit::Diverges,
        None => Exit::Agrees,
    };
    Ok((Found::Search(search), exit))
}

fn replay(args: &Args, folder: &Path) -> Result<Exit, Failure> {
    let bundle = Bundle::read(folder)?;
    let manifest = &bundle.manifest;
    let path = args.model.as_ref().unwrap_or(&manifest.model);
    let (input, _) = Input::read(path)?;
    if input.sha256 != manifest.model_sha256 {
        let (asked, found) = (&manifest.model_sha256, &input.sha256);
        let message = format!("the bundle is about the model {asked}, this one is {found}");
        return Err(Failure::input(message));
    }
    let kernel = flags::kernel(&manifest.kernel).map_err(Failure::input)?;
    let profile = flags::profile(&manifest.profile).map_err(Failure::input)?;
    let model = open(args, &input, Some(kernel))?;
    let tokens = &manifest.tokens;
    let mut passes = Passes::new(&model, tokens, profile, tokens.len())?;
    let repeated = bundle.replay(&mut passes)?;
    output::put(table::replay(&repeated).as_bytes())?;
    Ok(match repeated.acceptable {
        true => Exit::Agrees,
        false => Exit::Diverges,
    })
}

fn open(args: &Args, input: &Input, kernel: Option<Kernel>) -> Result<Model, Failure> {
    let options = OpenOptions {
        storage: Storage::Read,
        flavor: args.flavor,
        kernel,
    };
    let model = Model::open(&input.path, &options)?;
    input.is_stamped(&model.stamp())?;
    Ok(model)
}

/// The cases asked for, each with its model file.
fn cases(args: &Args, suite: &Suite) -> Result<Vec<(Case, PathBuf)>, Failure> {
    let Some(model) = &args.model else {
        let mut cases = case::select(suite.cases.clone(), &args.case)?;
        cases.retain(|case| case.nodes > 0);
        let place = |case: Case| {
            let path = suite.folder.join(&case.model);
            (case, path)
        };
        return Ok(cases.into_iter().map(place).collect());
    };
    let (input, _) = Input::read(model)?;
    let mut cases = suite.cases.clone();
    cases.retain(|case| {
        let asked = args.prompt.as_ref().is_none_or(|p| *p == case.prompt);
        let known = suite.known(&input.sha256, &case.prompt);
        asked && case.nodes > 0 && known.is_some_and(|known| known.name == case.name)
    });
    Ok(cases.into_iter().map(|c| (c, model.clone())).collect())
}

fn unanswered(error: RunError) -> Failure {
    let exit = match error {
        RunError::NoAnswer(_) | RunError::Declined(_) => Exit::ReferenceMissing,
        RunError::Refused(_) => Exit::BadInput,
        RunError::NotFinite(_) => Exit::Diverges,
        RunError::Died(_) | RunError::Lost(_) => Exit::ReferenceDied,
    };
    Failure {
        exit,
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_divergence_is_not_hidden_behind_an_incomplete_case() {
        assert_eq!(worse(Exit::Incomplete, Exit::Diverges), Exit::Diverges);
        assert_eq!(worse(Exit::Agrees, Exit::Incomplete), Exit::Incomplete);
        assert_eq!(worse(Exit::Agrees, Exit::Agrees), Exit::Agrees);
    }
}
