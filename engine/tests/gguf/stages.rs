//! The stages a file goes through, and the word of the first that has an objection.

use std::path::{Path, PathBuf};

use engine::bytes::ModelBytes;
use engine::config::Config;
use engine::gguf::{Gguf, Warning};
use engine::refusal::Refusal;
use engine::session::{EvalError, Model, OpenOptions, Session, SessionOptions, Wanted};
use engine::tokenizer::Tokenizer;

use crate::case::Stage;

/// The stage that had the last word, and what it said: the warnings, or why not.
pub struct Verdict {
    pub stage: Stage,
    pub outcome: Result<Vec<Warning>, Refusal>,
}

/// Everything that happens before a weight is touched, and the search for numbers that are none
/// if that is what decides.
pub fn read(bytes: Vec<u8>, decides: Stage) -> Verdict {
    let mut stage = Stage::Parse;
    let outcome = Gguf::parse(ModelBytes::from_vec(bytes)).and_then(|gguf| {
        stage = Stage::Config;
        Config::from_gguf(&gguf)?;
        stage = Stage::Tokenizer;
        let tokenizer = Tokenizer::from_metadata(&gguf.metadata)?;
        let mut warnings = gguf.warnings.clone();
        warnings.extend(tokenizer.iter().flat_map(|t| t.warnings().to_vec()));
        if decides == Stage::Finite {
            stage = Stage::Finite;
            gguf.check_finite()?;
        }
        Ok(warnings)
    });
    Verdict { stage, outcome }
}

/// A file that is gone when the test is over.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str, bytes: &[u8]) -> Self {
        let name = format!("engine-{name}-{}.gguf", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind at worst; the test has its verdict.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Opens the file as users do.
pub fn open(path: &Path) -> Result<Model, Refusal> {
    Model::open(path, &OpenOptions::default())
}

/// Feeds a few tokens and demands finite logits of all of them.
pub fn evaluate(model: &Model) -> Result<(), EvalError> {
    let options = SessionOptions {
        context: 8,
        ubatch: 2,
        threads: 1,
        profile: Default::default(),
    };
    let tokens = [1, 100, 7];
    let mut session = Session::new(model, options).expect("the base files have 64 positions");
    let logits = session.feed(&tokens, Wanted::All, &mut ())?;
    assert_eq!(logits.len(), tokens.len() * model.config().vocab_size);
    assert!(
        logits.iter().all(|logit| logit.is_finite()),
        "a logit that is no number"
    );
    Ok(())
}
