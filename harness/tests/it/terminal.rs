//! What a person sees: lines as they are complete, no wider than the terminal, in colours where
//! they are wanted, and nothing where nothing is wanted.
#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

const TWO_MODELS: [&str; 6] = [
    "crossval",
    "--case",
    "edges-the-end",
    "--case",
    "b158-white-whale",
    "--case",
];

fn harness(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    command(arguments, variables).output().expect("it starts")
}

fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    let clean = [
        "BITNET_CPP_DIR",
        "CROSSVAL_GGUF",
        "COLUMNS",
        "NO_COLOR",
        "CLICOLOR_FORCE",
    ];
    for name in clean {
        command.env_remove(name);
    }
    command.args(arguments).envs(variables.iter().copied());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn a_line_is_printed_when_it_is_complete_and_not_at_the_end() {
    let slow = [&TWO_MODELS[..], &["bitnet-november"]].concat();
    let mut child = command(&slow, &[])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert!(next().starts_with("model"));
    assert!(next().starts_with("edges "), "the cheapest model is first");
    let running = child.try_wait().expect("it can be asked").is_none();
    assert!(running, "the first row came only when all was over");
    assert!(
        lines
            .map(|line| line.expect("text"))
            .any(|line| line.contains("status: rust_only"))
    );
    assert!(child.wait().expect("it ends").success());
}

/// What a terminal of 100 columns is sent, as lines: each rewriting is one of its own.
#[cfg(target_os = "linux")]
fn on_a_terminal(arguments: &str) -> Vec<String> {
    let program = env!("CARGO_BIN_EXE_harness");
    let run = format!("stty cols 100 rows 40; exec {program} {arguments}");
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &run, "/dev/null"]);
    for name in ["BITNET_CPP_DIR", "CROSSVAL_GGUF", "COLUMNS", "NO_COLOR"] {
        terminal.env_remove(name);
    }
    let output = terminal.env("TERM", "xterm").stdin(Stdio::null()).output();
    let output = output.expect("util-linux has `script`");
    assert!(output.status.success(), "{}", text(&output));
    let sent = text(&output).replace("\u{1b}[2K", "\n");
    let lines = sent.split(['\n', '\r']).map(console::strip_ansi_codes);
    // Lines that are rewritten together fill the width instead of ending.
    let wrapped = lines.flat_map(|line| {
        let all: Vec<char> = line.chars().collect();
        let lines = all.chunks(100).map(|line| line.iter().collect::<String>());
        lines.collect::<Vec<String>>()
    });
    let lines = wrapped.map(|line| line.trim_end().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn a_terminal_shows_the_cheapest_model_first_and_a_line_of_each_that_runs() {
    let cases = "--case b158-white-whale,b158-ishmael,edges-the-end";
    let lines = on_a_terminal(&format!("crossval -j1 {cases}"));
    let place = |begins: &str, holds: &str| {
        let has = |line: &String| line.starts_with(begins) && line.contains(holds);
        lines.iter().position(has)
    };
    let first = place("edges", "1/1").expect("its row");
    let running = place("moby-tiny-b158", "1/1").expect("a line while it runs");
    let whole = place("moby-tiny-b158", "2/2").expect("its row");
    assert!(first < running && running < whole, "{lines:#?}");
    let bar = place("b158-white-whale", "2/3").expect("the case that runs, and how far it is");
    assert!(running < bar && bar < whole, "{lines:#?}");
    // Side by side, who is first is nobody's business; the rows are the same.
    let at_once = on_a_terminal(&format!("crossval -j2 {cases}"));
    for (begins, holds) in [("edges", "1/1"), ("moby-tiny-b158", "2/2")] {
        let row = |line: &String| line.starts_with(begins) && line.contains(holds);
        assert!(at_once.iter().any(row), "{begins}: {at_once:#?}");
    }
    let silent = on_a_terminal(&format!("crossval -q {cases}"));
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn lines_fit_a_narrow_terminal_and_a_pipe_gets_all_columns() {
    let asked = ["crossval", "--case", "bitnet-portions"];
    let wide = text(&harness(&asked, &[]));
    assert!(wide.contains("greedy") && wide.contains("bitnet-portable-moby-tiny-bitnet-ubatch-7"));
    let narrow = text(&harness(&asked, &[("COLUMNS", "80")]));
    let table: Vec<&str> = narrow.lines().take(3).collect();
    assert!(
        table.iter().all(|line| line.chars().count() <= 80),
        "{table:?}"
    );
    assert!(
        table[0].contains("verdict") && !table[0].contains("greedy"),
        "{table:?}"
    );
    assert!(
        table[2].contains('…') && table[2].contains("bit-identical"),
        "{table:?}"
    );
}

#[test]
fn colours_are_there_where_they_are_wanted() {
    let asked = ["crossval", "--case", "b158-white-whale"];
    let painted = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = harness(&[&asked[..], arguments].concat(), variables);
        text(&output).contains("\u{1b}[32mbit-identical\u{1b}[0m")
    };
    assert!(!painted(&[], &[]), "a pipe");
    assert!(painted(&["--color", "always"], &[]));
    assert!(
        painted(&["--color=always"], &[("NO_COLOR", "1")]),
        "what was typed counts"
    );
    assert!(!painted(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}

#[test]
fn quiet_is_silent_where_all_is_well_and_verbose_shows_every_lane() {
    let quiet = harness(&["crossval", "-q", "--case", "b158-white-whale"], &[]);
    assert_eq!((quiet.status.code(), &text(&quiet)[..]), (Some(0), ""));
    let missing = harness(&["-q", "crossval", "--case", "wide-ahab"], &[]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(text(&missing).contains("status: reference_missing"));
    let verbose = text(&harness(
        &["crossval", "-v", "--case", "b158-white-whale"],
        &[],
    ));
    for lane in ["prefill", "decode"] {
        assert!(verbose.contains(lane), "{verbose}");
    }
}

#[test]
fn the_lines_of_an_engine_that_was_brought_stand_below_their_headings() {
    let program = env!("CARGO_BIN_EXE_harness");
    let subject =
        format!("cmd: {program} eval --model {{model}} --tokens {{tokens}} --logits {{logits}}");
    let words = [
        "crossval",
        "--case",
        "edges,b158-white",
        "--subject",
        &subject,
    ];
    let shown = text(&harness(&words, &[]));
    let mut lines = shown.lines();
    let heading = lines.next().expect("a heading");
    let at = heading.find("verdict").expect("a column");
    let numbers = heading.find("cases").expect("a column") + "cases".len();
    let rows: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    assert!(rows.len() == 6, "{shown}");
    for row in rows {
        let below = row.get(at..).unwrap_or_default();
        let word = below.starts_with("bit-identical") || below.starts_with("t1-other-order");
        assert!(word && row[..at].ends_with("  "), "{shown}");
        assert!(row[..numbers].ends_with("1/1"), "{shown}");
    }
}
