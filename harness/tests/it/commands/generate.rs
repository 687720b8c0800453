//! `harness generate`: the recorded text, the same on every machine, and every way to end.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::commands::tiny::Tiny;
use crate::program::{Folder, Harness, fixture};

const MOBY: &str = "moby-tiny/moby-tiny-b158.gguf";

fn generate(flags: &str) -> Harness {
    Harness::new("generate --model")
        .arg(fixture(MOBY))
        .args(flags)
        .arg("--prompt")
}

#[test]
fn the_greedy_continuation_is_the_recorded_one() {
    let bytes = std::fs::read(fixture("recordings/mar2026-b158-avx512/recording.json"));
    let recording: serde_json::Value =
        serde_json::from_slice(&bytes.expect("committed")).expect("JSON");
    let mut compared = 0;
    for case in recording["cases"].as_array().expect("cases") {
        let prompt = case["prompt"].as_str().expect("a prompt");
        let answer = generate("-n 48 --json").arg(prompt).run().exits(0).json();
        assert_eq!(answer["tokens"], case["greedy"], "{prompt}");
        assert_eq!(answer["text"], case["greedy_text"], "{prompt}");
        assert_eq!(answer["stop"], "max_tokens");
        compared += 1;
    }
    assert!(compared >= 5, "{compared} cases");
}

#[test]
fn streamed_text_is_the_text_and_the_speed_is_said_on_the_side() {
    let answer = generate("-n 12").arg("Call me Ishmael.").run().exits(0);
    let whole = generate("-n 12 --json")
        .arg("Call me Ishmael.")
        .run()
        .exits(0)
        .json();
    assert_eq!(
        answer.stdout,
        format!("{}\n", whole["text"].as_str().expect("text"))
    );
    assert!(answer.stdout.contains("I’ll be"), "{}", answer.stdout);
    assert!(
        answer.stderr.contains("read 11 tokens at "),
        "{}",
        answer.stderr
    );
    assert!(answer.stderr.contains("wrote 12 at "), "{}", answer.stderr);
}

#[test]
fn a_seed_gives_one_text_and_the_flag_wins_over_the_variable() {
    let sampled = |flags: &str| {
        generate(&format!(
            "-n 30 --temperature 1 --top-k 50 --top-p 0.95 {flags}"
        ))
    };
    let text = |harness: Harness| harness.arg("The whale").run().exits(0).stdout;
    let seven = text(
        Harness::new("generate --model")
            .arg(fixture(MOBY))
            .args("-n 30 --temperature 1 --top-k 50 --top-p 0.95 --seed 7 --threads 1 --prompt"),
    );
    assert_eq!(text(sampled("--seed 7").env("BITNET_SEED", "8")), seven);
    assert_eq!(
        text(
            sampled("")
                .env("BITNET_SEED", "7")
                .env("BITNET_DETERMINISTIC", "1")
        ),
        seven
    );
    assert_ne!(text(sampled("").env("BITNET_SEED", "8")), seven);
    sampled("")
        .env("BITNET_SEED", "seven")
        .arg("x")
        .run()
        .exits(2);
    generate("--temperature -1").arg("x").run().exits(2);
    generate("--top-p 0").arg("x").run().exits(2);
}

#[test]
fn it_ends_at_the_context_and_at_an_end_token() {
    let answer = generate("-n 1000 --context 16 --json")
        .arg("Call me Ishmael.")
        .run();
    let answer = answer.exits(0).json();
    assert_eq!(answer["stop"], "context");
    // Eleven positions are the prompt's, five more are fed, and the last token is not.
    assert_eq!(answer["tokens"].as_array().expect("ids").len(), 6);
    generate("-n 1 --context 4")
        .arg("Call me Ishmael.")
        .run()
        .exits(2);

    let folder = Folder::new();
    let first = generate("-n 1 --json").arg("Call me").run().exits(0).json()["tokens"][0].clone();
    let mut bytes = std::fs::read(fixture(MOBY)).expect("committed");
    let key = b"tokenizer.ggml.eos_token_id";
    let at = bytes
        .windows(key.len())
        .position(|w| w == key)
        .expect("the key");
    let value = at + key.len() + 4;
    let id = first.as_u64().expect("an id") as u32;
    bytes[value..value + 4].copy_from_slice(&id.to_le_bytes());
    let model = folder.file("ends.gguf", &bytes);
    let answer = Harness::new("generate --json --prompt")
        .arg("Call me")
        .arg("--model")
        .arg(model);
    let answer = answer.run().exits(0).json();
    assert_eq!(answer["stop"], "end_token");
    assert_eq!(answer["tokens"], serde_json::json!([]));
}

