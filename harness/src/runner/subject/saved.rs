//! Outputs that somebody's engine has saved: logits in files, judged as if it were here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::Token;

use super::Options;
use super::foreign;
use super::saved_files::{self, Contents, Rows};
use crate::case::ability::{Ability, Lacking};
use crate::case::observation::{Greedy, Identity, Lane, Logits, Observation};
use crate::case::schedule::{Schedule, Step};
use crate::case::taken::Taken;
use crate::exit::Failure;
use crate::file::provenance::{self, Input};
use crate::judge::demand::Demand;
use crate::runner::watch::Watch;
use crate::runner::{Facts, Followed, ModelFile, Opened, RunError, Runner, Subject, Task};

/// What a file is said to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Logits of that lane, and nodes where it is a safetensors file.
    Logits(Lane),
    /// Nodes.
    Trace,
}

impl Part {
    /// Whose logits it may hold.
    pub fn lane(self) -> Lane {
        match self {
            Part::Logits(lane) => lane,
            Part::Trace => Lane::Prefill,
        }
    }
}

/// Files, separated by commas, each with what it holds in front of it where that is not the
/// logits of a prefill.
pub fn parts(words: &str) -> Result<Vec<(Part, PathBuf)>, String> {
    let part = |word: &str| {
        let named = [
            ("prefill=", Part::Logits(Lane::Prefill)),
            ("decode=", Part::Logits(Lane::Decode)),
            ("trace=", Part::Trace),
        ];
        let named = named
            .into_iter()
            .find_map(|(name, part)| Some((part, word.strip_prefix(name)?)));
        let (part, file) = named.unwrap_or((Part::Logits(Lane::Prefill), word));
        if file.is_empty() {
            return Err(format!("{words:?} names no file"));
        }
        Ok((part, PathBuf::from(file)))
    };
    words.split(',').map(part).collect()
}

/// What was saved.
pub struct Saved {
    identity: Identity,
    contents: Contents,
    tokens: Option<Vec<Token>>,
    demand: Demand,
    host: crate::runner::engine::Engine,
    inputs: Vec<Input>,
    lacking: Lacking,
}

impl Saved {
    /// Reads the files.
    pub fn read(parts: &[(Part, PathBuf)], options: Options) -> Result<Self, Failure> {
        let mut all = Contents::default();
        let mut inputs = Vec::new();
        for (part, path) in parts {
            let (input, contents) = saved_files::read(path, part.lane(), &options.shape)?;
            inputs.push(input);
            all.nodes.extend(contents.nodes);
            all.tokens = all.tokens.or(contents.tokens);
            for (lane, rows) in contents.lanes {
                if all.lanes.insert(lane, rows).is_some() {
                    let (path, lane) = (path.display(), lane.name());
                    return Err(Failure::input(format!(
                        "{path}: the logits of {lane} again"
                    )));
                }
            }
        }
        if all.lanes.is_empty() {
            return Err(Failure::input("no file of --subject holds logits"));
        }
        let mut offered: Vec<Ability> = all.lanes.keys().map(|l| Ability::of_lane(*l)).collect();
        if !all.nodes.is_empty() {
            offered.push(Ability::Nodes);
        }
        if all.lanes.values().all(|rows| rows.named.is_empty()) {
            offered.push(Ability::Rows);
        }
        let mut lacking = Ability::all_but(&offered);
        let coarse = all.lanes.values().any(|rows| rows.sixteen_bits);
        if coarse {
            lacking.insert(Ability::FirstHalf);
        }
        let names: Vec<String> = parts
            .iter()
            .map(|(_, p)| provenance::file_name(p))
            .collect();
        let hashes: Vec<&str> = inputs.iter().map(|input| &input.sha256[..]).collect();
        Ok(Saved {
            identity: Identity {
                name: names.join("+")
                    + if coarse {
                        ", 16-bit log-probabilities"
                    } else {
                        ""
                    },
                profile: foreign::profile(options.profile.as_ref()),
                fingerprint: format!("saved {}", provenance::sha256(hashes.concat().as_bytes())),
            },
            tokens: options.tokens.or(all.tokens.take()),
            contents: all,
            demand: options.demand,
            host: options.host,
            inputs,
            lacking,
        })
    }

    /// A lane's rows as logits: a row for each token, or for each position that the case compares.
    fn placed(
        &self,
        lane: Lane,
        rows: &Rows,
        task: Task<'_>,
        tokens: usize,
    ) -> Result<Logits, RunError> {
        let count = rows.values.len() / rows.width;
        let inside = |p: &usize| *p < tokens;
        let compared: Vec<usize> = task.case.positions.iter().copied().filter(inside).collect();
        let all: Vec<usize> = (0..tokens).collect();
        let positions = match &rows.positions {
            Some(own) => own.clone(),
            None if count == tokens => all,
            None if count == compared.len() => compared,
            None => {
                let (name, lane) = (&self.identity.name, lane.name());
                return Err(RunError::Refused(format!(
                    "{name} has {count} rows of {lane} logits: expected {tokens}, one for each \
                     token of the prompt; if its ids were others, say which with --tokens"
                )));
            }
        };
        Ok(Logits {
            positions,
            values: rows.values.clone(),
            vocab_size: rows.width,
            named: rows.named.clone(),
            sixteen_bits: rows.sixteen_bits,
        })
    }
}

