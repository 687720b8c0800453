//! Every operation of every profile, compiled for this machine's instructions, against the same
//! operation compiled for none of them.

use std::sync::atomic::AtomicUsize;

use engine::kernels::Kernel;
use engine::kernels::activation::RowScale;
use engine::numerics::dense::{Grid, Rows};
use engine::numerics::half::{Half, round_bf16, round_f16};
use engine::numerics::{Arithmetic, Profile, arithmetic};

/// Around the vectors and steps of 4, 8 and 16 lanes.
const LENGTHS: [usize; 12] = [0, 1, 7, 8, 15, 16, 31, 33, 64, 100, 128, 260];
const ROWS: usize = 3;
/// Around the numbers from which on products are tiles.
const TOKENS: [usize; 6] = [1, 2, 3, 4, 7, 8];

/// Reproducible values of both signs and very different sizes.
fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count)
        .map(|_| next() * 4f32.powf(3.0 * next()))
        .collect()
}

/// The results of every operation on rows of that length, one after the other.
fn results(arithmetic: &dyn Arithmetic, len: usize) -> Vec<f32> {
    let stride = len + 5;
    let rows = values(ROWS * stride, 1);
    let x = values(len, 2);
    let f16 = |values: &[f32]| -> Vec<Half> { values.iter().map(|&x| round_f16(x)).collect() };
    let bf16 = |values: &[f32]| -> Vec<Half> { values.iter().map(|&x| round_bf16(x)).collect() };
    let f32_rows: Vec<[u8; 4]> = rows.iter().map(|x| x.to_le_bytes()).collect();
    let (f16_rows, bf16_rows) = (f16(&rows), bf16(&rows));
    let f16_rows = Rows {
        elements: &f16_rows[..],
        stride,
    };
    let bf16_rows = Rows {
        elements: &bf16_rows[..],
        stride,
    };
    let f32_rows = Rows {
        elements: &f32_rows[..],
        stride,
    };

    let mut all = Vec::new();
    let mut out = [0f32; ROWS];
    for tokens in TOKENS {
        arithmetic.dot_f16(f16_rows, &f16(&x), tokens, &mut out);
        all.extend(out);
        arithmetic.dot_f32(f32_rows, &x, tokens, &mut out);
        all.extend(out);
        if arithmetic.unrounded(tokens, len) {
            arithmetic.tile_f16(f16_rows, &x, &mut out);
            all.extend(out);
        }
    }
    arithmetic.dot_bf16(bf16_rows, &bf16(&x), &mut out);
    all.extend(out);
    for visible in [len, len / 2] {
        let mut row = x.clone();
        arithmetic.softmax(&mut row, 0.3, visible);
        all.extend(row);
    }
    let mut normed = vec![0f32; len];
    arithmetic.rms_norm(&x, 1e-5, &mut normed, &AtomicUsize::new(0));
    all.extend(normed);
    let (mut int8, mut scale) = (vec![1i8; len + 3], RowScale::default());
    arithmetic.quantise_int8(&x, &mut int8, &mut scale);
    all.extend(int8.iter().map(|&value| f32::from(value)));
    all.extend([scale.scale, scale.sum as f32]);
    let mut row = x.clone();
    arithmetic.silu(&mut row);
    all.extend(row);
    let angles: Vec<[f32; 2]> = x.iter().take(len / 2).map(|x| [x.cos(), x.sin()]).collect();
    let mut row = x.clone();
    arithmetic.rope_halves(&mut row, &angles);
    arithmetic.rope_adjacent(&mut row, &angles);
    all.extend(row);
    all
}

