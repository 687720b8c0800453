//! `harness crossval`: the cases under `fixtures/`, judged against what the reference computed.

mod recordings;
mod rows;
mod selection;
mod subjects;

use std::path::PathBuf;
use std::time::Duration;

use engine::kernels::Kernel;

use self::recordings::{Place, Recording};
use self::rows::Rows;
use self::selection::{Selection, list};
use self::subjects::Subjects;
use crate::case::Case;
use crate::case::shard::Share;
use crate::command::finish::finish;
use crate::command::flags::{self, Exports, Html, Jobs, Json, Models, Sharing, Strictness};
use crate::command::last_failed::{LastFailed, LastRun};
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::file::reading::Reading;
use crate::io::destination::{Destination, FileRoles};
use crate::io::{output, signals};
use crate::oracle::crossval::campaign::{Live, Step};
use crate::oracle::crossval::resume;
use crate::receipt::table::Detail;
use crate::receipt::{Receipt, merge, table};
use crate::reference::isolation::Limits;
use crate::report;
use crate::runner::engine::Engine;
use crate::runner::suite::Suite;

const HELP: &str = "\
Examples:
  harness crossval
  harness crossval --case b158-ishmael --json receipt.json
  harness crossval --model model.gguf --html report.html
  harness crossval --model model.gguf --prompt 'Call me Ishmael.' --reference bitnet
  harness crossval --reference bitnet --reference ik --json receipt.json
  harness crossval --reference bitnet --record recordings/
  harness crossval --case edges --reference bitnet --record # then: harness review
  harness crossval --model model.gguf --prompt 'Call me Ishmael.' --subject logits.npy
  harness crossval --model model.gguf --prompt 'Call me Ishmael.' --subject logits.npy \\
      --rtol 1e-4  # exits 1: aarch64 in halves is further away
  harness crossval --model model.gguf --prompt 'Call me Ishmael.' --subject logits.npy --oracle
  harness crossval --model model.gguf --prompt 'Call me Ishmael.' \\
      --subject 'cmd: harness eval --model {model} --tokens {tokens} --logits {logits}'

A live reference runs in a process of its own, is first compared with itself, and then judged in its
own arithmetic. What died, hung, declined or said nonsense is in the table and on the receipt.

One that cannot multiply I2_S is asked about the same weights as F32. Where their rows are wide
enough ik is asked once more, as ik-iq2bn, about weights it wrote in a type of its own.

Prompts that no selected reference or recording answers, or that do not fit the model's context,
are left out and counted. A prompt that was typed must be answered: without a reference that answers
it the run is incomplete (5). Where no prompt was compared with a reference or a recording, one
is missing (3): without it there is no agreement.

