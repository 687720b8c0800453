//! A receipt in the forms that other programs show, and what a workflow of GitHub is told.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::run::{Answer, Folder, Harness, fixture};

/// An engine whose logits are another arithmetic's than it claims: it diverges.
fn diverging(folder: &Folder) -> Harness {
    let logits = folder.path().join("other.npy");
    let model = fixture("moby-tiny/moby-tiny-b158.gguf");
    Harness::new("eval -p Ahab --profile ggml-avx2 --logits")
        .arg(&logits)
        .arg(&model)
        .run()
        .exits(0);
    Harness::new("crossval -p Ahab --profile ggml-avx512 --subject")
        .arg(&logits)
        .arg(&model)
}

fn agreeing() -> Harness {
    Harness::new("crossval --case edges")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("written")
}

#[test]
fn every_form_says_what_the_receipt_says() {
    let folder = Folder::new();
    let path = |name: &str| folder.path().join(name);
    let forms = |run: Harness, code: i32| -> [String; 5] {
        let names = ["r.md", "r.csv", "r.svg", "r.json", "r.xml"].map(path);
        let flags = ["--markdown", "--csv", "--badge", "--json", "--junit"];
        let run = flags
            .iter()
            .zip(&names)
            .fold(run, |run, (flag, to)| run.arg(flag).arg(to));
        run.run().exits(code);
        names.map(|name| text(&name))
    };
    let [markdown, csv, svg, json, junit] = forms(agreeing(), 0);
    assert!(
        markdown.starts_with("## ✅ Parity: 2 of 2 bit-identical, rust_only"),
        "{markdown}"
    );
    assert!(
        markdown.contains("| edges | bitnet-edges | bit-identical |"),
        "{markdown}"
    );
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(
        csv.contains("edges-the-end,edges/edges.gguf,bitnet,bitnet-edges,false,"),
        "{csv}"
    );
    assert!(
        svg.contains("parity: 2 of 2 bit-identical") && svg.contains("#2a7d2e"),
        "{svg}"
    );
    assert!(
        junit.contains("<system-out>prefill: bit-identical"),
        "{junit}"
    );
    let receipt = path("kept.json");
    std::fs::write(&receipt, json).expect("writable");
    let again = Harness::new("receipt show --markdown -")
        .arg(&receipt)
        .run()
        .exits(0);
    assert_eq!(again.stdout, markdown, "the same from the receipt");
    let badge = Harness::new("receipt show --badge -")
        .arg(&receipt)
        .run()
        .exits(0)
        .json();
    assert_eq!(
        (&badge["message"], &badge["isError"]),
        (&"2 of 2 bit-identical".into(), &false.into())
    );

    let [markdown, csv, svg, _, junit] = forms(diverging(&folder), 1);
    assert!(
        markdown.starts_with("## ❌ Parity: 0 of 1") && markdown.contains("DIVERGE"),
        "{markdown}"
    );
    assert!(
        csv.contains("DIVERGE") && svg.contains("#c62828"),
        "{csv}{svg}"
    );
    assert!(junit.contains("first at position"), "{junit}");
}

#[test]
fn a_workflow_gets_its_summary_and_annotations_and_nobody_else_does() {
    let folder = Folder::new();
    let summary = folder.path().join("summary.md");
    std::fs::write(&summary, "before\n").expect("writable");
    let told = |run: Harness, actions: &str, code: i32| -> Answer {
        let run = run.env("GITHUB_ACTIONS", actions);
        run.env("GITHUB_STEP_SUMMARY", &summary.display().to_string())
            .run()
            .exits(code)
    };
    let quiet = told(diverging(&folder), "false", 1);
    assert!(!quiet.stderr.contains("::error") && text(&summary) == "before\n");
    let said = told(diverging(&folder), "true", 1);
    assert!(
        said.stderr.contains("::error title=ad-hoc-0 with "),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("%0A"), "one line: {}", said.stderr);
    assert!(
        text(&summary).starts_with("before\n## ❌ Parity"),
        "{}",
        text(&summary)
    );
    let fine = told(agreeing(), "true", 0);
    assert!(!fine.stderr.contains("::error"), "{}", fine.stderr);
    assert!(text(&summary).contains("## ✅ Parity"));
}

