//! The program with a real C++ reference.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use engine::gguf::Gguf;
use harness::file::document::Document;
use harness::file::provenance::Input;
use harness::reference::Reference;
use harness::reference::isolation::{Kind, Limits};
use harness::runner::reference::Observing;
use harness::runner::reference::rewritten::write_iq2_bn;
use harness::runner::suite::Suite;
use harness::runner::{RunError, Runner, Task};
use serde_json::Value;

use libtest_mimic::Trial;

use crate::program::ends::{assert_ends, harness};
use crate::{built, live};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        live!(
            [PORTABLE],
            the_receipt_proves_that_the_reference_ran_and_the_recording_of_it_is_readable
        ),
        live!(
            ["ik"],
            a_library_without_two_bit_weights_is_asked_about_the_same_values_as_f32
        ),
        live!(
            ["ik"],
            rows_wide_enough_are_asked_about_in_a_type_of_the_librarys_own
        ),
        live!(
            ["ik"],
            rows_that_are_too_narrow_are_the_death_of_a_worker_and_of_nobody_else
        ),
        live!(
            ["ik"],
            what_is_known_of_factors_that_ik_leaves_out_is_gone_with_the_factors
        ),
        live!(
            [PORTABLE],
            a_reference_has_the_floors_of_the_engine_in_its_arithmetic
        ),
        live!(
            [PORTABLE],
            the_same_library_twice_is_an_error_and_no_agreement
        ),
        live!([PORTABLE], a_reference_without_time_ends_with_its_own_code),
        live!(
            [PORTABLE],
            a_reference_that_declines_every_case_was_not_there
        ),
        live!(
            [],
            a_name_nobody_knows_and_one_that_is_not_built_have_codes_of_their_own
        ),
    ]
}

/// It has the same bits on every x86 machine.
const PORTABLE: &str = "bitnet-portable";
const CASE: &str = "bitnet-white-whale";

fn crossval(arguments: &[&str]) -> Output {
    harness(&[&["crossval"][..], arguments].concat())
}

/// A folder that is gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("live-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("temporary folder");
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        let path = self.0.join(name);
        path.to_str().expect("plain path").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn the_receipt_proves_that_the_reference_ran_and_the_recording_of_it_is_readable() {
    let folder = Folder::new("receipt");
    let (json, shelf) = (folder.path("receipt.json"), folder.path("recordings"));
    let asked = ["--reference", "bitnet-portable", "--case", CASE];
    let output = crossval(&[&asked[..], &["--json", &json, "--record", &shelf]].concat());
    assert_ends(
        &output,
        0,
        &["live bitnet-portable", "1 bit-identical", "status: ok"],
    );
    let receipt = std::fs::read(&json).expect("written");
    let receipt: Value = serde_json::from_slice(&receipt).expect("JSON");
    assert_eq!(receipt["parity"]["cpp_available"], true);
    let identity = &receipt["circumstances"]["references"][0];
    assert_eq!(identity["name"], "bitnet-portable");
    let hashes = identity["hello"]["sha256"]
        .as_array()
        .expect("of each library");
    assert_eq!(hashes.len(), 2);
    let word = &identity["hello"]["control_word"];
    assert_eq!(word[0], word[1], "loading left rounding alone");
    let verified = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["receipt", "verify", &json, "--rerun", "1"])
        .output();
    assert_ends(&verified.expect("the program starts"), 0, &["0 refuted"]);

    let fixtures = fixtures_with(&folder, Path::new(&shelf));
    let output = crossval(&["--fixtures", &fixtures]);
    assert_ends(
        &output,
        0,
        &["bitnet-portable-moby-tiny-bitnet", "bit-identical"],
    );
}

