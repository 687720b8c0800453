//! The catalogue of planted faults, planted: each is caught by the comparison and located, a change
//! that changes nothing is not, and the engine without a fault raises no alarm.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use harness::power::trial::Bench;
use harness::power::{self, Outcome, clean};
use harness::suite::Suite;
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
    let attempt = |fault| bench.attempt(fault).expect("the fault can be planted");
    let outcomes: Vec<Outcome> = catalogue.into_iter().map(attempt).collect();
    let unsettled: Vec<&Outcome> = outcomes.iter().filter(|o| !o.is_settled()).collect();
    assert!(unsettled.is_empty(), "{unsettled:#?}");

    let claim = |o: &Outcome| {
        json!({
            "name": o.name,
            "caught": o.caught,
            "by": o.by,
            "located": o.located,
            "expected_node": o.expected_node,
        })
    };
    let claims: Vec<_> = outcomes.iter().map(claim).collect();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../receipts");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_json_snapshot!("power", claims));
}

#[test]
fn a_change_that_changes_nothing_is_not_caught() {
    let bench = Bench::new(suite());
    for placebo in power::PLACEBOS {
        let outcome = bench.attempt(placebo).expect("planted");
        assert!(!outcome.caught && !outcome.is_settled(), "{outcome:#?}");
        assert_eq!(outcome.effect.bit_equal_share, Some(1.0));
        assert_eq!((outcome.by, outcome.first_node), (None, None));
    }
}

#[test]
fn the_engine_without_a_fault_raises_no_alarm() {
    let mut runs = 0;
    let alarms = clean::alarms(&suite(), CLEAN_RUNS, || runs += 1).expect("it runs");
    assert_eq!((runs, alarms), (CLEAN_RUNS, Vec::new()));
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
        ("/faults/0/usual_gate_would_miss", json!(true)),
        ("/clean_runs", json!(2)),
        ("/alarms", json!(0)),
    ] {
        assert_eq!(report.pointer(pointer), Some(&expected), "{pointer}");
    }
    let share = report.pointer("/faults/0/effect/bit_equal_share");
    assert!(
        share.and_then(|s| s.as_f64()).is_some_and(|s| s < 1.0),
        "{share:?}"
    );

    assert_eq!(harness(&["--fault", "no-such-fault"]).0, Some(2));
    let (code, listed) = harness(&["--list"]);
    assert_eq!(
        (code, listed.lines().count()),
        (Some(0), power::catalogue().len())
    );
}
