//! A case: one prompt on one model, and everything that is to be compared about it.
//!
//! What a case declares is the measure of coverage: a run that compares less is incomplete, and
//! an incomplete run never passes.
#![forbid(unsafe_code)]

pub mod ability;
pub mod coverage;
pub mod model;
pub mod observation;
pub mod pattern;
pub mod schedule;
pub mod shard;
pub mod taken;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::case::coverage::{Count, Coverage};
use crate::case::observation::Lane;
use crate::exit::Failure;

/// The version of `cases.json` this build reads.
pub const SCHEMA: u32 = 1;
/// The ubatch of a prompt that no fixture knows, which is that of the fixtures.
const UBATCH: usize = 512;

/// One prompt on one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Unique, in lower case with dashes.
    pub name: String,
    /// The model file, relative to the fixtures folder.
    pub model: String,
    /// The text.
    pub prompt: String,
    /// Positions the cache holds.
    pub context: usize,
    /// Tokens computed together at most: part of the arithmetic.
    pub ubatch: usize,
    /// Threads a reference computes on: no part of the arithmetic, which takes a look to believe.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub threads: usize,
    /// The recordings that answer this case, by name; none where only a live reference can.
    pub recordings: Vec<String>,
    /// Number of tokens of the prompt.
    pub tokens: usize,
    /// Positions whose logits are compared, in each lane.
    pub positions: Vec<usize>,
    /// Traced nodes compared; 0 for a case without a trace.
    pub nodes: usize,
    /// Steps of the greedy continuation compared.
    pub greedy_steps: usize,
    /// Known references that answer this case whenever they are asked: from these, declining it is
    /// a gap, from any other it is their right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub live: Vec<String>,
    /// Nobody recorded this prompt on this model, and it was not asked for in particular: that no
    /// reference answers it is no gap.
    #[serde(skip)]
    pub unrecorded: bool,
}

impl Case {
    /// A prompt of so many tokens that no fixture knows: every position, and some trace.
    pub fn of_prompt(name: &str, model: &str, prompt: &str, tokens: usize) -> Self {
        Case {
            name: name.to_owned(),
            model: model.to_owned(),
            prompt: prompt.to_owned(),
            context: tokens.max(UBATCH),
            ubatch: UBATCH,
            threads: 1,
            recordings: Vec::new(),
            tokens,
            positions: (0..tokens).collect(),
            nodes: 1,
            greedy_steps: 0,
            live: Vec::new(),
            unrecorded: false,
        }
    }

    /// Nobody is known to answer it: it was made up for a prompt that no fixture has.
    pub fn is_ad_hoc(&self) -> bool {
        self.recordings.is_empty() && self.live.is_empty()
    }

    /// Whether it can be asked, in a run with live references of these names: a case without a
    /// recording needs one of those that are known to answer it.
    pub fn is_answerable(&self, live: &[&str]) -> bool {
        let known = |name: &String| live.contains(&&name[..]);
        self.is_ad_hoc() || !self.recordings.is_empty() || self.live.iter().any(known)
    }

    /// What one reference is asked for, with nothing compared yet; `nodes` tells whether its graph
    /// has nodes in common with ours.
    pub fn declared(&self, nodes: bool) -> Coverage {
        Coverage {
            references: Count::of(1),
            tokens: Count::of(self.tokens),
            positions: Count::of(self.positions.len() * Lane::ALL.len()),
            nodes: Count::of(if nodes { self.nodes } else { 0 }),
            greedy_steps: Count::of(self.greedy_steps),
            ..Coverage::default()
        }
    }
}

fn one() -> usize {
    1
}

fn is_one(threads: &usize) -> bool {
    *threads == 1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    cases: Vec<Case>,
}

