//! What an output path can be besides a regular file, and what it must not be.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{OUTPUTS, model, writing};
use crate::program::{Folder, Harness};

/// A program that is ended with the test.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A device as the machine's own, but in a temporary folder; none where nobody but root may.
fn device(folder: &Folder, name: &str, minor: &str) -> Option<PathBuf> {
    let path = folder.path().join(name);
    let mut mknod = Command::new("mknod");
    let made = mknod.arg(&path).args(["c", "1", minor]).output();
    let usable = made.is_ok_and(|made| made.status.success())
        && OpenOptions::new().write(true).open(&path).is_ok();
    if !usable {
        println!("SKIPPED: no device can be made here");
    }
    usable.then_some(path)
}

#[test]
fn a_pipe_is_written_through_and_stays_a_pipe() {
    for (words, _) in OUTPUTS {
        let folder = Folder::new();
        let (pipe, read) = (folder.path().join("pipe"), folder.path().join("read"));
        let made = Command::new("mkfifo").arg(&pipe).status().expect("starts");
        assert!(made.success());
        let into = fs::File::create(&read).expect("temporary file");
        let reader = Command::new("cat").arg(&pipe).stdout(into).spawn();
        let mut reader = Beside(reader.expect("starts"));
        writing(words, &pipe, &model()).run().exits(0);
        let kind = fs::symlink_metadata(&pipe).expect("there").file_type();
        assert!(kind.is_fifo(), "{words}: replaced");
        assert!(reader.0.wait().expect("ends").success());
        let read = fs::metadata(&read).expect("there").len();
        assert!(read > 50, "{words}: {read} bytes went through");
    }
}

#[test]
fn a_device_is_written_to_and_a_full_one_is_named() {
    let folder = Folder::new();
    let (Some(null), Some(full)) = (device(&folder, "null", "3"), device(&folder, "full", "7"))
    else {
        return;
    };
    for (words, _) in OUTPUTS {
        writing(words, &null, &model()).run().exits(0);
        let answer = writing(words, &full, &model()).run().exits(4);
        let path = full.display().to_string();
        assert!(answer.stderr.contains(&path), "{words}: {}", answer.stderr);
        for device in [&null, &full] {
            let kind = fs::symlink_metadata(device).expect("there").file_type();
            assert!(kind.is_char_device(), "{words}: replaced");
        }
    }
}

#[test]
fn a_link_stays_a_link_and_what_it_names_is_written() {
    for (words, _) in OUTPUTS {
        let folder = Folder::new();
        let there = folder.file("there", b"old");
        for target in [there, folder.path().join("not yet")] {
            let link = folder.path().join("link");
            symlink(target.file_name().expect("named"), &link).expect("a link");
            writing(words, &link, &model()).run().exits(0);
            let kind = fs::symlink_metadata(&link).expect("there").file_type();
            assert!(kind.is_symlink(), "{words}: replaced");
            assert!(fs::read(&target).expect("written").len() > 50, "{words}");
            fs::remove_file(link).expect("a link");
        }
    }
}

#[test]
fn a_socket_is_connected_to() {
    let folder = Folder::new();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).expect("bound");
    let heard = std::thread::spawn(move || {
        let mut text = String::new();
        let (mut stream, _) = listener.accept().expect("somebody connects");
        stream.read_to_string(&mut text).expect("text");
        text
    });
    writing("check --json", &path, &model()).run().exits(0);
    let kind = fs::symlink_metadata(&path).expect("there").file_type();
    assert!(kind.is_socket(), "replaced");
    let heard = heard.join().expect("heard");
    assert!(
        heard.ends_with("}\n") && heard.contains("model_sha256"),
        "{heard}"
    );
}

#[test]
fn an_open_descriptor_is_appended_to() {
    let folder = Folder::new();
    // As /dev/stdout is a link, but not the machine's own.
    let link = folder.path().join("link");
    symlink("/proc/self/fd/1", &link).expect("a link");
    for path in [&link, Path::new("/dev/fd/1"), Path::new("/proc/self/fd/1")] {
        let out = folder.file("out", b"before\n");
        let appended = OpenOptions::new().append(true).open(&out).expect("there");
        let mut harness = Command::new(env!("CARGO_BIN_EXE_harness"));
        harness.arg("check").arg("--json").arg(path);
        harness.arg("--model").arg(model()).stdout(appended);
        let ended = harness.stderr(Stdio::null()).status().expect("starts");
        assert!(ended.success(), "{}", path.display());
        let text = fs::read_to_string(&out).expect("text");
        assert!(text.starts_with("before\n"), "{text}");
        assert!(text.contains("\"model_sha256\""), "{text}");
    }
}

