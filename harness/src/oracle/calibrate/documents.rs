//! Texts to calibrate with: the model writes them itself, so they are of the kind it knows, and
//! no other text is needed.

use engine::numerics::Profile;
use engine::sampler::{Sampler, Sampling};
use engine::session::{SessionOptions, Wanted};
use engine::{Model, Session};

use crate::case::Case;
use crate::exit::Failure;

/// How many texts, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Texts.
    pub documents: usize,
    /// Tokens sampled for each.
    pub length: usize,
    /// The first text is sampled with this seed, the next with the next.
    pub seed: u64,
}

/// Tokens computed together at most.
const UBATCH: usize = 512;

/// Samples the texts, each a case that asks for every position.
pub fn write(
    model: &Model,
    name: &str,
    extent: Extent,
    mut done: impl FnMut(),
) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    for number in 0..extent.documents {
        cases.push(document(model, name, extent, number)?);
        done();
    }
    Ok(cases)
}

fn document(model: &Model, name: &str, extent: Extent, number: usize) -> Result<Case, Failure> {
    let tokenizer = model.tokenizer().ok_or_else(|| {
        Failure::input("the model has no vocabulary, so it cannot write the texts")
    })?;
    let mut sampler = Sampler::new(Sampling {
        temperature: 1.0,
        seed: extent.seed + number as u64,
        ..Sampling::default()
    })?;
    let start = tokenizer.encode("", true, true);
    let options = SessionOptions {
        context: start.len().max(1) + extent.length,
        ubatch: UBATCH,
        threads: 1,
        profile: Profile::GgmlAvx512,
    };
    let mut session = Session::new(model, options)?;
    let mut tokens = Vec::new();
    let mut next = if start.is_empty() {
        vec![sampler.sample(&vec![0.0; model.config().vocab_size])]
    } else {
        start
    };
    while tokens.len() < extent.length {
        let logits = session.feed(&next, Wanted::Last, &mut ())?;
        let token = sampler.sample(&logits);
        tokens.push(token);
        next = vec![token];
    }
    let prompt = tokenizer.decode(&tokens, false);
    // What the text means to a reader; the ids sampled are only one way to spell it.
    let read = tokenizer.encode(&prompt, true, true).len();
    let title = format!("document-{:02}", number + 1);
    Ok(Case {
        context: read,
        nodes: 0,
        ..Case::of_prompt(&title, name, &prompt, read)
    })
}
