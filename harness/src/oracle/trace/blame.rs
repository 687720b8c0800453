//! The operation that is wrong: the first in execution order.

use serde::Serialize;

use super::NodeReport;
use crate::judge::demand::first_made;
use crate::judge::tolerance::local::Rung;

/// The operation that is wrong, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Blame {
    /// The node.
    pub key: String,
    /// A sentence.
    pub because: String,
}

/// The first in execution order: what comes after it may only suffer from it.
pub fn first(nodes: &[NodeReport], rung: Rung, tokens: usize) -> Option<Blame> {
    let far = if rung == Rung::Unmeasured || nodes.iter().any(|node| node.local.is_none()) {
        blame_by_distance(nodes, rung, tokens)
    } else {
        None
    };
    let alone = |node: &NodeReport| {
        let because = wrong(node, rung, tokens).or_else(|| moved_too_far(node, tokens))?;
        let key = node.key.clone();
        Some(Blame { key, because })
    };
    far.or_else(|| nodes.iter().filter(|n| n.local.is_some()).find_map(alone))
}

/// The same where nobody was fed, or nobody knows how far roundings lead.
fn blame_by_distance(nodes: &[NodeReport], rung: Rung, tokens: usize) -> Option<Blame> {
    if rung != Rung::Bits {
        let node = &nodes[first_made(nodes.iter().map(|n| n.own().nmse))?];
        let because = apart(node, tokens)? + ", and roundings explain every node before it";
        let key = node.key.clone();
        return Some(Blame { key, because });
    }
    let node = nodes.iter().find(|node| !node.total.is_identical())?;
    let because = apart(node, tokens)? + ", and every node before it is equal";
    Some(Blame {
        key: node.key.clone(),
        because,
    })
}

fn wrong(node: &NodeReport, rung: Rung, tokens: usize) -> Option<String> {
    let apart = apart(node, tokens).filter(|_| !node.acceptable)?;
    let name = rung.name();
    Some(format!(
        "on the reference's own inputs {apart}, beyond the rung {name}"
    ))
}

/// The first element that differs, its place and both values.
fn apart(node: &NodeReport, tokens: usize) -> Option<String> {
    let gap = node.own();
    let first = gap.first?;
    let [theirs, ours] = first.values();
    let at = node.place(first.index, tokens);
    let factor = gap
        .ratio
        .map(|ratio| format!(", every value times {ratio:.6}"));
    let factor = factor.unwrap_or_default();
    Some(format!(
        "it gives {ours:e} where the reference has {theirs:e} at {at}{factor}"
    ))
}

fn moved_too_far(node: &NodeReport, tokens: usize) -> Option<String> {
    let flip = node.flips.as_ref()?.first_illegal()?;
    let [theirs, ours] = flip.before;
    Some(format!(
        "{} moved from {theirs} to {ours} across a rounding boundary, and the rest of its row \
         explains {:e} only",
        node.place(flip.index, tokens),
        flip.allowed
    ))
}
