//! `harness crossval`: the cases under `fixtures/`, judged against what the reference computed.
#![forbid(unsafe_code)]

pub mod recordings;

use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::flavor::Flavor;
use engine::kernels::Kernel;
use engine::numerics::Profile;

use crate::case::{self, Case};
use crate::command::flags;
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::io::atomic;
use crate::io::output;
use crate::io::progress;
use crate::io::signals;
use crate::oracle::crossval::campaign::{Campaign, Live, resume};
use crate::receipt::junit;
use crate::receipt::table;
use crate::reference;
use crate::reference::isolation::Limits;
use crate::runner::engine::Engine;
use crate::runner::suite::Suite;
use crate::runner::{Subject, Task};

const HELP: &str = "\
Examples:
  harness crossval
  harness crossval --case b158-ishmael --json receipt.json
  harness crossval --model model.gguf --prompt 'Call me Ishmael.'
  harness crossval --reference bitnet --reference ik --json receipt.json
  harness crossval --reference bitnet --record recordings/

A live reference runs in a process of its own, is first compared with itself, and then judged in its
own arithmetic. What died, hung, declined or said nonsense is in the table and on the receipt.

One that cannot multiply I2_S is asked about the same weights as F32. Where their rows are wide
enough ik is asked once more, as ik-iq2bn, about weights it wrote in a type of its own. Cases that
nobody has recorded are left out, and counted, unless a reference that answers them is asked.

Environment:
  CROSSVAL_GGUF   the model, where neither --model nor --case is given
  BITNET_CPP_DIR  a live C++ reference; without it recordings stand in (rust-only)";

/// Continuation steps of a prompt that no fixture knows.
const AD_HOC_STEPS: usize = 16;
/// Positions kept of a prompt that no fixture knows.
const AD_HOC_POSITIONS: usize = 32;

/// Run every case through every runner there is, compare, judge
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Run this case only; may be given several times
    #[arg(long, value_name = "NAME", conflicts_with_all = ["model", "prompt"])]
    case: Vec<String>,

    /// Run this model instead of the fixtures' own
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// With --model: this prompt instead of the fixtures' prompts
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,

    /// Write the receipt here, again after each case
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write what the live references saw as recordings below this folder, one for each model
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,

    /// Take over the cases that this receipt of an earlier run has finished
    #[arg(long, value_name = "RECEIPT", conflicts_with = "record")]
    resume: Option<PathBuf>,

    /// Write a JUnit report here
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Use these inner loops only [default: the fastest, and every other one must repeat it]
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

    /// Packing of the two-bit weights, where the bytes allow several
    #[arg(long, value_name = "NAME", value_parser = str::parse::<Flavor>)]
    flavor: Option<Flavor>,

    /// Order of the float operations; references of another one are then judged by distances
    /// [default: for each reference its own, as far as it is known]
    #[arg(long, value_name = "NAME", value_parser = profile)]
    profile: Option<Profile>,

    /// Drive this C++ reference as well: bitnet, bitnet-portable, ik, llama, or a directory; may
    /// be given several times [default: what BITNET_CPP_DIR names, if it is set]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    /// Seconds a reference may take for one case
    #[arg(long, value_name = "N", default_value = "120")]
    patience: u64,

    /// Threads; results do not depend on it
    #[arg(long, value_name = "N", default_value = "1", value_parser = flags::positive)]
    threads: usize,

    /// The folder with cases.json [default: fixtures/ here, above, or where this was built]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let folder = args.fixtures.clone().map_or_else(Suite::find, Ok)?;
    let suite = Suite::open(&folder)?;
    let model = model(&args);
    let cases = cases(&args, &suite, model.as_deref())?;
    if let Some(path) = &args.json {
        signals::resume_with(signals::again("--resume", path));
    }
    let bar = progress::bar(cases.len() as u64, "cases");
    let limits = Limits {
        patience: Duration::from_secs(args.patience),
        ..Limits::default()
    };
    let live = reference::open(&args.reference, limits)?;
    let mut live: Vec<Live> = live.into_iter().flat_map(Live::lanes).collect();
    let tapes = match &args.record {
        Some(_) => recordings::record(&mut live)?,
        None => Vec::new(),
    };
    let asked: Vec<String> = live.iter().map(|live| live.facts.name.clone()).collect();
    let subjects = subjects(&args, model.is_none());
    let mut campaign = Campaign::new(suite, subjects, args.threads).with_references(live);
    if let Some(earlier) = &args.resume {
        campaign = campaign.resuming(resume::open(earlier)?);
    }
    let receipt = campaign.run(&cases, |receipt| {
        bar.inc(1);
        match &args.json {
            Some(path) => write(path, &receipt.to_json()),
            None => Ok(()),
        }
    })?;
    bar.finish_and_clear();
    if let Some(path) = &args.junit {
        write(path, &junit::render(&receipt))?;
    }
    output::put(table::render(&receipt).as_bytes())?;
    for tape in &tapes {
        let shelf = args
            .record
            .as_deref()
            .expect("there are tapes only if it is given");
        for name in tape.write(shelf, &receipt)? {
            output::tell(format!("recorded {}", shelf.join(name).display()));
        }
    }
    if let (0, Some(left)) = (
        receipt.coverage.cases.declared,
        receipt.circumstances.left_out.first(),
    ) {
        let (case, name) = (&left.case, &left.answered_by[0]);
        return Err(Failure::new(
            Exit::ReferenceMissing,
            format!("nobody who answers {case} was asked: --reference {name}"),
        ));
    }
    match receipt.parity.status.exit() {
        // Nobody died and nothing diverges, but nobody who was asked for spoke.
        Exit::Agrees | Exit::Incomplete if !asked.is_empty() && !receipt.parity.cpp_available => {
            let asked = asked.join(", ");
            let message = format!("no case was answered by {asked}: the rows above say why");
            let exit = Exit::ReferenceMissing;
            Err(Failure::new(exit, message))
        }
        exit => Ok(exit),
    }
}

