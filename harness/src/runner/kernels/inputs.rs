//! What kernels are fed: rows chosen to hurt, then rows drawn at random, all from a seed.

use engine::flavor::Shape;
use engine::gguf::finite::half_places;

use crate::file::document::Format;
use crate::numbers::split_mix::SplitMix64;

/// Fills a row.
type Fill = fn(&mut SplitMix64, &mut [f32]);

/// The last of them hold values that are not finite.
const NOT_FINITE: usize = 5;

/// Rows chosen to hurt, by name.
pub const CHOSEN: [(&str, Fill); 32] = [
    ("zeros", |_, row| row.fill(0.0)),
    ("zeros of both signs", |dice, row| {
        each(row, |_| dice.pick(&[0.0, -0.0]))
    }),
    ("one-hot", |dice, row| place(dice, row, 1.0)),
    ("one-hot, negative and huge", |dice, row| {
        place(dice, row, -3e37)
    }),
    ("one-hot, subnormal", |dice, row| place(dice, row, 1e-42)),
    ("all equal", |_, row| row.fill(0.7)),
    ("all equal, negative", |_, row| row.fill(-1.25)),
    ("largest magnitude with both signs", |dice, row| {
        each(row, |_| dice.pick(&[2.5, -2.5]))
    }),
    ("a negative peak before a positive one", |_, row| {
        each(row, |i| [-2.0, 2.0, 0.5, -0.25][i % 4])
    }),
    ("ties under scale 1", |dice, row| ties(dice, row, 127.0)),
    ("ties under scale 1/1024", |dice, row| {
        ties(dice, row, 127.0 * 1024.0)
    }),
    ("ties under scale 65536", |dice, row| {
        ties(dice, row, 127.0 / 65536.0)
    }),
    ("near ties under scale 63.5", |dice, row| {
        ties(dice, row, 2.0)
    }),
    ("near ties under an odd scale", |dice, row| {
        ties(dice, row, 0.3)
    }),
    ("subnormals", |dice, row| {
        each(row, |_| {
            f32::from_bits(dice.below(1 << 23) as u32 | (dice.below(2) as u32) << 31)
        })
    }),
    ("subnormals beside one normal", |dice, row| {
        each(row, |_| f32::from_bits(dice.below(1 << 23) as u32));
        place_one(dice, row, 1.0);
    }),
    ("the smallest normals", |dice, row| {
        each(row, |_| {
            f32::MIN_POSITIVE * dice.pick(&[1.0, -1.0, 1.5, 0.5])
        })
    }),
    ("the largest floats", |dice, row| {
        each(row, |_| f32::MAX * dice.pick(&[1.0, -1.0, 0.5]))
    }),
    ("magnitudes around the floor of 1e-5", |dice, row| {
        each(row, |_| {
            dice.pick(&[1e-5, -1e-5, 9.999_999e-6, 1.000_000_1e-5, 1e-6, 0.0])
        })
    }),
    ("magnitudes around the threshold of 1e-6", |dice, row| {
        let edges = [1e-6, -1e-6, 9.999_999e-7, -9.999_999e-7, 1.000_000_1e-6];
        each(row, |_| dice.pick(&edges))
    }),
    ("magnitudes around the ends of f16", |dice, row| {
        let ends = [
            65504.0,
            65519.996,
            65520.0,
            -65536.0,
            5.960_464_5e-8,
            2.980_232_2e-8,
            6.1e-5,
        ];
        each(row, |_| dice.pick(&ends))
    }),
    ("ties between halves, and beside them", |dice, row| {
        each(row, |_| {
            let bits = dice.below(0x7bff) as u16;
            let [low, high] = [bits, bits + 1].map(|bits| half::f16::from_bits(bits).to_f32());
            // Exact: a single has room for the bit between two halves.
            let tie = (low + high) / 2.0;
            dice.pick(&[tie, -tie, tie.next_up(), -tie.next_down()])
        })
    }),
    ("ties between bfloat16s, and beside them", |dice, row| {
        each(row, |_| {
            let high = (dice.below(0x7f7f) as u32) << 16;
            f32::from_bits(high | dice.pick(&[0x8000, 0x7fff, 0x8001, 0]))
        })
    }),
    ("ternary", |dice, row| {
        each(row, |_| dice.pick(&[-0.4, 0.0, 0.4]))
    }),
    ("an ulp beside ties, under any scale", beside_ties),
    (
        "scales at ties between halves, and beside them",
        half_scales,
    ),
    ("a few outliers", |dice, row| {
        each(row, |_| dice.signed_unit() / 64.0);
        for _ in 0..row.len().div_ceil(64) {
            place_one(dice, row, 300.0);
        }
    }),
    ("an infinity", |dice, row| {
        each(row, |_| dice.signed_unit());
        place_one(dice, row, f32::INFINITY);
    }),
    ("infinities of both signs", |dice, row| {
        each(row, |_| dice.signed_unit());
        place_one(dice, row, f32::INFINITY);
        place_one(dice, row, f32::NEG_INFINITY);
    }),
    ("a NaN", |dice, row| {
        each(row, |_| dice.signed_unit());
        place_one(dice, row, f32::NAN);
    }),
    ("NaNs at both ends", |dice, row| {
        each(row, |_| dice.signed_unit());
        row[0] = f32::NAN;
        row[row.len() - 1] = -f32::NAN;
    }),
    ("NaNs with payloads, quiet and signalling", |dice, row| {
        each(row, |_| dice.signed_unit());
        place_one(dice, row, f32::from_bits(0x7fc1_2345));
        place_one(dice, row, f32::from_bits(0xff81_2345));
    }),
];