#[test]
fn instructions_change_the_speed_and_no_bit() {
    let mut compared = 0;
    for profile in Profile::ALL {
        let plain = arithmetic(profile, Kernel::Scalar);
        for kernel in Kernel::available() {
            let instance = arithmetic(profile, kernel);
            for len in LENGTHS {
                let bits = |arithmetic| -> Vec<u32> {
                    results(arithmetic, len)
                        .into_iter()
                        .map(f32::to_bits)
                        .collect()
                };
                let name = (profile.name(), kernel.name());
                assert_eq!(bits(plain), bits(instance), "{name:?} {len}");
                compared += 1;
            }
        }
    }
    println!(
        "{compared} comparisons, {} kernels",
        Kernel::available().len()
    );
}

/// Products of so many rows with so many tokens, of every length in turn.
fn grids(arithmetic: &dyn Arithmetic, rows: usize, tokens: usize) -> Vec<f32> {
    let mut all = Vec::new();
    for len in [16, 64, 100, 128, 192, 256, 320] {
        let halves = |values: &[f32], round: fn(f32) -> Half| -> Vec<Half> {
            values.iter().map(|&x| round(x)).collect()
        };
        let singles = values(rows * (len + 3), 3);
        let bytes: Vec<[u8; 4]> = singles.iter().map(|x| x.to_le_bytes()).collect();
        let xs = values(tokens * (len + 7), 4);
        let [f16, bf16] = [round_f16, round_bf16].map(|round| halves(&singles, round));
        let [x_f16, x_bf16] = [round_f16, round_bf16].map(|round| halves(&xs, round));
        let mut out = vec![f32::NAN; tokens * (rows + 2)];
        for which in 0..4 {
            let grid = Grid {
                out: &mut out,
                stride: rows + 2,
                rows,
                tokens,
            };
            let plain = Rows::from(&xs, len + 7, 0);
            match which {
                0 => {
                    let [rows, xs] = [(&f16, len + 3), (&x_f16, len + 7)]
                        .map(|(elements, stride)| Rows::from(elements, stride, 0));
                    arithmetic.dots_f16(rows, xs, len, tokens, grid);
                }
                1 => {
                    let [rows, xs] = [(&bf16, len + 3), (&x_bf16, len + 7)]
                        .map(|(elements, stride)| Rows::from(elements, stride, 0));
                    arithmetic.dots_bf16(rows, xs, len, grid);
                }
                2 => {
                    let rows = Rows::from(&bytes, len + 3, 0);
                    arithmetic.dots_f32(rows, plain, len, tokens, grid);
                }
                _ if arithmetic.unrounded(tokens, len) => {
                    let rows = Rows::from(&f16, len + 3, 0);
                    arithmetic.tiles_f16(rows, plain, len, grid);
                }
                _ => {}
            }
            all.extend(&out);
        }
    }
    all
}

#[test]
fn many_rows_and_tokens_change_no_bit_and_touch_no_other() {
    for profile in Profile::ALL {
        let plain = arithmetic(profile, Kernel::Scalar);
        for kernel in Kernel::available() {
            let instance = arithmetic(profile, kernel);
            for rows in [1, 4, 5, 15, 16, 33, 70] {
                for tokens in [1, 2, 3, 4, 5, 9] {
                    let bits = |arithmetic| -> Vec<u32> {
                        let all = grids(arithmetic, rows, tokens).into_iter();
                        all.map(f32::to_bits).collect()
                    };
                    let name = (profile.name(), kernel.name());
                    assert_eq!(bits(plain), bits(instance), "{name:?} {rows} × {tokens}");
                }
            }
        }
    }
}

#[test]
fn no_two_profiles_are_the_same() {
    for (i, &profile) in Profile::ALL.iter().enumerate() {
        for &other in &Profile::ALL[i + 1..] {
            for len in [64, 100, 260] {
                let of = |profile| results(arithmetic(profile, Kernel::Scalar), len);
                let names = (profile.name(), other.name());
                assert_ne!(of(profile), of(other), "{names:?} {len}");
            }
        }
    }
}

#[test]
fn profiles_are_found_by_their_names() {
    for profile in Profile::ALL {
        assert_eq!(Profile::from_name(profile.name()), Some(profile));
    }
    assert_eq!(Profile::from_name("ggml"), None);
}
