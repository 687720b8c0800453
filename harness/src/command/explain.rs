//! `harness explain`: what a word of a table, a verdict, a tier or an exit code means.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::command::finish::finish;
use crate::command::flags::Json;
use crate::exit::{Exit, Failure};
use crate::judge::outcome::Outcome;

const HELP: &str = "\
Examples:
  harness explain
  harness explain NMSE
  harness explain 'not judged' 5
  harness explain t1-other-order --json";

/// Say what a word means: a column, a verdict, a status, a tier, an exit code
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The words, as they are printed [default: all of them]
    #[arg(value_name = "TERM")]
    terms: Vec<String>,

    #[command(flatten)]
    json: Json,
}

/// What some words mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// The words, as they are printed.
    pub words: Vec<String>,
    /// A sentence or two, with the unit.
    pub means: String,
}

/// Every word that is explained.
pub fn terms() -> Vec<Term> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        term: Vec<Term>,
    }
    let file: File = toml::from_str(include_str!("../../terms.toml"))
        .expect("terms.toml is a part of the program, and a test reads it");
    file.term
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    args.json.beside([])?;
    let all = terms();
    let mut found: Vec<&Term> = Vec::new();
    for word in &args.terms {
        found.push(find(&all, word)?);
    }
    if args.terms.is_empty() {
        found = all.iter().collect();
    }
    let mut text = String::new();
    for term in &found {
        let words = term.words.iter().filter(|word| !word.is_empty());
        let words: Vec<&str> = words.map(String::as_str).collect();
        let _ = writeln!(text, "{}\n    {}", words.join(", "), term.means);
    }
    finish(Outcome::Ok, &text, &found, &args.json)
}

/// The term of a word, as it is written or, if nothing is written so, whatever its case.
fn find<'t>(all: &'t [Term], word: &str) -> Result<&'t Term, Failure> {
    let exact = |term: &&Term| term.words.iter().any(|own| own == word);
    let loose = |term: &&Term| term.words.iter().any(|own| own.eq_ignore_ascii_case(word));
    let found = all.iter().find(exact).or_else(|| all.iter().find(loose));
    found.ok_or_else(|| {
        let wanted = word.to_lowercase();
        let words = all.iter().flat_map(|term| &term.words);
        let near: Vec<&str> = words
            .filter(|own| !own.is_empty() && own.to_lowercase().contains(&wanted))
            .map(String::as_str)
            .collect();
        let near = if near.is_empty() {
            "`harness explain` lists them".to_owned()
        } else {
            format!("is it one of {}?", near.join(", "))
        };
        Failure::input(format!("nothing here is called {word:?}: {near}"))
    })
}
