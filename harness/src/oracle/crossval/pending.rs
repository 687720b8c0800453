//! Recordings that wait for a person: what a live reference says now, beside what is committed,
//! until somebody accepts or rejects it. Nothing that is committed changes before that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::case::observation::Observation;
use crate::case::{self, Case};
use crate::exit::Failure;
use crate::file::provenance::Input;
use crate::fixture::PENDING;
use crate::io::{atomic, output};
use crate::judge::compare::Findings;
use crate::judge::verdict::Verdict;
use crate::oracle::crossval::answer::same_bits;
use crate::runner::Runner;
use crate::runner::recorded::manifest::{Manifest, Reference};
use crate::runner::recorded::{MANIFEST, Recorded};
use crate::runner::recorder::{self, Memory, Seen};
use crate::runner::shelf::{self, Files};
use crate::runner::suite::Suite;

/// The file beside a pending recording that says what it was compared with.
const NOTE: &str = "pending.json";
const CASES: &str = "cases.json";

/// What a pending recording was compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    /// SHA-256 of the `recording.json` in whose place it would be; none where there is none.
    instead_of: Option<String>,
    /// The cases it answers, as they were asked.
    cases: Vec<Case>,
}

/// A recording that waits.
pub struct Pending {
    recorded: Recorded,
    note: Note,
    shelf: PathBuf,
}

/// What is said now of one case.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// Its name.
    pub case: String,
    /// What the committed recording and this one come to; none where nobody recorded the case.
    pub verdict: Option<Verdict>,
    /// The numbers it follows from, where the two can be compared.
    pub findings: Option<Findings>,
}

/// Leaves what live references say otherwise than the fixtures' recordings, and what nobody has
/// recorded, for a person to look at: a line about each recording. Cases for which `fit` says no,
/// and those that the fixtures do not know, are none of it.
pub fn leave(
    memory: &Memory,
    suite: &Suite,
    reference: &Reference,
    fit: impl Fn(&str) -> bool,
) -> Result<Vec<String>, Failure> {
    let mut told = Vec::new();
    for alike in memory.alike(fit) {
        let otherwise = recorder::name(reference, &alike);
        let mut by_recording: BTreeMap<String, Vec<Rc<Seen>>> = BTreeMap::new();
        for seen in alike {
            let name = place(&seen, suite, &otherwise);
            let seen = name.map(|name| by_recording.entry(name).or_default().push(seen));
            seen.unwrap_or_default();
        }
        for (name, seen) in by_recording {
            told.extend(leave_one(&name, &seen, suite, reference)?);
        }
    }
    Ok(told)
}

/// The recording that has what was seen, or would have: none where the case has recordings, and
/// all of them of other arithmetics.
fn place(seen: &Seen, suite: &Suite, otherwise: &str) -> Option<String> {
    let case = suite.cases.iter().find(|case| **case == seen.case)?;
    let alike = |name: &&String| {
        let recorded = suite.recordings.get(*name);
        recorded.is_some_and(|r| r.manifest().profile == seen.observation.identity.profile)
    };
    match case.recordings.iter().find(alike) {
        Some(name) => Some(name.clone()),
        None => case.recordings.is_empty().then(|| otherwise.to_owned()),
    }
}

fn leave_one(
    name: &str,
    seen: &[Rc<Seen>],
    suite: &Suite,
    reference: &Reference,
) -> Result<Option<String>, Failure> {
    let known = suite.recordings.get(name);
    let changed = |seen: &&Rc<Seen>| change(&seen.case, known, &seen.observation).is_some();
    if !seen.iter().any(|seen| changed(&seen)) {
        return Ok(None);
    }
    let asked = |prompt: &&str| seen.iter().any(|seen| seen.case.prompt == **prompt);
    let recorded = known.map(|known| &known.manifest().cases[..]);
    let mut recorded = recorded.unwrap_or_default().iter().map(|c| &c.prompt[..]);
    if let Some(prompt) = recorded.find(|prompt| !asked(prompt)) {
        return Ok(Some(format!(
            "{name}: other answers than on record, but it also has {prompt:?}, which was not \
             asked: run every case of it and it waits for a review"
        )));
    }
    let note = Note {
        instead_of: known.map(|known| known.identity().fingerprint),
        cases: seen.iter().map(|seen| seen.case.clone()).collect(),
    };
    let mut files = recorder::files(name, reference, seen)?;
    files.insert(NOTE.to_owned(), output::to_json(&note)?.into_bytes());
    let waiting = suite.folder.join(PENDING);
    fs::create_dir_all(&waiting).map_err(Failure::environment)?;
    shelf::replace(&waiting, name, &files, || Ok(()))?;
    let place = waiting.join(name);
    Ok(Some(format!("pending {}", place.display())))
}

