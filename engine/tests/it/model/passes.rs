//! What must give the same bits, what need not, and the edges of a session.

use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::session::{EvalError, Model, OpenOptions, Session, SessionOptions, Wanted};
use engine::transformer::probe::{Node, Probe};

use crate::model::random::{self, Format, Recipe};
use crate::model::{first_difference, made, moby, options, prefill, session, tokens};

const MOST: usize = 64;

fn prefill_with(model: &Model, options: SessionOptions, count: usize) -> Vec<f32> {
    let mut session = Session::new(model, options).expect("enough memory");
    let logits = session.feed(&tokens(count), Wanted::All, &mut ());
    logits.expect("finite")
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let model = moby();
    let alone = prefill(&model, &tokens(MOST));
    for threads in [2, 3] {
        let together = prefill_with(
            &model,
            SessionOptions {
                threads,
                ..options()
            },
            MOST,
        );
        assert_eq!(
            first_difference(&alone, &together),
            None,
            "{threads} threads"
        );
    }
}

#[test]
fn ubatches_of_several_tokens_change_nothing_and_single_ones_do() {
    let model = moby();
    let whole = prefill_with(&model, options(), 53);
    for ubatch in [2usize, 7, 50] {
        let parts = prefill_with(
            &model,
            SessionOptions {
                ubatch,
                ..options()
            },
            53,
        );
        // 53 = 26 · 2 + 1 leaves a single token at the end; 7 and 50 leave several.
        let equal = if ubatch == 2 { 52 * 1024 } else { 53 * 1024 };
        assert_eq!(
            first_difference(&whole[..equal], &parts[..equal]),
            None,
            "{ubatch}"
        );
        assert_eq!(whole == parts, ubatch != 2, "{ubatch}");
    }
}

#[test]
fn feeds_are_ubatches() {
    let model = moby();
    let whole = prefill(&model, &tokens(40));
    let mut session = session(&model);
    let mut parts = Vec::new();
    for part in tokens(40).chunks(8) {
        parts.extend(session.feed(part, Wanted::All, &mut ()).expect("finite"));
    }
    assert_eq!(first_difference(&whole, &parts), None);
}

/// Looks, and does nothing about it.
struct Looks;

impl Probe for Looks {
    fn at(&mut self, _node: Node, _shape: &[usize], _values: &mut [f32]) {}
}

