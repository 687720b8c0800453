//! A library that means harm: what it tries, and what comes of it in a worker. The same source as a
//! program that nothing confines does all of it.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use harness::reference::isolation::{Hello, Worker, WorkerExit};

use crate::workers::limits;

/// What is tried, and what comes of it.
const ACTS: [(&str, &str); 26] = [
    ("open a TCP socket", "EPERM"),
    ("open a UDP socket", "EPERM"),
    ("open a UNIX socket", "EPERM"),
    ("open a raw netlink socket", "EPERM"),
    ("set up io_uring", "EPERM"),
    ("create a file", "EACCES"),
    ("write a file", "EACCES"),
    ("truncate a file", "EACCES"),
    ("write a file through memory", "EACCES"),
    ("remove a file", "EACCES"),
    ("rename a file", "EACCES"),
    ("link to a file", "EACCES"),
    ("make a folder", "EACCES"),
    ("change a file's mode", "EPERM"),
    ("change a file's time", "EPERM"),
    ("make shared memory", "EACCES"),
    ("fork", "EPERM"),
    ("execute", "EPERM"),
    ("signal the parent", "EPERM"),
    ("signal everything", "EPERM"),
    ("write the parent's memory", "EACCES"),
    ("read the parent's environment", "EACCES"),
    ("look at the parent's descriptors", "EACCES"),
    ("limit the parent", "EPERM"),
    ("lift a limit", "EPERM"),
    ("outlive the parent", "EPERM"),
];

/// What no library is kept from.
const HARMLESS: [&str; 3] = ["nothing", "read a file", "start a thread"];

/// The folder with the library, the program and the file that is attacked.
static BUILT: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (flags, name) in [
        (&["-shared", "-fPIC"][..], "hostile.so"),
        (&["-DALONE"], "hostile"),
    ] {
        let done = Command::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-pthread", "-I"])
            .arg(root.join("adapters"))
            .args(flags)
            .arg(root.join("tests/isolation/hostile.c"))
            .arg("-o")
            .arg(folder.path().join(name))
            .output()
            .expect("there is a C compiler");
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{told}");
    }
    folder
});

/// A file of its own for each act.
fn victim(act: &str) -> PathBuf {
    let path = BUILT.path().join(act.replace([' ', '\''], "-"));
    std::fs::write(&path, "precious").expect("written");
    path
}

fn told(mut command: Command, act: &str, victim: &Path) -> Command {
    command.env("HOSTILE", act).env("VICTIM", victim);
    command
}

/// A worker with the library in it. `shell` hands it a descriptor that it did not ask for.
fn confined(act: &str, victim: &Path) -> Result<Hello, WorkerExit> {
    let mut command = Command::new("/bin/sh");
    command.args([
        "-c",
        "exec \"$0\" \"$@\" 7</etc/passwd",
        env!("CARGO_BIN_EXE_harness"),
    ]);
    let library = format!("lib:{}", BUILT.path().join("hostile.so").display());
    command
        .args(["worker", "--subject", &library, "--scratch"])
        .arg(BUILT.path());
    let (_, hello) = Worker::start(told(command, act, victim), limits())?;
    Ok(hello)
}

fn outcome(act: &str, victim: &Path) -> String {
    let hello = confined(act, victim).unwrap_or_else(|exit| panic!("{act}: {exit}"));
    let about: serde_json::Value = serde_json::from_str(&hello.details["about"]).expect("JSON");
    about["name"].as_str().expect("a name").to_owned()
}

#[test]
fn whatever_a_library_tries_it_computes_and_reads_and_nothing_else() {
    let mut wrong = Vec::new();
    for (act, expected) in ACTS {
        let victim = victim(act);
        let found = outcome(act, &victim);
        if found != expected {
            wrong.push(format!("{act}: {found}, expected {expected}"));
        }
        assert_eq!(
            std::fs::read(&victim).expect("still there"),
            b"precious",
            "{act}"
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        outcome("use an inherited descriptor", &victim("fd")),
        "EBADF"
    );
    for act in HARMLESS {
        assert_eq!(outcome(act, &victim(act)), "done", "{act}");
    }
}

/// An end by its own hand is no harm to others, and must still look like what it is.
#[test]
fn a_confined_library_can_still_abort() {
    let Err(WorkerExit::Died(death)) = confined("abort", &victim("abort")) else {
        panic!("it did not abort");
    };
    assert_eq!(death.signal, Some(6), "{death}");
}

#[test]
fn what_holds_a_worker_is_told() {
    let hello = confined("nothing", &victim("hello")).expect("harmless");
    let held = &hello.details["confined by"];
    assert!(
        held.contains("landlock ") && held.contains("seccomp"),
        "{held}"
    );
    assert!(!hello.details.contains_key("not confined"));
}

/// Where nothing holds it, each act succeeds: the table can fail.
#[test]
fn unconfined_it_does_all_of_that() {
    let mut failed = Vec::new();
    for (act, _) in ACTS {
        // Replaces the program, which then says nothing.
        if act == "execute" {
            continue;
        }
        let victim = victim(&format!("alone {act}"));
        let alone = Command::new(BUILT.path().join("hostile"));
        let said = told(alone, act, &victim).output().expect("runs").stdout;
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        if said != "done" {
            failed.push(format!("{act}: {said}"));
        }
    }
    let _ = std::fs::remove_file("/dev/shm/hostile");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
