//! The worker that drives a C++ reference: what happens on the far side of the channel.
//!
//! A phase is announced before every call that reaches foreign code.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use engine::Token;
use engine::bytes::ModelBytes;
use engine::gguf::Gguf;
use engine::refusal::Refusal;
use engine::sampler::greedy;
use ffi::reference::{Asked, Cache, Missing, prepare};
use ffi::{
    Library, Model, ModelOptions, Node, Observe, SessionOptions, Step, Text, Wanted, control_word,
};

use crate::case::Case;
use crate::isolation::{Answer, Channel, Hello, PROTOCOL, Reply, Request, Serve, Stop};
use crate::observation::{Lane, TracedNode};
use crate::provenance::Input;

/// The type of the fixtures' two-bit weights in the tree that invented it.
const I2_S: i32 = 36;

/// A reference, loaded.
pub struct Reference {
    library: Library,
    knows_i2_s: bool,
}

impl Reference {
    /// Loads the reference prepared at `place`, a directory.
    pub fn start(place: &Path, channel: &mut Channel) -> Result<(Self, Hello), Stop> {
        channel.phase("finding the reference")?;
        let asked = Asked::Directory(place.to_owned());
        let cache = Cache::from_environment().map_err(refused)?;
        let prepared = prepare(&asked, &cache, Missing::Refuse, &mut |line| {
            eprintln!("{line}")
        });
        let prepared = prepared.map_err(refused)?;
        channel.phase("loading the library")?;
        let before = control_word();
        let library = Library::open(&prepared).map_err(refused)?;
        let after = control_word();
        channel.phase("asking for the types it knows")?;
        let i2_s = library.kernels().describe(I2_S);
        let identity = library.identity();
        let mut details = identity.details.clone();
        for (name, file) in [
            ("libllama", &identity.libllama),
            ("libggml", &identity.libggml),
        ] {
            details.insert(name.into(), file.display().to_string());
        }
        let knows_i2_s = i2_s.is_ok_and(|facts| facts.can_dot && facts.name == "i2_s");
        let hello = Hello {
            protocol: PROTOCOL,
            api: identity.api.clone(),
            system_info: identity.system_info.clone(),
            sha256: prepared.provenance.sha256,
            knows_i2_s,
            details,
            control_word: [before, after],
        };
        let reference = Reference {
            library,
            knows_i2_s,
        };
        Ok((reference, hello))
    }

    fn observe(
        &self,
        case: &Case,
        file: &Path,
        threads: usize,
        channel: &mut Channel,
    ) -> Result<Answer, Stop> {
        let (input, bytes) = Input::read(file).map_err(refused)?;
        if !self.knows_i2_s && has_i2_s(bytes).map_err(refused)? {
            let message = "this library cannot multiply I2_S weights and would compute nonsense";
            return Err(Stop::Refused(message.into()));
        }
        channel.phase("loading the model")?;
        let model = self
            .library
            .model(file, &ModelOptions::default())
            .map_err(refused)?;
        // The library read the file again: it must still be the one that was hashed.
        input.still_holds().map_err(refused)?;
        channel.phase("turning the prompt into tokens")?;
        let tokens = model
            .tokenize(case.prompt.as_bytes(), true, true)
            .map_err(refused)?;
        let mut pass = Pass {
            options: options(case, tokens.len(), threads)?,
            model: &model,
            case,
            tokens,
            channel,
        };
        let prefill = pass.prefill()?;
        pass.decode()?;
        if case.nodes > 0 {
            pass.trace(&prefill)?;
        }
        let (greedy, greedy_text) = pass.greedy()?;
        Ok(Answer {
            model_sha256: input.sha256,
            tokens: pass.tokens,
            vocab_size: model.facts().n_vocab,
            greedy,
            greedy_text,
        })
    }
}

impl Serve for Reference {
    fn answer(&mut self, request: Request, channel: &mut Channel) -> Result<Answer, Stop> {
        match request {
            Request::Observe {
                case,
                model,
                threads,
            } => self.observe(&case, &model, threads, channel),
        }
    }
}

/// A prompt on its way through a model, in a context of its own for every lane.
struct Pass<'a> {
    model: &'a Model,
    options: SessionOptions,
    case: &'a Case,
    tokens: Vec<Token>,
    channel: &'a mut Channel,
}

