//! A run dealt out in shares and put together again is the run.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use harness::case::shard::measured;
use harness::receipt::Receipt;
use harness::runner::suite::Suite;
use serde_json::Value;

use crate::program::run::{Answer, Folder, Harness, fixture};

const CASES: &str = "--case edges-the-end,llama-ahab,wide-ahab,b158-white-whale";

fn run(arguments: &str, to: &Path) -> Receipt {
    Harness::new(&format!("crossval {CASES} {arguments} --json"))
        .arg(to)
        .run()
        .exits(0);
    read(to)
}

fn read(path: &Path) -> Receipt {
    Receipt::read(&std::fs::read(path).expect("written")).expect("a receipt")
}

fn merge(shares: &[&PathBuf], to: &Path) -> Answer {
    let merge = Harness::new("receipt merge --json").arg(to);
    shares
        .iter()
        .fold(merge, |merge, share| merge.arg(share))
        .run()
}

/// Without what depends on when and how fast.
fn timeless(mut receipt: Receipt) -> Receipt {
    receipt.cases.iter_mut().for_each(|case| case.seconds = 0.0);
    receipt.circumstances.seconds = 0.0;
    receipt.circumstances.started_unix = 0;
    receipt
        .circumstances
        .inputs
        .sort_by(|a, b| a.path.cmp(&b.path));
    receipt.timestamp.clear();
    receipt.seal.clear();
    receipt
}

#[test]
fn shares_merge_into_the_receipt_of_the_whole_and_nothing_else_does() {
    let folder = Folder::new();
    let path = |name: &str| folder.path().join(name);
    let whole = run("", &path("whole.json"));
    let shares = ["1/2", "2/2"].map(|shard| {
        let path = path(&format!("share-{}.json", &shard[..1]));
        let share = run(&format!("--shard {shard}"), &path);
        assert!(!share.cases.is_empty() && share.cases.len() < whole.cases.len());
        path
    });
    let [one, two] = &shares;
    let merged = path("merged.json");
    let said = merge(&[two, one], &merged).exits(0).stdout;
    assert!(
        said.contains("3 case(s)") && said.contains("status: rust_only"),
        "{said}"
    );
    assert_eq!(timeless(read(&merged)), timeless(whole));
    Harness::new("receipt verify").arg(&merged).run().exits(0);

    let alien = path("alien.json");
    Harness::new("crossval --case edges --shard 2/2 --json")
        .arg(&alien)
        .run()
        .exits(0);
    let other_count = path("third.json");
    run("--shard 3/3", &other_count);
    let edited = path("edited.json");
    let text = std::fs::read_to_string(two).expect("written");
    std::fs::write(
        &edited,
        text.replacen("\"threads\": 1", "\"threads\": 2", 1),
    )
    .expect("written");
    let whole = path("whole.json");
    refused(&[
        (&[one], "missing: share 2/2"),
        (&[one, one, two], "share 1/2 is there twice"),
        (&[one, &alien], "is of another run"),
        (&[one, &other_count], "3 shares, not 2"),
        (&[one, &edited], "its seal is broken"),
        (&[&whole], "is the receipt of a whole run"),
    ]);
}

/// That these are not put together, and what is said of them.
fn refused(all: &[(&[&PathBuf], &str)]) {
    let folder = Folder::new();
    for (shares, complaint) in all {
        let said = merge(shares, &folder.path().join("none.json")).exits(2);
        let said = said.stderr;
        assert!(said.contains(complaint), "{complaint:?}: {said}");
    }
}

#[test]
fn however_many_cases_run_at_once_the_receipt_is_the_same() {
    let folder = Folder::new();
    let path = |name: &str| folder.path().join(name);
    let one = timeless(run("", &path("one.json")));
    let names: Vec<&String> = one.cases.iter().map(|case| &case.claims.case).collect();
    assert_eq!(names, ["b158-white-whale", "edges-the-end", "llama-ahab"]);
    for jobs in ["-j2", "--jobs 5"] {
        let many = timeless(run(jobs, &path("many.json")));
        assert_eq!(many, one, "{jobs}");
    }
    Harness::new("crossval --jobs 2 --record somewhere")
        .run()
        .exits(2);
    Harness::new("crossval --jobs 0").run().exits(2);
    let power = |jobs: &str| {
        let planted = Harness::new("power --fault rope,gelu --clean-runs 4 --json").args(jobs);
        planted.run().exits(0).json()
    };
    assert_eq!(power("--jobs 1"), power("--jobs 3"));
}

