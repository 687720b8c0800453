//! A model the library holds: its facts, its vocabulary, text to tokens and back.

use std::ffi::CStr;
use std::path::Path;

use crate::bindings::{
    bitnet_shim_model, bitnet_shim_model_facts, bitnet_shim_model_options, bitnet_shim_token_facts,
};
use crate::convert::{as_i32, as_tokens, c_path, growing, text_in};
use crate::error::Error;
use crate::facts::{ModelFacts, ModelOptions, SessionOptions, Text, TokenFacts};
use crate::handle::Handle;
use crate::loaded::Loaded;
use crate::node::Observe;
use crate::session::Session;

/// A loaded file. Freed when dropped; a [`Session`] borrows it, so none can outlive it.
#[derive(Debug)]
pub struct Model {
    handle: Handle<bitnet_shim_model>,
    facts: ModelFacts,
}

// SAFETY: the library ties nothing of a model to the thread that loaded it. It is not `Sync`:
// nothing promises that two threads may ask it questions at once.
unsafe impl Send for Model {}

impl Model {
    pub(crate) fn open(
        loaded: &'static Loaded,
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
        let handle = Handle::open(loaded, "model", |shim, model| {
            // SAFETY: the path, the options and the output live through the call.
            unsafe { shim.bitnet_shim_model_open(path.as_ptr(), &raw const options, model) }
        })?;
        let facts = describe(&handle)?;
        Ok(Model { handle, facts })
    }

    /// What the library knows about it.
    pub fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// A context to feed tokens to, unobserved.
    pub fn session(&self, options: &SessionOptions) -> Result<Session<'_>, Error> {
        Session::open(&self.handle, self.facts.n_vocab, options, None)
    }

    /// A context whose graph `observer` watches.
    pub fn observed_session<'m>(
        &'m self,
        options: &SessionOptions,
        observer: &'m mut dyn Observe,
    ) -> Result<Session<'m>, Error> {
        Session::open(&self.handle, self.facts.n_vocab, options, Some(observer))
    }

    /// One entry of the vocabulary.
    pub fn token(&self, token: u32) -> Result<TokenFacts, Error> {
        let token = as_i32("token", token as usize)?;
        let mut facts = bitnet_shim_token_facts {
            size: size_of::<bitnet_shim_token_facts>() as u32,
            ..Default::default()
        };
        self.handle.call("token", |shim, model| {
            // SAFETY: the model is live and the output lives through the call.
            unsafe { shim.bitnet_shim_token_describe(model, token, &raw mut facts) }
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
            self.handle.call("tokenize", |shim, model| {
                // SAFETY: text and tokens are as long as said; every pointer is live.
                unsafe {
                    shim.bitnet_shim_tokenize(
                        model,
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
            self.handle.call("detokenize", |shim, model| {
                // SAFETY: tokens and text are as long as said; every pointer is live.
                unsafe {
                    shim.bitnet_shim_detokenize(
                        model,
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
}

fn describe(model: &Handle<bitnet_shim_model>) -> Result<ModelFacts, Error> {
    let mut facts = bitnet_shim_model_facts {
        size: size_of::<bitnet_shim_model_facts>() as u32,
        ..Default::default()
    };
    model.call("model", |shim, model| {
        // SAFETY: the model is live and the output lives through the call.
        unsafe { shim.bitnet_shim_model_describe(model, &raw mut facts) }
    })?;
    let known = |n: i32| usize::try_from(n).ok();
    let token = |id: i32| u32::try_from(id).ok();
    let flag = |n: i32| (n >= 0).then_some(n != 0);
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
        description: text_in(&facts.description),
    })
}
