//! How a result looks on a terminal: how much of it, and in which colours.
#![forbid(unsafe_code)]

use std::sync::OnceLock;

use console::Style;

/// How much is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Amount {
    /// Nothing where all is well.
    Quiet,
    /// As much as is needed.
    #[default]
    Normal,
    /// Everything there is.
    Verbose,
}

static AMOUNT: OnceLock<Amount> = OnceLock::new();

/// Says how much is to be printed, once, before anything is.
pub fn set_amount(amount: Amount) {
    AMOUNT.get_or_init(|| amount);
}

/// Whether nothing is printed where all is well.
pub fn is_quiet() -> bool {
    AMOUNT.get() == Some(&Amount::Quiet)
}

/// Whether everything is printed.
pub fn is_verbose() -> bool {
    AMOUNT.get() == Some(&Amount::Verbose)
}

/// Colours on or off, whatever standard output is. Otherwise a terminal has them unless NO_COLOR
/// or CLICOLOR forbids it.
pub fn set_colours(on: bool) {
    console::set_colors_enabled(on);
    console::set_colors_enabled_stderr(on);
}

/// Words that decide something wherever they stand alone: those of verdicts and outcomes, which a
/// test compares, and some of single commands.
const GOOD: &[&str] = &["bit-identical", "agree", "rust_only", "ok"];
const DOUBTFUL: &[&str] = &[
    "not judged",
    "incomplete",
    "reference_missing",
    "stale_entry",
    "declined",
    "warning",
    "known",
];
const BAD: &[&str] = &[
    "reference_died",
    "engine_died",
    "environment",
    "refused",
    "void",
    "REFERENCE DIED",
    "INCOMPARABLE",
    "ENGINE DIED",
    "divergence",
    "INCOMPLETE",
    "NO ANSWER",
    "TIMED OUT",
    "DIFFERS",
    "DIVERGE",
    "REFUSED",
    "UNSTEADY",
    "BLAMED",
    "FAILED",
    "failed",
];

/// Colours the words of a text that decide something: cells of a table, and what stands behind
/// `status:`. Where colours are off the text stays as it is.
pub fn paint(text: &str) -> String {
    if console::colors_enabled() {
        painted(text)
    } else {
        text.to_owned()
    }
}

fn painted(text: &str) -> String {
    text.split_inclusive('\n').map(line).collect()
}

fn line(line: &str) -> String {
    let (start, rest) = match line.split_once("status: ") {
        Some(("", rest)) => ("status: ", rest),
        _ => ("", line),
    };
    let cells: Vec<String> = rest.split("  ").map(cell).collect();
    format!("{start}{}", cells.join("  "))
}

fn cell(cell: &str) -> String {
    let word = cell.trim();
    let Some(style) = style(word) else {
        return cell.to_owned();
    };
    let style = style.force_styling(true);
    cell.replacen(word, &style.apply_to(word).to_string(), 1)
}

fn style(word: &str) -> Option<Style> {
    if GOOD.contains(&word) {
        Some(Style::new().green())
    } else if DOUBTFUL.contains(&word) || word.starts_with("t1") || word.starts_with("t2") {
        Some(Style::new().yellow())
    } else if BAD.contains(&word) {
        Some(Style::new().red().bold())
    } else {
        None
    }
}

/// Whether a word decides something, so that it is coloured where it stands alone.
pub fn decides(word: &str) -> bool {
    style(word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_coloured_and_prose_is_not() {
        let text = "a  DIVERGE  12\nit is known to diverge\nstatus: ok\n";
        let painted = painted(text);
        assert!(
            painted.contains("\u{1b}[31m\u{1b}[1mDIVERGE\u{1b}[0m  12"),
            "{painted:?}"
        );
        assert!(painted.contains("it is known to diverge\n"), "{painted:?}");
        assert!(painted.contains("status: \u{1b}[32mok"), "{painted:?}");
    }
}
