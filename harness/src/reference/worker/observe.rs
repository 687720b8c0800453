//! One case, observed: prefill, decode, every named node, the greedy continuation.
#![forbid(unsafe_code)]

use std::path::Path;

use engine::Token;
use engine::sampler::greedy;
use ffi::{Model, Node, Observe, SessionOptions, Step, Text, Wanted};

use super::{Reference, refused};
use crate::case::Case;
use crate::case::observation::{Lane, TracedNode};
use crate::reference::isolation::{Channel, Observed, Reply, Stop};

impl Reference {
    pub(super) fn observe(
        &self,
        case: &Case,
        file: &Path,
        threads: usize,
        channel: &mut Channel,
    ) -> Result<Observed, Stop> {
        let (model, model_sha256) = self.model(file, channel)?;
        channel.phase("turning the prompt into tokens")?;
        let tokens = model
            .tokenize(case.prompt.as_bytes(), true, true)
            .map_err(refused)?;
        let mut pass = Pass {
            options: options(
                [case.context, case.ubatch, threads],
                tokens.len() + case.greedy_steps,
            )?,
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
        Ok(Observed {
            model_sha256,
            tokens: pass.tokens,
            vocab_size: model.facts().n_vocab,
            greedy,
            greedy_text,
        })
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
/// under a running number. A turned view lies densely only where there is a single token.
#[derive(Default)]
pub(super) struct Keeper {
    pub(super) nodes: Vec<TracedNode>,
}

impl Observe for Keeper {
    fn wants(&mut self, node: &Node<'_>) -> bool {
        let view = ["PERMUTE", "TRANSPOSE", "VIEW"].contains(&&*node.op);
        node.contiguous && node.type_name == "f32" && !view && !node.name.starts_with("node_")
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

/// Of a session for so many positions.
pub(super) fn options(
    [context, ubatch, threads]: [usize; 3],
    needed: usize,
) -> Result<SessionOptions, Stop> {
    let small = |n: usize| u32::try_from(n).map_err(|_| Stop::Refused(format!("{n} is too many")));
    if needed > context {
        let message = format!("{needed} tokens, the continuation included, exceed {context}");
        return Err(Stop::Refused(message));
    }
    Ok(SessionOptions {
        context: small(context)?,
        batch: small(context)?,
        ubatch: small(ubatch)?,
        threads: small(threads)?,
        flash_attention: false,
    })
}
