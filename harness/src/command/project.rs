//! `harness.toml`: what a project types every time, written down once.
//!
//! ```toml
//! [all]              # every command that has the flag
//! color = "always"
//! [crossval]
//! reference = ["bitnet", "ik"]
//! threads = 2
//! fail-fast = true
//! ```
//!
//! The file is looked for here and above. What is typed, or set in the environment, outranks it.

use std::ffi::OsString;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::de::{DeTable, DeValue};

use crate::exit::Failure;

/// The name of the file.
const FILE: &str = "harness.toml";
/// The table of what every command gets that knows it.
const ALL: &str = "all";

/// The words that were typed, and behind them those of the project's file that were not.
pub fn completed(tree: &Command, typed: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    let here = std::env::current_dir().map_err(Failure::environment)?;
    let Some(path) = here.ancestors().map(|a| a.join(FILE)).find(|p| p.is_file()) else {
        return Ok(typed);
    };
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|e| Failure::environment(format!("{}: {e}", path.display())))?;
    let file = Project::read(&path, &text, tree)?;
    // A line that is wrong as it stands is complained about as it stands.
    let Ok(matches) = tree.clone().try_get_matches_from(&typed) else {
        return Ok(typed);
    };
    let Some((word, inner)) = matches.subcommand() else {
        return Ok(typed);
    };
    let defaults = file.words(tree, word, inner);
    let all: Vec<OsString> = typed.into_iter().chain(defaults).collect();
    tree.clone().try_get_matches_from(&all).map_err(|e| {
        let why = e.to_string();
        let why = why.trim_start_matches("error: ").trim_end();
        Failure::input(format!("{}: {why}", path.display()))
    })?;
    Ok(all)
}

/// One line of the file.
struct Line {
    table: String,
    flag: String,
    values: Vec<String>,
}

struct Project {
    lines: Vec<Line>,
}

impl Project {
    /// Reads it; a word that no command knows is refused with its line.
    fn read(path: &Path, text: &str, tree: &Command) -> Result<Self, Failure> {
        let place = |at: usize| {
            let line = text[..at.min(text.len())].matches('\n').count() + 1;
            format!("{}:{line}", path.display())
        };
        let document = DeTable::parse(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            Failure::input(format!("{}: {}", place(at), e.message()))
        })?;
        let mut lines = Vec::new();
        for (name, value) in document.get_ref() {
            let refuse = |at: usize, why: String| Failure::input(format!("{}: {why}", place(at)));
            let table = name.get_ref().to_string();
            let command = tree.find_subcommand(&table);
            if command.is_none() && table != ALL {
                let why = format!("there is no command {table:?}; [all] is for every command");
                return Err(refuse(name.span().start, why));
            }
            let DeValue::Table(flags) = value.get_ref() else {
                let why = format!("{table} is to be a table: [{table}]");
                return Err(refuse(value.span().start, why));
            };
            for (flag, value) in flags {
                let at = flag.span().start;
                let flag = flag.get_ref().to_string();
                let known = match command {
                    Some(command) => argument(tree, command, &flag),
                    None => {
                        let mut all = tree.get_subcommands();
                        all.find_map(|command| argument(tree, command, &flag))
                    }
                };
                let Some(known) = known else {
                    let why = format!("{table} has no flag --{flag}; `harness {table} --help`");
                    return Err(refuse(at, why));
                };
                if is_switch(known) && !matches!(value.get_ref(), DeValue::Boolean(_)) {
                    return Err(refuse(at, format!("{flag} is to be true or false")));
                }
                let values = words(value.get_ref()).ok_or_else(|| {
                    refuse(
                        at,
                        format!("{flag} is to be text, a number, true, or a list of them"),
                    )
                })?;
                let table = table.clone();
                lines.push(Line {
                    table,
                    flag,
                    values,
                });
            }
        }
        Ok(Project { lines })
    }

    /// What the file says of this command and nobody has typed, as if it had been.
    fn words(&self, tree: &Command, word: &str, typed: &ArgMatches) -> Vec<OsString> {
        let command = tree.find_subcommand(word).expect("it was typed");
        let own = |line: &&Line| line.table == word;
        let general = |line: &&Line| {
            let said = |own: &Line| own.table == word && own.flag == line.flag;
            line.table == ALL && !self.lines.iter().any(said)
        };
        let lines = self
            .lines
            .iter()
            .filter(own)
            .chain(self.lines.iter().filter(general));
        let mut words = Vec::new();
        for line in lines {
            let Some(argument) = argument(tree, command, &line.flag) else {
                continue;
            };
            let spoken = |argument: &Arg| {
                let id = argument.get_id().as_str();
                let source = typed
                    .try_contains_id(id)
                    .ok()
                    .and_then(|_| typed.value_source(id));
                source.is_some_and(|source| source != ValueSource::DefaultValue)
            };
            let rivals = command.get_arg_conflicts_with(argument);
            if spoken(argument) || rivals.into_iter().any(spoken) {
                continue;
            }
            for value in &line.values {
                if !is_switch(argument) {
                    words.push(format!("--{}={value}", line.flag).into());
                } else if value == "true" {
                    words.push(format!("--{}", line.flag).into());
                }
            }
        }
        words
    }
}

fn argument<'c>(tree: &'c Command, command: &'c Command, flag: &str) -> Option<&'c Arg> {
    let global = tree
        .get_arguments()
        .filter(|argument| argument.is_global_set());
    let mut all = command.get_arguments().chain(global);
    all.find(|argument| argument.get_long() == Some(flag))
}

fn is_switch(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::SetTrue)
}

/// A value as words, each for a flag of its own.
fn words(value: &DeValue<'_>) -> Option<Vec<String>> {
    let one = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        _ => None,
    };
    match value {
        DeValue::Array(values) => values.iter().map(|value| one(value.get_ref())).collect(),
        value => one(value).map(|word| vec![word]),
    }
}
