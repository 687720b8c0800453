//! The closed table of nodes: what each does, what it reads, which tensor it multiplies with and
//! which operation it is part of.

use crate::case::observation::TracedNode;

/// What a node's key says: `name-layer|OP#occurrence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeName<'k> {
    /// Without the layer, the number of a value that has only one, and what was done to its shape.
    pub name: &'k str,
    /// The layer, if it belongs to one.
    pub layer: Option<usize>,
    /// Operation.
    pub op: &'k str,
}

impl<'k> NodeName<'k> {
    /// The parts of a key.
    pub fn of(key: &'k str) -> Self {
        let (name, op) = key.split_once('|').unwrap_or((key, ""));
        let (op, _) = op.split_once('#').unwrap_or((op, ""));
        let (name, _) = name.split_once(" (").unwrap_or((name, ""));
        let numbered = |mark| {
            let (name, number) = name.rsplit_once(mark)?;
            Some((name, number.parse::<usize>().ok()?))
        };
        let layer = numbered('-');
        let name = layer.or(numbered('_')).map_or(name, |(name, _)| name);
        let layer = layer.map(|(_, layer)| layer);
        NodeName { name, layer, op }
    }

    /// The table's row for it; none for a node nobody has described.
    pub fn part(self) -> Option<&'static Part> {
        parts().find(|part| part.name == self.name && part.op == self.op)
    }

    /// Whether it belongs to the operation of the next node.
    pub fn is_followed(self) -> bool {
        FOLLOWED.iter().any(|part| part.name == self.name)
    }

    /// The name of the tensor it multiplies with.
    pub fn tensor(self) -> Option<String> {
        let (layer, weight) = (self.layer?, self.part()?.weight?);
        Some(format!("blk.{layer}.{weight}.weight"))
    }

    /// The operation it belongs to; none if it belongs to that of the next one, and none for one
    /// nobody has described.
    pub fn operation(self, before: Option<NodeName<'_>>) -> Option<&'static Operation> {
        let name = if self.is_scale_of_down(before) {
            "ffn_down"
        } else {
            self.name
        };
        let is = |part: &Part| part.name == name && part.op == self.op;
        OPERATIONS
            .iter()
            .find(|operation| operation.parts.iter().any(is))
    }

    /// One name for two things: behind `ffn_down` an `ffn_out` is that product's scale.
    fn is_scale_of_down(self, before: Option<NodeName<'_>>) -> bool {
        self.name == "ffn_out" && before.is_some_and(|before| before.name == "ffn_down")
    }
}

/// One kind of node.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Name without the layer.
    pub name: &'static str,
    /// Operation.
    pub op: &'static str,
    /// One line for a person who looks for the fault.
    pub does: &'static str,
    /// Where its inputs come from.
    pub reads: Reads,
    /// The tensor it multiplies with, without `blk.N.` and `.weight`.
    pub weight: Option<&'static str>,
}

/// What computes one thing: nodes that follow each other, and that only together make a value
/// which is used elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// The part of a model it belongs to.
    pub block: &'static str,
    /// In words.
    pub name: &'static str,
    /// Its kinds of node.
    pub parts: &'static [Part],
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

const fn op(block: &'static str, name: &'static str, parts: &'static [Part]) -> Operation {
    Operation { block, name, parts }
}

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
        weight: Some(weight),
        ..part(name, "MUL_MAT", reads, does)
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

const OUTPUT: &str = "attention's output projection";
const DOWN: &str = "the feed-forward block's output projection";
const EMBEDDING: &str = "embedding";
const ATTENTION: &str = "attention";
const FEED_FORWARD: &str = "feed-forward";
const FINAL_NORM: &str = "final norm";
const HEAD: &str = "head";

