//! The edits of a file that must not change a bit: what one tensor undoes of another.

use engine::config::Activation;
use engine::gguf::writer::Field;

use super::plan::Change::{Negate, NegateInputs, NegateWeights, Permute, PermuteInputs, Scale};
use super::plan::{Change, NotApplicable, Plan, Rewrite, Subject, dice, swapped};

/// Chooses every output.
const ALL: Change<'_> = Negate(&|_| true);

/// Half of the neurons negated: rows of `ffn_up`, columns of `ffn_down`.
pub(super) fn neuron_signs(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    let mut dice = dice();
    let neurons = 0..subject.config.feed_forward_length;
    let chosen: Vec<bool> = neurons.map(|_| dice.once_in(2)).collect();
    let wanted = |neuron: usize| chosen[neuron];
    subject.require_symmetric(&["ffn_up", "ffn_down"])?;
    let back = ("ffn_down", NegateInputs(&wanted));
    subject.two_sided(&[("ffn_up", Negate(&wanted))], &[back])
}

/// All values negated, and what reads them; the bias of the output is added behind that.
pub(super) fn value_signs(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    subject.require_symmetric(&["attn_v", "attn_output"])?;
    subject.two_sided(&[("attn_v", ALL)], &[("attn_output", NegateWeights)])
}

/// Queries and keys negated: their products stay.
pub(super) fn query_key_signs(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    subject.require_symmetric(&["attn_q", "attn_k"])?;
    subject.two_sided(&[("attn_q", ALL)], &[("attn_k", ALL)])
}

/// Neurons: rows of `ffn_gate` and `ffn_up`, the gains of the norm behind them, columns of
/// `ffn_down`.
pub(super) fn neuron_order(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    let order = dice().order(subject.config.feed_forward_length);
    subject.require_orderless("ffn_down")?;
    let neurons = ["ffn_gate", "ffn_up", "ffn_sub_norm"].map(|part| (part, Permute(&order)));
    subject.two_sided(&neurons, &[("ffn_down", PermuteInputs(&order))])
}

/// Tokens: rows of the embedding and of the head, the ids of the prompt, and the logits.
pub(super) fn vocabulary_order(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    let order = dice().order(subject.config.vocab_size);
    let mut names = vec![0; order.len()];
    for (new, &old) in order.iter().enumerate() {
        names[old] = new;
    }
    let mut document = subject.document.clone();
    document.permute_rows("token_embd.weight", &order)?;
    if document.tensor("output.weight").is_some() {
        document.permute_rows("output.weight", &order)?;
    }
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
pub(super) fn query_head_swap(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    let config = subject.config;
    if config.head_count == config.head_count_kv {
        let why = "each key head is read by one query head, so there are no two to swap";
        return Err(NotApplicable(why.into()));
    }
    subject.require_orderless("attn_output")?;
    let order = swapped(config.head_count * config.head_dim, config.head_dim, 0, 1);
    subject.two_sided(&[("attn_q", Permute(&order))], &readers(&order))
}

/// Two key heads with all that read them: rows of `attn_q`, `attn_k` and `attn_v`, columns of
/// `attn_output`.
pub(super) fn key_head_swap(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    let config = subject.config;
    if config.head_count_kv == 1 {
        return Err(NotApplicable("there is one key head only".into()));
    }
    subject.require_orderless("attn_output")?;
    let (heads, last) = (config.head_count_kv, config.head_count_kv - 1);
    let keys = swapped(heads * config.head_dim, config.head_dim, 0, last);
    let wide = config.head_count * config.head_dim;
    let order = swapped(wide, wide / heads, 0, last);
    let keys = ["attn_k", "attn_v"].map(|part| (part, Permute(&keys)));
    let others = [&readers(&order)[..], &keys].concat();
    subject.two_sided(&[("attn_q", Permute(&order))], &others)
}

/// What reads the heads: the gains of the norm behind them and the columns of `attn_output`.
fn readers(order: &[usize]) -> [(&'static str, Change<'_>); 2] {
    let output = ("attn_output", PermuteInputs(order));
    [("attn_sub_norm", Permute(order)), output]
}

/// The gate twice as large, the other factor a quarter: a squared gate cancels that exactly, any
/// other activation must not.
pub(super) fn gate_size(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    let (double, quarter) = (("ffn_gate", Scale(2.0)), ("ffn_up", Scale(0.25)));
    let both = Rewrite::of(subject.with(&[double, quarter])?);
    let against = None;
    Ok(match subject.config.activation {
        Activation::SquaredRelu => Plan {
            edited: Ok(both),
            against,
            // A norm behind the gate hides every factor but a sign.
            control: Rewrite::of(subject.with(&[double, ("ffn_gate", ALL), quarter])?),
        },
        Activation::Silu => Plan {
            edited: Err("the activation is SiLU, under which this edit must show".into()),
            against,
            control: both,
        },
    })
}

/// A last layer whose two outputs are zero, measured against the file without that layer.
pub(super) fn last_layer(subject: Subject<'_>) -> Result<Plan, NotApplicable> {
    let Some(rest) = subject.config.block_count.checked_sub(1).filter(|&n| n > 0) else {
        let why = "without its only layer there is no model";
        return Err(NotApplicable(why.into()));
    };
    let mut half = subject.document.clone();
    Change::Clear.apply(&mut half, rest, "attn_output")?;
    let mut whole = half.clone();
    Change::Clear.apply(&mut whole, rest, "ffn_down")?;
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