/// Fixtures in which the new recording is the only one.
fn fixtures_with(folder: &Folder, shelf: &Path) -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let cases = std::fs::read(own.join("cases.json")).expect("a fixture");
    let mut cases: Value = serde_json::from_slice(&cases).expect("JSON");
    let list = cases["cases"].as_array_mut().expect("a list");
    list.retain(|case| case["name"] == CASE);
    list[0]["recordings"] = serde_json::json!(["bitnet-portable-moby-tiny-bitnet"]);
    std::fs::write(folder.path("cases.json"), cases.to_string()).expect("temporary file");
    let model = "moby-tiny/moby-tiny-bitnet.gguf";
    std::fs::create_dir_all(folder.path("moby-tiny")).expect("temporary folder");
    std::fs::copy(own.join(model), folder.path(model)).expect("a fixture");
    assert!(shelf.starts_with(&folder.0));
    folder.0.to_str().expect("plain path").to_owned()
}

/// The reason that `known_divergences.toml` gives: without the tensor all prompts are within the
/// gates, and nothing has to be known.
fn what_is_known_of_factors_that_ik_leaves_out_is_gone_with_the_factors() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/random/random-llama.gguf");
    let reason = "leaves rope_freqs.weight out";
    let words = [" 1 known", reason, "status: ok"];
    let known = crossval(&["--reference", "ik", "--case", "llama-tabs-and-unicode"]);
    assert_ends(&known, 0, &words);

    let (_, bytes) = Input::read(&own).expect("a fixture");
    let gguf = Gguf::parse(bytes).expect("a model");
    let mut document = Document::read(&gguf).expect("editable");
    document.retain(|name| name != "rope_freqs.weight");
    let folder = Folder::new("factors");
    let without = folder.path("without.gguf");
    std::fs::write(&without, document.file()).expect("temporary file");
    let words = ["9 agree", " 0 known, 0 not judged", "status: ok"];
    let said = crossval(&["--reference", "ik", "--model", &without]);
    let said = assert_ends(&said, 0, &words);
    assert!(!said.contains(reason), "{said}");
}

fn a_library_without_two_bit_weights_is_asked_about_the_same_values_as_f32() {
    let folder = Folder::new("ik");
    let json = folder.path("receipt.json");
    let asked = [
        "--reference",
        "ik",
        "--case",
        "b158-white-whale",
        "--json",
        &json,
        "--all",
    ];
    let told = [
        "live ik",
        "ik: ik-",
        "it has the I2_S weights as F32",
        "t2-other-activations",
        "ulp ",
        "status: ok",
    ];
    assert_ends(&crossval(&asked), 0, &told);
    let bytes = std::fs::read(&json).expect("written");
    let receipt: Value = serde_json::from_slice(&bytes).expect("JSON");
    let nmse = "/cases/0/measured/2/findings/lanes/0/positions/3/distance/nmse";
    let nmse = receipt
        .pointer(nmse)
        .and_then(Value::as_f64)
        .expect("measured");
    // The distance of activations rounded to eight bits: neither equal nor anything like wrong.
    assert!((1e-7..1e-3).contains(&nmse), "{nmse}");
}

