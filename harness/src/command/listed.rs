//! `--list`: the names of what a command would do, instead of doing it.

use engine::refusal::escape;

use crate::command::finish::finish;
use crate::command::flags::Json;
use crate::exit::{Exit, Failure};
use crate::judge::outcome::Outcome;

/// The flag.
#[derive(clap::Args, Debug, Clone, Copy, Default)]
pub struct Listed {
    /// Print the names of what would be done, and do nothing
    #[arg(long)]
    list: bool,
}

impl Listed {
    /// How the command ends where the flag was typed: a line for each name.
    pub fn names(
        self,
        names: impl IntoIterator<Item = String>,
        json: &Json,
    ) -> Option<Result<Exit, Failure>> {
        if !self.list {
            return None;
        }
        let names: Vec<String> = names.into_iter().collect();
        let lines: String = names.iter().map(|name| escape(name) + "\n").collect();
        Some(finish(Outcome::Ok, &lines, &names, json))
    }
}
