//! What this process asks of the kernel: words before it dies of a vanished page, and bounds on
//! its own memory and time.
//!
//! The one file of the crate that needs `unsafe`, because a signal handler is.

use engine::bytes::Storage;

/// How to open a model whose pages may vanish. Another process that truncates a mapped file makes
/// the kernel end us with SIGBUS, wherever we are. Nothing can be saved then, but it can be said:
/// the file is mapped where the death can be explained, and read into memory elsewhere.
pub fn map_or_read() -> Storage {
    if explain_sigbus() {
        Storage::Map
    } else {
        Storage::Read
    }
}

/// Which number of bytes in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resident {
    /// At this moment.
    Now,
    /// The most so far.
    Peak,
}

/// Bytes of a process that are in memory, pages of mapped files included, as the kernel counts
/// them; nothing for the dead and on systems without `/proc`.
pub fn resident(process: u32, which: Resident) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let key = match which {
        Resident::Now => "VmRSS:",
        Resident::Peak => "VmHWM:",
    };
    let value = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// From here on this process dies rather than use more than `bytes` of address space or `seconds`
/// of processor time. Whether the kernel agreed.
#[cfg(unix)]
pub fn bound(bytes: u64, seconds: u64) -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let set = |resource, most: u64| {
        // What somebody has bounded before can only be bounded further.
        let least = Some(
            getrlimit(resource)
                .maximum
                .map_or(most, |own| own.min(most)),
        );
        let (current, maximum) = (least, least);
        setrlimit(resource, Rlimit { current, maximum }).is_ok()
    };
    set(Resource::As, bytes) && set(Resource::Cpu, seconds)
}

/// There is nobody to ask here.
#[cfg(not(unix))]
pub fn bound(_bytes: u64, _seconds: u64) -> bool {
    false
}

/// Registers the last words. Whether that worked.
#[cfg(target_os = "linux")]
fn explain_sigbus() -> bool {
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

/// Elsewhere the signal means other things as well.
#[cfg(not(target_os = "linux"))]
fn explain_sigbus() -> bool {
    false
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
