//! The modules of a pass: runs of operations with one output each, which together are all of it.
//!
//! Nothing leaves a module but its output, so a pass whose outputs are overwritten computes every
//! module on somebody else's values and on nothing of its own.

use serde::Serialize;

use crate::runner::anatomy::NodeName;

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

/// The modules of a pass with nodes of these keys. A module whose output `is_shown` does not know
/// is one with the next: nobody can say what it makes alone.
pub fn modules(
    keys: &[String],
    depth: Depth,
    is_shown: impl Fn(&str) -> bool,
) -> Result<Vec<Module>, String> {
    let mut modules: Vec<Module> = Vec::new();
    let mut waiting: Vec<String> = Vec::new();
    let mut named = named(keys, depth)?.into_iter().peekable();
    while let Some((name, key)) = named.next() {
        if named.peek().is_some_and(|(next, _)| *next == name) {
            continue;
        }
        waiting.push(name);
        if is_shown(key) {
            let name = std::mem::take(&mut waiting).join(" + ");
            let output = key.to_owned();
            modules.push(Module { name, output });
        }
    }
    if waiting.is_empty() {
        return Ok(modules);
    }
    let waiting = waiting.join(", ");
    Err(format!(
        "the reference does not show what leaves the {waiting}"
    ))
}

/// Every node that is not part of the next one, with the name of its module.
fn named(keys: &[String], depth: Depth) -> Result<Vec<(String, &str)>, String> {
    let mut named = Vec::new();
    let mut before = None;
    for key in keys {
        let node = NodeName::of(key);
        if !node.is_followed() {
            let operation = node.operation(before);
            let unknown = || format!("the table of nodes does not know {key}");
            let operation = operation.ok_or_else(unknown)?;
            let name = match depth {
                Depth::Block => operation.block,
                Depth::Op => operation.name,
            };
            let name = match node.layer {
                Some(layer) => format!("layer {layer} {name}"),
                None => name.to_owned(),
            };
            named.push((name, &**key));
        }
        before = Some(node);
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_the_table_does_not_know_is_refused_by_name() {
        let attic = "attic-0|MUL#0".to_owned();
        let refused = modules(&[attic], Depth::Op, |_| true).expect_err("unknown");
        assert!(refused.contains("attic-0|MUL#0"), "{refused}");
    }
}