fn rows_wide_enough_are_asked_about_in_a_type_of_the_librarys_own() {
    let folder = Folder::new("iq2bn");
    let json = folder.path("receipt.json");
    let cases = ["--case", "wide-ahab", "--case", "b158-white-whale"];
    let output = crossval(&[&["--reference", "ik", "--json", &json][..], &cases].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for words in [
        "ik-iq2bn declined b158-white-whale: rows of 256",
        "live ik-iq2bn (crates.io ik-llama-cpp-sys 0.1.7): 1 of 2 cases answered",
    ] {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
    let bytes = std::fs::read(&json).expect("written");
    let receipt: Value = serde_json::from_slice(&bytes).expect("JSON");
    let cases = receipt["cases"].as_array().expect("a list");
    let wide = cases.iter().find(|c| c["claims"]["case"] == "wide-ahab");
    let wide = wide.expect("examined");
    let lanes = ["ik-avx512-wide", "ik-avx512-iq2bn"].map(|profile| {
        let comparisons = wide["claims"]["comparisons"].as_array().expect("a list");
        let found = comparisons.iter().position(|c| {
            let name = c["reference"]["profile"].as_str().expect("a name");
            name.rsplit('-').next() == profile.rsplit('-').next()
        });
        let nmse = "/findings/lanes/0/positions/5/distance/nmse";
        let measured = &wide["measured"][found.expect("asked")];
        measured
            .pointer(nmse)
            .and_then(Value::as_f64)
            .expect("measured")
    });
    // Two ways to round activations: neither equal to ours nor to each other.
    assert!(
        lanes.iter().all(|nmse| (1e-6..1e-2).contains(nmse)),
        "{lanes:?}"
    );
    assert_ne!(lanes[0], lanes[1]);
    let controls = wide["claims"]["controls"].as_array().expect("a list");
    assert!(
        controls.iter().all(|c| c["verdict"] == "agree"),
        "{controls:?}"
    );
}

fn rows_that_are_too_narrow_are_the_death_of_a_worker_and_of_nobody_else() {
    let prepared = built("ik").expect("it was asked for");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_harness"));
    let launch = harness::reference::launch(program, prepared.tree.root);
    let ik = Reference::open("ik", Limits::default(), launch).expect("it says hello");
    let folder = Folder::new("narrow");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let suite = Suite::open(&fixtures).expect("the committed fixtures are sound");
    let case = suite
        .cases
        .into_iter()
        .find(|case| case.name == "b158-white-whale");
    let case = case.expect("listed");
    let narrow = PathBuf::from(folder.path("narrow.gguf"));
    std::fs::File::create(&narrow).expect("a worker may make no file");
    let from = fixtures.join(&case.model);
    write_iq2_bn(&ik, &from, &narrow, 4 << 20).expect("writing goes well");
    let (model, _) = Input::read(&narrow).expect("written");
    let task = Task {
        case: &case,
        model: &model,
    };
    let ended = Observing::unchanged(ik).observe(task);
    let Err(RunError::Lost(death)) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(death.kind, Kind::Crashed, "{death}");
    let assertion = death.assertion.expect("it said why");
    assert!(
        assertion.contains("GGML_ASSERT(k >= 8*QK_IQ1BN) failed"),
        "{assertion}"
    );
    // Writing the file went well: it is the product that dies, which only asking shows.
    assert_eq!(death.phase, "prefill of the prompt");
    let words = death.last_words;
    assert!(
        !words.contains("Inferior"),
        "a debugger was let in: {words}"
    );
}

fn a_reference_has_the_floors_of_the_engine_in_its_arithmetic() {
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["calibrate", "--reference", "bitnet-portable"])
        .args(["--documents", "2", "--length", "12"])
        .output();
    let told = [
        "and bitnet-portable: 2 of 2 documents bit-identical",
        "and bitnet-portable again, 1 thread: 2 of 2 documents bit-identical",
    ];
    assert_ends(&output.expect("the program starts"), 0, &told);
}

fn the_same_library_twice_is_an_error_and_no_agreement() {
    let prepared = built(PORTABLE).expect("it was asked for");
    let same = prepared.tree.root.to_str().expect("plain path");
    let asked = ["--reference", "bitnet-portable", "--reference", same];
    let output = crossval(&[&asked[..], &["--case", CASE]].concat());
    assert_ends(&output, 2, &["are the same library"]);
}

fn a_reference_without_time_ends_with_its_own_code() {
    let output = crossval(&["--reference", "bitnet-portable", "--patience", "1e-6"]);
    assert_ends(&output, 6, &["reference_timeout"]);
}

fn a_reference_that_declines_every_case_was_not_there() {
    let asked = [
        "--reference",
        "bitnet-portable",
        "--case",
        "b158-white-whale",
    ];
    let output = crossval(&asked);
    assert_ends(
        &output,
        3,
        &[
            "unknown model architecture",
            "no case was answered by bitnet-portable",
        ],
    );
}

fn a_name_nobody_knows_and_one_that_is_not_built_have_codes_of_their_own() {
    assert_ends(
        &crossval(&["--reference", "no-such-thing"]),
        2,
        &["known are bitnet"],
    );
    let empty = Folder::new("empty-cache");
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["crossval", "--reference", "bitnet"])
        .env("HARNESS_CACHE", &empty.0)
        .output()
        .expect("the program starts");
    assert_ends(&output, 3, &["is not built", "scripts/reference.sh bitnet"]);
}
