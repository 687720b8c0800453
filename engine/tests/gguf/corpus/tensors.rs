//! T01–T38: the tensor table and the data section.

use engine::refusal::Code;

use crate::base::{Base, F32, ones};
use crate::builder::{Built, Draft, Tensor};
use crate::case::Case;
use crate::corpus::strings::too_long;

/// The last tensor, F32 in both base files.
const LAST: &str = "output_norm.weight";
const F64: u32 = 28;
const I8: u32 = 24;
const Q4_0: u32 = 2;
/// What every reader counts elements and bytes in.
const MOST: u64 = i64::MAX as u64;

pub fn cases(base: Base) -> Vec<Case> {
    let mut cases = names(base);
    cases.extend(dims(base));
    cases.extend(sizes(base));
    cases.extend(type_ids(base));
    cases.extend(offsets(base));
    cases.extend(arrangements(base));
    cases.extend(cuts(base));
    cases.push(sixty_thousand(base));
    cases
}

/// The base file after one change to one tensor.
fn with(base: Base, name: &str, change: impl FnOnce(&mut Tensor)) -> Built {
    let mut draft = base.draft();
    change(draft.find(name));
    draft.build()
}

fn path(name: &str, part: &str) -> String {
    format!("tensors.\"{name}\".{part}")
}

fn names(base: Base) -> Vec<Case> {
    let first = "tensors[0].name";
    let mut endless = base.draft().build();
    endless.patch_u64(first, u64::MAX);
    let renamed = |name: &[u8]| with(base, "token_embd.weight", |t| t.name = name.to_vec());
    let too_many = |id, len: usize| {
        let built = renamed(&vec![b'n'; len]);
        Case::refused(id, Code::NameTooLong, first, built).says(63, len)
    };
    let mut twice: Draft = base.draft();
    twice.tensor(LAST, &[8], F32, ones(8));
    let again = format!("tensors[{}].name", twice.tensors.len() - 1);
    let before = format!("tensors[{}].name", twice.tensors.len() - 2);
    let twice = twice.build();
    let [before, again] = [before, again].map(|path| twice.place(&path));
    let mut hidden = base.draft();
    hidden.tensor(&format!("{LAST}\0x"), &[8], F32, ones(8));
    let last = format!("tensors[{}].name", hidden.tensors.len() - 1);
    vec![
        too_long("T01", first, u64::MAX, endless),
        too_many("T02", 64),
        too_many("T03", 5000),
        Case::refused("T04", Code::NameEmpty, first, renamed(b"")).says(1, 0),
        Case::refused_at(
            "T05",
            Code::DuplicateTensor,
            &path(LAST, "name"),
            again,
            twice,
        )
        .says(before, "second"),
        Case::refused("T06", Code::NameNul, &last, hidden.build()).says("no NUL", LAST.len()),
    ]
}

fn dims(base: Base) -> Vec<Case> {
    let n_dims = |id, count: u32| {
        let built = with(base, LAST, |t| t.n_dims = Some(count));
        Case::refused(id, Code::DimsInvalid, &path(LAST, "n_dims"), built).says("1..=4", count)
    };
    let zero = with(base, "blk.0.attn_q.weight", |t| t.dims[1] = 0);
    let field = path("blk.0.attn_q.weight", "dims[1]");
    vec![
        n_dims("T07", 0),
        n_dims("T08", 5),
        n_dims("T09", u32::MAX),
        Case::refused("T10", Code::DimsInvalid, &field, zero).says(1, 0),
    ]
}

fn sizes(base: Base) -> Vec<Case> {
    let case = |id, name: &str, type_id: Option<u32>, dims: &[u64], found: u64| {
        let built = with(base, name, |t| {
            t.dims = dims.to_vec();
            t.type_id = type_id.unwrap_or(t.type_id);
        });
        Case::refused(id, Code::SizeOverflow, &path(name, "dims"), built).says(MOST, found)
    };
    // Elements that cannot be counted overflow whatever the type; bytes need a known one.
    let any = |id, dims: &[u64], found| case(id, "blk.0.attn_q.weight", None, dims, found);
    let known = |id, type_id, dims: &[u64]| case(id, LAST, Some(type_id), dims, dims[0]);
    vec![
        any("T11", &[u64::MAX, 1], u64::MAX),
        any("T12", &[1 << 32, 1 << 32], 1 << 32),
        any("T13", &[1 << 31, 1 << 31, 2, 2], 1 << 31),
        known("T14", F32, &[1 << 62]),
        known("T15", F32, &[(1 << 62) + 1024]),
        any("T16", &[MOST, 1], MOST),
        cumulative(base),
        known("T32", F64, &[(1 << 61) - 1]),
    ]
}

