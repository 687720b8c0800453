//! AMX-INT8: tiles of 16 rows of 64 bytes, and the instruction that multiplies two of them.
//!
//! Sixteen lines of a [`panel`](super::panel) are sixteen columns of four, as the right factor of a
//! product of tiles lies, and the activations of sixteen tokens are the left one where they are: no
//! layout of its own. The compiler has no stable functions for the instructions and never uses the
//! tiles itself, so each is an instruction written out, behind a trait that a model in plain Rust
//! implements, too.
//!
//! I2_S alone is multiplied so, whose integer sums run over whole rows. The order of x86 makes
//! floats of eight sums for every block of 256, row and token: for tiles of 16 by 16 eight products
//! of half depth, and then 128 lines to be stored, loaded again, converted and added, while vectors
//! need a thousand products for the same and keep their sums in registers. Blocks of 32 have eight
//! sums of four products each, a sixteenth of a tile's depth.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::hint::black_box;
use std::sync::OnceLock;

use super::panel::{Part, Tiles};
use crate::pool::Band;

#[cfg(test)]
mod model;

/// Rows of a tile.
const ROWS: usize = 16;
/// Bytes of a row.
const BYTES: usize = 64;
/// Products of one instruction.
const PRODUCTS: u64 = 16 * 16 * 64;

/// The tile unit.
///
/// # Safety
/// Functions of an implementation may be called where its instructions are, and all but
/// [`configure`](Self::configure) between that and [`release`](Self::release).
#[allow(clippy::missing_safety_doc)] // it is the trait's
pub unsafe trait TileUnit {
    /// Gives every tile 16 rows of 64 bytes.
    unsafe fn configure(&mut self);
    /// Zeros in a tile.
    unsafe fn zero<const T: u8>(&mut self);
    /// Rows from memory, so many bytes apart, into a tile.
    unsafe fn load<const T: u8>(&mut self, from: *const u8, stride: usize);
    /// The lanes of a tile to memory, row after row.
    unsafe fn store<const T: u8>(&mut self, to: *mut [i32; ROWS]);
    /// Adds the product of signed bytes in tile `A` with unsigned ones in tile `B` to tile `C`.
    unsafe fn multiply<const C: u8, const A: u8, const B: u8>(&mut self);
    /// Gives the tiles up.
    unsafe fn release(&mut self);
}

/// The unit of this processor.
pub struct Amx(());

impl Amx {
    /// The unit, where there is one and the system lets this process use it.
    pub fn new() -> Option<Self> {
        static USABLE: OnceLock<bool> = OnceLock::new();
        let usable = || processor_has_it() && system_keeps_tiles() && permitted();
        USABLE.get_or_init(usable).then_some(Amx(()))
    }

    /// Multiplies tiles that are there already, as fast as can be; how many products that were.
    pub fn multiply_registers(&mut self, rounds: u64) -> u64 {
        // SAFETY: a value proves that the instructions are there; the tiles are configured.
        unsafe {
            self.configure();
            for _ in 0..rounds {
                self.multiply::<0, 4, 6>();
                self.multiply::<1, 4, 7>();
                self.multiply::<2, 5, 6>();
                self.multiply::<3, 5, 7>();
            }
            self.release();
        }
        black_box(rounds * 4 * PRODUCTS)
    }
}

/// Whether there are tiles and products of bytes.
fn processor_has_it() -> bool {
    const TILES_AND_INT8: u32 = 1 << 24 | 1 << 25;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & TILES_AND_INT8 == TILES_AND_INT8
}

/// Whether the system keeps the tiles of a thread that is put aside.
fn system_keeps_tiles() -> bool {
    const SAVES_REGISTERS: u32 = 1 << 27;
    const TILES: u64 = 1 << 17 | 1 << 18;
    // SAFETY: the instruction is there where the system uses what it asks about.
    __cpuid(1).ecx & SAVES_REGISTERS != 0 && unsafe { _xgetbv(0) } & TILES == TILES
}

/// Asks the system for the tiles, for all threads of this process.
fn permitted() -> bool {
    if !cfg!(target_os = "linux") {
        return false;
    }
    /// `arch_prctl`, `ARCH_REQ_XCOMP_PERM`, and the tiles' data.
    const CALL: (i64, i64, i64) = (158, 0x1023, 18);
    let (number, what, which) = CALL;
    let mut result = number;
    // SAFETY: the call changes nothing but what this process may use; it overwrites these two
    // registers besides its result.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") result, in("rdi") what, in("rsi") which,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    result == 0
}

