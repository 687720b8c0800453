//! Things that change places together with everything that refers to them.
#![forbid(unsafe_code)]

use super::plan::{NotApplicable, Plan, Rewrite, Subject, dice, swapped};
use crate::file::document::{Document, Uneditable};

/// Neurons: rows of `ffn_gate` and `ffn_up`, the gains of the norm behind them, columns of
/// `ffn_down`.
pub(super) fn neurons(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    let order = dice().order(subject.config.feed_forward_length);
    subject.require_orderless("ffn_down")?;
    subject.two_sided(
        &|document| {
            subject.in_layers(document, |document, layer| {
                layer.permute_outputs(document, "ffn_gate", &order)?;
                layer.permute_outputs(document, "ffn_up", &order)?;
                layer.permute_norm(document, "ffn_sub_norm", &order)
            })
        },
        &|document| {
            subject.in_layers(document, |document, layer| {
                layer.permute_inputs(document, "ffn_down", &order)
            })
        },
    )
}

/// Tokens: rows of the embedding and of the head, the ids of the prompt, and the logits.
pub(super) fn vocabulary(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    let order = dice().order(subject.config.vocab_size);
    let mut names = vec![0; order.len()];
    for (new, &old) in order.iter().enumerate() {
        names[old] = new;
    }
    let document = subject.with(&[&|document| {
        document.permute_rows("token_embd.weight", &order)?;
        match document.tensor("output.weight").is_some() {
            true => document.permute_rows("output.weight", &order),
            false => Ok(()),
        }
    }])?;
    let renamed = Rewrite {
        document,
        columns: Some(order),
        tokens: Some(names),
    };
    let control = Rewrite {
        tokens: None,
        ..renamed.clone()
    };
    Ok(Plan {
        edited: Ok(renamed),
        against: None,
        control,
    })
}

/// Two query heads that read the same keys: rows of `attn_q`, columns of `attn_output`.
pub(super) fn query_heads(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    let config = subject.config;
    if config.head_count == config.head_count_kv {
        let why = "each key head is read by one query head, so there are no two to swap";
        return Err(NotApplicable(why.into()));
    }
    subject.require_orderless("attn_output")?;
    let order = swapped(config.head_count * config.head_dim, config.head_dim, 0, 1);
    subject.two_sided(
        &|document| queries(subject, document, &order),
        &|document| readers(subject, document, &order),
    )
}

/// Two key heads with all that read them: rows of `attn_q`, `attn_k` and `attn_v`, columns of
/// `attn_output`.
pub(super) fn key_heads(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    let config = subject.config;
    if config.head_count_kv == 1 {
        return Err(NotApplicable("there is one key head only".into()));
    }
    subject.require_orderless("attn_output")?;
    let last = config.head_count_kv - 1;
    let wide = config.head_count * config.head_dim;
    let keys = swapped(
        config.head_count_kv * config.head_dim,
        config.head_dim,
        0,
        last,
    );
    let order = swapped(wide, wide / config.head_count_kv, 0, last);
    subject.two_sided(
        &|document| queries(subject, document, &order),
        &|document| {
            readers(subject, document, &order)?;
            subject.in_layers(document, |document, layer| {
                layer.permute_outputs(document, "attn_k", &keys)?;
                layer.permute_outputs(document, "attn_v", &keys)
            })
        },
    )
}

fn queries(
    subject: Subject<'_>,
    document: &mut Document,
    order: &[usize],
) -> Result<(), Uneditable> {
    subject.in_layers(document, |document, layer| {
        layer.permute_outputs(document, "attn_q", order)
    })
}

/// What reads the heads: the gains of the norm behind them and the columns of `attn_output`.
fn readers(
    subject: Subject<'_>,
    document: &mut Document,
    order: &[usize],
) -> Result<(), Uneditable> {
    subject.in_layers(document, |document, layer| {
        layer.permute_norm(document, "attn_sub_norm", order)?;
        layer.permute_inputs(document, "attn_output", order)
    })
}
