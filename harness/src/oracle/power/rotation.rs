//! Faults of positions and of the embedding they are added to.
#![forbid(unsafe_code)]

use engine::numerics::elementwise::{rope_angles, rope_step};
use engine::numerics::half::{round_f16, widen_f16};
use engine::numerics::libm;

use super::scene::{At, Scene};
use super::{Fault, made, numeric};

const ROTATED: &str = "Qcur-0|ROPE#0";

/// All of them.
pub const FAULTS: &[Fault] = &[
    numeric(
        "rope-adjacent-pairs",
        ROTATED,
        made(|s, at| {
            turned(
                s,
                at,
                |s, head, angles| s.arithmetic.rope_adjacent(head, angles),
                recurrence,
            );
        }),
    ),
    numeric(
        "position-off-by-one",
        ROTATED,
        made(|s, at| {
            turned(s, at, halves, |s, position, out| {
                recurrence(s, position + 1, out)
            });
        }),
    ),
    numeric(
        "positions-restart-at-ubatch",
        ROTATED,
        made(|s, at| {
            turned(s, at, halves, |s, position, out| {
                recurrence(s, position - s.first, out)
            });
        }),
    ),
    numeric(
        "rope-theta-by-pow",
        ROTATED,
        made(|s, at| turned(s, at, halves, by_pow)),
    ),
    numeric(
        "rope-table-of-halves",
        ROTATED,
        made(|s, at| {
            turned(s, at, halves, |s, position, out| {
                recurrence(s, position, out);
                let both = out.as_flattened_mut().iter_mut();
                both.for_each(|x| *x = widen_f16(round_f16(*x)));
            });
        }),
    ),
    numeric(
        "rope-without-fused-products",
        ROTATED,
        made(|s, at| turned(s, at, unfused, recurrence)),
    ),
    numeric(
        "rope-on-half-the-dimensions",
        ROTATED,
        made(|s, at| {
            turned(s, at, halves, |s, position, out| {
                recurrence(s, position, out);
                let turned = out.len() / 2;
                out[turned..].fill([1.0, 0.0]);
            });
        }),
    ),
    numeric(
        "rope-scaled-positions",
        ROTATED,
        made(|s, at| {
            turned(s, at, halves, |s, position, out| {
                rope_angles(position, step(s), 0.5, None, out);
            });
        }),
    ),
    numeric(
        "rope-turned-backwards",
        ROTATED,
        made(|s, at| {
            turned(s, at, halves, |s, position, out| {
                recurrence(s, position, out);
                out.iter_mut().for_each(|[_, sine]| *sine = -*sine);
            });
        }),
    ),
    numeric(
        "rope-missing-on-keys",
        "Kcur-0|ROPE#0",
        made(|s, at| {
            if at.name == "Kcur" {
                turned(s, at, |_, _, _| (), recurrence);
            }
        }),
    ),
    numeric(
        "embedding-scaled",
        "inp_embd|GET_ROWS#0",
        made(|s, at| {
            if at.name == "inp_embd" {
                let factor = (s.config.embedding_length as f32).sqrt();
                at.values.iter_mut().for_each(|x| *x *= factor);
            }
        }),
    ),
    numeric(
        "embedding-of-next-token",
        "inp_embd|GET_ROWS#0",
        made(|s, at| {
            if at.name == "inp_embd" && s.tokens > 1 {
                at.values.rotate_left(s.config.embedding_length);
            }
        }),
    ),
];

/// The rotation as it should be: what the faults differ from in one thing.
pub fn sound(scene: &Scene<'_>, at: At<'_>) {
    turned(scene, at, halves, recurrence);
}

type Angles = [[f32; 2]];

/// Turns what was not turned yet once more, in another way.
fn turned(
    scene: &Scene<'_>,
    at: At<'_>,
    turn: fn(&Scene<'_>, &mut [f32], &Angles),
    angles: fn(&Scene<'_>, usize, &mut Angles),
) {
    if at.op != "ROPE" {
        return;
    }
    at.values
        .copy_from_slice(scene.seen(&format!("{} (reshaped)", at.name)));
    let row = at.values.len() / scene.tokens;
    let mut own = vec![[0f32; 2]; scene.config.rope_dimensions / 2];
    for (token, row) in at.values.chunks_exact_mut(row).enumerate() {
        angles(scene, scene.first + token, &mut own);
        row.chunks_exact_mut(scene.config.head_dim)
            .for_each(|head| turn(scene, head, &own));
    }
}

fn halves(scene: &Scene<'_>, head: &mut [f32], angles: &Angles) {
    scene.arithmetic.rope_halves(head, angles);
}

/// Each product rounded on its own.
fn unfused(_: &Scene<'_>, head: &mut [f32], angles: &Angles) {
    let (left, right) = head.split_at_mut(angles.len());
    for ((a, b), [cosine, sine]) in left.iter_mut().zip(right).zip(angles) {
        let (x, y) = (*a, *b);
        *a = x * cosine - y * sine;
        *b = x * sine + y * cosine;
    }
}

fn recurrence(scene: &Scene<'_>, position: usize, out: &mut Angles) {
    rope_angles(
        position,
        step(scene),
        scene.config.rope_freq_scale,
        None,
        out,
    );
}

fn by_pow(scene: &Scene<'_>, position: usize, out: &mut Angles) {
    for (i, out) in out.iter_mut().enumerate() {
        let exponent = -2.0 * i as f32 / scene.config.rope_dimensions as f32;
        let angle = position as f32 * libm::pow(scene.config.rope_freq_base, exponent);
        *out = [libm::cos(angle), libm::sin(angle)];
    }
}

fn step(scene: &Scene<'_>) -> f32 {
    rope_step(scene.config.rope_freq_base, scene.config.rope_dimensions)
}
