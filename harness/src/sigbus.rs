//! Mapping a model, and dying with a sentence when the map does not hold.
//!
//! Another process that truncates a mapped file makes the kernel end us with SIGBUS, wherever we
//! are. Nothing can be saved then, but it can be said: this is the one file of the crate that
//! needs `unsafe`, to register a function for the signal.

use engine::bytes::Storage;

/// How to open a model whose pages may vanish: mapped where the death can be explained, read into
/// memory elsewhere.
pub fn storage() -> Storage {
    match explain_death() {
        true => Storage::Map,
        false => Storage::Read,
    }
}

#[cfg(not(target_os = "linux"))]
fn explain_death() -> bool {
    false
}

/// Registers the last words. Whether that worked.
#[cfg(target_os = "linux")]
fn explain_death() -> bool {
    let handler: extern "C" fn(libc::c_int) = last_words;
    // SAFETY: all-zero bytes are a valid `sigaction`: no flags, an empty mask, the default
    // handler. `last_words` has the signature that the kernel calls without `SA_SIGINFO`, and it
    // calls nothing but `write` and `_exit`, which POSIX allows in a signal handler.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        // The stack may be what cannot be read; the standard library gives every thread another.
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()) == 0
    }
}

#[cfg(target_os = "linux")]
extern "C" fn last_words(_signal: libc::c_int) {
    const WORDS: &[u8] = b"\nerror: FILE_CHANGED: a page of the model cannot be read any more: \
        the file was truncated while it was in use, or its disk failed; nothing computed from it \
        counts\n";
    // SAFETY: the pointer and the length are those of one static byte string.
    unsafe { libc::write(libc::STDERR_FILENO, WORDS.as_ptr().cast(), WORDS.len()) };
    // SAFETY: `_exit` ends the process at once and runs no code of ours.
    unsafe { libc::_exit(crate::exit::Exit::Environment as libc::c_int) }
}