/// Every operation there is, in the order of a pass.
#[rustfmt::skip] // a table: a line a row
pub const OPERATIONS: &[Operation] = &[
    op(EMBEDDING, EMBEDDING, &[
        part("inp_embd", "GET_ROWS", Tokens, "decodes the embedding row of every token")]),
    op(ATTENTION, "attention norm", &[
        part("attn_norm", "MUL", Before, "weighted norm; becomes codes of Q, K, V")]),
    op(ATTENTION, "query product", &[
        product("Qcur", NORMED, "attn_q", "queries: int8 codes times ternary weights, then scales"),
        part("Qcur", "MUL", Before, FACTOR),
        part("Qcur", "ADD", Before, BIAS)]),
    op(ATTENTION, "query rope", &[
        part("Qcur", "RESHAPE", Before, HEADS),
        part("Qcur_normed", "MUL", Before, "weighted norm of every query head"),
        part("Qcur", "ROPE", Before, "turns the queries by their positions")]),
    op(ATTENTION, "key product", &[
        product("Kcur", NORMED, "attn_k", "keys: int8 codes times ternary weights, then scales"),
        part("Kcur", "MUL", Before, FACTOR),
        part("Kcur", "ADD", Before, BIAS)]),
    op(ATTENTION, "key rope", &[
        part("Kcur", "RESHAPE", Before, HEADS),
        part("Kcur_normed", "MUL", Before, "weighted norm of every key head"),
        part("Kcur", "ROPE", Before, "turns the keys; they are then stored as f16")]),
    op(ATTENTION, "value product", &[
        product("Vcur", NORMED, "attn_v", "values: int8 codes times ternary weights; kept as f16"),
        part("Vcur", "MUL", Before, FACTOR),
        part("Vcur", "ADD", Before, BIAS)]),
    op(ATTENTION, "scores", &[
        part("kq", "MUL_MAT", Latest(&[&["Qcur"], &["Kcur"]]), "queries times the f16 keys")]),
    op(ATTENTION, "softmax", &[
        part("kq_soft_max_ext", "SOFT_MAX", Before, "scale, mask and softmax of every row")]),
    op(ATTENTION, "value mix", &[
        part("kqv", "MUL_MAT", Latest(&[&["kq_soft_max_ext"], &["Vcur"]]),
             "probabilities times the f16 values"),
        part("kqv_out", "CONT", Before, SIDE),
        part("kqv_merged_cont", "CONT", Before, SIDE)]),
    op(ATTENTION, "attention sub-norm", &[
        part("attn_sub_norm", "MUL", Before, "weighted norm; becomes codes of the output")]),
    op(ATTENTION, "output product", &[
        product("attn_o_out", Before, "attn_output", OUTPUT),
        part("attn_o_out", "MUL", Before, FACTOR),
        part("attn_o_out", "ADD", Before, BIAS),
        product("kqv_wo", Before, "attn_output", "the output projection, a scale or bias next"),
        product("kqv_out", Before, "attn_output", OUTPUT),
        part("kqv_out", "MUL", Before, FACTOR),
        part("kqv_out", "ADD", Before, BIAS)]),
    op(ATTENTION, "attention sum", &[
        part("ffn_inp", "ADD", Latest(&[&["l_out", "inp_embd"], &["attn_o_out", "kqv_out"]]),
             "the layer's input plus what attention found")]),
    op(FEED_FORWARD, "feed-forward norm", &[
        part("ffn_norm", "MUL", Before, "weighted norm; becomes codes of gate and up")]),
    op(FEED_FORWARD, "gate product", &[
        product("ffn_gate", FFN_NORMED, "ffn_gate", "the gate of the feed-forward block"),
        part("ffn_gate_s", "MUL", Before, FACTOR),
        part("ffn_gate_b", "ADD", Before, BIAS)]),
    op(FEED_FORWARD, "activation", &[
        part("ffn_silu", "UNARY", Before, "x / (1 + e^-x), an approximation in vectors"),
        part("ffn_relu", "UNARY", Before, "negative values become 0"),
        part("ffn_sqr(relu)", "SQR", Before, "squares what relu left")]),
    op(FEED_FORWARD, "up product", &[
        product("ffn_up", FFN_NORMED, "ffn_up", "the other input of the feed-forward block"),
        part("ffn_up_s", "MUL", Before, FACTOR),
        part("ffn_up_b", "ADD", Before, BIAS)]),
    op(FEED_FORWARD, "gate times up", &[
        part("ffn_sub_out", "MUL", GATED, GATE),
        part("ffn_gate_par", "MUL", GATED, GATE),
        part("ffn_out", "MUL", GATED, GATE)]),
    op(FEED_FORWARD, "feed-forward sub-norm", &[
        part("ffn_sub_norm", "MUL", Before, "weighted norm; becomes codes of down")]),
    op(FEED_FORWARD, "down product", &[
        product("ffn_down", Before, "ffn_down", DOWN),
        part("ffn_down", "MUL", Before, FACTOR),
        part("ffn_down", "ADD", Before, BIAS),
        product("ffn_out", Before, "ffn_down", DOWN),
        part("ffn_out", "ADD", Before, BIAS)]),
    op(FEED_FORWARD, "feed-forward sum", &[
        part("l_out", "ADD", Latest(&[&["ffn_inp"], &["ffn_down", "ffn_out"]]),
             "what attention left plus the feed-forward block: the next layer's input")]),
    op(FINAL_NORM, FINAL_NORM, &[
        part("result_norm", "MUL", Before, "weights the last normalised rows")]),
    op(HEAD, HEAD, &[
        part("result_output", "MUL_MAT", Before, "the logits: last rows times the output matrix")]),
];

