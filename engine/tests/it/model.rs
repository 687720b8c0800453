//! Whole models: what is refused when one is opened, and what holds for every pass.

mod binding;
mod one_by_one;
mod passes;
mod probing;
pub mod random;

use std::path::PathBuf;

use engine::numerics::Profile;
use engine::session::{Model, OpenOptions, Session, SessionOptions, Wanted};

use random::Recipe;

/// The trained model of the fixtures.
fn moby() -> Model {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures");
    let path = PathBuf::from(fixtures).join("moby-tiny/moby-tiny-b158.gguf");
    Model::open(&path, &OpenOptions::default()).expect("a valid fixture")
}

/// A random model.
fn made(recipe: &Recipe) -> Model {
    let file = random::file(recipe, random::tensors(recipe));
    Model::from_bytes(file, &OpenOptions::default()).expect("a valid model")
}

fn options() -> SessionOptions {
    SessionOptions {
        context: 128,
        ubatch: 128,
        threads: 1,
        profile: Profile::default(),
    }
}

fn session(model: &Model) -> Session {
    Session::new(model, options()).expect("enough memory")
}

/// Tokens that mean nothing, all inside a vocabulary of 64.
fn tokens(count: usize) -> Vec<u32> {
    (0..count as u32).map(|i| (i * 29 + 3) % 64).collect()
}

/// Logits at every position, computed in one go.
fn prefill(model: &Model, tokens: &[u32]) -> Vec<f32> {
    let mut session = session(model);
    session.feed(tokens, Wanted::All, &mut ()).expect("finite")
}

/// The first place where two results differ in any bit.
fn first_difference(a: &[f32], b: &[f32]) -> Option<usize> {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .position(|(a, b)| a.to_bits() != b.to_bits())
}
