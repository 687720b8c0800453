//! Signs that cancel: what one matrix negates, the next one negates back.
#![forbid(unsafe_code)]

use super::plan::{NotApplicable, Plan, Subject, dice};
use crate::file::document::{Document, Uneditable};

/// Half of the neurons turned round: rows of `ffn_up`, columns of `ffn_down`.
pub(super) fn neurons(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    let mut dice = dice();
    let chosen: Vec<bool> = (0..subject.config.feed_forward_length)
        .map(|_| dice.once_in(2))
        .collect();
    let wanted = |neuron: usize| chosen[neuron];
    subject.require_mirrored("ffn_up")?;
    subject.require_mirrored("ffn_down")?;
    subject.two_sided(
        &|document| {
            subject.in_layers(document, |document, layer| {
                layer.negate_outputs(document, "ffn_up", &wanted)
            })
        },
        &|document| {
            subject.in_layers(document, |document, layer| {
                document.edit(&layer.weight("ffn_down"), |grid| grid.negate_cols(wanted))
            })
        },
    )
}

/// All values turned round, and what reads them.
pub(super) fn values(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    subject.require_mirrored("attn_v")?;
    subject.require_mirrored("attn_output")?;
    subject.two_sided(&|document| turn(subject, document, "attn_v"), &|document| {
        // The bias of the output is added after what is negated twice.
        subject.in_layers(document, |document, layer| {
            document.edit(&layer.weight("attn_output"), |grid| {
                grid.negate_rows(|_| true)
            })
        })
    })
}

/// Queries and keys turned round: their products stay.
pub(super) fn queries_and_keys(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    subject.require_mirrored("attn_q")?;
    subject.require_mirrored("attn_k")?;
    subject.two_sided(&|document| turn(subject, document, "attn_q"), &|document| {
        turn(subject, document, "attn_k")
    })
}

fn turn(subject: Subject<'_>, document: &mut Document, part: &str) -> Result<(), Uneditable> {
    subject.in_layers(document, |document, layer| {
        layer.negate_outputs(document, part, &|_| true)
    })
}
