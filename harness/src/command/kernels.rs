//! `harness kernels`: single kernels of a C++ reference against those of the engine.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Instant;

use engine::kernels::Kernel;
use serde::Serialize;

use crate::command::flags;
use crate::exit::{Exit, Failure};
use crate::io::atomic;
use crate::io::output;
use crate::io::progress;
use crate::oracle::kernels::{self, Outcome, Row, Scope, table};
use crate::reference::isolation::Limits;
use crate::reference::{self, LiveReference, Reference};
use crate::runner::kernels::engine::Ours;
use crate::runner::kernels::family::Family;
use crate::runner::kernels::live::Theirs;

const HELP: &str = "\
Examples:
  harness kernels
  harness kernels --reference bitnet --reference ik --json kernels.json
  harness kernels --reference bitnet --only i2_s-dot --seed 7 --case 61

Exit code 0 where every bit is equal or excused by name; 1 where one is not; 6 where the reference
died.";

/// Ask single kernels of a C++ reference and of the engine the same questions
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// A C++ reference, by name or directory; may be given several times [default: BITNET_CPP_DIR]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    /// Makes the random questions
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,

    /// Random questions a kernel, beside the chosen ones
    #[arg(long, value_name = "N", default_value = "100")]
    cases: usize,

    /// Ask about this kernel only; may be given several times
    #[arg(long, value_name = "NAME", value_parser = Family::by_name)]
    only: Vec<Family>,

    /// Ask this question only
    #[arg(long, value_name = "K", requires = "only")]
    case: Option<usize>,

    /// Inner loops to use instead of the fastest this CPU has; none changes a result
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

    /// Write what was found here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Report {
    schema_version: u32,
    seed: u64,
    random_cases: usize,
    kernel: &'static str,
    references: Vec<Examined>,
}

/// A reference, and what became of each kernel.
#[derive(Serialize)]
struct Examined {
    reference: LiveReference,
    profile: &'static str,
    seconds: f64,
    kernels: Vec<Row>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let references = reference::open_some(&args.reference, limits())?;
    let kernel = args.kernel.unwrap_or_else(Kernel::best);
    let scope = Scope {
        seed: args.seed,
        cases: args.cases,
        families: match args.only.is_empty() {
            true => Family::ALL.to_vec(),
            false => args.only.clone(),
        },
        case: args.case,
        same_arithmetic: true,
    };
    let mut examined = Vec::new();
    for (index, reference) in references.iter().enumerate() {
        let scope = Scope {
            same_arithmetic: reference.hello().knows_i2_s,
            ..scope.clone()
        };
        let one = examine(reference, kernel, &scope)?;
        output::put(render(&one, &again(&args, index)).as_bytes())?;
        examined.push(one);
    }
    let exit = exit(&examined);
    if let Some(path) = &args.json {
        let report = Report {
            schema_version: 1,
            seed: args.seed,
            random_cases: args.cases,
            kernel: kernel.name(),
            references: examined,
        };
        let text = serde_json::to_string_pretty(&report).map_err(Failure::environment)?;
        atomic::write(path, (text + "\n").as_bytes()).map_err(Failure::environment)?;
    }
    Ok(exit)
}

/// One process answers for every kernel.
fn limits() -> Limits {
    Limits {
        cpu_seconds: 3600,
        ..Limits::default()
    }
}

fn examine(reference: &Reference, kernel: Kernel, scope: &Scope) -> Result<Examined, Failure> {
    let bar = progress::bar(scope.families.len() as u64, &reference.facts().name);
    let began = Instant::now();
    let profile = reference.facts().engine_profile()?;
    let mut theirs = Theirs::new(reference);
    let mut ours = Ours::new(profile, kernel);
    let rows = kernels::examine(&mut theirs, &mut ours, scope, &mut || bar.inc(1));
    bar.finish_and_clear();
    Ok(Examined {
        reference: reference.facts().clone(),
        profile: profile.name(),
        seconds: began.elapsed().as_secs_f64(),
        kernels: rows,
    })
}

/// The worst of what happened; a run that compared nothing is no agreement.
fn exit(examined: &[Examined]) -> Exit {
    let rows = || examined.iter().flat_map(|one| &one.kernels);
    let any = |wanted: fn(&Row) -> bool| rows().any(wanted);
    match () {
        () if any(|row| matches!(row.outcome, Outcome::EngineDied(_))) => Exit::EngineDied,
        () if any(|row| row.judged && row.first.is_some()) => Exit::Diverges,
        () if any(|row| matches!(row.outcome, Outcome::Died(_))) => Exit::ReferenceDied,
        () if any(|row| matches!(row.outcome, Outcome::Refused(_))) => Exit::Incomplete,
        () if !any(|row| row.cases > 0) => Exit::Incomplete,
        () => Exit::Agrees,
    }
}

/// The command that asks the reference of that number again, up to the question.
fn again(args: &Args, index: usize) -> String {
    let mut command = "harness kernels".to_owned();
    if let Some(name) = args.reference.get(index) {
        command += &format!(" --reference {name}");
    }
    if let Some(kernel) = args.kernel {
        command += &format!(" --kernel {}", kernel.name());
    }
    command + &format!(" --seed {}", args.seed)
}

fn render(examined: &Examined, again: &str) -> String {
    let Examined {
        reference,
        profile,
        seconds,
        kernels: rows,
    } = examined;
    let replay = |kernel: &str, case: usize| format!("{again} --only {kernel} --case {case}");
    let count = |wanted: fn(&Row) -> bool| rows.iter().filter(|row| wanted(row)).count();
    let sum = |number: fn(&Row) -> usize| rows.iter().map(number).sum::<usize>();
    format!(
        "{} ({profile})\n{}{} of {} values equal, {} excused by name; {} kernels agree, {} differ, \
         {} differ and are not judged, {} not asked, {} lost; {seconds:.1} s\n\n",
        reference.name,
        table::render(rows, replay),
        sum(|row| row.equal),
        sum(|row| row.values),
        sum(Row::excused),
        count(|row| row.outcome == Outcome::Agrees),
        count(|row| row.outcome == Outcome::Differs && row.judged),
        count(|row| row.outcome == Outcome::Differs && !row.judged),
        count(|row| matches!(row.outcome, Outcome::NotThere(_))),
        count(is_lost),
    )
}

fn is_lost(row: &Row) -> bool {
    use Outcome::{Died, EngineDied, Refused};
    matches!(row.outcome, Died(_) | EngineDied(_) | Refused(_))
}
