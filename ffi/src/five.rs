//! An engine that a user compiled as a shared library: the five functions of `subject.h`, loaded
//! and checked. It runs in the calling process; whoever must survive it calls from another one.

use std::ffi::{CStr, CString, OsString, c_char, c_void};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use crate::error::Error;

type Identity = unsafe extern "C" fn() -> *const c_char;
type Open = unsafe extern "C" fn(*const c_char, i32, i32, i32) -> *mut c_void;
type Feed = unsafe extern "C" fn(*mut c_void, *const i32, i32, i32) -> i32;
type Logits = unsafe extern "C" fn(*mut c_void, *mut i32, *mut i32) -> *const f32;
type Free = unsafe extern "C" fn(*mut c_void);

/// The library, with its five functions.
pub struct Five {
    identity: Identity,
    open: Open,
    feed: Feed,
    logits: Logits,
    free: Free,
    path: PathBuf,
    // Behind the pointers, which it keeps valid.
    _library: libloading::Library,
}

/// A session in the library.
pub struct FiveSession<'l> {
    library: &'l Five,
    session: NonNull<c_void>,
}

impl Five {
    /// Loads a library and looks its functions up.
    pub fn load(path: &Path) -> Result<Self, Error> {
        // A path without a slash would be looked for in the system's folders.
        let path = std::path::absolute(path).map_err(|e| Error::Load {
            path: path.to_owned(),
            reason: e.to_string(),
        })?;
        let unloadable = |e: libloading::Error| Error::Load {
            path: path.clone(),
            reason: e.to_string(),
        };
        let name: OsString = path.clone().into();
        // SAFETY: runs the initialisers of the library, which the caller asked for.
        let library = unsafe { libloading::Library::new(name) }.map_err(unloadable)?;
        macro_rules! function {
            ($name:literal, $kind:ty) => {
                // SAFETY: `subject.h` declares this symbol with this signature.
                *unsafe { library.get::<$kind>(concat!($name, "\0").as_bytes()) }
                    .map_err(unloadable)?
            };
        }
        Ok(Five {
            identity: function!("subject_identity", Identity),
            open: function!("subject_open", Open),
            feed: function!("subject_feed", Feed),
            logits: function!("subject_logits", Logits),
            free: function!("subject_free", Free),
            path,
            _library: library,
        })
    }

    /// What it says of itself.
    pub fn identity(&self) -> String {
        // SAFETY: takes nothing; the header asks for a string that stays valid, or nothing.
        let told = unsafe { (self.identity)() };
        if told.is_null() {
            return String::new();
        }
        // SAFETY: not null, and the header asks for a string that ends.
        let told = unsafe { CStr::from_ptr(told) };
        told.to_string_lossy().into_owned()
    }

    /// Opens a model file: room for so many positions, so many tokens together, so many threads.
    pub fn open(
        &self,
        model: &Path,
        [context, ubatch, threads]: [usize; 3],
    ) -> Result<FiveSession<'_>, Error> {
        let refused = |reason: &str| Error::Load {
            path: self.path.clone(),
            reason: reason.to_owned(),
        };
        let name = CString::new(model.to_string_lossy().as_bytes());
        let name = name.map_err(|_| refused("the model's path holds a zero byte"))?;
        let small = |n: usize| i32::try_from(n).map_err(|_| refused("a number is too large"));
        let (context, ubatch, threads) = (small(context)?, small(ubatch)?, small(threads)?);
        // SAFETY: the string ends with a zero byte and lives for the call.
        let session = unsafe { (self.open)(name.as_ptr(), context, ubatch, threads) };
        let session = NonNull::new(session).ok_or_else(|| {
            refused("subject_open does not accept the model; its last words say why")
        })?;
        Ok(FiveSession {
            library: self,
            session,
        })
    }
}

impl FiveSession<'_> {
    /// Computes tokens behind those before them: the rows it hands out, and the length of one.
    pub fn feed(&mut self, tokens: &[i32], last_only: bool) -> Result<(Vec<f32>, usize), Error> {
        let failed = |reason: String| Error::Load {
            path: self.library.path.clone(),
            reason,
        };
        let count = i32::try_from(tokens.len());
        let count = count.map_err(|_| failed("too many tokens at once".into()))?;
        let session = self.session.as_ptr();
        // SAFETY: the library opened the session and did not free it; the ids live for the call.
        let status =
            unsafe { (self.library.feed)(session, tokens.as_ptr(), count, i32::from(last_only)) };
        if status != 0 {
            return Err(failed(format!("subject_feed answered {status}")));
        }
        let (mut rows, mut vocab) = (0, 0);
        // SAFETY: as above; both places live for the call.
        let logits = unsafe { (self.library.logits)(session, &mut rows, &mut vocab) };
        let expected = if last_only { 1 } else { count };
        if logits.is_null() || rows != expected || vocab <= 0 {
            return Err(failed(format!(
                "subject_logits has {rows} rows of {vocab} logits: expected {expected} rows"
            )));
        }
        let (rows, vocab) = (rows as usize, vocab as usize);
        // SAFETY: the header asks for as many floats as the two numbers say, valid until the next
        // call; they are copied before that.
        let values = unsafe { std::slice::from_raw_parts(logits, rows * vocab) };
        Ok((values.to_vec(), vocab))
    }
}

impl Drop for FiveSession<'_> {
    fn drop(&mut self) {
        // SAFETY: opened by this library, freed once.
        unsafe { (self.library.free)(self.session.as_ptr()) }
    }
}