fn cumulative(base: Base) -> Case {
    let mut draft = base.draft();
    let half = (1u64 << 63) - 32;
    for tensor in &mut draft.tensors[..2] {
        tensor.type_id = I8;
        tensor.dims = vec![half];
    }
    let second = String::from_utf8(draft.tensors[1].name.clone()).expect("a base name");
    Case::refused(
        "T31",
        Code::SizeOverflow,
        &path(&second, "dims"),
        draft.build(),
    )
    .says(MOST, half)
}

fn type_ids(base: Base) -> Vec<Case> {
    let case = |id, code, type_id: u32, rule: &str| {
        let built = with(base, LAST, |t| t.type_id = type_id);
        Case::refused(id, code, &path(LAST, "type"), built).says(rule, type_id)
    };
    let blocks = |id, dims: &[u64]| {
        let built = with(base, LAST, |t| {
            t.type_id = Q4_0;
            t.dims = dims.to_vec();
        });
        Case::refused(id, Code::BlockMismatch, &path(LAST, "dims[0]"), built).says(32, dims[0])
    };
    vec![
        case("T17", Code::TensorTypeUnknown, u32::MAX, "0..=44"),
        case("T18", Code::TensorTypeRemoved, 4, "in use"),
        case("T19", Code::TensorTypeUnknown, 1000, "0..=44"),
        blocks("T20", &[33]),
        blocks("T21", &[16, 2]),
    ]
}

fn offsets(base: Base) -> Vec<Case> {
    let field = path(LAST, "offset");
    let valid = base.draft().build();
    let [start, data] = ["data.start", &path(LAST, "data")].map(|path| valid.place(path));
    let relative = data - start;
    let len = valid.bytes.len();
    let moved = |id, code, offset: u64| {
        let mut built = base.draft().build();
        built.patch_u64(&field, offset);
        Case::refused(id, code, &field, built)
    };
    let far = 1u64 << 40;
    vec![
        moved("T22", Code::OffsetUnaligned, relative + 1).says(32, relative + 1),
        moved("T23", Code::OffsetInvalid, u64::MAX - 63).says(len, u64::MAX - 63),
        moved("T24", Code::OffsetInvalid, far).says(len, start + far),
        same_place(base),
    ]
}

/// attn_q says it lies where attn_k does; what follows it in the table is the one refused.
fn same_place(base: Base) -> Case {
    let [q, k] = ["blk.0.attn_q.weight", "blk.0.attn_k.weight"];
    let mut built = base.draft().build();
    let at = built.place(&path(k, "data"));
    let relative = at - built.place("data.start");
    built.patch_u64(&path(q, "offset"), relative);
    Case::refused("T25", Code::TensorOverlap, &path(k, "offset"), built).says("later", at)
}

fn arrangements(base: Base) -> Vec<Case> {
    let mut swapped = base.draft();
    let count = swapped.tensors.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.swap(count - 1, count - 2);
    swapped.data_order = Some(order);
    let hole = with(base, LAST, |t| t.hole = 4096);
    vec![
        Case::accepted("T26", swapped.build()).warns("TENSORS_UNORDERED"),
        Case::accepted("T27", hole).warns("DATA_HOLE"),
    ]
}

fn cuts(base: Base) -> Vec<Case> {
    let cut = |at: u64| {
        let mut built = base.draft().build();
        built.cut(at);
        built
    };
    let valid = base.draft().build();
    let first_bytes = base.draft().tensors[0].bytes.len() as u64;
    let first_end = valid.place("data.start") + first_bytes;
    let end = valid.place("file.end");
    let infos = valid.place("tensors.end");
    let past = |id, name: &str, needs: u64, len: u64| {
        Case::refused(id, Code::DataPastEof, &path(name, "data"), cut(len)).says(needs, len)
    };
    let half = end / 2;
    let broken = first_past(base, half);
    let table = path(LAST, "type");
    let inside = cut(valid.place(&table) + 1);
    vec![
        past("T28", LAST, end, end - 1),
        past("T29", "token_embd.weight", first_end, infos),
        past("T30", &broken.0, broken.1, half),
        Case::refused("T33", Code::Truncated, &table, inside).says(4, 1),
    ]
}

/// The first tensor that reaches past a byte, and where it ends.
fn first_past(base: Base, len: u64) -> (String, u64) {
    let draft = base.draft();
    let built = draft.build();
    draft
        .tensors
        .iter()
        .map(|tensor| {
            let name = String::from_utf8_lossy(&tensor.name).into_owned();
            let start = built.place(&path(&name, "data"));
            (name, start + tensor.bytes.len() as u64)
        })
        .find(|(_, end)| *end > len)
        .expect("the file was cut")
}

/// Names that a quadratic duplicate check would compare two thousand million times.
fn sixty_thousand(base: Base) -> Case {
    let mut draft = base.draft();
    for index in 0..60_000 {
        draft.tensor(&format!("spare.{index}"), &[1], F32, ones(1));
    }
    Case::accepted("T38", draft.build()).warns("UNKNOWN_TENSOR")
}
