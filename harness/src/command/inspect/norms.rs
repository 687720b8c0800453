//! The norm statistics of a file and the gate's verdict on them.

use engine::gguf::Gguf;
use serde::Serialize;

use super::{Args, Gate};
use crate::exit::Failure;
use crate::file::norm_gate::{Judged, Kind, Ruleset, measure};

/// What was measured and what is wrong with it.
#[derive(Serialize)]
pub struct Norms {
    /// Name of the rules; `None` where nothing was judged.
    pub ruleset: Option<String>,
    /// Norms: how many there are and how many are out of range.
    pub layernorm: Count,
    /// Linear weights in plain floats, likewise.
    pub projection: Count,
    /// Packed linear weights, which have no statistics.
    pub packed_projections: usize,
    /// Every tensor measured, in file order.
    pub tensors: Vec<Judged>,
}

/// How many of how many.
#[derive(Serialize)]
pub struct Count {
    /// All of them.
    pub total: usize,
    /// Those out of range.
    pub suspicious: usize,
}

impl Norms {
    /// Measures and, unless the gate is `none`, judges.
    pub(super) fn of(gguf: &Gguf, args: &Args) -> Result<Self, Failure> {
        let rules = match (args.gate, &args.policy) {
            (Some(Gate::None), _) => None,
            (_, None) => Some(automatic(gguf)?),
            (_, Some(file)) => Some(Ruleset::from_policy(file, args.policy_key.as_deref())?),
        };
        let (statistics, packed_projections) = measure(gguf)?;
        let judge = |statistic| match &rules {
            Some(rules) => rules.judge(statistic),
            None => Judged {
                statistic,
                range: None,
                suspicious: false,
            },
        };
        let tensors: Vec<Judged> = statistics.into_iter().map(judge).collect();
        let count = |kind| Count {
            total: of_kind(&tensors, kind).count(),
            suspicious: of_kind(&tensors, kind).filter(|t| t.suspicious).count(),
        };
        Ok(Norms {
            ruleset: rules.map(|rules| rules.name),
            layernorm: count(Kind::Norm),
            projection: count(Kind::Projection),
            packed_projections,
            tensors,
        })
    }

    /// Whether anything is out of range.
    pub fn suspicious(&self) -> bool {
        self.layernorm.suspicious + self.projection.suspicious > 0
    }
}

fn of_kind(tensors: &[Judged], kind: Kind) -> impl Iterator<Item = &Judged> {
    tensors.iter().filter(move |t| t.statistic.kind == kind)
}

fn automatic(gguf: &Gguf) -> Result<Ruleset, Failure> {
    let architecture = gguf.metadata.string("general.architecture")?;
    let file_type = gguf.metadata.u32("general.file_type")?;
    Ok(Ruleset::auto(architecture.unwrap_or_default(), file_type))
}
