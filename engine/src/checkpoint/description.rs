//! What `config.json` says: hyper-parameters, and how linear weights are meant.

use super::json::{Json, Node};
use super::rope::Rope;
use crate::config::{Activation, Architecture, Config};
use crate::gguf::writer::Field;
use crate::refusal::{Code, Refusal};

/// A model as its configuration describes it.
#[derive(Debug, Clone)]
pub struct Description {
    /// For the forward pass.
    pub config: Config,
    /// What the frequency of each pair of a head is divided by.
    pub rope_factors: Option<Vec<f32>>,
    /// How its linear weights are ternary, if they are.
    pub ternary: Option<Ternary>,
    /// Whether the table of embeddings is the head.
    pub tied: bool,
    /// What stands in the configuration and is not what the architecture computes.
    pub notes: Vec<String>,
}

/// Linear weights of −1, 0 and +1 under one scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ternary {
    /// What `weight_scale` does to them.
    pub rule: ScaleRule,
    /// Whether they are ternarised whenever the model is loaded.
    pub online: bool,
}

/// What the stored `weight_scale` of packed weights means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleRule {
    /// A weight is its digit times the scale: `AutoBitLinear`.
    Multiply,
    /// A weight is its digit over the scale: `BitLinear`.
    Divide,
}

impl Description {
    /// Reads and checks the configuration; `forced` overrides the architecture.
    pub fn read(json: &Json, forced: Option<Architecture>) -> Result<Self, Refusal> {
        let root = json.node();
        let mut notes = Vec::new();
        let activation = activation(&root)?;
        let class = class(&root)?;
        let named = of_class(class).find(|a| Some(a.facts().activation) == activation);
        let Some(architecture) = forced.or(named) else {
            let node = root.need("hidden_act", "an activation")?;
            let rule = format!("one that {class} is computed with");
            return Err(node.refuse(Code::UnknownArch, rule, node.shown()));
        };
        if activation != Some(architecture.facts().activation) {
            notes.push(format!(
                "the checkpoint was trained with another activation than {} computes",
                architecture.name()
            ));
        }
        let (config, rope) = config(&root, architecture)?;
        let tied = match root.get("tie_word_embeddings") {
            Some(tied) => tied.bool()?,
            None => false,
        };
        let ternary = ternary(&root, class)?;
        Ok(Description {
            config,
            rope_factors: rope.factors,
            ternary,
            tied,
            notes,
        })
    }

    /// The keys of a GGUF file that say the same.
    pub fn keys(&self) -> Vec<(String, Field)> {
        let config = &self.config;
        let name = config.architecture.name();
        let mut keys = Vec::new();
        let mut set = |key: &str, value: Field| keys.push((format!("{name}.{key}"), value));
        for (key, number) in [
            ("vocab_size", config.vocab_size),
            ("context_length", config.context_length),
            ("embedding_length", config.embedding_length),
            ("block_count", config.block_count),
            ("feed_forward_length", config.feed_forward_length),
            ("rope.dimension_count", config.rope_dimensions),
            ("attention.head_count", config.head_count),
            ("attention.head_count_kv", config.head_count_kv),
        ] {
            set(key, (number as u32).into());
        }
        set(
            "attention.layer_norm_rms_epsilon",
            config.rms_epsilon.into(),
        );
        set("rope.freq_base", config.rope_freq_base.into());
        let factor = 1.0 / config.rope_stretch.scale;
        if let Some(trained) = config.rope_stretch.trained {
            set("rope.scaling.type", "yarn".into());
            set("rope.scaling.factor", factor.into());
            let key = "rope.scaling.original_context_length";
            set(key, trained.into());
        } else if factor != 1.0 {
            set("rope.scaling.type", "linear".into());
            set("rope.scaling.factor", factor.into());
        }
        // Where it is the width over the heads, every reader computes it.
        if config.head_dim * config.head_count != config.embedding_length {
            set("attention.key_length", (config.head_dim as u32).into());
            set("attention.value_length", (config.head_dim as u32).into());
        }
        keys
    }
}

/// The class of the model, which some architecture computes.
fn class<'a>(root: &Node<'a>) -> Result<&'a str, Refusal> {
    let node = root.need("architectures", "the class of the model")?;
    let first = node.items()?.next();
    let first = first.ok_or_else(|| node.refuse(Code::UnknownArch, "one class", "none"))?;
    let name = first.text()?;
    if of_class(name).next().is_some() {
        return Ok(name);
    }
    let all = Architecture::ALL.into_iter();
    let mut known: Vec<&str> = all.flat_map(|a| a.facts().classes).copied().collect();
    known.sort_unstable();
    known.dedup();
    Err(first.refuse(
        Code::UnknownArch,
        format!("one of {}", known.join(", ")),
        name,
    ))
}

