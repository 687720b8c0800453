//! Tokens that are computed together as if they came one by one: what a guess of the next tokens
//! is checked by.

use std::path::Path;

use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::session::{EvalError, Model, OpenOptions, Session, SessionOptions, Wanted};

use crate::model::passes::recipes;
use crate::model::random::{self, Format, Recipe};
use crate::model::{first_difference, made, options, session, tokens};

/// Positions before the tokens, and their number: more than a ubatch takes, and across the end of
/// what attention pads to.
const PORTIONS: [(usize, usize); 2] = [(0, 20), (29, 7)];
/// Tokens computed together at most.
const UBATCH: usize = 16;

/// Logits of tokens behind a prompt, then of three more that come singly.
fn logits(
    model: &Model,
    options: &SessionOptions,
    (before, count): (usize, usize),
    feed: impl Fn(&mut Session, &[u32]) -> Result<Vec<f32>, EvalError>,
) -> Vec<f32> {
    let mut session = Session::new(model, options.clone()).expect("enough memory");
    let all = tokens(before + count + 3);
    let prompt = session.feed(&all[..before], Wanted::Last, &mut ());
    prompt.expect("finite");
    let mut logits = feed(&mut session, &all[before..before + count]).expect("finite");
    logits.extend(singly(&mut session, &all[before + count..]).expect("finite"));
    logits
}

fn singly(session: &mut Session, tokens: &[u32]) -> Result<Vec<f32>, EvalError> {
    let mut logits = Vec::new();
    for &token in tokens {
        logits.extend(session.feed(&[token], Wanted::All, &mut ())?);
    }
    Ok(logits)
}

/// Compares every portion on every kernel in every profile; whether a portion differs where its
/// tokens are simply fed together.
fn compare(file: &[u8], name: &str) -> bool {
    let mut differ = false;
    for profile in Profile::ALL {
        for kernel in Kernel::available() {
            let open = OpenOptions {
                kernel: Some(kernel),
                ..OpenOptions::default()
            };
            let model = Model::from_bytes(file.to_vec(), &open).expect("a valid model");
            for portion in PORTIONS {
                let options = SessionOptions {
                    ubatch: UBATCH,
                    threads: 2,
                    profile,
                    ..options()
                };
                let logits =
                    |feed: fn(&mut Session, &[u32]) -> _| logits(&model, &options, portion, feed);
                let expected = logits(singly);
                let found = logits(|session, tokens| session.feed_each(tokens));
                let (profile, kernel) = (profile.name(), kernel.name());
                assert_eq!(
                    first_difference(&expected, &found),
                    None,
                    "{name} {profile} {kernel} {portion:?}"
                );
                differ = differ || {
                    let together = |session: &mut Session, tokens: &[u32]| {
                        session.feed(tokens, Wanted::All, &mut ())
                    };
                    first_difference(&expected, &logits(together)).is_some()
                };
            }
        }
    }
    differ
}

#[test]
fn every_bit_is_that_of_single_tokens_in_every_profile_on_every_kernel() {
    for recipe in recipes() {
        let file = random::file(&recipe, random::tensors(&recipe));
        let name = format!("{recipe:?}");
        assert!(compare(&file, &name), "{name}: the comparison can fail");
    }
}

#[test]
fn the_same_for_weights_that_are_codes() {
    let fixtures = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures"));
    for name in ["qk256", "bitnet32-f16", "split32"] {
        let path = fixtures.join(format!("random/random-{name}.gguf"));
        let file = std::fs::read(path).expect("a fixture");
        assert!(compare(&file, name), "{name}: the comparison can fail");
    }
}

#[test]
fn what_was_guessed_wrong_is_forgotten() {
    let model = made(&Recipe::new("bitnet-b1.58"));
    let mut guessing = session(&model);
    guessing.feed_each(&[1, 2, 3, 4]).expect("finite");
    guessing.truncate(2);
    let mut plain = session(&model);
    singly(&mut plain, &[1, 2]).expect("finite");
    for rest in [&[9, 8, 7][..], &[6]] {
        assert_eq!(guessing.feed_each(rest), singly(&mut plain, rest));
    }
    assert_eq!(guessing.len(), plain.len());
}

#[test]
fn what_cannot_be_computed_is_refused_as_always_and_changes_nothing() {
    let model = made(&Recipe::new("bitnet-b1.58"));
    let mut session = session(&model);
    session.feed_each(&[1, 2]).expect("finite");
    assert!(matches!(
        session.feed_each(&[64]),
        Err(EvalError::TokenOutOfRange { token: 64, .. })
    ));
    assert!(matches!(
        session.feed_each(&vec![1; 127]),
        Err(EvalError::ContextFull { used: 2, .. })
    ));
    assert_eq!(session.feed_each(&[]), Ok(Vec::new()));
    assert_eq!(session.len(), 2);
}

#[test]
fn the_first_value_that_is_not_finite_is_told_as_of_single_tokens() {
    let recipe = Recipe {
        output: Some(Format::F16),
        ..Recipe::new("bitnet-b1.58")
    };
    let mut tensors = random::tensors(&recipe);
    let embedding = tensors.iter_mut().find(|t| t.name == "token_embd.weight");
    let row = 2 * recipe.width;
    let infinite = 0x7c00u16.to_le_bytes();
    let embedding = embedding.expect("every model has one");
    embedding.bytes[5 * row..][..2].copy_from_slice(&infinite);
    let file = random::file(&recipe, tensors);
    let model = Model::from_bytes(file, &OpenOptions::default()).expect("a valid model");
    let (mut guessing, mut plain) = (session(&model), session(&model));
    let expected = singly(&mut plain, &[1, 5, 2]).expect_err("a value is infinite");
    assert_eq!(guessing.feed_each(&[1, 5, 2]), Err(expected));
    assert!(guessing.is_empty(), "nothing of it is remembered");
}
