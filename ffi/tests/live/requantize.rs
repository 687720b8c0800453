//! The library's own file-to-file quantiser.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use ffi::{Error, ModelOptions, RequantizeOptions, Status, Wanted};

use crate::bench::{Bench, Check, MOBY, PROMPT, bits, fixture, small};
use crate::widened::Widened;

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

/// A name in the temporary folder whose file is gone in the end.
struct Output(PathBuf);

impl Output {
    fn new() -> Self {
        Output(std::env::temp_dir().join(format!("ffi-requantized-{}.gguf", std::process::id())))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
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

fn q8_0(bench: &Bench) {
    let (wide, output) = (Widened::of(&fixture(MOBY), "q8_0"), Output::new());
    bench
        .library
        .requantize(wide.path(), &output.0, &options(MOSTLY_Q8_0))
        .unwrap();
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    assert!(size(&output.0) < size(wide.path()) / 2);
    assert!(
        logits(bench, &output.0)
            .iter()
            .all(|&logit| f32::from_bits(logit).is_finite())
    );
}

fn missing(bench: &Bench) {
    let output = Output::new();
    let gone = Path::new("/no/such/file.gguf");
    match bench
        .library
        .requantize(gone, &output.0, &options(MOSTLY_Q8_0))
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
    let (wide, output) = (Widened::of(&fixture(MOBY), "i2_s"), Output::new());
    bench
        .library
        .requantize(wide.path(), &output.0, &options(MOSTLY_I2_S))
        .unwrap();
    assert!(logits(bench, &output.0) == logits(bench, &fixture(MOBY)));
}

fn from_i2_s(bench: &Bench) {
    let (wide, output) = (Widened::of(&fixture(MOBY), "f32"), Output::new());
    bench
        .library
        .requantize(&fixture(MOBY), &output.0, &options(ALL_F32))
        .unwrap();
    let wide_too = Output(output.0.with_extension("wide"));
    bench
        .library
        .requantize(wide.path(), &wide_too.0, &options(ALL_F32))
        .unwrap();
    assert!(logits(bench, &output.0) == logits(bench, &wide_too.0));
}
