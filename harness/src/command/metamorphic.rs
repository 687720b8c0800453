//! `harness metamorphic`: edits of a model, and ways through it, that must not change a bit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::Model;
use engine::bytes::ModelBytes;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::refusal::escape;
use engine::session::OpenOptions;
use serde::Serialize;

use crate::command::brought::Brought;
use crate::command::finish::finish;
use crate::command::flags::{self, Jobs, Json, Models};
use crate::command::last_failed::{LastFailed, LastRun};
use crate::command::listed::Listed;
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::io::{output, progress, threads};
use crate::judge::outcome::{Lost, Outcome};
use crate::numbers::split_mix::SplitMix64;
use crate::oracle::metamorphic::{self, Prompt, Relation, Report};
use crate::reference;
use crate::reference::isolation::Limits;
use crate::runner::Runner;
use crate::runner::engine::Engine;
use crate::runner::reference::Observing;
use crate::runner::suite::Suite;

const EXAMPLE: &str = "\
Examples:
  harness metamorphic
  harness metamorphic --model model.gguf --prompt 'Call me Ishmael.' --json
  harness metamorphic --reference bitnet --reference bitnet-portable
  harness metamorphic --model model.gguf --prompt 'Call me Ishmael.' \\
      --subject 'cmd: harness eval --model {model} --tokens {tokens} --logits {logits}'

Needs no reference. Each relation edits the model, or takes another way through the same tokens,
without changing what is computed: every logit must keep every bit, in prefill and in one-token
decode. Each has a one-sided control that must show; a control that does not show fails the run.
A live reference is examined like the engine: one that fails a relation is not fit to be one. With
--subject an engine of yours is examined instead of the built-in one, as far as it can be asked.";

/// What is fed where no prompt is given: one short text, and one that crosses the places where
/// attention changes its length.
const PROMPTS: [&str; 2] = [
    "Call me Ishmael.",
    "Some years ago, never mind how long precisely, having little or no money in my purse, and \
     nothing particular to interest me on shore, I thought I would sail about a little and see \
     the watery part of the world.",
];

/// What is fed where the model knows no text.
const PROMPT_WITHOUT_VOCABULARY: usize = 70;

/// Threads of a relation at most: what they may use of the processors in the time they have.
const SPINNING: u64 = 3;

/// Edits that must not change a bit of a model's logits, each with a control that must
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    model: Models,

    /// The text; may be given several times [default: two texts of this program]
    #[arg(short, long, value_name = "TEXT", value_parser = flags::text)]
    prompt: Vec<String>,

    /// Inner loops to use instead of the fastest this CPU has; none changes a result
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

    /// Order of float operations
    #[arg(long, value_name = "NAME", default_value = "ggml-avx512", value_parser = flags::profile)]
    profile: Profile,

    /// Examine this C++ reference as well: bitnet, bitnet-portable, ik, llama, or a directory; may
    /// be given several times [default: what BITNET_CPP_DIR names, if it is set]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    #[command(flatten)]
    brought: Brought,

    /// Seconds a reference or an engine of yours may take for one relation
    #[arg(long, value_name = "N", default_value = "300", value_parser = flags::seconds)]
    patience: Duration,

    #[command(flatten)]
    last_failed: LastFailed,

    #[command(flatten)]
    listed: Listed,

    #[command(flatten)]
    jobs: Jobs,

    #[command(flatten)]
    json: Json,
}

/// Everything, as written for programs.
#[derive(Serialize)]
struct Summary {
    schema_version: u32,
    models: Vec<Examined>,
    skipped: Vec<Skipped>,
    status: Outcome,
}

/// A model that was not examined, most often because a reference does not take it.
#[derive(Serialize)]
struct Skipped {
    model: String,
    reference: String,
    #[serde(flatten)]
    lost: Lost,
}

