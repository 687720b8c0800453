//! The program against a real reference.

use std::path::PathBuf;
use std::process::Output;

use libtest_mimic::Trial;

use crate::live;
use crate::program::ends::{assert_ends, harness};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        live!(
            ["bitnet-portable"],
            shapes_agree_with_a_reference_and_another_order_of_operations_does_not
        ),
        live!(
            ["bitnet-portable"],
            a_reference_that_declines_or_has_no_time_is_counted_and_named
        ),
        live!(
            ["ik"],
            a_reference_without_an_arithmetic_of_ours_has_no_bits_to_compare
        ),
        live!(
            ["bitnet-portable"],
            the_relations_hold_on_a_reference_and_a_model_it_declines_is_named
        ),
        live!(["ik"], a_reference_that_takes_no_model_was_not_there),
        live!(
            ["bitnet-portable", "llama"],
            a_bench_compares_the_bits_of_the_same_file_and_the_error_of_another_arithmetic
        ),
    ]
}

fn shapes(arguments: &[&str]) -> Output {
    let portable = ["shapes", "--reference", "bitnet-portable"];
    harness(&[&portable[..], arguments].concat())
}

fn shapes_agree_with_a_reference_and_another_order_of_operations_does_not() {
    let agreed = shapes(&["--first", "2", "--count", "4"]);
    assert_ends(&agreed, 0, &["(live)", "shapes 4/4 compared, 0 differ"]);
    let swapped = shapes(&["--first", "3", "--count", "1", "--profile", "ggml-avx512"]);
    let said = assert_ends(
        &swapped,
        1,
        &["smallest that differs", "first node ", "status: divergence"],
    );
    let quoted = |flag: &str| {
        let after = said.split_once(&format!("{flag} '")).expect("printed").1;
        after.split_once('\'').expect("closed").0.to_owned()
    };
    let (shape, schedule) = (quoted("--shape"), quoted("--schedule"));
    let words = ["--shape", &shape, "--schedule", &schedule];
    assert_ends(&shapes(&words), 0, &["shapes 1/1 compared, 0 differ"]);
    let swapped = [&words[..], &["--profile", "ggml-avx512"]].concat();
    assert_ends(&shapes(&swapped), 1, &[&schedule]);
}

fn a_reference_that_declines_or_has_no_time_is_counted_and_named() {
    let declined = shapes(&["--count", "1", "--arch", "bitnet-b1.58"]);
    let words = ["DECLINED", "unknown model architecture", "1 declined"];
    assert_ends(&declined, 5, &words);
    // Its first words come too late already.
    let late = shapes(&["--count", "1", "--patience", "1e-6"]);
    assert_ends(&late, 6, &["reference_timeout"]);
}

fn a_reference_without_an_arithmetic_of_ours_has_no_bits_to_compare() {
    let run = harness(&["shapes", "--reference", "ik", "--count", "1"]);
    assert_ends(&run, 2, &["ik computes in ik-", "no bits to compare"]);
}

fn the_relations_hold_on_a_reference_and_a_model_it_declines_is_named() {
    let [bitnet, b158] = ["bitnet", "bitnet-b1.58"].map(small);
    let models = ["--model", bitnet.path(), "--model", b158.path()];
    let asked = ["metamorphic", "--reference", "bitnet-portable", "--prompt"];
    let run = harness(&[&asked[..], &["Call me Ishmael."], &models].concat());
    let words = [
        "bitnet-portable (ggml-avx2) on bitnet",
        "reference_refused",
        "unknown model architecture: 'bitnet-b1.58'",
    ];
    let said = assert_ends(&run, 0, &words);
    assert_eq!(said.matches("status: ok").count(), 3, "{said}");
}

/// A model file about which most relations say something, gone when it is dropped.
struct Small(PathBuf);

fn small(architecture: &str) -> Small {
    let name = format!("shapes-{architecture}-{}.gguf", std::process::id());
    let file = Small(std::env::temp_dir().join(name));
    let words = "layers=2 head_dim=32 kv_heads=2 group=2 width=128 inner=128 vocab=259 \
                 context=128 weights=i2_s-p128 embedding=f16";
    let made = [
        "fixtures",
        "random",
        "--seed",
        "1",
        "--arch",
        architecture,
        "--shape",
        words,
    ];
    assert_ends(
        &harness(&[&made[..], &["-o", file.path()]].concat()),
        0,
        &[],
    );
    file
}

impl Small {
    fn path(&self) -> &str {
        self.0.to_str().expect("plain path")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn a_reference_that_takes_no_model_was_not_there() {
    let run = harness(&["metamorphic", "--reference", "ik", "--prompt", "Call me"]);
    assert_ends(&run, 3, &["SKIPPED", "no model was taken by ik"]);
}

fn a_bench_compares_the_bits_of_the_same_file_and_the_error_of_another_arithmetic() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("tq2_0.gguf");
    let place = place.to_str().expect("plain path");
    let shape = "weights=tq2_0 layers=1 head_dim=64 kv_heads=2 group=2 width=256 inner=256";
    let made = ["fixtures", "random", "--seed", "3", "--arch", "llama"];
    let made = harness(&[&made[..], &["--shape", shape, "-o", place]].concat());
    assert_ends(&made, 0, &[]);
    let short = ["--pp", "8", "--tg", "2", "--rounds", "1", "--threads", "1"];
    for (reference, words) in [("bitnet-portable", "same bits"), ("llama", "nmse")] {
        let words = [words];
        let asked = ["bench", "--model", place, "--reference", reference];
        assert_ends(&harness(&[&asked[..], &short].concat()), 0, &words);
    }
}
