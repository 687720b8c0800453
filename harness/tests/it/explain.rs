//! Every word that is printed without a sentence around it has one in `harness explain`.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::Path;

use harness::command::explain::terms;
use harness::exit::TABLE;
use harness::io::look::decides;
use harness::judge::outcome::Outcome;
use harness::judge::tolerance::Tolerance;

use crate::program::ends::{assert_ends, harness};

/// What stands in quotes behind each `call(` of a source.
fn quoted_after(source: &str, call: &str) -> BTreeSet<String> {
    let call = format!("{call}(\"");
    let behind = source
        .match_indices(&call)
        .map(|(at, _)| &source[at + call.len()..]);
    behind
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect()
}

fn sources(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            // The tables of tests are nobody's to read.
            all.push_str(text.split("#[cfg(test)]").next().unwrap_or_default());
        }
    }
}

fn explained() -> BTreeSet<String> {
    terms().into_iter().flat_map(|term| term.words).collect()
}

#[test]
fn every_heading_verdict_status_tier_and_exit_code_is_explained() {
    let mut source = String::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut source,
    );
    let mut wanted = quoted_after(&source, "words");
    wanted.extend(quoted_after(&source, "number"));
    assert!(
        wanted.len() > 100,
        "the headings were not found: {wanted:?}"
    );
    let verdicts = include_str!("../../src/judge/verdict.rs");
    let words = verdicts
        .split("pub fn word")
        .nth(1)
        .and_then(|rest| rest.split("\n    }").next());
    let words = words.expect("the words of verdicts");
    let words: BTreeSet<String> = words
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    assert!(words.contains("DIVERGE") && words.len() > 10, "{words:?}");
    let outcomes = Outcome::ALL.map(|outcome| outcome.name().to_owned());
    for word in words.iter().chain(&outcomes) {
        assert!(decides(word), "{word} has no colour");
    }
    wanted.extend(words);
    wanted.extend(outcomes);
    wanted.extend(Tolerance::ALL.map(|tier| tier.name().to_owned()));
    let codes = TABLE
        .split_whitespace()
        .filter(|word| word.parse::<u8>().is_ok());
    wanted.extend(codes.map(str::to_owned));
    let explained = explained();
    let missing: Vec<&String> = wanted.difference(&explained).collect();
    assert!(missing.is_empty(), "no entry in terms.toml: {missing:?}");
}

#[test]
fn no_word_is_explained_twice_and_no_explanation_is_empty() {
    let mut seen = BTreeSet::new();
    for term in terms() {
        assert!(
            term.means.ends_with('.') && term.means.len() > 15,
            "{term:?}"
        );
        for word in &term.words {
            assert!(seen.insert(word.clone()), "{word:?} twice");
        }
    }
}

#[test]
fn a_word_is_found_in_any_case_and_an_unknown_one_meets_its_neighbours() {
    assert_ends(
        &harness(&["explain", "kl MAX (nats)"]),
        0,
        &["nats a position"],
    );
    assert_ends(
        &harness(&["explain", "t1"]),
        2,
        &["t1-other-order, t1p-other-path"],
    );
    assert_ends(
        &harness(&["explain", "zebra"]),
        2,
        &["`harness explain` lists them"],
    );
}
