//! The loaded library: one per process, its interface number checked before anything else is
//! called, and the floating-point control register compared around every call.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::bindings::{self, Shim};
use crate::error::{Error, Status};
use crate::facts::Identity;
use crate::float_environment::control_word;
use crate::log;
use crate::reference::Prepared;

/// Lives as long as the process: the library starts threads and registers tables that do not
/// survive being unloaded.
pub struct Loaded {
    path: PathBuf,
    shim: Shim,
    identity: Identity,
}

static OPEN: Mutex<Option<&'static Loaded>> = Mutex::new(None);

impl Loaded {
    /// Loads a prepared reference. Opening the same one again hands out the same one; opening
    /// another is refused, because the dynamic linker would silently serve it the first one's
    /// functions.
    pub fn open(prepared: &Prepared) -> Result<&'static Self, Error> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        match *open {
            Some(loaded) if loaded.path == prepared.shim => Ok(loaded),
            Some(loaded) => Err(Error::SecondReference {
                open: loaded.path.clone(),
                asked: prepared.shim.clone(),
            }),
            None => {
                let loaded = watched("loading the library", || Loaded::load(prepared))??;
                Ok(open.insert(Box::leak(Box::new(loaded))))
            }
        }
    }

    /// What the library says of itself.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The interface, for a function that cannot fail.
    pub fn shim(&self) -> &Shim {
        &self.shim
    }

    /// Runs one function of the interface and turns its status into a result.
    pub fn call(&self, name: &'static str, run: impl FnOnce(&Shim) -> i32) -> Result<(), Error> {
        let status = watched(name, || run(&self.shim))?;
        check(&self.shim, name, status)
    }

    fn load(prepared: &Prepared) -> Result<Self, Error> {
        let path = prepared.shim.clone();
        if let Some(architecture) = prepared.tree.foreign() {
            let reason = format!(
                "it is built for {architecture}; `scripts/test-aarch64.sh live` runs references \
                 for aarch64"
            );
            return Err(Error::Load { path, reason });
        }
        let unloadable = |e: libloading::Error| Error::Load {
            path: path.clone(),
            reason: e.to_string(),
        };
        // SAFETY: runs the initialisers of the library and of what it depends on. They are the
        // reference's own; the caller asked for exactly this code to be run.
        let library = unsafe { libloading::Library::new(&path) }.map_err(unloadable)?;
        // SAFETY: our header declares this symbol, with this signature, in every version.
        let abi = unsafe { library.get::<unsafe extern "C" fn() -> u32>(b"bitnet_shim_abi\0") };
        // SAFETY: the function takes nothing and answers a constant.
        let found = unsafe { abi.map_err(unloadable)?() };
        let expected = bindings::BITNET_SHIM_ABI;
        if found != expected {
            return Err(Error::Interface {
                path,
                expected,
                found,
            });
        }
        // SAFETY: the number just checked stands for the header the bindings were made from, so
        // every symbol has the signature that `bindings` gives it.
        let shim = unsafe { Shim::from_library(library) }.map_err(unloadable)?;
        // SAFETY: `on_log` has the declared type and lives for ever; it ignores its user pointer.
        let status = unsafe { shim.bitnet_shim_init(Some(log::on_log), std::ptr::null_mut()) };
        check(&shim, "bitnet_shim_init", status)?;
        let identity = parse_identity(&read_identity(&shim)?);
        require_same(&prepared.tree.libllama, &identity.libllama)?;
        Ok(Loaded {
            path,
            shim,
            identity,
        })
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

/// Compares the control register around a call; a change would also change our own arithmetic.
fn watched<T>(during: &'static str, run: impl FnOnce() -> T) -> Result<T, Error> {
    let before = control_word();
    let result = run();
    let after = control_word();
    if before == after {
        Ok(result)
    } else {
        Err(Error::FloatEnvironment {
            before,
            after,
            during,
        })
    }
}

fn check(shim: &Shim, call: &'static str, status: i32) -> Result<(), Error> {
    let status = match u32::try_from(status).unwrap_or(u32::MAX) {
        bindings::BITNET_SHIM_OK => return Ok(()),
        bindings::BITNET_SHIM_INVALID => Status::Invalid,
        bindings::BITNET_SHIM_UNSUPPORTED => Status::Unsupported,
        bindings::BITNET_SHIM_FAILED => Status::Failed,
        bindings::BITNET_SHIM_EXCEPTION => Status::Exception,
        bindings::BITNET_SHIM_TOO_SMALL => Status::TooSmall,
        bindings::BITNET_SHIM_STOPPED => Status::Stopped,
        _ => Status::Unknown(status),
    };
    // SAFETY: the header promises a C string that lives until this thread's next call; it is
    // copied here, before any.
    let message = unsafe { CStr::from_ptr(shim.bitnet_shim_last_message()) };
    Err(Error::Refused {
        call,
        status,
        message: message.to_string_lossy().into_owned(),
    })
}

fn read_identity(shim: &Shim) -> Result<String, Error> {
    let mut text = vec![0_u8; 64 * 1024];
    let mut needed = 0;
    // SAFETY: the buffer is as long as the capacity says and both pointers are live.
    let status =
        unsafe { shim.bitnet_shim_identity(text.as_mut_ptr().cast(), text.len(), &raw mut needed) };
    check(shim, "bitnet_shim_identity", status)?;
    text.truncate(needed);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn parse_identity(text: &str) -> Identity {
    let mut details: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect();
    let mut take = |key: &str| details.remove(key).unwrap_or_default();
    Identity {
        api: take("api"),
        system_info: take("system_info"),
        libllama: take("libllama").into(),
        libggml: take("libggml").into(),
        details,
    }
}

fn require_same(expected: &Path, loaded: &Path) -> Result<(), Error> {
    let real = |path: &Path| path.canonicalize().map_err(|e| Error::io(path, e));
    if real(expected)? == real(loaded)? {
        return Ok(());
    }
    Err(Error::WrongLibrary {
        expected: expected.to_owned(),
        loaded: loaded.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::parse_identity;

    #[test]
    fn an_identity_is_read_line_by_line() {
        let text = "api=x\nsystem_info=AVX = 1 | FMA = 0 | \nlibllama=/a/b.so\nsizeof_batch=72\n";
        let identity = parse_identity(text);
        assert_eq!(identity.system_info, "AVX = 1 | FMA = 0 |");
        assert_eq!(identity.libllama, std::path::Path::new("/a/b.so"));
        assert_eq!(identity.details["sizeof_batch"], "72");
        assert!(!identity.details.contains_key("api"));
    }
}