/// What an observation changes about a case on record; nothing where every bit is the same.
fn change(case: &Case, known: Option<&Recorded>, now: &Observation) -> Option<Change> {
    let named = |verdict, findings| Change {
        case: case.name.clone(),
        verdict,
        findings,
    };
    let recording = known.and_then(|known| {
        let mut cases = known.manifest().cases.iter();
        Some(known.seen(cases.find(|recorded| recorded.prompt == case.prompt)?))
    });
    let Some(before) = recording else {
        return Some(named(None, None));
    };
    let with = same_bits(case, &before, now, true);
    let verdict = with.comparison.verdict;
    (verdict != Verdict::Agree).then(|| named(Some(verdict), with.measured.findings))
}

/// The names of all that wait beside the fixtures, in order.
pub fn names(fixtures: &Path) -> Result<Vec<String>, Failure> {
    shelf::names(&fixtures.join(PENDING))
}

/// Takes one away, whatever state it is in.
pub fn reject(fixtures: &Path, name: &str) -> Result<(), Failure> {
    shelf::remove(&fixtures.join(PENDING), name)
}

impl Pending {
    /// Reads one, whose files must have the hashes on their list.
    pub fn open(fixtures: &Path, name: &str) -> Result<Self, Failure> {
        let shelf = fixtures.join(PENDING);
        let listed = shelf::listed(&shelf)?;
        let wrong = |why: &dyn std::fmt::Display| {
            let next = format!("harness reject --recording {name}, and record anew");
            Failure::input(format!("pending {name} is damaged: {why}; {next}"))
        };
        let recorded = Recorded::open(&shelf, name, &listed).map_err(|e| wrong(&e))?;
        let (input, bytes) = Input::read(&shelf.join(name).join(NOTE)).map_err(|e| wrong(&e))?;
        if listed.get(&format!("{name}/{NOTE}")) != Some(&input.sha256) {
            return Err(wrong(&format!(
                "{NOTE} is not the file {} lists",
                shelf::LIST
            )));
        }
        let note = serde_json::from_slice(&bytes).map_err(|e| wrong(&e))?;
        Ok(Pending {
            recorded,
            note,
            shelf,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.manifest().name
    }

    /// Who made what is committed in its place, if anything is, and who made it.
    pub fn makers(&self, suite: &Suite) -> (Option<String>, String) {
        let before = suite.recordings.get(self.name()).map(maker);
        (before, maker(&self.recorded))
    }

    fn manifest(&self) -> &Manifest {
        self.recorded.manifest()
    }

    /// Why it is no longer about what is here, if it is not.
    pub fn stale(&self, suite: &Suite) -> Option<String> {
        let Manifest { name, model, .. } = self.manifest();
        let known = suite.recordings.get(name);
        let known = known.map(|known| known.identity().fingerprint);
        if known != self.note.instead_of {
            return Some("the committed recording is not the one it was compared with".into());
        }
        // Where a case is recorded may change, what is asked may not.
        let asked = |case: &Case| Case {
            recordings: Vec::new(),
            live: Vec::new(),
            ..case.clone()
        };
        for case in &self.note.cases {
            let now = suite.cases.iter().find(|now| now.name == case.name);
            if now.map(asked) != Some(asked(case)) {
                return Some(format!("case {} asks something else now", case.name));
            }
        }
        match Input::read(&suite.folder.join(&model.file)) {
            Err(failure) => Some(failure.to_string()),
            Ok((now, _)) if now.sha256 != model.sha256 => {
                Some(format!("{} has other bytes now", model.file))
            }
            Ok(_) => None,
        }
    }

    /// What it changes, case by case.
    pub fn changes(&self, suite: &Suite) -> Vec<Change> {
        let known = suite.recordings.get(&self.manifest().name);
        let cases = self.note.cases.iter().filter_map(|case| {
            let mut recorded = self.manifest().cases.iter();
            let recorded = recorded.find(|recorded| recorded.prompt == case.prompt)?;
            change(case, known, &self.recorded.seen(recorded))
        });
        cases.collect()
    }

    /// Puts it in its place among the fixtures, which must be sound afterwards or are as before.
    pub fn accept(&self, suite: &Suite, reason: &str) -> Result<(), Failure> {
        let name = &self.manifest().name;
        if let Some(why) = self.stale(suite) {
            return Err(Failure::input(format!(
                "{name} is stale: {why}; harness reject --recording {name}, and record anew"
            )));
        }
        let mut files = Files::new();
        for file in self.manifest().files.keys() {
            let bytes = fs::read(self.shelf.join(name).join(file));
            files.insert(file.clone(), bytes.map_err(Failure::environment)?);
        }
        let manifest = Manifest {
            reason: Some(reason.to_owned()),
            ..self.manifest().clone()
        };
        files.insert(MANIFEST.to_owned(), manifest.to_json());
        let path = suite.folder.join(CASES);
        let (_, before) = Input::read_text(&path)?;
        let after = self.listed(&before)?;
        let write =
            |text: &str| atomic::write(&path, text.as_bytes()).map_err(Failure::environment);
        shelf::replace(&suite.folder.join("recordings"), name, &files, || {
            write(&after)?;
            Suite::open(&suite.folder)
                .map(drop)
                .or_else(|unsound| write(&before).and(Err(unsound)))
        })?;
        shelf::remove(&self.shelf, name)
    }

    /// `cases.json` in which each of its cases names it.
    fn listed(&self, text: &str) -> Result<String, Failure> {
        let name = &self.manifest().name;
        let mut expected = case::parse(text.as_bytes())?;
        let mut text = text.to_owned();
        for case in &mut expected {
            let own = self.note.cases.iter().any(|own| own.name == case.name);
            if !own || case.recordings.contains(name) {
                continue;
            }
            case.recordings.push(name.clone());
            text = with_recording(&text, &case.name, name).unwrap_or(text);
        }
        if case::parse(text.as_bytes()).is_ok_and(|cases| cases == expected) {
            return Ok(text);
        }
        Err(Failure::input(format!(
            "{CASES} is not written as this program would: add {name:?} to the \"recordings\" of \
             its cases by hand, and accept again"
        )))
    }
}

/// The text in which the recordings of a case have one more; nothing where it is not found.
fn with_recording(text: &str, case: &str, recording: &str) -> Option<String> {
    let after = |from: usize, what: &str| Some(from + text[from..].find(what)? + what.len());
    let named = after(0, &format!("\"name\": {case:?}"))?;
    let open = after(named, "\"recordings\": [")?;
    let close = open + text[open..].find(']')?;
    let (head, list, tail) = (&text[..open], text[open..close].trim_end(), &text[close..]);
    let comma = if list.is_empty() { "" } else { "," };
    Some(format!("{head}{list}{comma}\n    {recording:?}\n   {tail}"))
}

/// Who made a recording, on one line, and the beginning of its hash.
fn maker(recorded: &Recorded) -> String {
    let Manifest {
        profile, reference, ..
    } = recorded.manifest();
    let Reference {
        name,
        version,
        compiler,
        executed_by,
        ..
    } = reference;
    let hash = &recorded.identity().fingerprint[..12];
    format!("{name}, {version}, {compiler}, {executed_by}, in {profile} ({hash})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_named_where_the_case_lists_its_own_and_nowhere_else() {
        let one = "{\"name\": \"a\", \"recordings\": []}";
        let two = "{\"name\": \"b\", \"recordings\": [\n    \"x\"\n   ]}";
        let text = &format!("{one}, {two}");
        let one = with_recording(text, "b", "y").expect("it is there");
        assert!(one.ends_with("[\n    \"x\",\n    \"y\"\n   ]}"), "{one}");
        let both = with_recording(&one, "a", "y").expect("it is there");
        assert!(
            both.contains("\"a\", \"recordings\": [\n    \"y\"\n   ]}"),
            "{both}"
        );
        assert_eq!(with_recording(text, "c", "y"), None);
    }
}
