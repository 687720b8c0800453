//! Engines that users bring: outputs they saved, programs, processes that stay up, libraries and
//! servers. One way to name them, and one place that makes a runner of the name.

pub mod brought;
mod foreign;
pub mod saved;
pub mod saved_files;
mod stand_in;
pub mod worker;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use engine::Token;

use self::saved::{Part, Saved};
pub use self::stand_in::StandIn;
use super::Subject;
use super::engine::Engine;
use crate::exit::Failure;
use crate::judge::demand::Demand;
use crate::reference::isolation::{Limits, Rights};

/// Where the logits come from that are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// Files.
    Saved(Vec<(Part, PathBuf)>),
    /// A command line, run once for each prompt and lane.
    Program(String),
    /// A command line that stays up and speaks the protocol on its standard streams.
    Protocol(String),
    /// A shared library with the five functions of `adapters/subject.h`.
    Library(PathBuf),
    /// The address of a server.
    Server(String),
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
    /// How much it may use.
    pub limits: Limits,
    /// Whether it is handed the two-bit weights as F32.
    pub wide: bool,
    /// The built-in engine, which reads the model and turns text into ids where the subject cannot.
    pub host: Engine,
}

/// The profile of an engine that claims none.
pub const UNNAMED: &str = "unnamed";

impl FromStr for Spec {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        let kinds = "FILE, `cmd: COMMAND`, `serve: COMMAND`, `lib:FILE` or `http://HOST:PORT`";
        if words.trim().is_empty() {
            return Err(format!("there is nothing in it; it is {kinds}"));
        }
        match words.split_once(':') {
            Some((_, rest)) if rest.trim().is_empty() => {
                Err(format!("nothing is behind the colon; it is {kinds}"))
            }
            Some(("cmd", command)) => Ok(Spec::Program(command.trim().to_owned())),
            Some(("serve", command)) => Ok(Spec::Protocol(command.trim().to_owned())),
            Some(("lib", path)) => Ok(Spec::Library(path.trim().into())),
            Some(("http" | "https", _)) => Ok(Spec::Server(words.trim().to_owned())),
            _ if looks_like_a_command(words) => Err(format!(
                "there is no file {words:?}; a program is `cmd: {words}`, one that stays up is \
                 `serve: {words}`"
            )),
            _ => saved::parts(words).map(Spec::Saved),
        }
    }
}

/// Several words, none of which has to do with a file.
fn looks_like_a_command(words: &str) -> bool {
    let several = words.split_whitespace().nth(1).is_some();
    several
        && !words
            .split(',')
            .any(|word| std::path::Path::new(word).exists())
}

impl fmt::Display for Spec {
    /// As it is typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spec::Saved(parts) => {
                let files = parts.iter().map(|(_, path)| path.display().to_string());
                f.write_str(&files.collect::<Vec<_>>().join(","))
            }
            Spec::Program(command) => write!(f, "cmd: {command}"),
            Spec::Protocol(command) => write!(f, "serve: {command}"),
            Spec::Library(path) => write!(f, "lib:{}", path.display()),
            Spec::Server(url) => f.write_str(url),
        }
    }
}

impl Spec {
    /// The first word of its fingerprint.
    pub fn kind(&self) -> &'static str {
        match self {
            Spec::Saved(_) => "saved",
            Spec::Program(_) => "program",
            Spec::Protocol(_) => "protocol",
            Spec::Library(_) => "library",
            Spec::Server(_) => "server",
        }
    }

    /// What its process may do.
    pub fn rights(&self) -> Rights {
        match self {
            Spec::Saved(_) | Spec::Library(_) => Rights::Compute,
            Spec::Server(_) => Rights::Network,
            Spec::Program(_) | Spec::Protocol(_) => Rights::Programs,
        }
    }
}

/// Makes a runner of what was named.
pub fn open(spec: &Spec, options: Options) -> Result<Box<dyn Subject>, Failure> {
    match spec {
        Spec::Saved(parts) => Ok(Box::new(Saved::read(parts, options)?)),
        _ => Ok(Box::new(brought::Brought::start(spec, options)?)),
    }
}
