//! A model the library holds: its facts, its vocabulary, text to tokens and back.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{NonNull, null_mut};

use crate::bindings::{
    bitnet_shim_model, bitnet_shim_model_facts, bitnet_shim_model_options, bitnet_shim_token_facts,
};
use crate::error::{Error, Status};
use crate::facts::{ModelFacts, ModelOptions, SessionOptions, Text, TokenFacts};
use crate::library::Library;
use crate::node::Observe;
use crate::session::Session;

/// A loaded file. Freed when dropped; a [`Session`] borrows it, so none can outlive it.
#[derive(Debug)]
pub struct Model {
    raw: NonNull<bitnet_shim_model>,
    library: Library,
    facts: ModelFacts,
}

// SAFETY: the library ties nothing of a model to the thread that loaded it. It is not `Sync`:
// nothing promises that two threads may ask it questions at once.
unsafe impl Send for Model {}

impl Model {
    pub(crate) fn open(
        library: Library,
        file: &Path,
        options: &ModelOptions,
    ) -> Result<Self, Error> {
        let path = c_path("model", file)?;
        let options = bitnet_shim_model_options {
            size: size_of::<bitnet_shim_model_options>() as u32,
            vocab_only: options.vocab_only.into(),
            use_mmap: options.use_mmap.into(),
            check_tensors: options.check_tensors.into(),
            repack: options.repack.into(),
        };
        let mut raw = null_mut();
        library.call("model", |shim| {
            // SAFETY: the path, the options and the output live through the call.
            unsafe { shim.bitnet_shim_model_open(path.as_ptr(), &raw const options, &raw mut raw) }
        })?;
        let raw = NonNull::new(raw).expect("the interface answers OK only with a handle");
        // From here on the handle is owned, so an error below frees it.
        let mut model = Model {
            raw,
            library,
            facts: empty_facts(),
        };
        model.facts = model.describe()?;
        Ok(model)
    }

