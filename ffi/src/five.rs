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
type Node = unsafe extern "C" fn(*mut c_void, *const c_char, *const i64, i32, *mut f32);
type Watch = unsafe extern "C" fn(*mut c_void, Option<Node>, *mut c_void);

/// Looks at a node, its key, shape and values, and may put others in their place.
pub type Look<'a> = dyn FnMut(&str, &[usize], &mut [f32]) + 'a;

/// The library, with its five functions.
pub struct Five {
    identity: Identity,
    open: Open,
    feed: Feed,
    logits: Logits,
    free: Free,
    watch: Option<Watch>,
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
        // SAFETY: as above; whoever shows no nodes lacks it.
        let watch = unsafe { library.get::<Watch>(b"subject_watch\0") };
        let watch = watch.ok().map(|symbol| *symbol);
        Ok(Five {
            watch,
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

    /// The same with `look` at every node.
    pub fn feed_watched(
        &mut self,
        tokens: &[i32],
        last_only: bool,
        mut look: &mut Look<'_>,
    ) -> Result<(Vec<f32>, usize), Error> {
        let watch = self.library.watch.ok_or_else(|| Error::Load {
            path: self.library.path.clone(),
            reason: "it offers nodes, and has no subject_watch".into(),
        })?;
        let session = self.session.as_ptr();
        // SAFETY: the library opened the session and did not free it; what the pointer names
        // outlives the feed, behind which nobody looks any more.
        unsafe { watch(session, Some(see), (&raw mut look).cast()) };
        let fed = self.feed(tokens, last_only);
        // SAFETY: as above.
        unsafe { watch(session, None, std::ptr::null_mut()) };
        fed
    }
}

/// What the library calls; a node that cannot be one is passed over.
unsafe extern "C" fn see(
    data: *mut c_void,
    key: *const c_char,
    shape: *const i64,
    dims: i32,
    values: *mut f32,
) {
    let Ok(dims) = usize::try_from(dims) else {
        return;
    };
    if key.is_null() || values.is_null() || (shape.is_null() && dims > 0) {
        return;
    }
    // SAFETY: not null, and the header asks for a string that ends.
    let key = unsafe { CStr::from_ptr(key) }.to_string_lossy();
    let sizes = (0..dims).map(|at| {
        // SAFETY: the header asks for so many of them.
        usize::try_from(unsafe { *shape.add(at) }).ok()
    });
    let Some(shape) = sizes.collect::<Option<Vec<usize>>>() else {
        return;
    };
    let count = shape
        .iter()
        .try_fold(1, |n: usize, size| n.checked_mul(*size));
    let Some(count) = count.filter(|&count| count <= isize::MAX as usize / 4) else {
        return;
    };
    // SAFETY: `feed_watched` gave the library this pointer, and waits for the feed to end.
    let look = unsafe { &mut *data.cast::<&mut Look<'_>>() };
    // SAFETY: the header asks for as many floats as the shape says, which nobody else touches
    // during the call.
    look(&key, &shape, unsafe {
        std::slice::from_raw_parts_mut(values, count)
    });
}

impl Drop for FiveSession<'_> {
    fn drop(&mut self) {
        // SAFETY: opened by this library, freed once.
        unsafe { (self.library.free)(self.session.as_ptr()) }
    }
}
