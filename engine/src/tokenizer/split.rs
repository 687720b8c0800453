//! Cuts text into the words that byte-pair merging never crosses, by the rules a model's
//! vocabulary was trained with.
//!
//! The rules are published as regular expressions. Here each is a function from the rest of the
//! text to the length of its match, written out over character classes: one pass, no
//! backtracking, so no text makes it slow.
#![forbid(unsafe_code)]

mod rules;

use rules::{
    cased_word, default_punctuation, east_asian, falcon_punctuation, gpt2_word, line_break,
    llama3_word, numbers, one_digit, one_number, qwen2_word, spaced_letters, spaced_punctuation,
    three_digits, wide_punctuation,
};

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

#[cfg(test)]
mod tests;
