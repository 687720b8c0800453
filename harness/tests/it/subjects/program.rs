//! Programs, run once for each prompt and lane. Here they are scripts around the program itself,
//! which lets each do one thing wrong.

use std::time::Instant;

use harness::judge::outcome::Outcome;

use super::Desk;
use crate::program::ends::assert_ends;

const HARNESS: &str = env!("CARGO_BIN_EXE_harness");

/// The built-in engine as somebody's program.
fn right() -> String {
    format!(
        "{HARNESS} eval --model {{model}} --tokens {{tokens}} --logits {{logits}} --trace {{trace}}"
    )
}

/// A program that copies a file of logits and does something else as well.
fn copying(file: &str, also: &str) -> String {
    format!("cmd: sh -c 'cp {file} $1; {also}' engine {{tokens}} {{logits}}")
        .replace("$1", "\"$1\"")
        .replace("engine {tokens} {logits}", "engine {logits} {tokens}")
}

#[test]
fn a_right_program_has_equal_bits_and_nodes() {
    let desk = Desk::new();
    let subject = format!("cmd: {}", right());
    let words = [
        "judged: harness (unnamed), program ",
        "nodes 354/354",
        "22528/22528",
    ];
    assert_ends(&desk.judge(&subject, &[]), 0, &words);
    let claims = &desk.receipt().cases[0].claims;
    assert_eq!(claims.validation.compute, "program");
    // Both lanes, where the command line has a place for them.
    let lanes = format!(
        "{} --ubatch $(test {{lane}} = decode && echo 1 || echo 512)",
        right()
    );
    let said = desk.judge(&format!("cmd: {lanes}"), &["--profile", "ggml-avx512"]);
    assert_ends(&said, 0, &["positions 66/66"]);
}

#[test]
fn a_program_that_computes_wrongly_is_named() {
    let desk = Desk::new();
    let (shape, mut values) = desk.ours();
    values[40] = f32::from_bits(values[40].to_bits() + 1);
    let ulp = desk.write("ulp.npy", &shape, &values);
    let exact = ["--profile", "ggml-avx512"];
    let words = ["prefill position 0: bits differ", "1 ulp"];
    assert_ends(&desk.judge(&copying(&ulp, "true"), &exact), 1, &words);
    values.rotate_right(shape[1]);
    let shifted = desk.write("shifted.npy", &shape, &values);
    assert_ends(
        &desk.judge(&copying(&shifted, "true"), &[]),
        1,
        &["DIVERGE"],
    );
    let short = desk.write("short.npy", &[10, shape[1]], &values[..10 * shape[1]]);
    let words = ["10 rows of logits, expected 11"];
    assert_ends(&desk.judge(&copying(&short, "true"), &[]), 2, &words);
    let nothing = "cmd: true {tokens} {logits}";
    assert_ends(
        &desk.judge(nothing, &[]),
        2,
        &["after true 1022,34", "logits.npy"],
    );
    let words = ["no file \"./engine -m model.gguf\"", "`cmd: ./engine -m"];
    assert_ends(&desk.judge("./engine -m model.gguf", &[]), 2, &words);
    let words = ["no place for the ids and the logits", "{tokens_file}"];
    assert_ends(&desk.judge("cmd: true", &[]), 2, &words);
}

#[test]
fn a_program_that_dies_or_hangs_costs_its_case_and_leaves_its_last_words() {
    let desk = Desk::new();
    let ours = desk.path("ours.npy");
    let dies = copying(&ours, "echo the last words >&2; kill -SEGV $$");
    let words = [
        "crashed while prefill of the prompt, SIGSEGV",
        "| the last words",
    ];
    assert_ends(&desk.judge(&dies, &[]), 7, &words);
    assert_eq!(desk.receipt().parity.status, Outcome::EngineDied);
    let ends = copying(&ours, "exit 3");
    assert_ends(&desk.judge(&ends, &[]), 7, &["exit code 3"]);
    let began = Instant::now();
    let hangs = copying(&ours, "sleep 60");
    let words = ["ran out of time while prefill", "no answer within 1s"];
    assert_ends(&desk.judge(&hangs, &["--patience", "1"]), 7, &words);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

/// What ends with that code and says these words, asked about the fixture.
fn asks(words: &[&str], code: i32, said: &[&str]) {
    assert_ends(&crate::program::ends::harness(words), code, said);
}

fn eval(model: &str) -> String {
    format!("cmd: {HARNESS} eval --model {model} --tokens {{tokens}} --logits {{logits}}")
}

#[test]
fn edits_that_must_change_no_bit_are_tried_on_a_program() {
    let model = super::model();
    let words = ["metamorphic", "--model", &model, "--prompt", super::PROMPT];
    let examined = |subject: &str, code, said: &[&str]| {
        asks(&[&words[..], &["--subject", subject]].concat(), code, said);
    };
    let lacking = ["it does not offer greedy", "status: ok"];
    examined(&eval("{model}"), 0, &lacking);
    // One that computes another file than the one it is given keeps every bit, and is found out.
    examined(&eval(&model), 1, &["the control changes nothing"]);
}

#[test]
fn a_text_is_asked_of_a_program_beside_the_engine() {
    let desk = Desk::new();
    let text = desk.path("text.txt");
    let sentences = "Call me Ishmael. Some years ago, never mind how long. ".repeat(8);
    std::fs::write(&text, sentences).expect("written");
    let model = super::model();
    let kl = |subject: &str, code, said: &[&str]| {
        let words = ["kl", &model, "--text", &text, "--context", "32"];
        let more = ["--chunks", "2", "--subject", subject];
        asks(&[&words[..], &more].concat(), code, said);
    };
    kl(&eval("{model}"), 0, &["harness (unnamed)", "30720/30720"]);
    kl("cmd: true {tokens} {logits}", 2, &["logits.npy"]);
}

#[test]
fn random_models_are_asked_of_a_program_as_far_as_it_goes() {
    let eval = eval("{model}") + " --ubatch {ubatch}";
    let shapes = |more: &[&str], code, said: &[&str]| {
        let words = ["shapes", "--count", "2", "--subject", &eval];
        asks(&[&words[..], more].concat(), code, said);
    };
    shapes(&[], 2, &["--profile"]);
    shapes(
        &["--profile", "ggml-avx512"],
        0,
        &["logits 41958 compared, 0 differ"],
    );
    shapes(&["--profile", "ggml-neon-fp16"], 1, &["40374 differ"]);
}
