//! `harness trace`: node by node, which operation is the first to compute something else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::kernels::Kernel;
use engine::numerics::Profile;
use serde::Serialize;

use super::answers::{AboutCase, Answers, EachCase, Finding, NoFinding};
use super::brought::Brought;
use super::finish::finish;
use super::last_failed::LastFailed;
use super::listed::Listed;
use super::selection::{Question, Selection};
use crate::case::Case;
use crate::case::ability::Ability;
use crate::case::observation::{Identity, Lane};
use crate::case::schedule::{Schedule, Step};
use crate::command::flags::{self, Html, Jobs, Json};
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::io::look;
use crate::io::output::{self, quoted};
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::local::Rung;
use crate::oracle::trace::bundle::{self, Bundle};
use crate::oracle::trace::layers::{self, Search};
use crate::oracle::trace::{Located, locate, table};
use crate::reference::isolation::Limits;
use crate::runner::engine::{Engine, open};
use crate::runner::passes::{Guest, Passes};
use crate::runner::recorded::Recorded;
use crate::runner::reference::Observing;
use crate::runner::subject::StandIn;
use crate::runner::suite::Suite;
use crate::runner::{ModelFile, Runner, Subject, Task, guarded};

const HELP: &str = "\
Examples:
  harness trace
  harness trace --case b158-ishmael --recording mar2026-b158-avx2
  harness trace --case b158-ishmael --html trace.html
  harness trace --reference bitnet
  harness trace --reference bitnet --model model.gguf --prompt 'Any text at all'
  harness trace --reference bitnet --case bitnet-november --ubatch 7
  harness trace --model model.gguf --prompt 'Call me Ishmael.' \\
      --subject 'cmd: harness eval --model {model} --tokens {tokens} \\
                 --logits {logits} --trace {trace}'
  harness trace --profile ggml-avx2 --recording mar2026-b158-avx512 --bundle blamed/
  harness trace --replay blamed/

Columns: differ is the share of elements whose bits differ in the free pass. total, local and
inherited are NMSEs: of the free pass, of the operation alone on the reference's inputs, and of what
came with the inputs. flips counts certified and all roundings that fell the other way. The element
shown is where the operation alone differs first, or where it does not, the free pass; at is its
place, outermost index first.

With --subject another engine is looked into, and --profile is what it claims. One that goes on from
values it is given has every operation judged alone; of one that only shows nodes the first that
differs is named or, in another arithmetic, the first that roundings do not explain. Where no
recording and no live reference shows a prompt's nodes the built-in engine does.

Where a prompt takes several ubatches every node is there once in each: #0, #1, … count them, as the
reference does. A reference that dies or refuses costs its own entry and no other: what was found
before and after it is printed and written, and a divergence decides the exit code.";

/// Locate the first operation that computes something else than a reference's trace
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// What is asked about.
    #[command(flatten)]
    pub selection: Selection,

    /// Tokens computed together at most, instead of what the recordings have; for live references
    #[arg(long, value_name = "N", value_parser = flags::positive, conflicts_with = "recording")]
    ubatch: Option<usize>,

    #[command(flatten)]
    brought: Brought,

    /// Only find the first bad layer, by halving, without keeping every node
    #[arg(long, conflicts_with_all = ["bundle", "subject"])]
    layer_search: bool,

    #[command(flatten)]
    last_failed: LastFailed,

    #[command(flatten)]
    listed: Listed,

    #[command(flatten)]
    jobs: Jobs,

    /// Where the result goes as JSON.
    #[command(flatten)]
    pub json: Json,

    /// Where the result goes as a page.
    #[command(flatten)]
    pub html: Html,

    /// Write the inputs and both results of the first suspect below here, to take away and replay
    #[arg(long, value_name = "DIR", conflicts_with = "subject")]
    bundle: Option<PathBuf>,

    /// Repeat the operation of a bundle alone, and nothing else
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "case", "recording", "reference", "prompt", "profile", "kernel", "ubatch", "layer_search",
        "bundle", "subject", "html",
    ])]
    replay: Option<PathBuf>,
}

/// What was found between one case and one reference.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// Node by node.
    Located(Box<Located>),
    /// By halving.
    Search(Search),
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    if let Some(folder) = &args.replay {
        return replay(&args, folder);
    }
    let model = args.selection.model.typed().map(|model| ("--model", model));
    args.html.beside(args.json.beside(model)?)?;
    let suite = args.selection.suite(&args.json)?;
    let open = || args.asked(&suite);
    let own = open()?;
    let any = own.computes();
    let each = EachCase {
        command: "trace",
        selection: &args.selection,
        suite: &suite,
        brought: &args.brought,
        last_failed: args.last_failed,
        listed: args.listed,
        jobs: args.jobs,
    };
    let about = |asked: &mut Asked, case: &(Case, PathBuf)| args.about(case, asked);
    each.ask(
        (own, any),
        open,
        about,
        Answers::new(&args.json).shown(&args.html),
    )
}

