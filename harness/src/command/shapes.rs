//! `harness shapes`: random models of many shapes, the engine against a live reference.

mod recorded;

use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::config::Architecture;
use engine::kernels::Kernel;
use engine::numerics::Profile;

use crate::case::schedule::Schedule;
use crate::case::shard::Share;
use crate::command::brought::Brought;
use crate::command::finish::finish;
use crate::command::flags::{self, Jobs, Json, Sharing};
use crate::command::last_failed::{LastFailed, LastRun};
use crate::command::listed::Listed;
use crate::exit::{Exit, Failure};
use crate::fixture::random::{self, RandomShape};
use crate::io::destination::Destination;
use crate::io::{output, progress};
use crate::judge::outcome::Outcome;
use crate::oracle::shapes::{self, Mode, Pair, Plan, Report, ScheduleVariants, Sides, Trial};
use crate::reference::isolation::Limits;
use crate::reference::{self, Reference};
use crate::runner::engine::Engine;
use crate::runner::reference::Observing;
use crate::runner::{Runner, Subject};

const HELP: &str = "\
Examples:
  harness shapes --count 12
  harness shapes --recorded
  harness shapes --reference bitnet-portable --record fixtures/shapes.json
  harness shapes --reference bitnet --reference bitnet-portable --json shapes.json
  harness shapes --reference bitnet --first 117 --count 84
  harness shapes --reference bitnet-portable --profile ggml-avx512 # exits 1: another order shows
  harness shapes --count 2 --profile ggml-avx512 \\
      --subject 'cmd: harness eval --model {model} --tokens {tokens} --logits {logits} \\
                 --ubatch {ubatch}'
  harness shapes --reference bitnet --schedule 'feed=1.2.3' \\
      --shape \"seed=7000 layers=1 head_dim=32 kv_heads=2 group=2 width=128 inner=128 vocab=259 \\
               context=128 weights=i2_s-p128 embedding=f16\"

Each number is a random model: prefilled in portions of 512, 7 and 1 tokens, decoded one by one, on
one thread and on a few trials two or three, with prompts up to the context. Every bit of every
logit must be the reference's, in the reference's own order of float operations. What was covered
is printed and is a part of the verdict. A model that differs is made smaller as long as it differs.
Without a reference the engine is compared with itself (scalar kernel, other threads, other
portions), which is no parity. With --recorded it is compared with hashes of what references once
computed from models chosen for their formats: each in the matrices of a layer, in the table of
embeddings and in the head, with every set of instructions this machine has. --record writes them,
and keeps what other references said before.";

/// Architectures that every tree with two-bit weights knows.
const EVERYWHERE: [Architecture; 2] = [Architecture::Bitnet, Architecture::Llama];

