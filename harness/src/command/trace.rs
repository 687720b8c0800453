//! `harness trace`: node by node, which operation is the first to compute something else.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::asked::{Asked, Question, nobody, unanswered, worse};
use crate::case::Case;
use crate::case::observation::{Identity, Observation};
use crate::command::flags;
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::io::atomic;
use crate::io::output;
use crate::judge::tolerance::local::Rung;
use crate::oracle::trace::bundle::{self, Bundle};
use crate::oracle::trace::layers::{self, Search};
use crate::oracle::trace::table::{self, Rows};
use crate::oracle::trace::{Located, locate};
use crate::reference::isolation::Limits;
use crate::runner::passes::Passes;
use crate::runner::reference::Observing;
use crate::runner::suite::Suite;
use crate::runner::{RunError, Runner, Task, guarded};

const HELP: &str = "\
Examples:
  harness trace
  harness trace --case b158-ishmael --recording mar2026-b158-avx2
  harness trace --reference bitnet
  harness trace --reference bitnet --model model.gguf --prompt 'Any text at all'
  harness trace --reference bitnet --case bitnet-november --ubatch 7
  harness trace --profile ggml-avx2 --recording mar2026-b158-avx512 --bundle blamed/
  harness trace --replay blamed/

Columns: differ is the share of elements whose bits differ in the free pass. total, local and
inherited are NMSEs: of the free pass, of the operation alone on the reference's inputs, and of what
came with the inputs. flips counts certified and all roundings that fell the other way. The element
shown is where the operation alone differs first, or where it does not, the free pass.

Where a prompt takes several ubatches every node is there once in each: #0, #1, … count them, as the
reference does.";

/// Locate the first operation that computes something else than a reference's trace
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    asked: Asked,

    /// Tokens computed together at most, instead of what the recordings have; for live references
    #[arg(long, value_name = "N", value_parser = flags::positive, conflicts_with = "recording")]
    ubatch: Option<usize>,

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
        "case", "recording", "reference", "prompt", "profile", "kernel", "ubatch", "layer_search",
        "bundle", "json",
    ])]
    replay: Option<PathBuf>,
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
    let mut suite = args.asked.suite()?;
    let live = args.asked.live(Limits::default())?;
    let mut live: Vec<Observing> = live.into_iter().map(Observing::new).collect();
    let mut entries = Vec::new();
    let (mut worst, mut skipped) = (Exit::Agrees, 0);
    for (case, path) in args.asked.cases(&suite, !live.is_empty())? {
        let question = args.asked.question(case, path)?;
        let own = question.live();
        let own = &Case {
            ubatch: args.ubatch.unwrap_or(own.ubatch),
            ..own
        };
        let recorded = recorded(&args, &mut suite, &question.case);
        let recorded = recorded.map(|recorded| (&question.case, recorded));
        let live = live.iter_mut().map(|live| (own, live as &mut dyn Runner));
        for (case, reference) in recorded.chain(live) {
            match one(&args, &question, case, reference)? {
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
        return Err(nobody(skipped));
    }
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&entries).map_err(Failure::environment)?;
        atomic::write(path, &json).map_err(Failure::environment)?;
    }
    Ok(worst)
}

/// The recordings that show the nodes of a case; none where other ubatches were asked for.
fn recorded<'s>(
    args: &'s Args,
    suite: &'s mut Suite,
    case: &'s Case,
) -> impl Iterator<Item = &'s mut dyn Runner> {
    let shown = case.nodes > 0 && args.ubatch.is_none_or(|ubatch| ubatch == case.ubatch);
    let recorded = suite.recordings.iter_mut().filter(move |(name, _)| {
        let asked = &args.asked.recording;
        shown && (asked.is_empty() || asked.contains(name)) && case.recordings.contains(name)
    });
    recorded.map(|(_, recorded)| recorded as &mut dyn Runner)
}

/// One prompt against whoever answers it with nodes: a recording, or anybody else who observes.
/// None if that one does not take part.
fn one(
    args: &Args,
    question: &Question,
    case: &Case,
    reference: &mut dyn Runner,
) -> Result<Option<(Entry, Exit)>, Failure> {
    let task = Task {
        case,
        model: &question.input,
    };
    let theirs = match guarded(|| reference.observe(task)) {
        Err(RunError::Declined(why)) => {
            let line = format!("{}: {}: {why}\n", case.name, reference.identity());
            output::put(line.as_bytes())?;
            return Ok(None);
        }
        seen => seen.map_err(unanswered)?,
    };
    let profile = args.asked.profile(&theirs.identity.profile);
    let mut passes = Passes::new(&question.model, &theirs.tokens, profile, case.ubatch)?;
    let (found, exit) = match args.layer_search {
        true => search(&theirs, &mut passes)?,
        false => nodes(args, task, &theirs, &mut passes)?,
    };
    let entry = Entry {
        case: case.name.clone(),
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
    let path = args.asked.model.as_ref().unwrap_or(&manifest.model);
    let (input, _) = Input::read(path)?;
    if input.sha256 != manifest.model_sha256 {
        let (asked, found) = (&manifest.model_sha256, &input.sha256);
        let message = format!("the bundle is about the model {asked}, this one is {found}");
        return Err(Failure::input(message));
    }
    let kernel = flags::kernel(&manifest.kernel).map_err(Failure::input)?;
    let profile = flags::profile(&manifest.profile).map_err(Failure::input)?;
    let model = args.asked.open(&input, Some(kernel))?;
    let tokens = &manifest.tokens;
    let mut passes = Passes::new(&model, tokens, profile, tokens.len())?;
    let repeated = bundle.replay(&mut passes)?;
    output::put(table::replay(&repeated).as_bytes())?;
    Ok(match repeated.acceptable {
        true => Exit::Agrees,
        false => Exit::Diverges,
    })
}