/// Everybody whose nodes are looked at or compared with.
struct Asked {
    recordings: BTreeMap<String, Recorded>,
    live: Vec<Observing>,
    subjects: Vec<Box<dyn Subject>>,
}

impl Asked {
    /// Whether one of them computes now.
    fn computes(&self) -> bool {
        !self.live.is_empty() || !self.subjects.is_empty()
    }
}

impl Args {
    /// Opens everybody.
    fn asked(&self, suite: &Suite) -> Result<Asked, Failure> {
        let live = self.selection.live(Limits::default().cpu_seconds)?;
        let live = live.into_iter().map(Observing::new);
        let claimed = self.selection.profile.map(Profile::name);
        let subjects = self.brought.open(claimed, Some(self.selection.patience))?;
        Ok(Asked {
            recordings: suite.recordings.clone(),
            live: live
                .map(|one| one.reading(self.selection.reading))
                .collect(),
            subjects,
        })
    }

    /// One case, compared with everybody.
    fn about(&self, (case, path): &(Case, PathBuf), asked: &mut Asked) -> AboutCase<Found> {
        let mut about = AboutCase::new(&case.name);
        let question = self.selection.question(case.clone(), path.clone());
        let Some(question) = about.needs(question.map_err(NoFinding::from)) else {
            return about;
        };
        let mut case = question.live();
        case.ubatch = self.ubatch.unwrap_or(case.ubatch);
        let recordings = self.recordings(&question.case);
        let alone = recordings.is_empty() && asked.live.is_empty();
        let mut stand_in = self.stand_in(asked.computes() && alone);
        let shelf = asked.recordings.iter_mut();
        let mut recorded: Vec<_> = shelf
            .filter(|(known, _)| recordings.contains(known))
            .collect();
        recorded.sort_by_key(|(known, _)| recordings.iter().position(|name| name == *known));
        let recorded = recorded.into_iter();
        let mut references: Vec<(&Case, &mut dyn Runner)> = recorded
            .map(|(_, recorded)| (&question.case, recorded as &mut dyn Runner))
            .collect();
        let live = asked.live.iter_mut();
        references.extend(live.map(|live| (&case, live as &mut dyn Runner)));
        let stand_in = stand_in.iter_mut();
        references.extend(stand_in.map(|one| (&case, one as &mut dyn Runner)));
        for (case, reference) in references {
            if asked.subjects.is_empty() {
                let found = self.ask(&question, case, reference);
                about.add(Some(reference.identity()), found);
            }
            for subject in &mut asked.subjects {
                let found = self.ask_subject(&question, case, reference, &mut **subject);
                about.add(Some(reference.identity()), found);
            }
        }
        about
    }
}

impl Args {
    /// The recordings that show the nodes of a case; none where other ubatches were asked for.
    fn recordings(&self, case: &Case) -> Vec<String> {
        if self.ubatch.is_some_and(|ubatch| ubatch != case.ubatch) {
            return Vec::new();
        }
        self.selection.recordings(case)
    }

    /// The command that takes the blamed operation away.
    fn taken_away(&self, case: &Case, reference: &Identity, live: bool) -> String {
        let about = match (self.selection.model.typed(), &self.selection.prompt) {
            (Some(model), Some(prompt)) => {
                let model = quoted(&model.to_string_lossy());
                format!("--model {model} --prompt {}", quoted(prompt))
            }
            _ => format!("--case {}", case.name),
        };
        let (with, name) = (
            if live { "reference" } else { "recording" },
            &reference.name,
        );
        let profile = self
            .selection
            .profile
            .map(|p| format!(" --profile {}", p.name()));
        let profile = profile.unwrap_or_default();
        format!("next: harness trace {about} --{with} {name}{profile} --bundle blamed/\n")
    }

    /// The built-in engine where nobody else shows what a subject is compared with.
    fn stand_in(&self, needed: bool) -> Option<StandIn> {
        let kernel = self.selection.kernel.unwrap_or_else(Kernel::best);
        let claimed = self.selection.profile.map(Profile::name);
        needed.then(|| StandIn::new(Engine::new(kernel, 1), claimed))
    }

