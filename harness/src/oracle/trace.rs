//! Node by node: which operation is the first to compute something else, and how much of a node's
//! error it only inherited.
//!
//! The engine, or one that was brought, passes twice over the prompt. Free, its errors add up: a
//! node's **total** error. Fed, every node is overwritten with the reference's value as soon as it
//! was looked at, so that each operation is judged alone: its **local** error. What the free pass
//! has beyond the fed one is **inherited**. The first node with a local error beyond its rung is to
//! blame.
//!
//! Who cannot go on from other values passes once. In the reference's own arithmetic the first node
//! that differs is to blame, because all before it are equal; in another one, the first that
//! roundings do not explain though they explain all before it.

mod blame;
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
use crate::judge::detail::{self, RowDistance};
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::local::Rung;
use crate::numbers::gap::{Gap, coordinates, place};
use crate::runner::anatomy::NodeName;
use crate::runner::engine::Pass;
use crate::runner::passes::Passing;
use crate::runner::watch::{Values, Watch, by_key};
pub use blame::Blame;
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
    /// Fed pass against the reference: the operation alone, on the reference's inputs. None where
    /// nobody was fed.
    pub local: Option<Gap>,
    /// Free pass against fed pass: total minus local, element by element.
    pub inherited: Option<Gap>,
    /// The same total, position by position, where it differs and has a row for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowDistance>,
    /// Where its values are rounded next: the roundings that fell the other way.
    pub flips: Option<Flips>,
    /// The local error is within the rung.
    pub acceptable: bool,
}

/// Everything found about one prompt and one reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Located {
    /// Who the reference is.
    pub reference: Identity,
    /// Who was traced, unless it is the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub computed_by: Option<Identity>,
    /// The order of its float operations.
    pub profile: String,
    /// Tokens of the prompt.
    #[serde(skip)]
    pub tokens: usize,
    /// What a local error is held against.
    pub rung: Rung,
    /// Nodes both sides have, in execution order.
    pub nodes: Vec<NodeReport>,
    /// Nodes the reference has and those compared.
    pub coverage: Count,
    /// Nodes judged alone, of those compared.
    pub alone: Count,
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
    pub fed: Option<Pass>,
}

impl NodeReport {
    /// What it says of the operation: alone, where it was judged alone.
    pub fn own(&self) -> &Gap {
        self.local.as_ref().unwrap_or(&self.total)
    }

    /// Where an element lies, in words: its position in the prompt where the node has a row for
    /// each, and the row of the weights that made it where it is a product with them.
    pub fn place(&self, index: usize, tokens: usize) -> String {
        let at = coordinates(&self.shape, index);
        match (&at[..], &self.tensor) {
            ([row, column], tensor) if self.shape[0] == tokens => {
                let made = tensor.as_ref().filter(|_| self.key.contains("|MUL_MAT#"));
                let made = made.map(|tensor| format!(" (row {column} of {tensor})"));
                format!(
                    "position {row}, column {column}{}",
                    made.unwrap_or_default()
                )
            }
            _ => place(&self.shape, index),
        }
    }

    /// Whether the operation differs alone.
    pub fn differs_alone(&self) -> bool {
        self.local.as_ref().is_some_and(|gap| !gap.is_identical())
    }
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
        let total = self.nodes.iter().filter(|n| !n.total.is_identical());
        let local = self.nodes.iter().filter(|n| n.differs_alone());
        [total.count(), local.count()]
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
        let first = || self.nodes.iter().find(|n| n.differs_alone());
        nodes.find(blamed).or_else(first)
    }
}

/// Compares whoever passes with any observation that has nodes, of which there should be
/// `declared`. Of somebody else's engine no more is declared than it shows.
pub fn locate(
    reference: &Observation,
    declared: usize,
    passes: &mut dyn Passing,
) -> Result<Evidence, Failure> {
    let diverges = |message: String| Failure::new(Exit::Diverges, message);
    if reference.tokens != passes.tokens() {
        let message = "the token ids differ, so the nodes answer different questions";
        return Err(diverges(format!("{}: {message}", reference.identity)));
    }
    let mut theirs = once(&reference.trace, &reference.identity.to_string())?;
    let mut free = passes.pass(&Watch::every())?;
    if passes.guest().is_some() {
        // Files of nodes keep no order, and what comes after a fault only suffers from it.
        let place = |key: &str| reference.trace.iter().position(|n| n.key == key);
        free.nodes
            .sort_by_cached_key(|n| place(&n.key).unwrap_or(usize::MAX));
    }
    let who = passes
        .guest()
        .map_or("the engine".into(), Identity::to_string);
    let known = once(&free.nodes, &who)?;
    // What is not there in that shape cannot be replaced.
    theirs.retain(|key, node| known.get(key).is_some_and(|n| node.is_shaped(&n.shape)));
    if let Some(why) = control(passes, &free)? {
        return Err(diverges(why));
    }
    let fed = passes.replaces().then(|| Watch::replacing(theirs.clone()));
    let fed = fed.map(|watch| passes.pass(&watch)).transpose()?;
    let rung = Rung::between(&reference.identity.profile, passes.profile());
    let roundings = boundary::rounded(passes.model(), &free.nodes);
    let alone = fed.as_ref().map(|fed| by_key(&fed.nodes));
    let mut nodes = Vec::new();
    for (at, free) in free.nodes.iter().enumerate() {
        let Some(theirs) = theirs.get(&*free.key) else {
            continue;
        };
        let width = free.shape.last().copied().unwrap_or(1);
        let flips = |&rounding| Flips::between(rounding, width, &theirs.values, &free.values);
        let flips = roundings.get(&at).map(flips);
        let fed = alone.as_ref().and_then(|fed| fed.get(&*free.key).copied());
        let positions = reference.tokens.len();
        nodes.push(judge((theirs, free), fed, flips, rung, positions));
    }
    Ok(Evidence {
        located: located((reference, declared), &*passes, (&free, nodes), rung),
        fed,
    })
}