fn of_class(class: &str) -> impl Iterator<Item = Architecture> {
    let computes = move |a: &Architecture| a.facts().classes.contains(&class);
    Architecture::ALL.into_iter().filter(computes)
}

fn activation(root: &Node) -> Result<Option<Activation>, Refusal> {
    let Some(node) = root.get("hidden_act") else {
        return Ok(None);
    };
    Ok(match node.text()? {
        "silu" | "swish" => Some(Activation::Silu),
        "relu2" => Some(Activation::SquaredRelu),
        _ => None,
    })
}

fn config(root: &Node, architecture: Architecture) -> Result<(Config, Rope), Refusal> {
    let facts = architecture.facts();
    let size = |key| root.need(key, "an integer of at least 1")?.size();
    let or = |key, default| root.get(key).map_or(Ok(default), |node| node.size());
    let width = size("hidden_size")?;
    let heads = size("num_attention_heads")?;
    let kv_heads = or("num_key_value_heads", heads)?;
    if !heads.is_multiple_of(kv_heads) {
        let node = root.need("num_key_value_heads", "an integer")?;
        let rule = format!("a divisor of the head count {heads}");
        return Err(node.refuse(Code::HparamInvalid, rule, kv_heads));
    }
    let head_dim = match root.get("head_dim") {
        Some(node) => node.size()?,
        None if width.is_multiple_of(heads) => width / heads,
        None => {
            let node = root.need("num_attention_heads", "an integer")?;
            let rule = format!("a divisor of the hidden size {width}");
            return Err(node.refuse(Code::HparamInvalid, rule, heads));
        }
    };
    let epsilon = root.need("rms_norm_eps", "a number above 0")?.positive()?;
    let rope = Rope::read(root, head_dim)?;
    if rope.factors.is_some() && !facts.rope_factors {
        let node = root.need("rope_scaling", "a way to stretch positions")?;
        let rule = format!(
            "default, linear or yarn, which {} computes",
            architecture.name()
        );
        return Err(node.refuse(Code::HparamInvalid, rule, node.shown()));
    }
    let config = Config {
        architecture,
        activation: facts.activation,
        rope_pairs: facts.rope_pairs,
        has_sub_norms: facts.sub_norms,
        has_head_norms: facts.head_norms,
        vocab_size: size("vocab_size")?,
        context_length: size("max_position_embeddings")?,
        embedding_length: width,
        block_count: size("num_hidden_layers")?,
        feed_forward_length: size("intermediate_size")?,
        head_count: heads,
        head_count_kv: kv_heads,
        head_dim,
        rope_dimensions: head_dim,
        rope_freq_base: rope.base,
        rope_stretch: rope.stretch,
        rms_epsilon: epsilon,
        attention_scale: 1.0 / (head_dim as f32).sqrt(),
    };
    Ok((config, rope))
}

/// What `quantization_config` says of linear weights; the first BitNet models say it by their
/// class and are ternarised whenever they are loaded.
fn ternary(root: &Node, class: &str) -> Result<Option<Ternary>, Refusal> {
    let online = Ternary {
        rule: ScaleRule::Multiply,
        online: true,
    };
    let Some(node) = root.get("quantization_config") else {
        let by_class = of_class(class).any(|architecture| architecture.facts().sub_norms);
        return Ok(by_class.then_some(online));
    };
    let method = node.need("quant_method", "a method")?;
    if method.text()? != "bitnet" {
        let rule = "bitnet, or a checkpoint that is not quantised";
        return Err(method.refuse(Code::HparamInvalid, rule, method.shown()));
    }
    let rule = match node.get("linear_class") {
        None => ScaleRule::Divide,
        Some(class) => match class.text()? {
            "autobitlinear" => ScaleRule::Multiply,
            "bitlinear" => ScaleRule::Divide,
            other => {
                let rule = "autobitlinear or bitlinear";
                return Err(class.refuse(Code::HparamInvalid, rule, other));
            }
        },
    };
    let mode = node.get("quantization_mode");
    let online = match mode.map(|mode| mode.text()).transpose()? {
        Some("online") => true,
        Some("offline") | None => false,
        Some(other) => {
            let rule = "online or offline";
            return Err(node.refuse(Code::HparamInvalid, rule, other));
        }
    };
    Ok(Some(Ternary { rule, online }))
}
