//! Small vocabularies, written by hand, through the public interface.

mod refusals;

use super::*;
use crate::bytes::ModelBytes;
use crate::gguf::writer::Field;
use crate::gguf::{Gguf, Writer};

type Keys = Vec<(&'static str, Field)>;

/// Every byte and a few words: `Ġab` is 0x102 and built from `Ġ` and `ab`.
pub(super) fn byte_level_keys() -> Keys {
    let mut tokens: Vec<String> = (0..=u8::MAX)
        .map(|byte| byte_level::character(byte).to_string())
        .collect();
    let words = [
        "ab",
        "abc",
        "Ġab",
        "bc",
        "Ġabcd",
        "<|bos|>",
        "<|eot_id|>",
        "ĠĠ",
        "<unk>",
    ];
    tokens.extend(words.map(str::to_owned));
    let mut kinds = vec![1i32; tokens.len()];
    kinds[0x105] = 3;
    kinds[0x107] = 4;
    kinds[0x108] = 2;
    let merges = vec!["b c", "a b", "ab c", "Ġ ab"];
    vec![
        ("tokenizer.ggml.model", "gpt2".into()),
        ("tokenizer.ggml.pre", "gpt-2".into()),
        ("tokenizer.ggml.tokens", tokens.into()),
        ("tokenizer.ggml.token_type", kinds.into()),
        ("tokenizer.ggml.merges", merges.into()),
        ("tokenizer.ggml.bos_token_id", 0x105u32.into()),
        ("tokenizer.ggml.eos_token_id", 0x105u32.into()),
    ]
}

/// Every byte and a few pieces, the first of them token 259.
pub(super) fn sentencepiece_keys() -> Keys {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
    tokens.extend((0..=u8::MAX).map(|byte| format!("<0x{byte:02X}>")));
    let pieces = [
        ("▁", -5.0),
        ("a", -6.0),
        ("b", -7.0),
        ("▁a", -2.0),
        ("ab", -1.0),
        ("▁ab", -3.0),
        ("aa", -4.0),
        ("aaaa", -4.5),
        ("▁▁", -9.0),
        ("é", -8.0),
        ("<|end|>", 0.0),
    ];
    tokens.extend(pieces.map(|(text, _)| text.to_owned()));
    let mut kinds = vec![6i32; tokens.len()];
    kinds[..3].copy_from_slice(&[2, 3, 3]);
    kinds[259..].fill(1);
    kinds[269] = 3;
    let mut scores = vec![0.0f32; 259];
    scores.extend(pieces.map(|(_, score)| score));
    vec![
        ("tokenizer.ggml.model", "llama".into()),
        ("tokenizer.ggml.tokens", tokens.into()),
        ("tokenizer.ggml.scores", scores.into()),
        ("tokenizer.ggml.token_type", kinds.into()),
    ]
}

/// The keys with one of them set, replaced or taken away.
pub(super) fn with(mut keys: Keys, key: &'static str, value: Option<Field>) -> Keys {
    keys.retain(|(other, _)| *other != key);
    keys.extend(value.map(|value| (key, value)));
    keys
}

pub(super) fn load(keys: &Keys) -> Result<Option<Tokenizer>, Refusal> {
    let writer = keys.iter().fold(Writer::new(3), |writer, (key, value)| {
        writer.key(key, value.clone())
    });
    let gguf = Gguf::parse(ModelBytes::from_vec(writer.finish())).expect("a well-formed file");
    Tokenizer::from_metadata(&gguf.metadata)
}

fn tokenizer(keys: &Keys) -> Tokenizer {
    load(keys)
        .expect("a valid vocabulary")
        .expect("a vocabulary")
}

#[test]
fn merges_apply_by_rank_and_then_from_the_left() {
    let tokenizer = tokenizer(&byte_level_keys());
    // `b c` comes before `a b`, so `abc` is never built.
    assert_eq!(tokenizer.encode("abc", false, false), [0x61, 0x103]);
    assert_eq!(tokenizer.encode("abab", false, false), [0x100, 0x100]);
    assert_eq!(tokenizer.encode(" ab ab", false, false), [0x102, 0x102]);
    assert_eq!(tokenizer.encode("é", false, false), [0xc3, 0xa9]);
    assert!(tokenizer.encode("", true, true).is_empty());
}

#[test]
fn exchanging_two_merges_changes_the_ids() {
    let merges = vec!["a b", "b c", "ab c", "Ġ ab"];
    let keys = with(
        byte_level_keys(),
        "tokenizer.ggml.merges",
        Some(merges.into()),
    );
    assert_eq!(tokenizer(&keys).encode("abc", false, false), [0x101]);
}

#[test]
fn the_first_of_two_equal_merges_counts() {
    let merges = vec!["a b", "b c", "a b"];
    let keys = with(
        byte_level_keys(),
        "tokenizer.ggml.merges",
        Some(merges.into()),
    );
    assert_eq!(tokenizer(&keys).encode("abc", false, false), [0x100, 0x63]);
}

#[test]
fn a_whole_word_is_taken_as_it_is_where_merges_are_ignored() {
    let keys = with(
        byte_level_keys(),
        "tokenizer.ggml.pre",
        Some("llama-bpe".into()),
    );
    let tokenizer = tokenizer(&keys);
    assert_eq!(tokenizer.encode("abc", false, false), [0x101]);
    assert_eq!(tokenizer.encode(" abcd", false, false), [0x104]);
    assert!(tokenizer.adds_bos());
    assert_eq!(tokenizer.encode("a", true, false), [0x105, 0x61]);
}

/// `xy` and `Ġx` are no tokens here: what is left of it are its bytes, and of a character that
/// two bytes
/// spell in the vocabulary's alphabet nothing.
#[test]
fn a_merge_into_no_token_falls_apart_into_bytes() {
    let merges = vec!["x y", "Ġ x", "xy z"];
    let keys = with(
        byte_level_keys(),
        "tokenizer.ggml.merges",
        Some(merges.into()),
    );
    let tokenizer = tokenizer(&keys);
    assert_eq!(tokenizer.encode("xyz", false, false), [0x78, 0x79, 0x7a]);
    assert_eq!(tokenizer.encode("  x", false, false), [0x20, 0x78]);
    assert_eq!(tokenizer.warnings()[0].name, "MERGE_UNKNOWN_TOKEN");
}

#[test]
fn special_tokens_are_found_in_text_only_when_asked_for() {
    let tokenizer = tokenizer(&byte_level_keys());
    assert_eq!(
        tokenizer.encode("a<|bos|>b", false, true),
        [0x61, 0x105, 0x62]
    );
    assert_eq!(tokenizer.encode("<|bos|>", false, false).len(), 7);
    // User-defined tokens are text and found always; the vocabulary spells this one in letters.
    assert_eq!(tokenizer.encode("aĠĠb", false, false), [0x61, 0x107, 0x62]);
    // `<|eot_id|>` is of type normal in the file, but ends a turn all the same.
    assert_eq!(tokenizer.encode("<|eot_id|>", false, true), [0x106]);
    assert_eq!(tokenizer.kind(0x106), Some(TokenKind::Control));
    assert!(tokenizer.is_end(0x106) && tokenizer.is_end(0x105) && !tokenizer.is_end(0x61));
}

#[test]
fn byte_level_pieces_are_the_bytes_again() {
    let tokenizer = tokenizer(&byte_level_keys());
    assert_eq!(*tokenizer.piece(0x102, false), *b" ab");
    assert_eq!(*tokenizer.piece(0xc3, false), [0xc3]);
    assert!(tokenizer.piece(0x105, false).is_empty());
    assert_eq!(*tokenizer.piece(0x105, true), *b"<|bos|>");
    assert!(tokenizer.piece(9999, true).is_empty());
    let tokens = tokenizer.encode("ab . é's ", false, false);
    assert_eq!(tokenizer.decode(&tokens, false), "ab. é's ");
    assert_eq!(tokenizer.decode(&[0x105, 0x61], true), "<|bos|>a");
    assert_eq!(tokenizer.decode(&[0xc3], false), "\u{fffd}");
}

#[test]
fn sentencepiece_joins_by_score_and_then_from_the_left() {
    let tokenizer = tokenizer(&sentencepiece_keys());
    // `ab` has the highest score; `▁` and `ab` join after it, `▁a` never comes to be.
    assert_eq!(tokenizer.encode("ab", false, false), [264]);
    assert_eq!(tokenizer.encode("aaa", false, false), [262, 265]);
    assert_eq!(tokenizer.encode("a", true, false), [1, 262]);
    assert_eq!(
        tokenizer.encode("\u{e9}\u{ea}", false, false),
        [259, 268, 3 + 0xc3, 3 + 0xaa]
    );
}

#[test]
fn sentencepiece_puts_a_space_before_the_text_and_takes_it_back() {
    let tokenizer = tokenizer(&sentencepiece_keys());
    let tokens = tokenizer.encode("a<|end|>a", false, true);
    assert_eq!(tokens, [262, 269, 262]);
    assert_eq!(tokenizer.decode(&tokens, false), "a a");
    assert_eq!(*tokenizer.piece(262, false), *b" a");
    assert_eq!(*tokenizer.piece(3 + 0x41, false), *b"A");
    let keys = with(
        sentencepiece_keys(),
        "tokenizer.ggml.add_space_prefix",
        Some(false.into()),
    );
    let plain = load(&keys).expect("valid").expect("a vocabulary");
    assert_eq!(plain.encode("a", false, false), [260]);
    assert_eq!(plain.decode(&[262], false), " a");
}

#[test]
fn the_file_decides_about_the_first_and_the_last_token() {
    let mut keys = sentencepiece_keys();
    keys.push(("tokenizer.ggml.add_bos_token", false.into()));
    keys.push(("tokenizer.ggml.add_eos_token", true.into()));
    let tokenizer = tokenizer(&keys);
    assert_eq!(tokenizer.encode("a", true, false), [262, 2]);
    assert_eq!(tokenizer.encode("a", false, false), [262]);
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(1), Some(2)));
    assert!(tokenizer.adds_eos() && !tokenizer.adds_bos());
}

