//! The relations there are, each with its name, its sentence and its control's.
#![forbid(unsafe_code)]

use engine::Token;

use super::edits;
use super::plan::{NotApplicable, Plan, Subject};
use super::schedules::{self, Variants};
use crate::case::observation::Lane;

/// One thing that must not change a bit.
#[derive(Clone, Copy)]
pub struct Relation {
    /// Stable name.
    pub name: &'static str,
    /// What is done.
    pub edit: &'static str,
    /// What the control does instead, which must show.
    pub control: &'static str,
    pub(super) by: By,
}

/// By what change a relation is tested.
#[derive(Clone, Copy)]
pub(super) enum By {
    /// The file.
    File(fn(Subject<'_>) -> Result<Plan, NotApplicable>),
    /// The schedule of the same tokens.
    Schedule(VariantsOf),
    /// The number of threads for the same tokens, as many as the source can be fed on them.
    Threads(VariantsOf),
}

pub(super) type VariantsOf = fn(&[Token], Lane) -> Variants;

impl Relation {
    /// All of them, in the order they are reported.
    pub const ALL: [Relation; 13] = [
        relation(
            "neuron-signs",
            "negate half the rows of ffn_up and the columns of ffn_down that read them",
            "negate the rows of ffn_up only",
            By::File(edits::neuron_signs),
        ),
        relation(
            "value-signs",
            "negate attn_v and attn_output",
            "negate attn_v only",
            By::File(edits::value_signs),
        ),
        relation(
            "query-key-signs",
            "negate attn_q and attn_k",
            "negate attn_q only",
            By::File(edits::query_key_signs),
        ),
        relation(
            "neuron-order",
            "permute neurons: rows of gate and up, norm gains, columns of ffn_down",
            "leave the columns of ffn_down where they were",
            By::File(edits::neuron_order),
        ),
        relation(
            "vocabulary-order",
            "permute tokens: rows of embedding and head, ids of the prompt, logits",
            "leave the ids of the prompt as they were",
            By::File(edits::vocabulary_order),
        ),
        relation(
            "query-head-swap",
            "swap two query heads of one group: rows of attn_q, columns of attn_output",
            "swap the rows of attn_q only",
            By::File(edits::query_head_swap),
        ),
        relation(
            "key-head-swap",
            "swap two groups: rows of attn_q, attn_k, attn_v, columns of attn_output",
            "swap the rows of attn_q only",
            By::File(edits::key_head_swap),
        ),
        relation(
            "gate-power-of-two",
            "double the gate and quarter the other factor",
            "negate the gate as well; where the activation is no square, the edit itself",
            By::File(edits::gate_size),
        ),
        relation(
            "zero-layer",
            "clear attn_output and ffn_down of the last layer, against the file without it",
            "clear attn_output only",
            By::File(edits::last_layer),
        ),
        relation(
            "threads",
            "compute on two and three threads",
            "on two threads, with another token half way",
            By::Threads(schedules::threads),
        ),
        relation(
            "portions",
            "prefill in portions of eight tokens and more",
            "begin the second portion one position early",
            By::Schedule(schedules::portions),
        ),
        relation(
            "rollback",
            "feed other tokens half way and forget them",
            "do not forget them",
            By::Schedule(schedules::rollback),
        ),
        relation(
            "replay",
            "forget everything and feed it again",
            "feed it again without forgetting",
            By::Schedule(schedules::replay),
        ),
    ];
}

const fn relation(
    name: &'static str,
    edit: &'static str,
    control: &'static str,
    by: By,
) -> Relation {
    Relation {
        name,
        edit,
        control,
        by,
    }
}
