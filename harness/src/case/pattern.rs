//! Names as people type them: whole, a part, or with `*` for any letters; several with commas.

use std::collections::BTreeSet;

use regex_lite::Regex;

use crate::exit::Failure;

/// The names that these patterns mean, all of them if there is none. One that means nothing is
/// refused; `what` is what has the names.
pub fn select<'n>(
    names: &[&'n str],
    patterns: &[String],
    what: &str,
) -> Result<BTreeSet<&'n str>, Failure> {
    if patterns.is_empty() {
        return Ok(names.iter().copied().collect());
    }
    let mut selected = BTreeSet::new();
    for pattern in patterns.iter().flat_map(|typed| typed.split(',')) {
        let found = matching(names, pattern.trim());
        if found.is_empty() {
            let known = names.join(", ");
            let message = format!("there is no {what} {pattern:?}; the {what}s are {known}");
            return Err(Failure::input(message));
        }
        selected.extend(found);
    }
    Ok(selected)
}

/// A name that is typed whole means itself and not those it is a part of.
fn matching<'n>(names: &[&'n str], pattern: &str) -> Vec<&'n str> {
    if let Some(whole) = names.iter().find(|name| **name == pattern) {
        return vec![whole];
    }
    if pattern.is_empty() {
        return Vec::new();
    }
    let parts: Vec<String> = pattern.split('*').map(regex_lite::escape).collect();
    let whole = pattern.contains('*');
    let (start, end) = if whole { ("^", "$") } else { ("", "") };
    let regex = Regex::new(&format!("{start}{}{end}", parts.join(".*")));
    let regex = regex.expect("escaped letters and dots");
    names
        .iter()
        .copied()
        .filter(|name| regex.is_match(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["b158-ahab", "b158-ahab-long", "bitnet-ahab", "edges"];

    fn selected(patterns: &[&str]) -> Vec<&'static str> {
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        let found = select(&NAMES, &patterns, "case").expect("known");
        found.into_iter().collect()
    }

    #[test]
    fn a_name_a_part_a_pattern_and_a_list_mean_what_they_say() {
        assert_eq!(selected(&[]).len(), 4);
        assert_eq!(selected(&["b158-ahab"]), ["b158-ahab"]);
        assert_eq!(selected(&["b158"]), ["b158-ahab", "b158-ahab-long"]);
        assert_eq!(selected(&["*-ahab"]), ["b158-ahab", "bitnet-ahab"]);
        assert_eq!(
            selected(&["edges,bitnet*", "edges"]),
            ["bitnet-ahab", "edges"]
        );
    }

    #[test]
    fn what_means_nothing_is_refused_with_what_there_is() {
        for nothing in ["whale", "ahab*", "", "edges,", "b.58"] {
            let refused = select(&NAMES, &[nothing.to_owned()], "case").expect_err(nothing);
            assert!(
                refused.message.contains("bitnet-ahab, edges"),
                "{}",
                refused.message
            );
        }
    }
}
