//! The catalogue of planted faults, planted: each is caught by the comparison and located, a change
//! that changes nothing is not, and the engine without a fault raises no alarm.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::kernels::Kernel;
use engine::numerics::Profile;

use harness::oracle::power::clean::{self, Alarm, Run};
use harness::oracle::power::{self, Bench, Fault, Trial};
use harness::runner::suite::Suite;
use serde_json::json;

/// Comparisons of the engine without a fault; the command makes more of them.
const CLEAN_RUNS: usize = 24;

fn suite() -> Suite {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    Suite::open(&folder).expect("the committed fixtures are sound")
}

#[test]
fn every_fault_is_caught_and_located() {
    let catalogue = power::catalogue();
    let names: BTreeSet<&str> = catalogue.iter().map(|fault| fault.name).collect();
    assert_eq!(
        names.len(),
        catalogue.len(),
        "each name stands for one fault"
    );
    assert!(names.len() >= 40, "{}", names.len());

    let bench = Bench::new(suite());
    let trials = bench.attempt_all(&catalogue, &|| ());
    let trials = trials.expect("every fault can be planted");
    let unsettled: Vec<&Trial> = trials.iter().filter(|t| !t.is_settled()).collect();
    assert!(unsettled.is_empty(), "{unsettled:#?}");

    let claim = |o: &Trial| {
        json!({
            "name": o.name,
            "caught": o.caught,
            "by": o.by,
            "located": o.located,
            "expected_node": o.expected_node,
        })
    };
    let claims: Vec<_> = trials.iter().map(claim).collect();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../receipts");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_json_snapshot!("power", claims));
}

#[test]
fn a_change_that_changes_nothing_is_not_caught() {
    let bench = Bench::new(suite());
    for placebo in power::placebos() {
        let trial = bench.attempt(&placebo).expect("planted");
        assert!(!trial.caught && !trial.is_settled(), "{trial:#?}");
        let effect = trial.effect;
        assert!(effect.logits > 0 && effect.bit_equal == effect.logits);
        assert_eq!((trial.by, effect.first_node), (None, None));
        let gates = power::gate::names();
        assert!(gates.eq(effect.passes), "every gate lets it pass");
    }
}

#[test]
fn the_engine_without_a_fault_raises_no_alarm() {
    let suite = suite();
    let done = AtomicUsize::new(0);
    let count = || {
        done.fetch_add(1, Ordering::Relaxed);
    };
    let alarms = clean::alarms(&suite, &clean::plan(&suite, CLEAN_RUNS), &|_| None, &count);
    assert_eq!(alarms.expect("it runs"), []);
    assert_eq!(done.into_inner(), CLEAN_RUNS);
}

/// No alarm means something only where one would be raised: the smallest fault that shows in logits
/// is planted in every fifth run, whatever kernel, split or recording it has.
#[test]
fn an_alarm_is_raised_in_exactly_the_runs_a_fault_is_planted_in() {
    let suite = suite();
    let runs = clean::plan(&suite, CLEAN_RUNS);
    let small = fault("norm-sum-in-f32");
    let is_planted = |run: usize| (run % 5 == 2).then_some(small);
    let alarms = clean::alarms(&suite, &runs, &is_planted, &|| ()).expect("it runs");
    let raised: Vec<usize> = alarms.iter().map(|alarm: &Alarm| alarm.run).collect();
    let faulty: Vec<usize> = (0..CLEAN_RUNS)
        .filter(|&run| is_planted(run).is_some())
        .collect();
    assert_eq!(raised, faulty);
    let recorded = |run: &&usize| runs[**run].recording.is_some();
    let recorded = faulty.iter().filter(recorded).count();
    assert!(0 < recorded && recorded < faulty.len(), "both kinds of run");
    // What is not done to values cannot be planted there, and is not passed over in silence.
    let file = fault("rope-base-10000");
    let refused = clean::alarms(&suite, &runs[..1], &|_| Some(file), &|| ());
    assert!(refused.expect_err("a file").message.contains("rope-base"));
}

