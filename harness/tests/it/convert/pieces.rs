//! Vocabularies of SentencePiece: the files that its own trainer (0.2.3) and Hugging Face's
//! `tokenizers` (0.23.3) wrote of one vocabulary, and what both make of some texts. They lie in
//! `pieces/`, beside what made them.

use std::fs;
use std::path::Path;

use engine::Model;
use engine::gguf::Value as Key;
use engine::refusal::Code;
use engine::session::OpenOptions;
use engine::tokenizer::{TokenKind, Tokenizer};
use harness::fixture::checkpoint::Form;
use serde_json::{Value, json};

use super::{Made, options, parse};

const MODEL: &str = "tokenizer.model";
const JSON: &str = "tokenizer.json";
const SETTINGS: &str = "tokenizer_config.json";

fn recorded(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/convert/pieces");
    fs::read(Path::new(folder).join(name)).expect("committed")
}

/// A checkpoint with these of the files.
fn made(files: &[&str]) -> Made {
    let made = Made::moby(Form::Values, 1);
    fs::remove_file(made.file(JSON)).expect("there");
    for name in files {
        fs::write(made.file(name), recorded(name)).expect("written");
    }
    made
}

fn converted(made: &Made) -> Vec<u8> {
    made.convert(&options()).expect("it is converted").0
}

fn with_tokenizer(made: &Made, look: impl FnOnce(&Tokenizer)) {
    let model = Model::from_bytes(converted(made), &OpenOptions::default()).expect("sound");
    look(model.tokenizer().expect("a vocabulary"));
}

/// What both programs said of some texts.
fn texts() -> Vec<Value> {
    serde_json::from_slice(&recorded("texts.json")).expect("JSON")
}

#[test]
fn texts_become_the_ids_of_those_who_wrote_the_files() {
    for files in [&[MODEL][..], &[JSON], &[MODEL, JSON]] {
        with_tokenizer(&made(files), |tokenizer| {
            let mut compared = 0;
            for said in texts() {
                let text = said["text"].as_str().expect("a text");
                let ours = |special| Value::from(tokenizer.encode(text, false, special));
                assert_eq!(ours(true), said["tokenizers"], "{files:?} {text:?}");
                // SentencePiece puts no space behind what it finds first; loaders do.
                if !text.contains("<tool>") {
                    assert_eq!(ours(false), said["sentencepiece"], "{files:?} {text:?}");
                    compared += 1;
                }
            }
            assert!(compared >= 18, "{compared} texts");
            assert_eq!(tokenizer.kind(0), Some(TokenKind::Unknown));
            assert_eq!(tokenizer.kind(3), Some(TokenKind::Control));
            assert_eq!(tokenizer.kind(4), Some(TokenKind::UserDefined));
            assert_eq!(tokenizer.kind(1023), Some(TokenKind::Unused), "padded");
            // Without a word of a post-processor nothing is put in front.
            assert_eq!(tokenizer.adds_bos(), files == [MODEL]);
        });
    }
}

#[test]
fn scores_are_those_of_the_trainer_or_in_their_order() {
    let scores = |files: &[&str]| {
        let gguf = parse(converted(&made(files)));
        let Some(Key::Array(scores)) = gguf.metadata.get("tokenizer.ggml.scores") else {
            panic!("there are scores");
        };
        scores.f32s().expect("floats").collect::<Vec<f32>>()
    };
    let (trainer, merges) = (scores(&[MODEL]), scores(&[JSON]));
    // Joined pieces come first in the file, at 0, -1, -2 and so on.
    assert_eq!(trainer[261..264], [-0.0, -1.0, -2.0]);
    let joined = trainer
        .iter()
        .skip(261)
        .take_while(|score| **score > -300.0)
        .count();
    assert!(joined > 250, "{joined}");
    assert_eq!(trainer[261..][..joined], merges[261..][..joined]);
}

#[test]
fn what_was_added_later_has_its_place_and_its_kind() {
    let made = made(&[MODEL]);
    let added = json!({ "<later>": 640, "\u{2581}wide": 641 });
    fs::write(made.file("added_tokens.json"), added.to_string()).expect("written");
    let settings = json!({
        "add_bos_token": false,
        "added_tokens_decoder": {
            "0": { "content": "<unk>", "special": true },
            "641": { "content": "<turn>", "special": true },
        },
    });
    fs::write(made.file(SETTINGS), settings.to_string()).expect("written");
    with_tokenizer(&made, |tokenizer| {
        assert_eq!(tokenizer.encode("<later>", false, false), [640]);
        assert_eq!(tokenizer.encode("<turn>", false, true), [641]);
        assert_eq!(tokenizer.kind(641), Some(TokenKind::Control));
        assert_eq!(tokenizer.kind(0), Some(TokenKind::Unknown));
        assert!(!tokenizer.adds_bos());
    });
}

/// Replaces bytes of the committed file that occur once.
fn edited(old: &[u8], new: &[u8]) -> Vec<u8> {
    let bytes = recorded(MODEL);
    let found = bytes.windows(old.len()).rposition(|part| part == old);
    let at = found.expect("it is there");
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

#[test]
fn what_loaders_would_read_differently_is_refused_by_name() {
    let refused = |name: &str, bytes: &[u8], code, said: &str| {
        let made = made(&[]);
        fs::write(made.file(name), bytes).expect("written");
        let refusal = made.refused(&options());
        assert_eq!(refusal.code, code, "{said}: {refusal}");
        let text = format!("{refusal}");
        assert!(text.contains(said) && text.contains(name), "{said}: {text}");
    };
    use Code::{UnknownTokenizer, VocabInvalid, VocabNoByteTokens, VocabSizeMismatch};
    let whole = recorded(MODEL);
    // The kind of model is the trainer's third field, byte-pair merging its second kind.
    let unigram = edited(&[0x18, 2, 0x20], &[0x18, 1, 0x20]);
    refused(MODEL, &unigram, UnknownTokenizer, "unigram");
    // The switch is the normaliser's fourth field.
    let collapsing = edited(&[0x12, 0, 0x20, 0], &[0x12, 0, 0x20, 1]);
    refused(
        MODEL,
        &collapsing,
        UnknownTokenizer,
        "remove_extra_whitespaces",
    );
    let without = edited(b"<0xFF>", b"<0xF_>");
    refused(MODEL, &without, VocabNoByteTokens, "<0xFF>");
    refused(MODEL, &whole[..whole.len() - 2], VocabInvalid, "at byte");
    let many = [&whole[..], &[0x0a, 3, 0x0a, 1, b'z'].repeat(500)].concat();
    refused(MODEL, &many, VocabSizeMismatch, "1140 pieces");
    let json = String::from_utf8(recorded(JSON)).expect("text");
    let nfkc = json.replace(r#"{"type":"Prepend","prepend":"▁"}"#, r#"{"type":"NFKC"}"#);
    assert_ne!(nfkc, json);
    refused(JSON, nfkc.as_bytes(), UnknownTokenizer, "NFKC");
    let mut root: Value = serde_json::from_str(&json).expect("JSON");
    let merges = root["model"]["merges"].as_array_mut().expect("merges");
    let first = merges.remove(0);
    refused(
        JSON,
        root.to_string().as_bytes(),
        UnknownTokenizer,
        "none of",
    );
    let merges = root["model"]["merges"].as_array_mut().expect("merges");
    merges.push(first);
    merges.push(json!(["a", "b"]));
    merges.push(json!(["▁", "t"]));
    refused(
        JSON,
        root.to_string().as_bytes(),
        UnknownTokenizer,
        "apart from others",
    );
}
