//! A01–A23: magic, version and counts.

use engine::refusal::Code;

use crate::base::Base;
use crate::builder::{Built, Draft};
use crate::case::{Case, Stage};

/// What may be said once counts and entries no longer match.
pub const MISFRAMED: &[Code] = &[
    Code::Truncated,
    Code::StringTooLong,
    Code::ArrayTooLong,
    Code::BadValueType,
    Code::KeyEmpty,
    Code::KeyTooLong,
    Code::KeyNul,
    Code::KeyNotUtf8,
    Code::NameEmpty,
    Code::NameTooLong,
    Code::NameNul,
    Code::NameNotUtf8,
    Code::DimsInvalid,
    Code::TensorTypeUnknown,
];

pub fn cases(base: Base) -> Vec<Case> {
    let mut cases = vec![
        cut(base, "A01", 0, "header.magic", 4),
        cut(base, "A02", 1, "header.magic", 4),
        cut(base, "A03", 4, "header.version", 4),
        magic(base, "A04", *b"GGML"),
        magic(base, "A05", *b"gguf"),
        cut(base, "A06", 8, "header.tensor_count", 8),
        version(base, "A07", 0),
        version(base, "A08", 1),
        version(base, "A09", 4),
        version(base, "A10", 3u32.swap_bytes()),
    ];
    cases.extend(implausible_counts(base));
    cases.extend(shifted_counts(base));
    cases.push(nothing_inside());
    cases.push(polyglot_tail(base));
    cases.push(garbage_before(base));
    cases
}

fn cut(base: Base, id: &'static str, len: u64, field: &str, needs: u64) -> Case {
    let mut built = base.draft().build();
    built.cut(len);
    let at = built.place(field);
    Case::refused(id, Code::Truncated, field, built).says(needs, len - at)
}

fn magic(base: Base, id: &'static str, magic: [u8; 4]) -> Case {
    let draft = Draft {
        magic,
        ..base.draft()
    };
    let found = String::from_utf8_lossy(&magic).into_owned();
    Case::refused(id, Code::BadMagic, "header.magic", draft.build()).says("GGUF", found)
}

fn version(base: Base, id: &'static str, version: u32) -> Case {
    let draft = Draft {
        version,
        ..base.draft()
    };
    Case::refused(id, Code::BadVersion, "header.version", draft.build()).says("2 or 3", version)
}

fn implausible_counts(base: Base) -> Vec<Case> {
    let count = |id, field: &str, count: u64, entry: u64| {
        let mut built = base.draft().build();
        built.patch_u64(field, count);
        let room = built.bytes.len() as u64 - 24;
        Case::refused(id, Code::CountImplausible, field, built).says(room / entry, count)
    };
    let tensors = |id, n| count(id, "header.tensor_count", n, 33);
    let keys = |id, n| count(id, "header.metadata_count", n, 14);
    vec![
        tensors("A11", 1 << 63),
        tensors("A12", u64::MAX),
        tensors("A13", 1 << 32),
        keys("A14", u64::MAX),
        keys("A15", 1 << 40),
        keys("A23", 300_000_000),
    ]
}

fn shifted_counts(base: Base) -> Vec<Case> {
    let draft = base.draft();
    let [keys, tensors] = [draft.keys.len() as u64, draft.tensors.len() as u64];
    let built = |key_count: u64, tensor_count: u64| -> Built {
        Draft {
            key_count: Some(key_count),
            tensor_count: Some(tensor_count),
            ..draft.clone()
        }
        .build()
    };
    vec![
        Case::misframed("A16", MISFRAMED, built(keys + 1, tensors)),
        Case::misframed("A17", MISFRAMED, built(keys - 1, tensors)),
        Case::misframed("A18", MISFRAMED, built(keys, tensors + 1)),
        one_tensor_short(built(keys, tensors - 1)),
    ]
}

/// The last entry, `output_norm.weight`, is now the start of the data: everything has moved, but
/// nothing lies outside.
fn one_tensor_short(built: Built) -> Case {
    let field = "tensors.\"output_norm.weight\"";
    Case::refused_at("A19", Code::MissingTensor, field, None, built)
        .by(Stage::Open)
        .says("a tensor", "no tensor")
}

fn nothing_inside() -> Case {
    let built = Draft::new().build();
    assert_eq!(built.bytes.len(), 32, "the header and its padding");
    let mut built = built;
    built.cut(24);
    let field = "metadata.\"general.architecture\"";
    Case::refused_at("A20", Code::MissingKey, field, None, built).by(Stage::Config)
}

fn polyglot_tail(base: Base) -> Case {
    let mut built = base.draft().build();
    let longer = built.bytes.len() + (1 << 20);
    built.bytes.resize(longer, 0xa5);
    Case::accepted("A21", built).warns("TRAILING_DATA")
}

fn garbage_before(base: Base) -> Case {
    let mut built = base.draft().build();
    built.bytes.splice(0..0, *b"sixteen bytes...");
    Case::refused("A22", Code::BadMagic, "header.magic", built).says("GGUF", "sixt")
}
