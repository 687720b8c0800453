//! Two JSON values, field by field.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// One field that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where, e.g. `claims.comparisons[0].verdict`.
    pub path: String,
    /// The first value, as JSON; `nothing` where it is absent.
    pub left: String,
    /// The second.
    pub right: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is now {}", self.path, self.left, self.right)
    }
}

/// Every field that differs, in the order of the fields.
pub fn differences(path: &str, left: &Value, right: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    collect(path, Some(left), Some(right), &mut found);
    found
}

fn collect(path: &str, left: Option<&Value>, right: Option<&Value>, found: &mut Vec<Difference>) {
    match (left, right) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let dot = if path.is_empty() { "" } else { "." };
                collect(&format!("{path}{dot}{key}"), a.get(key), b.get(key), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for i in 0..a.len().max(b.len()) {
                collect(&format!("{path}[{i}]"), a.get(i), b.get(i), found);
            }
        }
        (left, right) if left == right => {}
        (left, right) => found.push(Difference {
            path: path.to_owned(),
            left: shown(left),
            right: shown(right),
        }),
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".into(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_difference_has_its_path() {
        let left = json!({"a": [1, 2], "b": {"c": "x"}, "gone": null});
        let right = json!({"a": [1, 3, 4], "b": {"c": "x"}});
        let shown: Vec<_> = differences("claims", &left, &right)
            .iter()
            .map(Difference::to_string)
            .collect();
        assert_eq!(
            shown,
            [
                "claims.a[1]: 2 is now 3",
                "claims.a[2]: nothing is now 4",
                "claims.gone: null is now nothing",
            ]
        );
        assert!(differences("", &left, &left).is_empty());
    }
}
