//! A live reference in containers: without a session, a user's name or a list of processes, and
//! where the kernel grants less than usual.

use std::path::Path;
use std::process::{Command, Output};

use libtest_mimic::Trial;

use crate::program::Folder;
use crate::program::ends::assert_ends;
use crate::program::fixture;

type Check = (&'static str, fn());

/// All of them; listed and counted as ignored where no such container can be made, which a
/// container may refuse in turn. Where one must be, `HARNESS_REQUIRE_CONTAINERS=1` says so.
pub fn trials() -> Vec<Trial> {
    let checks: [Check; 4] = [
        ("a_session_begun_outside", session_begun_outside),
        ("a_user_without_a_name_or_a_home", no_name_and_no_home),
        ("processes_that_are_hidden", hidden_processes),
        ("no_proc_is_a_clear_end", no_proc),
    ];
    let made = [
        "unshare -rUpf --mount-proc true",
        "unshare -rUpfm mount -t proc -o hidepid=2 proc /proc",
        "unshare -rUpfm mount -t tmpfs none /proc",
        "unshare --map-user=54321 --map-group=54321 -U true",
    ];
    let made = made.into_iter().all(|words| {
        let words: Vec<&str> = words.split(' ').collect();
        let output = Command::new(words[0]).args(&words[1..]).output();
        output.is_ok_and(|output| output.status.success())
    });
    let required = std::env::var_os("HARNESS_REQUIRE_CONTAINERS").is_some_and(|set| set == "1");
    let trial = |(name, check): Check| {
        let name = format!("containers::{name}");
        if made {
            return crate::unless(None, &["bitnet"], &name, check);
        }
        Trial::test(name, || Err("this kernel grants no such namespaces".into()))
            .with_kind("without namespaces of users")
            .with_ignored_flag(!required)
    };
    let refusing = crate::unless(
        cfg!(not(target_os = "linux")).then_some("Linux"),
        &["bitnet"],
        "containers::what_the_kernel_refuses_is_told",
        what_the_kernel_refuses_is_told,
    );
    let full = crate::unless(None, &["llama"], "containers::no_room", no_room);
    checks
        .into_iter()
        .map(trial)
        .chain([refusing, full])
        .collect()
}

/// One case, asked of a live reference behind these words.
fn asked_behind(words: &[&str], receipt: &Path) -> Output {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(env!("CARGO_BIN_EXE_harness"));
    command.args([
        "crossval",
        "--case",
        "edges-the-end",
        "--reference",
        "bitnet",
    ]);
    command.arg("--fixtures").arg(fixture(""));
    command.arg("--json").arg(receipt);
    command
        .env_remove("BITNET_CPP_DIR")
        .env_remove("CROSSVAL_GGUF");
    command.output().expect("it starts")
}

/// That it agrees to the bit, and what its receipt says.
fn agrees_behind(words: &[&str]) -> String {
    let folder = Folder::new();
    let receipt = folder.path().join("receipt.json");
    let output = asked_behind(words, &receipt);
    assert_ends(&output, 0, &["bit-identical 17160/17160", "status: ok"]);
    std::fs::read_to_string(receipt).expect("a receipt")
}

/// The kernel calls a session 0 that no process of the container leads.
fn session_begun_outside() {
    let receipt = agrees_behind(&["unshare", "-rUpf", "--mount-proc"]);
    let confined = |receipt: &str| receipt.contains("\"confined by\": \"landlock ");
    let outside = agrees_behind(&["env"]);
    assert_eq!(confined(&receipt), confined(&outside), "{receipt}");
}

fn no_name_and_no_home() {
    let cache = ffi::reference::Cache::from_environment().expect("the reference lies there");
    let models = cache.models();
    let root = models.parent().expect("below the cache").display();
    let cache = format!("HARNESS_CACHE={root}");
    let user = ["unshare", "--map-user=54321", "--map-group=54321", "-U"];
    let words = [
        &user[..],
        &["env", "-u", "XDG_CACHE_HOME", "HOME=/nowhere", &cache],
    ]
    .concat();
    agrees_behind(&words);
}

fn hidden_processes() {
    let hidden = "mount -t proc -o hidepid=2 proc /proc && exec \"$@\"";
    agrees_behind(&["unshare", "-rUpfm", "sh", "-c", hidden, "sh"]);
}

/// Who this program is can then not be found out, and a worker is this program again.
fn no_proc() {
    let folder = Folder::new();
    let none = "mount -t tmpfs none /proc && exec \"$@\"";
    let words = ["unshare", "-rUpfm", "sh", "-c", none, "sh"];
    let output = asked_behind(&words, &folder.path().join("receipt.json"));
    assert_ends(&output, 4, &["Is /proc mounted?"]);
}

/// A worker runs all the same, and the receipt says what did not hold it.
fn what_the_kernel_refuses_is_told() {
    let folder = Folder::new();
    let program = folder.path().join("unconfined");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/unconfined.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-Wall", "-Wextra", "-Werror"]).arg(source);
    let built = compiler
        .arg("-o")
        .arg(&program)
        .output()
        .expect("there is a C compiler");
    assert_ends(&built, 0, &[]);
    let receipt = agrees_behind(&[&program.to_string_lossy()]);
    let told = receipt
        .lines()
        .find(|line| line.contains("\"not confined\""));
    let told = told.expect("the receipt says so");
    for missing in ["landlock (NotImplemented)", "capabilities (", "seccomp ("] {
        assert!(told.contains(missing), "{told}");
    }
    assert!(!receipt.contains("\"confined by\""), "{receipt}");
}

/// That library reads another form of the weights, which is written beside: where that cannot be,
/// neither side is to blame.
fn no_room() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args([
        "crossval",
        "--case",
        "bitnet-ishmael",
        "--reference",
        "llama",
    ]);
    command
        .env("TMPDIR", "/there/is/none")
        .env_remove("BITNET_CPP_DIR");
    let output = command.output().expect("it starts");
    assert_ends(&output, 4, &["/there/is/none"]);
}
