//! Which prompts `crossval` asks, on which models, and which it leaves out and why.

use std::path::{Path, PathBuf};

use super::Args;
use crate::case::{self, Case};
use crate::command::finish::finish;
use crate::command::last_failed::LastRun;
use crate::exit::{Exit, Failure};
use crate::file::provenance::{Input, file_name};
use crate::io::output;
use crate::io::table::{Table, number, words};
use crate::judge::outcome::Outcome;
use crate::receipt::{CaseReceipt, LeftOut, Receipt, ad_hoc_name, pooled};
use crate::runner::Task;
use crate::runner::engine::Engine;
use crate::runner::suite::Suite;

/// Positions kept of a prompt that no fixture knows.
const POSITIONS: usize = 32;

/// What is run.
#[derive(Default)]
pub struct Selection {
    /// Each case with the model file it runs on.
    pub cases: Vec<(Case, PathBuf)>,
    /// These files.
    pub inputs: Vec<Input>,
    /// What cannot be asked.
    pub left_out: Vec<LeftOut>,
}

impl Args {
    /// The models asked for, if they are not the fixtures' own.
    fn models(&self) -> Vec<PathBuf> {
        let typed = self.model.typed();
        if !typed.is_empty() || !self.case.is_empty() {
            return typed;
        }
        let environment = std::env::var_os("CROSSVAL_GGUF").filter(|m| !m.is_empty());
        environment.map(PathBuf::from).into_iter().collect()
    }

    /// Whether the models are the fixtures' own.
    pub fn is_of_fixtures(&self) -> bool {
        self.models().is_empty()
    }

    /// The cases, or with --last-failed those of them that failed.
    pub fn again(
        &self,
        last: &LastRun,
        cases: Vec<(Case, PathBuf)>,
    ) -> Result<Vec<(Case, PathBuf)>, Failure> {
        if self.last_failed.last_failed && !self.is_of_fixtures() {
            let message = "--last-failed is about the cases of the fixtures: leave the model out";
            return Err(Failure::input(message));
        }
        let name = |(case, _): &(Case, PathBuf)| case.name.clone();
        self.last_failed.of(last, cases, name)
    }

    /// What the cases of the fixtures come to; nothing of models that were typed, whose prompts
    /// have no names of their own.
    pub fn outcomes(&self, receipt: &Receipt) -> Vec<(String, Outcome)> {
        if !self.is_of_fixtures() {
            return Vec::new();
        }
        let settled = |case: &CaseReceipt| {
            let settles = |comparison: &_| pooled::settles(&receipt.pooled, comparison);
            (case.claims.case.clone(), case.claims.outcome(settles))
        };
        let failures = receipt.failures.iter();
        let failures = failures.map(|failed| (failed.case.clone(), failed.status));
        receipt.cases.iter().map(settled).chain(failures).collect()
    }
}

impl Selection {
    /// What the flags ask for; `live` tells whether a reference computes in this run.
    pub fn of(args: &Args, suite: &Suite, engine: &Engine, live: bool) -> Result<Self, Failure> {
        let models = args.models();
        if models.is_empty() {
            return Self::of_fixtures(args, suite);
        }
        let mut selection = Selection::default();
        for model in &models {
            selection.add_model(args, suite, engine, live, model)?;
        }
        Ok(selection)
    }

    fn of_fixtures(args: &Args, suite: &Suite) -> Result<Self, Failure> {
        if !args.prompt.is_empty() {
            let message = "--prompt needs --model (or CROSSVAL_GGUF): a prompt means nothing alone";
            return Err(Failure::input(message));
        }
        let mut selection = Selection::default();
        for case in case::select(suite.cases.clone(), &args.case)? {
            let path = suite.folder.join(&case.model);
            if selection.inputs.iter().all(|input| input.path != path) {
                // One that cannot be read is the failure of its cases.
                selection
                    .inputs
                    .extend(Input::read(&path).map(|(input, _)| input));
            }
            selection.cases.push((case, path));
        }
        Ok(selection)
    }