/// A report with what it is about.
#[derive(Serialize)]
struct Examined {
    model: String,
    model_sha256: String,
    #[serde(flatten)]
    report: Report,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let mut models = args.model.typed();
    let mut last = LastRun::of("metamorphic", Path::new(""), &args.brought.subject);
    if models.is_empty() {
        let folder = Suite::find()?;
        models = fixtures(&folder);
        last = LastRun::of("metamorphic", &folder, &args.brought.subject);
    }
    let shown = |path: &PathBuf| path.display().to_string();
    models = args.last_failed.of(&last, models, shown)?;
    if let Some(listed) = args.listed.names(models.iter().map(shown), &args.json) {
        return listed;
    }
    args.json
        .beside(models.iter().map(|path| ("--model", path.as_path())))?;
    let own = sources(&args)?;
    let sides = own.len();
    let mut names = vec![String::new(); sides];
    let count = models.len() * sides;
    let bar = progress::bar((count * Relation::ALL.len()) as u64, "relations");
    let mut summary = Summary {
        schema_version: metamorphic::SCHEMA,
        models: Vec::new(),
        skipped: Vec::new(),
        status: Outcome::Incomplete,
    };
    let mut failed = None;
    let work = |sources: &mut Vec<Box<dyn Runner>>, at: usize| {
        let (model, source) = (&models[at / sides], &mut *sources[at % sides]);
        let examined = examine(model, &args, source, &mut || bar.inc(1));
        // Asked now, because some know who they are only when they have answered.
        let name = source.identity().name;
        let examined = examined.map_err(|failure| {
            let skipped = Skipped {
                model: shown(model),
                reference: name.clone(),
                lost: Lost::new(failure.exit.into(), &failure),
            };
            (skipped, failure)
        });
        (at % sides, name, examined)
    };
    threads::in_order(
        args.jobs.of(sides == 1),
        count,
        own,
        || sources(&args),
        work,
        |(side, name, examined)| {
            names[side] = name;
            match examined {
                Ok(examined) => summary.models.push(examined),
                Err((skipped, failure)) => {
                    summary.skipped.push(skipped);
                    failed.get_or_insert(failure);
                }
            }
            Ok::<bool, Failure>(true)
        },
    )?;
    bar.finish_and_clear();
    last.ended(summary.ends());
    if let (Some(failure), []) = (failed, &summary.models[..]) {
        return Err(failure);
    }
    let silent = summary.silent(names);
    summary.status = summary.outcome(!silent.is_empty());
    let text = summary.render(&silent, output::width());
    finish(summary.status, &text, &summary, &args.json)
}

impl Summary {
    /// What each model comes to. One that a reference does not take is no fault of either.
    fn ends(&self) -> Vec<(String, Outcome)> {
        let examined = self.models.iter();
        let examined = examined.map(|one| (one.model.clone(), one.report.status));
        let skipped = self.skipped.iter();
        let skipped = skipped.map(|one| (one.model.clone(), one.lost.outcome));
        let failed = skipped.filter(|(_, outcome)| *outcome != Outcome::ReferenceMissing);
        examined.chain(failed).collect()
    }

    /// The names of those that were examined on no model.
    fn silent(&self, mut names: Vec<String>) -> Vec<String> {
        let examined = |name: &String| {
            let mut models = self.models.iter();
            models.any(|one| one.report.computed_by.name == *name)
        };
        names.retain(|name| !examined(name));
        names
    }

    /// The worst of all models. One that a reference does not take is no fault, unless it took
    /// none: then it is `silent`.
    fn outcome(&self, silent: bool) -> Outcome {
        let examined = self.models.iter().map(|one| one.report.status);
        let skipped = self.skipped.iter().map(|skipped| skipped.lost.outcome);
        let failed = skipped.filter(|outcome| *outcome != Outcome::ReferenceMissing);
        let missing = silent.then_some(Outcome::ReferenceMissing);
        Outcome::worst(Outcome::Ok, examined.chain(failed).chain(missing))
    }

