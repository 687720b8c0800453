//! Which way imports may point: down the table of a crate, and never from oracle to oracle.

use std::collections::BTreeMap;

use super::rules::Source;

/// The folder whose members do not know each other, and the member that measures them all.
const SIBLINGS: (&str, &str) = ("oracle", "power");

/// The members of a folder, in order, from the table at the top of its root file.
pub fn ranks(lib: &str) -> BTreeMap<String, usize> {
    let head = lib.lines().take_while(|line| line.starts_with("//!"));
    let rows = head.filter_map(|line| line.strip_prefix("//! | [`"));
    let stages = rows.filter_map(|row| row.split_once("`]").map(|(stage, _)| stage.to_owned()));
    stages
        .enumerate()
        .map(|(rank, stage)| (stage, rank))
        .collect()
}

/// Imports of `source` that point to its own floor or above it, in the folder whose members have
/// these ranks: the root of a crate, or a folder whose root file has a table of its own.
pub fn direction(
    source: &Source,
    package: &str,
    folder: &[&str],
    ranks: &BTreeMap<String, usize>,
) -> Vec<String> {
    let Some(inside) = source.path.strip_prefix(&format!("{package}/src/")) else {
        return Vec::new();
    };
    let module: Vec<&str> = inside.trim_end_matches(".rs").split('/').collect();
    let Some([stage, ..]) = module.strip_prefix(folder) else {
        return Vec::new();
    };
    if ["lib", "main", "bin"].contains(stage) {
        return Vec::new();
    }
    let Some(own) = ranks.get(*stage) else {
        let path = &source.path;
        return vec![format!(
            "{path}: `{stage}` is missing in the table of its folder"
        )];
    };
    let mut faults = Vec::new();
    for (number, path) in imports(source, &module) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let Some([name, ..]) = path.strip_prefix(folder) else {
            continue;
        };
        let place = format!("{}:{number}", source.path);
        if name != stage && ranks.get(*name).is_some_and(|rank| rank >= own) {
            faults.push(format!(
                "{place}: `{stage}` imports `{name}`, which comes after it"
            ));
        }
        let (siblings, exempt) = SIBLINGS;
        if let ([a, mine, ..], [b, theirs, ..]) = (&module[..], &path[..]) {
            let inside = folder.is_empty() && *a == siblings && *b == siblings;
            if inside && mine != theirs && *mine != exempt {
                faults.push(format!("{place}: `{mine}` imports its sibling `{theirs}`"));
            }
        }
    }
    faults
}

/// Every path into the crate that a source names, from the crate's root, with its line.
fn imports(source: &Source, module: &[&str]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (number, statement) in statements(source) {
        for root in ["crate::", "super::"] {
            for (at, _) in statement.match_indices(root) {
                let before = statement[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                    continue;
                }
                let mut base = module;
                let mut rest = &statement[at..];
                while let Some(outer) = rest.strip_prefix("super::") {
                    base = &base[..base.len().saturating_sub(1)];
                    rest = outer;
                }
                if let Some(outer) = rest.strip_prefix("crate::") {
                    base = &[];
                    rest = outer;
                }
                let base: Vec<String> = base.iter().map(|name| (*name).to_owned()).collect();
                found.extend(opened(&base, rest).into_iter().map(|path| (number, path)));
            }
        }
    }
    found.retain(|(_, path)| !path.is_empty());
    found
}

/// Code with its lines, a `use` of several lines as one.
fn statements(source: &Source) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in source.code() {
        let code = line.trim();
        match found.last_mut() {
            Some((_, statement)) if open => statement.push_str(code),
            _ => found.push((number, code.to_owned())),
        }
        let begins = code.starts_with("use ") || code.starts_with("pub use ");
        open = (open || begins) && !code.ends_with(';');
    }
    found
}

/// The paths that `text` begins with, below `base`: one for each member of a list in braces.
fn opened(base: &[String], text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(list) = text.strip_prefix('{') {
        return members(list)
            .iter()
            .flat_map(|member| opened(base, member))
            .collect();
    }
    let name: String = text
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    let mut path = base.to_vec();
    if !name.is_empty() && name != "self" {
        path.push(name.clone());
    }
    match text[name.len()..].strip_prefix("::") {
        Some(rest) if !name.is_empty() => opened(&path, rest),
        _ => vec![path],
    }
}

/// What stands between the commas of a list whose opening brace has been taken.
fn members(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            ',' if depth == 0 => {
                found.push(&list[start..at]);
                start = at + 1;
            }
            '}' if depth == 0 => {
                found.push(&list[start..at]);
                return found;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    found
}
