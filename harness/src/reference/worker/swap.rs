//! One prefill, of which nodes are shown and one may get other values than the graph gave it.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use engine::Token;
use ffi::{Model, Node, Observe, SessionOptions, Step, Wanted};

use super::{Reference, refused};
use crate::case::observation::{Lane, TracedNode};
use crate::reference::isolation::{Answer, Channel, Reply, Stop};

/// A model, loaded.
pub struct Held {
    file: PathBuf,
    sha256: String,
    model: Model,
}

/// What is taken out of a pass, and what is put into it.
pub struct Exchange {
    shown: BTreeSet<String>,
    seen: Vec<TracedNode>,
    replaced: Option<String>,
    values: Vec<f32>,
    /// How often the node came by, and how long it was when it did not fit.
    met: usize,
    misfit: Option<usize>,
}

impl Exchange {
    /// Takes the nodes of these keys, and gives that one `values`.
    pub fn new(shown: Vec<String>, replaced: Option<String>, values: Vec<f32>) -> Self {
        Exchange {
            shown: shown.into_iter().collect(),
            seen: Vec::new(),
            replaced,
            values,
            met: 0,
            misfit: None,
        }
    }

    fn replaces(&self, key: &str) -> bool {
        self.replaced.as_deref() == Some(key)
    }

    /// What is wrong with a pass, if anything.
    fn complaint(&self) -> Option<String> {
        let key = self.replaced.as_ref()?;
        let given = self.values.len();
        match (self.misfit, self.met) {
            (Some(length), _) => Some(format!("{key} has {length} values, {given} were given")),
            (None, 0) => Some(format!("the graph has no {key} that could be replaced")),
            (None, _) => None,
        }
    }
}

impl Observe for Exchange {
    fn wants(&mut self, node: &Node<'_>) -> bool {
        let key = node.key();
        let wanted = self.shown.contains(&key) || self.replaces(&key);
        wanted && node.contiguous && node.type_name == "f32"
    }

    fn sees(&mut self, node: &Node<'_>, values: &mut [f32]) -> Step {
        let key = node.key();
        if self.shown.contains(&key) {
            self.seen.push(TracedNode {
                key: key.clone(),
                shape: node.shape(),
                values: values.to_vec(),
            });
        }
        if !self.replaces(&key) {
            return Step::Continue;
        }
        self.met += 1;
        if values.len() != self.values.len() {
            self.misfit = Some(values.len());
            return Step::Stop;
        }
        values.copy_from_slice(&self.values);
        Step::Replace
    }
}

impl Reference {
    pub(super) fn swap(
        &mut self,
        file: &Path,
        tokens: &[Token],
        options: &SessionOptions,
        mut exchange: Exchange,
        channel: &mut Channel,
    ) -> Result<Answer, Stop> {
        if self.held.as_ref().is_none_or(|held| held.file != file) {
            self.held = None; // only one is in memory
            let (model, sha256) = self.model(file, channel)?;
            let file = file.to_owned();
            self.held = Some(Held {
                file,
                sha256,
                model,
            });
        }
        let held = self.held.as_ref().expect("just loaded");
        let model = &held.model;
        channel.phase(&match (&exchange.replaced, exchange.shown.len()) {
            (Some(key), _) => format!("prefill of the prompt, {key} replaced"),
            (None, 0) => "prefill of the prompt".into(),
            (None, shown) => format!("prefill of the prompt, {shown} nodes observed"),
        })?;
        let logits = match exchange.shown.is_empty() && exchange.replaced.is_none() {
            true => model
                .session(options)
                .map_err(refused)?
                .decode(tokens, 0, Wanted::All),
            false => {
                let session = model.observed_session(options, &mut exchange);
                session.map_err(refused)?.decode(tokens, 0, Wanted::All)
            }
        };
        if let Some(complaint) = exchange.complaint() {
            return Err(refused(complaint));
        }
        let logits = logits.map_err(refused)?;
        for TracedNode { key, shape, values } in exchange.seen {
            channel.say(&Reply::Node { key, shape }, &values)?;
        }
        let positions = (0..tokens.len()).collect();
        let lane = Lane::Prefill;
        channel.say(&Reply::Logits { lane, positions }, &logits)?;
        Ok(Answer::Swapped {
            model_sha256: held.sha256.clone(),
            vocab_size: model.facts().n_vocab,
        })
    }
}
