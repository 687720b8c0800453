//! Flags that mean the same in every command, spelled once.

pub mod exports;
pub mod model;
pub mod page;
pub mod shown;

use std::path::Path;
use std::time::Duration;

use clap::ArgMatches;
use engine::bytes::Storage;
use engine::gguf::Warning;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::refusal::escape;
use engine::session::SessionOptions;
use engine::{Model, Session};
use serde::Serialize;

pub use self::exports::{Exports, Sarif};
pub use self::model::{Models, OneModel, text};
pub use self::page::Html;
pub use self::shown::{Jobs, Sharing};
use crate::exit::{Exit, Failure};
use crate::file::reading::Reading;
use crate::io::destination::{Destination, FileRoles};
use crate::io::{output, progress, threads};

/// What every command about one model file takes.
#[derive(clap::Args, Debug, Clone)]
pub struct ModelFile {
    #[command(flatten)]
    model: OneModel,

    #[command(flatten)]
    #[allow(missing_docs)] // the flags say it
    pub strictness: Strictness,

    #[command(flatten)]
    #[allow(missing_docs)] // the flags say it
    pub json: Json,
}

impl ModelFile {
    /// The file.
    pub fn path(&self) -> Result<&Path, Failure> {
        self.model.path()
    }

    /// The files of a command, as far as these flags name them.
    pub fn roles(&self) -> Result<FileRoles, Failure> {
        self.json.beside([("--model", self.path()?)])
    }
}

/// How the engine computes.
#[derive(clap::Args, Debug, Clone)]
pub struct Computing {
    #[command(flatten)]
    #[allow(missing_docs)] // it would become help
    pub reading: Reading,

    /// Inner loops to use instead of the fastest this CPU has; none changes a result
    #[arg(long, value_name = "NAME", value_parser = kernel)]
    pub kernel: Option<Kernel>,

    /// Order of float operations; another order gives other bits
    #[arg(long, value_name = "NAME", default_value = "ggml-avx512", value_parser = profile)]
    pub profile: Profile,

    /// Threads [default: one per core]; results do not depend on it
    #[arg(long, value_name = "N", value_parser = positive)]
    pub threads: Option<usize>,

    /// Tokens computed together at most: 1 is decoding, more is prefill, and the bits differ
    #[arg(long, value_name = "N", default_value = "512", value_parser = positive)]
    pub ubatch: usize,

    /// Positions to hold [default: as many as are needed]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub context: Option<usize>,
}

impl Computing {
    /// Opens a model. Its warnings go to standard error or, in strict mode, fail.
    pub fn open(&self, file: &ModelFile, storage: Storage) -> Result<Model, Failure> {
        let options = self.reading.options(storage, self.kernel);
        let waiting = progress::spinner("loading the model");
        let model = Model::open(file.path()?, &options)?;
        waiting.finish_and_clear();
        file.strictness.refuse(model.warnings())?;
        Ok(model)
    }

    /// A session for `needed` positions, unless `--context` asks for another number of them.
    pub fn session(&self, model: &Model, needed: usize) -> Result<Session, Failure> {
        let most = model.config().context_length;
        let context = self.context.unwrap_or(needed);
        if context > most {
            let message = format!("{context} positions, and the model was made for {most}");
            return Err(Failure::input(format!("CONTEXT_FULL: {message}")));
        }
        let options = SessionOptions {
            context,
            ubatch: self.ubatch,
            threads: self.threads.unwrap_or_else(threads::cores),
            profile: self.profile,
        };
        Ok(Session::new(model, options)?)
    }
}

/// Where the result goes as JSON. The same flag in every command.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct Json {
    /// Write the result as JSON to FILE, or to standard output instead of text: `-` or no FILE
    #[arg(
        id = Json::ID,
        long = "json",
        value_name = "FILE|-",
        num_args = 0..=1,
        default_missing_value = "-",
        display_order = 900
    )]
    pub to: Option<Destination>,
}

impl Json {
    const ID: &str = "json";

    /// As if it had been typed.
    pub fn to(destination: Destination) -> Self {
        let to = Some(destination);
        Json { to }
    }

    /// What was typed behind the innermost command, whichever it is.
    pub fn typed(mut matches: &ArgMatches) -> Self {
        while let Some((_, inner)) = matches.subcommand() {
            matches = inner;
        }
        let to = matches.try_get_one(Self::ID).ok().flatten().cloned();
        Json { to }
    }

    /// What was typed in a command line that cannot be taken apart, unless it may be the name of
    /// something that is read.
    pub fn from_words(words: &[String]) -> Result<Self, Failure> {
        let own = |word: &String| word.split('=').next() == Some("--json");
        let Some(at) = words.iter().rposition(own) else {
            return Ok(Json::default());
        };
        let next = words.get(at + 1);
        let next = next.filter(|next| *next == "-" || !next.starts_with('-'));
        let typed = words[at].split_once('=').map(|(_, file)| file);
        let file = typed.or(next.map(String::as_str)).unwrap_or("-");
        let end = at + 1 + usize::from(typed.is_none() && next.is_some());
        let ambiguous = words.get(1).is_some_and(|word| word == "receipt");
        if ambiguous && Path::new(file).exists() {
            return Ok(Json::default());
        }
        let model = std::env::var("CROSSVAL_GGUF").ok();
        let others = words[1..at].iter().chain(&words[end..]).chain(&model);
        let roles = others.fold(FileRoles::default(), |roles, word| {
            let value = word.split_once('=').filter(|_| word.starts_with('-'));
            roles.reads(
                "",
                Path::new(value.map_or(word.as_str(), |(_, value)| value)),
            )
        });
        let Ok(json) = file.parse().map(Json::to);
        roles.writes("--json", json.to.as_ref())?;
        Ok(json)
    }