/// The model asked for, if it is not the fixtures' own.
fn model(args: &Args) -> Option<PathBuf> {
    let environment = || std::env::var_os("CROSSVAL_GGUF").filter(|m| !m.is_empty());
    let environment = || environment().filter(|_| args.case.is_empty());
    args.model
        .clone()
        .or_else(|| environment().map(PathBuf::from))
}

/// Each case with the model file it runs on.
fn cases(
    args: &Args,
    suite: &Suite,
    model: Option<&Path>,
) -> Result<Vec<(Case, PathBuf)>, Failure> {
    let Some(model) = model else {
        if args.prompt.is_some() {
            let message = "--prompt needs --model (or CROSSVAL_GGUF): a prompt means nothing alone";
            return Err(Failure::input(message));
        }
        let cases = case::select(suite.cases.clone(), &args.case)?;
        let place = |case: Case| {
            let path = suite.folder.join(&case.model);
            (case, path)
        };
        return Ok(cases.into_iter().map(place).collect());
    };
    let (input, _) = Input::read(model)?;
    let mut prompts: Vec<&String> = suite.cases.iter().map(|c| &c.prompt).collect();
    prompts.sort();
    prompts.dedup();
    if let Some(prompt) = &args.prompt {
        prompts = vec![prompt];
    }
    let engine = chosen(args);
    let case = |(i, prompt): (usize, &&String)| match suite.known(&input.sha256, prompt) {
        Some(known) => Ok((known.clone(), model.to_owned())),
        None => Ok((ad_hoc(&engine, i, prompt, &input)?, model.to_owned())),
    };
    prompts.iter().enumerate().map(case).collect()
}

/// A case nobody has recorded: it asks for as much as is reasonable, and is never complete.
fn ad_hoc(engine: &Engine, number: usize, prompt: &str, model: &Input) -> Result<Case, Failure> {
    let file = model.path.file_name().unwrap_or_default();
    let name = format!("ad-hoc-{number}");
    let mut case = Case {
        nodes: 0,
        greedy_steps: AD_HOC_STEPS,
        ..Case::of_prompt(&name, &file.to_string_lossy(), prompt, 0)
    };
    let task = Task { case: &case, model };
    let ids = engine.tokenize(task).map_err(Failure::input)?;
    case.tokens = ids.len();
    case.context = ids.len() + AD_HOC_STEPS;
    let last = ids.len().checked_sub(1);
    let last = last.ok_or_else(|| Failure::input("the prompt has no tokens"))?;
    let count = ids.len().min(AD_HOC_POSITIONS);
    case.positions = (0..count).map(|i| i * last / (count - 1).max(1)).collect();
    Ok(case)
}

/// The engine as asked for, and other ways it can compute, all of which must give the same bits:
/// on the small fixtures every other kernel, and always another number of threads.
fn subjects(args: &Args, fixtures: bool) -> Vec<Box<dyn Subject>> {
    let chosen = chosen(args);
    let threads = if args.threads == 1 { 2 } else { 1 };
    let kernels = match args.kernel {
        None if fixtures => Kernel::available(),
        _ => Vec::new(),
    };
    // One run differs in both, because a slow kernel is run no more often than it must be.
    let others = kernels.into_iter().rev().skip(1);
    let others = others.map(|kernel| engine(args, kernel, threads));
    let mut subjects: Vec<Engine> = others.collect();
    if subjects.is_empty() {
        subjects.push(chosen.on_threads(threads));
    }
    let all = std::iter::once(chosen).chain(subjects);
    all.map(|engine| Box::new(engine) as Box<dyn Subject>)
        .collect()
}

fn chosen(args: &Args) -> Engine {
    engine(args, args.kernel.unwrap_or_else(Kernel::best), args.threads)
}

fn engine(args: &Args, kernel: Kernel, threads: usize) -> Engine {
    let engine = Engine::new(kernel, threads).with_flavor(args.flavor);
    match args.profile {
        Some(profile) => engine.with_profile(profile),
        None => engine,
    }
}

fn profile(name: &str) -> Result<Profile, String> {
    Profile::from_name(name).ok_or_else(|| {
        let names = Profile::ALL.map(Profile::name).join(", ");
        format!("there are {names}")
    })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    atomic::write(path, text.as_bytes()).map_err(Failure::environment)
}