/// Random models of many shapes, bit for bit against a live reference
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Compare with this C++ reference: bitnet, bitnet-portable, or a directory; may be given
    /// several times [default: what BITNET_CPP_DIR names, if it is set]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    #[command(flatten)]
    brought: Brought,

    /// Number of models
    #[arg(long, value_name = "N", default_value = "200")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: u64,

    /// The number of the first model, to go on where another run ended
    #[arg(long, value_name = "N", default_value = "1")]
    first: u64,

    /// Models of this architecture only; may be given several times [default: bitnet and llama
    /// with a reference, bitnet-b1.58 as well without]
    #[arg(long, value_name = "NAME", value_parser = random::architecture_by_name)]
    arch: Vec<Architecture>,

    /// One model in the words a report prints
    #[arg(long, value_name = "WORDS", requires = "schedule")]
    shape: Option<String>,

    /// The way through it, in the words a report prints
    #[arg(long, value_name = "WORDS", requires = "shape", value_parser = str::parse::<Schedule>)]
    schedule: Option<Schedule>,

    /// Let the engine compute in this order instead of the reference's own, which must show. With
    /// --subject: what that claims
    #[arg(long, value_name = "NAME", value_parser = flags::profile)]
    profile: Option<Profile>,

    /// Inner loops to use instead of the fastest this CPU has; none changes a result
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

    /// Seconds the reference may take for one model
    #[arg(long, value_name = "N", default_value = "300", value_parser = flags::seconds)]
    patience: Duration,

    /// Compare with what is on record instead, for models chosen for their formats
    #[arg(long, conflicts_with_all = ["reference", "subject", "profile", "shape", "count", "first",
          "arch", "shard", "last_failed"])]
    recorded: bool,

    /// Write down here what the references compute from those models, for --recorded
    #[arg(long, value_name = "FILE", conflicts_with_all = ["recorded", "subject", "profile",
          "shape", "count", "first", "arch", "shard", "last_failed"])]
    record: Option<Destination>,

    /// Fixtures folder, for --recorded [default: fixtures/ here or above, else built in]
    #[arg(long, value_name = "DIR", requires = "recorded")]
    fixtures: Option<PathBuf>,

    #[command(flatten)]
    last_failed: LastFailed,

    #[command(flatten)]
    listed: Listed,

    #[command(flatten)]
    sharing: Sharing,

    #[command(flatten)]
    jobs: Jobs,

    #[command(flatten)]
    json: Json,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    args.json.beside([])?;
    if args.recorded {
        return recorded::recall(&args);
    }
    if let Some(to) = &args.record {
        return recorded::record(&args, to);
    }
    let (theirs, mode) = args.theirs()?;
    let all = [&EVERYWHERE[..], &[Architecture::BitnetB158]].concat();
    let otherwise = match mode {
        Mode::RustOnly => &all[..],
        Mode::Live => &EVERYWHERE,
    };
    // Which trial a number is follows from the program alone.
    let mut last = LastRun::of("shapes", Path::new(""), &args.brought.subject);
    let (plan, share) = plan(&args, otherwise, &last)?;
    let names = plan
        .trials()
        .map(|one| format!("{} {}", one.number, one.shape));
    if let Some(listed) = args.listed.names(names, &args.json) {
        return listed;
    }
    let mut reports = Vec::new();
    for (at, (theirs, profile)) in theirs.into_iter().enumerate() {
        examine(&args, &plan, (at, theirs), mode, profile, &mut reports)?;
    }
    let tried = reports.iter().flat_map(|report| &report.trials);
    last.ended(tried.map(|one| (one.number.to_string(), one.outcome.outcome())));
    reports
        .iter_mut()
        .for_each(|report| report.share.clone_from(&share));
    let width = output::width();
    let text: Vec<String> = reports.iter().map(|report| report.render(width)).collect();
    let statuses = reports.iter().map(|report| report.status);
    let outcome = Outcome::worst(Outcome::Ok, statuses);
    finish(outcome, &text.join("\n"), &reports, &args.json)
}

/// Which models.
fn plan(
    args: &Args,
    otherwise: &[Architecture],
    last: &LastRun,
) -> Result<(Plan, Option<Share>), Failure> {
    if let (Some(words), Some(schedule)) = (&args.shape, &args.schedule) {
        let refuse = |why| Failure::input(format!("--shape: {why}"));
        let shape = RandomShape::from_seed(0, None)
            .changed(words)
            .map_err(refuse)?;
        let (fed, context) = (schedule.context(), shape.context);
        if fed > context {
            let message = format!("--schedule feeds {fed} tokens into a context of {context}");
            return Err(Failure::input(message));
        }
        let only = Plan::only(Trial {
            number: 0,
            shape,
            schedules: vec![schedule.clone()],
        });
        return Ok((only, None));
    }
    let chosen = if args.arch.is_empty() {
        otherwise
    } else {
        &args.arch
    };
    let mut architectures = Vec::new();
    for architecture in chosen {
        if !architectures.contains(architecture) {
            architectures.push(*architecture);
        }
    }
    let mut whole = Plan::new(architectures, args.first, args.count);
    if args.last_failed.last_failed {
        let failed = args.last_failed.of(last, whole.numbers(), u64::to_string)?;
        whole = whole.keeping(&failed);
    }
    Ok(match args.sharing.shard {
        Some(shard) => {
            let (own, share) = whole.shared(shard);
            (own, Some(share))
        }
        None => (whole, None),
    })
}

