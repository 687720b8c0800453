//! Two engines on the same prompts: builds of a reference, and whatever a user brings.

use serde::Serialize;

use super::Args;
use super::outputs::Pair;
use crate::case::Case;
use crate::case::ability::{Ability, Lacking};
use crate::case::observation::{Lane, Observation};
use crate::case::schedule::{Schedule, Step};
use crate::command::answers::{Answers, Finding, NoFinding};
use crate::command::brought::Brought;
use crate::command::flags::OneModel;
use crate::command::selection::{Question, Selection};
use crate::exit::{Exit, Failure};
use crate::io::{look, output};
use crate::judge::outcome::Outcome;
use crate::oracle::trace::{Located, locate, table};
use crate::reference;
use crate::reference::isolation::Limits;
use crate::runner::observe::observe_tokens;
use crate::runner::passes::Guest;
use crate::runner::reference::Observing;
use crate::runner::subject::Spec;
use crate::runner::{ModelFile, RunError, Runner, guarded};

/// What was found between two engines in one case.
#[derive(Serialize)]
struct Found {
    #[serde(flatten)]
    pair: Pair,
    /// Node by node, where both show theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Located>,
}

/// Compares two engines.
pub fn run(args: &Args, words: [&String; 2]) -> Result<Exit, Failure> {
    let selection = Selection {
        case: args.case.clone(),
        recording: Vec::new(),
        model: OneModel::of(args.model.clone()),
        prompt: args.prompt.clone(),
        reference: Vec::new(),
        patience: Limits::default().patience,
        profile: None,
        kernel: args.kernel,
        reading: args.reading,
        fixtures: None,
    };
    let suite = selection.suite(&args.json)?;
    let [mut first, mut second] = engines(words)?;
    let mut answers = Answers::new(&args.json).shown(&args.html);
    for (case, path) in selection.cases(&suite, true)? {
        let name = case.name.clone();
        let question = selection.question(case, path).map_err(NoFinding::from);
        if let Some(question) = answers.needs(&name, question) {
            let found = ask(args, &question, &mut *first, &mut *second);
            answers.add(&name, Some(second.identity()), found);
        }
    }
    answers.end()
}

/// The two, started. Two names of one library are no two builds.
fn engines(words: [&String; 2]) -> Result<[Box<dyn Runner>; 2], Failure> {
    let brought = words.map(|word| match word.parse::<Spec>() {
        Ok(Spec::Saved(_)) | Err(_) => None,
        Ok(spec) => Some(spec),
    });
    let named = words.into_iter().zip(&brought);
    let named: Vec<String> = named
        .filter(|(_, spec)| spec.is_none())
        .map(|(word, _)| word.clone())
        .collect();
    let mut builds = Vec::new();
    if !named.is_empty() {
        builds = reference::open(&named, Limits::default())?;
    }
    let mut builds = builds.into_iter();
    let mut engines: Vec<Box<dyn Runner>> = Vec::new();
    for spec in brought {
        match spec {
            Some(spec) => {
                let brought = Brought {
                    subject: vec![spec],
                    wide: false,
                };
                for subject in brought.open(None, None)? {
                    engines.push(subject);
                }
            }
            None => engines.extend(
                builds
                    .next()
                    .map(|one| -> Box<dyn Runner> { Box::new(Observing::new(one)) }),
            ),
        }
    }
    let count = engines.len();
    let two = engines.try_into();
    two.map_err(|_| Failure::input(format!("{count} engines were started, not two")))
}

/// Both on one prompt, then the second's operations on the first one's inputs.
fn ask(
    args: &Args,
    question: &Question,
    first: &mut dyn Runner,
    second: &mut dyn Runner,
) -> Result<Finding<Found>, NoFinding> {
    let lacking = [first.lacking(), second.lacking()];
    let theirs = guarded(|| seen(question, first, &lacking)).map_err(NoFinding::no_answer)?;
    let ours = guarded(|| seen(question, second, &lacking)).map_err(NoFinding::no_answer)?;
    let [one, other] = [&theirs, &ours].map(|seen| seen.identity.to_string());
    let prompt = &question.case.prompt;
    let name = ours.identity.name.clone();
    let both = !theirs.trace.is_empty() && !ours.trace.is_empty();
    let both = both && theirs.tokens == ours.tokens;
    let pair = Pair::of(args, prompt, &theirs, ours)?;
    let mut text = format!("{one} against {other}\n{}", pair.text(&name));
    let mut outcome = pair.outcome();
    if look::is_verbose() || outcome != Outcome::Ok {
        text += &pair.table();
    }
    let mut nodes = None;
    if both {
        let located = traced(question, &theirs, second)?;
        outcome = outcome.max(located.outcome());
        text += &if look::is_verbose() {
            table::render(&located, true, output::width())
        } else {
            table::summary(&located)
        };
        nodes = Some(located);
    }
    let words = lacking.iter().flatten().filter(|a| shared(a));
    let mut words: Vec<&str> = words.map(|ability| ability.name()).collect();
    words.sort_unstable();
    words.dedup();
    if !words.is_empty() {
        text += &format!(
            "not compared, because one of them lacks it: {}\n",
            words.join(", ")
        );
    }
    Ok(Finding {
        outcome,
        text,
        found: Found { pair, nodes },
    })
}

/// What both need, or it is not compared.
fn shared(ability: &Ability) -> bool {
    [
        Ability::Prefill,
        Ability::Decode,
        Ability::Rows,
        Ability::Nodes,
    ]
    .contains(ability)
}

/// What an engine sees of a prompt, as far as both can be asked.
fn seen(
    question: &Question,
    runner: &mut dyn Runner,
    lacking: &[Lacking; 2],
) -> Result<Observation, RunError> {
    let identity = runner.identity();
    let mut opened = runner.open(ModelFile::Read(&question.input))?;
    let tokens = opened.tokenize(&question.case.prompt)?;
    let case = Case {
        positions: (0..tokens.len()).collect(),
        greedy_steps: 0,
        ..question.live()
    };
    let mut lacking: Lacking = lacking.iter().flatten().copied().collect();
    lacking.insert(Ability::Greedy);
    let how = (case.threads, &lacking);
    observe_tokens(&mut *opened, identity, &case, tokens, how)
}

/// The second's nodes against the first's.
fn traced(
    question: &Question,
    theirs: &Observation,
    second: &mut dyn Runner,
) -> Result<Located, Failure> {
    let (identity, lacking) = (second.identity(), second.lacking());
    let mut opened = second.open(ModelFile::Read(&question.input))?;
    let prefill = Schedule::of(Step::of_lane(Lane::Prefill, &theirs.tokens));
    let mut guest = Guest {
        opened: &mut *opened,
        identity,
        lacking,
        prefill: Schedule {
            ubatch: question.case.ubatch,
            ..prefill
        },
        model: &question.model,
    };
    Ok(locate(theirs, 0, &mut guest)?.located)
}
