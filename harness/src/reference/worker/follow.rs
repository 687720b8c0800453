//! A schedule, followed: the rows of logits it keeps, the nodes on the way, and other values in
//! some of them.

use std::collections::BTreeMap;
use std::time::Instant;

use engine::Token;
use engine::session::Wanted;
use ffi::{Node, Observe, SessionOptions, Step};

use super::{Held, refused};
use crate::case::observation::TracedNode;
use crate::case::schedule::{Schedule, Session, Timed};
use crate::io::process::{Resident, resident};
use crate::numbers::metrics::same_bits;
use crate::reference::isolation::{Channel, Cost, Part, Shown, Stop};

/// A context of the library's, and how many positions of it are filled.
struct Feeding<'m> {
    session: ffi::Session<'m>,
    filled: usize,
}

impl Session for Feeding<'_> {
    type Error = Stop;

    fn feed(&mut self, tokens: &[Token], wanted: Wanted) -> Result<Vec<f32>, Stop> {
        let wanted = match wanted {
            Wanted::All => ffi::Wanted::All,
            Wanted::Last => ffi::Wanted::Last,
        };
        let rows = self.session.decode(tokens, self.filled, wanted);
        self.filled += tokens.len();
        rows.map_err(refused)
    }

    fn truncate(&mut self, length: usize) -> Result<(), Stop> {
        self.filled = self.filled.min(length);
        self.session.truncate(length).map_err(refused)
    }
}

impl Held {
    /// Follows a schedule in a context of its own and sends what it yields. Where nodes are only
    /// looked at, it is followed a second time with nobody looking, and that must change no bit.
    pub(super) fn follow(
        &self,
        schedule: &Schedule,
        mut exchange: Exchange,
        channel: &mut Channel,
    ) -> Result<(), Stop> {
        let (options, words) = (options(schedule)?, schedule.in_words());
        let mut rows = None;
        if exchange.replaced.is_empty() {
            channel.phase(words)?;
            let session = self.model.session(&options).map_err(refused)?;
            rows = Some(schedule.follow(&mut Feeding { session, filled: 0 })?);
        }
        if exchange.is_active() {
            channel.phase(&format!("{words}, {}", exchange.in_words()))?;
            let session = self.model.observed_session(&options, &mut exchange);
            let session = session.map_err(refused)?;
            let followed = schedule.follow(&mut Feeding { session, filled: 0 });
            if let Some(complaint) = exchange.complaint() {
                return Err(Stop::Refused(complaint));
            }
            let watched = followed?;
            rows = Some(unchanged(rows, watched)?);
        }
        for node in exchange.seen {
            channel.part(Part::Node(node))?;
        }
        Ok(channel.part(Part::Rows(rows.unwrap_or_default()))?)
    }

    /// Follows a schedule in a context of its own, sends the rows it keeps, and says what it cost.
    pub(super) fn time(&self, schedule: &Schedule, channel: &mut Channel) -> Result<Cost, Stop> {
        let options = options(schedule)?;
        channel.phase(schedule.in_words())?;
        let began = Instant::now();
        let session = self.model.session(&options).map_err(refused)?;
        let begin = began.elapsed();
        let mut timed = Timed::new(Feeding { session, filled: 0 });
        let rows = schedule.follow(&mut timed)?;
        channel.part(Part::Rows(rows))?;
        Ok(Cost {
            load: self.load,
            begin,
            feeds: timed.feeds,
            resident: resident(std::process::id(), Resident::Now).unwrap_or(0),
        })
    }
}

/// The rows that were watched, unless nobody looking gives others.
fn unchanged(alone: Option<Vec<f32>>, watched: Vec<f32>) -> Result<Vec<f32>, Stop> {
    if alone.is_some_and(|alone| !same_bits(&alone, &watched)) {
        let why = "observing the graph changed the logits, so the nodes are those of another run";
        return Err(Stop::Refused(why.into()));
    }
    Ok(watched)
}

