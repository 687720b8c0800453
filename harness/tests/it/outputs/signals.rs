//! SIGHUP, SIGINT and SIGTERM in the middle of a run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::model;
use crate::program::Folder;
use crate::program::processes::{ended_by, harness, names, start, until};

#[test]
fn a_file_that_is_not_whole_is_removed_and_the_exit_code_names_the_signal() {
    let signals = [
        ("-HUP", 129, "hung up"),
        ("-INT", 130, "interrupted"),
        ("-TERM", 143, "terminated"),
    ];
    for (signal, code, word) in signals {
        let folder = Folder::new();
        let logits = folder.path().join("l.npy");
        let tokens = ["1"; 500].join(",");
        let words = format!(
            "eval --kernel scalar --threads 1 --ubatch 1 --tokens {tokens} --model {} --logits {}",
            model().display(),
            logits.display()
        );
        let child = start(&words, &folder);
        let begun = || {
            names(folder.path())
                .iter()
                .any(|name| name.ends_with(".part"))
        };
        until("the file is begun", begun);
        let (ended, told) = ended_by(signal, child);
        assert_eq!(ended, Some(code), "{told}");
        assert!(told.contains(word), "{told}");
        assert!(told.trim_end().ends_with(&words), "to be repeated: {told}");
        assert_eq!(names(folder.path()), Vec::<String>::new(), "left behind");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_that_is_to_survive_a_hangup_goes_on() {
    let folder = Folder::new();
    let logits = folder.path().join("l.npy");
    let tokens = ["1"; 100].join(",");
    let words = format!(
        "eval --kernel scalar --threads 1 --ubatch 1 --tokens {tokens} --model {} --logits {}",
        model().display(),
        logits.display()
    );
    let mut shell = Command::new("sh");
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    let program = harness("", &folder);
    shell.args(["-c", script]).arg(program.get_program());
    shell.args(words.split_whitespace());
    let child = shell.stderr(Stdio::piped()).spawn().expect("starts");
    until("the file is begun", || !names(folder.path()).is_empty());
    let (ended, told) = ended_by("-HUP", child);
    assert_eq!(ended, Some(0), "{told}");
    assert_eq!(names(folder.path()), ["l.npy"]);
}

#[test]
fn a_reference_that_is_half_built_leaves_nothing_behind() {
    let folder = Folder::new();
    let cargo = folder.file("cargo", b"#!/bin/sh\nexec sleep 1000\n");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("own file");
    let cache = folder.path().join("cache");
    let mut harness = harness("reference build bitnet", &folder);
    harness.env("HARNESS_CACHE", &cache).env("CARGO", &cargo);
    let child = harness.spawn().expect("starts");
    let scratch = cache.join("scratch");
    until("something is begun", || {
        scratch.is_dir() && !names(&scratch).is_empty()
    });
    let (ended, told) = ended_by("-INT", child);
    assert_eq!(ended, Some(130), "{told}");
    assert_eq!(names(&scratch), Vec::<String>::new(), "left behind");
}

#[test]
fn finished_cases_are_kept_and_the_line_that_is_told_goes_on_with_them() {
    let folder = Folder::new();
    let receipt = folder.path().join("the receipt.json");
    let mut harness = harness(
        "crossval --case b158-ishmael --case b158-white-whale",
        &folder,
    );
    harness
        .args(["--case", "b158-november", "--json"])
        .arg(&receipt);
    let child = harness.spawn().expect("starts");
    until("a case is finished", || receipt.exists());
    let (ended, told) = ended_by("-INT", child);
    assert_eq!(ended, Some(130), "{told}");
    let cases = || {
        let receipt = fs::read(&receipt).expect("kept");
        let receipt: serde_json::Value = serde_json::from_slice(&receipt).expect("whole");
        receipt["cases"].as_array().expect("cases").to_owned()
    };
    let kept = cases();
    assert!((1..3).contains(&kept.len()), "{} cases", kept.len());
    assert_eq!(names(folder.path()), ["the receipt.json"], "left behind");
    let line = told.lines().last().expect("told");
    let again = Command::new("sh")
        .args(["-c", line])
        .output()
        .expect("starts");
    let said = String::from_utf8_lossy(&again.stderr);
    assert_eq!(again.status.code(), Some(0), "{line}: {said}");
    let all = cases();
    assert_eq!(all.len(), 3);
    // Whichever were finished first; each of them once.
    let now = |then: &serde_json::Value| {
        let name = &then["claims"]["case"];
        let mut of_that_name = all.iter().filter(|case| case["claims"]["case"] == *name);
        let case = of_that_name.next().expect("still there");
        assert!(of_that_name.next().is_none(), "{name} is there twice");
        case
    };
    // One of them is computed again, to see that it comes out as it is kept.
    let same = kept.iter().filter(|then| now(then) == *then);
    assert!(same.count() + 1 >= kept.len(), "all was computed again");
    for then in &kept {
        assert_eq!(now(then)["claims"], then["claims"]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn where_nothing_is_finished_there_is_nothing_to_go_on_with() {
    let folder = Folder::new();
    let receipt = folder.path().join("r.json");
    // So many seconds as nobody else sleeps.
    let seconds = (1_000_000 + std::process::id()).to_string();
    let engine = folder.file("engine.sh", format!("exec sleep {seconds}\n").as_bytes());
    let subject = format!(
        "cmd: sh {} {{model}} {{tokens}} {{logits}}",
        engine.display()
    );
    let mut harness = harness("crossval --case edges-the-end --json", &folder);
    harness.arg(&receipt).args(["--subject", &subject]);
    let child = harness.spawn().expect("starts");
    let asked = || {
        let words = |name: &String| fs::read_to_string(format!("/proc/{name}/cmdline"));
        let mut all = names("/proc".as_ref()).into_iter();
        all.any(|name| words(&name).is_ok_and(|words| words.contains(&seconds)))
    };
    until("the engine is asked", asked);
    let (ended, told) = ended_by("-INT", child);
    assert_eq!(ended, Some(130), "{told}");
    let again = told.contains("to run it again");
    assert!(again && !told.contains("--resume"), "{told}");
    assert!(!receipt.exists());
}