/// Fills a row at random, in one of several distributions of any magnitude.
pub fn random(dice: &mut SplitMix64, row: &mut [f32]) {
    let scale = 2f32.powi(dice.below(40) as i32 - 24);
    match dice.below(5) {
        0 => each(row, |_| scale * dice.signed_unit()),
        // About normal: what activations look like.
        1 => each(row, |_| {
            scale * (0..4).map(|_| dice.signed_unit()).sum::<f32>()
        }),
        2 => each(row, |_| scale * dice.pick(&[-1.0, 0.0, 1.0])),
        3 => {
            each(row, |_| scale / 16.0 * dice.signed_unit());
            place_one(dice, row, scale);
        }
        // Any finite float whose square is finite, so that magnitudes differ wildly.
        _ => each(row, |_| {
            let exponent = 64 + dice.below(126) as u32;
            let bits = (dice.bits() as u32 & 0x807f_ffff) | exponent << 23;
            f32::from_bits(bits)
        }),
    }
}

/// How much a column matters: a mean of squares, of any magnitude.
pub fn importance(dice: &mut SplitMix64) -> f32 {
    let square = dice.signed_unit() * dice.signed_unit();
    square.abs() * 2f32.powi(dice.below(12) as i32 - 6)
}

/// Int8 activations of a row: numbers at the edges, or any.
pub fn int8(dice: &mut SplitMix64, case: usize, count: usize) -> Vec<u8> {
    let edges: [&[i8]; 8] = [
        &[0],
        &[127],
        &[-128],
        &[127, -128],
        &[127, -127],
        &[1],
        &[0, 0, 0, 127],
        &[126, 127, 127, 127],
    ];
    let code = |i: usize| match edges.get(case) {
        Some(edge) => edge[i % edge.len()],
        None => dice.bits() as i8,
    };
    (0..count).map(code).map(i8::cast_unsigned).collect()
}

/// Stored rows: at the edges of the format, or any bytes it allows with a scale that is a number.
pub fn stored(dice: &mut SplitMix64, format: Format, shape: Shape, edge: bool) -> Vec<u8> {
    let Shape { rows, cols } = shape;
    let length = rows * format.row_bytes(cols);
    let wild = dice.bits() as u8;
    let byte = |dice: &mut SplitMix64| {
        if edge {
            return dice.pick(&[0x00, 0xff, 0x80, 0x7f, 0xaa, 0x55, wild]);
        }
        dice.bits() as u8
    };
    if format.is_i2_s() {
        let fill = dice.pick(&[0b10_10_10_10, 0, 0b01_01_01_01, 0xff]);
        // A whole row of one code; else all codes, the illegal one included.
        let code = |_| if edge { fill } else { dice.bits() as u8 };
        return (0..length).map(code).collect();
    }
    if format.is_float() {
        let mut values = vec![0.0; rows * cols];
        if edge {
            CHOSEN[dice.below(CHOSEN.len() - NOT_FINITE)].1(dice, &mut values);
        } else {
            random(dice, &mut values);
        }
        return format.encode(&values, shape);
    }
    let mut bytes: Vec<u8> = (0..length).map(|_| byte(dice)).collect();
    let block = format.row_bytes(format.block());
    for block in bytes.chunks_exact_mut(block) {
        for &place in half_places(format.row().meaning()) {
            let half = if edge {
                dice.pick(&[0x0000, 0x8000, 0x0001, 0x7bff, 0xfbff, 0x3c00])
            } else {
                (dice.below(2) << 15 | dice.below(0x7c00)) as u16
            };
            block[place..place + 2].copy_from_slice(&half.to_le_bytes());
        }
    }
    bytes
}

