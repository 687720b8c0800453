//! The register that decides how this thread rounds and what it does with denormals.

/// The bits that change results: rounding, flush-to-zero, denormals-are-zero, exception masks.
/// Sticky exception flags are left out: arithmetic itself sets them.
pub fn control_word() -> u64 {
    read()
}

#[cfg(target_arch = "x86_64")]
fn read() -> u64 {
    let mut mxcsr: u32 = 0;
    // SAFETY: SSE, and with it this instruction, is a part of x86-64; it writes four bytes to the
    // address of a live u32 and changes nothing else.
    unsafe {
        std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags));
    }
    u64::from(mxcsr & !0x3f)
}

#[cfg(target_arch = "aarch64")]
fn read() -> u64 {
    let fpcr: u64;
    // SAFETY: FPCR is readable in user mode on every AArch64; nothing but the output changes.
    unsafe {
        std::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack, preserves_flags));
    }
    fpcr
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn read() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_fresh_thread_rounds_to_nearest_and_keeps_denormals() {
        assert_eq!(super::control_word(), 0x1f80);
        assert!(std::hint::black_box(1e-39_f32) * std::hint::black_box(1.0) != 0.0);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_change_is_seen() {
        let word = |mxcsr: u32| {
            // SAFETY: loads a valid control word (only bits 0..=15 set) from a live u32; the
            // thread is this test's own, and the second call below restores the default.
            unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr) };
            super::control_word()
        };
        assert_eq!(word(0x9fc0), 0x9fc0);
        assert_eq!(word(0x1f80), 0x1f80);
    }
}
