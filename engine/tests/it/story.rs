//! The tiny trained model tells the same story, token for token.

use std::path::Path;

use engine::numerics::Profile;
use engine::sampler::greedy;
use engine::session::{Model, OpenOptions, Session, SessionOptions, Wanted};

/// What the reference implementation wrote after "It was the best of times" with this file: the
/// greedy text of case 2 in fixtures/recordings/mar2026-b158-avx512.
const STORY: &str = ", and the morning of the whale’s heads.\n\n\
     “It was the matter with the best, sir,” said Stubb, \
     “what’s the old man’s name, and I’ll be";

#[test]
fn greedy_from_the_best_of_times() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/moby-tiny/moby-tiny-b158.gguf");
    let model = Model::open(&path, &OpenOptions::default()).expect("a valid fixture");
    let tokenizer = model.tokenizer().expect("it has a vocabulary");
    let prompt = tokenizer.encode("It was the best of times", true, true);
    // With sums in half precision another word is the likeliest after "the matter".
    let single = Profile::ALL.into_iter();
    for profile in single.filter(|&p| p != Profile::GgmlNeonFp16) {
        let options = SessionOptions {
            context: 512,
            ubatch: 512,
            threads: 1,
            profile,
        };
        let mut session = Session::new(&model, options).expect("enough memory");
        let mut logits = session
            .feed(&prompt, Wanted::Last, &mut ())
            .expect("finite");
        let mut told = Vec::new();
        for _ in 0..48 {
            told.push(greedy(&logits));
            let next = &told[told.len() - 1..];
            logits = session.feed(next, Wanted::Last, &mut ()).expect("finite");
        }
        assert_eq!(tokenizer.decode(&told, false), STORY, "{}", profile.name());
    }
}
