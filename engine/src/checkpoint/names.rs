//! What the tensors of a checkpoint are called, and what they are called in a GGUF file.

/// Outside of the layers.
const OUTSIDE: [(&str, &[&str]); 3] = [
    ("token_embd.weight", &["model.embed_tokens.weight"]),
    ("output_norm.weight", &["model.norm.weight"]),
    (HEAD, &["lm_head.weight"]),
];

/// In a layer: `blk.N.` and this here, `model.layers.N.` and one of these there.
const IN_LAYER: [(&str, &[&str]); 13] = [
    ("attn_q", &["self_attn.q_proj"]),
    ("attn_k", &["self_attn.k_proj"]),
    ("attn_v", &["self_attn.v_proj"]),
    ("attn_output", &["self_attn.o_proj"]),
    ("ffn_gate", &["mlp.gate_proj"]),
    ("ffn_up", &["mlp.up_proj"]),
    ("ffn_down", &["mlp.down_proj"]),
    ("attn_norm", &["input_layernorm"]),
    ("ffn_norm", &["post_attention_layernorm"]),
    ("attn_q_norm", &["self_attn.q_norm"]),
    ("attn_k_norm", &["self_attn.k_norm"]),
    // The second names are those of the first BitNet checkpoints.
    (
        "attn_sub_norm",
        &["self_attn.attn_sub_norm", "self_attn.inner_attn_ln"],
    ),
    ("ffn_sub_norm", &["mlp.ffn_sub_norm", "mlp.ffn_layernorm"]),
];

/// The head, where it is not the table of embeddings.
pub const HEAD: &str = "output.weight";

/// Computed again by every program; some checkpoints carry them along.
const DERIVED: &str = ".rotary_emb.inv_freq";

/// What a tensor of a GGUF file may be called in a checkpoint.
pub fn sources(target: &str) -> Vec<String> {
    if let Some((_, names)) = OUTSIDE.iter().find(|(known, _)| *known == target) {
        return names.iter().map(|name| (*name).to_owned()).collect();
    }
    let parts = target.strip_prefix("blk.").and_then(|rest| {
        let (layer, rest) = rest.split_once('.')?;
        let (part, kind) = rest.rsplit_once('.')?;
        let (_, names) = IN_LAYER.iter().find(|(known, _)| *known == part)?;
        Some((layer, names, kind))
    });
    parts.map_or_else(Vec::new, |(layer, names, kind)| {
        let name = |name: &&str| format!("model.layers.{layer}.{name}.{kind}");
        names.iter().map(name).collect()
    })
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
        assert_eq!(sources("rope_freqs.weight"), [""; 0]);
    }
}