#[test]
fn what_is_guessed_changes_no_text() {
    let text = "Call me Ishmael. Some years ago. Call me Ishmael. Some years ago. Call me";
    let generated = |flags: &str, guess: &str| {
        let harness = generate(&format!("-n 60 --json {flags} --guess {guess}"));
        harness.arg(text).run().exits(0).json()
    };
    for flags in [
        "",
        "--temperature 0.7 --seed 5",
        "--temperature 0.5 --top-k 20",
    ] {
        let plain = generated(flags, "0");
        assert_eq!(plain["guesses"]["guessed"], 0);
        for guess in ["1", "7", "40"] {
            let guessing = generated(flags, guess);
            for field in ["tokens", "text", "stop"] {
                assert_eq!(guessing[field], plain[field], "{flags} --guess {guess}");
            }
            let count = |field: &str| guessing["guesses"][field].as_u64().expect("a number");
            let (guessed, right) = (count("guessed"), count("right"));
            assert!(right <= guessed, "{flags} --guess {guess}");
            // The likeliest continuation of such a text repeats itself.
            assert!(right > 0 || !flags.is_empty(), "--guess {guess}");
        }
    }
}

fn chat(model: &Path, flags: &str) -> Harness {
    let harness = Harness::new("generate --json -n 1 --chat --model").arg(model);
    harness.args(flags).arg("--prompt").arg(" hi ")
}

#[test]
fn chat_renders_the_models_own_template() {
    let folder = Folder::new();
    let mut tiny = Tiny::new();
    tiny.set(
        "tokenizer.chat_template",
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content.strip() }}\
         {{ eos_token }}{% endfor %}{% if add_generation_prompt %}[a]{% endif %}",
    );
    let model = folder.file("chat.gguf", &tiny.file());
    let answer = chat(&model, "--system short").run().exits(0).json();
    let rendered = "<|begin|>[system]short<|end|>[user]hi<|end|>[a]";
    let expected = Harness::new("tokenize --json --model")
        .arg(&model)
        .arg("--text");
    // The template brings the BOS token, so the tokenizer adds a second one that is not wanted.
    let expected = expected.arg(rendered).run().exits(0).json();
    let tokens = expected["tokens"].as_array().expect("ids");
    assert_eq!(tokens[0], tokens[1]);
    assert_eq!(
        answer["prompt_tokens"],
        serde_json::Value::from(&tokens[1..])
    );
    Harness::new("generate --system x --prompt y --model")
        .arg(&model)
        .run()
        .exits(2);

    let answer = chat(&fixture(MOBY), "").run().exits(2);
    assert!(
        answer.stderr.contains("no chat template"),
        "{}",
        answer.stderr
    );
}

/// The fixture, as something that can be talked to.
fn instruct(folder: &Folder) -> PathBuf {
    let path = folder.path().join("instruct.gguf");
    let made = Harness::new("fixtures instruct --model")
        .arg(fixture(MOBY))
        .arg("-o");
    made.arg(&path).run().exits(0);
    path
}

/// The turns of a conversation whose lines are given.
fn talk(model: &Path, flags: &str, lines: &str) -> Vec<Value> {
    let harness = Harness::new("generate --chat -n 12 --json -")
        .args(flags)
        .arg("--model");
    let answer = harness.arg(model).feed(lines).exits(0).json();
    answer["turns"].as_array().expect("turns").clone()
}

/// How a text is continued that was written out by hand.
fn continued(model: &Path, text: &str) -> Value {
    let harness = Harness::new("generate -n 12 --json - --model").arg(model);
    harness.arg("--prompt").arg(text).run().exits(0).json()
}

#[test]
fn every_answer_is_that_to_the_whole_conversation() {
    let folder = Folder::new();
    let model = instruct(&folder);
    let lines = "Who is the captain?\nWhere does he sail to?\n\nWhat for?";
    let turns = talk(&model, "--system Short.", lines);
    assert_eq!(turns.len(), 3, "an empty line says nothing");
    let mut whole = "system: Short.\n".to_owned();
    let mut kept = Vec::new();
    for turn in &turns {
        let text = |name: &str| turn[name].as_str().expect("a text");
        whole += &format!("user: {}\nassistant:", text("user"));
        let expected = continued(&model, &whole);
        assert_eq!(turn["prompt_tokens"], expected["prompt_tokens"], "{whole}");
        assert_eq!(turn["tokens"], expected["tokens"], "{whole}");
        whole += &format!(" {}\n", text("text"));
        kept.push(turn["kept"].as_u64().expect("a number"));
    }
    assert!(kept[0] == 0 && 0 < kept[1] && kept[1] < kept[2], "{kept:?}");
    // Without what was said before the last answer is another one.
    let alone = talk(&model, "--system Short.", "What for?\n");
    assert_ne!(
        alone[0]["tokens"], turns[2]["tokens"],
        "history reaches the model"
    );
}

