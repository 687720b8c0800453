//! G01–G26: vocabularies. Decided when the tokenizer is built.

use engine::refusal::Code;

use crate::base::{Base, Dims, VOCAB, tokens};
use crate::builder::{Draft, Raw, f32s, i32s, text, texts, u32, u32s};
use crate::case::{Case, Stage};

const MODEL: &str = "tokenizer.ggml.model";
const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const KINDS: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const BOS: &str = "tokenizer.ggml.bos_token_id";
const EOS: &str = "tokenizer.ggml.eos_token_id";
const PRE: &str = "tokenizer.ggml.pre";

pub fn cases(base: Base) -> Vec<Case> {
    let mut cases = missing_parts(base);
    cases.extend(parallel_arrays(base));
    cases.extend(special_ids(base));
    cases.extend(texts_of_tokens(base));
    cases.extend(merges(base));
    cases.extend(sizes(base));
    cases
}

fn path(key: &str) -> String {
    format!("metadata.\"{key}\"")
}

fn with(mut draft: Draft, key: &str, value: Raw) -> Draft {
    draft.set(key, value);
    draft
}

fn without(mut draft: Draft, key: &str) -> Draft {
    draft.remove(key);
    draft
}

fn refused(id: &'static str, code: Code, field: &str, draft: Draft) -> Case {
    Case::refused(id, code, field, draft.build()).by(Stage::Tokenizer)
}

fn missing(id: &'static str, key: &str, draft: Draft) -> Case {
    Case::refused_at(id, Code::MissingKey, &path(key), None, draft.build()).by(Stage::Tokenizer)
}

fn missing_parts(base: Base) -> Vec<Case> {
    let unknown = with(base.draft(), MODEL, text("zzz"));
    let empty = with(base.draft(), TOKENS, texts([""; 0]));
    vec![
        missing("G01", MODEL, without(base.draft(), MODEL)),
        refused("G02", Code::UnknownTokenizer, &path(MODEL), unknown).says("llama", "zzz"),
        missing("G03", TOKENS, without(base.draft(), TOKENS)),
        refused("G04", Code::VocabInvalid, &path(TOKENS), empty)
            .by(Stage::Config)
            .says(1, 0),
        missing("G18", MERGES, without(byte_level(base), MERGES)),
    ]
}

fn parallel_arrays(base: Base) -> Vec<Case> {
    let invalid = |id, field: &str, key: &str, value: Raw| {
        refused(
            id,
            Code::VocabInvalid,
            field,
            with(base.draft(), key, value),
        )
    };
    let mut kinds = vec![1; VOCAB];
    kinds[7] = 99;
    let mut scores = vec![0.0; VOCAB];
    scores[5] = f32::NAN;
    let [kind, score] = [
        format!("{}[7]", path(KINDS)),
        format!("{}[5]", path(SCORES)),
    ];
    vec![
        invalid("G05", &path(SCORES), SCORES, f32s([0.0])).says(VOCAB, 1),
        invalid("G06", &path(KINDS), KINDS, i32s([1])).says(VOCAB, 1),
        invalid("G07", &kind, KINDS, i32s(kinds)).says("0..=6", 99),
        invalid("G08", &score, SCORES, f32s(scores)).says("a number", "NaN"),
    ]
}

fn special_ids(base: Base) -> Vec<Case> {
    let case = |id, key: &str, token: u32| {
        let draft = with(base.draft(), key, u32(token));
        refused(id, Code::VocabInvalid, &path(key), draft).says(VOCAB, token)
    };
    vec![
        case("G09", BOS, VOCAB as u32),
        case("G10", BOS, u32::MAX),
        case("G11", EOS, 1 << 31),
        one_token(base),
    ]
}

/// One token, in the vocabulary and in the tensors, and no word about the first token of a text:
/// the default, 1, does not exist.
fn one_token(base: Base) -> Case {
    let mut draft = base.draft_of(Dims {
        vocab: 1,
        ..base.dims()
    });
    draft.set(TOKENS, texts(["<s>"]));
    draft.set(SCORES, f32s([0.0]));
    draft.set(KINDS, i32s([3]));
    draft.remove(BOS);
    draft.remove(EOS);
    let built = draft.build();
    Case::refused_at("G12", Code::VocabInvalid, &path(BOS), None, built)
        .by(Stage::Tokenizer)
        .says("below 1", 1)
}