/// Every way to name the model itself as an output.
fn aliases(folder: &Folder, model: &Path) -> [PathBuf; 4] {
    let path = |name: &str| folder.path().join(name);
    let (soft, hard) = (path("soft"), path("hard"));
    symlink(model, &soft).expect("a link");
    fs::hard_link(model, &hard).expect("a link");
    let around = folder
        .path()
        .join("..")
        .join(folder.path().file_name().expect("named"));
    [model.to_owned(), soft, hard, around.join("m.gguf")]
}

#[test]
fn an_output_that_is_the_model_is_refused_before_anything_runs() {
    let bytes = fs::read(model()).expect("committed");
    for (words, flag) in OUTPUTS
        .into_iter()
        .filter(|(words, _)| !words.starts_with("crossval"))
    {
        let folder = Folder::new();
        let own = folder.file("m.gguf", &bytes);
        for alias in aliases(&folder, &own) {
            let answer = writing(words, &alias, &own).run().exits(2);
            let told = &answer.stderr;
            assert!(
                told.contains(flag) && told.contains("--model"),
                "{words}: {told}"
            );
            assert!(told.contains("the same file"), "{words}: {told}");
            assert_eq!(answer.stdout, "", "{words}");
            assert!(
                fs::read(&own).expect("there") == bytes,
                "{words}: destroyed"
            );
        }
    }
}

#[test]
fn a_broken_model_is_not_overwritten_by_the_reason_why_it_is_refused() {
    let folder = Folder::new();
    let own = folder.file("m.gguf", b"GGUF and no more");
    for words in ["check --json", "inspect --json"] {
        writing(words, &own, &own).run().exits(2);
        assert_eq!(fs::read(&own).expect("there"), b"GGUF and no more");
    }
}

#[test]
fn two_outputs_in_one_file_are_refused_by_name() {
    let folder = Folder::new();
    let path = folder.path().join("same.bin");
    let shown = path.display();
    let dangling = folder.path().join("dangling");
    symlink("same.bin", &dangling).expect("a link");
    for (flags, one, other) in [
        (
            format!("--logits {shown} --trace {shown}"),
            "--logits",
            "--trace",
        ),
        (
            format!("--logits {shown} --json {shown}"),
            "--logits",
            "--json",
        ),
        (
            format!("--logits {shown} --trace {}", dangling.display()),
            "--logits",
            "--trace",
        ),
    ] {
        let harness = Harness::new("eval --tokens 1 --model").arg(model());
        let told = harness.args(&flags).run().exits(2).stderr;
        assert!(told.contains(one) && told.contains(other), "{told}");
        // What may be there is the refusal, where --json was typed first.
        let written = fs::read_to_string(&path).unwrap_or_else(|_| "error".into());
        assert!(written.contains("error"), "{written}");
        let _ = fs::remove_file(&path);
    }
    let policy = folder.file("p.toml", b"version = 1\n[rules.x]\n");
    let harness = Harness::new("inspect --ln-stats --model").arg(model());
    let harness = harness
        .arg("--policy")
        .arg(&policy)
        .arg("--json")
        .arg(&policy);
    let told = harness.run().exits(2).stderr;
    assert!(
        told.contains("--policy") && told.contains("--json"),
        "{told}"
    );
    let text = folder.file("text", b"a whale");
    let harness = Harness::new("tokenize --model")
        .arg(model())
        .arg("--file")
        .arg(&text);
    let told = harness.arg("--json").arg(&text).run().exits(2).stderr;
    assert!(told.contains("--file") && told.contains("--json"), "{told}");
}

#[test]
fn what_cannot_be_written_is_known_before_anything_runs() {
    let folder = Folder::new();
    let nowhere = folder.path().join("missing/out");
    for (words, _) in OUTPUTS
        .into_iter()
        .filter(|(words, _)| !words.starts_with("crossval"))
    {
        let words = words.replace("LOGITS", "l.npy");
        // A model that is not there would be the next thing to fail.
        let harness = Harness::new(&words)
            .arg(&nowhere)
            .args("--model /nowhere/m.gguf");
        let told = harness.run().exits(4).stderr;
        assert!(told.contains("missing"), "{words}: {told}");
    }
}

/// What is written beside it has a short name of its own.
#[test]
fn a_name_may_be_as_long_as_the_system_allows() {
    let folder = Folder::new();
    let path = folder.path().join("n".repeat(255));
    writing("crossval --case edges-the-end --json", &path, &model())
        .run()
        .exits(0);
    assert!(path.exists());
}