#[test]
fn marks_of_phi3_swallow_the_white_space_behind_them() {
    let mut keys = sentencepiece_keys();
    let plain = tokenizer(&keys);
    assert_eq!(
        plain.encode("<|end|> \n a", false, true)[1..],
        [259 + 8, 3 + 0x0a, 262]
    );
    keys.push(("general.name", "My-Phi3-Mini".into()));
    let phi3 = tokenizer(&keys);
    assert_eq!(phi3.encode("<|end|> \n a", false, true), [269, 262]);
    assert_eq!(phi3.encode("<s> a", false, true), [1, 259, 262]);
}

/// A quarter of a megabyte of one letter, of blanks, of what merges in every way: quadratic work
/// would not end within a test run.
#[test]
fn long_words_take_linear_time() {
    let mut keys = byte_level_keys();
    keys = with(
        keys,
        "tokenizer.ggml.merges",
        Some(vec!["a a", "aa aa", "aa a"].into()),
    );
    let byte_level = tokenizer(&keys);
    let sentencepiece = tokenizer(&sentencepiece_keys());
    for text in ["a", " ", "7", "é", "<", "ĠĠ", "<|end|>", "<|bos|>x"] {
        let long = text.repeat((1 << 18) / text.len());
        assert!(
            byte_level.encode(&long, true, true).len() >= 1 << 15,
            "{text}"
        );
        assert!(
            sentencepiece.encode(&long, true, true).len() >= 1 << 15,
            "{text}"
        );
    }
}
