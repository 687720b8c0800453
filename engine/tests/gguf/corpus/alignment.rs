//! D01–D08: the alignment key.

use engine::refusal::Code;

use crate::base::Base;
use crate::builder::{Raw, text, u32, u64};
use crate::case::Case;

const FIELD: &str = "metadata.\"general.alignment\"";

pub fn cases(base: Base) -> Vec<Case> {
    let with = |value: Raw| {
        let mut draft = base.draft();
        draft.set("general.alignment", value);
        draft.build()
    };
    let invalid = |id, alignment: u32| {
        Case::refused(id, Code::AlignInvalid, FIELD, with(u32(alignment)))
            .says("a power of two of 8..=16777216", alignment)
    };
    let wrong_type = |id, value: Raw, found: &str| {
        Case::refused(id, Code::WrongKeyType, FIELD, with(value)).says("uint32", found)
    };
    // The builder lays out for 32 whatever the key says.
    let first_odd = match base {
        Base::LlamaF32 => "output.weight",
        Base::BitnetI2s => "blk.0.attn_k.weight",
    };
    let field = format!("tensors.\"{first_odd}\".offset");
    let mut built = with(u32(64));
    let written = built.place(&format!("tensors.\"{first_odd}\".data")) - built.place("data.start");
    assert_eq!(
        written % 64,
        32,
        "{first_odd} is the first that 64 does not divide"
    );
    // Room for the data to move by: the offset is what must be refused.
    built.bytes.extend_from_slice(&[0; 64]);
    vec![
        invalid("D01", 0),
        invalid("D02", 3),
        invalid("D03", 1),
        invalid("D04", 1 << 31),
        invalid("D05", u32::MAX),
        wrong_type("D06", u64(32), "uint64"),
        wrong_type("D07", text("32"), "string"),
        Case::refused("D08", Code::OffsetInvalid, &field, built).says(64, written),
    ]
}
