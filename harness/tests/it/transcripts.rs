//! Texts that are checked without being written again: sound ones are confirmed, forged ones are
//! refused, each with its own code, even when they are sealed again.
#![forbid(unsafe_code)]

use std::sync::LazyLock;

use harness::file::provenance::Input;
use harness::file::reading::Reading;
use harness::oracle::transcript::{Stop, Transcript};
use harness::receipt::verify::Code;
use harness::runner::engine::open;
use serde_json::{Value, json};

use crate::program::{Folder, Harness, fixture};

const MOBY: &str = "moby-tiny/moby-tiny-b158.gguf";
const SAMPLED: &str = "-n 24 --temperature 0.7 --top-k 40 --top-p 0.95 --seed 7";

fn written(flags: &str) -> Transcript {
    let answer = Harness::new("generate --receipt - --model")
        .arg(fixture(MOBY))
        .args(flags)
        .arg("--prompt")
        .arg("Call me Ishmael.")
        .run()
        .exits(0);
    Transcript::read(answer.stdout.as_bytes()).expect("a transcript")
}

fn sampled() -> Transcript {
    static SAMPLE: LazyLock<Transcript> = LazyLock::new(|| written(SAMPLED));
    SAMPLE.clone()
}

/// The codes that a transcript is refused with, and what could not be told.
fn checked(transcript: &Transcript) -> (Vec<Code>, usize) {
    let (input, _) = Input::read(&fixture(MOBY)).expect("committed");
    let model = open(&input, Reading::default(), None).expect("it opens");
    let found = transcript.verify(&model, &input.sha256, 2);
    let codes = found.refuted.iter().map(|refuted| refuted.code);
    (codes.collect(), found.unverifiable.len())
}

/// Changes one field, and seals it again as a forger would.
fn edited(sound: &Transcript, pointer: &str, value: Value) -> Transcript {
    let mut all = serde_json::to_value(sound).expect("plain data");
    *all.pointer_mut(pointer).expect(pointer) = value;
    let forged: Transcript = serde_json::from_value(all).expect("still a transcript");
    forged.sealed()
}

#[test]
fn texts_of_every_kind_are_confirmed_in_every_arithmetic() {
    let profiles = [
        "ggml-avx512",
        "ggml-avx512-bf16",
        "ggml-avx2",
        "ggml-neon",
        "ggml-neon-fp16",
    ];
    for profile in profiles {
        for flags in [
            "-n 70",
            SAMPLED,
            "-n 9 --canonical --ubatch 3",
            "-n 900 --context 40",
            "-n 0",
        ] {
            let text = written(&format!("{flags} --profile {profile}"));
            assert_eq!(checked(&text), (vec![], 0), "{profile} {flags}: {text:?}");
        }
    }
    assert_eq!(written("-n 900 --context 40").stop, Stop::Context);
}

#[test]
fn a_forged_transcript_is_refused_with_its_own_code() {
    let sound = sampled();
    let (tokens, ids) = (&sound.tokens, sound.prompt_tokens.len());
    assert_eq!((tokens.len(), sound.stop), (24, Stop::MaxTokens));
    let forgeries = [
        ("/tokens/5", json!(tokens[5] ^ 1), Code::Tokens),
        ("/tokens/23", json!(tokens[23] ^ 1), Code::Tokens),
        ("/tokens/5", json!(4_000_000), Code::Tokens),
        ("/tokens", json!(tokens[..20]), Code::Missing),
        ("/stop", json!("end_token"), Code::Missing),
        ("/stop", json!("context"), Code::Missing),
        ("/options/temperature", json!(0.0), Code::Options),
        ("/options/seed", json!(8), Code::Options),
        ("/options/max_tokens", json!(3), Code::Options),
        ("/options/context", json!(ids), Code::Options),
        ("/options/profile", json!("quantum"), Code::Options),
        ("/options/profile", json!("ggml-avx2"), Code::Output),
        ("/options/ubatch", json!(1), Code::Tokens),
        ("/logits", json!("0".repeat(64)), Code::Output),
        ("/prompt", json!("Call me Ahab."), Code::Prompt),
        ("/prompt_tokens/2", json!(7), Code::Prompt),
        ("/text", json!("It is done."), Code::Text),
        ("/model_sha256", json!("0".repeat(64)), Code::Model),
        ("/schema_version", json!(0), Code::Schema),
    ];
    let missed = forgeries.into_iter().filter_map(|(pointer, value, code)| {
        let (codes, _) = checked(&edited(&sound, pointer, value));
        (!codes.contains(&code)).then(|| format!("{pointer} gave {codes:?}, not {code:?}"))
    });
    let missed: Vec<String> = missed.collect();
    assert!(missed.is_empty(), "{missed:#?}");
    let mut unsealed = sound;
    unsealed.text.push(' ');
    assert!(checked(&unsealed).0.contains(&Code::Seal));
}

#[test]
fn what_nobody_can_know_is_not_confirmed() {
    let gone = edited(&sampled(), "/stop", json!("reader_gone"));
    assert_eq!(checked(&gone), (vec![], 1));
}

#[test]
fn the_canonical_way_has_the_same_bits_in_every_ubatch_and_the_other_has_not() {
    let bits = |flags: &str| {
        let text = written(&format!("-n 12 {flags}"));
        (text.tokens, text.logits)
    };
    let one = bits("--canonical --ubatch 1 --threads 1");
    for ubatch in [2, 3, 7, 512] {
        assert_eq!(
            bits(&format!("--canonical --ubatch {ubatch} --threads 2")),
            one
        );
    }
    assert_eq!(bits("--ubatch 1"), one, "as decoding has them");
    assert_ne!(
        bits("--ubatch 512").1,
        one.1,
        "a prompt read at once has others"
    );
}

#[test]
fn the_command_confirms_a_text_and_refuses_another_model_and_what_is_no_transcript() {
    let folder = Folder::new();
    let file = folder.file("text.json", sampled().to_json().as_bytes());
    let verify = |model: &str, transcript: &std::path::Path| {
        let command = Harness::new("verify --model").arg(fixture(model));
        command.arg("--transcript").arg(transcript).run()
    };
    let sound = verify(MOBY, &file).exits(0);
    assert!(sound.stdout.contains("0 refuted"), "{}", sound.stdout);
    let other = verify("moby-tiny/moby-tiny-bitnet.gguf", &file).exits(1);
    assert!(
        other.stdout.contains("REFUTED    the model [MODEL]"),
        "{}",
        other.stdout
    );
    let nothing = folder.file("nothing.json", b"{}");
    let refused = verify(MOBY, &nothing).exits(2);
    assert!(
        refused.stderr.contains("is no transcript"),
        "{}",
        refused.stderr
    );
}