With --subject another engine is judged instead of the built-in one, which is then compared with
like a recording. WHAT is one of
  FILE[,FILE…]   logits it saved: .npy of float32 or float16 [positions, vocabulary]; .safetensors
                 of F32, F16 or BF16, arrays `prefill` and `decode` being logits and others nodes
                 under their keys; raw f32 with --subject-shape; .jsonl of the likeliest tokens,
                 {\"position\": 0, \"top\": [[1022, -0.25], …]}; .kld of one chunk, as
                 llama-perplexity --kl-divergence-base writes it, compared in its 16 bits. Logits
                 are a prefill's unless the name is behind `decode=`; `trace=` names a file of nodes
  cmd: COMMAND   a program, run by a shell once for each prompt and lane, in a process of its own
                 with --patience seconds. In the command, {model} stands for the file; {tokens}
                 for ids with commas between, or {tokens_file} for a file of them; {logits} for a
                 .npy to write, or {logits.safetensors} or {logits.f32}; {trace} for a .safetensors
                 of nodes to write; {lane} for prefill or decode, both asked;
                 {ubatch} for tokens computed together at most; {threads}
  serve: COMMAND, lib:FILE
                 a process that stays up, a shared library: `harness subject --help` says how
  http://…       llama-server, or one with OpenAI's completions that names tokens by their ids: it
                 is asked for the likeliest tokens of each position and greedy ones, and judged by
                 those alone; what model it has is its own affair
What it lacks is not asked for, and named. Equal bits are equal, no matter who made them. Unequal
ones are judged by --rtol and its like, else by the tier of the arithmetic that --profile claims,
else by the nearest tier: the strictest that holds or, if none does, the loosest, from which they
diverge. With --oracle an arithmetic without a name, on either side, is judged by its error against
a run in double precision instead: it may be twice the reference's own, node by node and in the
logits, which is more than another order of sums makes it and less than most faults.

Columns: bit-equal counts logits, nodes traced tensors, greedy the steps of the continuation, each
as equal/compared. Where bits differ: the smallest cosine, the largest difference, median and
largest NMSE and the largest KL divergence (nats) over the positions, and how often the most likely
token is the same. A verdict t1 or t2 is a tier of tolerances.toml: another arithmetic, judged by
distances.

Environment:
  CROSSVAL_GGUF   the model, where neither --model nor --case is given
  BITNET_CPP_DIR  a live C++ reference; without it recordings stand in (rust-only)";

/// Run every case through every runner there is, compare, judge
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Run the cases of that name only: whole, a part of it, or with * for any letters; several
    /// with commas
    #[arg(long, value_name = "NAME", conflicts_with_all = ["model", "model_file", "prompt"])]
    case: Vec<String>,

    #[command(flatten)]
    model: Models,

    /// With a model: this prompt instead of the fixtures', or @FILE, or - for standard input; may
    /// be given several times
    #[arg(short, long, value_name = "TEXT", value_parser = flags::text)]
    prompt: Vec<String>,

    /// Steps of the continuation of a prompt that no fixture knows
    #[arg(short = 'n', long, value_name = "N", default_value = "16")]
    #[arg(value_parser = flags::positive)]
    steps: usize,

    #[command(flatten)]
    json: Json,

    #[command(flatten)]
    html: Html,

    /// Write what the live references saw as recordings below this folder, one for each model.
    /// Without a folder: what the fixtures' recordings do not say waits for `harness review`
    #[arg(long, value_name = "DIR", num_args = 0..=1, conflicts_with = "jobs")]
    record: Option<Option<PathBuf>>,

    /// Take over the cases that this receipt of an earlier run has finished
    #[arg(long, value_name = "RECEIPT", conflicts_with = "record")]
    resume: Option<PathBuf>,

    #[command(flatten)]
    exports: Exports,

    /// Use these inner loops only [default: the fastest, and every other one must repeat it]
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

    #[command(flatten)]
    sharing: Sharing,

    /// End after the first case that does not agree
    #[arg(long)]
    fail_fast: bool,

    #[command(flatten)]
    last_failed: LastFailed,

    /// Print which cases would run, and run none
    #[arg(long)]
    list: bool,

    #[command(flatten)]
    reading: Reading,

    #[command(flatten)]
    subjects: Subjects,

    /// Order of the float operations; references of another one are then judged by distances. With
    /// --subject: the one it claims, and is held to [default: for each reference its own, as far as
    /// it is known; a subject without one is held to the nearest tier]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// Drive this C++ reference as well: bitnet, bitnet-portable, ik, llama, or a directory; may
    /// be given several times [default: what BITNET_CPP_DIR names, if it is set]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    /// Compute each case in double precision as well: both sides' errors are then told and, where
    /// an arithmetic has no name, decide
    #[arg(long)]
    oracle: bool,

    /// Seconds a reference may take for one case
    #[arg(long, value_name = "N", default_value = "120", value_parser = flags::seconds)]
    patience: Duration,

    /// Threads; results do not depend on it
    #[arg(long, value_name = "N", default_value = "1", value_parser = flags::positive)]
    threads: usize,

    #[command(flatten)]
    jobs: Jobs,

    /// The folder with cases.json [default: fixtures/ here or above, else built in]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let suite = args.suite()?;
    let limits = Limits {
        patience: args.patience,
        ..Limits::default()
    };
    let (recording, live) = args.recording(args.live(limits)?)?;
    let names: Vec<String> = live.iter().map(|live| live.facts.name.clone()).collect();
    let alone = names.is_empty() && args.subjects.brought().is_empty() && args.threads == 1;
    let engine = args.chosen()?;
    let Selection {
        cases,
        inputs,
        left_out,
    } = Selection::of(&args, &suite, &engine, !live.is_empty())?;
    let mut last = LastRun::of("crossval", &suite.folder, args.subjects.brought());
    let cases = args.again(&last, cases)?;
    let (cases, share) = args.share(cases, &names);
    if args.list {
        return list(&args, &cases);
    }
    args.roles(&inputs)?;
    for input in &inputs {
        warn(&engine, input, &cases)?;
    }

    let mut campaign = args.asking(suite.clone(), &engine, live)?;
    campaign = campaign.on(inputs, left_out).sharing(share);
    if args.fail_fast {
        campaign = campaign.failing_fast();
    }
    if !args.reference.is_empty() {
        campaign = campaign.demanding();
    }
    if let Some(earlier) = &args.resume {
        let earlier = resume::open(earlier, campaign.suite())?;
        campaign = campaign.resuming(earlier).checking_one();
    }
    let asked: Vec<&Case> = cases.iter().map(|(case, _)| case).collect();
    let mut rows = Rows::new(&asked, &campaign, !args.takes_stdout());
    let watch = |step: Step<'_>| {
        // What is told to be finished is kept by then, whatever comes between.
        if let Step::Ended(_, receipt) = step {
            keep(&args.json, receipt);
            last.ended(args.outcomes(receipt));
        }
        rows.step(step);
        Ok(())
    };
    let receipt = match args.jobs.of(alone) {
        1 => campaign.run(&cases, watch)?,
        jobs => {
            let again = || args.asking(suite.clone(), &args.chosen()?, args.live(limits)?);
            campaign.run_in_jobs(jobs, &cases, &again, watch)?
        }
    };
    last.ended(args.outcomes(&receipt));
    let printed = rows.end(&receipt);
    finished(&args, &receipt, recording, printed)
}