#[test]
fn every_command_with_cases_says_the_same_in_several_jobs() {
    let commands = [
        "shapes --count 3",
        "metamorphic --prompt Ishmael",
        "trace --recording mar2026-b158-avx512 --recording bitnet-random-llama",
        "attribute --recording mar2026-b158-avx512 --recording bitnet-edges",
        "weights",
    ];
    for command in commands {
        let run = |jobs: &str| {
            let ended = Harness::new(&format!("{command} --json")).args(jobs).run();
            let json = ended.exits(0).json();
            without(json, &["milliseconds", "seconds"])
        };
        assert_eq!(run("--jobs 1"), run("--jobs 3"), "{command}");
    }
    // What differs does so in several jobs, too, and the first of it is the same.
    let differs = |jobs: &str| {
        let program = env!("CARGO_BIN_EXE_harness");
        let subject = format!(
            "cmd: {program} eval --model {{model}} --tokens {{tokens}} --logits {{logits}} \
             --ubatch {{ubatch}} --profile ggml-avx2"
        );
        let ended = Harness::new("shapes --count 3 --profile ggml-avx512 --subject").arg(subject);
        let ended = ended.args("--json").args(jobs).run();
        (ended.code, without(ended.json(), &["milliseconds"]))
    };
    let one = differs("-j1");
    assert_eq!(one.0, Some(1));
    assert_eq!(one, differs("-j3"));
}

#[test]
fn in_jobs_too_the_first_case_that_fails_ends_the_run() {
    let folder = Folder::new();
    let to = folder.path().join("failed.json");
    Harness::new("crossval --jobs 2 --fail-fast --subject")
        .arg("cmd: false {tokens} {logits}")
        .args("--case * --json")
        .arg(&to)
        .run();
    let ended = read(&to);
    let all = Suite::open(&fixture("")).expect("sound").cases.len();
    assert!(!ended.failures.is_empty(), "nothing failed");
    assert!(ended.failures.len() + ended.cases.len() < all / 2);
}

/// JSON without these fields, wherever they are.
fn without(json: Value, fields: &[&str]) -> Value {
    match json {
        Value::Array(all) => all.into_iter().map(|one| without(one, fields)).collect(),
        Value::Object(all) => {
            let kept = all
                .into_iter()
                .filter(|(name, _)| !fields.contains(&&name[..]));
            kept.map(|(name, one)| (name, without(one, fields)))
                .collect()
        }
        plain => plain,
    }
}

/// Runs a command whole and in two shares; the shares put together are the whole, but for the
/// fields that tell times.
fn comes_together(command: &str, times: &[&str]) {
    let folder = Folder::new();
    let path = |name: &str| folder.path().join(name);
    let run = |arguments: &str, name: &str| {
        let to = path(name);
        let ended = Harness::new(&format!("{command} {arguments} --json"))
            .arg(&to)
            .run();
        assert!(ended.code.is_some_and(|code| code < 2), "{}", ended.stderr);
        (ended.code, to)
    };
    let (code, whole) = run("", "whole.json");
    let [one, two] = ["1/2", "2/2"].map(|k| run(&format!("--shard {k}"), &k.replace('/', "-")).1);
    let merged = path("merged.json");
    assert_eq!(merge(&[&two, &one], &merged).code, code);
    let timeless = |path: &Path| {
        let text = std::fs::read(path).expect("written");
        without(serde_json::from_slice(&text).expect("JSON"), times)
    };
    assert_eq!(timeless(&merged), timeless(&whole));

    let (_, third) = run("--shard 2/3", "third.json");
    let edited = path("edited.json");
    let text = std::fs::read_to_string(&two).expect("written");
    std::fs::write(
        &edited,
        text.replacen("\"plan\": [", "\"plan\": [\"another\",", 1),
    )
    .expect("written");
    refused(&[
        (&[&one], "missing: share 2/2"),
        (&[&one, &one, &two], "share 1/2 is there twice"),
        (&[&one, &third], "3 shares, not 2"),
        (&[&one, &edited], "edited.json"),
        (&[&whole, &two], "is the result of a whole run"),
    ]);
}

#[test]
fn shares_of_planted_faults_come_together() {
    comes_together("power --fault rope,gelu --clean-runs 6", &[]);
}

#[test]
fn shares_of_random_models_come_together() {
    comes_together("shapes --count 4", &["milliseconds"]);
}

#[test]
fn every_cost_on_record_is_that_of_a_living_case() {
    let suite = Suite::open(&fixture("")).expect("sound");
    let known = |name: &str| suite.cases.iter().any(|case| case.name == name);
    let costs = measured("crossval");
    assert!(costs.len() > 15, "{costs:?}");
    assert_eq!(costs.iter().find(|name| !known(name)), None);
}

#[test]
fn faults_are_dealt_out_by_the_same_flag() {
    let names = |shard: &str| {
        let listed = Harness::new("power --list --fault rope,gelu")
            .args(shard)
            .run()
            .exits(0);
        let rows = listed.stdout.lines().skip(1).map(str::to_owned);
        rows.collect::<Vec<String>>()
    };
    let (all, mut dealt) = (names(""), names("--shard 1/2"));
    let second = names("--shard 2/2");
    assert!(!dealt.is_empty() && !second.is_empty());
    dealt.extend(second);
    dealt.sort();
    let mut all = all;
    all.sort();
    assert_eq!(dealt, all);
}
