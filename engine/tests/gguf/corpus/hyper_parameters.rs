//! F01–F24 and H01–H03: hyper-parameters, and files that are parts of one.

use engine::refusal::Code;

use crate::base::{Base, VOCAB};
use crate::builder::{Built, Raw, f32, text, u16, u32};
use crate::case::{Case, Stage};

pub fn cases(base: Base) -> Vec<Case> {
    let mut cases = blocks_and_widths(base);
    cases.extend(heads(base));
    cases.extend(rotation(base));
    cases.extend(epsilon(base));
    cases.extend(architecture(base));
    cases.extend(splits(base));
    cases
}

fn with(base: Base, key: &str, value: Raw) -> Built {
    let mut draft = base.draft();
    draft.set(key, value);
    draft.build()
}

fn path(key: &str) -> String {
    format!("metadata.\"{key}\"")
}

/// A hyper-parameter under the architecture's prefix that is refused.
fn invalid(base: Base, id: &'static str, name: &str, value: Raw) -> Case {
    let key = base.key(name);
    let built = with(base, &key, value);
    Case::refused(id, Code::HparamInvalid, &path(&key), built).by(Stage::Config)
}

fn blocks_and_widths(base: Base) -> Vec<Case> {
    let number = |id, name: &str, value: u32| invalid(base, id, name, u32(value));
    let wide = base.dims().embedding as u32;
    let unlimited = with(base, &base.key("context_length"), u32(u32::MAX));
    vec![
        number("F01", "block_count", 0).says(1, 0),
        number("F02", "block_count", u32::MAX).says(1, u32::MAX),
        number("F03", "block_count", 2).says(1, 2),
        number("F04", "embedding_length", 0).says(1, 0),
        number("F05", "embedding_length", 2 * wide).says(wide, 2 * wide),
        number("F10", "context_length", 0).says(1, 0),
        Case::accepted("F11", unlimited),
        number("F12", "feed_forward_length", 0).says(1, 0),
        number("F15", "vocab_size", 10).says(VOCAB, 10),
        number("F23", "expert_count", u32::MAX).says(0, u32::MAX),
    ]
}

fn heads(base: Base) -> Vec<Case> {
    let number = |id, name: &str, value: u32| invalid(base, id, name, u32(value));
    let heads = base.dims().heads as u32;
    vec![
        number("F06", "attention.head_count", 0).says(1, 0),
        number("F07", "attention.head_count", 7).says(base.dims().embedding, 7),
        number("F08", "attention.head_count_kv", 0).says(heads, 0),
        number("F09", "attention.head_count_kv", heads + 1).says(heads, heads + 1),
    ]
}

fn rotation(base: Base) -> Vec<Case> {
    let dim = base.dims().head_dim();
    let dimensions = |id, value: u32| {
        let case = invalid(base, id, "rope.dimension_count", u32(value));
        case.says(format!("2..={dim}"), value)
    };
    let number = |id, name: &str, value: f32| invalid(base, id, name, f32(value));
    vec![
        dimensions("F13", 31),
        dimensions("F14", 4096),
        number("F21", "rope.freq_base", 0.0).says("above 0", 0),
        number("F22", "rope.freq_base", f32::NAN).says("finite", "NaN"),
        number("F24", "rope.scaling.factor", 0.0).says("above 0", 0),
    ]
}

fn epsilon(base: Base) -> Vec<Case> {
    let name = "attention.layer_norm_rms_epsilon";
    let mut without = base.draft();
    without.remove(&base.key(name));
    let field = path(&base.key(name));
    vec![
        invalid(base, "F18", name, f32(f32::NAN)).says("finite", "NaN"),
        invalid(base, "F19", name, f32(-1.0)).says("above 0", -1),
        Case::refused_at("F20", Code::MissingKey, &field, None, without.build())
            .by(Stage::Config)
            .says("float32", "no such key"),
    ]
}

fn architecture(base: Base) -> Vec<Case> {
    let key = "general.architecture";
    let mut without = base.draft();
    without.remove(key);
    let unknown = with(base, key, text("zzz"));
    vec![
        Case::refused_at("F16", Code::MissingKey, &path(key), None, without.build())
            .by(Stage::Config)
            .says(base.arch(), "no such key"),
        Case::refused("F17", Code::UnknownArch, &path(key), unknown)
            .by(Stage::Config)
            .says(base.arch(), "zzz"),
    ]
}

fn splits(base: Base) -> Vec<Case> {
    let case = |id, number: u16, count: u16| {
        let mut draft = base.draft();
        draft.set("split.no", u16(number));
        draft.set("split.count", u16(count));
        Case::refused(id, Code::SplitInvalid, &path("split.count"), draft.build())
            .by(Stage::Config)
            .says("one whole file", count)
    };
    let rotated = "prism.hadamard.block_size";
    let rotated = Case::refused(
        "H04",
        Code::HparamInvalid,
        &path(rotated),
        with(base, rotated, u16(128)),
    );
    vec![
        case("H01", 0, 2),
        case("H02", 5, 2),
        case("H03", 0, 65_535),
        rotated
            .by(Stage::Config)
            .says("multiplied as they are", "rotated weights"),
    ]
}