#[test]
fn every_kernel_gives_the_same_bits_in_every_profile() {
    let mut compared = 0;
    for recipe in recipes() {
        let file = random::file(&recipe, random::tensors(&recipe));
        for profile in Profile::ALL {
            let run = |kernel: Kernel, probe: &mut dyn Probe| {
                let options = OpenOptions {
                    kernel: Some(kernel),
                    ..OpenOptions::default()
                };
                let model = Model::from_bytes(file.clone(), &options).expect("a valid model");
                let options = SessionOptions {
                    profile,
                    ..crate::model::options()
                };
                let mut session = Session::new(&model, options).expect("enough memory");
                let mut logits = Vec::new();
                for part in [&tokens(40)[..], &tokens(1), &tokens(1), &tokens(20)] {
                    logits.extend(session.feed(part, Wanted::All, probe).expect("finite"));
                }
                logits
            };
            // What is looked at is computed as it is written down: masked positions, too.
            let oracle = run(Kernel::Scalar, &mut Looks);
            for kernel in Kernel::available() {
                let difference = first_difference(&oracle, &run(kernel, &mut ()));
                assert_eq!(
                    difference,
                    None,
                    "{recipe:?} {} {}",
                    profile.name(),
                    kernel.name()
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 5 * Profile::ALL.len() * Kernel::available().len());
}

/// Models that differ in every operation there is.
pub fn recipes() -> [Recipe; 5] {
    [
        Recipe::new("bitnet-b1.58"),
        Recipe {
            scales: true,
            head_dim: 20,
            width: 80,
            ..dense("bitnet", Format::F16)
        },
        Recipe {
            output: Some(Format::Q8_0),
            biases: true,
            ..dense("llama", Format::F32)
        },
        Recipe {
            rope_factors: true,
            width: 256,
            head_dim: 64,
            ..dense("llama", Format::Q6K)
        },
        Recipe {
            kv_heads: 1,
            heads: 1,
            head_dim: 128,
            ..dense("bitnet-25", Format::Bf16)
        },
    ]
}

fn dense(arch: &'static str, format: Format) -> Recipe {
    Recipe {
        linear: format,
        embedding: format,
        ..Recipe::new(arch)
    }
}

/// The squares of the differences over those of the values.
fn nmse(values: &[f32], others: &[f32]) -> f64 {
    let squares = |values: &mut dyn Iterator<Item = f32>| -> f64 {
        values.map(|x| f64::from(x) * f64::from(x)).sum()
    };
    let differences = &mut values.iter().zip(others).map(|(x, y)| x - y);
    squares(differences) / squares(&mut values.iter().copied())
}

#[test]
fn every_order_is_near_the_one_in_double_precision() {
    const NEAR: f64 = 3e-3;
    let logits = |recipe: &Recipe, profile: Profile| {
        let options = SessionOptions {
            profile,
            ..options()
        };
        prefill_with(&made(recipe), options, 40)
    };
    for recipe in recipes() {
        let oracle = logits(&recipe, Profile::OracleF64);
        for profile in Profile::ALL {
            let off = nmse(&oracle, &logits(&recipe, profile));
            assert!(off < NEAR, "{} {}: {off:e}", recipe.arch, profile.name());
        }
    }
    // Rotations alone are more than that.
    let [_, _, plain, ..] = recipes();
    let oracle = logits(&plain, Profile::OracleF64);
    let turned = Recipe {
        rope_factors: true,
        ..plain
    };
    assert!(nmse(&oracle, &logits(&turned, Profile::OracleF64)) > NEAR);
}

#[test]
fn profiles_differ() {
    let model = moby();
    let profile = Profile::GgmlAvx2;
    let narrow = prefill_with(
        &model,
        SessionOptions {
            profile,
            ..options()
        },
        20,
    );
    let wide = prefill_with(&model, options(), 20);
    assert!(first_difference(&narrow, &wide).is_some());
    let squares = |values: &mut dyn Iterator<Item = f32>| -> f32 { values.map(|x| x * x).sum() };
    let error = squares(&mut narrow.iter().zip(&wide).map(|(a, b)| a - b));
    let signal = squares(&mut wide.iter().copied());
    assert!(error < 1e-4 * signal, "other roundings, the same model");
}

#[test]
fn replaying_after_truncation_gives_the_same_bits() {
    let model = moby();
    let tokens = tokens(60);
    let mut session = session(&model);
    let head = session.feed(&tokens[..20], Wanted::All, &mut ());
    let tail = session.feed(&tokens[20..], Wanted::All, &mut ());
    session.truncate(20);
    assert_eq!(session.len(), 20);
    let detour = session.feed(&[9, 9, 9], Wanted::All, &mut ());
    assert!(detour.is_ok());
    session.truncate(20);
    assert_eq!(session.feed(&tokens[20..], Wanted::All, &mut ()), tail);
    session.truncate(0);
    assert!(session.is_empty());
    assert_eq!(session.feed(&tokens[..20], Wanted::All, &mut ()), head);
}

#[test]
fn one_token_alone_is_its_last_position() {
    let model = moby();
    let all = session(&model).feed(&[5], Wanted::All, &mut ());
    let last = session(&model).feed(&[5], Wanted::Last, &mut ());
    assert_eq!(all, last);
    // Of several tokens the last one's head row is computed alone: other roundings.
    let all = session(&model)
        .feed(&[5, 6], Wanted::All, &mut ())
        .expect("finite");
    let last = session(&model)
        .feed(&[5, 6], Wanted::Last, &mut ())
        .expect("finite");
    assert!(first_difference(&all[1024..], &last).is_some());
}

#[test]
fn a_full_context_and_unknown_tokens_change_nothing() {
    let model = made(&Recipe::new("bitnet-b1.58"));
    let mut session = Session::new(
        &model,
        SessionOptions {
            context: 10,
            ..options()
        },
    );
    let session = session.as_mut().expect("enough memory");
    session
        .feed(&tokens(8), Wanted::Last, &mut ())
        .expect("finite");
    let full = EvalError::ContextFull {
        used: 8,
        context: 10,
        asked: 3,
    };
    assert_eq!(session.feed(&[1, 2, 3], Wanted::Last, &mut ()), Err(full));
    let unknown = EvalError::TokenOutOfRange {
        token: 64,
        position: 1,
        vocab_size: 64,
    };
    assert_eq!(session.feed(&[63, 64], Wanted::Last, &mut ()), Err(unknown));
    assert_eq!(session.feed(&[], Wanted::Last, &mut ()), Ok(Vec::new()));
    assert_eq!(session.feed(&[], Wanted::All, &mut ()), Ok(Vec::new()));
    assert_eq!(session.len(), 8);
    assert_eq!(
        session
            .feed(&[1, 2], Wanted::All, &mut ())
            .map(|logits| logits.len()),
        Ok(128)
    );
}

#[test]
fn the_largest_context_costs_nothing_until_it_is_used() {
    let recipe = Recipe {
        context: u32::MAX,
        layers: 1,
        ..Recipe::new("bitnet-b1.58")
    };
    let model = made(&recipe);
    let context = u32::MAX as usize;
    let mut session = Session::new(
        &model,
        SessionOptions {
            context,
            ubatch: 64,
            ..options()
        },
    )
    .expect("nothing of that size is allocated");
    let many = tokens(600);
    let grown = session
        .feed(&many, Wanted::All, &mut ())
        .expect("the cache grows");
    assert_eq!(session.len(), 600);
    let mut roomy = Session::new(
        &model,
        SessionOptions {
            context: 1024,
            ubatch: 64,
            ..options()
        },
    )
    .expect("enough memory");
    let at_once = roomy.feed(&many, Wanted::All, &mut ()).expect("finite");
    assert_eq!(first_difference(&grown, &at_once), None);
}

#[test]
fn a_session_without_room_or_hands_is_refused() {
    let model = moby();
    for options in [
        SessionOptions {
            context: 0,
            ..options()
        },
        SessionOptions {
            context: 513,
            ..options()
        },
        SessionOptions {
            ubatch: 0,
            ..options()
        },
        SessionOptions {
            threads: 0,
            ..options()
        },
    ] {
        assert!(Session::new(&model, options).is_err());
    }
}
