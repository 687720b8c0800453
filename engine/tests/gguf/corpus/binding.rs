//! T34–T37, T39–T42, I01–I04: what shows when tensors are bound, or only when they are used.

use engine::refusal::Code;

use crate::base::{Base, Dims, F32, I2_S, i2_s, ones};
use crate::builder::Draft;
use crate::case::{Case, Stage};

const QUERY: &str = "blk.0.attn_q.weight";
const ELSEWHERE: &str = "layers.0.attention.wq.weight";
const I8: u32 = 24;
const Q4_0: u32 = 2;

pub fn cases(base: Base) -> Vec<Case> {
    let mut cases = tables(base);
    cases.extend(packed(base));
    cases.extend(weight_data(base));
    cases
}

fn path(name: &str, part: &str) -> String {
    format!("tensors.\"{name}\".{part}")
}

fn refused(id: &'static str, code: Code, field: &str, draft: Draft) -> Case {
    Case::refused(id, code, field, draft.build()).by(Stage::Open)
}

fn tables(base: Base) -> Vec<Case> {
    let wide = base.dims().embedding;
    let mut missing = base.draft();
    missing
        .tensors
        .retain(|tensor| tensor.name != QUERY.as_bytes());
    let mut extra = base.draft();
    extra.tensor("blk.0.mystery.weight", &[8], F32, ones(8));
    let mut narrow = base.draft();
    narrow.find(QUERY).dims = vec![wide, 32];
    let norm = "blk.0.attn_norm.weight";
    let mut bytes = base.draft();
    bytes.find(norm).type_id = I8;
    let mut foreign = base.draft();
    foreign
        .tensors
        .retain(|tensor| !tensor.name.starts_with(b"blk.") || tensor.name == QUERY.as_bytes());
    foreign.find(QUERY).name = ELSEWHERE.into();
    let [full, half] = [[wide, wide], [wide, 32]].map(|dims| format!("{dims:?}"));
    vec![
        Case::refused_at("T34", Code::MissingTensor, &gone(), None, missing.build())
            .by(Stage::Open)
            .says(&full, "no tensor"),
        Case::accepted("T35", extra.build())
            .by(Stage::Open)
            .warns("UNKNOWN_TENSOR"),
        refused(
            "T42",
            Code::UnknownTensor,
            &path(ELSEWHERE, "name"),
            foreign,
        )
        .by(Stage::Config)
        .says(QUERY, "a checkpoint"),
        refused("T36", Code::ShapeMismatch, &path(QUERY, "dims"), narrow).says(full, half),
        refused("T37", Code::DtypeMismatch, &path(norm, "type"), bytes).says(0, I8),
    ]
}

fn gone() -> String {
    format!("tensors.\"{QUERY}\"")
}

/// attn_q in I2_S, its data at the end of the file.
fn packed_query(base: Base, dims: Dims) -> Draft {
    let mut draft = base.draft_of(dims);
    draft
        .tensors
        .retain(|tensor| tensor.name != QUERY.as_bytes());
    let wide = dims.embedding;
    draft.tensor(QUERY, &[wide, wide], I2_S, i2_s(wide * wide));
    draft
}

fn packed(base: Base) -> Vec<Case> {
    let wide = base.dims().embedding;
    let whole = packed_query(base, base.dims());
    let mut tailless = whole.clone();
    tailless
        .find(QUERY)
        .bytes
        .truncate((wide * wide / 4) as usize);
    let needs = wide * wide / 4 + 32;
    // 60 wide, and valid but for that.
    let sixty = packed_query(
        base,
        Dims {
            embedding: 60,
            heads: 2,
            ..base.dims()
        },
    );
    vec![
        refused("T39", Code::DataPastEof, &path(QUERY, "data"), tailless).says(needs, needs - 32),
        Case::accepted("T40", whole.build()).by(Stage::Open),
        refused("T41", Code::I2sShape, &path(QUERY, "dims[0]"), sixty).says(64, 60),
    ]
}

fn weight_data(base: Base) -> Vec<Case> {
    let wide = base.dims().embedding;
    let fill = |count: u64, value: f32| -> Vec<u8> {
        (0..count).flat_map(|_| value.to_le_bytes()).collect()
    };
    let mut not_a_number = base.draft();
    let query = not_a_number.find(QUERY);
    // Two bits cannot say it: whatever the base packs, this one tensor is F32.
    query.type_id = F32;
    query.bytes = fill(wide * wide, f32::NAN);
    let mut infinite = base.draft();
    infinite.find("output_norm.weight").bytes = fill(wide, f32::INFINITY);
    vec![
        poisoned("I01", QUERY, "NaN", not_a_number),
        poisoned("I02", "output_norm.weight", "inf", infinite),
        infinite_scale(base),
        Case::accepted("I03", zeroed(base).build()).by(Stage::Eval),
    ]
}

fn poisoned(id: &'static str, name: &str, found: &str, draft: Draft) -> Case {
    let field = path(name, "data[0]");
    let built = draft.build();
    let at = built.place(&path(name, "data"));
    Case::refused_at(id, Code::DataNonfinite, &field, at, built)
        .by(Stage::Finite)
        .says("finite", found)
}

/// The scale of the second block is an infinity; a weight that is packed so is not computed.
fn infinite_scale(base: Base) -> Case {
    let wide = base.dims().embedding;
    let mut draft = base.draft();
    let query = draft.find(QUERY);
    query.type_id = Q4_0;
    query.bytes = vec![0; (wide * wide / 32 * 18) as usize];
    query.bytes[18..20].copy_from_slice(&0x7c00u16.to_le_bytes());
    let built = draft.build();
    let at = built.place(&path(QUERY, "data")) + 18;
    let field = path(QUERY, "data[32]");
    Case::refused_at("I04", Code::DataNonfinite, &field, at, built)
        .by(Stage::Finite)
        .says("finite", "inf")
}

/// All weights zero: codes of the middle value in I2_S.
fn zeroed(base: Base) -> Draft {
    let mut draft = base.draft();
    for tensor in &mut draft.tensors {
        match tensor.type_id {
            I2_S => {
                let codes = tensor.bytes.len() - 32;
                tensor.bytes[..codes].fill(0x55);
            }
            // Divisors of positions, no weights.
            _ if tensor.name == b"rope_freqs.weight" => {}
            _ => tensor.bytes.fill(0),
        }
    }
    draft
}
