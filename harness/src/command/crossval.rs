//! `harness crossval`: the cases under `fixtures/`, judged against what the reference computed.

mod recordings;
mod rows;
mod selection;
mod subjects;

use std::path::PathBuf;
use std::time::Duration;

use engine::kernels::Kernel;
use engine::numerics::Profile;

use self::recordings::Recording;
use self::rows::Rows;
use self::selection::Selection;
use self::subjects::Subjects;
use crate::case::Case;
use crate::command::finish::finish;
use crate::command::flags::{self, Html, Json, Strictness};
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::file::reading::Reading;
use crate::io::destination::{Destination, FileRoles};
use crate::io::{output, signals};
use crate::oracle::crossval::campaign::{Live, Step};
use crate::oracle::crossval::resume;
use crate::receipt::table::Detail;
use crate::receipt::{Receipt, junit, table};
use crate::reference;
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
    /// Run this case only; may be given several times
    #[arg(long, value_name = "NAME", conflicts_with_all = ["model", "prompt"])]
    case: Vec<String>,

    /// Run this model instead of the fixtures' own
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// With --model: this prompt instead of the fixtures' prompts
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,

    #[command(flatten)]
    json: Json,

    #[command(flatten)]
    html: Html,

    /// Write what the live references saw as recordings below this folder, one for each model
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,

    /// Take over the cases that this receipt of an earlier run has finished
    #[arg(long, value_name = "RECEIPT", conflicts_with = "record")]
    resume: Option<PathBuf>,

    /// Write a JUnit report here
    #[arg(long, value_name = "FILE|-")]
    junit: Option<Destination>,

    /// Use these inner loops only [default: the fastest, and every other one must repeat it]
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

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

    /// The folder with cases.json [default: fixtures/ here, above, or where this was built]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let folder = args.fixtures.clone().map_or_else(Suite::find, Ok)?;
    let suite = Suite::open(&folder)?;
    let limits = Limits {
        patience: args.patience,
        ..Limits::default()
    };
    let live = reference::open(&args.reference, limits)?;
    let lanes = |reference| Live::lanes(reference, args.reading);
    let mut live: Vec<Live> = live.into_iter().flat_map(lanes).collect();
    let mut recording = None;
    if let Some(shelf) = &args.record {
        let (started, recorded) = Recording::start(shelf, live)?;
        (recording, live) = (Some(started), recorded);
    }
    let names: Vec<String> = live.iter().map(|live| live.facts.name.clone()).collect();
    let engine = args.engine(args.kernel.unwrap_or_else(Kernel::best), args.threads)?;
    let Selection {
        cases,
        inputs,
        left_out,
    } = Selection::of(&args, &suite, &engine, !live.is_empty())?;
    let mut roles = FileRoles::default().continues(args.resume.as_deref());
    for input in &inputs {
        roles = roles.reads("--model", &input.path);
    }
    roles
        .writes("--json", args.json.to.as_ref())?
        .writes("--junit", args.junit.as_ref())?
        .writes("--html", args.html.to.as_ref())?;
    for input in &inputs {
        warn(&engine, input, &cases)?;
    }

    let exact = engine
        .on_threads(args.threads)
        .with_profile(Profile::OracleF64);
    let mut campaign = args.campaign(suite, engine)?.with_references(live);
    if args.oracle {
        campaign = campaign.against(Box::new(exact));
    }
    campaign = campaign.on(inputs, left_out);
    if !args.reference.is_empty() {
        campaign = campaign.demanding();
    }
    if let Some(earlier) = &args.resume {
        campaign = campaign.resuming(resume::open(earlier)?);
    }
    if let Some(Destination::Path(receipt)) = &args.json.to {
        signals::resume_with(signals::again("--resume", receipt));
    }
    let asked: Vec<&Case> = cases.iter().map(|(case, _)| case).collect();
    let mut rows = Rows::new(&asked, &names, !args.takes_stdout());
    let receipt = campaign.run(&cases, |step| {
        rows.step(step);
        if let Step::Ended(_, receipt) = step {
            keep(&args.json, receipt);
        }
        Ok(())
    })?;
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
    if let Some(junit) = &args.junit {
        junit.write(junit::render(receipt).as_bytes())?;
    }
    let page = || Ok(report::of_receipt(receipt));
    let ended = args.html.write(ended, page);
    if let Some(recording) = recording {
        recording.write(receipt)?;
    }
    Ok(ended)
}

impl Args {
    /// Whether standard output is for a program.
    fn takes_stdout(&self) -> bool {
        let junit = self.junit == Some(Destination::Stdout);
        self.json.takes_stdout() || self.html.takes_stdout() || junit
    }
}

/// Keeps what is finished, so that a run that is ended loses one case at most. A file that cannot
/// be written now is complained about at the end, when it is written for the last time; what is no
/// file is written only then.
fn keep(json: &Json, receipt: &Receipt) {
    if json.to.as_ref().is_some_and(Destination::keeps_one) {
        let _ = json.write(receipt);
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
