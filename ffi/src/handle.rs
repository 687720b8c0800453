//! Owned pointers into the library: made by one of its functions, freed by another when dropped.

use std::ptr::{NonNull, null_mut};

use crate::bindings::{Shim, bitnet_shim_model, bitnet_shim_session};
use crate::error::Error;
use crate::loaded::Loaded;

/// Something the library made and only the library can free.
pub struct Handle<T: Owned> {
    raw: NonNull<T>,
    loaded: &'static Loaded,
}

/// A kind of thing the library makes.
pub trait Owned {
    /// Frees one.
    ///
    /// # Safety
    ///
    /// `raw` was made by `shim`'s function for this kind, is freed once, and whatever was made
    /// from it is gone.
    unsafe fn free(shim: &Shim, raw: *mut Self);
}

impl Owned for bitnet_shim_model {
    unsafe fn free(shim: &Shim, raw: *mut Self) {
        // SAFETY: the caller's promise is this function's rule.
        unsafe { shim.bitnet_shim_model_free(raw) }
    }
}

impl Owned for bitnet_shim_session {
    unsafe fn free(shim: &Shim, raw: *mut Self) {
        // SAFETY: the caller's promise is this function's rule.
        unsafe { shim.bitnet_shim_session_free(raw) }
    }
}

impl<T: Owned> Handle<T> {
    /// What `make` stores where it is told, if it answers OK.
    pub fn open(
        loaded: &'static Loaded,
        call: &'static str,
        make: impl FnOnce(&Shim, *mut *mut T) -> i32,
    ) -> Result<Self, Error> {
        let mut raw = null_mut();
        loaded.call(call, |shim| make(shim, &raw mut raw))?;
        let raw = NonNull::new(raw).expect("the interface answers OK only with a handle");
        Ok(Handle { raw, loaded })
    }

    /// Runs one function of the interface on it.
    pub fn call(
        &self,
        name: &'static str,
        run: impl FnOnce(&Shim, *mut T) -> i32,
    ) -> Result<(), Error> {
        self.loaded.call(name, |shim| run(shim, self.raw.as_ptr()))
    }

    /// The library that made it.
    pub fn loaded(&self) -> &'static Loaded {
        self.loaded
    }

    /// The pointer, alive as long as this is.
    pub fn as_ptr(&self) -> *const T {
        self.raw.as_ptr()
    }
}

impl<T: Owned> std::fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {:?}", self.raw, self.loaded)
    }
}

impl<T: Owned> Drop for Handle<T> {
    fn drop(&mut self) {
        // SAFETY: `open` got the pointer from the library's own function; this is the only place
        // that frees, and what was made from it borrows it.
        unsafe { T::free(self.loaded.shim(), self.raw.as_ptr()) }
    }
}
