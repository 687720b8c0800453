//! What `trace` and `attribute` are both asked: which prompts, on which model, against which
//! references.

use std::path::PathBuf;
use std::time::Duration;

use engine::Model;
use engine::kernels::Kernel;
use engine::numerics::Profile;

use crate::case::{self, Case};
use crate::command::flags::{self, Json, OneModel};
use crate::exit::Failure;
use crate::file::provenance::Input;
use crate::file::reading::Reading;
use crate::io::destination::FileRoles;
use crate::reference::isolation::Limits;
use crate::reference::{self, Reference};
use crate::runner::engine::{open, tokenize};
use crate::runner::suite::Suite;

/// The name of a prompt that no fixture knows.
const AD_HOC: &str = "prompt";

/// Which prompts, on which model, against which references, and how the engine computes.
#[derive(clap::Args)]
pub struct Selection {
    /// The cases of that name only: whole, a part, or with * [default: every case with a trace]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["model", "model_file", "prompt"])]
    pub case: Vec<String>,

    /// Against this recording only; may be given several times [default: all that have a trace]
    #[arg(long, value_name = "NAME")]
    pub recording: Vec<String>,

    #[command(flatten)]
    #[allow(missing_docs)] // the flags say it
    pub model: OneModel,

    /// With a model: this prompt, or @FILE, or - for standard input. A live reference answers any;
    /// without one a recording must
    #[arg(short, long, value_name = "TEXT", value_parser = flags::text, requires = "OneModel")]
    pub prompt: Option<String>,

    /// Against this C++ reference as well: bitnet, bitnet-portable, ik, llama, or a directory; may
    /// be given several times [default: what BITNET_CPP_DIR names, if it is set]
    #[arg(long, value_name = "NAME|DIR")]
    pub reference: Vec<String>,

    /// Seconds a reference or an engine of yours may take for one answer
    #[arg(long, value_name = "N", default_value = "120", value_parser = flags::seconds)]
    pub patience: Duration,

    /// Order of the float operations [default: the reference's own, as far as it is known]
    #[arg(long, value_name = "NAME", value_parser = flags::profile)]
    pub profile: Option<Profile>,

    /// Inner loops to use instead of the fastest this CPU has; none changes a result
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    pub kernel: Option<Kernel>,

    #[command(flatten)]
    #[allow(missing_docs)] // it would become help
    pub reading: Reading,

    /// The folder with cases.json [default: fixtures/ here or above, else built in]
    #[arg(long, value_name = "DIR")]
    pub fixtures: Option<PathBuf>,
}

/// One prompt and the model that is to answer it.
pub struct Question {
    /// The prompt. Without traced nodes if no recording shows any.
    pub case: Case,
    /// The model file.
    pub input: Input,
    /// The engine's view of it.
    pub model: Model,
}

impl Question {
    /// As a live reference is asked: whatever nodes it shows, and no continuation.
    pub fn live(&self) -> Case {
        Case {
            nodes: self.case.nodes.max(1),
            positions: Vec::new(),
            greedy_steps: 0,
            ..self.case.clone()
        }
    }
}

impl Selection {
    /// The fixtures, once it is certain that no output replaces an input and that every recording
    /// that was asked for is one of them.
    pub fn suite(&self, json: &Json) -> Result<Suite, Failure> {
        let mut roles = FileRoles::default();
        if let Some(model) = self.model.typed() {
            roles = roles.reads("--model", model);
        }
        roles.writes("--json", json.to.as_ref())?;
        let folder = self.fixtures.clone().map_or_else(Suite::find, Ok)?;
        let suite = Suite::open(&folder)?;
        let known = |name: &&String| suite.recordings.contains_key(*name);
        if let Some(unknown) = self.recording.iter().find(|name| !known(name)) {
            let names: Vec<&str> = suite.recordings.keys().map(String::as_str).collect();
            let names = names.join(", ");
            let message = format!("there is no recording {unknown:?}; there are {names}");
            return Err(Failure::input(message));
        }
        Ok(suite)
    }

    /// The live references, opened; each of their processes may use so much processor time.
    pub fn live(&self, cpu_seconds: u64) -> Result<Vec<Reference>, Failure> {
        let limits = Limits {
            patience: self.patience,
            cpu_seconds,
            ..Limits::default()
        };
        reference::open(&self.reference, limits)
    }

    /// Whether a prompt was asked for by name or by its words.
    pub fn is_named(&self) -> bool {
        !self.case.is_empty() || self.prompt.is_some()
    }

    /// The order of the engine's float operations against a reference of that one.
    pub fn profile(&self, theirs: &str) -> Profile {
        let own = || Profile::from_name(theirs);
        self.profile.or_else(own).unwrap_or_default()
    }

    /// The recordings that show the nodes of a case, of those that were asked for.
    pub fn recordings(&self, case: &Case) -> Vec<String> {
        let asked = |name: &&String| self.recording.is_empty() || self.recording.contains(*name);
        let shown = case.recordings.iter().filter(|_| case.nodes > 0);
        shown.filter(asked).cloned().collect()
    }

    /// The prompts asked for. Those whose nodes no recording shows only if a live reference is
    /// there to show them.
    pub fn cases(&self, suite: &Suite, live: bool) -> Result<Vec<(Case, PathBuf)>, Failure> {
        let shown = |case: &Case| case.nodes > 0 || (live && self.is_named());
        let Some(model) = self.model.typed() else {
            let mut cases = case::select(suite.cases.clone(), &self.case)?;
            cases.retain(shown);
            let place = |case: Case| {
                let path = suite.folder.join(&case.model);
                (case, path)
            };
            return Ok(cases.into_iter().map(place).collect());
        };
        let (input, _) = Input::read(model)?;
        let mut cases = suite.cases.clone();
        cases.retain(|case| {
            let asked = self.prompt.as_ref().is_none_or(|p| *p == case.prompt);
            let known = suite.known(&input.sha256, &case.prompt);
            asked && shown(case) && known.is_some_and(|known| known.name == case.name)
        });
        if let (Some(prompt), true, true) = (&self.prompt, cases.is_empty(), live) {
            let file = model.file_name().unwrap_or_default().to_string_lossy();
            cases.push(Case::of_prompt(AD_HOC, &file, prompt, 0));
        }
        Ok(cases.into_iter().map(|c| (c, model.to_owned())).collect())
    }

    /// Opens what a case is about, and counts the tokens of a prompt that no fixture knows.
    pub fn question(&self, mut case: Case, path: PathBuf) -> Result<Question, Failure> {
        let (input, bytes) = Input::read(&path)?;
        drop(bytes); // the engine reads the file itself, and the stamp tells whether it is the same
        let model = open(&input, self.reading, self.kernel)?;
        if case.tokens == 0 {
            let tokens = tokenize(&model, &case.prompt)?.len();
            case = Case::of_prompt(&case.name, &case.model, &case.prompt, tokens);
        }
        Ok(Question { case, input, model })
    }
}
