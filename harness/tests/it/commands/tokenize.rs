//! `harness tokenize`: the ids the reference recorded, every way to hand text in, and bad text.

use crate::commands::tiny::Tiny;
use crate::program::{Folder, Harness, fixture};

const ISHMAEL: &str = "1022 34 392 399 316 82 71 76 64 443 13\n";

fn tokenize(flags: &str) -> Harness {
    let model = fixture("moby-tiny/moby-tiny-b158.gguf");
    Harness::new("tokenize --model").arg(model).args(flags)
}

#[test]
fn text_a_file_and_standard_input_give_the_recorded_ids() {
    let text = "Call me Ishmael.";
    let folder = Folder::new();
    let file = folder.file("text", text.as_bytes());
    assert_eq!(tokenize("--text").arg(text).run().exits(0).stdout, ISHMAEL);
    assert_eq!(tokenize("--file").arg(file).run().exits(0).stdout, ISHMAEL);
    assert_eq!(tokenize("--file -").feed(text).exits(0).stdout, ISHMAEL);
    let bare = &ISHMAEL["1022 ".len()..];
    assert_eq!(
        tokenize("--no-special --text")
            .arg(text)
            .run()
            .exits(0)
            .stdout,
        bare
    );
    let both = tokenize("--no-special --special --text")
        .arg(text)
        .run()
        .exits(0);
    assert_eq!(both.stdout, ISHMAEL);
}

#[test]
fn special_tokens_in_the_text_are_read_unless_asked_not_to() {
    let end = "a<|end_of_text|>";
    let read = tokenize("--json --text").arg(end).run().exits(0).json();
    assert_eq!(read["tokens"], serde_json::json!([1022, 64, 1023]));
    assert_eq!(read["pieces"][2], "<|end_of_text|>");
    let spelled = tokenize("--json --no-special --text")
        .arg(end)
        .run()
        .exits(0)
        .json();
    let ids = spelled["tokens"].as_array().expect("ids");
    assert!(ids.len() > 3 && !ids.contains(&1023.into()), "{ids:?}");
}

#[test]
fn pieces_are_shown_beside_their_ids() {
    let answer = tokenize("--pieces --text").arg("Call me").run().exits(0);
    assert_eq!(answer.stdout.lines().count(), 4, "{}", answer.stdout);
    assert!(
        answer.stdout.ends_with("399  \" me\"\n"),
        "{}",
        answer.stdout
    );
}

#[test]
fn a_line_of_json_is_answered_by_a_line_of_json() {
    let input = "\"Call me Ishmael.\"\n\"\"\n\"two\\nlines\"\n";
    let answer = tokenize("--jsonl").feed(input).exits(0);
    let lines: Vec<Vec<u32>> = answer
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("an array of ids"))
        .collect();
    assert_eq!(lines[0], [1022, 34, 392, 399, 316, 82, 71, 76, 64, 443, 13]);
    assert_eq!(lines[1], [1022]);
    assert_eq!(lines.len(), 3);
    assert_eq!(
        tokenize("--jsonl")
            .feed("\"no line end\"")
            .exits(0)
            .stdout
            .lines()
            .count(),
        1
    );
}

#[test]
fn a_bad_line_is_named_after_the_good_ones_were_answered() {
    for bad in ["not json", "[1]", "17", "", "\"\\ud800\"", "\"a\" \"b\""] {
        let answer = tokenize("--jsonl")
            .feed(&format!("\"one\"\n{bad}\n\"three\"\n"))
            .exits(2);
        assert!(
            answer.stderr.contains("line 2 of standard input"),
            "{}",
            answer.stderr
        );
        assert_eq!(answer.stdout.lines().count(), 1, "{bad}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let model = fixture("moby-tiny/moby-tiny-b158.gguf");
    let harness = env!("CARGO_BIN_EXE_harness");
    let script = format!(
        "yes '\"x\"' | head -n 100000 | '{harness}' tokenize --jsonl --model '{}' | head -n 1; \
         echo ${{PIPESTATUS[2]}}",
        model.display()
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .output()
        .expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[1022,87]\n0\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn usage_and_files_that_cannot_work_are_told_apart() {
    tokenize("").run().exits(2);
    tokenize("--text a --jsonl").run().exits(2);
    tokenize("--jsonl --json").run().exits(2);
    tokenize("--file").arg("/nowhere/text").run().exits(4);
    let folder = Folder::new();
    let answer = tokenize("--file")
        .arg(folder.file("latin1", b"ab\xe9"))
        .run()
        .exits(2);
    assert!(answer.stderr.contains("INVALID_UTF8") && answer.stderr.contains("byte 2"));
}

#[test]
fn a_missing_pre_tokenizer_is_a_warning_and_in_strict_mode_a_failure() {
    let folder = Folder::new();
    let mut tiny = Tiny::new();
    tiny.unset("tokenizer.ggml.pre");
    let model = folder.file("tiny.gguf", &tiny.file());
    let run = || Harness::new("tokenize --text ab --model").arg(&model);
    let lenient = run().run().exits(0);
    assert!(
        lenient.stderr.contains("PRETOKENIZER_MISSING"),
        "{}",
        lenient.stderr
    );
    run().env("BITNET_STRICT_MODE", "true").run().exits(1);
    tiny.set("tokenizer.ggml.model", "no_vocab");
    let model = folder.file("silent.gguf", &tiny.file());
    let answer = Harness::new("tokenize --text ab --model")
        .arg(model)
        .run()
        .exits(2);
    assert!(answer.stderr.contains("no_vocab"), "{}", answer.stderr);
}

#[test]
fn bytes_that_are_no_character_are_shown_as_bytes() {
    let answer = tokenize("--no-special --pieces --text")
        .arg("語\u{1}")
        .run()
        .exits(0);
    let shown: String = answer
        .stdout
        .lines()
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    assert_eq!(shown, "\\xe8\\xaa\\x9e\\u{1}", "{}", answer.stdout);
}
