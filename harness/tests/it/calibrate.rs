//! Calibration: the same floors every time, other bits in one arithmetic noticed, and a floor
//! beyond its gate fails.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Output;

use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::session::OpenOptions;
use harness::case::Case;
use harness::case::observation::{Lane, Observation};
use harness::file::provenance::Input;
use harness::judge::outcome::Outcome;
use harness::judge::tolerance::{ArithmeticGap, tolerances};
use harness::oracle::calibrate::documents::{self, Extent};
use harness::oracle::calibrate::{Report, floors, measure};
use harness::runner::engine::Engine;
use harness::runner::scripted::Scripted;
use harness::runner::{RunError, Runner};

use crate::program::ends::{assert_ends, harness};

const EXTENT: Extent = Extent {
    documents: 2,
    length: 12,
    seed: 1,
};

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/moby-tiny/moby-tiny-bitnet.gguf")
}

fn texts() -> Vec<Case> {
    let model = engine::Model::open(&model(), &OpenOptions::default()).expect("a fixture");
    documents::write(&model, "moby", EXTENT, || ()).expect("it knows its own words")
}

fn engine(profile: Profile) -> Engine {
    Engine::new(Kernel::best(), 1).with_profile(profile)
}

#[test]
fn the_texts_are_the_same_every_time_and_each_another() {
    let once = texts();
    assert_eq!(once, texts());
    assert_ne!(once[0].prompt, once[1].prompt);
    assert!(
        once.iter()
            .all(|case| case.positions.len() == case.tokens && case.tokens > 6)
    );
}

#[test]
fn one_bit_in_one_document_is_noticed_within_an_arithmetic() {
    let (input, _) = Input::read(&model()).expect("a fixture");
    let base = engine(Profile::GgmlAvx512);
    let flipped = Scripted::new("flipped", engine(Profile::GgmlAvx512), |task, seen| {
        if task.case.name == "document-02" {
            let decode = seen.lanes.get_mut(&Lane::Decode).expect("both ways");
            let value = &mut decode.values[700];
            *value = f32::from_bits(value.to_bits() ^ 1);
        }
        Ok(())
    });
    let mut witnesses: Vec<Box<dyn Runner>> = vec![
        Box::new(base),
        Box::new(engine(Profile::GgmlAvx2)),
        Box::new(flipped),
    ];
    let calibration = measure(&texts(), &input, &mut witnesses, || ());
    assert!(calibration.ended_by.is_none(), "all answer");
    let [equal] = &calibration.equal[..] else {
        panic!("{:?}", calibration.equal);
    };
    assert_eq!((equal.documents, equal.holds()), ([1, 2], false));

    // Three lanes: another order on both ways, and the two ways beside each other.
    let fresh = floors::fresh(&calibration, tolerances()).expect("numbers");
    let kinds: Vec<_> = fresh
        .iter()
        .map(|f| (f.floor.apart, f.floor.path))
        .collect();
    let [prefill, decode] = Lane::ALL;
    let expected = [
        (ArithmeticGap::Order, prefill),
        (ArithmeticGap::Order, decode),
        (ArithmeticGap::Path, prefill),
    ];
    assert_eq!(kinds, expected);
    for one in &fresh {
        assert_eq!(one.exceeds, None);
        assert!(one.floor.nmse_mean > 0.0 && one.nmse_interval.is_some());
    }
    let missing = [
        ArithmeticGap::Halves,
        ArithmeticGap::Ik,
        ArithmeticGap::Llama,
    ];
    assert_eq!(floors::unmeasured(&fresh), missing);
}

/// The engine, and again with that done to what it sees of a text.
fn twice(
    change: impl Fn(&str, &mut Observation) -> Result<(), RunError> + 'static,
) -> Vec<Box<dyn Runner>> {
    let other = Scripted::new("other", engine(Profile::GgmlAvx512), move |task, seen| {
        change(&task.case.name, seen)
    });
    vec![Box::new(engine(Profile::GgmlAvx512)), Box::new(other)]
}

