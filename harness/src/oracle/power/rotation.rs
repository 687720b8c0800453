//! Faults of positions and of the embedding they are added to.

use engine::numerics::half::{round_f16, widen_f16};
use engine::numerics::libm;
use engine::numerics::rope::Turning;

use super::pass::{Act, Change, PassState};
use super::{Fault, act, made};
use crate::runner::watch::Moment;

const ROTATED: &str = "Qcur-0|ROPE#0";
const EMBEDDED: &str = "inp_embd|GET_ROWS#0";

#[rustfmt::skip] // a table: a line a row
pub fn faults() -> Vec<Fault> {
    vec![
        turned("rope-adjacent-pairs", adjacent, recurrence),
        turned("position-off-by-one", halves, |s, position, out| recurrence(s, position + 1, out)),
        turned("positions-restart-at-ubatch", halves, |s, position, out| {
            recurrence(s, position - s.first, out);
        }),
        turned("rope-theta-by-pow", halves, by_pow),
        turned("rope-table-of-halves", halves, |s, position, out| {
            recurrence(s, position, out);
            out.as_flattened_mut().iter_mut().for_each(|x| *x = widen_f16(round_f16(*x)));
        }),
        turned("rope-without-fused-products", unfused, recurrence),
        turned("rope-on-half-the-dimensions", halves, |s, position, out| {
            recurrence(s, position, out);
            let turned = out.len() / 2;
            out[turned..].fill([1.0, 0.0]);
        }),
        turned("rope-scaled-positions", halves, |s, position, out| {
            let turning = Turning { scale: 0.5, ..Turning::of(s.config) };
            turning.angles(position, None, out);
        }),
        turned("rope-turned-backwards", halves, |s, position, out| {
            recurrence(s, position, out);
            out.iter_mut().for_each(|[_, sine]| *sine = -*sine);
        }),
        made("rope-missing-on-keys", "Kcur-0|ROPE#0", "Kcur|ROPE", again(|_, _, _| (), recurrence)),
        made("embedding-scaled", EMBEDDED, "inp_embd", |s, values| {
            let factor = (s.config.embedding_length as f32).sqrt();
            values.iter_mut().for_each(|x| *x *= factor);
        }),
        made("embedding-of-next-token", EMBEDDED, "inp_embd", |s, values| {
            if s.tokens > 1 {
                values.rotate_left(s.config.embedding_length);
            }
        }),
    ]
}

/// The rotation as it should be: what the faults differ from in one thing.
pub fn as_it_was() -> Act {
    act(Moment::Made, "|ROPE", again(halves, recurrence))
}

/// How one head is turned.
type Turn = fn(&PassState<'_>, &mut [f32], &Angles);
/// The cosines and sines of a position.
type AnglesOf = fn(&PassState<'_>, usize, &mut Angles);

fn turned(name: &'static str, turn: Turn, angles: AnglesOf) -> Fault {
    made(name, ROTATED, "|ROPE", again(turn, angles))
}

type Angles = [[f32; 2]];

/// Turns what was not turned yet once more, in another way.
fn again(turn: Turn, angles: AnglesOf) -> impl Change {
    move |pass: &PassState<'_>, values: &mut [f32]| {
        let source = pass.seen(&format!("{} (reshaped)", pass.name));
        values.copy_from_slice(source);
        let row = values.len() / pass.tokens;
        let mut own = vec![[0f32; 2]; pass.config.rope_dimensions / 2];
        for (token, row) in values.chunks_exact_mut(row).enumerate() {
            angles(pass, pass.first + token, &mut own);
            row.chunks_exact_mut(pass.config.head_dim)
                .for_each(|head| turn(pass, head, &own));
        }
    }
}

fn halves(pass: &PassState<'_>, head: &mut [f32], angles: &Angles) {
    pass.arithmetic.rope_halves(head, angles);
}

fn adjacent(pass: &PassState<'_>, head: &mut [f32], angles: &Angles) {
    pass.arithmetic.rope_adjacent(head, angles);
}

/// Each product rounded on its own.
fn unfused(_: &PassState<'_>, head: &mut [f32], angles: &Angles) {
    let (left, right) = head.split_at_mut(angles.len());
    for ((a, b), [cosine, sine]) in left.iter_mut().zip(right).zip(angles) {
        let (x, y) = (*a, *b);
        *a = x * cosine - y * sine;
        *b = x * sine + y * cosine;
    }
}

fn recurrence(pass: &PassState<'_>, position: usize, out: &mut Angles) {
    Turning::of(pass.config).angles(position, None, out);
}

fn by_pow(pass: &PassState<'_>, position: usize, out: &mut Angles) {
    for (i, out) in out.iter_mut().enumerate() {
        let exponent = -2.0 * i as f32 / pass.config.rope_dimensions as f32;
        let angle = position as f32 * libm::pow(pass.config.rope_freq_base, exponent);
        *out = [libm::cos(angle), libm::sin(angle)];
    }
}
