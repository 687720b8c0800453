//! Node by node: which operation is the first to compute something else, and how much of a node's
//! error it only inherited.
//!
//! The engine passes twice over the prompt. Free, its errors add up: a node's **total** error. Fed,
//! every node is overwritten with the reference's value as soon as it was looked at, so that each
//! operation is judged alone: its **local** error. What the free pass has beyond the fed one is
//! **inherited**. The first node with a local error beyond its rung is to blame.

pub mod boundary;
pub mod bundle;
pub mod layers;
pub mod table;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::case::coverage::Count;
use crate::case::observation::{Identity, Observation, TracedNode};
use crate::exit::{Exit, Failure};
use crate::file::provenance;
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::local::Rung;
use crate::numbers::gap::{Gap, place};
use crate::runner::anatomy::NodeName;
use crate::runner::engine::Pass;
use crate::runner::passes::Passes;
use crate::runner::watch::{Watch, by_key};
use boundary::Flips;

/// One node, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeReport {
    /// `name-layer|OP#occurrence`.
    pub key: String,
    /// What it does.
    pub does: &'static str,
    /// The tensor it multiplies with, if it does.
    pub tensor: Option<String>,
    /// The layer, if it belongs to one.
    pub layer: Option<usize>,
    /// Outermost first.
    pub shape: Vec<usize>,
    /// Number of elements.
    pub values: usize,
    /// Free pass against the reference.
    pub total: Gap,
    /// Fed pass against the reference: the operation alone, on the reference's inputs.
    pub local: Gap,
    /// Free pass against fed pass: total minus local, element by element.
    pub inherited: Gap,
    /// Where its values are rounded next: the roundings that fell the other way.
    pub flips: Option<Flips>,
    /// The local error is within the rung.
    pub acceptable: bool,
}

/// The operation that is wrong, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Blame {
    /// The node.
    pub key: String,
    /// A sentence.
    pub because: String,
}

/// Everything found about one prompt and one reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Located {
    /// Who the reference is.
    pub reference: Identity,
    /// The order of the engine's float operations.
    pub profile: &'static str,
    /// What a local error is held against.
    pub rung: Rung,
    /// Nodes both sides have, in execution order.
    pub nodes: Vec<NodeReport>,
    /// Nodes the reference has and those compared.
    pub coverage: Count,
    /// Nodes of the reference the engine lacks or has in another shape.
    pub missing: Vec<String>,
    /// Nodes of the engine the reference lacks: they are judged together with what reads them.
    pub unjudged: Vec<String>,
    /// The first operation that is wrong.
    pub blamed: Option<Blame>,
    /// SHA-256 of the engine's logits, the same observed and unobserved.
    pub logits: String,
}

/// What a bundle needs beyond the report.
pub struct Evidence {
    /// The report.
    pub located: Located,
    /// The fed pass: what each operation makes of the reference's inputs.
    pub fed: Pass,
}

impl Located {
    /// What it comes to.
    pub fn outcome(&self) -> Outcome {
        if self.blamed.is_some() {
            Outcome::Divergence
        } else if self.coverage.is_complete() {
            Outcome::Ok
        } else {
            Outcome::Incomplete
        }
    }

    /// Nodes whose bits differ in the free pass, and in the fed one.
    pub fn differing(&self) -> [usize; 2] {
        let count = |gap: fn(&NodeReport) -> &Gap| {
            let differing = self.nodes.iter().filter(|n| !gap(n).is_identical());
            differing.count()
        };
        [count(|n| &n.total), count(|n| &n.local)]
    }

    /// Roundings that fell the other way: certified ones, and all.
    pub fn flips(&self) -> [usize; 2] {
        let flips = || self.nodes.iter().filter_map(|n| n.flips.as_ref());
        [
            flips().map(|f| f.legal).sum(),
            flips().map(|f| f.flipped).sum(),
        ]
    }

    /// The node a bundle is about: the blamed one, else the first that differs on its own.
    pub fn suspect(&self) -> Option<&NodeReport> {
        let blamed = |n: &&NodeReport| self.blamed.as_ref().is_some_and(|b| b.key == n.key);
        let mut nodes = self.nodes.iter();
        let first = || self.nodes.iter().find(|n| !n.local.is_identical());
        nodes.find(blamed).or_else(first)
    }
}