fn options(schedule: &Schedule) -> Result<SessionOptions, Stop> {
    let small = |n: usize| u32::try_from(n).map_err(|_| Stop::Refused(format!("{n} is too many")));
    let (context, needed) = (schedule.context(), schedule.needed());
    if needed > context {
        let message = format!("{needed} tokens, the continuation included, exceed {context}");
        return Err(Stop::Refused(message));
    }
    Ok(SessionOptions {
        context: small(context)?,
        batch: small(context)?,
        ubatch: small(schedule.ubatch)?,
        threads: small(schedule.threads)?,
        flash_attention: false,
    })
}

/// What is taken out of a pass, and what is put into it.
pub(super) struct Exchange {
    shown: Shown,
    seen: Vec<TracedNode>,
    replaced: BTreeMap<String, Replacement>,
}

struct Replacement {
    values: Vec<f32>,
    /// How often the node came by, and how long it was when it did not fit.
    met: usize,
    misfit: Option<usize>,
}

impl Exchange {
    /// Takes the nodes that are to be shown, and gives those others values.
    pub(super) fn new(shown: Shown, replaced: Vec<TracedNode>) -> Self {
        let replacement = |TracedNode { key, values, .. }: TracedNode| {
            let (met, misfit) = (0, None);
            (
                key,
                Replacement {
                    values,
                    met,
                    misfit,
                },
            )
        };
        Exchange {
            shown,
            seen: Vec::new(),
            replaced: replaced.into_iter().map(replacement).collect(),
        }
    }

    fn is_active(&self) -> bool {
        self.shown != Shown::Nothing || !self.replaced.is_empty()
    }

    fn in_words(&self) -> String {
        match self.replaced.keys().next() {
            Some(key) => format!("{key} replaced"),
            None => "observed".into(),
        }
    }

    /// Recordings hold dense floats; a turned view lies densely only where there is a single token.
    fn shows(&self, node: &Node<'_>) -> bool {
        match &self.shown {
            Shown::Nothing => false,
            Shown::Every => !["PERMUTE", "TRANSPOSE", "VIEW"].contains(&&*node.op),
            Shown::These(keys) => keys.contains(&node.key()),
        }
    }

    /// What is wrong with a pass, if anything.
    fn complaint(&self) -> Option<String> {
        let mut all = self.replaced.iter();
        all.find_map(|(key, one)| match (one.misfit, one.met) {
            (Some(length), _) => {
                let given = one.values.len();
                Some(format!("{key} has {length} values, {given} were given"))
            }
            (None, 0) => Some(format!("the graph has no {key} that could be replaced")),
            (None, _) => None,
        })
    }
}

impl Observe for Exchange {
    fn wants(&mut self, node: &Node<'_>) -> bool {
        let dense = node.contiguous && node.type_name == "f32";
        dense && (self.shows(node) || self.replaced.contains_key(&node.key()))
    }

    fn sees(&mut self, node: &Node<'_>, values: &mut [f32]) -> Step {
        let key = node.key();
        if self.shows(node) {
            self.seen.push(TracedNode {
                key: key.clone(),
                shape: node.shape(),
                values: values.to_vec(),
            });
        }
        let Some(replacement) = self.replaced.get_mut(&key) else {
            return Step::Continue;
        };
        replacement.met += 1;
        if values.len() != replacement.values.len() {
            replacement.misfit = Some(values.len());
            return Step::Stop;
        }
        values.copy_from_slice(&replacement.values);
        Step::Replace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watching_that_changes_a_bit_of_a_logit_is_refused() {
        let rows = |last| Some(vec![1.0, f32::NAN, last]);
        let same = unchanged(rows(0.0), vec![1.0, f32::NAN, 0.0]);
        assert_eq!(same.expect("no bit is another").len(), 3);
        assert!(unchanged(None, vec![1.0]).is_ok(), "replacing is meant to");
        for watched in [vec![1.0, f32::NAN, -0.0], vec![1.0, f32::NAN]] {
            let Err(Stop::Refused(why)) = unchanged(rows(0.0), watched) else {
                panic!("another run's nodes were taken");
            };
            assert!(why.contains("changed the logits"), "{why}");
        }
    }
}
