//! The engine behind a C header: handles, codes and messages, and no panic across the boundary.
//!
//! `engine.h` beside this crate says what each function does.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::slice;

use engine::sampler::Sampling;
use engine::session::SessionOptions;
use engine::{Error, Model, Session, Token};

const OK: i32 = 0;
const REFUSED: i32 = 1;
const FAILED: i32 = 2;
const ROOM: i32 = 3;
const BUG: i32 = 4;

thread_local! {
    /// What went wrong last on this thread.
    static LAST: RefCell<CString> = RefCell::default();
}

/// Why a call has no result.
struct Failure {
    code: i32,
    message: String,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = if matches!(error, Error::Eval(_)) {
            FAILED
        } else {
            REFUSED
        };
        let message = error.to_string();
        Failure { code, message }
    }
}

fn refused(message: impl Into<String>) -> Failure {
    let message = message.into();
    Failure {
        code: REFUSED,
        message,
    }
}

/// Does it, and turns whatever goes wrong into a code and a message.
fn guarded(work: impl FnOnce() -> Result<(), Failure>) -> i32 {
    // A session that a panic went through is in the caller's hands; its fields are plain data.
    let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let message = "PANIC: a bug of the engine; standard error says where".to_owned();
        Err(Failure { code: BUG, message })
    });
    let Err(Failure { code, message }) = done else {
        return OK;
    };
    let message = CString::new(message.replace('\0', "\u{fffd}")).unwrap_or_default();
    LAST.with(|last| *last.borrow_mut() = message);
    code
}

/// What a pointer points to.
///
/// # Safety
/// It is NULL, or points to a `T` that nobody changes meanwhile.
unsafe fn known<'a, T>(pointer: *const T, what: &str) -> Result<&'a T, Failure> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(|| refused(format!("NULL_POINTER: {what} is NULL")))
}

/// What a pointer points to, to be changed.
///
/// # Safety
/// It is NULL, or points to a `T` that nobody else uses meanwhile.
unsafe fn own<'a, T>(pointer: *mut T, what: &str) -> Result<&'a mut T, Failure> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or_else(|| refused(format!("NULL_POINTER: {what} is NULL")))
}

/// So many values from a pointer on; NULL is allowed where there are none.
///
/// # Safety
/// It is NULL, or points to so many of them.
unsafe fn values<'a, T>(pointer: *const T, count: usize, what: &str) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    // SAFETY: the caller's promise.
    unsafe { known(pointer, what)? };
    // SAFETY: not NULL, and the caller's promise.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// # Safety
/// NULL, or a string that ends with a 0.
unsafe fn text<'a>(pointer: *const c_char, what: &str) -> Result<&'a str, Failure> {
    // SAFETY: the caller's promise.
    unsafe { known(pointer, what)? };
    // SAFETY: not NULL, and the caller's promise.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str()
        .map_err(|e| refused(format!("NOT_UTF8: {what}: {e}")))
}

/// Copies values to where there is room for `count` of them, and says how many there are.
///
/// # Safety
/// `to` has room for `count` values, `count` is NULL or a number that nobody else uses.
unsafe fn hand_over<T: Copy>(found: &[T], to: *mut T, count: *mut usize) -> Result<(), Failure> {
    // SAFETY: the caller's promise.
    let room = std::mem::replace(unsafe { own(count, "the count")? }, found.len());
    if found.len() > room {
        let message = format!("ROOM: there is room for {room}, {} are needed", found.len());
        return Err(Failure {
            code: ROOM,
            message,
        });
    }
    if !found.is_empty() {
        // SAFETY: the caller's promise.
        unsafe { own(to, "the result")? };
        // SAFETY: not NULL, and by the caller's promise there is room, of which `found` is no part.
        unsafe { to.copy_from_nonoverlapping(found.as_ptr(), found.len()) };
    }
    Ok(())
}

/// See `engine.h`.
#[unsafe(no_mangle)]
pub extern "C" fn engine_error() -> *const c_char {
    LAST.with(|last| last.borrow().as_ptr())
}

/// # Safety
/// As `engine.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_open(path: *const c_char, model: *mut *mut Model) -> i32 {
    guarded(|| {
        // SAFETY: the caller's promise.
        let (path, place) = unsafe { (text(path, "the path")?, own(model, "the model")?) };
        *place = std::ptr::null_mut();
        *place = Box::into_raw(Box::new(engine::open(Path::new(path))?));
        Ok(())
    })
}

