//! The expressions word rules are published as, each written out as a function over character
//! classes: from the rest of a text to the length of its match at the start, 0 where there is none.
#![forbid(unsafe_code)]

use crate::tokenizer::unicode::{is_cased_letter, is_letter, is_number, is_punctuation};

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
pub(super) fn gpt2_word(text: &str) -> usize {
    let short = contraction(text, false);
    if short > 0 {
        return short;
    }
    let space = usize::from(text.starts_with(' '));
    let rest = &text[space..];
    for class in [is_letter, is_number, is_other] {
        let len = run(rest, class);
        if len > 0 {
            return space + len;
        }
    }
    space_run(text)
}

/// The llama 3 expression, see [`modern_word`].
pub(super) fn llama3_word(text: &str) -> usize {
    modern_word(text, 3)
}

/// The qwen 2 expression, see [`modern_word`].
pub(super) fn qwen2_word(text: &str) -> usize {
    modern_word(text, 1)
}

/// `[\r\n]`.
pub(super) fn line_break(text: &str) -> usize {
    one(text, is_line_break)
}

/// `[\p{P}$+<=>^~|]+`.
pub(super) fn default_punctuation(text: &str) -> usize {
    run(text, |c| is_punctuation(c) || "$+<=>^~|".contains(c))
}

/// ``[\p{P}$+<=>^~|`]+``.
pub(super) fn falcon_punctuation(text: &str) -> usize {
    run(text, |c| is_punctuation(c) || "$+<=>^~|`".contains(c))
}

/// `\p{N}+`.
pub(super) fn numbers(text: &str) -> usize {
    run(text, is_number)
}

/// `\p{N}`.
pub(super) fn one_number(text: &str) -> usize {
    one(text, is_number)
}

/// `[0-9]`.
pub(super) fn one_digit(text: &str) -> usize {
    one(text, |c| c.is_ascii_digit())
}

/// `[0-9][0-9][0-9]`.
pub(super) fn three_digits(text: &str) -> usize {
    let digits = text.bytes().take(3).take_while(u8::is_ascii_digit).count();
    if digits == 3 { 3 } else { 0 }
}

/// `\s?\p{L}+`.
pub(super) fn spaced_letters(text: &str) -> usize {
    spaced_run(text, is_letter)
}

/// `\s?\p{P}+`.
pub(super) fn spaced_punctuation(text: &str) -> usize {
    spaced_run(text, is_punctuation)
}

/// `\s?` and letters of the scripts that have case.
pub(super) fn cased_word(text: &str) -> usize {
    spaced_run(text, is_cased_letter)
}

/// `\s?[!-/:-~！-／：-～‘-‟　-。]+`. The blank among them, U+3000, counts as white space first.
pub(super) fn wide_punctuation(text: &str) -> usize {
    spaced_run(
        text,
        |c| matches!(c, '!'..='/' | ':'..='~' | '！'..='／' | '：'..='～' | '‘'..='‟' | '、'..='。'),
    )
}

/// `[一-龥ࠀ-一가-\u{d7ff}]+`, and what is white space there counts as that.
pub(super) fn east_asian(text: &str) -> usize {
    run(text, |c| {
        matches!(c, '\u{800}'..='\u{9fa5}' | '\u{ac00}'..='\u{d7ff}') && !c.is_whitespace()
    })
}

/// Length of the run of characters of a class at the start.
fn run(text: &str, class: impl Fn(char) -> bool) -> usize {
    text.find(|c| !class(c)).unwrap_or(text.len())
}

/// Length of `[class]` at the start: one character or none.
fn one(text: &str, class: impl Fn(char) -> bool) -> usize {
    text.chars()
        .next()
        .filter(|&c| class(c))
        .map_or(0, char::len_utf8)
}

/// Length of `\s?[class]+` at the start.
fn spaced_run(text: &str, class: impl Fn(char) -> bool) -> usize {
    let space = one(text, char::is_whitespace);
    match run(&text[space..], class) {
        0 => 0,
        len => space + len,
    }
}

/// `[^\s\p{L}\p{N}]`.
fn is_other(c: char) -> bool {
    !(c.is_whitespace() || is_letter(c) || is_number(c))
}

/// `'s|'t|'re|'ve|'m|'ll|'d`, in capitals too where `any_case`.
fn contraction(text: &str, any_case: bool) -> usize {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'\'') {
        return 0;
    }
    let letter = |at: usize| {
        bytes.get(at).map(|byte| {
            if any_case {
                byte.to_ascii_lowercase()
            } else {
                *byte
            }
        })
    };
    match (letter(1), letter(2)) {
        (Some(b's' | b't' | b'm' | b'd'), _) => 2,
        (Some(b'r' | b'v'), Some(b'e')) | (Some(b'l'), Some(b'l')) => 3,
        _ => 0,
    }
}

/// `\s+(?!\S)|\s+`: a run of white space, without its last character where something follows.
fn space_run(text: &str) -> usize {
    let len = run(text, char::is_whitespace);
    let last = text[..len].chars().next_back().map_or(0, char::len_utf8);
    if len < text.len() && len > last {
        len - last
    } else {
        len
    }
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}|`
/// ` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`.
fn modern_word(text: &str, digits: usize) -> usize {
    let short = contraction(text, true);
    if short > 0 {
        return short;
    }
    let lead = one(text, |c| {
        !(is_line_break(c) || is_letter(c) || is_number(c))
    });
    let letters = run(&text[lead..], is_letter);
    if letters > 0 {
        return lead + letters;
    }
    let number: usize = text
        .chars()
        .take(digits)
        .take_while(|&c| is_number(c))
        .map(char::len_utf8)
        .sum();
    if number > 0 {
        return number;
    }
    let space = usize::from(text.starts_with(' '));
    let other = space + run(&text[space..], is_other);
    if other > space {
        return other + run(&text[other..], is_line_break);
    }
    let white = &text[..run(text, char::is_whitespace)];
    match white.rfind(is_line_break) {
        Some(at) => at + 1,
        None => space_run(text),
    }
}

fn is_line_break(c: char) -> bool {
    matches!(c, '\r' | '\n')
}
