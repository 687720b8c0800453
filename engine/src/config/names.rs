//! What tensors are called: in GGUF files, in Hugging Face checkpoints, and in those of Meta, whose
//! names some writers of GGUF files leave as they are.
#![forbid(unsafe_code)]

/// Outside of the layers: here, in a checkpoint of Hugging Face, in one of Meta.
const OUTSIDE: [(&str, &[&str], &str); 3] = [
    (
        "token_embd.weight",
        &["model.embed_tokens.weight"],
        "tok_embeddings.weight",
    ),
    ("output_norm.weight", &["model.norm.weight"], "norm.weight"),
    (HEAD, &["lm_head.weight"], HEAD),
];

/// In a layer: behind `blk.N.`, behind `model.layers.N.`, and behind `layers.N.`
#[rustfmt::skip] // a table: a line a row
const IN_LAYER: [(&str, &[&str], &str); 13] = [
    ("attn_q", &["self_attn.q_proj"], "attention.wq"),
    ("attn_k", &["self_attn.k_proj"], "attention.wk"),
    ("attn_v", &["self_attn.v_proj"], "attention.wv"),
    ("attn_output", &["self_attn.o_proj"], "attention.wo"),
    ("ffn_gate", &["mlp.gate_proj"], "feed_forward.w1"),
    ("ffn_up", &["mlp.up_proj"], "feed_forward.w3"),
    ("ffn_down", &["mlp.down_proj"], "feed_forward.w2"),
    ("attn_norm", &["input_layernorm"], "attention_norm"),
    ("ffn_norm", &["post_attention_layernorm"], "ffn_norm"),
    ("attn_q_norm", &["self_attn.q_norm"], "attention.q_norm"),
    ("attn_k_norm", &["self_attn.k_norm"], "attention.k_norm"),
    // The second names are those of the first BitNet checkpoints.
    ("attn_sub_norm", &["self_attn.attn_sub_norm", "self_attn.inner_attn_ln"],
     "attention.sub_norm"),
    ("ffn_sub_norm", &["mlp.ffn_sub_norm", "mlp.ffn_layernorm"], "feed_forward.sub_norm"),
];

/// The head, where it is not the table of embeddings.
pub const HEAD: &str = "output.weight";

/// Computed again by every program; some checkpoints carry them along.
const DERIVED: &str = ".rotary_emb.inv_freq";

/// What a tensor of a GGUF file may be called in a checkpoint.
pub fn sources(target: &str) -> Vec<String> {
    if let Some((_, names, _)) = OUTSIDE.iter().find(|(known, ..)| *known == target) {
        return names.iter().map(|name| (*name).to_owned()).collect();
    }
    let parts = target.strip_prefix("blk.").and_then(|rest| {
        let (layer, rest) = rest.split_once('.')?;
        let (part, kind) = rest.rsplit_once('.')?;
        let (_, names, _) = IN_LAYER.iter().find(|(known, ..)| *known == part)?;
        Some((layer, names, kind))
    });
    parts.map_or_else(Vec::new, |(layer, names, kind)| {
        let name = |name: &&str| format!("model.layers.{layer}.{name}.{kind}");
        names.iter().map(name).collect()
    })
}

/// What GGUF files call a tensor that has its name from elsewhere; none if it is no such name.
pub fn translated(name: &str) -> Option<String> {
    let outside = OUTSIDE
        .iter()
        .find(|(target, names, meta)| *target != name && (names.contains(&name) || *meta == name));
    if let Some((target, ..)) = outside {
        return Some((*target).to_owned());
    }
    let behind = |prefix: &str| {
        let (layer, part) = name.strip_prefix(prefix)?.split_once('.')?;
        let (part, kind) = part.rsplit_once('.')?;
        layer.parse::<u32>().ok().map(|layer| (layer, part, kind))
    };
    let (layer, part, kind) = behind("model.layers.").or_else(|| behind("layers."))?;
    // Names of both are found mixed, so that only the last word of Meta's counts.
    let last = |part: &str| part.rsplit('.').next().map(str::to_owned);
    let known =
        |(_, names, meta): &&(_, &[&str], &str)| names.contains(&part) || last(meta) == last(part);
    let (target, ..) = IN_LAYER.iter().find(known)?;
    Some(format!("blk.{layer}.{target}.{kind}"))
}

/// Whether a tensor says nothing that the configuration does not say.
pub fn is_derived(name: &str) -> bool {
    name.ends_with(DERIVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_their_parts() {
        let down = "model.layers.11.mlp.down_proj.weight";
        assert_eq!(sources("blk.11.ffn_down.weight"), [down]);
        assert_eq!(sources("output_norm.weight"), ["model.norm.weight"]);
        assert_eq!(sources("blk.0.attn_sub_norm.weight").len(), 2);
        assert!(sources("rope_freqs.weight").is_empty());
    }
    #[test]
    fn names_from_elsewhere_are_translated_and_others_are_not() {
        for (name, target) in [
            ("model.layers.3.mlp.up_proj.weight", "blk.3.ffn_up.weight"),
            ("layers.3.feed_forward.w2.weight", "blk.3.ffn_down.weight"),
            ("layers.0.self_attn.q_proj.bias", "blk.0.attn_q.bias"),
            ("model.layers.0.mlp.w3.weight", "blk.0.ffn_up.weight"),
            ("tok_embeddings.weight", "token_embd.weight"),
            ("lm_head.weight", "output.weight"),
        ] {
            assert_eq!(translated(name).as_deref(), Some(target), "{name}");
        }
        for name in [
            "blk.0.attn_q.weight",
            "output.weight",
            "layers.x.w.weight",
            "x",
        ] {
            assert_eq!(translated(name), None, "{name}");
        }
    }
}
