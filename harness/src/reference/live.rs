//! A reference that can be asked: each one that is named runs in processes of its own.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use ffi::reference::{COMMAND, Cache, IfMissing, Spec, prepare};

use super::{LiveReference, missing};
use crate::exit::Failure;
use crate::reference::isolation::{Death, Hello, Kind, Limits, Terms, Worker, WorkerExit};

/// Words that this environment variable puts in front of every worker's command line: an emulator,
/// where this program itself runs under one, or a checker such as valgrind.
pub const WRAPPER: &str = "HARNESS_WORKER_WRAPPER";

/// How a worker is started.
pub type Launch = Rc<dyn Fn() -> Command>;

/// A reference behind workers: each question may have a process of its own.
#[derive(Clone)]
pub struct Reference {
    facts: LiveReference,
    launch: Launch,
    limits: Limits,
    /// How it used up its patience, once it has.
    hung: Rc<RefCell<Option<Box<Death>>>>,
}

impl Reference {
    /// A reference called `name`, asked who it is.
    pub fn open(name: &str, limits: Limits, launch: Launch) -> Result<Self, WorkerExit> {
        let (_, hello) = Worker::start(launch(), limits)?;
        let facts = LiveReference {
            name: name.to_owned(),
            origin: "unknown".into(),
            commit: None,
            compiler: None,
            flags: None,
            hello,
        };
        Ok(Reference {
            facts,
            launch,
            limits,
            hung: Rc::default(),
        })
    }

    /// What is known about it.
    pub fn facts(&self) -> &LiveReference {
        &self.facts
    }

    /// What it said of itself.
    pub fn hello(&self) -> &Hello {
        &self.facts.hello
    }

    /// Takes note of a death. Who has not answered in time is not asked again: a run waits for that
    /// once, not at every question.
    pub(super) fn note(&self, death: &Death) {
        if death.kind == Kind::Timeout && death.signal.is_none() {
            let mut hung = death.clone();
            let waited = hung.complaint.get_or_insert_default();
            waited.push_str(", and it was not asked again");
            self.hung.replace(Some(Box::new(hung)));
        }
    }

    /// A new process with the library loaded, which may write files of so many bytes: that one
    /// alone, where it loads a library.
    pub(super) fn worker(
        &self,
        file_size: u64,
        writes: Option<PathBuf>,
    ) -> Result<Worker, WorkerExit> {
        if let Some(hung) = self.hung.borrow().clone() {
            return Err(WorkerExit::Died(hung));
        }
        let limits = Limits {
            file_size,
            ..self.limits
        };
        let (worker, hello) = Worker::start((self.launch)(), Terms { limits, writes })?;
        if hello != self.facts.hello {
            let name = &self.facts.name;
            let message = format!("{name} is no longer the library it was");
            return Err(WorkerExit::Refused(message));
        }
        Ok(worker)
    }
}

/// Those `names` name, else the one the environment names, else none.
pub fn open(names: &[String], limits: Limits) -> Result<Vec<Reference>, Failure> {
    let mut open: Vec<Reference> = Vec::new();
    for asked in &asked(names)? {
        let reference = open_one(asked, limits)?;
        let print = reference.facts.fingerprint();
        let same = |other: &&Reference| other.facts.fingerprint() == print;
        if let Some(same) = open.iter().find(same) {
            let (one, other) = (&same.facts.name, &reference.facts.name);
            return Err(Failure::input(format!(
                "{one} and {other} are the same library: it would confirm itself"
            )));
        }
        open.push(reference);
    }
    Ok(open)
}

/// What stands in front of a worker's command line.
fn wrapper() -> Vec<OsString> {
    let set = std::env::var(WRAPPER).unwrap_or_default();
    set.split_whitespace().map(OsString::from).collect()
}

/// The same where there must be one.
pub fn open_some(names: &[String], limits: Limits) -> Result<Vec<Reference>, Failure> {
    let open = open(names, limits)?;
    if open.is_empty() {
        return Err(missing(format!(
            "no reference is named; to get the usual one, run: {COMMAND}"
        )));
    }
    Ok(open)
}

/// Starts `program`, which is this one, as the worker of the reference at `place`.
pub fn launch(program: PathBuf, place: PathBuf) -> Launch {
    launch_with(program, vec!["--place".into(), place.into()])
}

/// Starts `program`, which is this one, as the worker that these flags describe.
pub fn launch_with(program: PathBuf, flags: Vec<OsString>) -> Launch {
    Rc::new(move || {
        let mut words = wrapper();
        words.push(program.clone().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("worker").args(&flags);
        // A library of the family that aborts hands itself to a debugger first. The newer ones
        // ask this variable whether they may, the others take the one they find on the path.
        command.env("GGML_NO_BACKTRACE", "1");
        if words.len() == 1 {
            command.env("PATH", "");
        }
        command
    })
}

/// What is meant, before anything is opened.
fn asked(names: &[String]) -> Result<Vec<Spec>, Failure> {
    if names.is_empty() {
        let named = Spec::from_environment().map_err(unavailable)?;
        return Ok(named.into_iter().collect());
    }
    let named = |name: &String| {
        Spec::parse(name).map_err(|unknown| {
            let yours = format!("{unknown}; an engine of yours is `--subject 'cmd: {name} …'`, or");
            if Path::new(name).is_file() {
                return Failure::input(format!("{yours} `--subject lib:{name}`"));
            }
            Failure::input(unknown)
        })
    };
    names.iter().map(named).collect()
}

fn open_one(asked: &Spec, limits: Limits) -> Result<Reference, Failure> {
    if cfg!(not(unix)) {
        return Err(missing(
            "live C++ needs Unix, where it runs in a process of its own; without --reference, what \
             it computed is on record",
        ));
    }
    // First: where that is not to be found out, neither is which processor this is.
    let program = std::env::current_exe().map_err(Failure::environment)?;
    let cache = Cache::from_environment().map_err(unavailable)?;
    let prepared = prepare(asked, &cache, IfMissing::Fail, &mut |line| {
        crate::io::output::tell(line)
    });
    let prepared = prepared.map_err(unavailable)?;
    let launch = launch(program, prepared.tree.root.clone());
    let name = prepared.name;
    let mut reference = Reference::open(&name, limits, launch).map_err(|exit| Failure {
        message: format!("{name}: {exit}"),
        ..exit.into()
    })?;
    let provenance = prepared.provenance;
    reference.facts.origin = provenance.origin;
    reference.facts.commit = provenance.commit;
    reference.facts.compiler = provenance.compiler;
    reference.facts.flags = provenance.flags;
    Ok(reference)
}

/// A reference that was asked for and is not there is an error, not a reason to do less.
fn unavailable(error: ffi::Error) -> Failure {
    match error {
        ffi::Error::Tool { .. } | ffi::Error::Io { .. } => Failure::environment(error),
        _ => missing(error.to_string()),
    }
}
