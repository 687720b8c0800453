//! The same types where no reference can be opened: opening refuses, and nothing can exist that
//! would have to be asked anything.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::marker::PhantomData;
use std::path::Path;

use crate::error::Error;
use crate::facts::{
    ActivationRow, Identity, ModelFacts, ModelOptions, RequantizeOptions, SessionOptions, Text,
    TokenFacts, TypeFacts, Wanted,
};
use crate::node::Observe;
use crate::reference::Prepared;

/// A reference, open in this process: there is none in this build.
#[derive(Debug, Clone, Copy)]
pub struct Library(Infallible);

/// A loaded file: there is none in this build.
#[derive(Debug)]
pub struct Model(Infallible);

/// A context of a model's: there is none in this build.
#[derive(Debug)]
pub struct Session<'m>(Infallible, PhantomData<&'m Model>);

/// Single functions of a library: there are none in this build.
#[derive(Debug, Clone, Copy)]
pub struct Kernels(Infallible);

#[allow(missing_docs)] // documented where they do something
impl Library {
    pub fn open(prepared: &Prepared) -> Result<Self, Error> {
        Err(Error::NotCompiledIn(prepared.shim.clone()))
    }

    pub fn identity(&self) -> &Identity {
        match self.0 {}
    }

    pub fn model(&self, _: &Path, _: &ModelOptions) -> Result<Model, Error> {
        match self.0 {}
    }

    pub fn kernels(&self) -> Kernels {
        match self.0 {}
    }

    pub fn requantize(&self, _: &Path, _: &Path, _: &RequantizeOptions) -> Result<(), Error> {
        match self.0 {}
    }

    pub fn log_tail(&self) -> String {
        match self.0 {}
    }
}

#[allow(missing_docs)] // documented where they do something
impl Model {
    pub fn facts(&self) -> &ModelFacts {
        match self.0 {}
    }

    pub fn session(&self, _: &SessionOptions) -> Result<Session<'_>, Error> {
        match self.0 {}
    }

    pub fn observed_session<'m>(
        &'m self,
        _: &SessionOptions,
        _: &'m mut dyn Observe,
    ) -> Result<Session<'m>, Error> {
        match self.0 {}
    }

    pub fn token(&self, _: u32) -> Result<TokenFacts, Error> {
        match self.0 {}
    }

    pub fn tokenize(&self, _: &[u8], _: bool, _: bool) -> Result<Vec<u32>, Error> {
        match self.0 {}
    }

    pub fn detokenize(&self, _: &[u32], _: bool, _: Text) -> Result<Vec<u8>, Error> {
        match self.0 {}
    }
}

#[allow(missing_docs)] // documented where they do something
impl Session<'_> {
    pub fn decode(&mut self, _: &[u32], _: usize, _: Wanted<'_>) -> Result<Vec<f32>, Error> {
        match self.0 {}
    }

    pub fn clear(&mut self) -> Result<(), Error> {
        match self.0 {}
    }

    pub fn truncate(&mut self, _: usize) -> Result<(), Error> {
        match self.0 {}
    }
}

// Dropping the real ones frees something, and ends borrows where they are dropped.
impl Drop for Model {
    fn drop(&mut self) {
        match self.0 {}
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        match self.0 {}
    }
}

#[allow(missing_docs)] // documented where they do something
impl Kernels {
    pub fn describe(&self, _: i32) -> Result<TypeFacts, Error> {
        match self.0 {}
    }

    pub fn quantize(
        &self,
        _: i32,
        _: &[f32],
        _: usize,
        _: Option<&[f32]>,
    ) -> Result<Vec<u8>, Error> {
        match self.0 {}
    }

    pub fn dequantize(&self, _: i32, _: &[u8], _: usize) -> Result<Vec<f32>, Error> {
        match self.0 {}
    }

    pub fn quantize_activation(&self, _: i32, _: &[f32]) -> Result<ActivationRow, Error> {
        match self.0 {}
    }

    pub fn dot(&self, _: i32, _: usize, _: &[u8], _: &[u8]) -> Result<f32, Error> {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use crate::reference::{Prepared, Provenance, Tree};
    use crate::{Error, Library};

    #[test]
    fn opening_refuses_and_names_what_would_be_opened() {
        let tree = Tree {
            root: "/r".into(),
            includes: vec![],
            libllama: "/r/l".into(),
            libggml: vec![],
        };
        let provenance = Provenance {
            name: None,
            origin: "nowhere".into(),
            commit: None,
            compiler: None,
            flags: None,
            sha256: vec![],
        };
        let shim = "/r/libbitnet_shim.so".into();
        let prepared = Prepared {
            name: "r".into(),
            shim,
            tree,
            provenance,
        };
        let refusal = Library::open(&prepared).unwrap_err();
        assert!(matches!(refusal, Error::NotCompiledIn(_)), "{refusal}");
        assert!(refusal.to_string().contains("/r/libbitnet_shim.so"));
        assert!(!crate::support_compiled_in());
    }
}

/// An engine that a user compiled: none can be opened in this build.
#[derive(Debug, Clone, Copy)]
pub struct Five(Infallible);

/// A session in one: there is none in this build.
#[derive(Debug)]
pub struct FiveSession<'l>(Infallible, PhantomData<&'l Five>);

#[allow(missing_docs)] // documented where they do something
impl Five {
    pub fn load(path: &Path) -> Result<Self, Error> {
        Err(Error::NotCompiledIn(path.to_owned()))
    }

    pub fn identity(&self) -> String {
        match self.0 {}
    }

    pub fn open(&self, _: &Path, _: [usize; 3]) -> Result<FiveSession<'_>, Error> {
        match self.0 {}
    }
}

#[allow(missing_docs)] // documented where they do something
impl FiveSession<'_> {
    pub fn feed(&mut self, _: &[i32], _: bool) -> Result<(Vec<f32>, usize), Error> {
        match self.0 {}
    }

    pub fn feed_watched(
        &mut self,
        _: &[i32],
        _: bool,
        _: &mut dyn FnMut(&str, &[usize], &mut [f32]),
    ) -> Result<(Vec<f32>, usize), Error> {
        match self.0 {}
    }
}
