//! Factors that cancel, and a layer that adds nothing.
#![forbid(unsafe_code)]

use engine::config::Activation;
use engine::gguf::writer::Field;

use super::plan::{Layer, NotApplicable, Plan, Rewrite, Subject};
use crate::file::document::{Document, Uneditable};

/// The gate twice as large, the other factor a quarter: a squared gate cancels that exactly, any
/// other activation must not.
pub(super) fn gate(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    let double = |document: &mut Document| multiply(subject, document, "ffn_gate", 2.0);
    let quarter = |document: &mut Document| multiply(subject, document, "ffn_up", 0.25);
    let both = Rewrite::of(subject.with(&[&double, &quarter])?);
    match subject.config.activation {
        Activation::SquaredRelu => {
            // A norm behind the gate hides every factor but a sign.
            let turn = |document: &mut Document| {
                subject.in_layers(document, |document, layer| {
                    layer.negate_outputs(document, "ffn_gate", &|_| true)
                })
            };
            Ok(Plan {
                edited: Ok(both),
                against: None,
                control: Rewrite::of(subject.with(&[&double, &turn, &quarter])?),
            })
        }
        Activation::Silu => Ok(Plan {
            edited: Err("the activation is SiLU, under which this edit must show".into()),
            against: None,
            control: both,
        }),
    }
}

/// A last layer whose two outputs are zero, measured against the file without that layer.
pub(super) fn last_layer(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    let Some(rest) = subject.config.block_count.checked_sub(1).filter(|&n| n > 0) else {
        return Err(NotApplicable(
            "without its only layer there is no model".into(),
        ));
    };
    let last = Layer(rest);
    let half = subject.with(&[&|document| last.clear(document, "attn_output")])?;
    let mut whole = half.clone();
    last.clear(&mut whole, "ffn_down")?;
    let mut without = subject.document.clone();
    let prefix = format!("blk.{rest}.");
    without.retain(|name| !name.starts_with(&prefix));
    let key = format!("{}.block_count", subject.config.architecture.name());
    without.set(&key, Field::U32(rest as u32));
    Ok(Plan {
        edited: Ok(Rewrite::of(whole)),
        against: Some(without),
        control: Rewrite::of(half),
    })
}

fn multiply(
    subject: Subject<'_>,
    document: &mut Document,
    part: &str,
    factor: f32,
) -> Result<(), Uneditable> {
    subject.in_layers(document, |document, layer| {
        let bias = format!("blk.{}.{part}.bias", layer.0);
        if document.tensor(&bias).is_some() {
            document.edit(&bias, |grid| grid.multiply(factor))?;
        }
        document.edit(&layer.weight(part), |grid| grid.multiply(factor))
    })
}
