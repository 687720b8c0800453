//! Runs the built program and looks at how it ended.
#![forbid(unsafe_code)]

use std::process::{Command, Output};

/// `harness` with these arguments, and without the variables that name files for it.
pub fn harness(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(arguments);
    command
        .env_remove("BITNET_CPP_DIR")
        .env_remove("CROSSVAL_GGUF");
    command.output().expect("the program starts")
}

/// Everything it said, if it ended with that code and said these words.
#[track_caller]
pub fn assert_ends(output: &Output, code: i32, words: &[&str]) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for words in words {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
    said
}