impl Runner for Saved {
    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn is_live(&self) -> bool {
        false
    }

    fn lacking(&self) -> Lacking {
        self.lacking.clone()
    }

    fn open<'s>(&'s mut self, model: ModelFile<'s>) -> Result<Box<dyn Opened + 's>, RunError> {
        let (name, contents) = (&self.identity.name, &self.contents);
        let host = self.host.open(model)?;
        Ok(Box::new(Shelf {
            name,
            contents,
            host,
        }))
    }

    fn observe(&mut self, task: Task<'_>) -> Result<Observation, RunError> {
        if let Some(changed) = self.inputs.iter().find_map(|i| i.still_holds().err()) {
            return Err(RunError::Refused(changed.to_string()));
        }
        let tokens = match &self.tokens {
            Some(tokens) => tokens.clone(),
            None => self.host.tokenize(task)?,
        };
        let mut lanes = BTreeMap::new();
        for (lane, rows) in &self.contents.lanes {
            lanes.insert(*lane, self.placed(*lane, rows, task, tokens.len())?);
        }
        Ok(Observation {
            identity: self.identity(),
            tokens,
            lanes,
            greedy: Greedy::default(),
            trace: self.contents.nodes.clone(),
            taken: Taken::default(),
        })
    }
}

/// What was saved of one prompt, as if it were computed now.
struct Shelf<'s> {
    name: &'s str,
    contents: &'s Contents,
    host: Box<dyn Opened + 's>,
}

impl Opened for Shelf<'_> {
    fn tokenize(&mut self, text: &str) -> Result<Vec<Token>, RunError> {
        self.host.tokenize(text)
    }

    fn text(&mut self, tokens: &[Token]) -> Result<String, RunError> {
        self.host.text(tokens)
    }

    /// A prompt in one go, or token by token, whatever its tokens were: as many rows were saved.
    fn follow(&mut self, schedule: &Schedule, watch: &Watch<'_>) -> Result<Followed, RunError> {
        let lane = match &schedule.steps[..] {
            [Step::Feed(_)] => Lane::Prefill,
            steps
                if steps
                    .iter()
                    .all(|s| matches!(s, Step::Feed(t) if t.len() == 1)) =>
            {
                Lane::Decode
            }
            _ => return Err(self.other_than("a prompt in one go or token by token")),
        };
        let rows = self.contents.lanes.get(&lane);
        let whole = |rows: &&Rows| rows.values.len() == schedule.needed() * rows.width;
        let rows = rows.filter(whole).filter(|_| schedule.only.is_none());
        let rows = rows.filter(|_| watch.replaced.is_empty());
        let what = || format!("{} rows of {} logits", schedule.needed(), lane.name());
        let rows = rows.ok_or_else(|| self.other_than(&what()))?;
        let nodes = self.contents.nodes.iter();
        Ok(Followed {
            rows: rows.values.clone(),
            vocab_size: rows.width,
            nodes: nodes.filter(|n| watch.shown.has(&n.key)).cloned().collect(),
            named: rows.named.clone(),
        })
    }
}

impl Shelf<'_> {
    fn other_than(&self, asked: &str) -> RunError {
        RunError::NoAnswer(format!("{} is saved and has no {asked}", self.name))
    }
}

impl Subject for Saved {
    fn facts(&mut self, task: Task<'_>) -> Result<Facts, RunError> {
        let name = self.identity.name.clone();
        Ok(foreign::facts(&mut self.host, task, &name, &self.lacking))
    }

    fn demand(&self) -> Demand {
        self.demand.clone()
    }
}

/// Token ids as a user gives them: separated by commas or white space, or in a file of such.
pub fn tokens(words: &str) -> Result<Vec<Token>, Failure> {
    let file = Path::new(words);
    let text = if file.is_file() {
        let (_, bytes) = Input::read(file)?;
        String::from_utf8_lossy(&bytes).into_owned()
    } else {
        words.to_owned()
    };
    let between = |c: char| c == ',' || c.is_whitespace() || "[]".contains(c);
    let words = text.split(between).filter(|word| !word.is_empty());
    let id = |word: &str| {
        let wrong = |_| Failure::input(format!("--tokens: `{word}` is no token id, and no file"));
        word.parse::<Token>().map_err(wrong)
    };
    let ids: Vec<Token> = words.map(id).collect::<Result<_, _>>()?;
    if ids.is_empty() {
        return Err(Failure::input("--tokens: there are no ids"));
    }
    Ok(ids)
}
