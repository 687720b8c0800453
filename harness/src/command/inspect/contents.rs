//! Everything `inspect` has to say about a file, as data.

use std::collections::BTreeMap;

use engine::config::Config;
use engine::flavor::{Candidate, Flavor};
use engine::gguf::Gguf;
use engine::gguf::dialect::Spoken;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::norms::Norms;
use crate::command::finish::Status;
use crate::file::key::{Key, float};
use crate::file::opened::{Opened, packings, scale};

/// One file.
#[derive(Serialize)]
pub struct Contents {
    pub model: String,
    pub model_sha256: String,
    pub bytes: u64,
    pub gguf: Header,
    pub dialect: Dialect,
    pub metadata: Vec<Key>,
    /// `None` where the file is not a whole model; the refusal says what is missing.
    pub hyper_parameters: Option<BTreeMap<&'static str, serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hyper_parameters_refused: Option<String>,
    pub packings: Vec<Packing>,
    pub undecided: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensors: Option<Vec<Tensor>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norms: Option<Norms>,
    pub warnings: Vec<String>,
    pub strict_mode: bool,
    pub status: Status,
}

/// The fixed part of the file.
#[derive(Serialize)]
pub struct Header {
    pub version: u32,
    pub alignment: u64,
    pub data_start: u64,
    pub keys: usize,
    pub tensors: usize,
}

/// Whose file it is.
#[derive(Serialize)]
pub struct Dialect {
    /// `None` where several are possible and read it differently.
    pub name: Option<&'static str>,
    pub reason: String,
    /// Why the file cannot be used before one is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undecided: Option<String>,
    /// What is read otherwise than it is written.
    pub notes: Vec<String>,
    /// Every dialect that something speaks for or against.
    pub evidence: Vec<Evidence>,
}

/// What speaks for one dialect and against it.
#[derive(Serialize)]
pub struct Evidence {
    pub dialect: &'static str,
    pub facts: Vec<String>,
    pub excluded: Option<String>,
}

impl Dialect {
    fn of(spoken: &Spoken) -> Self {
        let told =
            |c: &&engine::gguf::dialect::Candidate| !c.facts.is_empty() || c.excluded.is_some();
        let evidence = spoken
            .candidates
            .iter()
            .filter(told)
            .map(|candidate| Evidence {
                dialect: candidate.dialect.name(),
                facts: candidate.facts.clone(),
                excluded: candidate.excluded.clone(),
            });
        Dialect {
            name: spoken.dialect.map(|dialect| dialect.name()),
            reason: spoken.reason.clone(),
            undecided: spoken.decided().err().map(|refusal| refusal.to_string()),
            notes: spoken.notes.clone(),
            evidence: evidence.collect(),
        }
    }
}

/// Tensors that were found to be in the same packing for the same reason.
#[derive(Serialize)]
pub struct Packing {
    pub flavor: &'static str,
    pub tensors: usize,
    pub reason: String,
    /// The tensor whose evidence follows.
    pub example: String,
    #[serde(serialize_with = "evidence")]
    pub evidence: Vec<Candidate>,
}

/// One tensor.
#[derive(Serialize)]
pub struct Tensor {
    pub name: String,
    pub dims: Vec<u64>,
    pub type_id: u32,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub offset: u64,
    pub bytes: u64,
    pub flavor: Option<&'static str>,
    /// What every value is a multiple of, where the packing has one such number for a tensor.
    #[serde(serialize_with = "digits")]
    pub scale: Option<f32>,
}

impl Contents {
    /// Gathers everything but the norms.
    pub fn of(opened: &Opened, forced: Option<Flavor>, tensors: bool) -> Self {
        let gguf = &opened.gguf;
        let config = Config::from_gguf(gguf);
        let (packings, undecided, flavors) = packed(gguf, forced);
        let line = |t: &engine::gguf::TensorInfo| Tensor {
            name: t.name.clone(),
            dims: t.dims.clone(),
            type_id: t.type_id,
            kind: t.meaning().name(),
            offset: t.offset,
            bytes: t.known_bytes().unwrap_or(t.gap),
            flavor: flavors.get(&t.name).map(|flavor| flavor.name()),
            scale: flavors.get(&t.name).and_then(|f| scale(gguf, t, *f)),
        };
        Contents {
            model: opened.input.path.display().to_string(),
            model_sha256: opened.input.sha256.clone(),
            bytes: opened.size,
            gguf: Header {
                version: gguf.version,
                alignment: gguf.alignment,
                data_start: gguf.data_start,
                keys: gguf.metadata.len(),
                tensors: gguf.tensors.iter().len(),
            },
            dialect: Dialect::of(&gguf.spoken),
            metadata: gguf.metadata.iter().map(|(k, v)| Key::of(k, v)).collect(),
            hyper_parameters: config.as_ref().ok().map(hyper_parameters),
            hyper_parameters_refused: config.err().map(|refusal| refusal.to_string()),
            packings,
            undecided,
            tensors: tensors.then(|| gguf.tensors.iter().map(line).collect()),
            norms: None,
            warnings: gguf
                .warnings
                .iter()
                .map(|w| format!("{}: {}: {}", w.name, w.field, w.detail))
                .collect(),
            strict_mode: false,
            status: Status::Ok,
        }
    }

