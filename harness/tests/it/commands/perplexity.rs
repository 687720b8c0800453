//! `harness perplexity`: the number is what the definition says, and a model lies where it lies
//! from itself and from another.

use engine::Model;
use engine::numerics::Profile;
use engine::session::{OpenOptions, Session, SessionOptions, Wanted};

use crate::program::{Answer, Folder, Harness, fixture};

const MOBY: &str = "moby-tiny/moby-tiny-b158.gguf";
const LENGTH: usize = 32;

fn text() -> String {
    "Call me Ishmael. The captain looked out over the sea, and the whale was gone. ".repeat(12)
}

fn perplexity(model: &str, text: &[u8], flags: &str) -> Answer {
    let folder = Folder::new();
    let text = folder.file("text.txt", text);
    Harness::new("perplexity")
        .arg(fixture(model))
        .arg("--text")
        .arg(text)
        .args(&format!("--context {LENGTH} {flags}"))
        .run()
}

/// By the definition, with nothing of the harness: one chunk, its second half, in f64.
fn by_hand(text: &str) -> f64 {
    let model = Model::open(&fixture(MOBY), &OpenOptions::default()).expect("a fixture");
    let tokenizer = model.tokenizer().expect("a vocabulary");
    let tokens = tokenizer.encode(text, true, false);
    let chunk = &tokens[..LENGTH];
    let options = SessionOptions {
        context: LENGTH,
        ubatch: LENGTH,
        threads: 1,
        profile: Profile::default(),
    };
    let mut session = Session::new(&model, options).expect("memory");
    let logits = session.feed(chunk, Wanted::All, &mut ()).expect("finite");
    let width = model.config().vocab_size;
    let mut total = 0.0;
    let counted = LENGTH / 2..LENGTH - 1;
    for at in counted.clone() {
        let row: Vec<f64> = logits[at * width..][..width]
            .iter()
            .map(|&l| l.into())
            .collect();
        let sum: f64 = row.iter().map(|logit| logit.exp()).sum();
        total -= row[chunk[at + 1] as usize] - sum.ln();
    }
    (total / counted.len() as f64).exp()
}

#[test]
fn the_number_is_what_the_definition_says() {
    let text = text();
    let report = perplexity(MOBY, text.as_bytes(), "--chunks 1 --json")
        .exits(0)
        .json();
    let row = &report["rows"][0];
    let expected = by_hand(&text);
    let found = row["perplexity"].as_f64().expect("a number");
    assert!(
        (found / expected - 1.0).abs() < 1e-9,
        "{found} and {expected}"
    );
    assert_eq!(row["positions"], LENGTH / 2 - 1);
    assert!(row["interval"].is_null() && row["from_first"].is_null());
}

#[test]
fn a_model_is_nowhere_from_itself_and_somewhere_from_another() {
    let base = |name: &str| {
        let flags = format!("--json --base {}", fixture(name).display());
        let report = perplexity(MOBY, text().as_bytes(), &flags).exits(0).json();
        assert!(report["chunks"].as_u64() > Some(5), "{report}");
        report["rows"][1].clone()
    };
    let same = base(MOBY);
    assert_eq!(same["from_first"]["mean_kl"], 0.0);
    assert_eq!(
        same["from_first"]["equal_logits"],
        same["from_first"]["logits"]
    );
    let other = base("moby-tiny/moby-tiny-bitnet.gguf");
    assert!(
        other["from_first"]["mean_kl"].as_f64() > Some(1e-3),
        "{other}"
    );
    assert!(
        other["from_first"]["equal_logits"].as_u64() < Some(100),
        "{other}"
    );
    assert!(
        other["interval"][0].as_f64() < other["perplexity"].as_f64(),
        "{other}"
    );
}

/// The engine's own arithmetics round as much as each other, whatever their order; what computes
/// another function does not.
#[test]
fn an_error_is_measured_against_double_precision() {
    let ratio = |model: &str, flags: &str| {
        let flags = format!("--json --oracle {flags}");
        let report = perplexity(model, text().as_bytes(), &flags).exits(0).json();
        let first = &report["rows"][0];
        assert_eq!(first["computed_by"]["profile"], "oracle-f64");
        assert_eq!(report["rows"][1]["error_ratio"], 1.0);
        report["rows"][1]["from_first"]["error"]
            .as_f64()
            .expect("an error")
    };
    let errors = ["ggml-avx512", "ggml-avx2", "ggml-neon"]
        .map(|profile| ratio(MOBY, &format!("--profile {profile}")));
    let largest = errors.iter().copied().fold(0.0, f64::max);
    let least = errors.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(largest < 2.0 * least && largest > 0.0, "{errors:?}");
    let halves = ratio(MOBY, "--profile ggml-neon-fp16");
    assert!(
        halves > 2.0 * largest,
        "sums of halves: {halves} beside {errors:?}"
    );
}

#[test]
fn a_text_that_is_too_short_or_no_text_is_refused() {
    let short = perplexity(MOBY, b"Call me Ishmael.", "").exits(2);
    assert!(short.stderr.contains("--context"), "{}", short.stderr);
    let bytes = perplexity(MOBY, &[0xff; 400], "").exits(2);
    assert!(bytes.stderr.contains("UTF-8"), "{}", bytes.stderr);
    let other = format!("--base {}", fixture("random/random-b158.gguf").display());
    let other = perplexity(MOBY, text().as_bytes(), &other);
    assert_ne!(other.code, Some(0), "another vocabulary has other logits");
}
