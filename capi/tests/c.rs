//! A C program that is compiled against the header and linked with the library says what Rust says:
//! the same bits, and of every error its code.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Command;

use engine::sampler::Sampling;

/// Where cargo has put the library: beside this test, or above it.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("this test is a file");
    let name = format!(
        "{}bitnet_engine{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let folders = test.ancestors().skip(1).take(2);
    let mut places = folders.map(|folder| folder.join(&name));
    places.find(|place| place.is_file()).expect("it was built")
}

#[test]
fn a_program_in_c_says_the_same_bits_and_is_told_every_error() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = root.join("../fixtures/moby-tiny/moby-tiny-b158.gguf");
    let folder = std::env::temp_dir().join(format!("engine-c-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let (program, library) = (folder.join("logits"), library());
    let run = |command: &mut Command| {
        let output = command.output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", output.status);
        String::from_utf8(output.stdout).expect("text")
    };
    run(Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(root)
        .arg(root.join("tests/logits.c"))
        .arg(&library)
        .arg(format!(
            "-Wl,-rpath,{}",
            library.parent().expect("a folder").display()
        ))
        .arg("-o")
        .arg(&program));
    let said = run(Command::new(&program).arg(&model).arg("Call me"));
    std::fs::remove_dir_all(&folder).expect("ours");

    let opened = engine::open(&model).expect("a fixture");
    let prompt = opened.tokenize("Call me").expect("it has a vocabulary");
    let logits = opened.session().and_then(|mut s| s.logits(&prompt));
    let logits = logits.expect("computed");
    let bits = logits
        .iter()
        .map(|logit| format!("{:08x}", logit.to_bits()));
    let mut expected: Vec<String> = bits.collect();
    let mut session = opened.session().expect("there is memory");
    let generation = session.generate(&prompt, &Sampling::default());
    let tokens = generation.expect("computed").at_most(8);
    let tokens: Vec<u32> = tokens.collect::<Result<_, _>>().expect("computed");
    let text = opened.detokenize(&tokens).expect("it has a vocabulary");
    assert!(logits.len() == 4 * 1024 && tokens.len() == 8 && !text.is_empty());
    expected.extend(tokens.iter().map(|token| format!("token {token}")));
    expected.push(format!("text {text}"));
    let said: Vec<&str> = said.lines().collect();
    let (computed, errors) = said.split_at(expected.len());
    assert!(computed == expected, "the bits differ");
    let begins = [
        "1 IO",
        "1 NULL_POINTER: the path is NULL",
        "3 ROOM: there is room for 1, 4 are needed",
        "needed 4, and nothing was opened: 1",
        "1 NOT_UTF8: the text",
        "2 TOKEN_OUT_OF_RANGE: token 4294967295",
        "3 ROOM: there is room for 1023 logits, 1024 are needed",
        "1 HPARAM_INVALID: prompt",
        "1 NULL_POINTER: the count is NULL",
    ];
    assert_eq!(errors.len(), begins.len(), "{errors:?}");
    for (error, begin) in errors.iter().zip(begins) {
        assert!(error.starts_with(begin), "{error:?} begins with {begin:?}");
    }
}
