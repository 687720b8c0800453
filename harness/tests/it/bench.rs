//! `bench`: nothing here asserts how long anything takes, only what counts and what does not.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use engine::flavor::Shape;
use engine::format::Format;
use engine::kernels::gemm::{Form, Gemm, Inputs, Stored, Tile};
use engine::kernels::{BlockOrder, Kernel};
use engine::numerics::Profile;
use engine::pool::Band;
use harness::bench::lane::{Known, Lane, Opponent, must_have_vectors};
use harness::bench::report::{Logits, Measured, Speed};
use harness::bench::roofline::{Busy, Roofline};
use harness::bench::{self, Plan, Test, products};
use harness::judge::outcome::Outcome;
use harness::reference::isolation::Limits;
use harness::reference::{Reference, launch_with};

use crate::program::ends::{assert_ends, harness};
use crate::program::fixture;

const MODEL: &str = "random/random-llama.gguf";
const OTHER: &str = "random/random-b158.gguf";

fn plan() -> Plan {
    Plan {
        prompts: vec![8],
        generated: vec![3],
        depths: vec![5],
        threads: vec![1],
        rounds: 2,
        seed: 7,
    }
}

/// The engine as a build, on a fixture and in an order of float operations.
fn lane(name: &str, model: &Path, profile: &str) -> Lane {
    let words: [OsString; 3] = ["--engine".into(), "--profile".into(), profile.into()];
    let program = env!("CARGO_BIN_EXE_harness").into();
    let limits = Limits {
        patience: Duration::from_secs(600),
        ..Limits::default()
    };
    let reference = Reference::open(name, limits, launch_with(program, words.to_vec()));
    let known = Known::read(model).expect("a fixture");
    Lane::new(
        reference.expect("it starts"),
        name.into(),
        Kernel::Scalar,
        &known,
    )
}

fn lanes(other: &str, profile: &str, same_bits: bool) -> Vec<Lane> {
    let mut second = lane("second", &fixture(other), profile);
    second.computes_same_bits = same_bits;
    vec![lane("first", &fixture(MODEL), "ggml-avx512"), second]
}

#[test]
fn a_build_counts_only_if_it_computes_the_same() {
    let equal = bench::run(&plan(), &mut lanes(MODEL, "ggml-avx512", true), &mut |_| {});
    assert_eq!(equal.outcome, Outcome::RustOnly);
    assert_eq!(equal.tests.len(), 2);
    for measured in &equal.tests {
        let [ours, theirs] = &measured.speeds[..] else {
            panic!("two builds");
        };
        assert_eq!((&ours.logits, ours.samples_ts.len()), (&Logits::Own, 4));
        assert!(matches!(theirs.logits, Logits::Equal { values } if values > 0));
        assert_eq!(theirs.samples_ts.len(), 4);
        assert!(theirs.engine_is.is_some() && ours.engine_is.is_none());
    }

    // Another arithmetic on the same file: close, and no parity.
    let close = bench::run(&plan(), &mut lanes(MODEL, "ggml-avx2", false), &mut |_| {});
    assert_eq!(close.outcome, Outcome::RustOnly);
    let logits = close
        .tests
        .iter()
        .map(|measured| &measured.speeds[1].logits);
    assert!(logits.clone().any(|l| matches!(l, Logits::Close { .. })));

    // The same where equal bits were promised, and a build that computes something else.
    for (other, profile, same_bits) in [(MODEL, "ggml-avx2", true), (OTHER, "ggml-avx512", false)] {
        let run = bench::run(&plan(), &mut lanes(other, profile, same_bits), &mut |_| {});
        assert_eq!(run.outcome, Outcome::Divergence, "{other} {profile}");
        let lost = run.tests.iter().map(|measured| &measured.speeds[1]);
        let lost: Vec<&Speed> = lost.filter(|speed| !speed.counts()).collect();
        assert!(!lost.is_empty());
        for speed in lost {
            assert!(speed.samples_ts.is_empty() && speed.engine_is.is_none());
        }
        assert!(run.render(None).contains("does not count"));
    }
}

#[test]
fn a_build_that_answers_for_another_file_is_lost_and_named() {
    let mut both = lanes(MODEL, "ggml-avx512", true);
    both[1].file.sha256 = "0".repeat(64);
    let run = bench::run(&plan(), &mut both, &mut |_| {});
    assert_eq!(run.outcome, Outcome::ReferenceDied);
    assert!(run.render(None).contains("second did not start"));
    // Without logits of the engine, those of another build were compared with nothing.
    let mut both = lanes(MODEL, "ggml-avx512", true);
    both[0].file.sha256 = "0".repeat(64);
    let run = bench::run(&plan(), &mut both, &mut |_| {});
    assert_eq!(run.outcome, Outcome::EngineDied);
    for measured in &run.tests {
        assert!(measured.speeds.iter().all(|speed| !speed.counts()));
        assert!(
            measured
                .speeds
                .iter()
                .all(|speed| speed.samples_ts.is_empty())
        );
    }
}

