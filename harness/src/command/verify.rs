//! `harness verify`: every ternary product of a C++ run checked without computing it again.

mod transcript;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;

use engine::numerics::Profile;

use super::answers::{Answers, Finding, NoFinding};
use super::brought::Brought;
use super::flags::{self, Json};
use super::selection::{Question, Selection};
use crate::case::Case;
use crate::case::ability::Ability;
use crate::case::observation::{Identity, Lane, TracedNode};
use crate::case::schedule::{Schedule, Step};
use crate::exit::{Exit, Failure};
use crate::io::{look, output};
use crate::judge::outcome::Outcome;
use crate::oracle::verify::{Verified, Verifier, table};
use crate::reference::isolation::Limits;
use crate::runner::engine::tokenize;
use crate::runner::passes::Passes;
use crate::runner::reference::Observing;
use crate::runner::watch::Watch;
use crate::runner::{ModelFile, Runner, Task, guarded};

const HELP: &str = "\
Examples:
  harness verify
  harness verify --recording mar2026-b158-avx512 -v
  harness verify --reference bitnet --model model.gguf --prompt 'Any text at all'
  harness verify --reference bitnet --case bitnet-november --ubatch 7
  harness generate --model model.gguf --prompt 'The whale' -n 32 --receipt text.json
  harness verify --model model.gguf --transcript text.json
  harness verify --model model.gguf --prompt 'Call me Ishmael.' --profile ggml-avx512 \\
      --subject 'cmd: harness eval --model {model} --tokens {tokens} \\
                 --logits {logits} --trace {trace}'

A ternary product adds whole numbers and scales their sum once. The sums are taken back out of the
outputs that a run shows, and one random equation for each position says whether they are the
matrix times the activations: a right product always passes, a wrong one once in 2^61. Weights are
read once a model, not once a token, and nothing that the engine here computes is trusted. What
runs between the products, norms and attention, is `trace`'s to compare, and so are products of
other weights, which are sums of floats.

With --transcript it is the tokens that are checked, which `generate --receipt` wrote: each is
chosen again from the logits behind those before it, to the bit, computed together. What was
exchanged, cut off, written by another model or chosen by other options is refused, each under a
word of its own.

Exit 1 where a product is wrong, 5 where one could not be checked. This is about what was computed;
`harness receipt verify` is about what a receipt says of it.";

/// Check every ternary product of a C++ run, recorded or live, without computing it again
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,

    /// Tokens computed together at most; for live references
    #[arg(long, value_name = "N", value_parser = flags::positive, conflicts_with = "recording")]
    ubatch: Option<usize>,

    #[command(flatten)]
    brought: Brought,

    /// Check the tokens that `generate --receipt` wrote here
    #[arg(long, value_name = "FILE", requires = "OneModel")]
    #[arg(conflicts_with_all = ["prompt", "recording", "reference", "profile", "seed", "ubatch"])]
    transcript: Option<PathBuf>,

    /// Makes the random equations [default: drawn, and printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    #[command(flatten)]
    json: Json,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    if let Some(file) = &args.transcript {
        return transcript::verify(file, &args.selection, &args.json);
    }
    let mut suite = args.selection.suite(&args.json)?;
    let seed = args
        .seed
        .unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let reading = args.selection.reading;
    let live = args
        .selection
        .live(Limits::default().cpu_seconds)?
        .into_iter();
    let mut live: Vec<Observing> = live
        .map(|one| Observing::new(one).reading(reading))
        .collect();
    let claimed = args.selection.profile.map(Profile::name);
    let mut subjects = args.brought.open(claimed, None)?;
    let any = !live.is_empty() || !subjects.is_empty();
    let mut answers = Answers::new(&args.json);
    for (case, path) in args.selection.cases(&suite, any)? {
        let name = case.name.clone();
        let question = args.selection.question(case, path).map_err(NoFinding::from);
        let Some(question) = answers.needs(&name, question) else {
            continue;
        };
        let mut verifier = Verifier::new(&question.model, seed);
        let recordings = args.recordings(&question.case);
        for recording in recordings.iter().filter(|_| subjects.is_empty()) {
            let recorded = suite
                .recordings
                .get_mut(recording)
                .expect("it was selected");
            let task = Task {
                case: &question.case,
                model: &question.input,
            };
            let seen = guarded(|| recorded.observe(task)).map_err(NoFinding::no_answer);
            let found = seen.and_then(|seen| args.found(&mut verifier, seen.identity, &seen.trace));
            answers.add(&name, Some(recorded.identity()), found);
        }
        let schedule = args.schedule(&question)?;
        for reference in &mut live {
            let found = shown(reference, &question, &schedule)
                .and_then(|nodes| args.found(&mut verifier, reference.identity(), &nodes));
            answers.add(&name, Some(reference.identity()), found);
        }
        for subject in &mut subjects {
            let found = shown(&mut **subject, &question, &schedule)
                .and_then(|nodes| in_order(nodes, &question, &schedule))
                .and_then(|nodes| args.found(&mut verifier, subject.identity(), &nodes));
            answers.add(&name, Some(subject.identity()), found);
        }
    }
    answers.end()
}

