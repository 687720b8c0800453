//! The relations there are, each with its name, its sentence and its control's.
#![forbid(unsafe_code)]

use engine::Token;

use super::plan::{NotApplicable, Plan, Subject};
use super::schedules::{self, Detour};
use super::{places, signs, sizes};
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
    pub(super) way: Way,
}

/// How a relation is tested.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// By another file.
    Edit(fn(Subject<'_>) -> Result<Plan, NotApplicable>),
    /// By another way through the same tokens.
    Detour(DetourOf),
    /// By more threads through the same tokens, as many as the source can be fed on them.
    Threads(DetourOf),
}

pub(super) type DetourOf = fn(&[Token], Lane) -> Result<Detour, NotApplicable>;

impl Relation {
    /// All of them, in the order they are reported.
    pub const ALL: [Relation; 13] = [
        edit(
            "neuron-signs",
            "negate half the rows of ffn_up and the columns of ffn_down that read them",
            "negate the rows of ffn_up only",
            signs::neurons,
        ),
        edit(
            "value-signs",
            "negate attn_v and attn_output",
            "negate attn_v only",
            signs::values,
        ),
        edit(
            "query-key-signs",
            "negate attn_q and attn_k",
            "negate attn_q only",
            signs::queries_and_keys,
        ),
        edit(
            "neuron-order",
            "permute neurons: rows of gate and up, norm gains, columns of ffn_down",
            "leave the columns of ffn_down where they were",
            places::neurons,
        ),
        edit(
            "vocabulary-order",
            "permute tokens: rows of embedding and head, ids of the prompt, logits",
            "leave the ids of the prompt as they were",
            places::vocabulary,
        ),
        edit(
            "query-head-swap",
            "swap two query heads of one group: rows of attn_q, columns of attn_output",
            "swap the rows of attn_q only",
            places::query_heads,
        ),
        edit(
            "key-head-swap",
            "swap two groups: rows of attn_q, attn_k, attn_v, columns of attn_output",
            "swap the rows of attn_q only",
            places::key_heads,
        ),
        edit(
            "gate-power-of-two",
            "double the gate and quarter the other factor",
            "negate the gate as well; where the activation is no square, the edit itself",
            sizes::gate,
        ),
        edit(
            "zero-layer",
            "clear attn_output and ffn_down of the last layer, against the file without it",
            "clear attn_output only",
            sizes::last_layer,
        ),
        Relation {
            name: "threads",
            edit: "compute on two and three threads",
            control: "on two threads, with another token half way",
            way: Way::Threads(schedules::threads),
        },
        detour(
            "portions",
            "prefill in portions of eight tokens and more",
            "begin the second portion one position early",
            schedules::portions,
        ),
        detour(
            "rollback",
            "feed other tokens half way and forget them",
            "do not forget them",
            schedules::rollback,
        ),
        detour(
            "replay",
            "forget everything and feed it again",
            "feed it again without forgetting",
            schedules::replay,
        ),
    ];
}

const fn edit(
    name: &'static str,
    edit: &'static str,
    control: &'static str,
    plan: fn(Subject<'_>) -> Result<Plan, NotApplicable>,
) -> Relation {
    Relation {
        name,
        edit,
        control,
        way: Way::Edit(plan),
    }
}

const fn detour(
    name: &'static str,
    edit: &'static str,
    control: &'static str,
    way: DetourOf,
) -> Relation {
    Relation {
        name,
        edit,
        control,
        way: Way::Detour(way),
    }
}
