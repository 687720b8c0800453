//! B01–B17: keys and strings.

use engine::refusal::Code;

use crate::base::Base;
use crate::builder::{Built, Draft, text, u32};
use crate::case::{Case, Stage};

const NAME: &str = "metadata.\"general.name\"";

pub fn cases(base: Base) -> Vec<Case> {
    let mut cases = vec![
        first_key_len(base, "B01", u64::MAX),
        first_key_len(base, "B02", u64::MAX - 1),
        first_key_len(base, "B03", 1 << 63),
        first_key_len(base, "B04", 1 << 40),
        first_key_len(base, "B05", 3 << 30),
    ];
    cases.extend(odd_keys(base));
    cases.extend(string_values(base));
    cases.extend(duplicates(base));
    cases
}

fn first_key_len(base: Base, id: &'static str, len: u64) -> Case {
    let field = "metadata[0].key";
    let mut built = base.draft().build();
    built.patch_u64(field, len);
    too_long(id, field, len, built)
}

/// Refused for a length field; what is left of the file starts behind its eight bytes.
pub fn too_long(id: &'static str, field: &str, len: u64, built: Built) -> Case {
    let left = built.bytes.len() as u64 - built.place(field) - 8;
    Case::refused(id, Code::StringTooLong, field, built).says(left, len)
}

fn odd_keys(base: Base) -> Vec<Case> {
    let with = |name: &[u8]| -> (String, Built) {
        let mut draft = base.draft();
        draft.add(name, u32(64));
        (
            format!("metadata[{}].key", draft.keys.len() - 1),
            draft.build(),
        )
    };
    let refused = |id, code, name: &[u8]| {
        let (field, built) = with(name);
        Case::refused(id, code, &field, built)
    };
    let nul = b"general.alignment\0zz";
    vec![
        refused("B06", Code::KeyEmpty, b"").says(1, 0),
        refused("B07", Code::KeyTooLong, &[b'k'; 70_000]).says(65_535, 70_000),
        refused("B08", Code::KeyNul, nul).says("no NUL", 17),
        refused("B09", Code::KeyNotUtf8, b"general.\xff\xfe").says("UTF-8", 8),
        Case::accepted("B10", with(b"General Alignment").1).warns("KEY_STYLE"),
    ]
}

fn string_values(base: Base) -> Vec<Case> {
    let mut endless = base.draft().build();
    endless.patch_u64(NAME, u64::MAX);
    vec![
        too_long("B11", NAME, u64::MAX, endless),
        one_past_the_end(base),
        hidden_behind_nul(base),
        not_utf8(base),
    ]
}

fn one_past_the_end(base: Base) -> Case {
    let mut built = base.draft().build();
    let len = built.bytes.len() as u64 - built.place(NAME) - 8 + 1;
    built.patch_u64(NAME, len);
    too_long("B12", NAME, len, built)
}

fn hidden_behind_nul(base: Base) -> Case {
    let field = "metadata.\"general.architecture\"";
    let mut draft = base.draft();
    draft.set(
        "general.architecture",
        text(format!("{}\0evil", base.arch())),
    );
    Case::refused("B13", Code::StringNul, field, draft.build())
        .by(Stage::Config)
        .says("no NUL", base.arch().len())
}

fn not_utf8(base: Base) -> Case {
    let mut draft = base.draft();
    draft.set("general.name", text(b"caf\xe9"));
    Case::accepted("B14", draft.build()).warns("VALUE_NOT_UTF8")
}

fn duplicates(base: Base) -> Vec<Case> {
    let twice = |id, name: &str, again| {
        let mut draft: Draft = base.draft();
        draft.add(name.as_bytes(), again);
        let second = format!("metadata[{}].key", draft.keys.len() - 1);
        let built = draft.build();
        let [first, second] =
            [&format!("metadata.\"{name}\".key"), &second].map(|p| built.place(p));
        let field = format!("metadata.\"{name}\"");
        Case::refused_at(id, Code::DuplicateKey, &field, second, built).says(first, "second")
    };
    vec![
        twice("B15", "general.name", text("a small model")),
        twice("B16", "general.alignment", u32(64)),
        twice("B17", "general.architecture", text("gpt2")),
    ]
}
