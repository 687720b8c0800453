//! `--last-failed` repeats what failed when it was run last, and nothing that is known is lost.
#![forbid(unsafe_code)]
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;

use crate::program::one_case::OneCase;
use crate::program::{Answer, Folder, Harness, fixture};

const CASES: &str = "edges-the-end,b158-white-whale";

/// Fails for models whose name has the letters in `BAD`.
const COMPUTES: &str = "case \"$1\" in *\"$BAD\"*) exit 1;; esac\n\
    exec \"$HARNESS\" eval --model \"$1\" --tokens \"$2\" --logits \"$3\" ${4:+--ubatch $4}\n";

/// A cache of its own, and an engine that fails for models whose name has the letters in `BAD`.
struct Desk(Folder);

impl Desk {
    fn run(&self, bad: &str, words: &str) -> Answer {
        let engine = self.0.file("engine.sh", COMPUTES.as_bytes());
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

/// What makes a command fail, and takes it away again.
enum Fault {
    /// More words.
    Typed(&'static str),
    /// A program that was brought, by the variable `BAD`; it has its words from the folder.
    Brought(&'static str),
    /// A file of the fixtures in which one bit is another: behind these words, one after the other,
    /// or of its last value.
    Record(&'static str, &'static [&'static str]),
}

/// Commands with the flag, asked as little as they can be. A fault that power plants is caught, so
/// that nothing fails there.
const COMMANDS: [(&str, Fault); 8] = [
    ("crossval", Fault::Brought(ENGINE)),
    ("attribute", Fault::Typed("--plant stuck-lane")),
    ("trace", Fault::Record("trace.safetensors", &[])),
    ("tokenizer --text the", Fault::Brought(READER)),
    (
        "kernels --only q6_k-dot --kernel scalar",
        Fault::Record("kernels.json", &["\"q6_k-dot\": \""]),
    ),
    (
        "weights",
        Fault::Record(
            "weights.json",
            &["moby-tiny-bitnet.gguf\"", "\"decoded\": \""],
        ),
    ),
    (
        "metamorphic --prompt th --model edges.gguf",
        Fault::Brought(ENGINE),
    ),
    (
        "shapes --count 1 --profile ggml-avx512",
        Fault::Brought(ENGINE),
    ),
];

const ENGINE: &str = "cmd: sh engine.sh {model} {tokens} {logits} {ubatch}";
const READER: &str = "serve: sh reader.sh";

/// Speaks the protocol as far as `tokenizer --text the` asks, and knows the one answer.
const READS: &str = r#"while read -r line; do case "$line" in
*hello*) echo '{"ok":true,"protocol":1,"name":"reader","offers":["tokenize"]}' ;;
*tokenize*) echo "{\"ok\":true,\"tokens\":[$BAD$IDS]}" ;;
*) echo '{"ok":true,"vocab":1024}' ;;
esac; done"#;

/// One fixture with its records; beside it, where the commands run, a model and the programs.
struct Bench {
    fixtures: OneCase,
    desk: Folder,
    ids: String,
}

impl Bench {
    fn new() -> Self {
        let (fixtures, desk) = (
            OneCase::of("bitnet-ishmael", "dec2024-bitnet-avx512"),
            Folder::new(),
        );
        for name in ["kernels.json", "weights.json"] {
            fs::copy(fixture(name), fixtures.path().join(name)).expect("committed");
        }
        symlink(fixtures.path(), desk.path().join("fixtures")).expect("a folder of its own");
        fs::copy(fixture("edges/edges.gguf"), desk.path().join("edges.gguf")).expect("committed");
        desk.file("engine.sh", COMPUTES.as_bytes());
        desk.file("reader.sh", READS.as_bytes());
        let asked = Harness::new("tokenize --text the --json --model");
        let asked = asked.arg(fixture("moby-tiny/moby-tiny-bitnet.gguf"));
        let ids = asked.run().exits(0).json()["tokens"].to_string();
        let ids = ids.trim_matches(['[', ']']).to_owned();
        Bench {
            fixtures,
            desk,
            ids,
        }
    }

    fn run(&self, words: &str, fault: &Fault, broken: bool, more: &str) -> Answer {
        let mut run = Harness::new(words).args(more).within(self.desk.path());
        match fault {
            Fault::Typed(words) if broken => run = run.args(words),
            Fault::Brought(subject) => run = run.arg("--subject").arg(subject),
            Fault::Record(..) | Fault::Typed(_) => {}
        }
        let bad = match (fault, broken) {
            (Fault::Brought(READER), true) => "0,",
            (Fault::Brought(READER), false) => "",
            (_, true) => "/",
            (_, false) => "none",
        };
        let run = run.env("BAD", bad).env("IDS", &self.ids);
        let run = run.env("HARNESS", env!("CARGO_BIN_EXE_harness"));
        let cache = self.desk.path().join("cache");
        run.env("HARNESS_CACHE", &cache.to_string_lossy()).run()
    }

    /// Turns the fault of a record on, or off again.
    fn turn(&self, fault: &Fault) {
        let Fault::Record(name, words) = fault else {
            return;
        };
        let turned = |bytes: &mut Vec<u8>| {
            let behind = |at: usize, word: &&str| {
                let mut windows = bytes[at..].windows(word.len());
                let found = windows.position(|bytes| bytes == word.as_bytes());
                at + found.expect("it is on record") + word.len()
            };
            let at = if words.is_empty() {
                bytes.len() - size_of::<f32>()
            } else {
                words.iter().fold(0, behind)
            };
            bytes[at] ^= 1;
        };
        if words.is_empty() {
            self.fixtures.recording(name, turned);
            self.fixtures.rehash();
        } else {
            self.fixtures.edit(name, turned);
        }
    }
}

#[test]
fn every_command_with_cases_repeats_what_failed_until_it_is_mended() {
    let bench = Bench::new();
    for (words, fault) in COMMANDS {
        let run = |broken: bool, more: &str| bench.run(words, &fault, broken, more);
        complains(run(false, "--last-failed"), "there is no last run");
        bench.turn(&fault);
        let failed = run(true, "");
        assert_ne!(failed.code, Some(0), "{words}: {}", failed.stdout);
        let again = run(true, "--last-failed");
        assert_eq!(again.code, failed.code, "{words}: {}", again.stderr);
        bench.turn(&fault);
        run(false, "--last-failed").exits(0);
        complains(run(false, "--last-failed"), "nothing failed");
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
