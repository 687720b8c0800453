//! `recording.json`: who computed, how, and what the numbers beside it mean.

use std::collections::{BTreeMap, BTreeSet};

use engine::Token;
use serde::{Deserialize, Serialize};

use crate::case;

/// The version of `recording.json` this build reads.
pub const SCHEMA: u32 = 2;

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Must be [`SCHEMA`].
    pub schema: u32,
    /// Must be the folder's name.
    pub name: String,
    /// Who computed.
    pub reference: Reference,
    /// The order of its float operations.
    pub profile: String,
    /// How it computed.
    pub conditions: Conditions,
    /// How the recording was made, in words.
    pub made: String,
    /// Why a person took it in, where one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The model it computed.
    pub model: Model,
    /// Length of a row of logits.
    pub vocab_size: usize,
    /// The files beside this one and their SHA-256.
    pub files: BTreeMap<String, String>,
    /// What was recorded.
    pub cases: Vec<Recording>,
}

/// A build of the reference.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // each field is the question it answers
pub struct Reference {
    pub name: String,
    pub version: String,
    pub compiler: String,
    pub flags: String,
    pub isa: String,
    pub executed_by: String,
}

/// Parameters of the context that are part of the arithmetic.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // each field is the parameter's name
pub struct Conditions {
    pub context: usize,
    pub ubatch: usize,
    pub threads: usize,
    pub kv_cache: String,
}

/// A model file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Relative to the fixtures folder.
    pub file: String,
    /// Of its bytes.
    pub sha256: String,
}

/// One prompt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// The text.
    pub prompt: String,
    /// Its ids.
    pub tokens: Vec<Token>,
    /// Positions whose logits were kept.
    pub positions: Vec<usize>,
    /// Name of the array with the logits of the prefill.
    pub prefill: String,
    /// Name of the array with the logits of the decode.
    pub decode: String,
    /// The greedy continuation.
    pub greedy: Vec<Token>,
    /// Its text.
    pub greedy_text: String,
    /// Traced nodes in execution order; empty if the prompt was not traced.
    pub trace_order: Vec<String>,
}

impl Manifest {
    /// Parses and checks everything that needs no other file.
    pub fn parse(json: &[u8], folder: &str) -> Result<Self, String> {
        let manifest: Manifest = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        if manifest.schema != SCHEMA {
            let found = manifest.schema;
            return Err(format!("schema {found} where this build reads {SCHEMA}"));
        }
        if manifest.name != folder {
            return Err(format!("it is named {:?}", manifest.name));
        }
        let prompts: BTreeSet<_> = manifest.cases.iter().map(|c| &c.prompt).collect();
        if prompts.len() != manifest.cases.len() {
            return Err("a prompt occurs twice".into());
        }
        if manifest.cases.iter().filter(|c| c.is_traced()).count() > 1 {
            return Err("more than one prompt has a trace".into());
        }
        for case in &manifest.cases {
            let wrong = case.contradiction(manifest.vocab_size);
            if let Some(wrong) = wrong {
                return Err(format!("prompt {:?}: {wrong}", case.prompt));
            }
        }
        Ok(manifest)
    }

    /// As it lies in a file.
    pub fn to_json(&self) -> Vec<u8> {
        let text = serde_json::to_string_pretty(self).expect("plain data");
        (text + "\n").into_bytes()
    }
}

impl Recording {
    /// Whether a trace belongs to this prompt.
    pub fn is_traced(&self) -> bool {
        !self.trace_order.is_empty()
    }

    fn contradiction(&self, vocab_size: usize) -> Option<String> {
        let mut ids = self.tokens.iter().chain(&self.greedy);
        if let Some(id) = ids.find(|&&id| id as usize >= vocab_size) {
            return Some(format!("token {id} in a vocabulary of {vocab_size}"));
        }
        if let Err(why) = case::inside(&self.positions, self.tokens.len()) {
            return Some(why.into());
        }
        let unique: BTreeSet<_> = self.trace_order.iter().collect();
        (unique.len() != self.trace_order.len()).then(|| "a node is listed twice".into())
    }
}
