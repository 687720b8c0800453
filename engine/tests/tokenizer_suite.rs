//! The engine's tokenizers against llama.cpp's published suite: for each vocabulary a list of
//! texts and the ids that the model's own tokenizer gives them.
//!
//! The suite is not part of this repository; `scripts/fetch-tokenizer-suite.sh` fetches it. Where
//! it is missing every family is reported as skipped, and with `HARNESS_REQUIRE_SUITE=1` the tests
//! fail instead.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use engine::Token;
use engine::bytes::{ModelBytes, Storage};
use engine::gguf::Gguf;
use engine::tokenizer::Tokenizer;

/// The families the engine promises that the suite has a vocabulary and cases for.
const FAMILIES: [&str; 12] = [
    "command-r",
    "deepseek-coder",
    "deepseek-llm",
    "falcon",
    "gpt-2",
    "llama-bpe",
    "llama-spm",
    "mpt",
    "phi-3",
    "qwen2",
    "refact",
    "starcoder",
];

/// Between the texts of a suite file, and behind the last.
const SEPARATOR: &str = "\n__ggml_vocab_test__\n";

#[test]
fn every_family_gives_the_published_ids() {
    let Some(suite) = suite() else { return };
    let mut failures = Vec::new();
    for family in FAMILIES {
        let tokenizer = tokenizer(&suite, family);
        let cases = cases(&suite, family);
        let wrong = mismatches(&tokenizer, &cases);
        say(&format!(
            "{family:<16} {}/{}",
            cases.len() - wrong.len(),
            cases.len()
        ));
        failures.extend(wrong.into_iter().map(|wrong| format!("{family}: {wrong}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Every token that is text by itself comes back when its text is encoded and decoded again.
#[test]
fn text_survives_encoding_and_decoding() {
    let Some(suite) = suite() else { return };
    for family in FAMILIES {
        let tokenizer = tokenizer(&suite, family);
        let mut compared = 0;
        for token in 0..tokenizer.vocab_size() as Token {
            let Ok(text) = String::from_utf8(tokenizer.piece(token, true).into_owned()) else {
                continue;
            };
            let tokens = tokenizer.encode(&text, false, true);
            let again: Vec<u8> = tokens
                .iter()
                .flat_map(|&token| tokenizer.piece(token, true).into_owned())
                .collect();
            let again =
                String::from_utf8(again).expect("whole characters in, whole characters out");
            // Encoding puts a space in front of SentencePiece text, or takes blanks behind marks.
            let same = again == text || again.strip_prefix(' ') == Some(&text);
            assert!(
                same || again == text.trim_end(),
                "{family} token {token}: {text:?} {again:?}"
            );
            compared += 1;
        }
        assert!(
            compared > tokenizer.vocab_size() / 2,
            "{family}: only {compared} compared"
        );
    }
}

/// Where the suite lies, or a report of what is skipped without it.
fn suite() -> Option<PathBuf> {
    let cache = match (env::var_os("HARNESS_CACHE"), env::var_os("XDG_CACHE_HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(cache)) => Path::new(&cache).join("bitnet-harness"),
        (None, None) => Path::new(&env::var_os("HOME")?).join(".cache/bitnet-harness"),
    };
    let suite = cache.join("tokenizer-suite");
    if suite.is_dir() {
        return Some(suite);
    }
    let skipped = format!(
        "SKIPPED {} of {} families: no {}, scripts/fetch-tokenizer-suite.sh fetches it",
        FAMILIES.len(),
        FAMILIES.len(),
        suite.display()
    );
    say(&skipped);
    let required = env::var_os("HARNESS_REQUIRE_SUITE").is_some_and(|value| value == "1");
    assert!(!required, "{skipped}");
    None
}

/// Prints past the capture of the test runner, which hides what passing tests say.
fn say(line: &str) {
    writeln!(std::io::stderr(), "tokenizer suite: {line}").expect("standard error is open");
}

fn tokenizer(suite: &Path, family: &str) -> Tokenizer {
    let path = suite.join(format!("ggml-vocab-{family}.gguf"));
    let (bytes, _) = ModelBytes::open(&path, Storage::Read).expect("part of the suite");
    let gguf = Gguf::parse(bytes).expect("a valid file");
    Tokenizer::from_metadata(&gguf.metadata)
        .expect("a known tokenizer")
        .expect("a vocabulary")
}

/// Texts and the ids the suite publishes for them.
fn cases(suite: &Path, family: &str) -> Vec<(String, Vec<Token>)> {
    let read = |extension: &str| {
        let path = suite.join(format!("ggml-vocab-{family}.gguf.{extension}"));
        fs::read_to_string(path).expect("part of the suite")
    };
    let (texts, ids) = (read("inp"), read("out"));
    let texts = texts.strip_suffix(SEPARATOR).unwrap_or(&texts);
    let texts: Vec<&str> = texts.split(SEPARATOR).collect();
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(
        texts.len(),
        ids.len(),
        "{family}: one line of ids for each text"
    );
    let parse = |line: &str| {
        line.split_whitespace()
            .map(|id| id.parse().expect("an id"))
            .collect::<Vec<Token>>()
    };
    texts
        .into_iter()
        .map(str::to_owned)
        .zip(ids.into_iter().map(parse))
        .collect()
}

fn mismatches(tokenizer: &Tokenizer, cases: &[(String, Vec<Token>)]) -> Vec<String> {
    let compare = |(text, expected): &(String, Vec<Token>)| {
        let found = tokenizer.encode(text, false, false);
        (found != *expected).then(|| format!("{text:?}: expected {expected:?}, found {found:?}"))
    };
    cases.iter().filter_map(compare).collect()
}
