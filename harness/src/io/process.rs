//! What this process asks of the kernel: a sentence before it dies of a vanished page, and an end
//! to the descriptors it was born with.
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

/// Closes every descriptor beside the standard three and `kept`: those that whoever started this
/// program forgot to close. To be called before anything here has opened one.
#[cfg(unix)]
pub fn close_inherited(kept: std::os::fd::RawFd) {
    let listed = std::fs::read_dir("/proc/self/fd").or_else(|_| std::fs::read_dir("/dev/fd"));
    let names = listed.into_iter().flatten().flatten();
    let numbers = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // All of them first: the list itself is one, and closed by then.
    let open: Vec<std::os::fd::RawFd> = numbers.collect();
    for number in open {
        if number > 2 && number != kept {
            // SAFETY: the caller promises that no value of this program owns it.
            unsafe { libc::close(number) };
        }
    }
}

/// Registers the handler. Whether that worked.
#[cfg(target_os = "linux")]
fn explain_sigbus() -> bool {
    let handler: extern "C" fn(libc::c_int) = on_sigbus;
    // SAFETY: all-zero bytes are a valid `sigaction`: no flags, an empty mask, the default
    // handler. `on_sigbus` has the signature that the kernel calls without `SA_SIGINFO`, and it
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
extern "C" fn on_sigbus(_signal: libc::c_int) {
    const WORDS: &[u8] = b"\nerror: FILE_CHANGED: a page of the model cannot be read any more: \
        the file was truncated while it was in use, or its disk failed; nothing computed from it \
        counts\n";
    // SAFETY: the pointer and the length are those of one static byte string.
    unsafe { libc::write(libc::STDERR_FILENO, WORDS.as_ptr().cast(), WORDS.len()) };
    // SAFETY: `_exit` ends the process at once and runs no code of ours.
    unsafe { libc::_exit(crate::exit::Exit::Environment as libc::c_int) }
}