impl Args {
    /// The recordings that show the nodes of a case; none where other ubatches were asked for.
    fn recordings(&self, case: &Case) -> Vec<String> {
        let other = self.ubatch.is_some_and(|ubatch| ubatch != case.ubatch);
        let recordings = self.selection.recordings(case);
        if other { Vec::new() } else { recordings }
    }

    /// The prompt in its ubatches.
    fn schedule(&self, question: &Question) -> Result<Schedule, Failure> {
        let tokens = tokenize(&question.model, &question.case.prompt)?;
        let prefill = Schedule::of(Step::of_lane(Lane::Prefill, &tokens));
        let ubatch = self.ubatch.unwrap_or(question.case.ubatch);
        Ok(Schedule { ubatch, ..prefill })
    }

    fn found(
        &self,
        verifier: &mut Verifier<'_>,
        by: Identity,
        nodes: &[TracedNode],
    ) -> Result<Finding<Verified>, NoFinding> {
        let found = verifier.verify(by, nodes);
        let found = found.map_err(|why| NoFinding::declined(Outcome::Incomplete, why))?;
        Ok(Finding {
            outcome: found.outcome(),
            text: table::render(&found, look::is_verbose(), output::width()),
            found,
        })
    }
}

/// The nodes of a run that is made now.
fn shown(
    runner: &mut dyn Runner,
    question: &Question,
    schedule: &Schedule,
) -> Result<Vec<TracedNode>, NoFinding> {
    if !runner.shows_nodes() || runner.lacking().contains(&Ability::Nodes) {
        let why =
            "it shows no nodes, so there is no product to check: `crossval` judges its logits";
        return Err(NoFinding::declined(Outcome::Incomplete, why));
    }
    let followed = guarded(|| {
        let mut opened = runner.open(ModelFile::Read(&question.input))?;
        opened.follow(schedule, &Watch::every())
    });
    Ok(followed.map_err(NoFinding::no_answer)?.nodes)
}

/// Files of nodes keep no order: the engine says it.
fn in_order(
    mut nodes: Vec<TracedNode>,
    question: &Question,
    schedule: &Schedule,
) -> Result<Vec<TracedNode>, NoFinding> {
    let tokens = schedule.steps[0].tokens();
    let profile = Profile::default();
    let mut passes = Passes::new(&question.model, tokens, profile, schedule.ubatch)?;
    let order = passes.free()?.nodes;
    let place = |key: &str| order.iter().position(|node| node.key == key);
    nodes.sort_by_cached_key(|node| place(&node.key).unwrap_or(usize::MAX));
    Ok(nodes)
}
