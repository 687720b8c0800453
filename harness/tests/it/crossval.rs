//! The engine against the recordings, for real: each case's claims are a snapshot in `receipts/`.
//!
//! The snapshots are taken with the scalar kernel, which every machine has; that every other
//! kernel makes the same claims is a test of its own.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use engine::kernels::Kernel;
use engine::numerics::Profile;
use harness::case::Case;
use harness::judge::outcome::Outcome;
use harness::judge::verdict::Verdict;
use harness::oracle::crossval::campaign::Campaign;
use harness::receipt::{CaseReceipt, Claims, Features, Receipt};
use harness::runner::engine::Engine;
use harness::runner::suite::Suite;

use crate::program::ends::{assert_ends, harness};

fn suite() -> Suite {
    static SUITE: LazyLock<Suite> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
        Suite::open(&folder).expect("the committed fixtures are sound")
    });
    SUITE.clone()
}

fn examine(engine: Engine, threads: usize) -> Receipt {
    let suite = suite();
    let cases: Vec<(Case, PathBuf)> = suite
        .cases
        .iter()
        .map(|case| (case.clone(), suite.folder.join(&case.model)))
        .collect();
    let campaign = Campaign::new(suite, vec![Box::new(engine)], threads);
    campaign
        .run(&cases, |_| Ok(()))
        .expect("nothing is written")
}

/// The cases that have a recording; the others need a live reference.
fn answerable() -> Vec<Case> {
    let mut cases = suite().cases;
    cases.retain(|case| case.is_answerable(&[]));
    cases
}

fn scalar() -> &'static Receipt {
    static RECEIPT: LazyLock<Receipt> =
        LazyLock::new(|| examine(Engine::new(Kernel::Scalar, 1), 1));
    &RECEIPT
}

#[test]
fn every_case_makes_the_claims_that_were_reviewed() {
    let receipt = scalar();
    assert_eq!(receipt.failures, [], "every case comes to claims");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../receipts");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_sort_maps(true);
    settings.bind(|| {
        for case in &receipt.cases {
            insta::assert_json_snapshot!(case.claims.case.as_str(), case.claims);
        }
    });
}

#[test]
fn every_case_agrees_and_what_is_left_out_is_told() {
    let receipt = scalar();
    assert_eq!(receipt.parity.status, Outcome::RustOnly);
    assert_eq!(receipt.coverage.shortfall(), "");
    assert_eq!(receipt.coverage.cases.compared, answerable().len());
    let left_out = receipt.circumstances.left_out.iter().map(|l| &l.case[..]);
    let left_out: Vec<&str> = left_out.collect();
    assert_eq!(
        left_out,
        ["wide-ahab", "wide-tabs-and-unicode", "wide-portions"],
        "what needs a live reference is counted"
    );
}

#[test]
fn every_snapshot_belongs_to_a_living_case() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../receipts");
    let entries = std::fs::read_dir(folder).expect("the receipts are committed");
    let names = entries.map(|e| e.expect("listed").file_name().into_string().expect("ASCII"));
    let names = names.filter(|n| !n.ends_with(".snap.new"));
    // The receipts of the relations are looked after where these are made.
    let names: BTreeSet<String> = names.filter(|n| !n.starts_with("metamorphic-")).collect();
    let cases = answerable().into_iter().map(|case| case.name);
    // What became of the planted faults is a claim, too, and what each format was compared with.
    let living = cases.chain(["power", "formats"].map(str::to_owned));
    assert_eq!(names, living.map(|name| format!("{name}.snap")).collect());
}

#[test]
fn claims_depend_on_neither_kernel_nor_threads() {
    let nameless = |claims: &Claims| {
        let mut claims = claims.clone();
        claims.engine.kernel.clear();
        claims.engine.multiplied_by.clear();
        claims.engine.identity.name.clear();
        claims
    };
    let mut kernels = Kernel::available();
    // The scalar kernel was run for the snapshots; it is run again where it is the only one.
    kernels.retain(|&kernel| kernel != Kernel::Scalar || kernel == Kernel::best());
    for kernel in kernels {
        let receipt = examine(Engine::new(kernel, 2), 2);
        assert_eq!(receipt.cases.len(), scalar().cases.len());
        for (case, known) in receipt.cases.iter().zip(&scalar().cases) {
            let name = kernel.name();
            assert_eq!(
                nameless(&case.claims),
                nameless(&known.claims),
                "kernel {name}"
            );
        }
    }
    let [here, all] = [Kernel::available().len(), Kernel::NAMES.len()];
    println!("{here} of {all} kernels run on this machine");
}

