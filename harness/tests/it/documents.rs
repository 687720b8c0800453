//! What is written for people: links and paths lead somewhere, Markdown is well formed, and every
//! criterion that the fixtures are to meet is named by the test that checks it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::program::Harness;

/// Folders whose names begin a path wherever one is mentioned.
const FOLDERS: [&str; 8] = [
    "engine/",
    "ffi/",
    "harness/",
    "fixtures/",
    "receipts/",
    "scripts/",
    ".ci/",
    ".github/",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Files below a folder with one of these endings, hidden folders and builds left out.
fn below(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            below(&path, endings, found);
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

/// Every Markdown file, with its path from the root.
fn documents() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    below(&root(), &[".md"], &mut paths);
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let inside = path.strip_prefix(root()).expect("below the root");
        (inside.to_string_lossy().into_owned(), text)
    };
    paths.into_iter().map(read).collect()
}

/// Lines with their numbers, and whether each is inside a fence.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, bool)> {
    let mut fenced = false;
    text.lines().enumerate().map(move |(index, line)| {
        let edge = line.trim_start().starts_with("```");
        fenced ^= edge;
        (index + 1, line, fenced || edge)
    })
}

/// A heading as the part of an address behind the #.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || *c == ' ' || *c == '-';
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

/// Links that lead nowhere.
fn broken_links(path: &str, text: &str) -> Vec<String> {
    let folder = root().join(path).parent().expect("a folder").to_owned();
    let mut faults = Vec::new();
    for (number, line, _) in lines(text).filter(|(.., fenced)| !fenced) {
        for part in line.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            if target.starts_with("https://") {
                continue;
            }
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let there = file.is_empty() || folder.join(file).exists();
            let mut headings = lines(text).filter(|(_, line, _)| line.starts_with('#'));
            let named = !file.is_empty() || headings.any(|(_, line, _)| anchor(line) == fragment);
            if !there || !named {
                faults.push(format!("{path}:{number}: {target:?} leads nowhere"));
            }
        }
    }
    faults
}

/// Paths that are mentioned and not there. Words with a placeholder in them are no paths.
fn broken_paths(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let apart = |c: char| c.is_whitespace() || "`'\"(),;:|→".contains(c);
        for word in line.split(apart) {
            let word = word.trim_end_matches('.');
            let begins = FOLDERS.iter().any(|folder| word.starts_with(folder));
            if !begins || word.contains(['<', '$', '{', '…']) {
                continue;
            }
            let plain = word.split('*').next().unwrap_or_default();
            let plain = match plain.rsplit_once('/') {
                Some((folder, _)) if word.contains('*') => folder,
                _ => plain,
            };
            if !root().join(plain).exists() {
                faults.push(format!("{path}:{}: {word} is not there", number + 1));
            }
        }
    }
    faults
}

/// What a Markdown reader stumbles over.
fn ill_formed(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |number: usize, what: &str| faults.push(format!("{path}:{number}: {what}"));
    let (mut level, mut columns, mut before, mut open) = (0, None, "", false);
    for (number, line, fenced) in lines(text) {
        if line.trim_start().starts_with("```") {
            open = !open;
            if open && line.trim() == "```" {
                fault(number, "a fence without a language");
            }
        }
        if line.ends_with([' ', '\t']) || line.contains('\t') {
            fault(number, "a tab, or white space at the end");
        }
        if !fenced && line.starts_with('#') {
            let deeper = line.len() - line.trim_start_matches('#').len();
            if deeper > level + 1 || (deeper == 1) != (level == 0) {
                fault(number, "a heading of the wrong level");
            }
            if number > 1 && !before.is_empty() {
                fault(number, "a heading without an empty line before it");
            }
            level = deeper;
        }
        let cells = line.replace("\\|", "").matches('|').count();
        let row = (!fenced && line.starts_with('|')).then_some(cells);
        if let (Some(row), Some(columns)) = (row, columns)
            && row != columns
        {
            fault(number, "a row with another number of cells");
        }
        columns = row.and(columns.or(row));
        before = line;
    }
    if open {
        fault(text.lines().count(), "a fence that nobody closes");
    }
    if !text.ends_with('\n') || text.ends_with("\n\n") {
        fault(text.lines().count(), "not one line feed at the end");
    }
    faults
}

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn documents_are_well_formed_and_what_they_point_at_is_there() {
    let documents = documents();
    assert!(documents.len() >= 5, "{}", documents.len());
    let rules = [broken_links, broken_paths, ill_formed];
    let faults = documents.iter().flat_map(|(path, text)| {
        let found = rules.iter().flat_map(|rule| rule(path, text));
        found.collect::<Vec<_>>()
    });
    report(&faults.collect::<Vec<_>>());
}

