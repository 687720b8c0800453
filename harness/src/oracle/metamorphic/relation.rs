//! The relations there are, each with its name, its sentence and its control's.

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
        Relation {
            name: "neuron-signs",
            edit: "negate half the rows of ffn_up and the columns of ffn_down that read them",
            control: "negate the rows of ffn_up only",
            by: By::File(edits::neuron_signs),
        },
        Relation {
            name: "value-signs",
            edit: "negate attn_v and attn_output",
            control: "negate attn_v only",
            by: By::File(edits::value_signs),
        },
        Relation {
            name: "query-key-signs",
            edit: "negate attn_q and attn_k",
            control: "negate attn_q only",
            by: By::File(edits::query_key_signs),
        },
        Relation {
            name: "neuron-order",
            edit: "permute neurons: rows of gate and up, norm gains, columns of ffn_down",
            control: "leave the columns of ffn_down where they were",
            by: By::File(edits::neuron_order),
        },
        Relation {
            name: "vocabulary-order",
            edit: "permute tokens: rows of embedding and head, ids of the prompt, logits",
            control: "leave the ids of the prompt as they were",
            by: By::File(edits::vocabulary_order),
        },
        Relation {
            name: "query-head-swap",
            edit: "swap two query heads of one group: rows of attn_q, columns of attn_output",
            control: "swap the rows of attn_q only",
            by: By::File(edits::query_head_swap),
        },
        Relation {
            name: "key-head-swap",
            edit: "swap two groups: rows of attn_q, attn_k, attn_v, columns of attn_output",
            control: "swap the rows of attn_q only",
            by: By::File(edits::key_head_swap),
        },
        Relation {
            name: "gate-power-of-two",
            edit: "double the gate and quarter the other factor",
            control: "negate the gate as well; where the activation is no square, the edit itself",
            by: By::File(edits::gate_size),
        },
        Relation {
            name: "zero-layer",
            edit: "clear attn_output and ffn_down of the last layer, against the file without it",
            control: "clear attn_output only",
            by: By::File(edits::last_layer),
        },
        Relation {
            name: "threads",
            edit: "compute on two and three threads",
            control: "on two threads, with another token half way",
            by: By::Threads(schedules::threads),
        },
        Relation {
            name: "portions",
            edit: "prefill in portions of eight tokens and more",
            control: "begin the second portion one position early",
            by: By::Schedule(schedules::portions),
        },
        Relation {
            name: "rollback",
            edit: "feed other tokens half way and forget them",
            control: "do not forget them",
            by: By::Schedule(schedules::rollback),
        },
        Relation {
            name: "replay",
            edit: "forget everything and feed it again",
            control: "feed it again without forgetting",
            by: By::Schedule(schedules::replay),
        },
    ];
}
