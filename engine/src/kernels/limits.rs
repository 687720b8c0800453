//! What this machine can do at most, measured beside what is timed: the bytes it streams from
//! memory, the int8 products it makes out of registers.
#![allow(unsafe_code)]

use std::hint::black_box;

use super::Kernel;

/// Bytes read one after the other and folded together, so that none can be left out; as fast as the
/// kernels read rows, which ask the second level of the cache ahead of their loads.
pub fn stream(kernel: Kernel, bytes: &[u8]) -> u64 {
    match kernel {
        Kernel::Scalar => fold(bytes, |_| ()),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the value proves that this CPU has AVX2.
        Kernel::Avx2(_) => unsafe { x86::stream_avx2(bytes) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the value proves that this CPU has AVX-512.
        Kernel::Avx512Vnni(_) => unsafe { x86::stream_avx512(bytes) },
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon(_) => fold(bytes, |_| ()),
    }
}

#[inline(always)]
fn fold(bytes: &[u8], ahead: impl Fn(&[u8; 64])) -> u64 {
    let (lines, rest) = bytes.as_chunks::<64>();
    let mut folded = [0_u64; 8];
    for line in lines {
        ahead(line);
        let (words, _) = line.as_chunks::<8>();
        for (fold, word) in folded.iter_mut().zip(words) {
            *fold ^= u64::from_le_bytes(*word);
        }
    }
    let rest = rest
        .iter()
        .fold(0, |fold: u64, byte| fold.rotate_left(8) ^ u64::from(*byte));
    folded.iter().fold(rest, |fold, word| fold ^ word)
}

/// Multiplies and adds int8 values in registers, as fast as the instruction set has it; how many
/// products that were. Nothing is read from memory, so no product of matrices is faster.
pub fn int8_products(kernel: Kernel, rounds: u64) -> u64 {
    match kernel {
        Kernel::Scalar => {
            let mut sums = [0_i32; CHAINS];
            let (one, other) = (black_box([3_i8; CHAINS]), black_box([5_i8; CHAINS]));
            for _ in 0..rounds {
                for (sum, (a, b)) in sums.iter_mut().zip(one.iter().zip(&other)) {
                    *sum = black_box(sum.wrapping_add(i32::from(*a) * i32::from(*b)));
                }
            }
            rounds * CHAINS as u64
        }
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2(avx2) => {
            avx2.multiply_registers(rounds);
            rounds * (CHAINS * 32) as u64
        }
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512Vnni(vnni) => vnni.multiply_registers(rounds),
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon(neon) => neon.multiply_registers(rounds),
    }
}

/// Sums that do not wait for each other: more than the latency of an addition.
pub(super) const CHAINS: usize = 12;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::fold;

    /// How far ahead memory is asked for.
    const AHEAD: usize = 8192;

    #[target_feature(enable = "avx2")]
    pub(super) fn stream_avx2(bytes: &[u8]) -> u64 {
        fold(bytes, prefetch)
    }

    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
    pub(super) fn stream_avx512(bytes: &[u8]) -> u64 {
        fold(bytes, prefetch)
    }

    #[inline(always)]
    fn prefetch(line: &[u8; 64]) {
        let ahead = line.as_ptr().wrapping_add(AHEAD);
        // SAFETY: every x86-64 has the instruction, and it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(ahead.cast()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_folded_in_and_every_product_counted() {
        let bytes: Vec<u8> = (0..200_u32).map(|i| (i * 7) as u8).collect();
        for kernel in Kernel::available() {
            let whole = stream(kernel, &bytes);
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 1;
                assert_ne!(stream(kernel, &other), whole, "byte {at} was not read");
            }
            let (one, ten) = (int8_products(kernel, 1), int8_products(kernel, 10));
            assert_eq!((one % CHAINS as u64, ten), (0, 10 * one));
        }
    }
}
