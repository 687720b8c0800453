//! `harness attribute`: module by module, what it alone does to the logits.

use std::path::PathBuf;

use engine::Token;
use engine::numerics::Profile;
use serde::Serialize;

use super::answers::{AboutCase, Answers, EachCase, Finding, NoFinding};
use super::brought::Brought;
use super::last_failed::LastFailed;
use super::listed::Listed;
use super::selection::{Question, Selection};
use crate::case::Case;
use crate::case::ability::Ability;
use crate::case::observation::Lane;
use crate::case::schedule::{Schedule, Step};
use crate::command::flags::{self, Jobs, Json};
use crate::exit::{Exit, Failure};
use crate::io::{look, output, progress};
use crate::judge::outcome::Outcome;
use crate::oracle::attribute::modules::Depth;
use crate::oracle::attribute::run::{Run, Whose, shown};
use crate::oracle::attribute::{Attribution, Sides, attribute, table};
use crate::oracle::power;
use crate::reference::Reference;
use crate::runner::engine::tokenize;
use crate::runner::passes::Passes;
use crate::runner::reference::Observing;
use crate::runner::suite::Suite;
use crate::runner::{ModelFile, Runner, Subject, Task, guarded};

const HELP: &str = "\
Examples:
  harness attribute
  harness attribute --reference bitnet --case bitnet-ishmael
  harness attribute --reference bitnet --profile ggml-avx2 --depth op
  harness attribute --reference bitnet --model model.gguf --prompt 'Any text at all' --json a.json
  harness attribute --plant gelu-for-silu@2 # exits 1: the fault is found
  harness attribute --model model.gguf --prompt 'Call me Ishmael.' --run engine \\
      --subject 'cmd: harness eval --model {model} --tokens {tokens} \\
                 --logits {logits} --trace {trace}'

One module at a time is swapped; both its versions compute on the reference's own inputs, in a
prefill that is one ubatch. Two runs answer: a live reference's, which is given the engine's module,
and the engine's, which is given the reference's and for which a recording with a trace suffices. In
both, what comes before the module is the reference's.

With --subject an engine of yours stands where the reference does: one that shows nodes has its
modules put into the engine's run, one that goes on from other values the engine's into its own.

Columns: differ and error (NMSE) are between the module's two versions. KL, in nats a position, NMSE
and top-1 flips are of the logits. x noise is the KL in units of what noise of the error's size
does. (1) to (3) are the modules that cause most.

Controls: a module's own values put back must change no bit, else the run certifies nothing (exit
5). Exit 1 if a module is named: in the same arithmetic every one that differs in a bit may be; in
another only one that alone does more than two builds of the reference do together. A reference that
dies or refuses costs its own entry and no other.";

/// Attribute the divergence of the logits to modules, swapped one at a time
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// What is asked about.
    #[command(flatten)]
    pub selection: Selection,

    #[command(flatten)]
    brought: Brought,

    /// How large a module is
    #[arg(long, value_name = "SIZE", value_enum, default_value = "block")]
    depth: Depth,

    /// Into this run only [default: the engine's, and a live reference's]
    #[arg(long, value_name = "WHOSE", value_enum)]
    run: Option<Whose>,

    /// Threads of both sides; results do not depend on it
    #[arg(long, value_name = "N", default_value = "1", value_parser = flags::positive)]
    threads: usize,

    /// Decides the noise that errors are held against
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,

    /// Plant a fault of values in the engine, everywhere or in one layer, to see it attributed;
    /// `harness power --list` names them
    #[arg(long, value_name = "FAULT[@LAYER]", value_parser = planted)]
    plant: Option<Planted>,

    #[command(flatten)]
    last_failed: LastFailed,

    #[command(flatten)]
    listed: Listed,

    #[command(flatten)]
    jobs: Jobs,

    /// Where the result goes as JSON.
    #[command(flatten)]
    pub json: Json,
}

/// A fault of the catalogue, and the layer it is confined to.
#[derive(Debug, Clone, Serialize)]
struct Planted {
    fault: String,
    layer: Option<usize>,
}

