//! The end of what the library logs in this process, kept at hand.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_void};
use std::panic::catch_unwind;
use std::sync::{Mutex, PoisonError};

/// Bytes of log text kept; older text is dropped.
const KEPT: usize = 64 * 1024;

static LOG: Mutex<VecDeque<u8>> = Mutex::new(VecDeque::new());

/// The last 64 KiB of what the library logged in this process.
pub fn tail() -> String {
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(log.make_contiguous()).into_owned()
}

/// Receives a log line; the other side is C++ and must not see a panic.
///
/// # Safety
///
/// `text` is null or a C string that lives until the return.
pub unsafe extern "C" fn on_log(_user: *mut c_void, _level: i32, text: *const c_char) {
    if text.is_null() {
        return;
    }
    // SAFETY: not null, checked above; a live C string by this function's contract, which
    // `bitnet_shim_log` in the header promises.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    // A panic here could only be a failed allocation's; the line is lost then.
    let _ = catch_unwind(|| append(bytes));
}

fn append(bytes: &[u8]) {
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    log.extend(&bytes[bytes.len().saturating_sub(KEPT)..]);
    let excess = log.len().saturating_sub(KEPT);
    log.drain(..excess);
}

#[cfg(test)]
mod tests {
    use super::{KEPT, append, on_log, tail};

    #[test]
    fn the_log_keeps_its_end_and_survives_null() {
        append(b"the beginning");
        append(&vec![b'.'; 2 * KEPT]);
        // SAFETY: null is allowed by the contract; the literal is a live C string.
        unsafe {
            on_log(std::ptr::null_mut(), 0, std::ptr::null());
            on_log(std::ptr::null_mut(), 0, c"the end".as_ptr());
        }
        let kept = tail();
        assert_eq!(kept.len(), KEPT);
        assert!(kept.ends_with(".the end") && !kept.contains("beginning"));
    }
}