    /// What the library knows about it.
    pub fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// A context to feed tokens to, unobserved.
    pub fn session(&self, options: &SessionOptions) -> Result<Session<'_>, Error> {
        Session::open(self, options, None)
    }

    /// A context whose graph `observer` watches.
    pub fn observed_session<'m>(
        &'m self,
        options: &SessionOptions,
        observer: &'m mut dyn Observe,
    ) -> Result<Session<'m>, Error> {
        Session::open(self, options, Some(observer))
    }

    /// One entry of the vocabulary.
    pub fn token(&self, token: u32) -> Result<TokenFacts, Error> {
        let token = as_i32("token", token as usize)?;
        let mut facts = bitnet_shim_token_facts {
            size: size_of::<bitnet_shim_token_facts>() as u32,
            ..Default::default()
        };
        self.library.call("token", |shim| {
            // SAFETY: the model is live and the output lives through the call.
            unsafe { shim.bitnet_shim_token_describe(self.raw.as_ptr(), token, &raw mut facts) }
        })?;
        let text = if facts.text.is_null() {
            Vec::new()
        } else {
            // SAFETY: a C string inside the model, which outlives this borrow; copied at once.
            unsafe { CStr::from_ptr(facts.text) }.to_bytes().to_vec()
        };
        Ok(TokenFacts {
            text,
            score: facts.score,
            attributes: facts.attributes as u32,
            is_end_of_generation: facts.is_end_of_generation != 0,
        })
    }

    /// Text to tokens. The bytes need not be UTF-8: what the library does with others is its own.
    pub fn tokenize(
        &self,
        text: &[u8],
        add_special: bool,
        parse_special: bool,
    ) -> Result<Vec<u32>, Error> {
        let mut tokens = vec![0_i32; text.len() + 8];
        growing(&mut tokens, |tokens, needed| {
            self.library.call("tokenize", |shim| {
                // SAFETY: text and tokens are as long as said; every pointer is live.
                unsafe {
                    shim.bitnet_shim_tokenize(
                        self.raw.as_ptr(),
                        text.as_ptr().cast(),
                        text.len(),
                        add_special.into(),
                        parse_special.into(),
                        tokens.as_mut_ptr(),
                        tokens.len(),
                        needed,
                    )
                }
            })
        })?;
        Ok(tokens.into_iter().map(|token| token as u32).collect())
    }

    /// Tokens to bytes.
    pub fn detokenize(
        &self,
        tokens: &[u32],
        show_special: bool,
        how: Text,
    ) -> Result<Vec<u8>, Error> {
        let tokens = as_tokens("detokenize", tokens)?;
        let mut text = vec![0_u8; 16 * tokens.len() + 64];
        growing(&mut text, |text, needed| {
            self.library.call("detokenize", |shim| {
                // SAFETY: tokens and text are as long as said; every pointer is live.
                unsafe {
                    shim.bitnet_shim_detokenize(
                        self.raw.as_ptr(),
                        tokens.as_ptr(),
                        tokens.len(),
                        show_special.into(),
                        i32::from(how == Text::Pieces),
                        text.as_mut_ptr().cast(),
                        text.len(),
                        needed,
                    )
                }
            })
        })?;
        Ok(text)
    }

    pub(crate) fn raw(&self) -> *const bitnet_shim_model {
        self.raw.as_ptr()
    }

    pub(crate) fn library(&self) -> Library {
        self.library
    }

    fn describe(&self) -> Result<ModelFacts, Error> {
        let mut facts = bitnet_shim_model_facts {
            size: size_of::<bitnet_shim_model_facts>() as u32,
            ..Default::default()
        };
        self.library.call("model", |shim| {
            // SAFETY: the model is live and the output lives through the call.
            unsafe { shim.bitnet_shim_model_describe(self.raw.as_ptr(), &raw mut facts) }
        })?;
        let known = |n: i32| usize::try_from(n).ok();
        let token = |id: i32| u32::try_from(id).ok();
        let flag = |n: i32| (n >= 0).then_some(n != 0);
        let description = facts.description.map(|c| c as u8);
        let end = description
            .iter()
            .position(|&c| c == 0)
            .unwrap_or(description.len());
        Ok(ModelFacts {
            n_vocab: known(facts.n_vocab).unwrap_or(0),
            n_embd: known(facts.n_embd),
            n_layer: known(facts.n_layer),
            n_head: known(facts.n_head),
            n_ctx_train: known(facts.n_ctx_train),
            bos: token(facts.bos),
            eos: token(facts.eos),
            eot: token(facts.eot),
            nl: token(facts.nl),
            pad: token(facts.pad),
            add_bos: flag(facts.add_bos),
            add_eos: flag(facts.add_eos),
            n_params: facts.n_params,
            n_bytes: facts.n_bytes,
            description: String::from_utf8_lossy(&description[..end]).into_owned(),
        })
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.library.release(|shim| {
            // SAFETY: the handle came from `bitnet_shim_model_open`, is freed once, here, and
            // every session that borrowed the model is gone.
            unsafe { shim.bitnet_shim_model_free(self.raw.as_ptr()) }
        });
    }
}

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

/// Calls with a buffer; if it was too short, once more with the length that was asked for.
pub fn growing<T: Clone + Default>(
    buffer: &mut Vec<T>,
    mut fill: impl FnMut(&mut Vec<T>, *mut usize) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut needed = 0;
    let short = |e: &Error| {
        matches!(
            e,
            Error::Refused {
                status: Status::TooSmall,
                ..
            }
        )
    };
    match fill(buffer, &raw mut needed) {
        Err(e) if short(&e) => {
            buffer.resize(needed, T::default());
            fill(buffer, &raw mut needed)?;
        }
        other => other?,
    }
    buffer.truncate(needed);
    Ok(())
}

fn empty_facts() -> ModelFacts {
    ModelFacts {
        n_vocab: 0,
        n_embd: None,
        n_layer: None,
        n_head: None,
        n_ctx_train: None,
        bos: None,
        eos: None,
        eot: None,
        nl: None,
        pad: None,
        add_bos: None,
        add_eos: None,
        n_params: 0,
        n_bytes: 0,
        description: String::new(),
    }
}
