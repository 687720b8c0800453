//! Vocabularies that are refused, each with its own code and the place in the file, and odd ones
//! that are not.

use super::*;

/// A rule, the keys that break it, and the answer.
type Case = (&'static str, Keys, Code, &'static str);

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const KINDS: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const BOS: &str = "tokenizer.ggml.bos_token_id";
const EOS: &str = "tokenizer.ggml.eos_token_id";

fn sentencepiece(key: &'static str, value: impl Into<Field>) -> Keys {
    with(sentencepiece_keys(), key, Some(value.into()))
}

fn byte_level(key: &'static str, value: impl Into<Field>) -> Keys {
    with(byte_level_keys(), key, Some(value.into()))
}

fn tokens(keys: &Keys) -> Vec<Field> {
    match keys.iter().find(|(key, _)| *key == TOKENS) {
        Some((_, Field::Array(_, tokens))) => tokens.clone(),
        _ => panic!("the vocabularies of these tests have tokens"),
    }
}

/// The vocabulary with token 260 replaced.
fn token_260(text: &[u8]) -> Keys {
    let mut tokens = tokens(&sentencepiece_keys());
    tokens[260] = Field::String(text.to_vec());
    sentencepiece(TOKENS, Field::Array(crate::gguf::ValueType::String, tokens))
}

fn scores_with_nan() -> Vec<f32> {
    let mut scores = vec![0.0; 270];
    scores[7] = f32::NAN;
    scores
}

fn one_token() -> Keys {
    let keys = sentencepiece(TOKENS, vec!["a"]);
    let keys = with(keys, SCORES, None);
    with(keys, KINDS, None)
}

fn no_byte_tokens() -> Keys {
    let texts: Vec<String> = (0..270).map(|number| format!("word{number}")).collect();
    sentencepiece(TOKENS, texts)
}

#[rustfmt::skip] // a case a line
fn cases() -> Vec<Case> {
    use Code::*;
    let missing = |keys, key| with(keys, key, None);
    vec![
        ("no model", missing(sentencepiece_keys(), MODEL), MissingKey, MODEL),
        ("unknown model", sentencepiece(MODEL, "zzz"), UnknownTokenizer, MODEL),
        ("model is a number", sentencepiece(MODEL, 7u32), WrongKeyType, MODEL),
        ("no tokens", missing(sentencepiece_keys(), TOKENS), MissingKey, TOKENS),
        ("empty tokens", sentencepiece(TOKENS, Vec::<&str>::new()), VocabInvalid, TOKENS),
        ("tokens is a number", sentencepiece(TOKENS, 7u32), WrongKeyType, TOKENS),
        ("tokens are numbers", sentencepiece(TOKENS, vec![1u32, 2]), WrongKeyType, TOKENS),
        ("scores are bytes", sentencepiece(SCORES, vec![0u8; 270]), WrongKeyType, SCORES),
        ("one score", sentencepiece(SCORES, vec![0f32]), VocabInvalid, SCORES),
        ("a score is NaN", sentencepiece(SCORES, scores_with_nan()), VocabInvalid, SCORES),
        ("one type", sentencepiece(KINDS, vec![1i32]), VocabInvalid, KINDS),
        ("type 99", sentencepiece(KINDS, vec![99i32; 270]), VocabInvalid, KINDS),
        ("types are floats", sentencepiece(KINDS, vec![1f32; 270]), WrongKeyType, KINDS),
        ("bos = V", sentencepiece(BOS, 270u32), VocabInvalid, BOS),
        ("bos = 2^32-1", sentencepiece(BOS, u32::MAX), VocabInvalid, BOS),
        ("eos = 2^31", sentencepiece(EOS, 1u32 << 31), VocabInvalid, EOS),
        ("bos is a text", sentencepiece(BOS, "<s>"), WrongKeyType, BOS),
        ("one token, bos 1 by default", one_token(), VocabInvalid, BOS),
        ("a token twice", token_260(b"<s>"), VocabDuplicate, TOKENS),
        ("no byte tokens", no_byte_tokens(), VocabNoByteTokens, TOKENS),
        ("a byte without token", token_of_byte_renamed(), VocabNoByteTokens, TOKENS),
        ("no merges", missing(byte_level_keys(), MERGES), MissingKey, MERGES),
        ("merge without space", byte_level(MERGES, vec!["a b", "ab"]), VocabInvalid, MERGES),
        ("empty merge", byte_level(MERGES, vec!["a b", ""]), VocabInvalid, MERGES),
        ("merge of one space", byte_level(MERGES, vec!["a b", " "]), VocabInvalid, MERGES),
        ("merge of one part", byte_level(MERGES, vec!["a b", "a "]), VocabInvalid, MERGES),
        ("merges are numbers", byte_level(MERGES, vec![1u32]), WrongKeyType, MERGES),
        ("unknown pre", byte_level(PRE, "zzz"), UnknownPretokenizer, PRE),
        ("pre is a number", byte_level(PRE, 1u32), WrongKeyType, PRE),
    ]
}

