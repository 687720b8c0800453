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
use std::sync::Once;

use engine::Token;
use engine::bytes::{ModelBytes, Storage};
use engine::gguf::writer::Field;
use engine::gguf::{Gguf, Writer};
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

/// The comparison above can fail: the same vocabulary with another family's word rules, or with
/// two merges exchanged, gives other ids, and a changed expectation is a mismatch.
#[test]
fn wrong_rules_exchanged_merges_and_wrong_ids_are_noticed() {
    let Some(suite) = suite() else { return };
    let llama = rewritten(&suite, "llama-bpe", "tokenizer.ggml.pre", "default".into());
    assert!(mismatches(&load(llama), &cases(&suite, "llama-bpe")).len() >= 5);

    let mut merges: Vec<String> = merges(&suite, "gpt-2");
    let last = merges.len() - 1;
    merges.swap(0, last);
    let exchanged = rewritten(&suite, "gpt-2", "tokenizer.ggml.merges", merges.into());
    let mut cases = cases(&suite, "gpt-2");
    assert!(!mismatches(&load(exchanged), &cases).is_empty());

    cases[20].1[0] += 1;
    assert_eq!(mismatches(&tokenizer(&suite, "gpt-2"), &cases).len(), 1);
}

/// Hardly any token is cut apart by the rules that a vocabulary was trained with, and many by
/// others.
#[test]
fn a_vocabulary_speaks_for_its_own_word_rules() {
    let Some(suite) = suite() else { return };
    let mut spoke = 0;
    for family in FAMILIES {
        let tokenizer = tokenizer(&suite, family);
        let counts = tokenizer.cut_apart();
        let own = counts
            .iter()
            .find(|&&(name, _)| Some(name) == tokenizer.word_rules());
        let (Some(own), Some(least)) = (own, counts.iter().map(|&(_, apart)| apart).min()) else {
            assert!(tokenizer.word_rules().is_none(), "{family}");
            continue;
        };
        assert!(own.1 <= least + 64, "{family}: {counts:?}");
        assert!(
            counts.iter().any(|&(_, apart)| apart > own.1 + 64),
            "{family}: {counts:?}"
        );
        spoke += 1;
    }
    assert_eq!(spoke, 10, "all but the two of SentencePiece");
    let llama = tokenizer(&suite, "llama-bpe").cut_apart();
    let qwen = llama.iter().find(|(name, _)| *name == "qwen2");
    assert!(
        qwen.is_some_and(|&(_, apart)| apart > 1000),
        "numbers of two and three digits"
    );
}

/// The published ids decode to the text they were made from.
#[test]
fn published_ids_are_the_text_again() {
    let Some(suite) = suite() else { return };
    for family in FAMILIES {
        let tokenizer = tokenizer(&suite, family);
        for (text, tokens) in cases(&suite, family) {
            let pieces = tokens
                .iter()
                .flat_map(|&token| tokenizer.piece(token, true).into_owned());
            let decoded = String::from_utf8(pieces.collect()).expect("whole characters");
            // SentencePiece text has a space in front that was not in the text.
            let added = tokenizer.word_rules().is_none() && !text.is_empty();
            assert_eq!(
                decoded,
                if added { format!(" {text}") } else { text },
                "{family}"
            );
        }
    }
}

/// As in the suite's own round trip: the text of every token, and every character by itself, comes
/// back when it is encoded and decoded.
#[test]
fn every_token_and_every_character_survives() {
    let Some(suite) = suite() else { return };
    let tokenizer = tokenizer(&suite, "llama-spm");
    let survives = |text: &str| {
        let decoded = tokenizer.decode(&tokenizer.encode(text, false, true), true);
        assert_eq!(decoded, text);
    };
    let mut compared = 0;
    for token in 0..tokenizer.vocab_size() as Token {
        if std::str::from_utf8(&tokenizer.piece(token, true)).is_ok() {
            survives(&tokenizer.decode(&[token], true));
            compared += 1;
        }
    }
    assert_eq!(
        compared,
        tokenizer.vocab_size() - 128,
        "all but the bytes from 0x80 on"
    );
    // The mark for a space decodes to a space.
    ('\0'..=char::MAX)
        .filter(|&c| c != '\u{2581}')
        .for_each(|c| survives(&c.to_string()));
}

