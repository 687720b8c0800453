//! What a look at a file found, as SARIF 2.1.0: the form in which code scanning takes findings.

use serde_json::{Value, json};

use super::check::{Finding, Lint, Severity};

/// The rule that a file breaks of which nothing can be found.
const REFUSED: &str = "cannot-be-opened";

/// The whole document: every lint there is as a rule, every finding as a result about `path`.
pub fn render<'f>(path: &str, findings: impl Iterator<Item = &'f Finding>) -> Value {
    document(findings.map(|finding| result(path, finding)).collect())
}

/// The whole document for a file, or a build, that could not be looked at, and why.
pub fn refusal(path: &str, why: &str) -> Value {
    let rule = json!({ "ruleId": REFUSED, "ruleIndex": Lint::ALL.len(), "level": "error" });
    document(vec![about(path, rule, why, &[])])
}

fn document(results: Vec<Value>) -> Value {
    let mut rules: Vec<Value> = Lint::ALL.iter().copied().map(rule).collect();
    rules.push(json!({
        "id": REFUSED,
        "shortDescription": { "text": "It cannot be opened, so nothing else was looked at." },
        "help": { "text": "The message says what was expected, and where." },
        "defaultConfiguration": { "level": "error" },
    }));
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "harness",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "results": results,
        }],
    })
}

fn rule(lint: Lint) -> Value {
    json!({
        "id": lint.name(),
        "shortDescription": { "text": lint.sentence() },
        "help": { "text": lint.next_step() },
        "defaultConfiguration": { "level": level(lint) },
    })
}

fn result(path: &str, finding: &Finding) -> Value {
    let lint = finding.lint;
    let index = Lint::ALL.iter().position(|known| *known == lint);
    let rule = json!({ "ruleId": lint.name(), "ruleIndex": index, "level": level(lint) });
    let message = format!("{}: {}", lint.sentence(), finding.detail);
    about(path, rule, &message, &finding.subjects)
}

/// A result of a rule: where it is, and what it says.
fn about(path: &str, mut result: Value, message: &str, subjects: &[String]) -> Value {
    let place = |subject: &String| json!({ "fullyQualifiedName": subject, "kind": "resource" });
    let places: Vec<Value> = subjects.iter().map(place).collect();
    result["message"] = json!({ "text": message });
    result["locations"] = json!([{
        // A model file has no lines; a viewer shows its head.
        "physicalLocation": {
            "artifactLocation": { "uri": uri(path) },
            "region": { "startLine": 1 },
        },
        "logicalLocations": places,
    }]);
    result
}

fn level(lint: Lint) -> &'static str {
    match lint.severity() {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// A path as a relative or a file URI, with what has another meaning there written by its number.
fn uri(path: &str) -> String {
    let path = path.replace('\\', "/");
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    let escaped = path.bytes().map(|b| {
        if plain(b) {
            char::from(b).to_string()
        } else {
            format!("%{b:02X}")
        }
    });
    let escaped: String = escaped.collect();
    if escaped.starts_with('/') {
        return format!("file://{escaped}");
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_points_to_its_file_and_its_rule() {
        let finding = Finding {
            lint: Lint::ALL[3],
            subjects: vec!["blk.0.attn_norm".into()],
            detail: "all of it is 0".into(),
        };
        let document = render("my model.gguf", [finding].iter());
        let result = &document["runs"][0]["results"][0];
        let rules = &document["runs"][0]["tool"]["driver"]["rules"];
        assert_eq!(result["ruleId"], rules[3]["id"]);
        let place = &result["locations"][0];
        assert_eq!(
            place["physicalLocation"]["artifactLocation"]["uri"],
            "my%20model.gguf"
        );
        assert_eq!(
            place["logicalLocations"][0]["fullyQualifiedName"],
            "blk.0.attn_norm"
        );
        assert_eq!(uri("/a/b%.gguf"), "file:///a/b%25.gguf");
        assert_eq!(rules.as_array().map(Vec::len), Some(Lint::ALL.len() + 1));
        let run = &refusal("my model.gguf", "MAGIC: it is no GGUF")["runs"][0];
        let result = &run["results"][0];
        let index = result["ruleIndex"].as_u64().expect("a number") as usize;
        assert_eq!(
            result["ruleId"],
            run["tool"]["driver"]["rules"][index]["id"]
        );
        assert_eq!(result["message"]["text"], "MAGIC: it is no GGUF");
    }
}