#[test]
fn a_conversation_is_forgotten_and_ended_by_a_word() {
    let folder = Folder::new();
    let model = instruct(&folder);
    let turns = talk(&model, "", "Who?\n/help\n/reset\nWho?\n/quit\nWho?\n");
    assert_eq!(turns.len(), 2);
    assert_eq!(turns[0]["prompt_tokens"], turns[1]["prompt_tokens"]);
    assert_eq!(turns[0]["tokens"], turns[1]["tokens"]);
    let chat = |flags: &str| {
        let harness = Harness::new("generate --chat -n 12")
            .args(flags)
            .arg("--model");
        harness.arg(&model)
    };
    let answer = chat("").feed("Who?\n/reset\n").exits(0);
    assert_eq!(
        answer.stdout,
        format!("{}\n", turns[0]["text"].as_str().expect("text"))
    );
    for (flags, lines, said) in [
        ("", "/forget\n", "no such command"),
        ("--context 10", "Who is the captain of it all?\n", "/reset"),
        ("", &"a".repeat((1 << 20) + 1), "a line of more than"),
    ] {
        let refusal = chat(flags).feed(lines).exits(2).stderr;
        assert!(refusal.contains(said), "{lines:.20}: {refusal}");
    }
    let plain = Harness::new("generate --chat --model")
        .arg(fixture(MOBY))
        .feed("Who?\n");
    let refusal = plain.exits(2).stderr;
    assert!(refusal.contains("no chat template"), "{refusal}");
}

#[test]
fn a_hostile_template_costs_neither_memory_nor_time() {
    let doubling = "{% set n = namespace(x='a') %}{% for i in range(60) %}\
                    {% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}";
    let slow = "{% for i in range(99999) %}{% set x = 'a' * (9999999 + i) %}{% endfor %}";
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
    let nested = format!("{}1{}", "{{ (".repeat(9999), ") }}".repeat(9999));
    for (template, why) in [
        (doubling, "512 MiB or 2 s"),
        (slow, "512 MiB or 2 s"),
        (endless, "instructions"),
        (nested.as_str(), "recursion"),
        ("{{ raise_exception('alternate!') }}", "alternate!"),
    ] {
        let folder = Folder::new();
        let mut tiny = Tiny::new();
        tiny.set("tokenizer.chat_template", template);
        let model = folder.file("hostile.gguf", &tiny.file());
        let answer = chat(&model, "").run().exits(2);
        let stderr = &answer.stderr;
        assert!(
            stderr.contains("TEMPLATE_") && stderr.contains(why),
            "{stderr}"
        );
    }
}

/// Starts a long text on a copy of the model, does that to the file once the first text is out,
/// and returns exit code and standard error. A longer text would be computed from a copy.
fn meddle(flags: &str, meddle: impl FnOnce(&Path)) -> (Option<i32>, String) {
    let folder = Folder::new();
    let bytes = std::fs::read(fixture(MOBY)).expect("committed");
    let model = folder.file("moby.gguf", &bytes);
    let harness = Harness::new("generate -n 255 --threads 1 --prompt a --model");
    let mut child = harness.arg(&model).args(flags).spawn();
    let mut first = [0];
    let out = child.stdout.as_mut().expect("piped");
    out.read_exact(&mut first).expect("some text");
    meddle(&model);
    let output = child.wait_with_output().expect("ended");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
#[cfg(target_os = "linux")]
fn a_truncated_map_ends_with_a_sentence_and_not_with_silence() {
    let (code, stderr) = meddle("", |model| {
        let file = std::fs::File::options()
            .write(true)
            .open(model)
            .expect("there");
        file.set_len(4096).expect("truncated");
    });
    assert_eq!(code, Some(4), "{stderr}");
    assert!(
        stderr.contains("FILE_CHANGED") && stderr.contains("truncated"),
        "{stderr}"
    );
}

#[test]
fn a_touched_model_is_noticed_at_the_end() {
    let (code, stderr) = meddle("", |model| {
        let file = std::fs::File::options()
            .write(true)
            .open(model)
            .expect("there");
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .expect("touched");
    });
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("FILE_CHANGED"), "{stderr}");
    let (code, stderr) = meddle("", |_| {});
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn a_warning_is_told_once_by_every_command_that_opens_a_model() {
    let folder = Folder::new();
    let mut tiny = Tiny::new();
    tiny.unset("tokenizer.ggml.pre");
    let model = folder.file("no-pre.gguf", &tiny.file());
    let logits = folder.path().join("l.npy").display().to_string();
    for words in [
        "generate -n 1 --prompt ab",
        "tokenize --text ab",
        &format!("eval --prompt ab --logits {logits}"),
    ] {
        let answer = Harness::new(words)
            .arg("--model")
            .arg(&model)
            .run()
            .exits(0);
        let told = answer.stderr.matches("PRETOKENIZER_MISSING").count();
        assert_eq!(told, 1, "{words}: {}", answer.stderr);
    }
}

#[test]
fn a_packing_that_nothing_explains_is_refused_with_every_reason() {
    let folder = Folder::new();
    let mut tiny = Tiny::new();
    let bytes = &mut tiny.tensor("blk.0.attn_q.weight").bytes;
    bytes.fill(0xff);
    bytes.extend([0xff; 35]);
    let model = folder.file("odd.gguf", &tiny.file());
    let generate = Harness::new("generate --prompt ab --model").arg(model);
    let told = generate.run().exits(2).stderr;
    assert!(
        told.contains("FLAVOR_UNKNOWN") && !told.contains('…'),
        "{told}"
    );
    for flavor in ["i2_s-p128", "bitnet32-f16", "split32", "qk256"] {
        assert!(told.contains(flavor), "{flavor}: {told}");
    }
}