    fn add_model(
        &mut self,
        args: &Args,
        suite: &Suite,
        engine: &Engine,
        live: bool,
        model: &Path,
    ) -> Result<(), Failure> {
        let (input, _) = Input::read(model)?;
        let asked = args.asked(engine, &input)?;
        let is_typed = !asked.is_empty();
        let mut prompts: Vec<&String> = suite.cases.iter().map(|c| &c.prompt).collect();
        prompts.sort();
        prompts.dedup();
        if is_typed {
            prompts = asked.iter().collect();
        }
        let known = |prompt: &str| suite.known(&input.sha256, prompt);
        let any_known = prompts.iter().any(|prompt| known(prompt).is_some());
        // Names tell the cases of several models apart.
        let first = self.cases.len();
        for (number, prompt) in prompts.into_iter().enumerate() {
            if let Some(case) = known(prompt) {
                self.cases.push((case.clone(), model.to_owned()));
                continue;
            }
            if !is_typed && any_known && !live {
                let why = "recorded for other models only; a live reference answers it".into();
                self.left_out.push(LeftOut::prompt(prompt, why));
                continue;
            }
            match unrecorded(engine, first + number, prompt, &input, args.steps)? {
                Ok(case) => {
                    let unrecorded = !is_typed;
                    let case = Case { unrecorded, ..case };
                    self.cases.push((case, model.to_owned()));
                }
                Err(why) if is_typed => return Err(Failure::input(why)),
                Err(why) => self.left_out.push(LeftOut::prompt(prompt, why)),
            }
        }
        self.inputs.push(input);
        Ok(())
    }
}

/// A case nobody has recorded, which asks for as much as is reasonable; or why it cannot be asked.
fn unrecorded(
    engine: &Engine,
    number: usize,
    prompt: &str,
    model: &Input,
    steps: usize,
) -> Result<Result<Case, String>, Failure> {
    let file = model.path.file_name().unwrap_or_default();
    let name = ad_hoc_name(number);
    let mut case = Case {
        nodes: 0,
        ..Case::of_prompt(&name, &file.to_string_lossy(), prompt, 0)
    };
    let task = Task { case: &case, model };
    let ids = engine.tokenize(task).map_err(Failure::input)?;
    let most = engine
        .model(model)
        .map_err(Failure::input)?
        .config()
        .context_length;
    let Some(last) = ids.len().checked_sub(1) else {
        return Ok(Err("it has no tokens".into()));
    };
    if ids.len() >= most {
        let count = ids.len();
        return Ok(Err(format!(
            "it has {count} tokens, and the model was made for {most} positions"
        )));
    }
    case.tokens = ids.len();
    case.greedy_steps = steps.min(most - ids.len());
    case.context = ids.len() + case.greedy_steps;
    let count = ids.len().min(POSITIONS);
    case.positions = (0..count).map(|i| i * last / (count - 1).max(1)).collect();
    Ok(Ok(case))
}

/// The cases that were selected, as rows and as JSON.
pub fn list(args: &Args, cases: &[(Case, PathBuf)]) -> Result<Exit, Failure> {
    args.json.beside([])?;
    let mut table = Table::new(&[
        words("case"),
        words("model"),
        number("tokens"),
        words("recording").spare(),
        words("live").spare(),
    ]);
    for (case, path) in cases {
        let (recordings, live) = (case.recordings.join(", "), case.live.join(", "));
        let model = file_name(path);
        table.row([
            case.name.clone(),
            model,
            case.tokens.to_string(),
            recordings,
            live,
        ]);
    }
    let listed: Vec<&Case> = cases.iter().map(|(case, _)| case).collect();
    finish(
        Outcome::Ok,
        &table.render(output::width()),
        &listed,
        &args.json,
    )
}