    /// Decides what all of it amounts to.
    pub fn conclude(&mut self, strict: bool) {
        let suspicious = self.norms.as_ref().is_some_and(Norms::suspicious);
        let undecided = !self.undecided.is_empty() || self.dialect.undecided.is_some();
        let attention = suspicious || undecided || !self.warnings.is_empty();
        self.strict_mode = strict;
        self.status = Status::of(attention, strict);
    }
}

type Packed = (
    Vec<Packing>,
    BTreeMap<String, String>,
    BTreeMap<String, Flavor>,
);

/// The packings found, the tensors whose packing cannot be told, and the packing of each tensor.
fn packed(gguf: &Gguf, forced: Option<Flavor>) -> Packed {
    let mut groups: BTreeMap<(Flavor, String), Packing> = BTreeMap::new();
    let (mut undecided, mut flavors) = (BTreeMap::new(), BTreeMap::new());
    for (tensor, detection) in packings(gguf, forced) {
        let detection = match detection {
            Ok(detection) => detection,
            Err(refusal) => {
                undecided.insert(tensor.name.clone(), refusal.to_string());
                continue;
            }
        };
        flavors.insert(tensor.name.clone(), detection.flavor);
        let group = (detection.flavor, detection.reason.clone());
        let packing = groups.entry(group).or_insert_with(|| Packing {
            flavor: detection.flavor.name(),
            tensors: 0,
            reason: detection.reason,
            example: tensor.name.clone(),
            evidence: detection.candidates,
        });
        packing.tensors += 1;
    }
    (groups.into_values().collect(), undecided, flavors)
}

/// As many digits as tell a single from its neighbours, and no more.
fn digits<S: Serializer>(scale: &Option<f32>, serializer: S) -> Result<S::Ok, S::Error> {
    scale
        .map(|scale| float(scale.to_string()))
        .serialize(serializer)
}

fn evidence<S: Serializer>(candidates: &[Candidate], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(candidates.iter().map(|candidate| {
        json!({
            "flavor": candidate.flavor.name(),
            "bytes_needed": candidate.bytes_needed,
            "bytes_available": candidate.bytes_available,
            "roomy": candidate.roomy,
            "facts": candidate.facts,
            "excluded": candidate.excluded,
        })
    }))
}

fn hyper_parameters(config: &Config) -> BTreeMap<&'static str, serde_json::Value> {
    BTreeMap::from([
        ("architecture", json!(config.architecture.name())),
        ("activation", json!(format!("{:?}", config.activation))),
        ("rope_pairs", json!(format!("{:?}", config.rope_pairs))),
        ("has_sub_norms", json!(config.has_sub_norms)),
        ("vocab_size", json!(config.vocab_size)),
        ("context_length", json!(config.context_length)),
        ("embedding_length", json!(config.embedding_length)),
        ("block_count", json!(config.block_count)),
        ("feed_forward_length", json!(config.feed_forward_length)),
        ("head_count", json!(config.head_count)),
        ("head_count_kv", json!(config.head_count_kv)),
        ("head_dim", json!(config.head_dim)),
        ("rope_dimensions", json!(config.rope_dimensions)),
        ("rope_freq_base", float(config.rope_freq_base.to_string())),
        (
            "rope_freq_scale",
            float(config.rope_stretch.scale.to_string()),
        ),
        (
            "rope_attention",
            float(config.rope_stretch.attention.to_string()),
        ),
        ("rope_yarn_trained", json!(config.rope_stretch.trained)),
        ("rms_epsilon", float(config.rms_epsilon.to_string())),
        ("attention_scale", float(config.attention_scale.to_string())),
    ])
}
