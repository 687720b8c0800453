//! Arguments as C takes them, and answers as Rust takes them.
#![forbid(unsafe_code)]

use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{Error, Status};

/// A path as C takes it.
pub fn c_path(call: &'static str, path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::Argument {
        call,
        what: format!("{path:?} contains a NUL"),
    })
}

/// Token ids as the library counts them.
pub fn as_tokens(call: &'static str, tokens: &[u32]) -> Result<Vec<i32>, Error> {
    tokens
        .iter()
        .map(|&token| as_i32(call, token as usize))
        .collect()
}

/// A number as the library counts.
pub fn as_i32(call: &'static str, number: usize) -> Result<i32, Error> {
    i32::try_from(number).map_err(|_| Error::Argument {
        call,
        what: format!("{number} exceeds the library's 32-bit numbers"),
    })
}

/// The text in a fixed array, up to its first zero or its end.
pub fn text_in(array: &[c_char]) -> String {
    let bytes: Vec<u8> = array
        .iter()
        .map(|&c| c as u8)
        .take_while(|&c| c != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Calls with a buffer; if it was too short, once more with the length that was asked for.
pub fn growing<T: Clone + Default>(
    buffer: &mut Vec<T>,
    mut fill: impl FnMut(&mut Vec<T>, *mut usize) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut needed = 0;
    let mut answer = fill(buffer, &raw mut needed);
    if let Err(Error::Refused {
        status: Status::TooSmall,
        ..
    }) = answer
    {
        buffer.resize(needed, T::default());
        answer = fill(buffer, &raw mut needed);
    }
    answer?;
    buffer.truncate(needed);
    Ok(())
}
