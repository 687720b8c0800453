//! What a look at a file found, as SARIF 2.1.0: the form in which code scanning takes findings.

use serde_json::{Value, json};

use super::check::{Finding, Lint, Severity};

/// The whole document: every lint there is as a rule, every finding as a result about `path`.
pub fn render<'f>(path: &str, findings: impl Iterator<Item = &'f Finding>) -> Value {
    let rules: Vec<Value> = Lint::ALL.iter().copied().map(rule).collect();
    let results: Vec<Value> = findings.map(|finding| result(path, finding)).collect();
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
    let place = |subject: &String| json!({ "fullyQualifiedName": subject, "kind": "resource" });
    let places: Vec<Value> = finding.subjects.iter().map(place).collect();
    let rule = Lint::ALL.iter().position(|known| *known == lint);
    json!({
        "ruleId": lint.name(),
        "ruleIndex": rule,
        "level": level(lint),
        "message": { "text": format!("{}: {}", lint.sentence(), finding.detail) },
        "locations": [{
            // A model file has no lines; a viewer shows its head.
            "physicalLocation": {
                "artifactLocation": { "uri": uri(path) },
                "region": { "startLine": 1 },
            },
            "logicalLocations": places,
        }],
    })
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
        assert_eq!(rules.as_array().map(Vec::len), Some(Lint::ALL.len()));
    }
}