#[test]
fn a_death_ends_it_and_hides_nothing_of_what_was_measured_before() {
    let (input, _) = Input::read(&model()).expect("a fixture");
    let refused = |why: &str| Err(RunError::Refused(why.into()));
    let mut witnesses = twice(move |text, seen| {
        if text == "document-02" {
            panic!("planted");
        }
        let prefill = seen.lanes.get_mut(&Lane::Prefill).expect("both ways");
        prefill.values[7] += 1.0;
        Ok(())
    });
    let found = measure(&texts(), &input, &mut witnesses, || ());
    let report =
        Report::conclude(found, tolerances().measured.clone(), tolerances()).expect("numbers");
    let said = report.render(None);
    assert_eq!(report.outcome(true), Outcome::Divergence, "{said}");
    assert!(said.contains("0 of 1 documents bit-identical"), "{said}");
    assert!(
        said.contains("ENDED before the last text: document-02: other: died"),
        "{said}"
    );

    let mut witnesses = twice(move |_, _| refused("planted"));
    let found = measure(&texts(), &input, &mut witnesses, || ());
    let report =
        Report::conclude(found, tolerances().measured.clone(), tolerances()).expect("numbers");
    assert_eq!(
        report.outcome(false),
        Outcome::Incomplete,
        "nothing was measured"
    );
}

#[test]
fn a_floor_beyond_its_gate_is_told_with_both_numbers() {
    let gates = tolerances()
        .gates(ArithmeticGap::Order, Lane::Prefill)
        .expect("measured");
    let on_record = |f: &&harness::judge::tolerance::Floor| f.apart == ArithmeticGap::Order;
    let mut floor = tolerances()
        .floor
        .iter()
        .find(on_record)
        .expect("on record")
        .clone();
    assert_eq!(floors::exceeded(&floor, &gates), None);
    floor.nmse_median = 1e-6;
    let told = floors::exceeded(&floor, &gates).expect("far beyond");
    assert!(
        told.starts_with("median NMSE 1.0e-6 above its gate"),
        "{told}"
    );
}

fn calibrate(arguments: &[&str]) -> Output {
    harness(&[&["calibrate"][..], arguments].concat())
}

#[test]
fn without_a_reference_what_was_not_measured_is_told_and_nothing_is_written() {
    let small = ["--documents", "2", "--length", "8"];
    let told = [
        "ggml-avx2 against ggml-avx512, prefill",
        "prefill against decode, ggml-avx512",
        "not measured: ik on weights of another form",
        "mean of the worst 10",
    ];
    assert_ends(&calibrate(&small), 0, &told);
    let output = calibrate(&[&small[..], &["--write"]].concat());
    assert_ends(&output, 2, &["--write needs 24 texts of 300 tokens"]);
    assert_ends(&calibrate(&["--documents", "0"]), 2, &["--documents"]);
    let output = calibrate(&[&small[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    assert_eq!(json["unmeasured"].as_array().map(Vec::len), Some(2));
}

#[test]
fn the_table_goes_between_its_two_lines() {
    let file = std::env::temp_dir().join(format!("ladder-{}.md", std::process::id()));
    let path = file.to_str().expect("plain path");
    std::fs::write(&file, "no place for it\n").expect("temporary file");
    assert_ends(&calibrate(&["--table", path]), 2, &["has no lines"]);
    let [begin, end] = [
        harness::judge::tolerance::table::BEGIN,
        harness::judge::tolerance::table::END,
    ];
    std::fs::write(&file, format!("before\n{begin}\nold\n{end}\nbehind\n")).expect("written");
    let same = ["--table", path, "--json", path];
    assert_ends(&calibrate(&same), 2, &["is the same file as --table"]);
    assert_ends(&calibrate(&["--table", path]), 0, &[]);
    let text = std::fs::read_to_string(&file).expect("written");
    std::fs::remove_file(&file).expect("there");
    assert!(
        text.starts_with("before\n") && text.ends_with("behind\n"),
        "{text}"
    );
    assert!(
        text.contains("`t2-other-activations`") && !text.contains("old"),
        "{text}"
    );
}