/// The model in this repository, whose prompts the reference has tokenized, too. Needs no suite.
#[test]
fn the_fixture_gives_the_recorded_ids() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/moby-tiny");
    let recorded: [(&str, &[Token]); 3] = [
        (
            "Call me Ishmael.",
            &[1022, 34, 392, 399, 316, 82, 71, 76, 64, 443, 13],
        ),
        ("The white whale", &[1022, 699, 838, 379]),
        (
            "It was the best of times",
            &[1022, 40, 83, 347, 260, 268, 423, 279, 528, 289],
        ),
    ];
    for file in ["moby-tiny-b158.gguf", "moby-tiny-bitnet.gguf"] {
        let (bytes, _) = ModelBytes::open(&path.join(file), Storage::Read).expect("a fixture");
        let tokenizer = load(Gguf::parse(bytes).expect("a valid file"));
        for (prompt, tokens) in recorded {
            assert_eq!(tokenizer.encode(prompt, true, true), tokens, "{file}");
        }
    }
}

/// Where the suite lies, or a report of what is skipped without it.
fn suite() -> Option<PathBuf> {
    let cache = match (env::var_os("HARNESS_CACHE"), env::var_os("XDG_CACHE_HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(cache)) => Path::new(&cache).join("bitnet-harness"),
        (None, None) => {
            let home = env::var_os("HOME").unwrap_or_default();
            Path::new(&home).join(".cache/bitnet-harness")
        }
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
    static ONCE: Once = Once::new();
    ONCE.call_once(|| say(&skipped));
    let required = env::var_os("HARNESS_REQUIRE_SUITE").is_some_and(|value| value == "1");
    assert!(!required, "{skipped}");
    None
}

/// Prints past the capture of the test runner, which hides what passing tests say.
fn say(line: &str) {
    writeln!(std::io::stderr(), "tokenizer suite: {line}").expect("standard error is open");
}

fn gguf(suite: &Path, family: &str) -> Gguf {
    let path = suite.join(format!("ggml-vocab-{family}.gguf"));
    let (bytes, _) = ModelBytes::open(&path, Storage::Read).expect("part of the suite");
    Gguf::parse(bytes).expect("a valid file")
}

fn tokenizer(suite: &Path, family: &str) -> Tokenizer {
    load(gguf(suite, family))
}

fn load(gguf: Gguf) -> Tokenizer {
    let tokenizer = Tokenizer::from_metadata(&gguf.metadata).expect("a known tokenizer");
    tokenizer.expect("a vocabulary")
}

fn merges(suite: &Path, family: &str) -> Vec<String> {
    let gguf = gguf(suite, family);
    let merges = gguf
        .metadata
        .array("tokenizer.ggml.merges")
        .expect("an array");
    let merges = merges.expect("merges").strings().expect("strings");
    merges
        .map(|merge| String::from_utf8_lossy(merge).into_owned())
        .collect()
}

/// The vocabulary with the value of one key replaced.
fn rewritten(suite: &Path, family: &str, key: &str, value: Field) -> Gguf {
    let gguf = gguf(suite, family);
    let others = gguf.metadata.iter().filter(|(other, _)| *other != key);
    let writer = others.fold(Writer::new(3), |writer, (key, value)| {
        writer.key(key, value)
    });
    let file = writer.key(key, value).finish();
    Gguf::parse(ModelBytes::from_vec(file)).expect("a valid file")
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
        "{family}: a line of ids for each text"
    );
    let parse = |line: &str| -> Vec<Token> {
        line.split_whitespace()
            .map(|id| id.parse().expect("an id"))
            .collect()
    };
    let texts = texts.into_iter().map(str::to_owned);
    texts.zip(ids.into_iter().map(parse)).collect()
}

fn mismatches(tokenizer: &Tokenizer, cases: &[(String, Vec<Token>)]) -> Vec<String> {
    let compare = |(text, expected): &(String, Vec<Token>)| {
        let found = tokenizer.encode(text, false, false);
        (found != *expected).then(|| format!("{text:?}: expected {expected:?}, found {found:?}"))
    };
    cases.iter().filter_map(compare).collect()
}
