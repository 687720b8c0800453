//! What people type by habit of other tools: words without flags, short flags, standard input,
//! parts of names, a file of defaults, completions.
#![forbid(unsafe_code)]

use std::path::Path;

use crate::program::run::{Folder, Harness, fixture};

fn b158() -> String {
    fixture("moby-tiny/moby-tiny-b158.gguf")
        .display()
        .to_string()
}

#[test]
fn a_model_is_a_word_or_a_short_flag_and_a_prompt_comes_from_anywhere() {
    let folder = Folder::new();
    let file = folder.path().join("prompt.txt");
    std::fs::write(&file, "The white whale\n").expect("writable");
    let model = b158();
    let asked = |arguments: &[&str], input: &str| {
        let mut harness = Harness::new("crossval");
        for argument in arguments {
            harness = harness.arg(argument);
        }
        harness.feed(input).exits(0).stdout
    };
    let at_file = format!("@{}", file.display());
    for (arguments, input) in [
        ([&model, "-p", "The white whale"], ""),
        ([&model, "--prompt", "-"], "The white whale\n"),
        ([&model, "-p", &at_file], ""),
    ] {
        let said = asked(&arguments, input);
        assert!(said.contains("1 case(s), 2 comparisons: 2 agree"), "{said}");
    }
    let said = asked(
        &[
            "-m",
            &model,
            "-p",
            "The white whale",
            "-p",
            "Call me Ishmael.",
        ],
        "",
    );
    assert!(said.contains("2 case(s)"), "{said}");
    let other = fixture("moby-tiny/moby-tiny-bitnet.gguf")
        .display()
        .to_string();
    let said = asked(&[&model, &other, "-p", "The white whale"], "");
    assert!(
        said.contains("moby-tiny-b158") && said.contains("moby-tiny-bitnet"),
        "{said}"
    );
    let twice = Harness::new("crossval -m")
        .arg(&model)
        .arg(&model)
        .run()
        .exits(2);
    assert!(
        twice.stderr.contains("cannot be used with"),
        "{}",
        twice.stderr
    );
    Harness::new("eval -p Ahab --logits")
        .arg(folder.path().join("l.npy"))
        .arg(&model)
        .run()
        .exits(0);
    let none = Harness::new("generate -p Ahab").run().exits(2);
    assert!(none.stderr.contains("which model?"), "{}", none.stderr);
}

#[test]
fn steps_of_a_continuation_are_as_many_as_asked() {
    let alone = Harness::new("crossval -p Hello -n 3 --json -")
        .arg(b158())
        .run()
        .exits(5);
    let greedy = &alone.json()["cases"][0]["claims"]["greedy"];
    assert_eq!(greedy.as_array().map(Vec::len), Some(3), "{greedy}");
}

