//! C01–C23: value types and arrays.

use engine::refusal::Code;

use crate::base::{Base, VOCAB};
use crate::builder::{Built, Draft, Raw, array, bool, i32, raw, text, u32, u32s, u64};
use crate::case::{Case, Stage};
use crate::corpus::strings::too_long;

const EXTRA: &str = "metadata.\"zz.extra\"";

pub fn cases(base: Base) -> Vec<Case> {
    let mut cases = vec![
        value_type(base, "C01", 13),
        value_type(base, "C02", u32::MAX),
        not_a_bool(base),
        two_deep(base),
        very_deep(base),
        element_type(base),
    ];
    cases.extend(array_lengths(base));
    cases.push(second_element(base));
    cases.extend(wrong_types(base));
    cases.extend(cut_values(base));
    cases
}

/// The base file with one more key that nobody reads.
fn with_extra(base: Base, value: Raw) -> Built {
    let mut draft = base.draft();
    draft.set("zz.extra", value);
    draft.build()
}

fn value_type(base: Base, id: &'static str, type_id: u32) -> Case {
    let built = with_extra(base, raw(type_id, &[0; 8]));
    Case::refused(id, Code::BadValueType, &format!("{EXTRA}.type"), built).says("0..=12", type_id)
}

fn not_a_bool(base: Base) -> Case {
    Case::refused("C03", Code::BadBool, EXTRA, with_extra(base, bool(2))).says("0 or 1", 2)
}

fn two_deep(base: Base) -> Case {
    let inner = || u32s([1, 2, 3]).payload;
    Case::accepted("C04", with_extra(base, array(9, [inner(), inner()])))
}

fn very_deep(base: Base) -> Case {
    let mut payload = Vec::new();
    for _ in 0..100_000 {
        payload.extend_from_slice(&9u32.to_le_bytes());
        payload.extend_from_slice(&1u64.to_le_bytes());
    }
    payload.extend_from_slice(&u32s([7]).payload);
    let built = with_extra(base, raw(9, &payload));
    // Eight are allowed inside one another; the ninth is named.
    let ninth = built.place(EXTRA) + 8 * 12;
    Case::refused_at("C05", Code::NestedArray, EXTRA, ninth, built).says(8, 9)
}

fn element_type(base: Base) -> Case {
    let field = format!("{EXTRA}.element_type");
    let built = with_extra(base, array(99, [vec![0; 4]]));
    Case::refused("C06", Code::BadValueType, &field, built).says("0..=12", 99)
}

fn array_lengths(base: Base) -> Vec<Case> {
    let case = |id, value: Raw, least: u64, len: u64| {
        let field = format!("{EXTRA}.len");
        let mut built = with_extra(base, value);
        built.patch_u64(&field, len);
        let left = built.bytes.len() as u64 - built.place(&field) - 8;
        Case::refused(id, Code::ArrayTooLong, &field, built).says(left / least, len)
    };
    let one_text = || array(8, [text("a").payload]);
    let one_u32 = || array(4, [vec![0; 4]]);
    vec![
        case("C07", array(0, [vec![0]]), 1, u64::MAX),
        case("C08", array(10, [vec![0; 8]]), 8, 1 << 61),
        case("C09", one_text(), 8, 1 << 60),
        case("C10", one_text(), 8, 1 << 59),
        case("C11", one_u32(), 4, 1 << 30),
        case("C12", one_text(), 8, 200_000_000),
    ]
}

fn second_element(base: Base) -> Case {
    let field = format!("{EXTRA}[1]");
    let mut built = with_extra(base, array(8, [text("a").payload, text("b").payload]));
    built.patch_u64(&field, u64::MAX);
    too_long("C13", &field, u64::MAX, built)
}

fn wrong_types(base: Base) -> Vec<Case> {
    let case = |id, code, key: &str, value: Raw| {
        let mut draft: Draft = base.draft();
        draft.set(key, value);
        Case::refused(id, code, &format!("metadata.\"{key}\""), draft.build()).by(Stage::Config)
    };
    let wrong = |id, key: &str, value| case(id, Code::WrongKeyType, key, value);
    let tokens = "tokenizer.ggml.tokens";
    let blocks = base.key("block_count");
    let heads = base.key("attention.head_count");
    let short = array(0, (0..VOCAB).map(|_| vec![1]));
    let mut wide = base.draft();
    wide.set(&blocks, u64(1));
    let numbers = u32s((0..VOCAB as u32).rev());
    vec![
        wrong("C14", tokens, u32(1)).says("array", "uint32"),
        wrong("C15", tokens, numbers)
            .says("string", "uint32")
            .by(Stage::Tokenizer),
        wrong("C16", "tokenizer.ggml.scores", short)
            .says("float32", "uint8")
            .by(Stage::Tokenizer),
        wrong("C17", &blocks, text("1")).says("integer", "string"),
        case("C18", Code::HparamInvalid, &blocks, i32(-1)).says(u32::MAX, -1),
        Case::accepted("C19", wide.build()),
        wrong("C20", "general.architecture", u32(1)).says("string", "uint32"),
        case("C23", Code::HparamInvalid, &heads, u32s([4, 4, 4])).says(1, 3),
    ]
}

fn cut_values(base: Base) -> Vec<Case> {
    // Far enough behind that what is left could still hold what the counts say.
    let value = "metadata.\"tokenizer.ggml.eos_token_id\"";
    let mut inside = base.draft().build();
    let at = inside.place(value);
    inside.cut(at + 2);
    let mut before = base.draft().build();
    let kind = format!("{value}.type");
    let at = before.place(&kind);
    before.cut(at);
    vec![
        Case::refused("C21", Code::Truncated, value, inside).says(4, 2),
        Case::refused("C22", Code::Truncated, &kind, before).says(4, 0),
    ]
}