/// Reads `cases.json` and checks what can be checked without the models.
pub fn parse(json: &[u8]) -> Result<Vec<Case>, Failure> {
    let file: File =
        serde_json::from_slice(json).map_err(|e| Failure::input(format!("cases.json: {e}")))?;
    if file.schema != SCHEMA {
        return Err(Failure::input(format!(
            "cases.json: schema {} where this build reads {SCHEMA}",
            file.schema
        )));
    }
    let mut names = BTreeSet::new();
    for case in &file.cases {
        let name = &case.name;
        let wrong = |why: &str| Err(Failure::input(format!("cases.json: case {name:?}: {why}")));
        if !names.insert(name) {
            return wrong("the name occurs twice");
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(plain) {
            return wrong("a name is made of a-z, 0-9 and dashes");
        }
        if case.is_ad_hoc() {
            return wrong("no recording answers it, and no live reference is to");
        }
        let unique: BTreeSet<_> = case.recordings.iter().collect();
        if unique.len() != case.recordings.len() {
            return wrong("a recording is named twice");
        }
        if let Err(why) = inside(&case.positions, case.tokens) {
            return wrong(why);
        }
        if [case.greedy_steps, case.ubatch, case.threads].contains(&0) {
            return wrong("greedy_steps, ubatch and threads must not be 0");
        }
        let all = case.tokens.checked_add(case.greedy_steps);
        if all.is_none_or(|all| all > case.context) {
            return wrong("prompt and continuation do not fit the context");
        }
    }
    if file.cases.is_empty() {
        Err(Failure::input("cases.json: there are no cases"))
    } else {
        Ok(file.cases)
    }
}

/// Whether positions ascend, and lie inside a prompt of so many tokens.
pub fn inside(positions: &[usize], tokens: usize) -> Result<(), &'static str> {
    let in_order = positions.windows(2).all(|w| w[0] < w[1]);
    if !in_order || positions.last().is_none_or(|&p| p >= tokens) {
        return Err("positions must ascend and lie inside the prompt");
    }
    Ok(())
}

/// The cases of those names or patterns, in the order of the file; all of them if none is typed.
pub fn select(cases: Vec<Case>, typed: &[String]) -> Result<Vec<Case>, Failure> {
    let names: Vec<&str> = cases.iter().map(|case| &case.name[..]).collect();
    let wanted = pattern::select(&names, typed, "case")?;
    let wanted: Vec<bool> = names.iter().map(|name| wanted.contains(name)).collect();
    let kept = cases.into_iter().zip(wanted);
    Ok(kept
        .filter_map(|(case, wanted)| wanted.then_some(case))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(edit: &str) -> String {
        let case = r#"{"name": "a", "model": "m.gguf", "prompt": "p", "context": 8, "ubatch": 8,
            "recordings": ["r"], "tokens": 4, "positions": [0, 3], "nodes": 0, "greedy_steps": 4}"#;
        let (from, to) = edit.split_once("=>").unwrap_or(("", ""));
        assert!(from.is_empty() || case.contains(from), "the edit must hit");
        format!(
            r#"{{"schema": 1, "cases": [{}]}}"#,
            case.replacen(from, to, 1)
        )
    }

    #[test]
    fn a_case_that_cannot_be_compared_as_declared_is_refused() {
        assert_eq!(parse(case("").as_bytes()).expect("as it is").len(), 1);
        for (edit, complaint) in [
            (r#""a"=>"A b""#, "a-z"),
            (r#"["r"]=>[]"#, "no recording"),
            (r#"["r"]=>["r","r"]"#, "twice"),
            ("[0, 3]=>[3, 0]", "ascend"),
            ("[0, 3]=>[0, 4]", "inside"),
            ("[0, 3]=>[]", "inside"),
            (r#""greedy_steps": 4=>"greedy_steps": 0"#, "must not be 0"),
            (
                r#""greedy_steps": 4=>"greedy_steps": 18446744073709551615"#,
                "do not fit",
            ),
            (r#""ubatch": 8=>"ubatch": 8, "threads": 0"#, "must not be 0"),
            (r#""context": 8=>"context": 7"#, "do not fit"),
            (r#""nodes": 0=>"nodez": 0"#, "nodez"),
        ] {
            let refused = parse(case(edit).as_bytes()).expect_err(edit).to_string();
            assert!(refused.contains(complaint), "{edit}: {refused}");
        }
        assert!(parse(case(r#"["r"]=>[], "live": ["l"]"#).as_bytes()).is_ok());
        assert!(parse(br#"{"schema": 2, "cases": []}"#).is_err());
        assert!(parse(br#"{"schema": 1, "cases": []}"#).is_err());
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let cases = parse(case("").as_bytes()).expect("as it is");
        let failure = select(cases.clone(), &["nope".into()]).expect_err("unknown");
        assert_eq!(failure.exit, crate::exit::Exit::BadInput);
        assert!(failure.message.contains("the cases are a"), "{failure}");
        assert_eq!(select(cases, &["a".into()]).expect("known").len(), 1);
    }
}
