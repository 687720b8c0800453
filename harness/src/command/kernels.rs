//! `harness kernels`: single kernels of a C++ reference, or what is on record of one, against those
//! of the engine.

use std::path::PathBuf;
use std::time::Instant;

use engine::kernels::Kernel;
use engine::numerics::Profile;

use super::finish::finish;
use crate::case::pattern;
use crate::command::flags;
use crate::command::last_failed::{LastFailed, LastRun};
use crate::command::listed::Listed;
use crate::exit::{Exit, Failure};
use crate::io::destination::Destination;
use crate::io::{output, progress, threads};
use crate::judge::outcome::Outcome;
use crate::oracle::kernels::record::{FILE, Record};
use crate::oracle::kernels::{self, Examined, Report, Row, Scope, table};
use crate::oracle::weights::subject::no_reference;
use crate::reference::isolation::Limits;
use crate::reference::{self, Reference};
use crate::runner::kernels::engine::EngineKernels;
use crate::runner::kernels::family::Family;
use crate::runner::kernels::live::ReferenceKernels;
use crate::runner::suite::Suite;

const HELP: &str = "\
Examples:
  harness kernels
  harness kernels --reference bitnet --reference ik --json kernels.json
  harness kernels --reference bitnet --only i2_s-dot --seed 7 --case 61
  harness kernels --reference bitnet --reference bitnet-portable --cases 12 --record kernels.json

Without a reference, hashes of what libraries once answered are compared, with every set of
instructions this machine has; in arithmetics that no library was recorded in, vectors are compared
with plain loops. --record keeps what other references said before to the same questions. Exit code
0 where every bit is equal or excused by name; 1 where one is not, even
if the reference died later; 3 where there is neither a reference nor a record; 6 where the
reference died.";

/// Ask single kernels of a C++ reference and of the engine the same questions
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// A C++ reference, by name or directory; may be given several times [default: BITNET_CPP_DIR]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    /// Makes the random questions [default: 1, or what is on record]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Random questions a kernel, beside the chosen ones [default: 100, or what is on record]
    #[arg(long, value_name = "N", value_parser = flags::count::<usize>)]
    cases: Option<usize>,

    /// Ask about the kernels of that name only: whole, a part of it, or with * for any letters; may
    /// be given several times
    #[arg(long, value_name = "NAME", value_parser = Families::named)]
    only: Vec<Families>,

    /// Ask this question only
    #[arg(long, value_name = "K", requires = "only", value_parser = flags::count::<usize>)]
    case: Option<usize>,

    /// Inner loops to use instead of the fastest this CPU has; none changes a result
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

    /// Write down here what the references answer, for runs without one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "case", "shard"])]
    record: Option<Destination>,

    /// Fixtures folder [default: fixtures/ here or above, else built in]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,

    #[command(flatten)]
    last_failed: LastFailed,

    #[command(flatten)]
    listed: Listed,

    #[command(flatten)]
    sharing: flags::Sharing,

    #[command(flatten)]
    jobs: flags::Jobs,

    #[command(flatten)]
    json: flags::Json,
}

/// Kernels that one name means.
#[derive(Debug, Clone)]
struct Families(Vec<Family>);

impl Families {
    fn named(typed: &str) -> Result<Self, String> {
        let mut all = Family::all();
        let names: Vec<String> = all.iter().map(|family| family.name()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let meant = pattern::select(&names, &[typed.to_owned()], "kernel");
        let meant = meant.map_err(|unknown| unknown.message)?;
        all.retain(|family| meant.contains(&family.name()[..]));
        Ok(Families(all))
    }
}

/// Runs the command.
pub fn run(mut args: Args) -> Result<Exit, Failure> {
    // What a reference is asked takes no fixtures.
    let folder = args.fixtures.clone().map_or_else(Suite::find, Ok);
    let mut last = LastRun::of("kernels", &folder.unwrap_or_default(), &[]);
    if args.last_failed.last_failed {
        let asked = args.families();
        let failed = args.last_failed.of(&last, asked, |family| family.name())?;
        args.only = vec![Families(failed)];
    }
    let names = args.families().into_iter().map(|family| family.name());
    if let Some(listed) = args.listed.names(names, &args.json) {
        return listed;
    }
    let outputs = args.json.beside([])?;
    outputs.writes("--record", args.record.as_ref())?;
    // One process answers for every kernel.
    let limits = Limits::with_cpu_seconds(3600);
    let references = reference::open(&args.reference, limits)?;
    if references.is_empty() {
        return args.recall(&mut last);
    }
    let kernel = args.kernel.unwrap_or_else(Kernel::best);
    // Spec of all before the first is examined: a refusal costs nothing then.
    let profiles = references.iter().map(|r| r.facts().engine_profile());
    let profiles: Vec<Profile> = profiles.collect::<Result<_, _>>()?;
    let asked = references.iter().zip(profiles).enumerate();
    let examined = asked.map(|(index, (reference, profile))| {
        let again = || {
            let opened = reference::open_some(&args.reference, limits)?
                .into_iter()
                .nth(index);
            let opened = opened.ok_or_else(|| Failure::environment("a reference is gone"))?;
            Ok(sides(&opened, profile, kernel))
        };
        args.examine(index, reference, profile, &again)
    });
    let examined: Vec<Examined> = examined.collect::<Result<_, Failure>>()?;
    last.ended(ends(examined.iter().flat_map(|one| &one.kernels)));
    let report = Report {
        outcome: kernels::outcome(examined.iter().flat_map(|one| &one.kernels)),
        kernel: kernel.name(),
        references: examined,
        share: args.sharing.share(&args.families(), |one| one.name()),
        ..Report::of(args.seed(), args.cases())
    };
    let text = table::report(&report, output::width());
    if let (Some(to), Outcome::Ok) = (&args.record, report.outcome) {
        let mut record = Record::of((args.seed(), args.cases()), &report.references)?;
        let folder = args.fixtures.clone().map_or_else(Suite::find, Ok)?;
        if folder.join(FILE).exists() {
            let before = Record::read(&folder)?;
            if !record.asks_as(&before) {
                let (seed, cases) = (before.seed, before.cases);
                output::tell(format!(
                    "what others said before is not kept: they were asked with --seed {seed} \
                     --cases {cases}"
                ));
            }
            record = record.keeping(before);
        }
        to.write(output::to_json(&record)?.as_bytes())?;
    }
    finish(report.outcome, &text, &report, &args.json)
}

/// What each kernel comes to.
fn ends<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Vec<(String, Outcome)> {
    let rows = rows.into_iter();
    rows.map(|row| (row.kernel.clone(), row.outcome()))
        .collect()
}

/// The library's kernels and ours.
fn sides(
    reference: &Reference,
    profile: Profile,
    kernel: Kernel,
) -> (ReferenceKernels, EngineKernels) {
    let author = reference.facts().author().unwrap_or_default();
    let ours = EngineKernels::new(profile, kernel).writing_as(author);
    (ReferenceKernels::new(reference), ours)
}

impl Args {
    fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }

