//! Whether two vocabularies hold the same: as a whole, and token for token.
#![forbid(unsafe_code)]

use std::fmt::Debug;

use serde::Serialize;

use super::Pair;
use super::excuse::{Mismatch, Part, Place, known};
use crate::case::observation::tokenization::{Entry, Facts};
use crate::exit::Failure;
use crate::judge::excuse::{Applied, Excused, find};

/// Tokens that are compared by one hash; only where it differs each is looked at.
const PORTION: usize = 8192;
/// Differences that are kept; the others are counted.
const KEPT: usize = 5;

/// How two vocabularies compare.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Entries {
    /// Tokens that are the same in every part.
    pub equal: usize,
    /// Parts of tokens that differ in a way that is known.
    pub excused: Excused,
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

    fn note(&mut self, token: usize, ours: &Entry, theirs: &Entry, api: &str) {
        let differing = differing(ours, theirs);
        if differing.is_empty() {
            self.equal += 1;
            return;
        }
        let excuse = |(part, _): &(Part, String)| {
            let part = *part;
            let place = Place::Token { part, ours, theirs };
            find(&known(), &Mismatch { api, place })
        };
        // A token is excused if each of its differences is.
        let excuses: Option<Vec<Applied<'_>>> = differing.iter().map(excuse).collect();
        if let Some(excuses) = excuses {
            let again = || "--strings 0".to_owned();
            excuses
                .into_iter()
                .for_each(|one| self.excused.add(one, again));
            return;
        }
        self.different += 1;
        if self.different <= KEPT {
            let words: Vec<String> = differing.into_iter().map(|(_, words)| words).collect();
            self.differences
                .push(format!("token {token}: {}", words.join("; ")));
        }
    }
}

/// Compares everything the two sides say of their vocabularies. Whatever was compared before a
/// failure is in `found`.
pub fn compare(pair: &mut Pair<'_>, found: &mut Entries) -> Result<(), Failure> {
    let (ours, theirs) = (pair.ours.facts()?, pair.theirs.facts()?);
    found.differences = whole(&ours, &theirs);
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
            found.note(first + at, ours, theirs, pair.api);
        }
    }
    Ok(())
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

fn differing(ours: &Entry, theirs: &Entry) -> Vec<(Part, String)> {
    let text = |what, ours: &dyn ToString, theirs: &dyn ToString| {
        differ(what, &ours.to_string(), &theirs.to_string())
    };
    let [ours_score, theirs_score] = [ours, theirs].map(|entry| f32::from_bits(entry.score));
    let scores = format!("score {ours_score:?}, theirs {theirs_score:?}");
    let differing = [
        (Part::Text, text("text", &ours.text, &theirs.text)),
        (Part::Kind, differ("attributes", &ours.kind, &theirs.kind)),
        (Part::Score, (ours.score != theirs.score).then_some(scores)),
        (
            Part::Ends,
            differ("ends a generation", &ours.ends, &theirs.ends),
        ),
        (
            Part::Hidden,
            text("stands for", &ours.hidden, &theirs.hidden),
        ),
        (
            Part::Shown,
            text("stands for, shown", &ours.shown, &theirs.shown),
        ),
    ];
    let differing = differing.into_iter();
    differing
        .filter_map(|(part, words)| Some((part, words?)))
        .collect()
}

fn differ<T: PartialEq + Debug>(what: &str, ours: &T, theirs: &T) -> Option<String> {
    (ours != theirs).then(|| format!("{what} {ours:?}, theirs {theirs:?}"))
}
