//! The tile unit in plain Rust, as its instructions are defined, and the panels computed with it:
//! the layout is tested where there is no such unit.

use std::num::NonZeroUsize;

use super::{BYTES, Configured, ROWS, TileUnit, WHOLE};
use crate::flavor::Shape;
use crate::kernels::activation::RowScale;
use crate::kernels::gemm::{Inputs, Stored, outputs};
use crate::kernels::scalar;
use crate::kernels::ternary::Rows;
use crate::kernels::x86::dot::Dpbusd512;
use crate::kernels::x86::panel;
use crate::pool::{Pool, Target};

/// Eight tiles.
#[derive(Default)]
struct Model {
    tiles: [Tile; 8],
    configured: bool,
    products: usize,
}

struct Tile([[u8; BYTES]; ROWS]);

impl Default for Tile {
    fn default() -> Self {
        // What was there before is nobody's zeros.
        Tile([[0x55; BYTES]; ROWS])
    }
}

impl Model {
    fn tile(&mut self, number: u8) -> &mut [[u8; BYTES]; ROWS] {
        assert!(self.configured, "a tile is used outside of a configuration");
        &mut self.tiles[usize::from(number)].0
    }
}

// SAFETY: what is read and written the callers vouch for, as for the unit itself.
unsafe impl TileUnit for &mut Model {
    unsafe fn configure(&mut self) {
        assert_eq!((WHOLE.palette, size_of_val(&WHOLE)), (1, 64));
        assert!(
            WHOLE.rows[..8]
                .iter()
                .all(|&rows| usize::from(rows) == ROWS)
        );
        assert!(
            WHOLE.row_bytes[..8]
                .iter()
                .all(|&n| usize::from(n) == BYTES)
        );
        self.configured = true;
    }

    unsafe fn zero<const T: u8>(&mut self) {
        *self.tile(T) = [[0; BYTES]; ROWS];
    }

    unsafe fn load<const T: u8>(&mut self, from: *const u8, stride: usize) {
        for (r, row) in self.tile(T).iter_mut().enumerate() {
            // SAFETY: as the caller says.
            *row = unsafe { from.add(r * stride).cast::<[u8; BYTES]>().read_unaligned() };
        }
    }

    unsafe fn store<const T: u8>(&mut self, to: *mut [i32; ROWS]) {
        for (r, row) in self.tile(T).iter().enumerate() {
            let lanes = row.as_chunks::<4>().0;
            let lanes = std::array::from_fn(|n| i32::from_le_bytes(lanes[n]));
            // SAFETY: as the caller says.
            unsafe { to.add(r).write(lanes) };
        }
    }

    unsafe fn multiply<const C: u8, const A: u8, const B: u8>(&mut self) {
        let (a, b) = (*self.tile(A), *self.tile(B));
        for (m, row) in self.tile(C).iter_mut().enumerate() {
            for (n, lane) in row.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let product = |(k, i): (usize, usize)| {
                    i32::from(a[m][4 * k + i].cast_signed()) * i32::from(b[k][4 * n + i])
                };
                let all = (0..ROWS).flat_map(|k| (0..4).map(move |i| (k, i)));
                let sum = i32::from_le_bytes(*lane) + all.map(product).sum::<i32>();
                *lane = sum.to_le_bytes();
            }
        }
        self.products += 1;
    }

    unsafe fn release(&mut self) {
        self.configured = false;
    }
}

#[test]
fn one_product_by_hand() {
    let mut model = Model::default();
    let mut unit = &mut model;
    let (mut a, mut b) = ([[0u8; BYTES]; ROWS], [[0u8; BYTES]; ROWS]);
    // Token 2 has −3 in column 5; row 7 has code 2 there: the second group of four, the second.
    a[2][5] = (-3i8).cast_unsigned();
    b[1][4 * 7 + 1] = 2;
    let mut sums = [[0; ROWS]; ROWS];
    // SAFETY: everything is an array of the model's.
    unsafe {
        unit.configure();
        unit.zero::<0>();
        unit.load::<1>(a.as_ptr().cast(), BYTES);
        unit.load::<2>(b.as_ptr().cast(), BYTES);
        unit.multiply::<0, 1, 2>();
        unit.multiply::<0, 1, 2>();
        unit.store::<0>(sums.as_mut_ptr());
        unit.release();
    }
    let mut expected = [[0; ROWS]; ROWS];
    expected[2][7] = -12;
    assert_eq!((sums, model.configured), (expected, false));
}

/// Panels computed with the model against the scalar kernel: sizes at which tiles of one and two
/// begin and end, more columns than are unpacked at a time, activations at both ends.
#[test]
fn panels_of_tiles_give_the_bits_of_the_scalar_kernel() {
    if crate::kernels::avx512::Avx512Vnni::new().is_none() {
        return println!("this machine has no AVX-512 VNNI, which computes what fills no tile");
    }
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    for (cols, tokens) in [
        (128, 16),
        (256, 32),
        (384, 33),
        (128, 47),
        (2688, 50),
        (640, 15),
    ] {
        let shape = Shape { rows: 64, cols };
        let bytes: Vec<u8> = (0..64 * cols / 4).map(|_| next()).collect();
        let weights = Stored::from_vec(shape, bytes, vec![0.5]);
        let ends = [127i8, -127, -128];
        let int8: Vec<i8> = (0..tokens * cols)
            .map(|i| match i / cols % 3 {
                0 => ends[usize::from(next() % 3)],
                _ => next().cast_signed(),
            })
            .collect();
        let scales = vec![RowScale { scale: 3.0, sum: 7 }; tokens];
        let inputs = Inputs {
            tokens,
            int8: &int8,
            scales: &scales,
            ..Inputs::default()
        };
        let expected = outputs(&scalar::I2_S, &weights, &inputs);
        let mut out = vec![f32::NAN; 64 * tokens];
        let target = Target {
            out: &mut out,
            rows: 64,
            tile: 64,
        };
        let used = std::sync::Mutex::new(0);
        Pool::new(NonZeroUsize::MIN).over_bands([target], |_, band| {
            let rows = Rows::of(&weights, &inputs, band);
            let mut model = Model::default();
            for row in [0, 32] {
                // SAFETY: AVX-512 VNNI is there.
                unsafe {
                    let mut unit = Configured::new(&mut model);
                    panel::multiply::<Dpbusd512>(&rows, row, tokens, band, &mut unit);
                }
            }
            *used.lock().expect("one thread") += model.products;
        });
        let differs = |i: &usize| out[*i].to_bits() != expected[*i].to_bits();
        let first = (0..out.len()).find(differs);
        assert_eq!(first, None, "{cols} columns, {tokens} tokens");
        let products = 2 * 2 * (tokens / 16) * (cols / BYTES);
        assert_eq!(used.into_inner().expect("one thread"), products);
    }
}