    /// Compares a subject on one prompt with any runner that shows nodes.
    fn ask_subject(
        &self,
        question: &Question,
        case: &Case,
        reference: &mut dyn Runner,
        subject: &mut dyn Subject,
    ) -> Result<Finding<Found>, NoFinding> {
        let model = &question.input;
        let (identity, lacking) = (subject.identity(), subject.lacking());
        if lacking.contains(&Ability::Nodes) {
            let why = format!("{identity} shows no nodes: `crossval` judges its logits");
            return Err(NoFinding::declined(Outcome::Incomplete, why));
        }
        let theirs = guarded(|| reference.observe(Task { case, model }));
        let theirs = theirs.map_err(NoFinding::no_answer)?;
        let opened = subject.open(ModelFile::Read(model));
        let prefill = Schedule::of(Step::of_lane(Lane::Prefill, &theirs.tokens));
        let mut guest = Guest {
            opened: &mut *opened.map_err(Failure::from)?,
            identity,
            lacking,
            prefill: Schedule {
                ubatch: case.ubatch,
                ..prefill
            },
            model: &question.model,
        };
        let located = locate(&theirs, case.nodes, &mut guest)?.located;
        Ok(Finding {
            outcome: located.outcome(),
            text: table::render(&located, look::is_verbose(), output::width()),
            found: Found::Located(Box::new(located)),
        })
    }

    /// Compares one prompt with any runner that shows nodes: a recording, a live reference.
    pub fn ask(
        &self,
        question: &Question,
        case: &Case,
        reference: &mut dyn Runner,
    ) -> Result<Finding<Found>, NoFinding> {
        let model = &question.input;
        let theirs = guarded(|| reference.observe(Task { case, model }));
        let theirs = theirs.map_err(NoFinding::no_answer)?;
        let profile = self.selection.profile(&theirs.identity.profile);
        let mut passes = Passes::new(&question.model, &theirs.tokens, profile, case.ubatch)?;
        if self.layer_search {
            let rung = Rung::between(&theirs.identity.profile, profile.name());
            let node = |key: &str| theirs.trace.iter().find(|n| n.key == key);
            let search = layers::search(node, &mut passes, rung)?;
            return Ok(Finding {
                outcome: search.outcome(),
                text: format!("{}: {}", theirs.identity, table::search(&search)),
                found: Found::Search(search),
            });
        }
        let evidence = locate(&theirs, case.nodes, &mut passes)?;
        let mut outcome = evidence.located.outcome();
        let mut text = table::render(&evidence.located, look::is_verbose(), output::width());
        if evidence.located.blamed.is_some() && self.bundle.is_none() {
            text += &self.taken_away(case, &theirs.identity, reference.is_live());
        }
        if let Some(folder) = &self.bundle {
            let folder = folder.join(&case.name).join(&theirs.identity.name);
            let written = bundle::write(&folder, &evidence, &theirs, &passes, model);
            text += &match written {
                Ok(Some(node)) => {
                    let folder = folder.display();
                    format!(
                        "{node} is bundled in {folder}\nnext: harness trace --replay {folder}\n"
                    )
                }
                Ok(None) => "no operation differs on its own, so there is no bundle\n".into(),
                // What was located stays located.
                Err(failure) => {
                    outcome = outcome.max(failure.exit.into());
                    format!("NOT BUNDLED: {failure}\n")
                }
            };
        }
        let found = Found::Located(Box::new(evidence.located));
        Ok(Finding {
            outcome,
            text,
            found,
        })
    }
}

fn replay(args: &Args, folder: &Path) -> Result<Exit, Failure> {
    let bundle = Bundle::read(&bundle::find(folder)?)?;
    let manifest = &bundle.manifest;
    let path = args.selection.model.typed().unwrap_or(&manifest.model);
    let (input, _) = Input::read(path)?;
    if input.sha256 != manifest.model_sha256 {
        let (asked, found) = (&manifest.model_sha256, &input.sha256);
        let message = format!("the bundle is about the model {asked}, this one is {found}");
        return Err(Failure::input(message));
    }
    let kernel = flags::kernel(&manifest.kernel).map_err(Failure::input)?;
    let profile = flags::profile(&manifest.profile).map_err(Failure::input)?;
    let model = open(&input, args.selection.reading, Some(kernel))?;
    let tokens = &manifest.tokens;
    let mut passes = Passes::new(&model, tokens, profile, tokens.len())?;
    let repeated = bundle.replay(&mut passes)?;
    finish(
        repeated.outcome(),
        &table::replay(&repeated),
        &repeated,
        &args.json,
    )
}
