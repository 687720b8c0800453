//! Cuts text into the words that byte-pair merging never crosses, by the rules a model's
//! vocabulary was trained with.
//!
//! The rules are published as regular expressions. Here each is a function from the rest of the
//! text to the length of its match, written out over character classes: one pass, no
//! backtracking, so no text makes it slow.
#![forbid(unsafe_code)]

use super::unicode::{is_cased_letter, is_letter, is_number, is_punctuation};

/// The length in bytes of the match at the start of the text, 0 where there is none.
type Rule = fn(&str) -> usize;

/// One expression. It cuts every piece the stage before it left into matches and what lies
/// between them.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    /// Wherever the rule matches.
    Each(Rule),
    /// `\s+$`: white space at the end of a piece. As a rule it would look ahead from every blank.
    TrailingSpace,
}

/// A family of pre-tokenizers: how `tokenizer.ggml.pre` names it, and what goes with the name.
pub(super) struct Family {
    /// The names that files use.
    pub names: &'static [&'static str],
    /// The expressions, in order.
    pub stages: &'static [Stage],
    /// A word that is a token as a whole is never taken apart.
    pub ignore_merges: bool,
    /// Whether a text begins with the BOS token unless the file says otherwise.
    pub add_bos: bool,
    /// Whether detokenised text loses the blanks before punctuation.
    pub clean_spaces: bool,
}

/// All families, the default first.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        names: &["default"],
        stages: &[
            Stage::Each(default_punctuation),
            Stage::Each(gpt2_word),
            Stage::Each(numbers),
            Stage::Each(three_digits),
        ],
        ..PLAIN
    },
    Family {
        names: &["llama-bpe", "llama3", "llama-v3"],
        stages: &[Stage::Each(llama3_word)],
        ignore_merges: true,
        add_bos: true,
        ..PLAIN
    },
    Family {
        names: &["falcon"],
        stages: &[
            Stage::Each(falcon_punctuation),
            Stage::Each(gpt2_word),
            Stage::Each(three_digits),
        ],
        ..PLAIN
    },
    Family {
        names: &["falcon3", "falcon_e"],
        stages: &[
            Stage::Each(falcon_punctuation),
            Stage::Each(gpt2_word),
            Stage::Each(one_digit),
        ],
        ..PLAIN
    },
    Family {
        names: &["gpt-2", "mpt"],
        stages: &[Stage::Each(gpt2_word)],
        ..PLAIN
    },
    Family {
        names: &["starcoder", "refact"],
        stages: &[Stage::Each(one_number), Stage::Each(gpt2_word)],
        ..PLAIN
    },
    Family {
        names: &["command-r"],
        stages: &[Stage::Each(one_number), Stage::Each(gpt2_word)],
        clean_spaces: false,
        ..PLAIN
    },
    Family {
        names: &["qwen2"],
        stages: &[Stage::Each(qwen2_word)],
        clean_spaces: false,
        ..PLAIN
    },
    Family {
        names: &["deepseek-llm"],
        stages: &[
            Stage::Each(line_break),
            Stage::Each(cased_word),
            Stage::Each(wide_punctuation),
            Stage::TrailingSpace,
            Stage::Each(east_asian),
            Stage::Each(numbers),
        ],
        clean_spaces: false,
        ..PLAIN
    },
    Family {
        names: &["deepseek-coder"],
        stages: &[
            Stage::Each(line_break),
            Stage::Each(spaced_letters),
            Stage::Each(spaced_punctuation),
            Stage::Each(east_asian),
            Stage::Each(one_number),
        ],
        clean_spaces: false,
        ..PLAIN
    },
];

const PLAIN: Family = Family {
    names: &[],
    stages: &[],
    ignore_merges: false,
    add_bos: false,
    clean_spaces: true,
};

/// The family of that name.
pub(super) fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.names.contains(&name))
}