/// # Safety
/// As `engine.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_close(model: *mut Model) {
    if !model.is_null() {
        guarded(|| {
            // SAFETY: `engine_open` made it, and the caller gives it back.
            drop(unsafe { Box::from_raw(model) });
            Ok(())
        });
    }
}

/// # Safety
/// As `engine.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_vocabulary(model: *const Model) -> usize {
    // SAFETY: the caller's promise.
    unsafe { model.as_ref() }.map_or(0, |model| model.config().vocab_size)
}

/// # Safety
/// As `engine.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_tokenize(
    model: *const Model,
    words: *const c_char,
    tokens: *mut Token,
    count: *mut usize,
) -> i32 {
    guarded(|| {
        // SAFETY: the caller's promise.
        let (model, words) = unsafe { (known(model, "the model")?, text(words, "the text")?) };
        let found = model.tokenize(words)?;
        // SAFETY: the caller's promise.
        unsafe { hand_over(&found, tokens, count) }
    })
}

/// # Safety
/// As `engine.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_detokenize(
    model: *const Model,
    tokens: *const Token,
    count: usize,
    words: *mut c_char,
    length: *mut usize,
) -> i32 {
    guarded(|| {
        // SAFETY: the caller's promise.
        let (model, tokens) = unsafe {
            (
                known(model, "the model")?,
                values(tokens, count, "the tokens")?,
            )
        };
        let found = model.detokenize(tokens)?;
        // SAFETY: the caller's promise.
        let room = unsafe { *known(length, "the length")? };
        // SAFETY: the caller's promise.
        unsafe { hand_over(found.as_bytes(), words.cast(), length)? };
        if found.len() < room {
            // SAFETY: there is room for one more.
            unsafe { own(words, "the text")? };
            // SAFETY: the same.
            unsafe { words.add(found.len()).write(0) };
        }
        Ok(())
    })
}

/// # Safety
/// As `engine.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_begin(
    model: *const Model,
    threads: usize,
    session: *mut *mut Session,
) -> i32 {
    guarded(|| {
        // SAFETY: the caller's promise.
        let (model, place) = unsafe { (known(model, "the model")?, own(session, "the session")?) };
        *place = std::ptr::null_mut();
        let mut options = SessionOptions::of(model);
        if threads > 0 {
            options.threads = threads;
        }
        let begun = Session::new(model, options).map_err(Error::from)?;
        *place = Box::into_raw(Box::new(begun));
        Ok(())
    })
}

/// # Safety
/// As `engine.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_end(session: *mut Session) {
    if !session.is_null() {
        guarded(|| {
            // SAFETY: `engine_begin` made it, and the caller gives it back.
            drop(unsafe { Box::from_raw(session) });
            Ok(())
        });
    }
}

/// # Safety
/// As `engine.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_logits(
    session: *mut Session,
    tokens: *const Token,
    count: usize,
    logits: *mut f32,
    mut room: usize,
) -> i32 {
    guarded(|| {
        // SAFETY: the caller's promise.
        let (session, tokens) = unsafe {
            (
                own(session, "the session")?,
                values(tokens, count, "the tokens")?,
            )
        };
        let needed = count.saturating_mul(session.model().config().vocab_size);
        if room < needed {
            let message = format!("ROOM: there is room for {room} logits, {needed} are needed");
            return Err(Failure {
                code: ROOM,
                message,
            });
        }
        let found = session.logits(tokens)?;
        // SAFETY: the caller's promise.
        unsafe { hand_over(&found, logits, &raw mut room) }
    })
}

/// # Safety
/// As `engine.h` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_generate(
    session: *mut Session,
    prompt: *const Token,
    count: usize,
    tokens: *mut Token,
    most: *mut usize,
) -> i32 {
    guarded(|| {
        // SAFETY: the caller's promise.
        let (session, prompt) = unsafe {
            (
                own(session, "the session")?,
                values(prompt, count, "the prompt")?,
            )
        };
        // SAFETY: the caller's promise.
        let room = unsafe { *known(most, "the count")? };
        let generation = session.generate(prompt, &Sampling::default())?;
        let found: Result<Vec<Token>, _> = generation.at_most(room).collect();
        // SAFETY: the caller's promise.
        unsafe { hand_over(&found?, tokens, most) }
    })
}
