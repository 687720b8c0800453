//! The modules of a pass: runs of operations with one output each, which together are all of it.
//!
//! Nothing leaves a module but its output, so a pass whose outputs are overwritten computes every
//! module on somebody else's values and on nothing of its own.
#![forbid(unsafe_code)]

use engine::transformer::probe::{Node, Place};
use serde::Serialize;

/// How large a module is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// The attention and the feed-forward block of every layer, the sum they end in included.
    Block,
    /// A norm, a product, a rotation, a softmax.
    Op,
}

/// A module of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Module {
    /// For a person, as in `layer 2 attention`.
    pub name: String,
    /// The node that leaves it.
    pub output: String,
}

const EMBEDDING: &str = "embedding";
const ATTENTION: &str = "attention";
const FEED_FORWARD: &str = "feed-forward";
const FINAL_NORM: &str = "final norm";
const HEAD: &str = "head";

/// An operation: its name, the block it belongs to, and its nodes. Nodes without a name of their
/// own, and what a norm is before its weights, belong to what follows them.
struct Operation {
    name: &'static str,
    block: &'static str,
    nodes: &'static [&'static str],
}

const fn op(block: &'static str, name: &'static str, nodes: &'static [&'static str]) -> Operation {
    Operation { name, block, nodes }
}

/// Every operation there is, in the order of a pass.
#[rustfmt::skip] // a table: a line a row
const OPERATIONS: [Operation; 22] = [
    op(EMBEDDING, EMBEDDING, &["inp_embd|GET_ROWS"]),
    op(ATTENTION, "attention norm", &["attn_norm|MUL"]),
    op(ATTENTION, "query product", &["Qcur|MUL_MAT", "Qcur|MUL", "Qcur|ADD"]),
    op(ATTENTION, "query rope", &["Qcur|RESHAPE", "Qcur|ROPE"]),
    op(ATTENTION, "key product", &["Kcur|MUL_MAT", "Kcur|MUL", "Kcur|ADD"]),
    op(ATTENTION, "key rope", &["Kcur|RESHAPE", "Kcur|ROPE"]),
    op(ATTENTION, "value product", &["Vcur|MUL_MAT", "Vcur|MUL", "Vcur|ADD"]),
    op(ATTENTION, "scores", &["kq|MUL_MAT"]),
    op(ATTENTION, "softmax", &["kq_soft_max_ext|SOFT_MAX"]),
    op(ATTENTION, "value mix", &["kqv|MUL_MAT", "kqv_out|CONT", "kqv_merged_cont|CONT"]),
    op(ATTENTION, "attention sub-norm", &["attn_sub_norm|MUL"]),
    op(ATTENTION, "output product",
       &["attn_o_out|MUL_MAT", "attn_o_out|MUL", "attn_o_out|ADD", "kqv_wo|MUL_MAT",
         "kqv_out|MUL_MAT", "kqv_out|MUL", "kqv_out|ADD"]),
    op(ATTENTION, "attention sum", &["ffn_inp|ADD"]),
    op(FEED_FORWARD, "feed-forward norm", &["ffn_norm|MUL"]),
    op(FEED_FORWARD, "gate product", &["ffn_gate|MUL_MAT", "ffn_gate_s|MUL", "ffn_gate_b|ADD"]),
    op(FEED_FORWARD, "activation", &["ffn_silu|UNARY", "ffn_relu|UNARY", "ffn_sqr(relu)|SQR"]),
    op(FEED_FORWARD, "up product", &["ffn_up|MUL_MAT", "ffn_up_s|MUL", "ffn_up_b|ADD"]),
    op(FEED_FORWARD, "gate times up", &["ffn_sub_out|MUL", "ffn_gate_par|MUL", "ffn_out|MUL"]),
    op(FEED_FORWARD, "feed-forward sub-norm", &["ffn_sub_norm|MUL"]),
    op(FEED_FORWARD, "down product",
       &["ffn_down|MUL_MAT", "ffn_down|MUL", "ffn_down|ADD", "ffn_out|MUL_MAT", "ffn_out|ADD"]),
    op(FEED_FORWARD, "feed-forward sum", &["l_out|ADD"]),
    op(FINAL_NORM, FINAL_NORM, &["result_norm|MUL"]),
];