/// A reference, and the order of float operations in which it can be compared bit for bit.
fn live(reference: Reference, forced: Option<Profile>) -> Result<Other, Failure> {
    let own = || reference.facts().same_bits_profile();
    let profile = forced.map_or_else(own, Ok)?;
    let source = Observing::unchanged(reference);
    Ok((Box::new(source), profile))
}

/// A subject in the arithmetic it claims, if it can be compared bit for bit in it.
fn offered(subject: Box<dyn Subject>) -> Result<Other, Failure> {
    let identity = subject.identity();
    let profile = Profile::from_name(&identity.profile).ok_or_else(|| {
        let message = "claims no order of float operations that the engine has: say it with";
        Failure::input(format!("{identity} {message} --profile"))
    })?;
    Ok((subject, profile))
}

/// Whom the engine is held against, and the order of float operations for it.
type Other = (Box<dyn Runner>, Profile);

impl Args {
    /// References and subjects or, where there are none, the engine itself.
    fn theirs(&self) -> Result<(Vec<Other>, Mode), Failure> {
        let limits = Limits {
            patience: self.patience,
            // Three threads that spin while they wait.
            cpu_seconds: self.patience.as_secs() * 3,
            ..Limits::default()
        };
        let references = reference::open(&self.reference, limits)?;
        let claimed = self.profile.map(Profile::name);
        let subjects = self.brought.open_whole(claimed, Some(limits.patience))?;
        if references.is_empty() && subjects.is_empty() {
            let profile = self.profile.unwrap_or_default();
            let variants: Box<dyn Runner> = Box::new(ScheduleVariants::new(profile));
            return Ok((vec![(variants, profile)], Mode::RustOnly));
        }
        // Each before any computes: what cannot be compared is no reason to lose what was.
        let live = references.into_iter().map(|one| live(one, self.profile));
        let live = live.chain(subjects.into_iter().map(offered));
        Ok((live.collect::<Result<_, _>>()?, Mode::Live))
    }

    /// The built-in engine.
    fn ours(&self, profile: Profile) -> Engine {
        let kernel = self.kernel.unwrap_or_else(Kernel::best);
        Engine::new(kernel, 1).with_profile(profile)
    }
}

/// All models of a plan, against whoever has that place among the others; a file of JSON holds
/// whatever is known so far.
fn examine(
    args: &Args,
    plan: &Plan,
    (at, mut theirs): (usize, Box<dyn Runner>),
    mode: Mode,
    profile: Profile,
    reports: &mut Vec<Report>,
) -> Result<(), Failure> {
    let again = || -> Result<Sides, Failure> {
        let (theirs, _) = args.theirs()?.0.into_iter().nth(at).ok_or_else(gone)?;
        Ok((Box::new(args.ours(profile)), theirs))
    };
    let mut pair = Pair {
        ours: &mut args.ours(profile),
        theirs: &mut *theirs,
    };
    // A pipe or a device would be written to again and again.
    let file = match &args.json.to {
        Some(Destination::Path(path)) => path.is_file() || !path.exists(),
        _ => false,
    };
    let bar = progress::bar(plan.count, "shapes");
    let jobs = (args.jobs.of(matches!(mode, Mode::RustOnly)), &again as _);
    let report = shapes::examine_in_jobs(jobs, &mut pair, plan, mode, &mut |report| {
        bar.set_position(report.trials.len() as u64);
        if file {
            let so_far: Vec<&Report> = reports.iter().chain([report]).collect();
            // The last time is at the end, where a failure is told and hides nothing.
            let _ = args.json.write(&so_far);
        }
    })?;
    bar.finish_and_clear();
    reports.push(report);
    Ok(())
}

fn gone() -> Failure {
    Failure::environment("a reference that was there is gone")
}