/// Everything that is written when all is done. What was found is said first, whatever cannot be
/// written.
fn finished(
    args: &Args,
    receipt: &Receipt,
    recording: Option<Recording>,
    rows_are_printed: bool,
) -> Result<Exit, Failure> {
    let text = if args.takes_stdout() {
        String::new()
    } else if rows_are_printed {
        table::below_pairs(receipt, Detail::wanted(), output::width())
    } else {
        table::render(receipt, Detail::wanted(), output::width())
    };
    let text = text + &args.next(receipt);
    let ended = finish(receipt.parity.status, &text, receipt, &args.json)?;
    args.exports.write(receipt)?;
    let page = || Ok(report::of_receipt(receipt));
    let ended = args.html.write(ended, page);
    if let Some(recording) = recording {
        recording.write(receipt)?;
    }
    Ok(ended)
}

impl Args {
    /// The fixtures. Who brings a model and a prompt of their own can do without.
    fn suite(&self) -> Result<Suite, Failure> {
        let own = !self.prompt.is_empty() && !self.is_of_fixtures();
        match (&self.fixtures, Suite::find()) {
            (Some(folder), _) => Suite::open(folder),
            (None, Ok(folder)) => Suite::open(&folder),
            (None, Err(_)) if own => Ok(Suite::without_fixtures()),
            (None, Err(none)) => Err(none),
        }
    }

    /// The live references, each remembered where --record was typed. What is built in is no
    /// place beside which something can wait.
    fn recording(&self, live: Vec<Live>) -> Result<(Option<Recording>, Vec<Live>), Failure> {
        let place = match &self.record {
            None => return Ok((None, live)),
            Some(Some(shelf)) => Place::Shelf(shelf.clone()),
            Some(None) => {
                let folder = self.fixtures.clone().map_or_else(Suite::folder_here, Ok)?;
                Place::Pending(Box::new(Suite::open(&folder)?))
            }
        };
        let (recording, live) = Recording::start(place, live)?;
        Ok((Some(recording), live))
    }

    /// Refuses outputs that would destroy an input or another output.
    fn roles(&self, inputs: &[Input]) -> Result<(), Failure> {
        let mut roles = FileRoles::default().continues(self.resume.as_deref());
        for input in inputs {
            roles = roles.reads("--model", &input.path);
        }
        let roles = roles
            .writes("--json", self.json.to.as_ref())?
            .writes("--html", self.html.to.as_ref())?;
        self.exports.roles(roles).map(drop)
    }

    /// The cases of this share. Those that nobody here answers are left out in every share.
    fn share(
        &self,
        cases: Vec<(Case, PathBuf)>,
        live: &[String],
    ) -> (Vec<(Case, PathBuf)>, Option<Share>) {
        let Some(shard) = self.sharing.shard else {
            return (cases, None);
        };
        let live: Vec<&str> = live.iter().map(String::as_str).collect();
        let (asked, unasked): (Vec<_>, Vec<_>) = cases
            .into_iter()
            .partition(|(case, _)| case.is_answerable(&live));
        let named = |(case, _): &(Case, PathBuf)| case.name.clone();
        let plan = asked.iter().map(named).collect();
        let typed = if self.reference.is_empty() {
            &[][..]
        } else {
            &live
        };
        let demanded = typed.iter().map(|name| (*name).to_owned()).collect();
        let own = shard.take(merge::COMMAND, asked, named);
        let share = Share {
            demanded,
            ..Share::new(shard, plan)
        };
        (own.into_iter().chain(unasked).collect(), Some(share))
    }

    /// Whether standard output is for a program.
    fn takes_stdout(&self) -> bool {
        self.json.takes_stdout() || self.html.takes_stdout() || self.exports.takes_stdout()
    }
}

/// Keeps what is finished, so that a run that is ended loses one case at most. A file that cannot
/// be written now is complained about at the end, when it is written for the last time; what is no
/// file is written only then.
fn keep(json: &Json, receipt: &Receipt) {
    let kept = json.to.as_ref().filter(|to| to.keeps_one());
    if let Some(Destination::Path(path)) = kept {
        signals::resume_with("--resume", path);
        let _ = json.write(&receipt.clone().sealed());
    }
}

/// What the engine finds odd about a model, once. Whether it opens at all is up to its cases.
fn warn(engine: &Engine, input: &Input, cases: &[(Case, PathBuf)]) -> Result<(), Failure> {
    if !cases.iter().any(|(_, path)| *path == input.path) {
        return Ok(());
    }
    match engine.model(input) {
        Ok(model) => Strictness { strict: false }.refuse(model.warnings()),
        Err(_) => Ok(()),
    }
}