/// The engine in one profile's arithmetic against the recordings of that profile, of which there
/// is one for each of so many cases.
#[track_caller]
fn assert_agrees_to_the_bit(profile: Profile, recorded: usize) {
    let receipt = examine(Engine::new(Kernel::best(), 1).with_profile(profile), 1);
    assert_eq!(receipt.parity.status, Outcome::RustOnly);
    assert_eq!(receipt.cases.len(), answerable().len());
    let mut agreeing = 0;
    for case in &receipt.cases {
        let comparisons = case.claims.comparisons.iter();
        for judged in comparisons.filter(|c| c.is_exact()) {
            assert_eq!(judged.reference.profile, profile.name());
            assert!(judged.logits_bit_identical, "{}", case.claims.case);
            assert_ne!(
                judged.nodes_bit_identical,
                Some(false),
                "{}",
                case.claims.case
            );
            agreeing += 1;
        }
    }
    assert_eq!(agreeing, recorded);
}

#[test]
fn in_the_arithmetic_of_an_avx2_build_its_recordings_agree_to_the_bit() {
    assert_agrees_to_the_bit(Profile::GgmlAvx2, 25);
}

#[test]
fn in_the_arithmetic_of_a_neon_build_its_recordings_agree_to_the_bit() {
    assert_agrees_to_the_bit(Profile::GgmlNeon, 5);
}

#[test]
fn in_the_arithmetic_of_a_neon_build_with_halves_its_recordings_agree_to_the_bit() {
    assert_agrees_to_the_bit(Profile::GgmlNeonFp16, 5);
}

fn crossval(arguments: &[&str]) -> Output {
    harness(&[&["crossval"][..], arguments].concat())
}

fn model() -> String {
    let path = suite().folder.join("moby-tiny/moby-tiny-b158.gguf");
    path.to_str().expect("plain path").to_owned()
}

#[test]
fn the_program_says_that_no_live_reference_ran() {
    let output = crossval(&["--case", "b158-white-whale"]);
    assert_ends(
        &output,
        0,
        &["rust-only", "no live C++ ran", "status: rust_only"],
    );
}

#[test]
fn a_case_that_only_a_live_reference_answers_is_no_success_without_one() {
    let words = ["no reference that answers wide-ahab was selected: add --reference ik"];
    assert_ends(&crossval(&["--case", "wide-ahab"]), 3, &words);
    let output = crossval(&["--case", "wide-ahab", "--case", "b158-white-whale"]);
    assert_ends(
        &output,
        0,
        &[
            "wide-ahab was left out",
            "left out: 1 case(s)",
            "status: rust_only",
        ],
    );
}

#[test]
fn a_recorded_model_and_prompt_are_recognised_wherever_the_file_lies() {
    let copy = std::env::temp_dir().join(format!("renamed-{}.gguf", std::process::id()));
    std::fs::copy(model(), &copy).expect("copied");
    let path = copy.to_str().expect("plain path");
    let output = crossval(&["--model", path, "--prompt", "The white whale"]);
    std::fs::remove_file(&copy).expect("there");
    assert_ends(&output, 0, &["moby-tiny-b158", "mar2026-b158-avx512"]);
}

#[test]
fn a_prompt_nobody_recorded_never_passes() {
    let output = crossval(&["--model", &model(), "--prompt", "Hello"]);
    assert_ends(
        &output,
        5,
        &["references 0/1", "no recording knows", "status: incomplete"],
    );
}

