//! `harness attribute`: module by module, what it alone does to the logits.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::path::PathBuf;

use engine::Token;
use engine::numerics::Profile;
use serde::Serialize;

use super::asked::{Asked, Question, nobody, unanswered, worse};
use crate::case::Case;
use crate::case::observation::Lane;
use crate::case::schedule::{Schedule, Step};
use crate::command::flags;
use crate::exit::{Exit, Failure};
use crate::io::atomic;
use crate::io::output;
use crate::io::progress;
use crate::oracle::attribute::modules::Depth;
use crate::oracle::attribute::run::{Run, Whose, shown};
use crate::oracle::attribute::table::{self, Rows};
use crate::oracle::attribute::{Attribution, Sides, attribute};
use crate::oracle::power;
use crate::reference::Reference;
use crate::reference::isolation::Limits;
use crate::runner::engine::encode;
use crate::runner::passes::Passes;
use crate::runner::recorded::Recorded;
use crate::runner::reference::Observing;
use crate::runner::{ModelFile, RunError, Runner, Task};

const HELP: &str = "\
Examples:
  harness attribute
  harness attribute --reference bitnet --case bitnet-ishmael
  harness attribute --reference bitnet --profile ggml-avx2 --depth op
  harness attribute --reference bitnet --model model.gguf --prompt 'Any text at all' --json a.json
  harness attribute --plant gelu-for-silu@2

One module at a time is swapped; both its versions compute on the reference's own inputs, in a
prefill that is one ubatch. Two runs answer: a live reference's, which is given the engine's module,
and the engine's, which is given the reference's and for which a recording with a trace suffices. In
both, what comes before the module is the reference's.

Columns: differ and error (NMSE) are between the module's two versions. KL, in nats a position, NMSE
and top-1 flips are of the logits. x noise is the KL in units of what noise of the error's size
does. (1) to (3) are the modules that cause most.

Controls: a module's own values put back must change no bit, else the run certifies nothing (exit
5). Exit 1 if a module is named: in the same arithmetic every one that differs in a bit may be; in
another only one that alone does more than two builds of the reference do together.";

/// Attribute the divergence of the logits to modules, swapped one at a time
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    asked: Asked,

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

    /// With --depth op: print every module, not only those that differ
    #[arg(long)]
    all: bool,

    /// Write what was found here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A fault of the catalogue, and the layer it is confined to.
#[derive(Debug, Clone, Serialize)]
struct Planted {
    fault: String,
    layer: Option<usize>,
}

/// One case in one run.
#[derive(Serialize)]
struct Entry {
    case: String,
    planted: Option<Planted>,
    #[serde(flatten)]
    found: Attribution,
}

/// Everything asked for, and what came of it so far.
struct Session {
    args: Args,
    entries: Vec<Entry>,
    worst: Exit,
    declined: usize,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let suite = args.asked.suite()?;
    // All modules of a prompt are one process, so that only each question has its patience.
    let limits = Limits {
        cpu_seconds: 24 * 60 * 60,
        ..Limits::default()
    };
    let live = args.asked.live(limits)?;
    let cases = args.asked.cases(&suite, !live.is_empty())?;
    let mut session = Session {
        args,
        entries: Vec::new(),
        worst: Exit::Agrees,
        declined: 0,
    };
    for (case, path) in cases {
        let question = session.args.asked.question(case, path)?;
        if !session.args.asked.is_named() && question.case.tokens > question.case.ubatch {
            session.decline(&question.case.name, "engine", "it takes several ubatches")?;
            continue;
        }
        if let Some(why) = session.args.unplantable(&question)? {
            session.decline(&question.case.name, "engine", &why)?;
            continue;
        }
        for recorded in session.args.recorded(&question.case) {
            session.recorded(&question, suite.recordings[&recorded].clone())?;
        }
        let own = question.live();
        for reference in &live {
            session.live(&question, &own, reference)?;
        }
    }
    session.end()
}

impl Args {
    /// Why the fault cannot be planted in a model, if it cannot.
    fn unplantable(&self, question: &Question) -> Result<Option<String>, Failure> {
        let Some(Planted { fault, layer }) = &self.plant else {
            return Ok(None);
        };
        let layers = question.model.config().block_count;
        if let Some(layer) = layer.filter(|&layer| layer >= layers) {
            let message = format!("there is no layer {layer}, the model has {layers} layers");
            return Err(Failure::input(message));
        }
        let found = power::of_values(fault).expect("looked up when it was parsed");
        let plant = found.plant(*layer, &question.model, Profile::default());
        let why = || format!("{fault} is a fault of models with other nodes");
        Ok(plant.is_none().then(why))
    }

