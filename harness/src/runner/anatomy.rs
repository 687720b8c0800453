//! The closed table of nodes: what each does, what it reads and which tensor it multiplies with.
#![forbid(unsafe_code)]

use engine::transformer::probe::{Node, Place};

use crate::runner::passes::Shown;

/// One kind of node.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Name without the layer.
    pub name: &'static str,
    /// Operation.
    pub op: &'static str,
    /// One line for somebody who looks for the fault.
    pub does: &'static str,
    /// Where its inputs come from.
    pub reads: Reads,
    /// The tensor it multiplies with, without `blk.N.` and `.weight`.
    pub weight: Option<&'static str>,
}

/// Where a node's inputs come from.
#[derive(Debug, Clone, Copy)]
pub enum Reads {
    /// The tokens themselves.
    Tokens,
    /// The node before it.
    Before,
    /// For each input, the latest node that has one of these names.
    Latest(&'static [&'static [&'static str]]),
    /// The table does not tell: a node without a name may be any of several.
    Untold,
}

use Reads::{Before, Latest, Tokens, Untold};

const fn part(name: &'static str, op: &'static str, reads: Reads, does: &'static str) -> Part {
    Part {
        name,
        op,
        does,
        reads,
        weight: None,
    }
}

const fn product(
    name: &'static str,
    reads: Reads,
    weight: &'static str,
    does: &'static str,
) -> Part {
    Part {
        name,
        op: "MUL_MAT",
        does,
        reads,
        weight: Some(weight),
    }
}

const NORMED: Reads = Latest(&[&["attn_norm"]]);
const FFN_NORMED: Reads = Latest(&[&["ffn_norm"]]);
const GATED: Reads = Latest(&[
    &["ffn_silu", "ffn_sqr(relu)"],
    &["ffn_up", "ffn_up_s", "ffn_up_b"],
]);
const FACTOR: &str = "multiplies the product before it by the tensor's .scale";
const BIAS: &str = "adds the .bias to the product before it";
const HEADS: &str = "splits rows into heads; the values stay";
const SIDE: &str = "puts the heads side by side; the values stay";
const GATE: &str = "activated gate times up, element by element";

/// Every kind there is, in the order of a pass.
#[rustfmt::skip] // a table: a line a row
pub const PARTS: [Part; 49] = [
    part("inp_embd", "GET_ROWS", Tokens, "decodes the embedding row of every token"),
    part("norm", "RMS_NORM", Before, "divides rows by their rms: squares f32, their sum f64"),
    part("attn_norm", "MUL", Before, "weighted norm; becomes codes of Q, K, V"),
    product("Qcur", NORMED, "attn_q", "queries: int8 codes times ternary weights, then the scales"),
    part("Qcur", "MUL", Before, FACTOR),
    part("Qcur", "ADD", Before, BIAS),
    part("Qcur", "RESHAPE", Before, HEADS),
    part("Qcur", "ROPE", Before, "turns the queries by their positions"),
    product("Kcur", NORMED, "attn_k", "keys: int8 codes times ternary weights, then the scales"),
    part("Kcur", "MUL", Before, FACTOR),
    part("Kcur", "ADD", Before, BIAS),
    part("Kcur", "RESHAPE", Before, HEADS),
    part("Kcur", "ROPE", Before, "turns the keys; they are then stored as f16"),
    product("Vcur", NORMED, "attn_v", "values: int8 codes times ternary weights; stored as f16"),
    part("Vcur", "MUL", Before, FACTOR),
    part("Vcur", "ADD", Before, BIAS),
    part("kq", "MUL_MAT", Latest(&[&["Qcur"], &["Kcur"]]), "queries times the f16 keys"),
    part("kq_soft_max_ext", "SOFT_MAX", Before, "scale, mask and softmax of every row"),
    part("kqv", "MUL_MAT", Latest(&[&["kq_soft_max_ext"], &["Vcur"]]),
         "probabilities times the f16 values"),
    part("kqv_out", "CONT", Before, SIDE),
    part("kqv_merged_cont", "CONT", Before, SIDE),
    part("attn_sub_norm", "MUL", Before, "weighted norm; becomes codes of the output"),
    product("attn_o_out", Before, "attn_output", "attention's output projection"),
    part("attn_o_out", "MUL", Before, FACTOR),
    part("attn_o_out", "ADD", Before, BIAS),
    product("kqv_wo", Before, "attn_output", "attention's output projection, a scale or bias next"),
    product("kqv_out", Before, "attn_output", "attention's output projection"),
    part("kqv_out", "MUL", Before, FACTOR),
    part("kqv_out", "ADD", Before, BIAS),
    part("ffn_inp", "ADD", Latest(&[&["l_out", "inp_embd"], &["attn_o_out", "kqv_out"]]),
         "the layer's input plus what attention found"),
    part("ffn_norm", "MUL", Before, "weighted norm; becomes codes of gate and up"),
    product("ffn_gate", FFN_NORMED, "ffn_gate", "the gate of the feed-forward block"),
    part("ffn_gate_s", "MUL", Before, FACTOR),
    part("ffn_gate_b", "ADD", Before, BIAS),
    part("ffn_silu", "UNARY", Before, "x / (1 + e^-x), an approximation in vectors"),
    part("ffn_relu", "UNARY", Before, "negative values become 0"),
    part("ffn_sqr(relu)", "SQR", Before, "squares what relu left"),
    product("ffn_up", FFN_NORMED, "ffn_up", "the other input of the feed-forward block"),
    part("ffn_up_s", "MUL", Before, FACTOR),
    part("ffn_up_b", "ADD", Before, BIAS),
    part("ffn_sub_out", "MUL", GATED, GATE),
    part("ffn_gate_par", "MUL", GATED, GATE),
    part("ffn_out", "MUL", GATED, GATE),
    part("ffn_sub_norm", "MUL", Before, "weighted norm; becomes codes of down"),
    product("ffn_down", Before, "ffn_down", "the feed-forward block's output projection"),
    part("ffn_down", "MUL", Before, FACTOR),
    part("ffn_down", "ADD", Before, BIAS),
    product("ffn_out", Before, "ffn_down", "the feed-forward block's output projection"),
    part("ffn_out", "ADD", Before, BIAS),
];

/// What closes a pass, and what has no name.
#[rustfmt::skip] // a table: a line a row
pub const ENDS: [Part; 5] = [
    part("l_out", "ADD", Latest(&[&["ffn_inp"], &["ffn_down", "ffn_out"]]),
         "what attention left plus the feed-forward block: the next layer's input"),
    part("result_norm", "MUL", Before, "weights the last normalised rows"),
    part("result_output", "MUL_MAT", Before, "the logits: last rows times the output matrix"),
    part("node", "GET_ROWS", Untold, "keeps the rows whose logits are wanted"),
    part("node", "MUL_MAT", Untold, "a product that a scale or bias follows"),
];

/// The table's row for a node; none for a node nobody has described.
pub fn part_of(name: &str, op: &str) -> Option<&'static Part> {
    let mut rows = PARTS.iter().chain(&ENDS);
    rows.find(|part| part.name == name && part.op == op)
}

/// The indices of what node `at` reads, in the order it reads them; none where the table does not
/// tell.
pub fn inputs(nodes: &[Shown], at: usize) -> Option<Vec<usize>> {
    let node = nodes[at].node;
    let before = || at.checked_sub(1).map(|before| vec![before]);
    let latest = |names: &&[&str]| {
        nodes[..at]
            .iter()
            .rposition(|n| names.contains(&n.node.name))
    };
    match part_of(node.name, node.op)?.reads {
        Tokens => Some(Vec::new()),
        // One name for two things: behind `ffn_down` it is that product's scale.
        Latest(_) if node.name == "ffn_out" && nodes[..at].last()?.node.name == "ffn_down" => {
            before()
        }
        Before => before(),
        Latest(inputs) => inputs.iter().map(latest).collect(),
        Untold => None,
    }
}

/// The name of the tensor a node multiplies with.
pub fn tensor_of(node: Node) -> Option<String> {
    let weight = part_of(node.name, node.op)?.weight?;
    match node.place {
        Place::Layer(layer) => Some(format!("blk.{layer}.{weight}.weight")),
        Place::Model | Place::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_there_once_and_says_something() {
        let rows = || PARTS.iter().chain(&ENDS);
        for part in rows() {
            let same = rows().filter(|p| (p.name, p.op) == (part.name, part.op));
            assert_eq!(same.count(), 1, "{} {}", part.name, part.op);
            assert!(part.does.len() > 10, "{}", part.name);
        }
        assert!(part_of("kq", "ROPE").is_none());
    }
}