#[test]
fn more_bytes_than_memory_has_are_flagged() {
    let lanes = lanes(MODEL, "ggml-avx512", true);
    let test = Test {
        n_prompt: 0,
        n_gen: 4,
        n_depth: 0,
        n_threads: 1,
    };
    let measured = |stream_gb_per_s| {
        let mut speed = Speed::of(&lanes[0], test);
        speed.samples_ts = vec![10.0, 10.0];
        let roofline = Roofline {
            stream_gb_per_s,
            int8_gmac_per_s: 1.0,
        };
        Measured::new(test, vec![speed], roofline, Busy::begin().end())
    };
    let bytes = lanes[0].traffic.at(2.0);
    assert!(measured(bytes / 1e9).speeds[0].impossible);
    let sound = measured(bytes * 20.0 / 1e9);
    assert!(!sound.speeds[0].impossible);
    approx::assert_relative_eq!(sound.speeds[0].of_stream.expect("a decode"), 0.5);
}

#[test]
fn an_opponent_without_vectors_is_none() {
    let reference = lane("engine", &fixture(MODEL), "ggml-avx2");
    assert!(reference.compiled_for.contains("ggml-avx2"));
    let program = env!("CARGO_BIN_EXE_harness").into();
    let launch = launch_with(program, vec!["--engine".into()]);
    let opened = Reference::open("slow", Limits::default(), launch).expect("it starts");
    let mut facts = opened.facts().clone();
    facts.hello.system_info = "AVX = 1 | AVX2 = 0 | NEON = 0".into();
    let refused = must_have_vectors(&facts).expect_err("it has none");
    assert!(refused.message.contains("scripts/reference.sh"));
    facts.hello.system_info = "AVX2 = 1 | NEON = 1".into();
    assert!(must_have_vectors(&facts).is_ok());
}

