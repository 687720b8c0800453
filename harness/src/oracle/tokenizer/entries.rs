//! Whether two vocabularies hold the same: as a whole, and token for token.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::Serialize;

use super::Pair;
use super::excuse::Excuse;
use crate::case::observation::spelling::{Entry, Facts};
use crate::exit::Failure;

/// Tokens that are compared by one hash; only where it differs each is looked at.
const PORTION: usize = 8192;
/// Differences that are kept; the others are counted.
const KEPT: usize = 5;

/// How two vocabularies compare.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Entries {
    /// Tokens that are the same in every part.
    pub equal: usize,
    /// Tokens that differ in a way that is known, by the name of the excuse.
    pub excused: BTreeMap<&'static str, usize>,
    /// Tokens that differ.
    pub different: usize,
    /// What differs: everything about the whole, and the first of the tokens.
    pub differences: Vec<String>,
}

impl Entries {
    /// Whether nothing differs.
    pub fn agree(&self) -> bool {
        self.differences.is_empty()
    }

    fn note(&mut self, token: usize, ours: &Entry, theirs: &Entry, excuses: &[Excuse]) {
        if ours == theirs {
            self.equal += 1;
            return;
        }
        let mut adjusted = ours.clone();
        let mut names = Vec::new();
        for excuse in excuses {
            let next = (excuse.entry)(&adjusted, theirs);
            if next != adjusted {
                names.push(excuse.name);
            }
            adjusted = next;
        }
        if adjusted == *theirs {
            for name in names {
                *self.excused.entry(name).or_default() += 1;
            }
            return;
        }
        self.different += 1;
        if self.different <= KEPT {
            let differences = differing(ours, theirs).join("; ");
            self.differences
                .push(format!("token {token}: {differences}"));
        }
    }
}

/// Compares everything the two sides say of their vocabularies.
pub fn compare(pair: &mut Pair<'_>) -> Result<Entries, Failure> {
    let (ours, theirs) = (pair.ours.facts()?, pair.theirs.facts()?);
    let mut found = Entries {
        differences: whole(&ours, &theirs),
        ..Entries::default()
    };
    let tokens = ours.tokens.min(theirs.tokens);
    for first in (0..tokens).step_by(PORTION) {
        let count = PORTION.min(tokens - first);
        if pair.ours.digest(first, count)? == pair.theirs.digest(first, count)? {
            found.equal += count;
            continue;
        }
        let (ours, theirs) = (
            pair.ours.entries(first, count)?,
            pair.theirs.entries(first, count)?,
        );
        if theirs.len() != count {
            let entries = theirs.len();
            found
                .differences
                .push(format!("{entries} tokens from {first} on, not {count}"));
        }
        for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            found.note(first + at, ours, theirs, pair.excuses);
        }
    }
    Ok(found)
}

/// What differs about the whole. A switch that the one side does not know is no difference.
fn whole(ours: &Facts, theirs: &Facts) -> Vec<String> {
    let known = |theirs: Option<bool>, ours| theirs.or(ours);
    let differing = [
        differ("number of tokens", &ours.tokens, &theirs.tokens),
        differ("BOS", &ours.bos, &theirs.bos),
        differ("EOS", &ours.eos, &theirs.eos),
        differ(
            "BOS added",
            &ours.add_bos,
            &known(theirs.add_bos, ours.add_bos),
        ),
        differ(
            "EOS added",
            &ours.add_eos,
            &known(theirs.add_eos, ours.add_eos),
        ),
    ];
    differing.into_iter().flatten().collect()
}

fn differing(ours: &Entry, theirs: &Entry) -> Vec<String> {
    let score = |entry: &Entry| f32::from_bits(entry.score);
    let scores = match ours.score == theirs.score {
        true => None,
        false => Some(format!(
            "score {:?}, theirs {:?}",
            score(ours),
            score(theirs)
        )),
    };
    let text = |what, ours: &dyn ToString, theirs: &dyn ToString| {
        differ(what, &ours.to_string(), &theirs.to_string())
    };
    let differing = [
        text("text", &ours.text, &theirs.text),
        differ("attributes", &ours.kind, &theirs.kind),
        scores,
        differ("ends a generation", &ours.ends, &theirs.ends),
        text("stands for", &ours.hidden, &theirs.hidden),
        text("stands for, shown", &ours.shown, &theirs.shown),
    ];
    differing.into_iter().flatten().collect()
}

fn differ<T: PartialEq + Debug>(what: &str, ours: &T, theirs: &T) -> Option<String> {
    (ours != theirs).then(|| format!("{what} {ours:?}, theirs {theirs:?}"))
}