/// The report of nodes that were judged.
fn located(
    (reference, declared): (&Observation, usize),
    passes: &dyn Passing,
    (free, nodes): (&Pass, Vec<NodeReport>),
    rung: Rung,
) -> Located {
    let compared: BTreeSet<&str> = nodes.iter().map(|n| &*n.key).collect();
    let others = |all: &[TracedNode]| -> Vec<String> {
        let keys = all.iter().map(|n| &n.key);
        keys.filter(|k| !compared.contains(&***k))
            .cloned()
            .collect()
    };
    let (missing, unjudged) = (others(&reference.trace), others(&free.nodes));
    let shown = if passes.guest().is_some() {
        nodes.len().max(1)
    } else {
        declared.max(reference.trace.len())
    };
    Located {
        reference: reference.identity.clone(),
        computed_by: passes.guest().cloned(),
        profile: passes.profile().to_owned(),
        tokens: passes.tokens().len(),
        rung,
        coverage: Count {
            declared: shown,
            compared: nodes.len(),
        },
        alone: Count {
            declared: nodes.len(),
            compared: nodes.iter().filter(|n| n.local.is_some()).count(),
        },
        blamed: blame::first(&nodes, rung, passes.tokens().len()),
        missing,
        unjudged,
        nodes,
        logits: hash(free),
    }
}

/// Nodes by their keys, each of which is there once.
fn once<'n>(nodes: &'n [TracedNode], who: &str) -> Result<Values<'n>, Failure> {
    let by_key = by_key(nodes);
    if by_key.len() < nodes.len() {
        return Err(Failure::input(format!("{who} has a node twice")));
    }
    Ok(by_key)
}

/// Observing changes nothing, and being fed one's own values changes nothing: otherwise what
/// follows says nothing about the reference.
fn control(passes: &mut dyn Passing, free: &Pass) -> Result<Option<String>, Failure> {
    let unseen = hash(&passes.pass(&Watch::default())?);
    let seen = hash(free);
    if unseen != seen {
        let why = format!("observing changed the result: {unseen} became {seen}");
        return Ok(Some(why));
    }
    if !passes.replaces() {
        return Ok(None);
    }
    let own = passes.pass(&Watch::replacing(by_key(&free.nodes)))?;
    let who = passes
        .guest()
        .map_or("the engine".into(), Identity::to_string);
    let other = format!("{who} fed with its own values computed something else");
    Ok((hash(&own) != seen).then_some(other))
}

/// SHA-256 of the logits' bytes, or why there are none.
fn hash(pass: &Pass) -> String {
    let bytes = |v: &Vec<f32>| v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let logits = pass.logits.as_ref();
    logits.map_or_else(Clone::clone, |v| provenance::sha256(&bytes(v)))
}

fn judge(
    (theirs, free): (&TracedNode, &TracedNode),
    fed: Option<&TracedNode>,
    flips: Option<Flips>,
    rung: Rung,
    positions: usize,
) -> NodeReport {
    let node = NodeName::of(&free.key);
    let described = node.part().map(|part| part.does);
    let local = fed.map(|fed| Gap::between(&theirs.values, &fed.values));
    let total = Gap::between(&theirs.values, &free.values);
    let rows = if total.is_identical() {
        Vec::new()
    } else {
        detail::rows(theirs, free, positions)
    };
    NodeReport {
        key: free.key.clone(),
        does: described.unwrap_or("the table of nodes does not describe it"),
        tensor: node.tensor(),
        layer: node.layer,
        shape: free.shape.clone(),
        values: theirs.values.len(),
        total,
        rows,
        inherited: fed.map(|fed| Gap::between(&fed.values, &free.values)),
        flips: flips.filter(|f| f.flipped > 0),
        acceptable: local.as_ref().is_none_or(|local| acceptable(local, rung)),
        local,
    }
}

/// Equal numbers with other bits, the two zeros, have no size: where bits count, none is small
/// enough.
fn acceptable(local: &Gap, rung: Rung) -> bool {
    let small = || local.peak.is_some_and(|peak| peak <= rung.peak_max());
    local.is_identical() || (rung != Rung::Bits && small())
}