/// The modules of a pass with these nodes. A module whose output `is_shown` does not know is one
/// with the next: nobody can say what it makes alone.
pub fn modules(
    nodes: &[Node],
    depth: Depth,
    is_shown: impl Fn(&str) -> bool,
) -> Result<Vec<Module>, String> {
    let mut modules: Vec<Module> = Vec::new();
    let mut waiting: Vec<String> = Vec::new();
    let mut named = named(nodes, depth)?.into_iter().peekable();
    while let Some((name, node)) = named.next() {
        if named.peek().is_some_and(|(next, _)| *next == name) {
            continue;
        }
        waiting.push(name);
        let output = node.to_string();
        if is_shown(&output) {
            let name = std::mem::take(&mut waiting).join(" + ");
            modules.push(Module { name, output });
        }
    }
    match waiting.is_empty() {
        true => Ok(modules),
        false => Err(format!(
            "the reference does not show what leaves the {}",
            waiting.join(", ")
        )),
    }
}

/// Every node that is not part of the next one, with the name of its module.
fn named(nodes: &[Node], depth: Depth) -> Result<Vec<(String, Node)>, String> {
    let mut named = Vec::new();
    let mut before = None;
    for node in nodes {
        if !["norm", "node"].contains(&node.name) {
            let operation = operation(*node, before);
            let unknown = || format!("the table of modules does not know {node}");
            let (block, name) = operation.ok_or_else(unknown)?;
            let name = match depth {
                Depth::Block => block,
                Depth::Op => name,
            };
            named.push((
                match node.place {
                    Place::Layer(layer) => format!("layer {layer} {name}"),
                    Place::Model | Place::Number(_) => name.to_owned(),
                },
                *node,
            ));
        }
        before = Some(*node);
    }
    Ok(named)
}

/// Block and name of the operation a node belongs to.
fn operation(node: Node, before: Option<Node>) -> Option<(&'static str, &'static str)> {
    if node.name == "result_output" {
        return Some((HEAD, HEAD));
    }
    // One name for two things: behind `ffn_down` it is that product's scale.
    let scaled = node.name == "ffn_out" && before.is_some_and(|b| b.name == "ffn_down");
    let key = match scaled {
        true => "ffn_down|MUL".into(),
        false => format!("{}|{}", node.name, node.op),
    };
    let found = OPERATIONS.iter().find(|o| o.nodes.contains(&&*key))?;
    Some((found.block, found.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &'static str, op: &'static str, place: Place) -> Node {
        Node {
            name,
            suffix: "",
            place,
            op,
            occurrence: 0,
        }
    }

    #[test]
    fn every_node_the_anatomy_describes_has_a_module() {
        use crate::runner::anatomy::{ENDS, PARTS};
        let layer = Place::Layer(0);
        for part in PARTS.iter().chain(&ENDS) {
            let node = node(part.name, part.op, layer);
            let follows = ["norm", "node"].contains(&part.name);
            assert_eq!(operation(node, None).is_none(), follows, "{node}");
        }
        assert!(modules(&[node("attic", "MUL", layer)], Depth::Op, |_| true).is_err());
    }

    #[test]
    fn what_the_reference_does_not_show_is_joined_to_what_follows() {
        let nodes = [
            node("inp_embd", "GET_ROWS", Place::Model),
            node("norm", "RMS_NORM", Place::Layer(0)),
            node("attn_norm", "MUL", Place::Layer(0)),
            node("Qcur", "MUL_MAT", Place::Layer(0)),
            node("Qcur", "ROPE", Place::Layer(0)),
        ];
        let of = |depth, hidden: &'static str| {
            let found = modules(&nodes, depth, move |key| !key.starts_with(hidden));
            let join = |m: Module| format!("{} -> {}", m.name, m.output);
            found.map(|all| all.into_iter().map(join).collect::<Vec<_>>())
        };
        let all = of(Depth::Op, "nothing").expect("shown");
        assert_eq!(all.len(), 4);
        assert_eq!(all[1], "layer 0 attention norm -> attn_norm-0|MUL#0");
        let joined = of(Depth::Op, "attn_norm").expect("shown");
        assert_eq!(
            joined[1],
            "layer 0 attention norm + layer 0 query product -> Qcur-0|MUL_MAT#0"
        );
        assert_eq!(of(Depth::Block, "nothing").expect("shown").len(), 2);
        assert!(
            of(Depth::Block, "Qcur")
                .expect_err("hidden")
                .contains("layer 0 attention")
        );
    }

    #[test]
    fn a_product_and_the_factor_behind_it_are_one_module_under_any_name() {
        let layer = Place::Layer(1);
        let gated = node("ffn_out", "MUL", layer);
        let down = node("ffn_down", "MUL_MAT", layer);
        let up = node("ffn_up", "MUL_MAT", layer);
        assert_eq!(
            operation(gated, Some(up)).expect("known").1,
            "gate times up"
        );
        assert_eq!(
            operation(gated, Some(down)).expect("known").1,
            "down product"
        );
    }
}
