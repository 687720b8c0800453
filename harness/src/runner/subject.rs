//! Engines that users bring: outputs they saved, programs, processes that stay up, libraries and
//! servers. One way to name them, and one place that makes a runner of the name.

mod foreign;
pub mod saved;
mod saved_files;
mod stand_in;

use std::path::PathBuf;
use std::str::FromStr;

use engine::Token;

use self::saved::{Part, Saved};
pub use self::stand_in::StandIn;
use super::Subject;
use super::engine::Engine;
use crate::exit::Failure;
use crate::judge::demand::Demand;

/// Where the logits come from that are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// Files.
    Saved(Vec<(Part, PathBuf)>),
}

/// How a subject is asked and judged.
pub struct Options {
    /// The prompt's ids, where the user knows them better than the built-in tokenizer.
    pub tokens: Option<Vec<Token>>,
    /// The shape of files that have none.
    pub shape: Vec<usize>,
    /// The arithmetic it claims.
    pub profile: Option<String>,
    /// What it is held to.
    pub demand: Demand,
    /// The built-in engine, which reads the model and turns text into ids where the subject cannot.
    pub host: Engine,
}

/// The profile of an engine that claims none.
pub const UNNAMED: &str = "unnamed";

impl FromStr for Spec {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        if words.trim().is_empty() {
            return Err("there is nothing in it; it is a FILE".into());
        }
        saved::parts(words).map(Spec::Saved)
    }
}

/// Makes a runner of what was named.
pub fn open(spec: &Spec, options: Options) -> Result<Box<dyn Subject>, Failure> {
    match spec {
        Spec::Saved(parts) => Ok(Box::new(Saved::read(parts, options)?)),
    }
}