#[test]
fn an_output_never_takes_the_place_of_an_input_or_of_another() {
    let folder = Folder::new();
    let copy: PathBuf = folder.path().join("m.gguf");
    std::fs::copy(fixture("edges/edges.gguf"), &copy).expect("copied");
    let refused = Harness::new("crossval --csv")
        .arg(&copy)
        .arg("-m")
        .arg(&copy)
        .run()
        .exits(2);
    assert!(refused.stderr.contains("--csv"), "{}", refused.stderr);
    Harness::new("crossval --case edges --csv same --markdown same")
        .run()
        .exits(2);
}

#[test]
fn what_check_and_doctor_find_is_sarif() {
    let model = fixture("random/random-llama.gguf");
    for command in ["check", "doctor"] {
        let run = Harness::new(&format!("{command} --sarif -"))
            .arg(&model)
            .run();
        let document: Value = serde_json::from_str(&run.stdout).expect("JSON and nothing else");
        let results = document["runs"][0]["results"].as_array().expect("results");
        let json = Harness::new(command).arg(&model).arg("--json").run();
        let json = json.json();
        let findings = json.get("findings").unwrap_or(&json["file"]["findings"]);
        assert_eq!(
            results.len(),
            findings.as_array().expect("findings").len(),
            "{command}"
        );
        assert_eq!(document["version"], "2.1.0");
    }
}

#[test]
fn what_cannot_be_opened_is_a_result_of_sarif_too() {
    let folder = Folder::new();
    let sound = std::fs::read(fixture("edges/edges.gguf")).expect("committed");
    let cut = folder.file("cut.gguf", &sound[..sound.len() / 2]);
    let gone = folder.path().join("gone.gguf");
    let to = folder.path().join("found.sarif");
    for (command, file, code) in [
        ("check", &cut, 2),
        ("doctor", &cut, 2),
        ("check", &gone, 4),
        ("doctor --build no-such-build", &gone, 4),
        (
            "doctor --build no-such-build --model",
            &fixture("edges/edges.gguf"),
            2,
        ),
    ] {
        let run = Harness::new(command).arg(file).arg("--sarif").arg(&to);
        let said = run.run().exits(code).stderr;
        let document: Value = serde_json::from_str(&text(&to)).expect("JSON");
        std::fs::remove_file(&to).expect("it was written");
        let run = &document["runs"][0];
        let [result] = &run["results"].as_array().expect("results")[..] else {
            panic!("{command}: one result, and it is the refusal: {run}");
        };
        assert_eq!(result["level"], "error");
        let why = result["message"]["text"].as_str().expect("words");
        assert!(said.contains(why), "{command}: {why:?} is not in {said}");
        let place = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        let place = place.as_str().expect("a place");
        assert!(place.ends_with(&*file.file_name().expect("a name").to_string_lossy()));
    }
    // Neither over the model nor, where nothing is looked at, at all.
    let refused = Harness::new("check").arg(&cut).arg("--sarif").arg(&cut);
    refused.run().exits(2);
    assert_eq!(std::fs::read(&cut).expect("there").len(), sound.len() / 2);
}

#[test]
fn where_nothing_diverges_nothing_is_accepted() {
    let folder = Folder::new();
    let receipt = folder.path().join("receipt.json");
    agreeing().arg("--json").arg(&receipt).run().exits(0);
    Harness::new("review").arg(&receipt).run().exits(0);
    let refused = Harness::new("accept --reason because --fixtures")
        .arg(folder.path())
        .arg(&receipt)
        .run()
        .exits(2);
    assert!(refused.stderr.contains("nothing of that diverges"));
    let list = folder.path().join("known_divergences.toml");
    assert!(!list.exists(), "nothing is written");
}
