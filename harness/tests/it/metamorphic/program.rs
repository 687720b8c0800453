//! The program: both fixtures, a model that is not there, an output that is an input.
#![forbid(unsafe_code)]

use super::small;
use crate::program::{Folder, Harness};

#[test]
fn the_program_examines_both_fixtures_and_says_so_in_a_table_and_in_json() {
    let asked = || {
        let run = Harness::new("metamorphic --prompt");
        run.arg("Call me Ishmael. Some years ago, never mind how long")
    };
    let text = asked().run().exits(0).stdout;
    assert_eq!(text.matches("status: ok").count(), 2, "{text}");
    let cannot = text.matches("under which this edit must show").count();
    assert_eq!(cannot, 1, "{text}");
    let json = asked().args("--json --kernel scalar").run().exits(0).json();
    assert_eq!(json["status"], "ok");
    let models = &json["models"];
    assert_eq!(models[1]["architecture"], "bitnet");
    assert_eq!(models[1]["coverage"]["not_applicable"], 1);
    assert_eq!(models[0]["relations"][7]["relation"], "gate-power-of-two");
    assert_eq!(models[0]["relations"][7]["is"], "holds");
    let missing = Harness::new("metamorphic --model no-such-file.gguf");
    missing.run().exits(4);
}

#[test]
fn a_model_that_is_not_there_hides_nothing_of_the_others_and_no_output_replaces_an_input() {
    let folder = Folder::new();
    let model = folder.file("small.gguf", &small());
    let json = folder.path().join("found.json");
    let asked = || Harness::new("metamorphic --prompt th --model").arg(&model);
    let missing = asked().args("--model no-such-file.gguf --json").arg(&json);
    let found = missing.run().exits(4).stdout;
    assert!(found.contains("status: ok"), "{found}");
    assert!(found.contains("FAILED no-such-file.gguf"), "{found}");
    let written = std::fs::read_to_string(&json).expect("written");
    let written: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    assert_eq!(written["status"], "environment");
    assert_eq!(written["models"][0]["status"], "ok");
    let refused = asked().args("--json").arg(&model).run().exits(2).stderr;
    assert!(refused.contains("is the same file as --model"), "{refused}");
    assert!(std::fs::read(&model).expect("still there") == small());
}
