//! An engine that is a shared library with the five functions of `adapters/subject.h`, loaded into
//! this worker.

use std::path::{Path, PathBuf};

use engine::Token;
use engine::session::Wanted;
use ffi::{Five, FiveSession};

use super::{About, Asked, Engine};
use crate::case::ability::Ability;
use crate::case::observation::TracedNode;
use crate::case::schedule::Session;
use crate::file::provenance::Input;
use crate::reference::isolation::{Channel, Shown, Stop};
use crate::runner::Followed;

/// What a library can do that does not say it can do less.
const OFFERED: &str = "prefill rows decode greedy";

/// A library, loaded.
pub struct Library {
    five: Five,
    about: About,
    model: PathBuf,
}

impl Library {
    /// Loads it, and hears who it is.
    pub fn load(path: &Path) -> Result<Self, Stop> {
        let (input, _) = Input::read(path).map_err(refused)?;
        let five = Five::load(path).map_err(refused)?;
        let told = five.identity();
        let line = |key: &str| told.lines().find_map(|line| line.strip_prefix(key));
        let name = told.lines().next().unwrap_or_default();
        if name.is_empty() {
            return Err(Stop::Refused("subject_identity gives no name".into()));
        }
        let offers = line("offers: ").unwrap_or(OFFERED);
        let offered = offers.split_whitespace().map(ability);
        let about = About {
            name: name.to_owned(),
            profile: line("profile: ").map(str::to_owned),
            offered: offered.collect::<Result<_, _>>()?,
            print: input.sha256,
        };
        Ok(Library {
            five,
            about,
            model: PathBuf::new(),
        })
    }
}

fn ability(word: &str) -> Result<Ability, Stop> {
    let known = Ability::ALL.into_iter();
    let mut known = known.filter(|a| !matches!(a, Ability::Tokenize | Ability::Detokenize));
    known
        .find(|ability| ability.name() == word)
        .ok_or_else(|| Stop::Refused(format!("it offers {word:?}: expected some of {OFFERED}")))
}

fn refused(error: impl ToString) -> Stop {
    Stop::Refused(error.to_string())
}

impl Engine for Library {
    fn about(&self) -> About {
        self.about.clone()
    }

    fn open(&mut self, model: &Path, _: &mut Channel) -> Result<(), Stop> {
        self.model = std::path::absolute(model)?;
        Ok(())
    }

    fn follow(&mut self, asked: &Asked, _: &mut Channel) -> Result<Followed, Stop> {
        let replaces = self.about.offered.contains(&Ability::Replace);
        if !asked.replaced.is_empty() && !replaces {
            return Err(Stop::Refused("it does not offer to replace nodes".into()));
        }
        let schedule = &asked.schedule;
        let room = [schedule.context(), schedule.ubatch, schedule.threads];
        let session = self.five.open(&self.model, room).map_err(refused)?;
        let mut feeding = Feeding {
            session,
            asked,
            nodes: Vec::new(),
            vocab: 0,
        };
        let rows = schedule.follow(&mut feeding)?;
        Ok(Followed {
            named: Vec::new(),
            rows,
            vocab_size: feeding.vocab,
            nodes: feeding.nodes,
        })
    }
}

struct Feeding<'l> {
    session: FiveSession<'l>,
    asked: &'l Asked,
    nodes: Vec<TracedNode>,
    vocab: usize,
}

impl Session for Feeding<'_> {
    type Error = Stop;

    fn feed(&mut self, tokens: &[Token], wanted: Wanted) -> Result<Vec<f32>, Stop> {
        let ids: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
        let last_only = matches!(wanted, Wanted::Last);
        let Asked {
            shown, replaced, ..
        } = self.asked;
        let fed = if *shown == Shown::Nothing && replaced.is_empty() {
            self.session.feed(&ids, last_only)
        } else {
            let nodes = &mut self.nodes;
            let mut look = |key: &str, shape: &[usize], values: &mut [f32]| {
                if shown.has(key) {
                    nodes.push(TracedNode {
                        key: key.to_owned(),
                        shape: shape.to_vec(),
                        values: values.to_vec(),
                    });
                }
                let given = replaced.iter().find(|given| given.key == key);
                if let Some(given) = given.filter(|given| given.values.len() == values.len()) {
                    values.copy_from_slice(&given.values);
                }
            };
            self.session.feed_watched(&ids, last_only, &mut look)
        };
        let (rows, vocab) = fed.map_err(refused)?;
        self.vocab = vocab;
        Ok(rows)
    }

    fn truncate(&mut self, _: usize) -> Result<(), Stop> {
        Err(Stop::Refused(
            "the five functions forget no positions".into(),
        ))
    }
}