fn texts_of_tokens(base: Base) -> Vec<Case> {
    let last = VOCAB - 1;
    let replaced = |text: &[u8]| {
        let mut tokens: Vec<Vec<u8>> = tokens().into_iter().map(String::into_bytes).collect();
        tokens[last] = text.to_vec();
        with(base.draft(), TOKENS, texts(tokens))
    };
    let field = format!("{}[{last}]", path(TOKENS));
    let words = texts((0..VOCAB).map(|token| format!("word{token}")));
    let worded = with(base.draft(), TOKENS, words);
    let accepted = |id, draft: Draft| Case::accepted(id, draft.build());
    vec![
        refused("G13", Code::VocabDuplicate, &field, replaced(b"a")).says("no other", 260),
        accepted("G14", replaced(b""))
            .by(Stage::Tokenizer)
            .warns("TOKEN_EMPTY"),
        refused("G15", Code::VocabNoByteTokens, &path(TOKENS), worded).says(256, "<0x00>"),
        accepted("G16", replaced(b"\xff"))
            .by(Stage::Tokenizer)
            .warns("VALUE_NOT_UTF8")
            .warns("TOKEN_NOT_UTF8"),
        accepted("G17", replaced(&vec![b'x'; 4 << 20])),
    ]
}

fn merges(base: Base) -> Vec<Case> {
    let broken = |id, merge: &str| {
        let draft = with(byte_level(base), MERGES, texts(["a b", merge]));
        let field = format!("{}[1]", path(MERGES));
        refused(id, Code::VocabInvalid, &field, draft).says("two parts", format!("{merge:?}"))
    };
    let odd = with(byte_level(base), MERGES, texts(["a b", "z q"]));
    let unknown = with(byte_level(base), PRE, text("zzz"));
    let numbers = with(byte_level(base), MERGES, u32s([1, 2]));
    vec![
        broken("G19", "ab"),
        broken("G20", ""),
        broken("G21", " "),
        Case::accepted("G22", odd.build())
            .by(Stage::Tokenizer)
            .warns("MERGE_UNKNOWN_TOKEN"),
        refused("G23", Code::UnknownPretokenizer, &path(PRE), unknown).says("known", "zzz"),
        refused("G24", Code::WrongKeyType, &path(MERGES), numbers).says("strings", "uint32"),
    ]
}

fn sizes(base: Base) -> Vec<Case> {
    let template = with(
        base.draft(),
        "tokenizer.chat_template",
        text(vec![b'x'; 8 << 20]),
    );
    let fewer = VOCAB - 1;
    let mut short = base.draft();
    short.set(TOKENS, texts(&tokens()[..fewer]));
    short.set(SCORES, f32s(vec![0.0; fewer]));
    short.set(KINDS, i32s(vec![1; fewer]));
    short.set(&base.key("vocab_size"), u32(fewer as u32));
    let field = "tensors.\"token_embd.weight\".dims[1]";
    vec![
        Case::accepted("G25", template.build()),
        refused("G26", Code::VocabSizeMismatch, field, short)
            .by(Stage::Config)
            .says(fewer, VOCAB),
    ]
}

/// The base file with a byte-level vocabulary of the same size.
fn byte_level(base: Base) -> Draft {
    let mut tokens: Vec<String> = (0..=255).map(|byte| character(byte).to_string()).collect();
    tokens.push("ab".into());
    tokens.extend((tokens.len()..VOCAB).map(|token| format!("<|special_{token}|>")));
    let kind = |token: usize| if token > 256 { 3 } else { 1 };
    let mut draft = base.draft();
    draft.set(MODEL, text("gpt2"));
    draft.set(PRE, text("llama-bpe"));
    draft.set(TOKENS, texts(tokens));
    draft.set(KINDS, i32s((0..VOCAB).map(kind)));
    draft.set(MERGES, texts(["a b"]));
    draft.set(BOS, u32(257));
    draft.set(EOS, u32(258));
    draft.remove(SCORES);
    draft
}

/// The printable character that stands for a byte.
fn character(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&byte| !printable(byte)).count();
    char::from_u32(256 + before as u32).expect("a letter with a mark")
}

#[test]
fn bytes_have_the_characters_everybody_knows() {
    assert_eq!([b'a', b' ', b'\n', 0].map(character), ['a', 'Ġ', 'Ċ', 'Ā']);
}