/// What was found in one run of one case.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    planted: Option<Planted>,
    /// Module by module.
    #[serde(flatten)]
    pub attribution: Attribution,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let suite = args.selection.suite(&args.json)?;
    let open = || args.asked();
    let own = open()?;
    let any = !own.live.is_empty() || !own.subjects.is_empty();
    let each = EachCase {
        command: "attribute",
        selection: &args.selection,
        suite: &suite,
        brought: &args.brought,
        last_failed: args.last_failed,
        listed: args.listed,
        jobs: args.jobs,
    };
    let about = |asked: &mut Asked, case: &(Case, PathBuf)| args.about(case, &suite, asked);
    each.ask((own, any), open, about, Answers::new(&args.json))
}

/// Everybody who computes now.
struct Asked {
    live: Vec<Reference>,
    subjects: Vec<Box<dyn Subject>>,
}

impl Args {
    /// Opens everybody.
    fn asked(&self) -> Result<Asked, Failure> {
        let claimed = self.selection.profile.map(Profile::name);
        Ok(Asked {
            // All modules of a prompt are one process, so that only each question has its patience.
            live: self.selection.live(24 * 60 * 60)?,
            subjects: self.brought.open(claimed, Some(self.selection.patience))?,
        })
    }

    /// One case, with everybody.
    fn about(
        &self,
        (case, path): &(Case, PathBuf),
        suite: &Suite,
        asked: &mut Asked,
    ) -> AboutCase<Found> {
        let mut about = AboutCase::new(&case.name);
        let mut recordings = self.selection.recordings(case);
        if self.run == Some(Whose::Reference) || !asked.subjects.is_empty() {
            recordings.clear();
        }
        if recordings.is_empty() && asked.live.is_empty() && asked.subjects.is_empty() {
            return about;
        }
        let question = self.selection.question(case.clone(), path.clone());
        let question = question.map_err(NoFinding::from);
        let question = question.and_then(|question| self.takes_part(question));
        let Some(question) = about.needs(question) else {
            return about;
        };
        for recording in recordings {
            let mut recorded = suite.recordings[&recording].clone();
            let found = self.ask(&question, &mut recorded);
            about.add(Some(recorded.identity()), found);
        }
        for reference in &asked.live {
            if reference.hello().knows_i2_s {
                let mut runner = Observing::unchanged(reference.clone());
                self.ask_live(&question, &mut runner, &mut about);
            } else {
                let why = "its graph computes without the rounding to eight bits: other modules";
                let why = NoFinding::declined(Outcome::ReferenceMissing, why);
                about.add(Some(reference.facts().identity()), Err(why));
            }
        }
        for subject in &mut asked.subjects {
            self.ask_live(&question, &mut **subject, &mut about);
        }
        about
    }
}

impl Args {
    /// A prompt of several ubatches takes part only where it was asked for by name, which is then
    /// refused; a model without the nodes or the layer of the fault never does.
    fn takes_part(&self, question: Question) -> Result<Question, NoFinding> {
        let declined = |why: String| NoFinding::declined(Outcome::ReferenceMissing, why);
        if !self.selection.is_named() && question.case.tokens > question.case.ubatch {
            return Err(declined("it takes several ubatches".into()));
        }
        let Some(Planted { fault, layer }) = &self.plant else {
            return Ok(question);
        };
        let layers = question.model.config().block_count;
        if let Some(layer) = layer.filter(|&layer| layer >= layers) {
            let why = format!("there is no layer {layer}, the model has {layers} layers");
            return Err(NoFinding::declined(Outcome::Refused, why));
        }
        let found = power::of_values(fault).expect("looked up when it was parsed");
        let plant = found.plant(*layer, &question.model, Profile::default());
        if plant.is_none() {
            let why = format!("{fault} is a fault of models with other nodes");
            return Err(declined(why));
        }
        drop(plant);
        Ok(question)
    }

