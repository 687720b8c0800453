//! An engine that a user brought, on the far side of the channel on which references answer: in a
//! process of its own, on the same terms, under the same clock.

mod child;
pub mod library;
pub mod program;
pub mod protocol;
pub mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::Token;
use engine::bytes::ModelBytes;
use serde::{Deserialize, Serialize};

use super::Spec;
use crate::case::ability::Ability;
use crate::case::observation::TracedNode;
use crate::case::observation::tokenization::{self, EscapedBytes, Question, TokenizerReply};
use crate::case::schedule::Schedule;
use crate::file::provenance;
use crate::io::process::map_or_read;
use crate::reference::isolation::{
    Answer, Channel, Done, Hello, ModelFile, PROTOCOL, Part, Request, Serve, Shown, Stop,
};
use crate::runner::Followed;

/// What an engine says of itself before it is asked for anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What it calls itself.
    pub name: String,
    /// The arithmetic it claims.
    pub profile: Option<String>,
    /// What it can do.
    pub offered: Vec<Ability>,
    /// What makes it this one and no other.
    pub print: String,
}

/// An engine, as far as it can be asked. What it did not offer it is not asked for.
pub trait Engine {
    /// Who it is.
    fn about(&self) -> About;

    /// Opens a model file, which is asked about from now on.
    fn open(&mut self, model: &Path, channel: &mut Channel) -> Result<(), Stop>;

    /// The ids of a text, special tokens added and recognised.
    fn tokenize(&mut self, _text: &str) -> Result<Vec<Token>, Stop> {
        Err(Stop::Refused("it turns no text into ids".into()))
    }

    /// The bytes of ids, special tokens shown.
    fn detokenize(&mut self, _tokens: &[Token]) -> Result<Vec<u8>, Stop> {
        Err(Stop::Refused("it turns no ids into text".into()))
    }

    /// Follows a schedule from an empty cache; shows nodes, and puts others in their place.
    fn follow(&mut self, asked: &Asked, channel: &mut Channel) -> Result<Followed, Stop>;
}

/// A schedule, and what of it is watched.
pub struct Asked {
    /// What is fed.
    pub schedule: Schedule,
    /// The nodes that are shown.
    pub shown: Shown,
    /// What nodes are replaced with.
    pub replaced: Vec<TracedNode>,
}

/// The engine, and the model it was asked about last.
pub struct Worker {
    engine: Box<dyn Engine>,
    held: Option<(PathBuf, String)>,
}

impl Worker {
    /// Starts what was named. `scratch` is a folder for its files.
    pub fn start(
        spec: &Spec,
        scratch: &Path,
        channel: &mut Channel,
    ) -> Result<(Self, Hello), Stop> {
        channel.phase("starting")?;
        let engine: Box<dyn Engine> = match spec {
            Spec::Program(words) => Box::new(program::Program::parse(words, scratch)?),
            Spec::Protocol(words) => Box::new(protocol::Speaking::start(words)?),
            Spec::Library(path) => Box::new(library::Library::load(path)?),
            Spec::Server(url) => Box::new(server::Server::find(url)?),
            Spec::Saved(_) => return Err(Stop::Refused("files are no engine".into())),
        };
        let about = serde_json::to_string(&engine.about());
        let about = about.map_err(|e| Stop::Refused(e.to_string()))?;
        let word = ffi::control_word();
        let hello = Hello {
            protocol: PROTOCOL,
            api: "subject".into(),
            system_info: String::new(),
            sha256: Vec::new(),
            knows_i2_s: true,
            details: BTreeMap::from([(ABOUT.to_owned(), about)]),
            control_word: [word, word],
            ..Hello::default()
        };
        let held = None;
        Ok((Worker { engine, held }, hello))
    }

    /// Opens a model file unless it is the one that was asked about last.
    fn hold(&mut self, file: &ModelFile, channel: &mut Channel) -> Result<String, Stop> {
        if let Some((path, sha256)) = &self.held
            && *path == file.path
        {
            return Ok(sha256.clone());
        }
        self.held = None;
        channel.phase("hashing the model")?;
        let refused = |e: engine::refusal::Refusal| Stop::Refused(e.to_string());
        let (bytes, stamp) = ModelBytes::open(&file.path, map_or_read()).map_err(refused)?;
        let sha256 = provenance::sha256(&bytes);
        drop(bytes);
        channel.phase("opening the model")?;
        self.engine.open(&file.path, channel)?;
        stamp.still_holds(&file.path).map_err(refused)?;
        self.held = Some((file.path.clone(), sha256.clone()));
        Ok(sha256)
    }

    fn spell(&mut self, question: &Question) -> tokenization::Answer {
        let said = match question {
            Question::Text(EscapedBytes(text)) => {
                let ids = self.engine.tokenize(&String::from_utf8_lossy(text));
                ids.map(TokenizerReply::Ids)
            }
            Question::Ids(ids) => {
                let bytes = self.engine.detokenize(ids);
                bytes.map(|bytes| TokenizerReply::Bytes(EscapedBytes(bytes)))
            }
        };
        let said = said.unwrap_or_else(|stop| TokenizerReply::Refused(stop.to_string()));
        std::array::from_fn(|_| said.clone())
    }
}

/// Where the hello has what an engine says of itself.
pub const ABOUT: &str = "about";

impl Serve for Worker {
    fn answer(&mut self, request: Request, channel: &mut Channel) -> Result<Answer, Stop> {
        let model = request.model().map(|file| self.hold(file, channel));
        let model_sha256 = model.transpose()?;
        let done = match request {
            Request::Open { .. } => Done::Opened,
            Request::Spell { questions, .. } => {
                channel.phase("turning texts into ids and ids into bytes")?;
                let answers = questions.iter().map(|asked| self.spell(asked));
                let answers = answers.collect();
                Done::Spelled { answers }
            }
            Request::Follow {
                schedule,
                shown,
                replaced,
                ..
            } => {
                channel.phase(schedule.in_words())?;
                let asked = Asked {
                    schedule,
                    shown,
                    replaced,
                };
                let followed = self.engine.follow(&asked, channel)?;
                for node in followed.nodes {
                    channel.part(Part::Node(node))?;
                }
                if !followed.named.is_empty() {
                    channel.part(Part::Named(followed.named))?;
                }
                channel.part(Part::Rows(followed.rows))?;
                let vocab_size = followed.vocab_size;
                Done::Followed { vocab_size }
            }
            _ => return Err(Stop::Refused("no engine that was brought does that".into())),
        };
        Ok(Answer { model_sha256, done })
    }
}
