//! Whether two vocabularies hold the same: as a whole, and token for token.

use std::fmt::Debug;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Pair;
use super::excuse::{Part, Tokens, of_tokens};
use crate::case::observation::tokenization::{Entry, EscapedBytes, Facts};
use crate::exit::Failure;
use crate::judge::excuse::{Applied, Excused, find};

/// Tokens that are compared by one hash; only where it differs each is looked at.
const PORTION: usize = 8192;
/// Differences that are kept; the others are counted.
const KEPT: usize = 5;

/// How two vocabularies compare.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Entries {
    /// Tokens that are the same in every part.
    pub equal: usize,
    /// Parts of tokens that differ in a way that is known.
    pub excused: Excused,
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
            let one = Tokens {
                api,
                part: *part,
                ours,
                theirs,
            };
            find(&of_tokens(), &one)
        };
        // A token is excused if each of its differences is.
        let excuses: Option<Vec<Applied<'_>>> = differing.iter().map(excuse).collect();
        for one in excuses.iter().flatten().cloned() {
            self.excused.add(one, || "--strings 0".to_owned());
        }
        if excuses.is_some() {
            return;
        }
        self.different += 1;
        if self.different <= KEPT {
            let words: Vec<String> = differing.into_iter().map(|(_, words)| words).collect();
            let words = words.join("; ");
            self.differences.push(format!("token {token}: {words}"));
        }
    }
}

/// Compares everything the two sides say of their vocabularies. Whatever was compared before a
/// failure is in `found`.
pub fn compare(pair: &mut Pair<'_>, found: &mut Entries) -> Result<(), Failure> {
    let mut both = |tokens: Range<usize>, in_full| -> Result<_, Failure> {
        let ours = pair.ours.describe(tokens.clone(), in_full)?;
        Ok((ours, pair.theirs.describe(tokens, in_full)?))
    };
    let (ours, theirs) = both(0..0, false)?;
    found.differences = whole(&ours.facts, &theirs.facts);
    let count = ours.facts.tokens.min(theirs.facts.tokens);
    for first in (0..count).step_by(PORTION) {
        let tokens = first..count.min(first + PORTION);
        let (ours, theirs) = both(tokens.clone(), false)?;
        if ours.sha256 == theirs.sha256 {
            found.equal += tokens.len();
            continue;
        }
        let (ours, theirs) = both(tokens.clone(), true)?;
        let (ours, theirs) = (ours.entries, theirs.entries);
        if theirs.len() != tokens.len() {
            let (wanted, said) = (tokens.len(), theirs.len());
            let fewer = format!("{said} tokens from {first} on, not {wanted}");
            found.differences.push(fewer);
        }
        for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            found.note(first + at, ours, theirs, pair.api);
        }
    }
    Ok(())
}

/// What differs about the whole. A switch that the one side does not know is no difference.
fn whole(ours: &Facts, theirs: &Facts) -> Vec<String> {
    let add_bos = theirs.add_bos.or(ours.add_bos);
    let add_eos = theirs.add_eos.or(ours.add_eos);
    let differing = [
        differ("number of tokens", &ours.tokens, &theirs.tokens),
        differ("BOS", &ours.bos, &theirs.bos),
        differ("EOS", &ours.eos, &theirs.eos),
        differ("BOS added", &ours.add_bos, &add_bos),
        differ("EOS added", &ours.add_eos, &add_eos),
    ];
    differing.into_iter().flatten().collect()
}

fn differing(ours: &Entry, theirs: &Entry) -> Vec<(Part, String)> {
    let [ours_score, theirs_score] = [ours, theirs].map(|entry| f32::from_bits(entry.score));
    let scores = || format!("score {ours_score:?}, theirs {theirs_score:?}");
    let text = |what, of: fn(&Entry) -> &EscapedBytes| {
        differ(what, &of(ours).to_string(), &of(theirs).to_string())
    };
    let ends = differ("ends a generation", &ours.ends, &theirs.ends);
    let differing = [
        (Part::Text, text("text", |e| &e.text)),
        (Part::Kind, differ("attributes", &ours.kind, &theirs.kind)),
        (Part::Score, (ours.score != theirs.score).then(scores)),
        (Part::Ends, ends),
        (Part::Hidden, text("stands for", |e| &e.hidden)),
        (Part::Shown, text("stands for, shown", |e| &e.shown)),
    ];
    let known = differing.into_iter();
    known
        .filter_map(|(part, words)| Some((part, words?)))
        .collect()
}

fn differ<T: PartialEq + Debug>(what: &str, ours: &T, theirs: &T) -> Option<String> {
    (ours != theirs).then(|| format!("{what} {ours:?}, theirs {theirs:?}"))
}
