//! Which live references take part: found, opened, and shown to be different libraries.
#![forbid(unsafe_code)]

use crate::campaign::Live;
use crate::exit::{Exit, Failure};

/// Those named, else the one the environment names, else none.
#[cfg(unix)]
pub fn open(names: &[String], limits: crate::isolation::Limits) -> Result<Vec<Live>, Failure> {
    let asked = asked(names)?;
    let mut live: Vec<Live> = Vec::new();
    for asked in &asked {
        let reference = open_one(asked, limits)?;
        let print = reference.runner.identity().fingerprint;
        let same = |other: &&Live| other.runner.identity().fingerprint == print;
        if let Some(same) = live.iter().find(same) {
            let (one, other) = (&same.facts.name, &reference.facts.name);
            return Err(Failure::input(format!(
                "{one} and {other} are the same library: it would confirm itself"
            )));
        }
        live.push(reference);
    }
    Ok(live)
}

/// What is meant, before anything is opened.
#[cfg(unix)]
fn asked(names: &[String]) -> Result<Vec<ffi::reference::Asked>, Failure> {
    use ffi::reference::Asked;
    if names.is_empty() {
        let named = Asked::from_environment().map_err(unavailable)?;
        return Ok(named.into_iter().collect());
    }
    let named = |name: &String| Asked::parse(name).map_err(Failure::input);
    names.iter().map(named).collect()
}

#[cfg(unix)]
fn open_one(
    asked: &ffi::reference::Asked,
    limits: crate::isolation::Limits,
) -> Result<Live, Failure> {
    use std::process::Command;
    use std::rc::Rc;

    use ffi::reference::{Cache, Missing, prepare};

    use crate::isolation::Ended;
    use crate::receipt::LiveReference;
    use crate::runner::reference::Reference;
    use crate::worker;

    let cache = Cache::from_environment().map_err(unavailable)?;
    let prepared = prepare(asked, &cache, Missing::Refuse, &mut |line| {
        eprintln!("{line}")
    });
    let prepared = prepared.map_err(unavailable)?;
    let program = std::env::current_exe().map_err(Failure::environment)?;
    let place = prepared.tree.root.clone();
    let launch = Rc::new(move || {
        let mut command = Command::new(&program);
        command.args(worker::arguments(&place));
        command
    });
    let name = prepared.name;
    let reference = Reference::open(&name, limits, launch).map_err(|ended| Failure {
        exit: match ended {
            Ended::Refused(_) => Exit::ReferenceMissing,
            Ended::Died(_) => Exit::ReferenceDied,
        },
        message: format!("{name}: {ended}"),
    })?;
    let provenance = prepared.provenance;
    let facts = LiveReference {
        name,
        origin: provenance.origin,
        commit: provenance.commit,
        compiler: provenance.compiler,
        flags: provenance.flags,
        hello: reference.hello().clone(),
    };
    let runner = Box::new(reference);
    Ok(Live { runner, facts })
}

/// A reference that was asked for and is not there is an error, not a reason to do less.
#[cfg(unix)]
fn unavailable(error: ffi::Error) -> Failure {
    let exit = match error {
        ffi::Error::Tool { .. } | ffi::Error::Io { .. } => Exit::Environment,
        _ => Exit::ReferenceMissing,
    };
    Failure {
        exit,
        message: error.to_string(),
    }
}

/// Elsewhere no reference can be opened.
#[cfg(not(unix))]
pub fn open(names: &[String], _: crate::isolation::Limits) -> Result<Vec<Live>, Failure> {
    let set = std::env::var_os("BITNET_CPP_DIR").is_some_and(|dir| !dir.is_empty());
    match names.is_empty() && !set {
        true => Ok(Vec::new()),
        false => Err(Failure {
            exit: Exit::ReferenceMissing,
            message: "a live reference needs Unix".into(),
        }),
    }
}
