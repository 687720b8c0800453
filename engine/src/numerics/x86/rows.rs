//! Stored rows as the vectors of singles that they become, each format in a few lines.

use super::vector::Vector;
use crate::flavor::{bitnet32_f16, qk256, split32};
use crate::numerics::half::{Half, widen_bf16, widen_f16};

/// A row that becomes singles.
///
/// # Safety
/// [`vector`](Self::vector) may be called where the instructions of `V` are and where the row has
/// all the elements it asks for; it reads nothing else.
#[allow(clippy::missing_safety_doc)] // it is the trait's
pub unsafe trait Row: Copy {
    /// Whether an element is a number as it lies in memory, so that reading is all the work.
    const DENSE: bool = false;
    /// How many elements it has, or more than that where blocks are padded.
    fn elements(self) -> usize;
    /// The elements from `at` on, a whole number of vectors.
    unsafe fn vector<V: Vector>(self, at: usize) -> V;
    /// One element.
    fn single(self, at: usize) -> f32;
    /// Where in memory an element is.
    fn place(self, at: usize) -> *const u8;
}

// SAFETY: a vector's elements from `at` on, as the caller vouches.
unsafe impl Row for &[f32] {
    const DENSE: bool = true;

    #[inline(always)]
    fn elements(self) -> usize {
        self.len()
    }

    #[inline(always)]
    unsafe fn vector<V: Vector>(self, at: usize) -> V {
        // SAFETY: see the trait.
        unsafe { V::load(self.as_ptr().add(at)) }
    }

    #[inline(always)]
    fn single(self, at: usize) -> f32 {
        self[at]
    }

    #[inline(always)]
    fn place(self, at: usize) -> *const u8 {
        self.as_ptr().wrapping_add(at).cast()
    }
}

// SAFETY: as above.
unsafe impl Row for &[[u8; 4]] {
    const DENSE: bool = true;

    #[inline(always)]
    fn elements(self) -> usize {
        self.len()
    }

    #[inline(always)]
    unsafe fn vector<V: Vector>(self, at: usize) -> V {
        // SAFETY: see the trait; x86 is little endian.
        unsafe { V::load(self.as_ptr().add(at).cast()) }
    }

    #[inline(always)]
    fn single(self, at: usize) -> f32 {
        f32::from_le_bytes(self[at])
    }

    #[inline(always)]
    fn place(self, at: usize) -> *const u8 {
        self.as_ptr().wrapping_add(at).cast()
    }
}

// SAFETY: as above.
unsafe impl Row for &[Half] {
    const DENSE: bool = true;

    #[inline(always)]
    fn elements(self) -> usize {
        self.len()
    }

    #[inline(always)]
    unsafe fn vector<V: Vector>(self, at: usize) -> V {
        // SAFETY: see the trait.
        unsafe { V::halves(self.as_ptr().add(at)) }
    }

    #[inline(always)]
    fn single(self, at: usize) -> f32 {
        widen_f16(self[at])
    }

    #[inline(always)]
    fn place(self, at: usize) -> *const u8 {
        self.as_ptr().wrapping_add(at).cast()
    }
}

/// bfloat16.
#[derive(Clone, Copy)]
pub struct Bfloats<'a>(pub &'a [Half]);

// SAFETY: as above.
unsafe impl Row for Bfloats<'_> {
    const DENSE: bool = true;

    #[inline(always)]
    fn elements(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    unsafe fn vector<V: Vector>(self, at: usize) -> V {
        // SAFETY: see the trait.
        unsafe { V::bfloats(self.0.as_ptr().add(at)) }
    }

    #[inline(always)]
    fn single(self, at: usize) -> f32 {
        widen_bf16(self.0[at])
    }

    #[inline(always)]
    fn place(self, at: usize) -> *const u8 {
        self.0.place(at)
    }
}

/// Codes of QK256.
#[derive(Clone, Copy)]
pub struct Qk256<'a>(pub &'a [u8]);

// SAFETY: the bytes that hold a vector's codes.
unsafe impl Row for Qk256<'_> {
    #[inline(always)]
    fn elements(self) -> usize {
        4 * self.0.len()
    }

    #[inline(always)]
    unsafe fn vector<V: Vector>(self, at: usize) -> V {
        // SAFETY: see the trait.
        unsafe { V::look_up(self.0.as_ptr().add(at / 4), V::fours(&qk256::VALUES)) }
    }

    #[inline(always)]
    fn single(self, at: usize) -> f32 {
        qk256::value_of(self.0[at / 4] >> (2 * (at % 4)) & 3)
    }

    #[inline(always)]
    fn place(self, at: usize) -> *const u8 {
        self.0.as_ptr().wrapping_add(at / 4)
    }
}

/// Blocks of BitNet32-F16.
#[derive(Clone, Copy)]
pub struct Bitnet32F16<'a>(pub &'a [[u8; bitnet32_f16::BLOCK_BYTES]]);

impl Bitnet32F16<'_> {
    #[inline(always)]
    fn scale(self, block: usize) -> Half {
        *self.0[block].last_chunk().expect("ten bytes")
    }
}

// SAFETY: the bytes that hold a vector's codes, which a block holds all.
unsafe impl Row for Bitnet32F16<'_> {
    #[inline(always)]
    fn elements(self) -> usize {
        bitnet32_f16::BLOCK * self.0.len()
    }

    #[inline(always)]
    unsafe fn vector<V: Vector>(self, at: usize) -> V {
        let (block, within) = (at / bitnet32_f16::BLOCK, at % bitnet32_f16::BLOCK);
        // SAFETY: see the trait.
        unsafe {
            let values = V::multiply(V::fours(&qk256::VALUES), V::half(self.scale(block)));
            V::look_up(self.0[block].as_ptr().add(within / 4), values)
        }
    }

    #[inline(always)]
    fn single(self, at: usize) -> f32 {
        let (block, within) = (at / bitnet32_f16::BLOCK, at % bitnet32_f16::BLOCK);
        Qk256(&self.0[block]).single(within) * widen_f16(self.scale(block))
    }

    #[inline(always)]
    fn place(self, at: usize) -> *const u8 {
        self.0
            .as_ptr()
            .wrapping_add(at / bitnet32_f16::BLOCK)
            .cast()
    }
}

/// Codes of Split32, and their scales.
#[derive(Clone, Copy)]
pub struct Split32<'a> {
    /// The codes.
    pub codes: &'a [u8],
    /// One a block.
    pub scales: &'a [f32],
}

// SAFETY: the bytes that hold a vector's codes.
unsafe impl Row for Split32<'_> {
    #[inline(always)]
    fn elements(self) -> usize {
        (4 * self.codes.len()).min(split32::BLOCK * self.scales.len())
    }

    #[inline(always)]
    unsafe fn vector<V: Vector>(self, at: usize) -> V {
        let scale = self.scales[at / split32::BLOCK];
        // SAFETY: see the trait.
        unsafe {
            let values = V::multiply(V::fours(&qk256::VALUES), V::same(scale));
            V::look_up(self.codes.as_ptr().add(at / 4), values)
        }
    }

    #[inline(always)]
    fn single(self, at: usize) -> f32 {
        Qk256(self.codes).single(at) * self.scales[at / split32::BLOCK]
    }

    #[inline(always)]
    fn place(self, at: usize) -> *const u8 {
        Qk256(self.codes).place(at)
    }
}