/// Cuts `text` into words and hands them on in order. Together they are the text.
pub(super) fn split<'a>(stages: &[Stage], text: &'a str, mut word: impl FnMut(&'a str)) {
    let Some((&last, before)) = stages.split_last() else {
        return word(text);
    };
    let mut pieces = vec![text];
    for &stage in before {
        let mut cut = Vec::with_capacity(pieces.len());
        for piece in pieces {
            stage.cut(piece, &mut |piece| cut.push(piece));
        }
        pieces = cut;
    }
    for piece in pieces {
        last.cut(piece, &mut word);
    }
}

impl Stage {
    fn cut<'a>(self, piece: &'a str, out: &mut impl FnMut(&'a str)) {
        match self {
            Stage::Each(rule) => cut_each(rule, piece, out),
            Stage::TrailingSpace => {
                let (text, space) = piece.split_at(piece.trim_end().len());
                [text, space]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .for_each(out);
            }
        }
    }
}

fn cut_each<'a>(rule: Rule, piece: &'a str, out: &mut impl FnMut(&'a str)) {
    let (mut start, mut at) = (0, 0);
    while at < piece.len() {
        let rest = &piece[at..];
        let matched = rule(rest);
        if matched == 0 {
            at += first_len(rest);
            continue;
        }
        if start < at {
            out(&piece[start..at]);
        }
        out(&piece[at..at + matched]);
        at += matched;
        start = at;
    }
    if start < at {
        out(&piece[start..at]);
    }
}

/// Length of the first character, 0 of an empty text.
fn first_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
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

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
fn gpt2_word(text: &str) -> usize {
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
fn llama3_word(text: &str) -> usize {
    modern_word(text, 3)
}

/// The qwen 2 expression, see [`modern_word`].
fn qwen2_word(text: &str) -> usize {
    modern_word(text, 1)
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

/// `[\r\n]`.
fn line_break(text: &str) -> usize {
    one(text, is_line_break)
}

/// `[\p{P}$+<=>^~|]+`.
fn default_punctuation(text: &str) -> usize {
    run(text, |c| is_punctuation(c) || "$+<=>^~|".contains(c))
}

/// ``[\p{P}$+<=>^~|`]+``.
fn falcon_punctuation(text: &str) -> usize {
    run(text, |c| is_punctuation(c) || "$+<=>^~|`".contains(c))
}

/// `\p{N}+`.
fn numbers(text: &str) -> usize {
    run(text, is_number)
}

/// `\p{N}`.
fn one_number(text: &str) -> usize {
    one(text, is_number)
}

/// `[0-9]`.
fn one_digit(text: &str) -> usize {
    one(text, |c| c.is_ascii_digit())
}

/// `[0-9][0-9][0-9]`.
fn three_digits(text: &str) -> usize {
    let digits = text.bytes().take(3).take_while(u8::is_ascii_digit).count();
    if digits == 3 { 3 } else { 0 }
}

/// `\s?\p{L}+`.
fn spaced_letters(text: &str) -> usize {
    spaced_run(text, is_letter)
}

/// `\s?\p{P}+`.
fn spaced_punctuation(text: &str) -> usize {
    spaced_run(text, is_punctuation)
}

/// `\s?` and letters of the scripts that have case.
fn cased_word(text: &str) -> usize {
    spaced_run(text, is_cased_letter)
}

/// `\s?[!-/:-~！-／：-～‘-‟　-。]+`. The blank among them, U+3000, counts as white space first.
fn wide_punctuation(text: &str) -> usize {
    spaced_run(
        text,
        |c| matches!(c, '!'..='/' | ':'..='~' | '！'..='／' | '：'..='～' | '‘'..='‟' | '、'..='。'),
    )
}

/// `[一-龥ࠀ-一가-\u{d7ff}]+`, and what is white space there counts as that.
fn east_asian(text: &str) -> usize {
    run(text, |c| {
        matches!(c, '\u{800}'..='\u{9fa5}' | '\u{ac00}'..='\u{d7ff}') && !c.is_whitespace()
    })
}

#[cfg(test)]
mod tests;
