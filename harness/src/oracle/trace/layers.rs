//! The first layer that goes wrong, found by halving: a pass keeps the output of one layer only.
//!
//! Halving relies on an error that came in to stay in, which holds where layers add to what they
//! are given.

use serde::Serialize;

use crate::case::observation::TracedNode;
use crate::exit::{Exit, Failure};
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::local::Rung;
use crate::judge::tolerance::tolerances;
use crate::numbers::gap::Gap;
use crate::runner::passes::Passes;
use crate::runner::watch::Watch;

/// How the search went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Search {
    /// Layers there are.
    pub layers: usize,
    /// Layers looked at, in the order they were, and whether each was bad.
    pub probed: Vec<(usize, bool)>,
    /// The first bad one.
    pub first_bad: Option<usize>,
}

impl Search {
    /// What it comes to.
    pub fn outcome(&self) -> Outcome {
        if self.first_bad.is_some() {
            Outcome::Divergence
        } else {
            Outcome::Ok
        }
    }

    /// Passes it took: one for every layer looked at.
    pub fn passes(&self) -> usize {
        self.probed.len()
    }
}

/// Searches. `reference` yields what the reference has behind a layer, and is asked for the layers
/// looked at only.
pub fn search<'r>(
    mut reference: impl FnMut(&str) -> Option<&'r TracedNode>,
    passes: &mut Passes<'_>,
    rung: Rung,
) -> Result<Search, Failure> {
    let layers = passes.engine.model().config().block_count;
    let mut probed = Vec::new();
    let mut is_bad = |layer: usize| {
        let bad = probe(layer, &mut reference, passes, rung)?;
        probed.push((layer, bad));
        Ok::<bool, Failure>(bad)
    };
    // The answer lies in `good..bad`, the first layer not known to be good and one known bad.
    let last = layers.saturating_sub(1);
    let (mut good, mut bad) = (0, last);
    let found = is_bad(last)?;
    while found && good < bad {
        let middle = good + (bad - good) / 2;
        if is_bad(middle)? {
            bad = middle;
        } else {
            good = middle + 1;
        }
    }
    Ok(Search {
        layers,
        probed,
        first_bad: found.then_some(bad),
    })
}

fn probe<'r>(
    layer: usize,
    reference: &mut impl FnMut(&str) -> Option<&'r TracedNode>,
    passes: &mut Passes<'_>,
    rung: Rung,
) -> Result<bool, Failure> {
    let key = |ubatch| format!("l_out-{layer}|ADD#{ubatch}");
    let keys = (0..passes.portions()).map(key).collect();
    let pass = passes.pass(&Watch::these(keys))?;
    let lacks = |who: &str| {
        Failure::new(
            Exit::Incomplete,
            format!("{who} does not show what leaves layer {layer}"),
        )
    };
    if pass.nodes.is_empty() {
        return Err(lacks("the engine"));
    }
    let mut bad = false;
    for ours in &pass.nodes {
        let theirs = reference(&ours.key).filter(|t| t.is_shaped(&ours.shape));
        let theirs = theirs.ok_or_else(|| lacks("the reference"))?;
        let gap = Gap::between(&theirs.values, &ours.values);
        bad |= match rung {
            Rung::Bits => !gap.is_identical(),
            _ => gap
                .nmse
                .is_none_or(|nmse| nmse > tolerances().operation.layer_nmse),
        };
    }
    Ok(bad)
}
