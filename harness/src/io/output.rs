//! Standard output and standard error, whose reader may leave early: `harness inspect | head` is
//! not an error. Nothing else of this crate prints.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

use engine::refusal::escape;

use crate::exit::Failure;
use crate::io::look;

/// Whether somebody is still reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Everything written so far was taken.
    Listening,
    /// The pipe was closed: writing more is pointless, but nothing went wrong.
    Closed,
}

/// Writes and flushes, so that a reader at the other end of a pipe can answer at once.
pub fn put(bytes: &[u8]) -> Result<Reader, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::Listening),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(Reader::Closed),
        Err(e) => Err(Failure::environment(format!("standard output: {e}"))),
    }
}

/// Writes a text made for people, whoever chose the names in it: what would move a cursor, name a
/// window or turn the direction of writing is shown and not done.
pub fn print(text: &str) -> Result<Reader, Failure> {
    put(look::paint(&harmless(text)).as_bytes())
}

/// Writes what a model wrote: as it is into a pipe, and harmless on a terminal.
pub fn pass_on(text: &str) -> Result<Reader, Failure> {
    if io::stdout().is_terminal() {
        print(text)
    } else {
        put(text.as_bytes())
    }
}

/// The same text with nothing in it that a terminal would obey but lines and tabs.
fn harmless(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.into(),
        _ => escape(c.encode_utf8(&mut [0; 4])),
    };
    text.chars().map(shown).collect()
}

/// Writes a line on standard error. Where that fails, there is nobody who could be told.
pub fn tell(line: impl Display) {
    let _ = writeln!(io::stderr(), "{}", harmless(&line.to_string()));
}

/// Writes a mark on standard error behind which somebody is to type.
pub fn ask(mark: &str) {
    let mut error = io::stderr();
    let _ = write!(error, "{mark}").and_then(|()| error.flush());
}

/// A word that a shell reads as just that word.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./,=:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Writes a value as indented JSON with a line end.
pub fn json(value: &impl serde::Serialize) -> Result<Reader, Failure> {
    put(to_json(value)?.as_bytes())
}

/// A value as indented JSON with a line end: the way every command writes it.
pub fn to_json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::environment)?;
    Ok(inert(&text))
}

/// Columns of the terminal that standard output is, or what COLUMNS says; none where it is
/// something else, so that what a program reads does not depend on a window.
pub fn width() -> Option<usize> {
    let typed = std::env::var("COLUMNS").ok();
    if let Some(columns) = typed.and_then(|text| text.parse().ok()).filter(|n| *n > 0) {
        return Some(columns);
    }
    let terminal = console::Term::stdout();
    let size = terminal.is_term().then(|| terminal.size_checked())?;
    size.map(|(_, columns)| usize::from(columns))
}

/// The same JSON with a line end, but without a character that moves a terminal's cursor or turns
/// its direction: they occur inside strings only, where JSON has escapes for them.
fn inert(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        let plain = c == '\n' || escape(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8();
        if plain {
            text.push(c);
        } else {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_but_lines_and_tabs() {
        let ours = "a\tb\n ü 語 \\n";
        assert_eq!(harmless(ours), ours);
        let hostile = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}2J\r\u{8}\u{202e}";
        let safe = harmless(hostile);
        assert!(safe.chars().all(|c| c.is_ascii_graphic()), "{safe:?}");
    }
}