    /// The files of a command that reads these and writes nothing but this, as far as it is
    /// known already. Refused if one of them would be destroyed.
    pub fn beside<'a>(
        &self,
        read: impl IntoIterator<Item = (&'a str, &'a Path)>,
    ) -> Result<FileRoles, Failure> {
        let read = read.into_iter();
        let roles = read.fold(FileRoles::default(), |roles, (flag, path)| {
            roles.reads(flag, path)
        });
        roles.writes("--json", self.to.as_ref())
    }

    /// Writes the result, if it was asked for.
    pub fn write(&self, value: &impl Serialize) -> Result<(), Failure> {
        let Some(to) = &self.to else {
            return Ok(());
        };
        let text = output::to_json(value)?;
        to.write(text.as_bytes())
    }

    /// Writes why there is no result, unless there is one or it would destroy something.
    pub fn refuse(&self, failure: &Failure) -> Result<(), Failure> {
        match &self.to {
            Some(to) if to.takes_a_refusal() => self.write(&failure.to_json()),
            _ => Ok(()),
        }
    }

    /// Whether standard output is taken, so that text has no place there.
    pub fn takes_stdout(&self) -> bool {
        self.to == Some(Destination::Stdout)
    }
}

/// Whether warnings fail.
#[derive(clap::Args, Debug, Clone, Copy)]
pub struct Strictness {
    /// Let warnings fail the command
    #[arg(
        long,
        env = "BITNET_STRICT_MODE",
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_name = "BOOL",
        hide_default_value = true,
        display_order = 899,
        value_parser = switch
    )]
    pub strict: bool,
}

impl Strictness {
    /// In strict mode, the first warning of a loader as a failure; otherwise all of them on
    /// standard error.
    pub fn refuse<'a>(
        self,
        warnings: impl IntoIterator<Item = &'a Warning>,
    ) -> Result<(), Failure> {
        for warning in warnings {
            let sentence = format!("{}: {}: {}", warning.name, warning.field, warning.detail);
            let sentence = escape(&sentence);
            if self.strict {
                let message = format!("{sentence} (strict mode lets no warning pass)");
                return Err(Failure::new(Exit::Diverges, message));
            }
            output::tell(format!("warning: {sentence}"));
        }
        Ok(())
    }
}

/// A switch from the environment: `1`, `true`, `yes` and `on` switch on; `0`, `false`, `no`,
/// `off` and nothing switch off.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" | "" => Ok(false),
        _ => Err("expected one of 1, true, yes, on, 0, false, no, off".into()),
    }
}

/// A number of at least one.
pub fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("expected a whole number".into()),
    }
}

/// How many things to make or to ask: what no run would ever finish is a slip of the finger.
pub fn count<N: TryFrom<u32>>(text: &str) -> Result<N, String> {
    const MOST: u32 = 1_000_000_000;
    let number = text.parse().ok().filter(|number| *number <= MOST);
    let number = number.and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| format!("expected a whole number up to {MOST}"))
}

/// Seconds to wait, or parts of one: a day at most.
pub fn seconds(text: &str) -> Result<Duration, String> {
    const MOST: Duration = Duration::from_secs(24 * 3600);
    let waiting = text.parse().ok().map(Duration::try_from_secs_f64);
    let waiting = waiting.and_then(Result::ok);
    let waiting = waiting.filter(|waiting| !waiting.is_zero() && *waiting <= MOST);
    waiting.ok_or_else(|| format!("expected seconds above 0, at most {}", MOST.as_secs()))
}

/// A number above zero.
pub fn positive_number(text: &str) -> Result<f32, String> {
    let number = text
        .parse()
        .ok()
        .filter(|x: &f32| x.is_finite() && *x > 0.0);
    number.ok_or_else(|| "expected a number above 0".into())
}

/// A kernel by its name, if this CPU can run it.
pub fn kernel(name: &str) -> Result<Kernel, String> {
    let known = Kernel::NAMES.join(", ");
    match Kernel::from_name(name) {
        Some(kernel) => Ok(kernel),
        None if Kernel::NAMES.contains(&name) => Err("this CPU cannot run it".into()),
        None => Err(format!("there are {known}")),
    }
}

/// An order of float operations by its name.
pub fn profile(name: &str) -> Result<Profile, String> {
    let known: Vec<&str> = Profile::named().map(Profile::name).collect();
    let known = known.join(", ");
    Profile::from_name(name).ok_or_else(|| format!("there are {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_read_what_people_write_and_refuse_the_rest() {
        for on in ["1", "true", "Yes", "ON"] {
            assert_eq!(switch(on), Ok(true), "{on}");
        }
        for off in ["0", "false", "No", "off", ""] {
            assert_eq!(switch(off), Ok(false), "{off}");
        }
        assert!(switch("maybe").is_err());
    }

    #[test]
    fn numbers_that_no_run_would_finish_are_refused() {
        assert_eq!(count("1000000000"), Ok(1_000_000_000_usize));
        assert_eq!(seconds("86400"), Ok(Duration::from_secs(86400)));
        for silly in ["-1", "1000000001", "18446744073709551615", "1e9", "NaN", ""] {
            assert!(
                count::<usize>(silly).is_err() && seconds(silly).is_err(),
                "{silly}"
            );
        }
        assert!(seconds("0").is_err());
    }

    #[test]
    fn an_unknown_kernel_lists_the_known_ones() {
        let message = kernel("abacus").expect_err("no such kernel");
        assert!(message.contains("scalar, x86_64-avx2"), "{message}");
        assert_eq!(kernel("scalar"), Ok(Kernel::Scalar));
    }
}