    /// The recordings that show the nodes of a case; none if they are not what is asked for.
    fn recorded(&self, case: &Case) -> Vec<String> {
        let shown = case.nodes > 0 && self.run != Some(Whose::Reference);
        let asked = &self.asked.recording;
        let wanted = |name: &&String| shown && (asked.is_empty() || asked.contains(name));
        case.recordings.iter().filter(wanted).cloned().collect()
    }

    fn passes<'m>(
        &self,
        question: &'m Question,
        tokens: &'m [Token],
        profile: Profile,
    ) -> Result<Passes<'m>, Failure> {
        let model = &question.model;
        let passes = Passes::new(model, tokens, profile, question.case.ubatch)?;
        let passes = passes.on_threads(self.threads);
        let Some(Planted { fault, layer }) = &self.plant else {
            return Ok(passes);
        };
        let fault = power::of_values(fault).expect("looked up when it was parsed");
        let plant = fault.plant(*layer, model, profile);
        Ok(passes.with(plant.expect("cases of other models are left out")))
    }
}

impl Session {
    /// The engine's run, given what a recording holds.
    fn recorded(&mut self, question: &Question, mut recorded: Recorded) -> Result<(), Failure> {
        let task = Task {
            case: &question.case,
            model: &question.input,
        };
        let theirs = recorded.observe(task).map_err(unanswered)?;
        let profile = self.args.asked.profile(&theirs.identity.profile);
        let mut passes = self.args.passes(question, &theirs.tokens, profile)?;
        let trace = |_: &[String]| Ok(theirs.trace);
        let sides = Sides::new(theirs.identity, &mut passes, self.args.depth, trace)?;
        let mut run = Run::of_engine(&mut passes, &sides);
        self.put(&question.case.name, &sides, &mut run)
    }

    /// Both runs of a reference that computes now.
    fn live(
        &mut self,
        question: &Question,
        case: &Case,
        reference: &Reference,
    ) -> Result<(), Failure> {
        let identity = reference.facts().identity();
        if !reference.hello().knows_i2_s {
            let why = "its graph computes without the rounding to eight bits: other modules";
            return self.decline(&case.name, identity, why);
        }
        let tokens = encode(&question.model, case).map_err(unanswered)?;
        let profile = self.args.asked.profile(&identity.profile);
        let mut passes = self.args.passes(question, &tokens, profile)?;
        let prefill = Schedule {
            ubatch: case.ubatch,
            threads: self.args.threads,
            context: case.context,
            ..Schedule::of(Step::of_lane(Lane::Prefill, &tokens))
        };
        let mut runner = Observing::unchanged(reference.clone());
        let mut opened = match runner.open(ModelFile::Read(&question.input)) {
            Err(RunError::Declined(why)) => return self.decline(&case.name, identity, &why),
            opened => opened.map_err(unanswered)?,
        };
        let depth = self.args.depth;
        let sides = Sides::new(identity, &mut passes, depth, |keys| {
            shown(&mut *opened, &prefill, keys)
        })?;
        if self.args.run != Some(Whose::Engine) {
            let mut run = Run::of_reference(&mut *opened, prefill, &sides);
            self.put(&case.name, &sides, &mut run)?;
        }
        drop(opened);
        if self.args.run != Some(Whose::Reference) {
            let mut run = Run::of_engine(&mut passes, &sides);
            self.put(&case.name, &sides, &mut run)?;
        }
        Ok(())
    }

    /// Swaps every module and prints the table.
    fn put(&mut self, case: &str, sides: &Sides, run: &mut Run<'_>) -> Result<(), Failure> {
        let rows = match self.args.all || self.args.depth == Depth::Block {
            true => Rows::All,
            false => Rows::Differing,
        };
        let bar = progress::bar(sides.modules.len() as u64, "modules");
        let found = attribute(sides, run, self.args.seed, || bar.inc(1))?;
        bar.finish_and_clear();
        output::put(format!("{case}: {}\n", table::render(&found, rows)).as_bytes())?;
        self.worst = worse(self.worst, found.exit());
        self.entries.push(Entry {
            case: case.to_owned(),
            planted: self.args.plant.clone(),
            found,
        });
        Ok(())
    }

    fn decline(&mut self, case: &str, who: impl Display, why: &str) -> Result<(), Failure> {
        self.declined += 1;
        output::put(format!("{case}: {who}: {why}\n").as_bytes())?;
        Ok(())
    }

    fn end(self) -> Result<Exit, Failure> {
        if self.declined > 0 {
            let line = format!("skipped {}: not everybody takes part\n", self.declined);
            output::put(line.as_bytes())?;
        }
        if self.entries.is_empty() {
            return Err(nobody(self.declined));
        }
        if let Some(path) = &self.args.json {
            let json = serde_json::to_vec_pretty(&self.entries).map_err(Failure::environment)?;
            atomic::write(path, &json).map_err(Failure::environment)?;
        }
        Ok(self.worst)
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
