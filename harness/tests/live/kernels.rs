//! Kernels of real C++ references.

use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;

use harness::reference::Reference;
use harness::reference::isolation::{Call, Limits, WorkerExit};
use harness::runner::kernels::live::ReferenceKernels;
use harness::runner::kernels::question::Computer;
use harness::runner::kernels::question::Question;
use serde_json::Value;

use libtest_mimic::Trial;

use crate::program::ends::{assert_ends, harness};
use crate::program::fixture;
use crate::{built, live, native_is_avx512};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        live!(
            ["bitnet-portable"],
            every_kernel_of_the_portable_reference_gives_our_bits_or_has_a_named_excuse
        ),
        live!(
            ["llama"],
            a_library_of_another_arithmetic_is_judged_by_its_decoders_and_encoders
        ),
        live!(
            ["bitnet-portable"],
            the_weights_of_the_fixtures_are_what_the_reference_reads
        ),
        live!(
            ["ik"],
            a_library_that_aborts_is_asked_again_in_a_new_process
        ),
        live!(
            ["bitnet", "llama"],
            the_table_of_formats_is_the_committed_one
        ),
        live!([], without_a_reference_there_is_nothing_to_ask),
    ]
}

/// A file that is gone when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("kernels-{name}-{}.json", std::process::id());
        Scratch(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("plain path")
    }

    fn json(&self) -> Value {
        let bytes = std::fs::read(&self.0).expect("written");
        serde_json::from_slice(&bytes).expect("JSON")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn every_kernel_of_the_portable_reference_gives_our_bits_or_has_a_named_excuse() {
    let file = Scratch::new("portable");
    let asked = ["kernels", "--reference", "bitnet-portable", "--cases", "10"];
    let output = harness(&[&asked[..], &["--json", file.path()]].concat());
    assert_ends(
        &output,
        0,
        &[
            "64 kernels agree, 0 differ",
            "24 not asked",
            "int16-wrap again: ",
        ],
    );
    let report = file.json();
    let rows = report["references"][0]["kernels"].as_array().expect("rows");
    assert_eq!(rows.len(), 88);
    for row in rows {
        let name = row["kernel"].as_str().expect("a name");
        if ["q1_0", "q2_0", "f8", "pq2_0", "ptq1_0"]
            .iter()
            .any(|unknown| name.starts_with(unknown))
        {
            assert_eq!(row["ended"], "not_there", "{row}");
            continue;
        }
        assert_eq!(
            (&row["ended"], &row["differ"]),
            (&"complete".into(), &0.into()),
            "{row}"
        );
        assert!(row["values"].as_u64() > Some(100), "{row}");
        let excused = row["excused"].as_object().expect("by name");
        let expected = match name {
            "i2_s-dot" => &["int16-wrap"][..],
            "q4_0-encode" | "q4_1-encode" | "q8_0-encode" | "q8_0-encode-weighted" => {
                &["undefined-conversion"]
            }
            name if name.ends_with("-dot") => &["nan-bits"],
            _ => &[],
        };
        let known = |name: &String| expected.contains(&&name[..]);
        assert!(excused.keys().all(known), "{row}");
    }
    let mut rows = rows.iter();
    let wraps = rows.find(|row| row["kernel"] == "i2_s-dot").expect("asked");
    let wraps = &wraps["excused"]["int16-wrap"];
    assert!(wraps["count"].as_u64() > Some(0), "{wraps}");
    let again = wraps["first"].as_str().expect("arguments");
    let asked = "kernels --reference bitnet-portable ".to_owned() + again;
    let output = harness(&asked.split(' ').collect::<Vec<_>>());
    let because = wraps["because"].as_str().expect("a sentence");
    assert_ends(&output, 0, &[because]);
}

fn a_library_of_another_arithmetic_is_judged_by_its_decoders_and_encoders() {
    let all = ["kernels", "--reference", "llama", "--cases", "5"];
    let file = Scratch::new("llama");
    let output = harness(&[&all[..], &["--json", file.path()]].concat());
    // Products in another order of sums.
    let not_judged = if native_is_avx512() { 2 } else { 1 };
    let words = format!("0 differ, {not_judged} differ and are not judged, 22 not asked");
    assert_ends(&output, 0, &[&words]);
    let report = file.json();
    let rows = report["references"][0]["kernels"].as_array().expect("rows");
    for row in rows.iter().filter(|row| row["ended"] == "complete") {
        let name = row["kernel"].as_str().expect("a name");
        let writes_or_reads = name.contains("-encode") || name.ends_with("-decode");
        assert_eq!(row["judged"], writes_or_reads, "{row}");
        assert!(row["differ"] == 0 || !writes_or_reads, "{row}");
    }
    let asked = ["kernels", "--reference", "llama", "--cases", "5"];
    let only = ["q6_k-dot", "q6_k-decode", "i2_s-dot"];
    let only = only.iter().flat_map(|name| ["--only", name]);
    let output = harness(&asked.into_iter().chain(only).collect::<Vec<_>>());
    let words = ["measured, not judged", "not asked: it has no type i2_s"];
    assert_ends(&output, 0, &words);
    let nothing = ["kernels", "--reference", "llama", "--only", "i2_s-dot"];
    assert_ends(&harness(&nothing), 5, &["1 not asked"]);
}

fn the_weights_of_the_fixtures_are_what_the_reference_reads() {
    let model = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fixtures/moby-tiny/moby-tiny-bitnet.gguf"
    );
    let asked = ["weights", "--reference", "bitnet-portable"];
    let output = harness(&[&asked[..], &["--model", model]].concat());
    let counts = "46 tensors; equal are 46 decoded, 29 products, 28 encoded again; 0 differ";
    assert_ends(&output, 0, &[counts]);
}