/// What belongs to the operation of the node that follows it.
#[rustfmt::skip] // a table: a line a row
pub const FOLLOWED: &[Part] = &[
    part("norm", "RMS_NORM", Before, "divides rows by their rms: squares f32, their sum f64"),
    part("node", "GET_ROWS", Untold, "keeps the rows whose logits are wanted"),
    part("node", "MUL_MAT", Untold, "a product that a scale or bias follows"),
];

/// Every kind of node, in the order of a pass.
pub fn parts() -> impl Iterator<Item = &'static Part> {
    let parts = OPERATIONS.iter().flat_map(|operation| operation.parts);
    parts.chain(FOLLOWED)
}

/// The indices of what node `at` reads, in the order it reads them; none where the table does not
/// tell.
pub fn inputs(nodes: &[TracedNode], at: usize) -> Option<Vec<usize>> {
    let name = |at: usize| NodeName::of(&nodes[at].key);
    let before = at.checked_sub(1).map(name);
    match name(at).part()?.reads {
        Latest(_) if name(at).is_scale_of_down(before) => read(nodes, at, Before),
        reads => read(nodes, at, reads),
    }
}

fn read(nodes: &[TracedNode], at: usize, reads: Reads) -> Option<Vec<usize>> {
    let name = |at: usize| NodeName::of(&nodes[at].key).name;
    let latest = |names: &&[&str]| (0..at).rfind(|&at| names.contains(&name(at)));
    match reads {
        Tokens => Some(Vec::new()),
        Latest(inputs) => inputs.iter().map(latest).collect(),
        Before => at.checked_sub(1).map(|before| vec![before]),
        Untold => None,
    }
}

/// The tensor that node `at` multiplies with and the index of what it multiplies, if it is shown. A
/// product without a name belongs to the scale or bias behind it.
pub fn multiplies(nodes: &[TracedNode], at: usize) -> Option<(String, Option<usize>)> {
    let node = NodeName::of(&nodes[at].key);
    let (named, part) = if (node.name, node.op) == ("node", "MUL_MAT") {
        let next = NodeName::of(&nodes.get(at + 1)?.key);
        let parts = next.operation(None)?.parts;
        (next, parts.iter().find(|part| part.weight.is_some())?)
    } else {
        (node, node.part()?)
    };
    let (layer, weight) = (named.layer?, part.weight?);
    let input = read(nodes, at, part.reads).and_then(|inputs| inputs.first().copied());
    Some((format!("blk.{layer}.{weight}.weight"), input))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_there_once_and_says_something() {
        for part in parts() {
            let same = parts().filter(|p| (p.name, p.op) == (part.name, part.op));
            assert_eq!(same.count(), 1, "{} {}", part.name, part.op);
            assert!(part.does.len() > 10, "{}", part.name);
        }
        assert!(NodeName::of("kq-0|ROPE#0").part().is_none());
    }

    #[test]
    fn a_key_is_taken_apart_as_the_engine_puts_it_together() {
        for (key, name, layer, op) in [
            ("Qcur-12 (reshaped)|RESHAPE#0", "Qcur", Some(12), "RESHAPE"),
            ("ffn_sqr(relu)-0|SQR#3", "ffn_sqr(relu)", Some(0), "SQR"),
            ("node_137|GET_ROWS#0", "node", None, "GET_ROWS"),
            ("inp_embd|GET_ROWS#0", "inp_embd", None, "GET_ROWS"),
        ] {
            assert_eq!(NodeName::of(key), NodeName { name, layer, op });
        }
    }

    #[test]
    fn a_product_without_a_name_is_that_of_the_scale_behind_it() {
        let node = |key: &str| TracedNode {
            key: key.into(),
            shape: Vec::new(),
            values: Vec::new(),
        };
        let keys = [
            "attn_norm-1|MUL#0",
            "node_9|MUL_MAT#0",
            "Kcur-1|MUL#0",
            "kq-1|MUL_MAT#0",
        ];
        let nodes = keys.map(node);
        let key_product = Some(("blk.1.attn_k.weight".to_owned(), Some(0)));
        assert_eq!(multiplies(&nodes, 1), key_product);
        assert_eq!(
            [0, 2, 3].map(|at| multiplies(&nodes, at)),
            [None, None, None]
        );
    }

    #[test]
    fn a_product_and_the_factor_behind_it_are_one_operation_under_any_name() {
        let behind = |before| {
            let found = NodeName::of("ffn_out-1|MUL#0").operation(Some(NodeName::of(before)));
            found.expect("known").name
        };
        assert_eq!(behind("ffn_up-1|MUL_MAT#0"), "gate times up");
        assert_eq!(behind("ffn_down-1|MUL_MAT#0"), "down product");
    }
}