/// Compares the engine with any observation that has nodes, of which there should be `declared`.
pub fn locate(
    reference: &Observation,
    declared: usize,
    passes: &mut Passes<'_>,
) -> Result<Evidence, Failure> {
    let diverges = |message: String| Failure::new(Exit::Diverges, message);
    if reference.tokens != passes.tokens() {
        let message = "the token ids differ, so the nodes answer different questions";
        return Err(diverges(format!("{}: {message}", reference.identity)));
    }
    let theirs = by_key(&reference.trace);
    if theirs.len() < reference.trace.len() {
        let message = format!("{} has a node twice", reference.identity);
        return Err(Failure::input(message));
    }
    let free = passes.free()?;
    if let Some(why) = control(passes, &free)? {
        return Err(diverges(why));
    }
    let fed = passes.fed(theirs.clone())?;
    let profile = passes.engine.profile().name();
    let rung = Rung::between(&reference.identity.profile, profile);
    let roundings = boundary::rounded(passes.engine.model(), &free.nodes);

    let mut nodes = Vec::new();
    let mut unjudged = Vec::new();
    for (at, (free, fed)) in free.nodes.iter().zip(&fed.nodes).enumerate() {
        match theirs.get(&*free.key).filter(|t| t.is_shaped(&free.shape)) {
            None => unjudged.push(free.key.clone()),
            Some(theirs) => {
                let width = free.shape.last().copied().unwrap_or(1);
                let flips = roundings
                    .get(&at)
                    .map(|&rounding| Flips::between(rounding, width, &theirs.values, &free.values));
                nodes.push(judge(theirs, free, fed, flips, rung));
            }
        }
    }
    let compared: BTreeSet<&str> = nodes.iter().map(|n| &*n.key).collect();
    let keys = reference.trace.iter().map(|n| &n.key);
    let missing: Vec<_> = keys
        .filter(|k| !compared.contains(&***k))
        .cloned()
        .collect();
    let located = Located {
        reference: reference.identity.clone(),
        profile,
        rung,
        coverage: Count {
            declared: declared.max(reference.trace.len()),
            compared: nodes.len(),
        },
        blamed: blame(&nodes, rung),
        missing,
        unjudged,
        nodes,
        logits: hash(&free),
    };
    Ok(Evidence { located, fed })
}

/// Observing changes nothing, and being fed one's own values changes nothing: otherwise what
/// follows says nothing about the reference.
fn control(passes: &mut Passes<'_>, free: &Pass) -> Result<Option<String>, Failure> {
    let unseen = hash(&passes.pass(&Watch::default())?);
    let seen = hash(free);
    if unseen != seen {
        let why = format!("observing changed the result: {unseen} became {seen}");
        return Ok(Some(why));
    }
    let own = passes.fed(by_key(&free.nodes))?;
    let other = "the engine fed with its own values computed something else";
    Ok((hash(&own) != seen).then(|| other.into()))
}

/// SHA-256 of the logits' bytes, or why there are none.
fn hash(pass: &Pass) -> String {
    let bytes = |v: &Vec<f32>| v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let logits = pass.logits.as_ref();
    logits.map_or_else(Clone::clone, |v| provenance::sha256(&bytes(v)))
}

fn judge(
    theirs: &TracedNode,
    free: &TracedNode,
    fed: &TracedNode,
    flips: Option<Flips>,
    rung: Rung,
) -> NodeReport {
    let node = NodeName::of(&free.key);
    let described = node.part().map(|part| part.does);
    let local = Gap::between(&theirs.values, &fed.values);
    NodeReport {
        key: free.key.clone(),
        does: described.unwrap_or("the table of nodes does not describe it"),
        tensor: node.tensor(),
        layer: node.layer,
        shape: free.shape.clone(),
        values: theirs.values.len(),
        total: Gap::between(&theirs.values, &free.values),
        inherited: Gap::between(&fed.values, &free.values),
        flips: flips.filter(|f| f.flipped > 0),
        acceptable: acceptable(&local, rung),
        local,
    }
}

/// Equal numbers with other bits, the two zeros, have no size: where bits count, none is small
/// enough.
fn acceptable(local: &Gap, rung: Rung) -> bool {
    let small = || local.peak.is_some_and(|peak| peak <= rung.peak_max());
    local.is_identical() || (rung != Rung::Bits && small())
}

/// The first in execution order: what comes after it may only suffer from it.
fn blame(nodes: &[NodeReport], rung: Rung) -> Option<Blame> {
    nodes.iter().find_map(|node| {
        let because = wrong(node, rung).or_else(|| moved_too_far(node))?;
        let key = node.key.clone();
        Some(Blame { key, because })
    })
}

fn wrong(node: &NodeReport, rung: Rung) -> Option<String> {
    let first = node.local.first.filter(|_| !node.acceptable)?;
    let [theirs, ours] = first.values();
    let (at, name) = (place(&node.shape, first.index), rung.name());
    Some(format!(
        "on the reference's own inputs it gives {ours:e} where the reference has {theirs:e} at \
         {at}, beyond the rung {name}"
    ))
}

fn moved_too_far(node: &NodeReport) -> Option<String> {
    let flip = node.flips.as_ref()?.first_illegal()?;
    let [theirs, ours] = flip.before;
    Some(format!(
        "{} moved from {theirs} to {ours} across a rounding boundary, and the rest of its row \
         explains {:e} only",
        place(&node.shape, flip.index),
        flip.allowed
    ))
}