#[test]
fn the_program_times_the_engine_alone_and_refuses_what_it_cannot_time() {
    let model = fixture(MODEL);
    let model = model.to_str().expect("plain path");
    let short = ["--pp", "8", "--tg", "2", "--rounds", "1", "--json", "-"];
    let run = harness(&[&["bench", "--model", model][..], &short].concat());
    assert_eq!(run.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!(report["outcome"], "rust_only");
    assert_eq!(report["tests"][0]["n_prompt"], 8);
    assert_eq!(report["tests"][1]["n_gen"], 2);
    assert_eq!(
        report["builds"][0]["first_token_ms"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    for (words, why) in [
        (&["--pp", "0", "--tg", "0"][..], "nothing to time"),
        (&["--pp", "9999"], "the model was made for"),
        (&["--reference", "=x"], "NAME=FILE"),
        (&["--json", model], "--model"),
    ] {
        let run = harness(&[&["bench", "--model", model][..], words].concat());
        assert_ends(&run, 2, &[why]);
    }
    let parsed: Opponent = "llama=a=b.gguf".parse().expect("a name and a file");
    assert_eq!(parsed.model.as_deref(), Some(Path::new("a=b.gguf")));
}

#[test]
fn a_big_model_is_made_again_from_its_seed_and_replaces_nothing_foreign() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("plain").to_owned();
    let make = |seed: &str, name: &str| {
        let words = "layers=1 width=512 kv_heads=1 vocab=300 inner=512";
        let place = path(name);
        let words = ["--shape", words, "--seed", seed, "-o", &place];
        harness(&[&["fixtures", "big"][..], &words].concat())
    };
    for (seed, name) in [("1", "a"), ("1", "b"), ("2", "c")] {
        assert_ends(&make(seed, name), 0, &["layers=1"]);
    }
    let read = |name: &str| std::fs::read(path(name)).expect("written");
    assert!(read("a") == read("b") && read("a") != read("c"));
    std::fs::write(path("d"), "something else").expect("written");
    assert_ends(&make("1", "d"), 2, &["did not make"]);
    assert_eq!(read("d"), b"something else");
}

#[test]
fn the_likeliest_tokens_are_compared_with_all_logits() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("model.gguf");
    let place = place.to_str().expect("plain path");
    let words = "layers=1 width=512 kv_heads=1 vocab=4200 inner=512";
    let made = harness(&["fixtures", "big", "--shape", words, "-o", place]);
    assert_ends(&made, 0, &[]);
    let short = ["--pp", "8", "--tg", "3", "--rounds", "1", "--likeliest"];
    let run = harness(&[&["bench", "--model", place][..], &short].concat());
    assert_ends(&run, 0, &["likeliest", "same bits (2)"]);
    let ours = [0.0, 3.0, 1.0, 5.0, 5.0, -1.0];
    let right = Logits::likeliest(&[1.0, 3.0, 0.0, 5.0], &ours, 3);
    assert_eq!(right, Logits::Equal { values: 2 });
    for wrong in [[1.0, 3.0, 1.0, 5.0], [1.0, 2.0, 0.0, 5.0]] {
        let wrong = Logits::likeliest(&wrong, &ours, 3);
        assert!(matches!(wrong, Logits::Different { differing: 1, .. }));
    }
}

/// A kernel whose last output has another last bit.
struct OneBitOff(&'static dyn Gemm);

impl Gemm for OneBitOff {
    fn name(&self) -> &'static str {
        "planted"
    }

    fn form(&self) -> Form {
        self.0.form()
    }

    fn tile(&self, tokens: usize) -> Tile {
        self.0.tile(tokens)
    }

    fn multiply(&self, weights: &Stored, inputs: &Inputs, band: &mut Band) {
        self.0.multiply(weights, inputs, band);
        let last = inputs.tokens - 1;
        if let Some(out) = band.token(last).last_mut() {
            *out = f32::from_bits(out.to_bits() ^ 1);
        }
    }
}

#[test]
fn a_product_with_another_bit_has_no_speed() {
    let (rows, cols) = (16, 256);
    let plan = products::Plan {
        formats: vec!["q8_0".into()],
        shape: Shape { rows, cols },
        tokens: vec![3],
        seed: 5,
    };
    let run = products::run(&plan, &mut || ()).expect("it runs");
    assert_eq!(run.outcome, Outcome::RustOnly);
    // The scalar kernel in both orders, and every instruction set.
    let by = |kernel: Kernel| {
        let name = format!("{}-q8_0", kernel.name());
        run.products
            .iter()
            .filter(|one| one.name.starts_with(&name))
            .count()
    };
    assert_eq!(by(Kernel::Scalar), 2);
    assert!(Kernel::available().into_iter().all(|kernel| by(kernel) > 0));
    assert!(
        run.products
            .iter()
            .all(|one| one.speed.is_some() && one.values == 48)
    );

    let format = Format::named("q8_0").expect("a format");
    let weights = products::Weights::random(format, plan.shape, plan.seed).expect("written");
    let (profile, kernel) = (Profile::GgmlAvx512, Kernel::Scalar);
    let mut oracle = weights.candidate(profile, kernel);
    let limit = run.limits[0].roofline;
    let off = OneBitOff(format.gemm(BlockOrder::EightLanes, kernel).expect("one"));
    let mut planted = weights.with(&off, profile, kernel);
    let timed = products::time(&mut planted, &mut oracle, &weights, 3, &plan, limit);
    assert!(timed.differing == 1 && timed.speed.is_none());
    let report = products::Report::new(plan.shape, run.limits, vec![timed]);
    assert_eq!(report.outcome, Outcome::Divergence);
    assert!(report.render(None).contains("1 of 48 differ"));
}

#[test]
fn single_products_are_timed_without_a_model() {
    let words = [
        "bench",
        "--kernels",
        "--format",
        "i2_s-p128",
        "--matrix",
        "32,256",
    ];
    let run = harness(&[&words[..], &["--tokens", "2", "--json", "-"]].concat());
    assert_eq!(run.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!(report["products"][0]["name"], "scalar-i2_s");
    assert!(
        report["products"][0]["gmac_per_s"]
            .as_f64()
            .is_some_and(|rate| rate > 0.0)
    );
    let times = |at: usize| report["products"][at]["times_scalar"].as_f64();
    assert_eq!(times(0), Some(1.0), "the measure of the others");
    assert!(times(1).is_none_or(|times| times > 0.0 && times != 1.0));
    for (words, why) in [
        (&["--format", "i3_s"][..], "there are f32"),
        (&["--matrix", "32,100"], "whole blocks"),
        (&["--model", "x"], "cannot be used with"),
    ] {
        assert_ends(
            &harness(&[&["bench", "--kernels"][..], words].concat()),
            2,
            &[why],
        );
    }
}
