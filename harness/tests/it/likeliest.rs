//! The likeliest tokens without all logits: those of all logits, along whole texts.

use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::sampler::greedy;
use engine::session::{EvalError, Model, OpenOptions, Session, SessionOptions, Wanted};
use harness::fixture::random::RandomShape;

const WORDS: &str = "arch=bitnet-b1.58 layers=2 head_dim=32 kv_heads=2 group=2 width=128 inner=128 \
                     vocab=6000 context=64 weights=i2_s-p128 embedding=f16 output=tied scales=no \
                     biases=no rope_factors=no";

fn model(kernel: Kernel) -> Model {
    let shape = RandomShape::from_seed(11, None).changed(WORDS);
    let file = shape
        .and_then(|shape| shape.document())
        .expect("possible")
        .file();
    let options = OpenOptions {
        kernel: Some(kernel),
        ..OpenOptions::default()
    };
    Model::from_bytes(file, &options).expect("it is sound")
}

fn session(model: &Model, profile: Profile) -> Session {
    let options = SessionOptions {
        context: 64,
        ubatch: 7,
        threads: 2,
        profile,
    };
    Session::new(model, options).expect("enough memory")
}

#[test]
fn a_text_is_the_same_with_and_without_the_screen() {
    for kernel in Kernel::available() {
        let model = model(kernel);
        for profile in Profile::ALL {
            let (mut all, mut some) = (session(&model, profile), session(&model, profile));
            let proved = profile != Profile::GgmlNeonFp16;
            assert_eq!(some.screen(), proved, "{}", profile.name());
            let mut fed = vec![5, 4000, 17, 9, 9, 300, 2, 41, 5999, 8];
            for _ in 0..12 {
                let logits = all.feed(&fed, Wanted::Last, &mut ()).expect("fed");
                let found = some.likeliest(&fed, 8).expect("fed");
                let bits = found
                    .iter()
                    .map(|(t, logit)| (logits[*t as usize].to_bits(), logit.to_bits()));
                assert!(bits.clone().all(|(a, b)| a == b) && bits.len() == 8);
                assert_eq!(found[0].0, greedy(&logits), "{}", profile.name());
                let eighth = found[7].1;
                let above = logits.iter().filter(|&&logit| logit > eighth).count();
                assert!(above < 8, "{above} are likelier than the eighth");
                fed = vec![found[0].0];
            }
            assert_eq!(
                some.unscreened(),
                if proved { 0 } else { 12 },
                "{}",
                profile.name()
            );
        }
    }
}

#[test]
fn what_cannot_be_fed_leaves_the_session_as_it_was() {
    let model = model(Kernel::best());
    let mut session = session(&model, Profile::default());
    session.screen();
    let first = session.likeliest(&[1, 2, 3], 1).expect("fed");
    let refused = session
        .likeliest(&[6000], 1)
        .expect_err("there is no such token");
    assert!(matches!(
        refused,
        EvalError::TokenOutOfRange { token: 6000, .. }
    ));
    let refused = session
        .likeliest(&[1; 62], 1)
        .expect_err("there is no room");
    assert!(matches!(refused, EvalError::ContextFull { .. }));
    assert_eq!(session.len(), 3);
    session.truncate(0);
    assert_eq!(session.likeliest(&[1, 2, 3], 1).expect("fed"), first);
    assert_eq!(session.likeliest(&[], 1).expect("nothing to do"), []);
    assert_eq!(session.likeliest(&[4], 0).expect("nothing is wanted"), []);
}