fn a_library_that_aborts_is_asked_again_in_a_new_process() {
    let prepared = built("ik").expect("it was asked for");
    let place = prepared.tree.root.clone();
    let launch = Rc::new(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command.arg("worker").arg("--place").arg(&place);
        command
    });
    let reference = Reference::open("ik", Limits::default(), launch).expect("it is built");
    let mut theirs = ReferenceKernels::new(&reference);
    // What its two-bit rows meet is made of at least 512 values, which it asserts.
    const IQ2_BN: i32 = 135;
    let facts = theirs.describe(IQ2_BN).expect("it answers");
    let kind = facts
        .and_then(|facts| facts.dot_partner)
        .expect("a type of its own");
    let short = Question {
        call: Call::Activation { kind, count: 64 },
        values: vec![1.0; 64],
        bytes: Vec::new(),
    };
    match theirs.compute(&short) {
        Err(WorkerExit::Died(death)) => {
            assert!(death.phase.starts_with("quantising"), "{death}");
            assert!(death.assertion.is_some(), "{death}");
        }
        other => panic!("{other:?}"),
    }
    let halves = Question {
        call: Call::Encode {
            kind: 1,
            columns: 64,
            rows: 1,
            weighted: false,
        },
        ..short
    };
    let answer = theirs.compute(&halves).expect("a new process answers");
    assert_eq!(answer.bytes, [0x00, 0x3c].repeat(64));
}

fn without_a_reference_there_is_nothing_to_ask() {
    let seed = harness(&["kernels", "--seed", "2"]);
    assert_ends(&seed, 3, &["scripts/reference.sh"]);
    let unknown = harness(&["kernels", "--only", "q9-dot"]);
    assert_ends(&unknown, 2, &["the kernels are f32-dot"]);
}

fn the_table_of_formats_is_the_committed_one() {
    let references = ["--reference", "bitnet", "--reference", "llama"];
    let model = fixture("moby-tiny/moby-tiny-bitnet.gguf");
    let model = ["--model", model.to_str().expect("plain path")];
    let output = harness(&[&["formats"][..], &model, &references].concat());
    assert_ends(&output, 0, &["every format is read"]);
    let table = String::from_utf8(output.stdout).expect("text");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../receipts");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("formats", table));
}
