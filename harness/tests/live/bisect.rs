//! `bisect` over real builds: a folder of them, and the commits of a checkout that a command
//! builds. Which of two builds a commit is stands in a file of it.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;

use crate::program::{Answer, Folder, Harness, fixture};
use crate::{built, live, native_is_avx512};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        live!(
            ["bitnet", "bitnet-portable"],
            the_first_other_build_of_a_folder_is_found
        ),
        live!(
            ["bitnet", "bitnet-portable"],
            the_first_other_commit_is_found_beside_its_checkout
        ),
    ]
}

/// Where the two builds are, whose bits differ where there is AVX-512.
fn places() -> [String; 2] {
    ["bitnet-portable", "bitnet"].map(|name| {
        let built = built(name).expect("it is there, or this would not run");
        built.tree.root.to_string_lossy().into_owned()
    })
}

fn bisect(flags: &[&str]) -> Answer {
    let model = fixture("moby-tiny/moby-tiny-bitnet.gguf");
    let harness = Harness::new("bisect")
        .arg(model)
        .arg("--prompt")
        .arg("Call me Ahab.");
    flags
        .iter()
        .fold(harness, |harness, flag| harness.arg(flag))
        .run()
}

fn the_first_other_build_of_a_folder_is_found() {
    let folder = Folder::new();
    let [one, other] = places();
    for number in 8..13 {
        let from = if number < 11 { &one } else { &other };
        let link = folder.path().join(format!("b{number}"));
        std::os::unix::fs::symlink(from, link).expect("a link");
    }
    std::fs::create_dir(folder.path().join("b9-broken")).expect("a folder");
    let builds = folder.path().to_string_lossy();
    let words = [
        "--builds", &builds, "--good", "b8", "--bad", "b12", "--json",
    ];
    if !native_is_avx512() {
        let report = bisect(&words).exits(0).json();
        assert!(report["change"].is_null(), "{report}");
        return;
    }
    let report = bisect(&words).exits(1).json();
    let first = report["change"]["first_other"]
        .as_str()
        .expect("one is found");
    assert!(first.ends_with("/b11"), "{report}");
    assert_eq!(report["change"]["node"], "kq-0|MUL_MAT#0");
}

fn git(folder: &Path, words: &[&str]) {
    let own = ["-c", "user.name=a", "-c", "user.email=a@b"];
    let mut git = Command::new("git");
    let ended = git.arg("-C").arg(folder).args(own).args(words).status();
    assert!(ended.expect("git starts").success(), "git {words:?}");
}

fn the_first_other_commit_is_found_beside_its_checkout() {
    let folder = Folder::new();
    let [one, other] = places();
    git(folder.path(), &["init", "--quiet"]);
    for commit in 1..=6 {
        let from = match commit {
            3 => "/nowhere",
            1..=3 => &one,
            _ => &other,
        };
        folder.file("which", from.as_bytes());
        folder.file("number", commit.to_string().as_bytes());
        git(folder.path(), &["add", "which", "number"]);
        git(
            folder.path(),
            &["commit", "--quiet", "-m", &format!("change {commit}")],
        );
    }
    let checkout = folder.path().to_string_lossy();
    let run = "rm -rf out && mkdir out && cp -rL \"$(cat which)\"/. out/";
    let good_to = |good: &str, bad: &str| {
        let words = [
            "--checkout",
            &checkout,
            "--run",
            run,
            "--good",
            good,
            "--bad",
            bad,
            "--json",
        ];
        bisect(&words)
    };
    if !native_is_avx512() {
        let report = good_to("HEAD~5", "HEAD").exits(0).json();
        assert!(report["change"].is_null(), "{report}");
        return;
    }
    let report = good_to("HEAD~5", "HEAD").exits(5).json();
    let change = &report["change"];
    assert!(
        change["first_other"]
            .as_str()
            .is_some_and(|name| name.ends_with("change 4"))
    );
    assert!(
        change["unknown"][0]
            .as_str()
            .is_some_and(|name| name.ends_with("change 3"))
    );
    assert_eq!(change["node"], "kq-0|MUL_MAT#0");
    assert!(
        !folder.path().join("out").exists(),
        "the checkout is only read"
    );
    let backwards = good_to("HEAD", "HEAD~5").exits(2);
    assert!(
        backwards.stderr.contains("does not come after"),
        "{}",
        backwards.stderr
    );
    let unknown = good_to("v9", "HEAD").exits(2);
    assert!(unknown.stderr.contains("v9") || unknown.stderr.contains("revision"));
}