    fn cases(&self) -> usize {
        self.cases.unwrap_or(100)
    }

    /// Every kernel of one reference, as many at once as there are jobs.
    fn examine(
        &self,
        index: usize,
        reference: &Reference,
        profile: Profile,
        again: &(dyn Fn() -> Result<(ReferenceKernels, EngineKernels), Failure> + Sync),
    ) -> Result<Examined, Failure> {
        let scope = self.scope(reference);
        let bar = progress::bar(scope.families.len() as u64, &reference.facts().name);
        let began = Instant::now();
        let work = |(theirs, ours): &mut (ReferenceKernels, EngineKernels), at: usize| {
            let families = vec![scope.families[at]];
            let one = Scope {
                families,
                ..scope.clone()
            };
            kernels::examine(theirs, ours, &one, &mut || bar.inc(1))
        };
        let (jobs, count) = (self.jobs.of(false), scope.families.len());
        let mut rows = Vec::new();
        threads::in_order(jobs, count, again()?, again, work, |own| {
            rows.extend(own);
            Ok::<bool, Failure>(true)
        })?;
        Ok(Examined {
            reference: reference.facts().clone(),
            profile: profile.name(),
            seconds: began.elapsed().as_secs_f64(),
            again: self.again(index),
            kernels: rows,
        })
    }

    /// The kernels of all shares.
    fn families(&self) -> Vec<Family> {
        let mut all = Family::all();
        let named = |family: &Family| self.only.iter().any(|only| only.0.contains(family));
        all.retain(|family| self.only.is_empty() || named(family));
        all
    }

    /// Without a reference: what is on record, and nothing that is not.
    fn recall(&self, last: &mut LastRun) -> Result<Exit, Failure> {
        let chosen = [
            ("--record", self.record.is_some()),
            ("--case", self.case.is_some()),
            ("--seed", self.seed.is_some()),
            ("--cases", self.cases.is_some()),
            ("--shard", self.sharing.shard.is_some()),
        ];
        if let Some((flag, _)) = chosen.iter().find(|(_, typed)| *typed) {
            return Err(no_reference(format!(
                "{flag} is about questions to a reference"
            )));
        }
        let folder = self.fixtures.clone().map_or_else(Suite::find, Ok)?;
        if !folder.join(FILE).exists() {
            let folder = folder.display();
            return Err(no_reference(format!(
                "{folder} has no {FILE}, and no reference is named"
            )));
        }
        let record = Record::read(&folder)?;
        let kernels = self
            .kernel
            .map_or_else(Kernel::available, |kernel| vec![kernel]);
        let recorded = record.recall(&self.families(), &kernels)?;
        let found = kernels::outcome(recorded.iter().flat_map(|one| &one.kernels));
        last.ended(ends(recorded.iter().flat_map(|one| &one.kernels)));
        let report = Report {
            outcome: found.max(Outcome::RustOnly),
            kernel: self.kernel.map_or("all", Kernel::name),
            recorded,
            ..Report::of(record.seed, record.cases)
        };
        let text = table::report(&report, output::width());
        finish(report.outcome, &text, &report, &self.json)
    }

    fn scope(&self, reference: &Reference) -> Scope {
        Scope {
            seed: self.seed(),
            cases: self.cases(),
            families: self
                .sharing
                .of("kernels", self.families(), |family| family.name()),
            case: self.case,
            same_arithmetic: reference.hello().knows_i2_s,
            same_author: reference.facts().author().is_some(),
        }
    }

    /// The command that asks the reference of that number again, up to the question.
    fn again(&self, index: usize) -> String {
        let mut command = "harness kernels".to_owned();
        if let Some(name) = self.reference.get(index) {
            command += &format!(" --reference {name}");
        }
        if let Some(kernel) = self.kernel {
            command += &format!(" --kernel {}", kernel.name());
        }
        command + &format!(" --seed {}", self.seed())
    }
}
