//! `--last-failed` repeats what failed when it was run last, and nothing that is known is lost.
#![forbid(unsafe_code)]
#![cfg(unix)]

use std::fs;

use crate::program::{Answer, Folder, Harness, fixture};

const CASES: &str = "edges-the-end,b158-white-whale";

/// A cache of its own, and an engine that fails for models whose name has the letters in `BAD`.
struct Desk(Folder);

impl Desk {
    fn run(&self, bad: &str, words: &str) -> Answer {
        let engine = "#!/bin/sh\ncase \"$1\" in *\"$BAD\"*) exit 1;; esac\n\
                      exec \"$HARNESS\" eval --model \"$1\" --tokens \"$2\" --logits \"$3\"\n";
        let engine = self.0.file("engine.sh", engine.as_bytes());
        let words_of_it = "{model} {tokens} {logits}";
        let subject = format!("cmd: sh {} {words_of_it}", engine.display());
        let run = Harness::new("crossval").args(words);
        let run = run.arg("--subject").arg(subject).env("BAD", bad);
        let run = run.env("HARNESS", env!("CARGO_BIN_EXE_harness"));
        self.with_cache(run).run()
    }

    fn with_cache(&self, harness: Harness) -> Harness {
        harness.env("HARNESS_CACHE", &self.0.path().to_string_lossy())
    }

    /// The names that --last-failed would run.
    fn failed(&self) -> Vec<String> {
        let listed = self.run("", "--last-failed --list").exits(0);
        let rows = listed.stdout.lines().skip(1);
        let names = rows.filter_map(|row| row.split_whitespace().next());
        names.map(str::to_owned).collect()
    }
}

fn complains(answer: Answer, of: &str) {
    let said = answer.exits(2).stderr;
    assert!(said.contains(of), "{of:?}: {said}");
}

#[test]
fn what_failed_is_repeated_until_it_no_longer_does() {
    let desk = Desk(Folder::new());
    complains(
        desk.run("", "--last-failed"),
        "there is no last run of crossval on ",
    );
    let typed = format!("--case {CASES}");
    desk.run("none", &typed).exits(0);
    complains(
        desk.run("", "--last-failed"),
        "nothing failed in the last run of crossval on ",
    );

    assert_ne!(desk.run("gguf", &typed).code, Some(0));
    assert_eq!(desk.failed(), ["b158-white-whale", "edges-the-end"]);
    // A run that ends early, or is about other cases, loses nothing.
    assert_ne!(desk.run("gguf", "--last-failed --fail-fast").code, Some(0));
    desk.run("none", "--case b158-ishmael").exits(0);
    assert_eq!(desk.failed(), ["b158-white-whale", "edges-the-end"]);
    complains(
        desk.run("", "--last-failed --case b158-ishmael"),
        "is none of what is asked for",
    );
    // One of them is mended, then the other.
    assert_ne!(desk.run("b158", "--last-failed").code, Some(0));
    assert_eq!(desk.failed(), ["b158-white-whale"]);
    desk.run("none", "--last-failed").exits(0);
    complains(desk.run("", "--last-failed"), "nothing failed");
}

#[test]
fn other_engines_other_folders_and_models_that_are_typed_have_no_part_in_it() {
    let desk = Desk(Folder::new());
    assert_ne!(desk.run("gguf", "--case edges").code, Some(0));
    let built_in = Harness::new("crossval --last-failed");
    complains(desk.with_cache(built_in).run(), "there is no last run");
    let typed = fixture("edges/edges.gguf");
    let typed = format!("--last-failed --prompt the --model {}", typed.display());
    complains(desk.run("", &typed), "leave the model out");
}

#[test]
fn every_command_with_cases_knows_what_failed() {
    let desk = Desk(Folder::new());
    let attribute = "attribute --recording dec2024-bitnet-avx512";
    let run = |words: &str| desk.with_cache(Harness::new(attribute)).args(words).run();
    complains(run("--last-failed"), "there is no last run");
    run("--plant stuck-lane").exits(1);
    run("--last-failed").exits(0);
    complains(run("--last-failed"), "nothing failed");
    for passes in [
        "power --fault rope-theta-by-pow --clean-runs 0",
        "kernels --only i2_s-dot",
        "weights",
        "metamorphic",
        "trace --case b158-ishmael --recording mar2026-b158-avx512",
        "shapes --count 2",
    ] {
        let run = |words: &str| desk.with_cache(Harness::new(passes)).args(words).run();
        complains(run("--last-failed"), "there is no last run");
        run("").exits(0);
        complains(run("--last-failed"), "nothing failed");
    }
}

#[test]
fn what_is_known_of_a_folder_ends_with_the_folder() {
    let desk = Desk(Folder::new());
    let known = desk.0.path().join("last-runs");
    fs::create_dir(&known).expect("a folder of its own");
    for (name, fixtures) in [
        ("gone", desk.0.path().join("gone")),
        ("here", known.clone()),
    ] {
        let text = serde_json::json!({ "command": "crossval", "fixtures": fixtures, "failed": [] });
        fs::write(known.join(name), text.to_string()).expect("it is ours");
    }
    desk.run("none", "--case edges").exits(0);
    assert!(!known.join("gone").exists());
    assert!(known.join("here").exists());
    assert_eq!(fs::read_dir(&known).expect("it is there").count(), 2);
}
