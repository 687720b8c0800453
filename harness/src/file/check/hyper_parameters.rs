//! Lints about numbers that load and are wrong all the same.

use engine::gguf::{Gguf, Value};

use super::{Findings, Lint};

pub(super) fn examine(gguf: &Gguf, findings: &mut Findings) {
    let Ok(Some(architecture)) = gguf.metadata.string("general.architecture") else {
        return; // reading the hyper-parameters says so
    };
    let file = File { gguf, architecture };
    file.activation(findings);
    file.context(findings);
    file.rope_base(findings);
    file.epsilon(findings);
    file.file_type(findings);
}

struct File<'a> {
    gguf: &'a Gguf,
    architecture: &'a str,
}

impl File<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn u32(&self, name: &str) -> Option<u32> {
        self.gguf.metadata.u32(&self.key(name)).ok().flatten()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.gguf.metadata.string(key).ok().flatten()
    }

    /// Engines take the activation from the architecture's name alone. 1bitLLM's models (SiLU) all
    /// have SentencePiece vocabularies and sizes of their own; byte-level vocabularies came with
    /// the models that use squared ReLU.
    fn activation(&self, findings: &mut Findings) {
        const SILU_SIZES: [(u32, u32); 3] = [(1536, 4096), (2048, 5460), (3200, 8640)];
        let size = self
            .u32("embedding_length")
            .zip(self.u32("feed_forward_length"));
        let tokenizer = self.text("tokenizer.ggml.model");
        let implied = match self.architecture {
            "bitnet" => "silu",
            "bitnet-25" | "bitnet-b1.58" => "relu2",
            _ => return,
        };
        let stated = ["hidden_activation", "hidden_act"]
            .into_iter()
            .find_map(|name| Some((self.key(name), self.text(&self.key(name))?.to_lowercase())));
        let agrees = |stated: &str| match implied {
            "silu" => stated.contains("silu") || stated.contains("swish"),
            _ => stated.contains("relu2") || stated.contains("squared"),
        };
        let subject = "general.architecture";
        if let Some((key, stated)) = stated {
            if !agrees(&stated) {
                let architecture = self.architecture;
                let detail = format!("{architecture} implies {implied}, {key} says {stated}");
                findings.add(Lint::ActivationSuspect, subject, detail);
            }
        } else if implied == "silu" && tokenizer == Some("gpt2") {
            let detail = "bitnet implies SiLU, and a byte-level vocabulary speaks for squared ReLU";
            findings.add(Lint::ActivationSuspect, subject, detail);
        } else if implied == "relu2"
            && tokenizer == Some("llama")
            && let Some((e, f)) = size.filter(|size| SILU_SIZES.contains(size))
        {
            let detail = format!(
                "{} implies squared ReLU, and a SentencePiece vocabulary with sizes {e} and {f} \
                 speaks for SiLU",
                self.architecture
            );
            findings.add(Lint::ActivationSuspect, subject, detail);
        }
    }

    fn context(&self, findings: &mut Findings) {
        const USUAL: std::ops::RangeInclusive<u32> = 32..=10_485_760;
        if let Some(length) = self.u32("context_length")
            && !USUAL.contains(&length)
        {
            let key = self.key("context_length");
            findings.add(Lint::ContextOdd, &key, format!("{length} positions"));
        }
    }

    fn rope_base(&self, findings: &mut Findings) {
        let key = self.key("rope.freq_base");
        let byte_level = self.text("tokenizer.ggml.model") == Some("gpt2");
        let modern = byte_level && self.architecture != "bitnet";
        match self.gguf.metadata.get(&key) {
            None if modern => {
                let detail = "no key, so 10000; models with such vocabularies use 500000 and more";
                findings.add(Lint::RopeBaseMissing, &key, detail);
            }
            Some(Value::F32(base)) if modern && base <= 10_000.0 => {
                let detail = format!("{base}; models with such vocabularies use 500000 and more");
                findings.add(Lint::RopeBaseOdd, &key, detail);
            }
            _ => {}
        }
    }

    /// Loaders do not look at it; people do.
    fn file_type(&self, findings: &mut Findings) {
        const KEY: &str = "general.file_type";
        // Type numbers of tensors a file of that type is mostly made of.
        const MOSTLY: [(u32, &str, &[u32]); 9] = [
            (0, "F32", &[0]),
            (1, "F16", &[1]),
            (7, "Q8_0", &[8]),
            (18, "Q6_K", &[14]),
            (32, "BF16", &[30]),
            (36, "TQ1_0", &[34]),
            (37, "TQ2_0", &[35]),
            // Upstream 40 is Q1_0.
            (40, "I2_S", &[26, 36, 41]),
            (41, "Q2_0", &[42]),
        ];
        let stated = self.gguf.metadata.u32(KEY).ok().flatten();
        let linear = || {
            let tensors = self.gguf.tensors.iter();
            tensors.filter(|tensor| tensor.name.starts_with("blk.") && tensor.dims.len() > 1)
        };
        let known = MOSTLY.iter().find(|(number, ..)| Some(*number) == stated);
        if let Some((number, name, types)) = known
            && let Some(example) = linear().next()
            && !linear().any(|tensor| types.contains(&tensor.type_id))
        {
            let (tensor, id) = (&example.name, example.type_id);
            let detail = format!("{number} is {name}, and {tensor} has the type id {id}");
            findings.add(Lint::FileTypeContradicted, KEY, detail);
        }
    }

    fn epsilon(&self, findings: &mut Findings) {
        const USUAL: std::ops::RangeInclusive<f32> = 1e-8..=1e-3;
        let key = self.key("attention.layer_norm_rms_epsilon");
        if let Some(Value::F32(epsilon)) = self.gguf.metadata.get(&key)
            && !USUAL.contains(&epsilon)
        {
            findings.add(Lint::EpsilonOdd, &key, format!("{epsilon:e}"));
        }
    }
}