#[test]
fn paths_in_every_help_are_there() {
    let help = Harness::new("--help").run().exits(0).stdout;
    let list = help.split("Commands:").nth(1).expect("a list of commands");
    let list = list.split("\n\n").next().unwrap_or_default();
    let rows = list.lines().filter_map(|row| row.strip_prefix("  "));
    // Descriptions go on below themselves, further right.
    let rows = rows.filter(|row| !row.starts_with(' '));
    let words = rows.filter_map(|row| row.split_whitespace().next());
    let words: Vec<&str> = words.filter(|word| *word != "help").collect();
    assert!(words.len() > 20, "{words:?}");
    let mut faults = Vec::new();
    for word in words {
        let help = Harness::new(&format!("{word} --help"))
            .run()
            .exits(0)
            .stdout;
        faults.extend(broken_paths(word, &help));
    }
    report(&faults);
}

#[test]
fn every_rule_fails_on_a_planted_fault() {
    type Rule = fn(&str, &str) -> Vec<String>;
    let planted: [(Rule, &str); 10] = [
        (broken_links, "# A\n[b](nowhere.md)\n"),
        (broken_links, "# A\n[b](#nobody)\n"),
        (broken_paths, "# A\n`engine/src/attic.rs`\n"),
        (broken_paths, "# A\nsee fixtures/attic/*.gguf, too\n"),
        (ill_formed, "# A\n\n### B\n"),
        (ill_formed, "# A\ntext\n## B\n"),
        (ill_formed, "# A\n\n```\nf\n```\n"),
        (ill_formed, "# A\n\n```sh\nf\n"),
        (ill_formed, "# A\n\n| a | b |\n|---|---|\n| a |\n"),
        (ill_formed, "# A \n"),
    ];
    for (index, (rule, text)) in planted.iter().enumerate() {
        let found = rule("README.md", text);
        assert_eq!(found.len(), 1, "planted fault {index}: {found:?}");
    }
    let sound = "# A\n\n[b](README.md), [c](#a-b), `engine/src/*.rs`\n\n## A b\n\n| a |\n|---|\n";
    for rule in [broken_links, broken_paths, ill_formed] {
        assert_eq!(rule("README.md", sound), Vec::<String>::new());
    }
}

/// The eight criteria the small fixtures were asked to meet, each as a tag in a comment at the test
/// or the script that checks it.
#[test]
fn every_criterion_of_the_fixtures_is_named_where_it_is_checked() {
    let mut paths = Vec::new();
    for folder in ["engine/tests", "harness/tests", "scripts"] {
        below(&root().join(folder), &[".rs", ".sh"], &mut paths);
    }
    let mut named = BTreeSet::new();
    for path in paths {
        let text = std::fs::read_to_string(path).expect("UTF-8");
        let comments = text.lines().map(str::trim);
        let comments = comments.filter(|line| line.starts_with("//") || line.starts_with('#'));
        let tags = comments.flat_map(|line| line.split("AC:").skip(1));
        let id = |tag: &str| tag.chars().take_while(|c| c.is_alphanumeric()).collect();
        named.extend(tags.map(id).filter(|id: &String| id.len() == 3));
    }
    let all: BTreeSet<String> = (1..=8).map(|number| format!("AC{number}")).collect();
    assert_eq!(named, all);
}

// AC:AC5
#[test]
fn the_small_fixtures_say_their_format_their_alignment_and_how_they_are_made() {
    let text = std::fs::read_to_string(root().join("fixtures/qk256/README.md")).expect("there");
    for section in ["**Format.**", "**Alignment.**", "**Regeneration.**"] {
        assert!(text.contains(section), "{section}");
    }
}