/// Lengths of a row: one block, both sides of the steps kernels take, and more.
pub fn length(dice: &mut SplitMix64, block: usize) -> usize {
    match block {
        1 => {
            let edges = [
                1, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 96, 127, 128, 129, 256, 300, 768,
            ];
            dice.pick(&edges)
        }
        128 => 128 * dice.pick(&[1, 2, 3, 6, 8, 31, 32, 33, 64, 65]),
        64 => 64 * dice.pick(&[1, 2, 3, 4, 6, 8, 16]),
        32 => 32 * dice.pick(&[1, 2, 3, 4, 5, 7, 8, 9, 16, 24, 32]),
        _ => block * dice.pick(&[1, 2, 3, 4, 5, 8]),
    }
}

fn each(row: &mut [f32], mut value: impl FnMut(usize) -> f32) {
    row.iter_mut().enumerate().for_each(|(i, x)| *x = value(i));
}

fn place(dice: &mut SplitMix64, row: &mut [f32], value: f32) {
    row.fill(0.0);
    place_one(dice, row, value);
}

fn place_one(dice: &mut SplitMix64, row: &mut [f32], value: f32) {
    let at = dice.below(row.len());
    row[at] = value;
}

/// Values that lie halfway between two integers once they are scaled so that `peak` is 127, with a
/// peak in every block.
fn ties(dice: &mut SplitMix64, row: &mut [f32], peak: f32) {
    each(row, |_| {
        let halves = dice.below(254) as f32 - 126.5;
        halves * (peak / 127.0)
    });
    row.chunks_mut(32)
        .for_each(|block| place_one(dice, block, peak));
}

/// Values that scaling brings to halfway between two integers, or next to it: what is computed in
/// another order than theirs is rounded to the other side.
fn beside_ties(dice: &mut SplitMix64, row: &mut [f32]) {
    let peak = (1.0 + dice.signed_unit().abs()) * 2f32.powi(dice.below(12) as i32 - 6);
    let inverse = 127.0 / peak;
    each(row, |_| {
        let tie = dice.below(252) as f32 - 125.5;
        let value = tie / inverse;
        dice.pick(&[value, value.next_up(), value.next_down()])
    });
    place_one(dice, row, peak);
}

/// Blocks whose 127th part of the largest lies halfway between two halves, or next to it.
fn half_scales(dice: &mut SplitMix64, row: &mut [f32]) {
    for block in row.chunks_mut(32) {
        let bits = 0x0400 + dice.below(0x6000) as u16;
        let [low, high] = [bits, bits + 1].map(|bits| half::f16::from_bits(bits).to_f32());
        let peak = (low + high) / 2.0 * 127.0;
        each(block, |_| dice.signed_unit() * peak / 2.0);
        let peak = dice.pick(&[peak, peak.next_up(), peak.next_down()]);
        place_one(dice, block, peak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_rows_are_what_their_names_say() {
        let mut row = [0.0; 64];
        for (index, (name, fill)) in CHOSEN.iter().enumerate() {
            fill(&mut SplitMix64(1), &mut row);
            let finite = row.iter().all(|x| x.is_finite());
            assert_eq!(finite, index < CHOSEN.len() - NOT_FINITE, "{name}");
            let is_tie = |scale: f32| {
                let fractions = row.iter().map(|x| (x * scale).fract().abs());
                fractions.filter(|fraction| *fraction == 0.5).count() == 62
            };
            let scale = match *name {
                "ties under scale 1" => 1.0,
                "ties under scale 1/1024" => 1.0 / 1024.0,
                "ties under scale 65536" => 65536.0,
                _ => continue,
            };
            assert!(is_tie(scale), "{name}: {row:?}");
        }
    }
}
