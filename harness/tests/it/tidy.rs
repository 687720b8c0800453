//! The law of the house, executed: layout, direction of imports, sizes, names, and what may not
//! appear. Each rule is shown to fail on a planted fault.

mod direction;
mod rules;

use std::fs;

use direction::*;
use rules::*;

/// What may lie at the top, and nothing else.
const TOP: [&str; 22] = [
    ".ci",
    ".config",
    ".git",
    ".github",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "action.yml",
    "capi",
    "dist",
    "engine",
    "ffi",
    "fixtures",
    "fuzz",
    "harness",
    "receipts",
    "rustfmt.toml",
    "scripts",
    "target",
    "web",
];

fn report(faults: Vec<String>) {
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn nothing_else_lies_at_the_top() {
    let mut faults = Vec::new();
    for entry in fs::read_dir(root()).expect("readable root") {
        let name = entry
            .expect("readable entry")
            .file_name()
            .to_string_lossy()
            .into_owned();
        if !TOP.contains(&name.as_str()) {
            faults.push(format!("{name}: does not belong at the top"));
        }
    }
    report(faults);
}

#[test]
fn every_source_keeps_the_law() {
    let rules = [shape, names, banned, vague, printing, unsafety, separation];
    report(
        sources()
            .iter()
            .flat_map(|s| rules.iter().flat_map(|rule| rule(s)))
            .collect(),
    );
}

#[test]
fn imports_point_to_earlier_stages_only() {
    let sources = sources();
    let mut faults = Vec::new();
    let mut tables = 0;
    for root in &sources {
        let Some((package, inside)) = root.path.split_once("/src/") else {
            continue;
        };
        let ranks = ranks(&root.text);
        if ranks.is_empty() {
            continue;
        }
        tables += 1;
        let folder: Vec<&str> = match inside.trim_end_matches(".rs") {
            "lib" => Vec::new(),
            folder => folder.split('/').collect(),
        };
        let inside = sources.iter();
        faults.extend(inside.flat_map(|s| direction(s, package, &folder, &ranks)));
    }
    assert!(
        tables >= 4,
        "three crates and ffi/src/reference have a table, not {tables}"
    );
    report(faults);
}

#[test]
fn every_rule_fails_on_a_planted_fault() {
    let long_line = format!("//! A.\n// {}\n", "x".repeat(LINE_COLUMNS_MAX));
    let long_function = format!("//! A.\nfn f() {{\n{}}}\n", "    g();\n".repeat(70));
    let ignored = format!("//! A.\n{}{}]\n", BANNED[0].0, BANNED[0].1);
    let block = concat!("unsafe", " { f() }\n");
    type Rule = fn(&Source) -> Vec<String>;
    let planted: [(Rule, &str, String); 14] = [
        (vague, "engine/src/a.rs", "//! A.\nfn nobody() {}\n".into()),
        (
            vague,
            "ffi/src/a.rs",
            "//! A.\nlet a = \"Somebody died\";\n".into(),
        ),
        (shape, "engine/src/a.rs", "fn f() {}\n".into()),
        (
            shape,
            "engine/src/a.rs",
            format!("//! A.\n{}", "\n".repeat(400)),
        ),
        (shape, "engine/src/a.rs", long_line),
        (shape, "engine/src/a.rs", long_function),
        (names, "engine/src/utils.rs", "//! A.\n".into()),
        (names, "engine/src/gguf/mod.rs", "//! A.\n".into()),
        (banned, "engine/src/a.rs", ignored),
        (
            printing,
            "harness/src/a.rs",
            "//! A.\nfn f() { println!(); }\n".into(),
        ),
        (
            printing,
            "harness/src/io/b.rs",
            "//! A.\nfn f() { eprint!(\"x\"); }\n".into(),
        ),
        (
            unsafety,
            "engine/src/gguf.rs",
            "//! A.\n// SAFETY: no.\n".to_owned() + block,
        ),
        (
            unsafety,
            "engine/src/bytes.rs",
            "//! A.\n".to_owned() + block,
        ),
        (
            separation,
            "engine/src/a.rs",
            "//! A.\nuse ffi::identity;\n".into(),
        ),
    ];
    for (index, (rule, path, text)) in planted.iter().enumerate() {
        let found = rule(&Source::planted(path, text));
        assert_eq!(found.len(), 1, "planted fault {index}: {found:?}");
    }
}

#[test]
fn imports_that_point_up_or_sideways_are_found() {
    let stages = ranks("//! | [`io`] | a |\n//! | [`case`] | b |\n//! | [`oracle`] | c |\n");
    let planted: [(&str, &str, usize); 10] = [
        ("io/npy.rs", "use crate::case::Case;", 1),
        (
            "io/npy.rs",
            "use crate::{\n    io::output,\n    case::Case,\n};",
            1,
        ),
        ("io/npy.rs", "use super::super::case::Case;", 1),
        ("io.rs", "fn f() -> super::case::Case {}", 1),
        (
            "case.rs",
            "use crate::{case::schedule, io::{npy, output}};",
            0,
        ),
        ("attic.rs", "", 1),
        (
            "oracle/shapes.rs",
            "use crate::oracle::metamorphic::Relation;",
            1,
        ),
        (
            "oracle/shapes/trial.rs",
            "use super::super::metamorphic;",
            1,
        ),
        (
            "oracle/shapes/trial.rs",
            "use super::super::{shapes::Cell, trace::Row};",
            1,
        ),
        ("oracle/power/bench.rs", "use crate::oracle::trace::Row;", 0),
    ];
    for (path, text, faults) in planted {
        let source = Source::planted(&format!("harness/src/{path}"), &format!("{text}\n"));
        let found = direction(&source, "harness", &[], &stages);
        assert_eq!(found.len(), faults, "{path}: {text}: {found:?}");
    }
    let inner = ranks("//! | [`shim`] | a |\n//! | [`build`](mod@build) | b |\n");
    for (path, text, faults) in [
        ("reference/shim.rs", "use super::build::Built;", 1),
        (
            "reference/shim.rs",
            "use crate::reference::build::Built;",
            1,
        ),
        ("reference/build.rs", "use super::shim::Shim;", 0),
        ("library.rs", "use crate::reference::build::Built;", 0),
        ("reference/attic.rs", "", 1),
    ] {
        let source = Source::planted(&format!("ffi/src/{path}"), &format!("{text}\n"));
        let found = direction(&source, "ffi", &["reference"], &inner);
        assert_eq!(found.len(), faults, "{path}: {text}: {found:?}");
    }
}
