//! Damaged weights: one file of safetensors, and shards under an index.

use std::fs;

use engine::refusal::Code;
use serde_json::{Value, json};

use super::{Made, Row, WEIGHTS, cut, row, sharded};

const INDEX: &str = "model.safetensors.index.json";
const SECOND: &str = "model-00002-of-00002.safetensors";

/// As it stands there.
const NORM_IN_INDEX: &str = ",\"model.norm.weight\":\"model-00001-of-00002.safetensors\"";

/// Replaces the length in front of a header.
fn header_length(made: &Made, length: u64) {
    let mut bytes = fs::read(made.file(WEIGHTS)).expect("there");
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    fs::write(made.file(WEIGHTS), bytes).expect("written");
}

/// Puts another header before the data, with its length.
fn header(made: &Made, edit: impl FnOnce(&str) -> String) {
    let bytes = fs::read(made.file(WEIGHTS)).expect("there");
    let (length, rest) = bytes.split_first_chunk().expect("a length");
    let (text, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let text = edit(std::str::from_utf8(text).expect("JSON"));
    let length = (text.len() as u64).to_le_bytes();
    let edited = [&length, text.as_bytes(), data].concat();
    fs::write(made.file(WEIGHTS), edited).expect("written");
}

/// Says something else of a tensor of 256 floats, which begins at byte 3671040 of the data.
fn of_tensor(made: &Made, field: &str, value: Value) {
    header(made, |text| {
        let mut header: Value = serde_json::from_str(text).expect("JSON");
        header["model.layers.0.input_layernorm.weight"][field] = value;
        header.to_string()
    });
}

pub const ROWS: [Row; 28] = [
    row(
        "no weights",
        |made| fs::remove_file(made.file(WEIGHTS)).expect("there"),
        Code::ShardMissing,
        ["", "model.safetensors", "neither"],
        false,
    ),
    row(
        "weights shorter than their length",
        |made| cut(made, WEIGHTS, |_| 7),
        Code::Truncated,
        ["model.safetensors.header", "8 bytes", "7"],
        true,
    ),
    row(
        "a header longer than the file",
        |made| header_length(made, u64::MAX),
        Code::HeaderInvalid,
        [
            "model.safetensors.header",
            "at most",
            "18446744073709551615",
        ],
        true,
    ),
    row(
        "a header that ends early",
        |made| header_length(made, 1000),
        Code::JsonInvalid,
        ["model.safetensors.header", "JSON", "of 1000 bytes"],
        true,
    ),
    row(
        "weights cut off",
        |made| cut(made, WEIGHTS, |len| len - 1),
        Code::DataPastEof,
        ["data_offsets", "a file of at least", "cut off?"],
        true,
    ),
    row(
        "bytes behind the last tensor",
        |made| {
            let bytes = fs::read(made.file(WEIGHTS)).expect("there");
            fs::write(made.file(WEIGHTS), [&bytes[..], b"more"].concat()).expect("written");
        },
        Code::HeaderInvalid,
        [WEIGHTS, "where the last tensor ends", ""],
        true,
    ),
    row(
        "weights that are a folder",
        |made| {
            fs::remove_file(made.file(WEIGHTS)).expect("there");
            fs::create_dir(made.file(WEIGHTS)).expect("made");
        },
        Code::NotARegularFile,
        [WEIGHTS, "a regular file", "a directory"],
        false,
    ),
    row(
        "a header that is no object",
        |made| header(made, |_| "[]".into()),
        Code::HeaderInvalid,
        ["model.safetensors.header", "an object", "[]"],
        true,
    ),
    row(
        "a shape that is told twice",
        |made| {
            header(made, |text| {
                text.replacen("\"shape\"", "\"shape\":[9],\"shape\"", 1)
            })
        },
        Code::DuplicateKey,
        ["model.safetensors.header", "different names", "\"shape\""],
        true,
    ),
    row(
        "a tensor that begins inside another",
        |made| of_tensor(made, "data_offsets", json!([3671036, 3672060])),
        Code::TensorOverlap,
        ["input_layernorm.weight\".data_offsets", "data at byte", ""],
        true,
    ),
    row(
        "bytes between two tensors",
        |made| of_tensor(made, "data_offsets", json!([3671044, 3672068])),
        Code::OffsetInvalid,
        ["input_layernorm.weight\".data_offsets", "data at byte", ""],
        true,
    ),
    row(
        "a place behind every file",
        |made| of_tensor(made, "data_offsets", json!([u64::MAX - 1024, u64::MAX])),
        Code::OffsetInvalid,
        ["data_offsets", "bytes of the file", "18446744073709551615"],
        false,
    ),
    row(
        "a beginning without an end",
        |made| of_tensor(made, "data_offsets", json!([3671040])),
        Code::OffsetInvalid,
        ["data_offsets", "two integers", "[3671040]"],
        false,
    ),
    row(
        "a size that cannot be counted",
        |made| of_tensor(made, "shape", json!([1_u64 << 32, 1_u64 << 32])),
        Code::SizeOverflow,
        [
            "input_layernorm",
            "can be counted",
            "[4294967296, 4294967296]",
        ],
        false,
    ),
    row(
        "more dimensions than there are",
        |made| of_tensor(made, "shape", json!([1, 1, 1, 1, 1, 1, 1, 1, 256])),
        Code::DimsInvalid,
        ["input_layernorm", "at most 8 dimensions", "9"],
        false,
    ),
    row(
        "an element of no known type",
        |made| made.replace(WEIGHTS, "\"dtype\":\"F32\"", "\"dtype\":\"X32\""),
        Code::DtypeMismatch,
        ["dtype", "one of F64, F32", "\"X32\""],
        false,
    ),
    row(
        "a shape that cannot be counted",
        |made| made.replace(WEIGHTS, "[768,256]", "[7e9,256]"),
        Code::DimsInvalid,
        ["shape[0]", "an integer", "7000000000"],
        false,
    ),
    row(
        "a shape larger than its bytes",
        |made| made.replace(WEIGHTS, "[768,256]", "[999,999]"),
        Code::OffsetInvalid,
        ["data_offsets", "3992004 bytes, for [999, 999] of F32", ".."],
        false,
    ),
    row(
        "two tensors of one name",
        |made| {
            made.replace(
                WEIGHTS,
                "layers.3.mlp.ffn_sub_norm",
                "layers.2.mlp.ffn_sub_norm",
            );
        },
        Code::DuplicateTensor,
        [
            "layers.2.mlp.ffn_sub_norm.weight",
            "one tensor",
            "two, at bytes",
        ],
        true,
    ),
    row(
        "a tensor that the architecture does not have",
        |made| made.replace(WEIGHTS, "model.norm.weight", "model.xorm.weight"),
        Code::MissingTensor,
        ["model.norm.weight", "output_norm.weight", "no tensor"],
        false,
    ),
    row(
        "a number that is none",
        |made| {
            let mut bytes = fs::read(made.file(WEIGHTS)).expect("there");
            let end = bytes.len();
            bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
            fs::write(made.file(WEIGHTS), bytes).expect("written");
        },
        Code::DataNonfinite,
        [".data", "finite", "NaN as element 767"],
        true,
    ),
    sharded(row(
        "a shard that is not there",
        |made| fs::remove_file(made.file(SECOND)).expect("there"),
        Code::ShardMissing,
        [SECOND, "the shard of", "no such file"],
        false,
    )),
    sharded(row(
        "an index that leaves a tensor out",
        |made| made.replace(INDEX, "\"model.norm.weight\"", "\"model.xorm.weight\""),
        Code::IndexMismatch,
        ["model.xorm.weight", "a tensor of model-0000", "none of its"],
        false,
    )),
    sharded(row(
        "an index that leads elsewhere",
        |made| made.replace(INDEX, SECOND, "../model-02-of-02.safetensors___"),
        Code::IndexMismatch,
        [
            "weight_map",
            "the name of a file in the same folder",
            "../model",
        ],
        false,
    )),
    sharded(row(
        "a second shard that is cut off",
        |made| cut(made, SECOND, |len| len - 1),
        Code::DataPastEof,
        [SECOND, "a file of at least", "cut off?"],
        true,
    )),
    sharded(row(
        "an index without one of the tensors",
        |made| made.replace(INDEX, NORM_IN_INDEX, ""),
        Code::IndexMismatch,
        [
            "model.norm.weight",
            "only the 22 tensors that the index names",
            "23 tensors",
        ],
        true,
    )),
    sharded(row(
        "an index that names a tensor twice",
        |made| {
            let again = format!("{NORM_IN_INDEX}{NORM_IN_INDEX}");
            made.replace(INDEX, NORM_IN_INDEX, &again);
        },
        Code::DuplicateKey,
        [INDEX, "different names", "\"model.norm.weight\""],
        true,
    )),
    sharded(row(
        "an index that is a shard of its own",
        |made| {
            let itself = format!("{NORM_IN_INDEX},\"x\":\"{INDEX}\"");
            made.replace(INDEX, NORM_IN_INDEX, &itself);
        },
        Code::HeaderInvalid,
        [
            "model.safetensors.index.json.header",
            "a length of at most",
            "",
        ],
        true,
    )),
];