#[test]
fn the_json_receipt_verifies_and_the_junit_report_counts_every_comparison() {
    let file = |name: &str| {
        let name = format!("crossval-{}-{name}", std::process::id());
        std::env::temp_dir().join(name)
    };
    let [json, junit] = ["receipt.json", "junit.xml"].map(file);
    let [json_path, junit_path] = [&json, &junit].map(|p| p.to_str().expect("plain path"));
    let case = "b158-white-whale";
    let output = crossval(&["--case", case, "--json", json_path, "--junit", junit_path]);
    assert_ends(&output, 0, &[]);
    let verified = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["receipt", "verify", json_path])
        .output()
        .expect("the program starts");
    assert_ends(&verified, 0, &["0 refuted"]);
    let receipt: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).expect("written")).expect("json");
    for (pointer, expected) in [
        ("/validation/tokenizer", "rust"),
        ("/validation/compute", "rust"),
        ("/quant/format", "I2_S"),
        ("/parity/status", "rust_only"),
    ] {
        assert_eq!(
            receipt.pointer(pointer),
            Some(&expected.into()),
            "{pointer}"
        );
    }
    let xml = std::fs::read_to_string(&junit).expect("written");
    let repetitions = Kernel::available().len().saturating_sub(1).max(1);
    let comparisons = 2 + repetitions;
    assert!(
        xml.contains(&format!("tests=\"{comparisons}\" failures=\"0\"")),
        "{xml}"
    );
    for path in [json, junit] {
        std::fs::remove_file(path).expect("there");
    }
}

/// The cases that are kept, counted anew.
fn features(edit: impl Fn(&mut CaseReceipt) -> bool) -> Features {
    let mut cases = scalar().cases.clone();
    cases.retain_mut(edit);
    Features::of(&cases, &scalar().circumstances.products)
}

fn covers(features: &Features, way: &str, order: &str, what: &str) -> bool {
    let of_way = features.not_covered.get(way);
    let missing = of_way.and_then(|orders| orders.get(order));
    !missing.is_some_and(|missing| missing.iter().any(|one| one == what))
}

/// What only the cases of that beginning exercise: a way, an order of sums, a format or step.
const ALONE: [(&str, &str, &str, &str); 5] = [
    (
        "scaled-",
        "step, prefill",
        "ggml-avx2",
        "a factor behind a product (.scale)",
    ),
    ("mixed-", "linear, prefill", "ggml-avx2", "q5_0"),
    ("mixed-", "linear, decode", "ggml-avx512-bf16", "tq1_0"),
    ("qk256-", "linear, prefill", "ggml-avx2", "qk256"),
    ("b158-", "step, prefill", "ggml-avx512", "squared ReLU"),
];

#[test]
fn what_no_case_exercises_is_named_and_a_case_less_leaves_its_ways_uncovered() {
    let all = &scalar().features;
    assert_eq!(*all, features(|_| true), "it follows from the cases");
    assert!(!all.ways.is_complete() && !all.kernels.is_complete());
    let missing = all.not_covered.values().flat_map(|orders| orders.values());
    let missing: usize = missing.map(Vec::len).sum();
    assert_eq!(missing, all.ways.declared - all.ways.compared);
    for (case, way, order, what) in ALONE {
        assert!(covers(all, way, order, what), "{way}, {order}: {what}");
        let without = features(|kept| !kept.claims.case.starts_with(case));
        assert!(
            !covers(&without, way, order, what),
            "without {case}: {what}"
        );
        assert!(without.ways.compared < all.ways.compared);
        let text = without.lines().join("\n");
        assert!(text.contains(what), "{text}");
    }
}

#[test]
fn what_ran_and_does_not_agree_was_not_exercised() {
    let diverging = features(|case| {
        case.claims
            .comparisons
            .iter_mut()
            .for_each(|c| c.verdict = Verdict::NotJudged);
        true
    });
    assert_eq!(diverging.ways.compared, 0, "{diverging:?}");
    let repeated = features(|case| {
        case.claims
            .repetitions
            .iter_mut()
            .for_each(|c| c.verdict = Verdict::NotJudged);
        true
    });
    assert_eq!(repeated.ways, scalar().features.ways);
}