#[test]
fn no_two_clean_runs_are_alike() {
    let suite = suite();
    let runs = clean::plan(&suite, 1000);
    assert_eq!(runs, clean::plan(&suite, 1000), "the same plan every time");
    let kinds = |part: fn(&Run) -> String| -> usize {
        runs.iter().map(part).collect::<BTreeSet<_>>().len()
    };
    let essences: BTreeSet<String> = runs.iter().map(|run| run.essence(&suite)).collect();
    assert_eq!(essences.len(), 1000);
    assert_eq!(
        kinds(|run| run.kernel.name().into()),
        Kernel::available().len()
    );
    assert_eq!(kinds(|run| run.profile.name().into()), Profile::ALL.len());
    assert_eq!(kinds(|run| run.threads.to_string()), 4);
    assert!(kinds(|run| run.ubatch.to_string()) > 30);
    let prompts = kinds(|run| run.prompt.clone());
    assert!(prompts > 500, "{prompts}");
    // Every recording is among them, in four ways.
    let recordings = suite.cases.iter().map(|case| case.recordings.len());
    let recorded = runs.iter().filter(|run| run.recording.is_some()).count();
    assert_eq!(recorded, 4 * recordings.sum::<usize>());
}

fn fault(name: &str) -> &'static Fault {
    let mut catalogue = power::catalogue().into_iter();
    catalogue.find(|fault| fault.name == name).expect("known")
}

#[test]
fn the_program_tells_what_became_of_a_fault() {
    let json = std::env::temp_dir().join(format!("power-{}.json", std::process::id()));
    let path = json.to_str().expect("plain path");
    let harness = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        let output = command
            .arg("power")
            .args(arguments)
            .output()
            .expect("it starts");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let fault = "rope-base-off-by-one";
    let (code, said) = harness(&["--fault", fault, "--clean-runs", "2", "--json", path]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 of 1 faults caught"), "{said}");
    let written = std::fs::read(&json).expect("written");
    let report: serde_json::Value = serde_json::from_slice(&written).expect("JSON");
    std::fs::remove_file(&json).expect("there");
    for (pointer, expected) in [
        ("/faults/0/name", json!(fault)),
        ("/faults/0/caught", json!(true)),
        ("/faults/0/located", json!(true)),
        ("/faults/0/expected_node", json!("Qcur-0|ROPE#0")),
        ("/faults/0/effect/first_node", json!("Qcur-0|ROPE#0")),
        ("/clean_runs", json!(2)),
        ("/alarms", json!(0)),
    ] {
        assert_eq!(report.pointer(pointer), Some(&expected), "{pointer}");
    }
    let keys = |pointer: &str| -> Vec<String> {
        let object = report.pointer(pointer).and_then(|value| value.as_object());
        object.expect("an object").keys().cloned().collect()
    };
    assert_eq!(keys(""), ["alarms", "clean_runs", "faults"]);
    let of_a_fault = ["by", "caught", "effect", "expected_node", "located", "name"];
    assert_eq!(keys("/faults/0"), of_a_fault);
    let passes = report.pointer("/faults/0/effect/passes");
    let passes = passes.and_then(|gates| gates.as_array()).expect("gates");
    assert!(passes.contains(&json!("cosine > 0.99 at the last position")));
    assert!(!passes.contains(&json!("every bit of the logits")));

    assert_eq!(harness(&["--fault", "no-such-fault"]).0, Some(2));
    let (code, listed) = harness(&["--list"]);
    // A heading, then two columns that do not run together.
    assert_eq!(
        (code, listed.lines().count()),
        (Some(0), 1 + power::catalogue().len())
    );
    let longest = "query-rows-permuted-by-the-converter  Qcur-0|MUL_MAT#0\n";
    assert!(listed.contains(longest), "{listed}");
    let (code, listed) = harness(&["--list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let faults = listed.as_array().map(Vec::len);
    assert_eq!((code, faults), (Some(0), Some(power::catalogue().len())));
}
