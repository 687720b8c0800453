//! What stands where special tokens overlap, and that no text makes the search slow.

use super::*;
use crate::bytes::ModelBytes;
use crate::gguf::{Gguf, Writer};

fn vocabulary(texts: Vec<String>) -> Vocabulary {
    let file = Writer::new(3).key("tokenizer.ggml.tokens", texts).finish();
    let gguf = Gguf::parse(ModelBytes::from_vec(file)).expect("a well-formed file");
    Vocabulary::read(&gguf.metadata, false, &mut Vec::new()).expect("a vocabulary")
}

/// The text with each special token as its number.
fn cut(tokens: &[&str], text: &str) -> String {
    let vocabulary = vocabulary(tokens.iter().copied().map(str::to_owned).collect());
    let all = (0..tokens.len() as Token).collect();
    let fragments = Partition::new(&vocabulary, all).fragments(&vocabulary, text, &[]);
    let shown = fragments.into_iter().map(|fragment| match fragment {
        Fragment::Text(text) => text.to_owned(),
        Fragment::Special(token) => format!("[{token}]"),
    });
    shown.collect()
}

#[test]
fn the_longest_token_comes_first_wherever_it_stands() {
    assert_eq!(cut(&["ab", "bcd"], "abcd"), "a[1]");
    assert_eq!(cut(&["a", "ab", "abc"], "abcabab-a"), "[2][1][1]-[0]");
    assert_eq!(cut(&["aa"], "aaaaa"), "[0][0]a");
    assert_eq!(cut(&["x"], "no such thing"), "no such thing");
    assert_eq!(cut(&["x"], ""), "");
}

#[test]
fn equally_long_ones_come_in_the_order_of_their_ids() {
    assert_eq!(cut(&["ab", "bc"], "abc"), "[0]c");
    assert_eq!(cut(&["bc", "ab"], "abc"), "a[0]");
}

#[test]
fn a_token_that_is_blocked_gives_way_to_a_shorter_one() {
    // `xyz` takes the end of `wxy`; `wx` would reach into it too, `w` does not.
    assert_eq!(cut(&["w", "wx", "wxy", "xyzz"], "wxyzz"), "[0][3]");
    assert_eq!(cut(&["wx", "wxy", "xyzz"], "wxyzz"), "w[2]");
}

/// The obvious way: token by token, longest first, through all text that is left.
fn cut_slowly(tokens: &[&str], text: &str) -> String {
    let mut order: Vec<usize> = (0..tokens.len()).collect();
    order.sort_by_key(|&token| Reverse(tokens[token].len()));
    let mut parts = vec![(text.to_owned(), false)];
    for token in order {
        let mut next = Vec::new();
        for (part, is_special) in parts {
            if is_special {
                next.push((part, true));
                continue;
            }
            for (at, text) in part.split(tokens[token]).enumerate() {
                next.extend((at > 0).then(|| (format!("[{token}]"), true)));
                next.push((text.to_owned(), false));
            }
        }
        parts = next;
    }
    parts.into_iter().map(|(part, _)| part).collect()
}

#[test]
fn the_result_is_that_of_searching_token_by_token() {
    let tokens = ["a", "ab", "aba", "bab", "cc", "bcc", "abcab", "b", "cab"];
    let mut state = 1u32;
    for _ in 0..2000 {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize
        };
        let count = 1 + next() % tokens.len();
        let text: String = (0..next() % 24)
            .map(|_| ['a', 'b', 'c', 'd'][next() % 4])
            .collect();
        assert_eq!(
            cut(&tokens[..count], &text),
            cut_slowly(&tokens[..count], &text),
            "{text}"
        );
    }
}

/// 511 tokens of one letter, each the beginning of the next, in a megabyte of that letter, with
/// another token to stand in the way. Comparing each with each place would take minutes.
#[test]
fn tokens_that_begin_alike_take_no_longer_than_others() {
    let mut texts: Vec<String> = (1..LONGEST).map(|len| "a".repeat(len)).collect();
    texts.push("a".repeat(LONGEST - 1) + "b");
    texts.push("a".repeat(LONGEST + 1));
    let vocabulary = vocabulary(texts);
    let partition = Partition::new(&vocabulary, (0..vocabulary.len() as Token).collect());
    let text = "a".repeat(1 << 20) + "b";
    let fragments = partition.fragments(&vocabulary, &text, &[]);
    let (letters, longest) = (1 << 20, LONGEST - 1);
    assert_eq!(fragments.len(), (letters - longest) / longest + 2);
    assert_eq!(
        fragments.last(),
        Some(&Fragment::Special(LONGEST as Token - 1))
    );
}