/// What the unit reads its configuration from.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Eight whole tiles.
static WHOLE: Configuration = Configuration {
    palette: 1,
    start: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

// SAFETY: each function is one instruction of the unit, whose presence a value proves.
unsafe impl TileUnit for Amx {
    #[inline(always)]
    unsafe fn configure(&mut self) {
        // SAFETY: 64 bytes are read.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const WHOLE, options(nostack, readonly)) }
    }

    #[inline(always)]
    unsafe fn zero<const T: u8>(&mut self) {
        // SAFETY: see the trait.
        unsafe { asm!("tilezero tmm{}", const T, options(nostack, nomem)) }
    }

    #[inline(always)]
    unsafe fn load<const T: u8>(&mut self, from: *const u8, stride: usize) {
        // SAFETY: the caller vouches for 16 rows of 64 bytes.
        unsafe {
            asm!(
                "tileloadd tmm{}, [{} + {} * 1]",
                const T, in(reg) from, in(reg) stride,
                options(nostack, readonly)
            );
        }
    }

    #[inline(always)]
    unsafe fn store<const T: u8>(&mut self, to: *mut [i32; ROWS]) {
        // SAFETY: the caller vouches for room for 16 rows.
        unsafe {
            asm!(
                "tilestored [{} + {} * 1], tmm{}",
                in(reg) to, in(reg) BYTES, const T,
                options(nostack)
            );
        }
    }

    #[inline(always)]
    unsafe fn multiply<const C: u8, const A: u8, const B: u8>(&mut self) {
        // SAFETY: see the trait.
        unsafe {
            asm!(
                "tdpbsud tmm{}, tmm{}, tmm{}",
                const C, const A, const B,
                options(nostack, nomem)
            );
        }
    }

    #[inline(always)]
    unsafe fn release(&mut self) {
        // SAFETY: see the trait.
        unsafe { asm!("tilerelease", options(nostack, nomem)) }
    }
}

/// A configured unit, given up at the end.
pub struct Configured<U: TileUnit>(U);

impl<U: TileUnit> Configured<U> {
    /// Configures the unit on this thread.
    ///
    /// # Safety
    /// Its instructions are there.
    pub unsafe fn new(mut unit: U) -> Self {
        // SAFETY: as the caller says.
        unsafe { unit.configure() };
        Configured(unit)
    }
}

impl<U: TileUnit> Drop for Configured<U> {
    fn drop(&mut self) {
        // SAFETY: it was configured.
        unsafe { self.0.release() };
    }
}

impl<U: TileUnit> Tiles for Configured<U> {
    /// Two tiles of tokens, or one. A lane adds up at most 3 · 128 times the columns, as with
    /// vectors.
    #[inline(always)]
    unsafe fn add(&mut self, part: &Part, token: usize, left: usize, band: &mut Band) -> usize {
        let mut sums = [[[0; ROWS]; 2 * ROWS]; 2];
        let tokens = left.min(2 * ROWS) / ROWS * ROWS;
        if tokens == 0 {
            return 0;
        }
        let (values, stride) = part.values(token, tokens);
        // SAFETY: the unit is configured; a panel of 32 rows has lines of 128 bytes, 16 for 64
        // columns, and every token has that many values.
        unsafe {
            if tokens == ROWS {
                one(
                    &mut self.0,
                    part.lines(),
                    part.cols(),
                    values,
                    stride,
                    &mut sums,
                );
            } else {
                two(
                    &mut self.0,
                    part.lines(),
                    part.cols(),
                    values,
                    stride,
                    &mut sums,
                );
            }
        }
        for t in 0..tokens {
            for (half, sums) in sums.iter_mut().enumerate() {
                part.keep_some(&mut sums[t], token + t, half * ROWS, band);
            }
        }
        tokens
    }
}

/// Sums of 16 tokens with both halves of the panel's rows.
///
/// # Safety
/// The unit is configured; lines and values are there for so many columns, a multiple of 64.
#[inline(always)]
unsafe fn one<U: TileUnit>(
    unit: &mut U,
    lines: *const u8,
    cols: usize,
    values: *const i8,
    stride: usize,
    sums: &mut [[[i32; ROWS]; 2 * ROWS]; 2],
) {
    // SAFETY: as the caller says.
    unsafe {
        unit.zero::<0>();
        unit.zero::<1>();
        for at in (0..cols).step_by(BYTES) {
            let lines = lines.add(at / 4 * 2 * BYTES);
            unit.load::<4>(values.add(at).cast(), stride);
            unit.load::<6>(lines, 2 * BYTES);
            unit.load::<7>(lines.add(BYTES), 2 * BYTES);
            unit.multiply::<0, 4, 6>();
            unit.multiply::<1, 4, 7>();
        }
        unit.store::<0>(sums[0].as_mut_ptr());
        unit.store::<1>(sums[1].as_mut_ptr());
    }
}

/// The same of 32 tokens: four sums at a time, so that none waits for the one before.
///
/// # Safety
/// As for [`one`].
#[inline(always)]
unsafe fn two<U: TileUnit>(
    unit: &mut U,
    lines: *const u8,
    cols: usize,
    values: *const i8,
    stride: usize,
    sums: &mut [[[i32; ROWS]; 2 * ROWS]; 2],
) {
    // SAFETY: as the caller says.
    unsafe {
        unit.zero::<0>();
        unit.zero::<1>();
        unit.zero::<2>();
        unit.zero::<3>();
        for at in (0..cols).step_by(BYTES) {
            let lines = lines.add(at / 4 * 2 * BYTES);
            unit.load::<6>(lines, 2 * BYTES);
            unit.load::<7>(lines.add(BYTES), 2 * BYTES);
            unit.load::<4>(values.add(at).cast(), stride);
            unit.load::<5>(values.add(at + ROWS * stride).cast(), stride);
            unit.multiply::<0, 4, 6>();
            unit.multiply::<1, 4, 7>();
            unit.multiply::<2, 5, 6>();
            unit.multiply::<3, 5, 7>();
        }
        unit.store::<0>(sums[0].as_mut_ptr());
        unit.store::<1>(sums[1].as_mut_ptr());
        unit.store::<2>(sums[0].as_mut_ptr().add(ROWS));
        unit.store::<3>(sums[1].as_mut_ptr().add(ROWS));
    }
}
