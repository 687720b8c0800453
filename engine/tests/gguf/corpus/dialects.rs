//! X01–X08: files in a way of somebody's own, each with something wrong. All are made from the
//! small llama, whose types nobody contests.

use engine::refusal::Code;

use crate::base::{Base, Dims};
use crate::builder::{Built, Draft, text, u32};
use crate::case::{Case, Stage};

/// 64 × 64.
const QUERY: &str = "blk.0.attn_q.weight";
/// Rows of 128.
const DOWN: &str = "blk.0.ffn_down.weight";
const IQ2_S: u32 = 22;
const Q2_0: u32 = 42;
const IK_IQ2_BN: u32 = 135;
const PQ2_0: u32 = 142;

pub fn cases(_: Base) -> Vec<Case> {
    let mut cases = types();
    cases.extend(keys());
    cases
}

fn base() -> Draft {
    Base::LlamaF32.draft()
}

/// One matrix as another type.
fn with(name: &str, type_id: u32, bytes: Vec<u8>) -> Built {
    let mut draft = base();
    let tensor = draft.find(name);
    (tensor.type_id, tensor.bytes) = (type_id, bytes);
    draft.build()
}

fn types() -> Vec<Case> {
    let refused = |id, code, name: &str, built| {
        Case::refused(id, code, &format!("tensors.{name:?}.type"), built)
    };
    // Codes that could be scales, and scales that could be codes: of OxiBonsai and of PrismML.
    let block = [[0x00, 0x2c].as_slice(), &[0x2c; 32]].concat();
    let mut codebook = Base::LlamaF32.draft_of(Dims {
        embedding: 256,
        ..Base::LlamaF32.dims()
    });
    let tensor = codebook.find(QUERY);
    (tensor.type_id, tensor.bytes) = (IQ2_S, vec![0; 256 * 82]);
    let two = with(DOWN, Q2_0, block.repeat(64));
    let ik = with(QUERY, IK_IQ2_BN, vec![0; 64 * 20]);
    let short = with(DOWN, PQ2_0, block.repeat(63));
    vec![
        refused("X01", Code::DialectAmbiguous, DOWN, two)
            .by(Stage::Open)
            .says("only one dialect", "PQ2_0 in prismml"),
        refused("X02", Code::DtypeMismatch, QUERY, ik)
            .by(Stage::Open)
            .says("F32", "IQ2_BN"),
        refused("X03", Code::DtypeMismatch, QUERY, codebook.build())
            .by(Stage::Open)
            .says("F32", "IQ2_S"),
        refused("X04", Code::TensorTypeUnknown, DOWN, short).says("its dialect", PQ2_0),
    ]
}

/// Hyper-parameters called `llm.…`, as OxiBonsai's converter has them.
fn llm(change: impl FnOnce(&mut Draft)) -> Draft {
    let mut draft = base();
    change(&mut draft);
    for key in &mut draft.keys {
        if let Some(rest) = key.name.strip_prefix(b"llama.") {
            key.name = [b"llm.", rest].concat();
        }
    }
    draft
}

fn keys() -> Vec<Case> {
    let path = |key: &str| format!("metadata.{key:?}");
    let sound = llm(|_| ());
    let blockless = llm(|draft| draft.remove("llama.block_count"));
    let seven = llm(|draft| draft.set("llama.attention.head_count", u32(7)));
    let mut version = base();
    version.set("general.quantization_version", text("INT8_PER_CHANNEL"));
    version.remove("llama.block_count");
    vec![
        Case::accepted("X05", sound.build()).by(Stage::Open),
        Case::refused_at(
            "X06",
            Code::MissingKey,
            &path("llm.block_count"),
            None,
            blockless.build(),
        )
        .by(Stage::Config)
        .says("integer", "no such key"),
        Case::refused(
            "X07",
            Code::HparamInvalid,
            &path("llm.attention.head_count"),
            seven.build(),
        )
        .by(Stage::Config)
        .says("divisor", 7),
        Case::refused_at(
            "X08",
            Code::MissingKey,
            &path("llama.block_count"),
            None,
            version.build(),
        )
        .by(Stage::Config)
        .says("integer", "no such key"),
    ]
}