    fn render(&self, silent: &[String], width: Option<usize>) -> String {
        let examined = self.models.iter().map(|examined| {
            let model = escape(&examined.model);
            format!("{model}\n{}\n", examined.report.render(width))
        });
        let skipped = self.skipped.iter().map(|skipped| {
            let missing = skipped.lost.outcome == Outcome::ReferenceMissing;
            let word = if missing { "SKIPPED" } else { "FAILED" };
            let [model, reference, why] =
                [&skipped.model, &skipped.reference, &skipped.lost.why].map(|s| escape(s));
            format!("{word} {model} by {reference}: {why}\n")
        });
        let silent = (!silent.is_empty()).then(|| silent.join(", "));
        let silent = silent.map(|names| format!("no model was taken by {names}\n"));
        examined.chain(skipped).chain(silent).collect()
    }
}

/// The engine, then every live reference.
fn sources(args: &Args) -> Result<Vec<Box<dyn Runner>>, Failure> {
    let limits = Limits {
        patience: args.patience,
        // Threads of a reference spin while they wait.
        cpu_seconds: args.patience.as_secs() * SPINNING,
        ..Limits::default()
    };
    let kernel = args.kernel.unwrap_or_else(Kernel::best);
    let engine = Engine::new(kernel, 1).with_profile(args.profile);
    let mut sources: Vec<Box<dyn Runner>> = Vec::new();
    for subject in args.brought.open(None, Some(limits.patience))? {
        sources.push(subject);
    }
    if sources.is_empty() {
        sources.push(Box::new(engine));
    }
    for reference in reference::open(&args.reference, limits)? {
        sources.push(Box::new(Observing::unchanged(reference)));
    }
    Ok(sources)
}

/// The trained models of this repository.
fn fixtures(folder: &Path) -> Vec<PathBuf> {
    let names = ["moby-tiny-b158.gguf", "moby-tiny-bitnet.gguf"];
    names
        .map(|name| folder.join("moby-tiny").join(name))
        .to_vec()
}

fn examine(
    path: &Path,
    args: &Args,
    source: &mut dyn Runner,
    done: &mut dyn FnMut(),
) -> Result<Examined, Failure> {
    let (input, bytes) = Input::read(path)?;
    let prompts = prompts(&bytes, &args.prompt)?;
    let report = metamorphic::examine(source, bytes, prompts, done)?;
    input.still_holds()?;
    Ok(Examined {
        model: path.display().to_string(),
        model_sha256: input.sha256,
        report,
    })
}

/// The texts as the model reads them; random tokens where it reads none.
fn prompts(file: &ModelBytes, texts: &[String]) -> Result<Vec<Prompt>, Failure> {
    let model = Model::from_bytes(file.to_vec(), &OpenOptions::default())?;
    let Some(tokenizer) = model.tokenizer() else {
        if !texts.is_empty() {
            let message = "the model has no vocabulary, so a prompt means nothing to it";
            return Err(Failure::input(message));
        }
        let mut dice = SplitMix64(1);
        let token = |_| dice.below(model.config().vocab_size) as u32;
        return Ok(vec![Prompt {
            text: None,
            tokens: (0..PROMPT_WITHOUT_VOCABULARY).map(token).collect(),
        }]);
    };
    let texts = if texts.is_empty() {
        PROMPTS.map(String::from).to_vec()
    } else {
        texts.to_vec()
    };
    let prompt = |text: String| Prompt {
        tokens: tokenizer.encode(&text, true, true),
        text: Some(text),
    };
    Ok(texts.into_iter().map(prompt).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_failed_models_comes_to_the_worse_and_hides_nothing() {
        let summary = |outcomes: &[Outcome]| Summary {
            schema_version: metamorphic::SCHEMA,
            models: Vec::new(),
            skipped: Vec::from_iter(outcomes.iter().map(|outcome| Skipped {
                model: String::new(),
                reference: String::new(),
                lost: Lost::new(*outcome, ""),
            })),
            status: Outcome::Incomplete,
        };
        for first in Outcome::ALL {
            for second in Outcome::ALL {
                let silent = [first, second].contains(&Outcome::ReferenceMissing);
                let found = summary(&[first, second]).outcome(silent);
                assert_eq!(found, first.max(second));
            }
        }
        let declined = summary(&[Outcome::ReferenceMissing]).outcome(false);
        assert_eq!(declined, Outcome::Ok, "it took another model");
    }
}