fn token_of_byte_renamed() -> Keys {
    let mut tokens = tokens(&sentencepiece_keys());
    tokens[3 + 0x80] = "renamed".into();
    sentencepiece(TOKENS, Field::Array(crate::gguf::ValueType::String, tokens))
}

#[test]
fn every_broken_rule_has_its_code_and_names_its_key() {
    for (what, keys, code, key) in cases() {
        let Err(refusal) = load(&keys) else {
            panic!("{what}: accepted");
        };
        assert_eq!(refusal.code, code, "{what}: {refusal}");
        assert!(
            refusal.field.starts_with(&format!("metadata.\"{key}\"")),
            "{what}: {refusal}"
        );
        assert_eq!(
            refusal.offset.is_some(),
            keys.iter().any(|(k, _)| *k == key),
            "{what}"
        );
    }
}

#[test]
fn the_vocabularies_the_cases_break_are_valid() {
    assert!(load(&sentencepiece_keys()).is_ok_and(|found| found.is_some()));
    assert!(load(&byte_level_keys()).is_ok_and(|found| found.is_some()));
    let no_vocab: Keys = vec![(MODEL, "no_vocab".into())];
    assert!(load(&no_vocab).is_ok_and(|found| found.is_none()));
}

/// The byte tokens do not hide it: a token that is meant by default must exist.
#[test]
fn a_default_id_outside_of_the_vocabulary_is_refused() {
    let few = vec!["a", "b", "c"];
    let keys = with(byte_level(TOKENS, few), KINDS, None);
    let keys = with(with(keys, BOS, None), EOS, None);
    let refusal = load(&keys).err().expect("token 11 does not exist");
    assert_eq!((refusal.code, refusal.offset), (Code::VocabInvalid, None));
    assert!(refusal.found.contains("11"), "{refusal}");
}

/// The place named is the place where the element lies.
#[test]
fn a_refused_element_is_named_by_position_and_byte() {
    let keys = byte_level(MERGES, vec!["a b", "xyz", "b c"]);
    let refusal = load(&keys).err().expect("a merge without a space");
    assert_eq!(refusal.field, "metadata.\"tokenizer.ggml.merges\"[1]");
    let file = keys.iter().fold(Writer::new(3), |writer, (key, value)| {
        writer.key(key, value.clone())
    });
    let at = refusal.offset.expect("it lies in the file") as usize;
    assert_eq!(file.finish()[at..at + 11], *b"\x03\0\0\0\0\0\0\0xyz");
    let keys = sentencepiece(SCORES, scores_with_nan());
    let refusal = load(&keys).err().expect("a score that is no number");
    assert_eq!(refusal.field, "metadata.\"tokenizer.ggml.scores\"[7]");
}

#[test]
fn odd_vocabularies_are_accepted_with_a_warning() {
    let merge_of_strangers = byte_level(MERGES, vec!["a b", "zz qq"]);
    for (keys, name) in [
        (token_260(b""), "TOKEN_EMPTY"),
        (token_260(b"\xff\xfe"), "TOKEN_NOT_UTF8"),
        (merge_of_strangers, "MERGE_UNKNOWN_TOKEN"),
        (with(byte_level_keys(), PRE, None), "PRETOKENIZER_MISSING"),
        (byte_level_keys(), "TOKEN_KIND_OVERRIDDEN"),
    ] {
        let tokenizer = load(&keys).expect("accepted").expect("a vocabulary");
        let names: Vec<&str> = tokenizer
            .warnings()
            .iter()
            .map(|warning| warning.name)
            .collect();
        assert!(names.contains(&name), "{names:?}");
        assert!(!tokenizer.encode("ab", true, true).is_empty());
    }
}

#[test]
fn long_texts_from_the_file_are_accepted() {
    let long = "x".repeat(4 << 20);
    let tokenizer = load(&token_260(long.as_bytes()))
        .expect("accepted")
        .expect("a vocabulary");
    assert_eq!(tokenizer.piece(260, false).len(), 4 << 20);
    let template = "y".repeat(8 << 20);
    let keys = sentencepiece("tokenizer.chat_template", template.as_str());
    let tokenizer = load(&keys).expect("accepted").expect("a vocabulary");
    assert_eq!(tokenizer.chat_template().map(str::len), Some(8 << 20));
}
