//! Rulesets as TOML, the built-in ones included, because patterns need no escaping in its
//! `'literal'` strings and a reader of a rule wants to know why it is there, which takes comments.

use std::collections::BTreeMap;
use std::path::Path;

use regex_lite::Regex;
use serde::Deserialize;

use super::{Range, Ruleset};
use crate::exit::Failure;

const VERSION: u32 = 1;
const BUILT_IN: &str = include_str!("built_in.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    version: u32,
    rules: BTreeMap<String, Rules>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    name: Option<String>,
    #[serde(default)]
    ln: Vec<Rule>,
    proj_weight_rms_min: Option<f64>,
    proj_weight_rms_max: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    pattern: String,
    min: f64,
    max: f64,
}

impl Ruleset {
    /// Reads the rules of that key; without a key the file must hold just one.
    pub fn from_policy(path: &Path, key: Option<&str>) -> Result<Self, Failure> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::environment(format!("{shown}: {e}")))?;
        parse(&text, key).map_err(|e| Failure::input(format!("{shown}: {e}")))
    }

    /// The built-in rules of that name.
    pub(super) fn built_in(key: &str) -> Self {
        parse(BUILT_IN, Some(key)).expect("the built-in rules are a constant")
    }
}

fn parse(text: &str, key: Option<&str>) -> Result<Ruleset, String> {
    let policy: Policy = toml::from_str(text).map_err(|e| e.to_string())?;
    if policy.version != VERSION {
        let found = policy.version;
        return Err(format!("version {found} where this build reads {VERSION}"));
    }
    let keys: Vec<&str> = policy.rules.keys().map(String::as_str).collect();
    let (key, rules) = match (key, &keys[..]) {
        (Some(key), _) => policy.rules.get_key_value(key).ok_or_else(|| {
            format!(
                "no rules for {key}; there are rules for {}",
                keys.join(", ")
            )
        })?,
        (None, [_]) => policy.rules.first_key_value().expect("there is one"),
        (None, _) => {
            let keys = keys.join(", ");
            return Err(format!("--policy-key must choose one of {keys}"));
        }
    };
    let projections = match (rules.proj_weight_rms_min, rules.proj_weight_rms_max) {
        (None, None) => None,
        (min, max) => {
            let (min, max) = (min.unwrap_or(0.0), max.unwrap_or(f64::MAX));
            Some(checked("proj_weight_rms", min, max)?)
        }
    };
    let compile = |rule: &Rule| {
        let pattern = &rule.pattern;
        let regex = Regex::new(pattern).map_err(|e| format!("pattern '{pattern}': {e}"))?;
        Ok((regex, checked(pattern, rule.min, rule.max)?))
    };
    Ok(Ruleset {
        name: rules.name.as_ref().unwrap_or(key).clone(),
        norms: rules
            .ln
            .iter()
            .map(compile)
            .collect::<Result<_, String>>()?,
        projections,
    })
}

/// A range that something can lie in.
fn checked(of: &str, min: f64, max: f64) -> Result<Range, String> {
    if 0.0 <= min && min <= max {
        Ok(Range { min, max })
    } else {
        Err(format!("{of}: nothing lies between {min} and {max}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r"
        version = 1
        [rules.'mine:f16']
        name = 'my model'
        ln = [
          { pattern = 'attn_norm\.weight$', min = 0.1, max = 0.2 }, # trained small
        ]
        proj_weight_rms_max = 0.5
        [rules.other]
    ";

    #[test]
    fn the_key_chooses() {
        let mine = parse(TWO, Some("mine:f16")).expect("rules");
        assert_eq!(mine.name, "my model");
        assert_eq!(mine.norm_range("blk.0.attn_norm.weight").max, 0.2);
        assert_eq!(mine.norm_range("blk.0.ffn_norm.weight").max, 2.0);
        assert_eq!(mine.projections, Some(Range { min: 0.0, max: 0.5 }));
        assert_eq!(parse(TWO, Some("other")).expect("rules").name, "other");
        let all = parse(TWO, None).expect_err("two");
        assert!(all.contains("mine:f16, other"), "{all}");
        assert!(parse(TWO, Some("theirs")).is_err());
    }

    #[test]
    fn a_policy_that_could_not_mean_what_it_says_is_refused() {
        let rule = |ln: &str| parse(&format!("version = 1\n[rules.a]\nln = [{ln}]"), None);
        assert!(rule("{ pattern = 'x', min = 1, max = 2 }").is_ok());
        for (bad, why) in [
            ("{ pattern = 'x', min = 2.0, max = 1.0 }", "nothing lies"),
            ("{ pattern = 'x', min = nan, max = 1.0 }", "nothing lies"),
            ("{ pattern = '(', min = 1.0, max = 2.0 }", "pattern '('"),
            ("{ patern = 'x', min = 1.0, max = 2.0 }", "patern"),
        ] {
            let error = rule(bad).expect_err(bad);
            assert!(error.contains(why), "{error}");
        }
        assert!(parse("version = 2\n[rules.a]", None).is_err());
    }
}
