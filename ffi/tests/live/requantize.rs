//! The library's own file-to-file quantiser.
#![forbid(unsafe_code)]

use std::path::Path;

use ffi::{Error, ModelOptions, RequantizeOptions, Status, Wanted};

use tempfile::NamedTempFile;

use crate::bench::{Bench, Check, MOBY, PROMPT, bits, fixture, small};
use crate::widened::widened;

pub const CHECKS: &[Check] = &[
    Check::any("requantize::q8_0_loads_and_is_smaller", q8_0),
    Check::any("requantize::a_missing_file_is_refused", missing),
    Check::bitnet("requantize::i2_s_is_made_again_without_losing_a_bit", i2_s),
    Check::ik("requantize::ik_reads_i2_s_as_what_it_means", from_i2_s),
];

/// `llama_ftype` numbers that mean the same in every generation that has them.
const ALL_F32: i32 = 0;
const MOSTLY_Q8_0: i32 = 7;
/// bitnet.cpp's; another type elsewhere.
const MOSTLY_I2_S: i32 = 40;

fn options(file_type: i32) -> RequantizeOptions {
    RequantizeOptions {
        file_type,
        threads: 1,
        allow_requantize: true,
        pure: false,
        only_copy: false,
        quantize_output: true,
    }
}

fn logits(bench: &Bench, file: &Path) -> Vec<u32> {
    let model = bench
        .library
        .model(file, &ModelOptions::default())
        .expect("the file loads");
    let mut session = model.session(&small()).unwrap();
    bits(&session.decode(&PROMPT, 0, Wanted::All).unwrap())
}

/// `from`, written anew by the library, gone when dropped.
fn requantized(bench: &Bench, from: &Path, file_type: i32) -> NamedTempFile {
    let output = NamedTempFile::new().unwrap();
    let library = &bench.library;
    library
        .requantize(from, output.path(), &options(file_type))
        .unwrap();
    output
}

fn q8_0(bench: &Bench) {
    let wide = widened(&fixture(MOBY));
    let output = requantized(bench, wide.path(), MOSTLY_Q8_0);
    let size = |file: &NamedTempFile| file.path().metadata().unwrap().len();
    assert!(size(&output) < size(&wide) / 2);
    assert!(
        logits(bench, output.path())
            .iter()
            .all(|&logit| f32::from_bits(logit).is_finite())
    );
}

fn missing(bench: &Bench) {
    let output = NamedTempFile::new().unwrap();
    let gone = Path::new("/no/such/file.gguf");
    match bench
        .library
        .requantize(gone, output.path(), &options(MOSTLY_Q8_0))
        .unwrap_err()
    {
        Error::Refused {
            status: Status::Failed,
            message,
            ..
        } => {
            assert!(message.contains("/no/such/file.gguf"), "{message}");
        }
        other => panic!("{other}"),
    }
}

fn i2_s(bench: &Bench) {
    let wide = widened(&fixture(MOBY));
    let output = requantized(bench, wide.path(), MOSTLY_I2_S);
    assert!(logits(bench, output.path()) == logits(bench, &fixture(MOBY)));
}

fn from_i2_s(bench: &Bench) {
    let wide = widened(&fixture(MOBY));
    let [direct, widened] =
        [&fixture(MOBY), wide.path()].map(|from| requantized(bench, from, ALL_F32));
    assert!(logits(bench, direct.path()) == logits(bench, widened.path()));
}