impl Pass<'_> {
    /// All logits of the prompt, of which those asked for are sent.
    fn prefill(&mut self) -> Result<Vec<f32>, Stop> {
        self.channel.phase("prefill of the prompt")?;
        let mut session = self.model.session(&self.options).map_err(refused)?;
        let all = session
            .decode(&self.tokens, 0, Wanted::All)
            .map_err(refused)?;
        let width = self.model.facts().n_vocab;
        let kept = self.positions().map(|p| &all[p * width..(p + 1) * width]);
        let kept = kept.collect::<Vec<_>>().concat();
        self.send(Lane::Prefill, &kept)?;
        Ok(all)
    }

    fn decode(&mut self) -> Result<(), Stop> {
        self.channel.phase("decode of the prompt, token by token")?;
        let mut session = self.model.session(&self.options).map_err(refused)?;
        let mut kept = Vec::new();
        for (position, &token) in self.tokens.iter().enumerate() {
            let row = session
                .decode(&[token], position, Wanted::Last)
                .map_err(refused)?;
            if self.case.positions.binary_search(&position).is_ok() {
                kept.extend(row);
            }
        }
        drop(session);
        self.send(Lane::Decode, &kept)
    }

    /// The prefill once more, watched. What is watched must not change by it.
    fn trace(&mut self, unwatched: &[f32]) -> Result<(), Stop> {
        self.channel.phase("prefill of the prompt, observed")?;
        let mut keeper = Keeper::default();
        let mut session = self
            .model
            .observed_session(&self.options, &mut keeper)
            .map_err(refused)?;
        let watched = session
            .decode(&self.tokens, 0, Wanted::All)
            .map_err(refused)?;
        drop(session);
        let same = watched
            .iter()
            .map(|v| v.to_bits())
            .eq(unwatched.iter().map(|v| v.to_bits()));
        if !same {
            let message = "observing the graph changed the logits, so the trace shows another run";
            return Err(Stop::Refused(message.into()));
        }
        for TracedNode { key, shape, values } in keeper.nodes {
            self.channel.say(&Reply::Node { key, shape }, &values)?;
        }
        Ok(())
    }

    /// As the recordings were made: a prefill that asks for its last position only, then one token
    /// at a time.
    fn greedy(&mut self) -> Result<(Vec<Token>, String), Stop> {
        self.channel.phase("greedy continuation")?;
        let mut session = self.model.session(&self.options).map_err(refused)?;
        let mut chosen = Vec::new();
        let mut next = self.tokens.clone();
        let mut first = 0;
        while chosen.len() < self.case.greedy_steps {
            let row = session
                .decode(&next, first, Wanted::Last)
                .map_err(refused)?;
            first += next.len();
            next = vec![greedy(&row)];
            chosen.extend(&next);
        }
        drop(session);
        self.channel.phase("turning tokens into text")?;
        let text = self
            .model
            .detokenize(&chosen, true, Text::Pieces)
            .map_err(refused)?;
        Ok((chosen, String::from_utf8_lossy(&text).into_owned()))
    }

    /// The positions asked for that the prompt has.
    fn positions(&self) -> impl Iterator<Item = usize> {
        let inside = |&p: &usize| p < self.tokens.len();
        self.case.positions.iter().copied().filter(inside)
    }

    fn send(&mut self, lane: Lane, rows: &[f32]) -> Result<(), Stop> {
        let positions = self.positions().collect();
        Ok(self.channel.say(&Reply::Logits { lane, positions }, rows)?)
    }
}

/// Keeps a copy of every node that recordings hold: dense floats under a name of their own, not
/// under a running number.
#[derive(Default)]
struct Keeper {
    nodes: Vec<TracedNode>,
}

impl Observe for Keeper {
    fn wants(&mut self, node: &Node<'_>) -> bool {
        node.contiguous && node.type_name == "f32" && !node.name.starts_with("node_")
    }

    fn sees(&mut self, node: &Node<'_>, values: &mut [f32]) -> Step {
        self.nodes.push(TracedNode {
            key: node.key(),
            shape: node.shape(),
            values: values.to_vec(),
        });
        Step::Continue
    }
}

fn options(case: &Case, tokens: usize, threads: usize) -> Result<SessionOptions, Stop> {
    let small = |n: usize| u32::try_from(n).map_err(|_| Stop::Refused(format!("{n} is too many")));
    if tokens + case.greedy_steps > case.context {
        let message = format!(
            "{tokens} tokens and the continuation exceed {}",
            case.context
        );
        return Err(Stop::Refused(message));
    }
    Ok(SessionOptions {
        context: small(case.context)?,
        batch: small(case.context)?,
        ubatch: small(case.ubatch)?,
        threads: small(threads)?,
        flash_attention: false,
    })
}

/// Whether a file holds weights that only the tree that invented the type can read: the others use
/// its number for something else.
fn has_i2_s(bytes: ModelBytes) -> Result<bool, Refusal> {
    let gguf = Gguf::parse(bytes)?;
    Ok(gguf
        .tensors
        .iter()
        .any(|tensor| tensor.type_id == I2_S as u32))
}

fn refused(error: impl ToString) -> Stop {
    Stop::Refused(error.to_string())
}

/// Where the reference lies, for the command line of the worker.
pub fn arguments(place: &Path) -> [PathBuf; 3] {
    ["worker".into(), "--place".into(), place.to_owned()]
}
