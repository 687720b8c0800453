//! Faults of the comparison itself: what is handed over is not what was computed.
#![forbid(unsafe_code)]

use crate::case::observation::{Lane, Logits, Observation};

use super::{Fault, Means, unlocated};

/// All of them.
pub const FAULTS: &[Fault] = &[
    told("stale-logits", |_, ours| {
        let lane = prefill(ours);
        let kept = lane.values.len() - lane.vocab_size;
        lane.values.copy_within(..kept, lane.vocab_size);
    }),
    told("reference-compared-with-itself", |theirs, ours| {
        *ours = theirs.clone()
    }),
    told("logits-truncated", |_, ours| {
        let lane = prefill(ours);
        let all = lane.vocab_size;
        lane.values = lane
            .values
            .chunks_exact(all)
            .flat_map(|r| &r[..all - 1])
            .copied()
            .collect();
        lane.vocab_size = all - 1;
    }),
    told("logits-not-a-number", |_, ours| {
        prefill(ours).values[5] = f32::NAN
    }),
    told("logits-not-a-number-on-both-sides", |_, ours| {
        prefill(ours).values.fill(f32::NAN);
    }),
    told("logits-all-zero", |_, ours| prefill(ours).values.fill(0.0)),
    told("lanes-exchanged", |_, ours| {
        let prefill = ours.lanes.remove(&Lane::Prefill).expect("observed");
        let decode = ours.lanes.insert(Lane::Decode, prefill).expect("observed");
        ours.lanes.insert(Lane::Prefill, decode);
    }),
    told("only-the-last-position", |_, ours| {
        let lane = prefill(ours);
        lane.values.drain(..lane.values.len() - lane.vocab_size);
        lane.positions.drain(..lane.positions.len() - 1);
    }),
    told("decode-not-run", |_, ours| {
        ours.lanes.remove(&Lane::Decode);
    }),
    told("trace-not-taken", |_, ours| ours.trace.clear()),
    told("one-node-not-taken", |_, ours| {
        ours.trace.pop();
    }),
    told("second-best-token-chosen", |_, ours| {
        let middle = ours.greedy.tokens.len() / 2;
        ours.greedy.tokens[middle] ^= 1;
    }),
    told("continuation-cut-short", |_, ours| {
        ours.greedy.tokens.truncate(4)
    }),
    told("text-of-other-tokens", |_, ours| ours.greedy.text.push(' ')),
];

const fn told(name: &'static str, edit: fn(&Observation, &mut Observation)) -> Fault {
    unlocated(name, Means::Testimony(edit))
}

fn prefill(observation: &mut Observation) -> &mut Logits {
    observation.lanes.get_mut(&Lane::Prefill).expect("observed")
}
