//! What the keys say of rotary positions: how much of a head turns, and how angles are stretched.
#![forbid(unsafe_code)]

use super::architecture::Architecture;
use super::keys::Keys;
use crate::refusal::Refusal;

/// How angles are stretched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// What an angle is multiplied with: `1 / factor`, 1 where nothing is stretched.
    pub scale: f32,
    /// What sine and cosine are multiplied with, beside what YaRN makes of them.
    pub attention: f32,
    /// Positions of training, from which YaRN counts; none where all angles are stretched alike.
    pub trained: Option<u32>,
}

impl Stretch {
    /// Nothing is stretched.
    pub const NONE: Stretch = Stretch::by(1.0);

    /// Every angle alike.
    pub const fn by(scale: f32) -> Self {
        Stretch {
            scale,
            attention: 1.0,
            trained: None,
        }
    }
}

/// Elements of a head that turn.
pub(super) fn dimensions(
    keys: &Keys<'_>,
    architecture: Architecture,
    head_dim: u32,
) -> Result<u32, Refusal> {
    let key = "rope.dimension_count";
    let dimensions = keys.u32(key)?.unwrap_or(head_dim);
    if dimensions == 0 || dimensions % 2 != 0 || dimensions > head_dim {
        let rule = format!("an even number of 2..={head_dim}, the head dimension");
        return Err(keys.refuse(key, rule, dimensions));
    }
    if !architecture.facts().partial_rotation && dimensions != head_dim {
        let rule = format!("the head dimension {head_dim} for {}", architecture.name());
        return Err(keys.refuse(key, rule, dimensions));
    }
    Ok(dimensions)
}

/// What bitnet.cpp has as constants and other programs read from files.
const YARN: [(&str, f32); 4] = [
    ("rope.scaling.yarn_ext_factor", 1.0),
    ("rope.scaling.yarn_attn_factor", 1.0),
    ("rope.scaling.yarn_beta_fast", 32.0),
    ("rope.scaling.yarn_beta_slow", 1.0),
];

/// How angles are stretched.
pub(super) fn stretch(keys: &Keys<'_>, base: f32) -> Result<Stretch, Refusal> {
    let factor = match keys.positive("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => keys.positive("rope.scale_linear")?,
    };
    let scale = factor.map_or(1.0, |factor| 1.0 / factor);
    let stretch = match keys.metadata.string(&keys.name("rope.scaling.type"))? {
        Some("none") => Stretch::NONE,
        Some("linear") | None => Stretch::by(scale),
        Some("yarn") => {
            for (key, usual) in YARN {
                if let Some(other) = keys.finite(key)?.filter(|number| *number != usual) {
                    let rule = format!("{usual}, nothing else is supported");
                    return Err(keys.refuse(key, rule, other));
                }
            }
            if base <= 1.0 {
                return Err(keys.refuse("rope.freq_base", "above 1 for yarn", base));
            }
            let key = "rope.scaling.original_context_length";
            let trained = match keys.u32(key)? {
                Some(0) => return Err(keys.refuse(key, "at least 1", 0)),
                Some(trained) => trained,
                None => keys.at_least_one("context_length")?,
            };
            Stretch {
                trained: Some(trained),
                ..Stretch::by(scale)
            }
        }
        Some(other) => return Err(keys.refuse("rope.scaling.type", "none, linear or yarn", other)),
    };
    Ok(Stretch {
        attention: keys.finite("rope.scaling.attn_factor")?.unwrap_or(1.0),
        ..stretch
    })
}
