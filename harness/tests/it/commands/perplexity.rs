//! `harness perplexity`: the number is what the definition says, and a model lies where it lies
//! from itself and from another.

use std::path::PathBuf;

use engine::Model;
use engine::numerics::Profile;
use engine::session::{OpenOptions, Session, SessionOptions, Wanted};

use serde_json::Value;

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

/// A desk with a text on it, and what `perplexity` says there.
struct Desk(Folder);

impl Desk {
    fn new() -> Self {
        let folder = Folder::new();
        folder.file("text.txt", text().as_bytes());
        Desk(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file of the model's log-probabilities; its bytes come back.
    fn write(&self, flags: &str) -> Vec<u8> {
        let to = self.path("base.kld");
        let harness = Harness::new("perplexity").arg(fixture(MOBY));
        let harness = harness.arg("--text").arg(self.path("text.txt"));
        let harness = harness.arg("--write-kl-base").arg(&to);
        harness
            .args(&format!("--context {LENGTH} {flags}"))
            .run()
            .exits(0);
        std::fs::read(to).expect("it was written")
    }

    /// What a model makes of a file of these bytes.
    fn read(&self, model: &str, bytes: &[u8], flags: &str) -> Answer {
        let base = self.0.file("given.kld", bytes);
        let harness = Harness::new("kl").arg(fixture(model));
        harness.arg("--kl-base").arg(base).args(flags).run()
    }
}

#[test]
fn a_file_of_llama_perplexity_is_written_and_the_model_lies_nowhere_from_it() {
    let desk = Desk::new();
    let bytes = desk.write("");
    assert_eq!(&bytes[..8], b"_logits_");
    assert_eq!(
        bytes[8..16],
        [32, 0, 0, 0, 0, 4, 0, 0],
        "tokens of a chunk and of the vocabulary"
    );
    assert_eq!(
        desk.write("--kernel scalar"),
        bytes,
        "the same bits give the same file"
    );
    let said = desk.read(MOBY, &bytes, "").exits(0);
    assert!(
        said.stdout.contains("every code is the same"),
        "{}",
        said.stdout
    );
    let report = desk.read(MOBY, &bytes, "--json").exits(0).json();
    let [base, own] = [0, 1].map(|row| report["rows"][row].clone());
    assert_eq!(base["computed_by"]["profile"], "16-bit log-probabilities");
    assert_eq!(
        own["from_first"]["equal_logits"],
        own["from_first"]["logits"]
    );
    let half = report["sixteen_bits"]["half_a_step"]
        .as_f64()
        .expect("a number");
    let kl = own["from_first"]["mean_kl"].as_f64().expect("a number");
    assert!(kl.abs() <= half && half < 1.3e-4, "{kl} {half}");
    let ratio = own["from_first"]["ratio"].as_f64().expect("a number");
    assert!((ratio - 1.0).abs() <= half + 1e-6, "{ratio}");
    let expected = perplexity(MOBY, text().as_bytes(), "--json")
        .exits(0)
        .json();
    assert_eq!(own["perplexity"], expected["rows"][0]["perplexity"]);
    let first = desk.read(MOBY, &bytes, "--json --chunks 1").exits(0).json();
    assert_eq!(first["chunks"], 1);
}

#[test]
fn what_differs_from_a_file_is_told_as_far_as_16_bits_show_it() {
    let desk = Desk::new();
    let bytes = desk.write("");
    let said = |bytes: &[u8], flags: &str| desk.read(MOBY, bytes, flags).exits(0).stdout;
    // One code of the last row, one step off: not the same, and no more than rounding.
    let mut one = bytes.clone();
    let at = one.len() - 2 * 1024;
    one[at] ^= 1;
    let told = said(&one, "");
    assert!(
        told.contains("no more than rounding alone can be"),
        "{told}"
    );
    let other = desk
        .read("moby-tiny/moby-tiny-bitnet.gguf", &bytes, "")
        .exits(0);
    assert!(
        other.stdout.contains("more than rounding alone can be"),
        "{}",
        other.stdout
    );
    // What was kept is believed: a row of a model that expects something else is far away.
    let mut last = bytes.clone();
    let row = last.len() - 2 * 1024;
    last[row..].reverse();
    let report = desk.read(MOBY, &last, "--json").exits(0).json();
    let most = report["rows"][1]["from_first"]["quantiles"][10].as_f64();
    assert!(most > Some(0.5), "{report}");
}

#[test]
fn a_file_that_is_no_whole_file_of_this_vocabulary_is_refused() {
    let desk = Desk::new();
    let bytes = desk.write("");
    let refused = |bytes: &[u8], model: &str, words: &str| {
        let said = desk.read(model, bytes, "").exits(2);
        assert!(
            said.stderr.contains("given.kld") && said.stderr.contains(words),
            "{}",
            said.stderr
        );
    };
    for length in [0, 7, 8, 19, 20, 100, bytes.len() - 1] {
        let words = if length < 8 {
            "does not begin with"
        } else {
            "cut off"
        };
        refused(&bytes[..length], MOBY, words);
    }
    refused(&[&bytes[..], &[0]].concat(), MOBY, "take");
    refused(
        &bytes,
        "random/random-b158.gguf",
        "it was written with another model",
    );
    let mut unsound = bytes.clone();
    let rows = 20 + 4 * LENGTH * (bytes.len() - 20) / (4 * LENGTH + 15 * (8 + 2048));
    unsound[rows..rows + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let said = desk.read(MOBY, &unsound, "").exits(2);
    assert!(
        said.stderr.contains("chunk 0, position 16"),
        "{}",
        said.stderr
    );
    let both = desk.read(MOBY, &bytes, "--context 64").exits(2);
    assert!(both.stderr.contains("--context"), "{}", both.stderr);
    Harness::new("kl").arg(fixture(MOBY)).run().exits(2);
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
    assert!(same["from_first"]["sqnr"].is_null(), "no error: {same}");
    let other = base("moby-tiny/moby-tiny-bitnet.gguf");
    let from = &other["from_first"];
    let number = |value: &Value| value.as_f64().expect("a number");
    assert!(number(&from["mean_kl"]) > 1e-3, "{other}");
    // The classes are all positions, each once, and the ratio in decibels is the error's.
    let classes = from["by_confidence"].as_array().expect("classes");
    let sum = |of: fn(&Value) -> f64| classes.iter().map(of).sum::<f64>();
    let positions = sum(|class| class["positions"].as_f64().expect("a number"));
    let divergences = |class: &Value| {
        let part = |key: &str| class[key].as_f64().expect("a number");
        part("positions") * part("mean_kl")
    };
    assert_eq!(positions, number(&other["positions"]));
    let mean = sum(divergences) / positions;
    assert!((mean / number(&from["mean_kl"]) - 1.0).abs() < 1e-9);
    assert!(classes.len() > 1, "{from}");
    let decibels = -20.0 * number(&from["error"]).log10();
    assert!((decibels / number(&from["sqnr"]) - 1.0).abs() < 1e-9);
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
