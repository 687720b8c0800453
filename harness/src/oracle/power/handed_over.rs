//! Faults of the comparison itself: what is handed over is not what was computed.

use super::{Fault, Injection, unlocated};
use crate::case::observation::{Lane, Logits, Observation};

#[rustfmt::skip] // a table: a line a row
pub fn faults() -> Vec<Fault> {
    vec![
        handed_over("stale-logits", |_, ours| {
            let lane = prefill(ours);
            let kept = lane.values.len() - lane.vocab_size;
            lane.values.copy_within(..kept, lane.vocab_size);
        }),
        handed_over("reference-compared-with-itself", |theirs, ours| *ours = theirs.clone()),
        handed_over("logits-truncated", |_, ours| {
            let lane = prefill(ours);
            let rows = lane.values.chunks_exact(lane.vocab_size);
            lane.values = rows.flat_map(|r| &r[..r.len() - 1]).copied().collect();
            lane.vocab_size -= 1;
        }),
        handed_over("logits-not-a-number", |_, ours| prefill(ours).values[5] = f32::NAN),
        handed_over("logits-not-a-number-on-both-sides", |_, ours| {
            prefill(ours).values.fill(f32::NAN);
        }),
        handed_over("logits-all-zero", |_, ours| prefill(ours).values.fill(0.0)),
        handed_over("lanes-exchanged", |_, ours| {
            let prefill = ours.lanes.remove(&Lane::Prefill).expect("observed");
            let decode = ours.lanes.insert(Lane::Decode, prefill).expect("observed");
            ours.lanes.insert(Lane::Prefill, decode);
        }),
        handed_over("only-the-last-position", |_, ours| {
            let lane = prefill(ours);
            lane.values.drain(..lane.values.len() - lane.vocab_size);
            lane.positions.drain(..lane.positions.len() - 1);
        }),
        handed_over("decode-not-run", |_, ours| drop(ours.lanes.remove(&Lane::Decode))),
        handed_over("trace-not-taken", |_, ours| ours.trace.clear()),
        handed_over("one-node-not-taken", |_, ours| drop(ours.trace.pop())),
        handed_over("second-best-token-chosen", |_, ours| {
            let middle = ours.greedy.tokens.len() / 2;
            ours.greedy.tokens[middle] ^= 1;
        }),
        handed_over("continuation-cut-short", |_, ours| ours.greedy.tokens.truncate(4)),
        handed_over("text-of-other-tokens", |_, ours| ours.greedy.text.push(' ')),
    ]
}

fn handed_over(name: &'static str, edit: fn(&Observation, &mut Observation)) -> Fault {
    unlocated(name, Injection::Observation(edit))
}

fn prefill(observation: &mut Observation) -> &mut Logits {
    observation.lanes.get_mut(&Lane::Prefill).expect("observed")
}