#[test]
fn names_are_found_by_a_part_or_a_pattern_and_listed() {
    let listed = |typed: &str| {
        let answer = Harness::new("crossval --list --case")
            .arg(typed)
            .run()
            .exits(0);
        let rows = answer
            .stdout
            .lines()
            .skip(1)
            .map(|row| row.split("  ").next());
        rows.map(|name| name.unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        listed("*-ahab,edges"),
        [
            "edges-the-end",
            "llama-ahab",
            "wide-ahab",
            "qk256-ahab",
            "bitnet32-ahab",
            "split32-ahab",
            "scaled-ahab",
            "mixed-ahab"
        ]
    );
    assert_eq!(listed("b158").len(), 5);
    let json = Harness::new("crossval --list --case b158-ishmael --json")
        .run()
        .exits(0);
    assert!(
        json.stdout.contains("\"prompt\": \"Call me Ishmael."),
        "{}",
        json.stdout
    );
    let faults = Harness::new("power --list --fault rope").run().exits(0);
    assert!(
        faults.stdout.lines().count() > 3 && !faults.stdout.contains("gelu"),
        "{}",
        faults.stdout
    );
}

#[test]
fn a_project_writes_down_what_it_types_every_time() {
    let folder = Folder::new();
    let write =
        |text: &str| std::fs::write(folder.path().join("harness.toml"), text).expect("writable");
    let run = |arguments: &str| Harness::new(arguments).within(folder.path()).run();
    let fixtures = fixture("").display().to_string();
    write(&format!(
        "[all]\nfixtures = {fixtures:?}\n\n[crossval]\ncase = [\"b158-white\", \"edges\"]\n"
    ));
    let said = run("crossval").exits(0).stdout;
    assert!(said.contains("2 case(s)"), "{said}");
    let typed = run("crossval --case llama-ahab").exits(0).stdout;
    assert!(
        typed.contains("1 case(s)") && typed.contains("random-llama"),
        "what is typed wins"
    );
    run("explain ULP").exits(0);
    for (text, complaint) in [
        (
            "[crossval]\nthreads = 1\nthraeds = 2\n",
            "harness.toml:3: crossval has no flag --thraeds",
        ),
        (
            "[croosval]\n",
            "harness.toml:1: there is no command \"croosval\"",
        ),
        (
            "[crossval]\nthreads = {}\n",
            "harness.toml:2: threads is to be text",
        ),
        (
            "[crossval]\nfail-fast = \"yes\"\n",
            "harness.toml:2: fail-fast is to be true or false",
        ),
        ("\n[crossval\n", "harness.toml:2: "),
        (
            "crossval = 3\n",
            "harness.toml:1: crossval is to be a table",
        ),
    ] {
        write(text);
        let refused = run("crossval").exits(2).stderr;
        assert!(
            refused.contains(complaint),
            "{complaint:?} is not in {refused}"
        );
    }
    write("[crossval]\nthreads = 0\n");
    let refused = run("crossval").exits(2).stderr;
    let both = refused.contains("harness.toml: ") && refused.contains("--threads");
    assert!(both, "{refused}");
}

#[test]
fn shells_manuals_and_people_who_ask_for_the_version_get_an_answer() {
    let bash = Harness::new("completions bash").run().exits(0).stdout;
    assert!(bash.contains("crossval") && bash.contains("--fail-fast"));
    let folder = Folder::new();
    Harness::new("man --out")
        .arg(folder.path().join("pages"))
        .run()
        .exits(0);
    let page =
        std::fs::read_to_string(folder.path().join("pages/harness-crossval.1")).expect("a page");
    assert!(
        page.contains(".TH") && page.contains("fail\\-fast"),
        "{page}"
    );
    let version = Harness::new("--version").run().exits(0).stdout;
    let inside = version
        .trim()
        .strip_prefix("harness ")
        .and_then(|v| v.split_once(" ("));
    let (number, commit) = inside.expect("a version and a commit");
    assert!(
        number.split('.').count() == 3 && commit.ends_with(')'),
        "{version}"
    );
}

#[test]
fn no_fixtures_are_needed_where_none_are_used() {
    // Where this was built they would be found; a folder without any is what a release meets.
    let folder = Folder::new();
    let model = Path::new(&b158()).to_owned();
    let asked = Harness::new("crossval -p Hello --fixtures").arg(folder.path().join("none"));
    let refused = asked.arg(&model).run().exits(4).stderr;
    assert!(refused.contains("cases.json"), "{refused}");
    let suite = harness::runner::suite::Suite::without_fixtures();
    assert_eq!((suite.cases.len(), suite.inputs().count()), (0, 0));
}

#[test]
fn every_command_with_cases_lists_them_and_does_nothing() {
    for (typed, name) in [
        ("trace --case b158*", "b158-ishmael"),
        ("attribute --case edges", "edges-the-end"),
        ("kernels --only q6", "q6_k-dot"),
        ("kernels --only *-decode", "q8_0-decode"),
        ("weights", "edges/edges.gguf"),
        ("metamorphic", "moby-tiny-b158.gguf"),
        ("shapes --count 3 --first 7", "8 "),
        ("tokenizer", "moby-tiny"),
    ] {
        let listed = Harness::new(typed).args("--list").run().exits(0).stdout;
        assert!(listed.contains(name), "{typed}: {listed}");
        let json = Harness::new(typed)
            .args("--list --json")
            .run()
            .exits(0)
            .json();
        let count = json.as_array().map(Vec::len);
        assert_eq!(count, Some(listed.lines().count()), "{typed}: {listed}");
        assert!(!listed.contains("status"), "{typed}: {listed}");
    }
    let unknown = Harness::new("kernels --only no-such --list").run().exits(2);
    assert!(
        unknown.stderr.contains("the kernels are f32-dot"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn what_belongs_to_another_flag_or_command_names_it() {
    let folder = Folder::new();
    let engine = folder.file("my-engine", b"#!/bin/sh\nexit 1\n");
    let logits = folder.path().join("l.npy");
    let computed = Harness::new("eval -p Ahab --logits")
        .arg(&logits)
        .arg(b158());
    computed.run().exits(0);
    let typed = |words: &str, file: &Path| {
        let run = Harness::new(words).arg(file).run().exits(2);
        run.stderr
    };
    let prompt = format!("crossval -p Ahab -m {}", b158());
    let said = typed(&format!("{prompt} --reference"), &engine);
    assert!(
        said.contains("--subject 'cmd: ") && said.contains("my-engine"),
        "{said}"
    );
    let said = typed(&format!("{prompt} --subject"), &engine);
    assert!(said.contains("a program is `cmd: "), "{said}");
    let said = typed(&format!("receipt diff {}", logits.display()), &logits);
    assert!(said.contains("harness compare"), "{said}");
    // Logits that are saved are judged under either name.
    let judged = Harness::new(&format!("{prompt} --logits"))
        .arg(&logits)
        .run();
    assert!(judged.stdout.contains("judged: l.npy"), "{}", judged.stdout);
}