    fn passes<'m>(
        &self,
        question: &'m Question,
        tokens: &[Token],
        profile: Profile,
    ) -> Result<Passes<'m>, Failure> {
        let model = &question.model;
        let mut passes = Passes::new(model, tokens, profile, question.case.ubatch)?;
        passes.prefill.threads = self.threads;
        let Some(Planted { fault, layer }) = &self.plant else {
            return Ok(passes);
        };
        let fault = power::of_values(fault).expect("looked up when it was parsed");
        let plant = fault.plant(*layer, model, profile);
        Ok(passes.with(plant.expect("cases of other models are left out")))
    }

    /// The engine's run, given what a runner shows: a recording, say.
    pub fn ask(
        &self,
        question: &Question,
        reference: &mut dyn Runner,
    ) -> Result<Finding<Found>, NoFinding> {
        let (case, model) = (&question.case, &question.input);
        let theirs = guarded(|| reference.observe(Task { case, model }));
        let theirs = theirs.map_err(NoFinding::no_answer)?;
        let profile = self.selection.profile(&theirs.identity.profile);
        let mut passes = self.passes(question, &theirs.tokens, profile)?;
        let trace = |_: &[String]| Ok(theirs.trace);
        let sides = Sides::new(theirs.identity, &mut passes, self.depth, trace)?;
        self.swapped(&sides, &mut Run::of_engine(&mut passes, &sides))
    }

    /// Both runs of one that computes now; what one comes to does not touch the other.
    fn ask_live(
        &self,
        question: &Question,
        reference: &mut dyn Runner,
        about: &mut AboutCase<Found>,
    ) {
        reference.look_into(&question.input);
        let identity = reference.identity();
        let mut add = |found| about.add(Some(identity.clone()), found);
        if let Err(why) = self.runs_of(question, reference, &mut add) {
            add(Err(why));
        }
    }

    /// Hands over what each of the two runs comes to, or says why there is none.
    fn runs_of(
        &self,
        question: &Question,
        reference: &mut dyn Runner,
        add: &mut dyn FnMut(Result<Finding<Found>, NoFinding>),
    ) -> Result<(), NoFinding> {
        let (identity, lacking) = (reference.identity(), reference.lacking());
        let replaces = !lacking.contains(&Ability::Replace);
        for (needed, ability) in [
            (true, Ability::Nodes),
            (self.run == Some(Whose::Reference), Ability::Replace),
        ] {
            if needed && lacking.contains(&ability) {
                let why = format!("it does not offer {}", ability.name());
                return Err(NoFinding::declined(Outcome::Incomplete, why));
            }
        }
        let case = &question.live();
        let tokens = tokenize(&question.model, &case.prompt)?;
        let profile = self.selection.profile(&identity.profile);
        let mut passes = self.passes(question, &tokens, profile)?;
        let prefill = Schedule {
            ubatch: case.ubatch,
            threads: self.threads,
            context: case.context,
            ..Schedule::of(Step::of_lane(Lane::Prefill, &tokens))
        };
        let opened = reference.open(ModelFile::Read(&question.input));
        let mut opened = opened.map_err(NoFinding::no_answer)?;
        let sides = Sides::new(identity, &mut passes, self.depth, |keys| {
            shown(&mut *opened, &prefill, keys)
        })?;
        if self.run != Some(Whose::Engine) && replaces {
            let mut run = Run::of_reference(&mut *opened, prefill, &sides);
            add(self.swapped(&sides, &mut run));
        }
        drop(opened);
        if self.run != Some(Whose::Reference) {
            let mut run = Run::of_engine(&mut passes, &sides);
            add(self.swapped(&sides, &mut run));
        }
        Ok(())
    }

    /// Swaps every module.
    pub fn swapped(&self, sides: &Sides, run: &mut Run<'_>) -> Result<Finding<Found>, NoFinding> {
        let all = look::is_verbose() || self.depth == Depth::Block;
        let bar = progress::bar(sides.modules.len() as u64, "modules");
        let attribution = attribute(sides, run, self.seed, || bar.inc(1));
        bar.finish_and_clear();
        let attribution = attribution?;
        Ok(Finding {
            outcome: attribution.outcome(),
            text: table::render(&attribution, all, output::width()),
            found: Found {
                planted: self.plant.clone(),
                attribution,
            },
        })
    }
}

fn planted(text: &str) -> Result<Planted, String> {
    let (fault, layer) = match text.split_once('@') {
        None => (text, None),
        Some((fault, layer)) => {
            let layer = layer
                .parse()
                .map_err(|_| format!("{layer:?} is no layer"))?;
            (fault, Some(layer))
        }
    };
    if power::of_values(fault).is_none() {
        let message = format!("there is no fault of values {fault:?}");
        return Err(format!(
            "{message}; `harness power --list` names all faults"
        ));
    }
    let fault = fault.to_owned();
    Ok(Planted { fault, layer })
}
