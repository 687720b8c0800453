//! Which smaller questions may show a difference as well: spans go first, then characters become
//! simpler ones.

use crate::case::observation::tokenization::{EscapedBytes, Question};
use crate::numbers::shrink::spans;

/// What a character is tried to become, the simplest first.
const SIMPLE: [char; 7] = ['a', ' ', '0', '.', '\n', 'é', '語'];

/// Smaller questions, the ones that take away most first.
pub fn candidates(question: &Question) -> Box<dyn Iterator<Item = Question>> {
    match question {
        Question::Ids(ids) => Box::new(smaller(ids.clone(), |_| Vec::new()).map(Question::Ids)),
        Question::Text(EscapedBytes(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => {
                let texts = smaller(text.chars().collect(), simpler);
                let joined = |text: Vec<char>| text.into_iter().collect::<String>().into_bytes();
                Box::new(texts.map(move |text| Question::Text(EscapedBytes(joined(text)))))
            }
            Err(_) => {
                let simpler = |byte: &u8| Vec::from_iter((*byte != b'a').then_some(b'a'));
                let texts = smaller(bytes.clone(), simpler);
                Box::new(texts.map(|bytes| Question::Text(EscapedBytes(bytes))))
            }
        },
    }
}

/// Characters that are simpler than this one.
fn simpler(c: &char) -> Vec<char> {
    let own = SIMPLE.iter().position(|simple| simple == c);
    SIMPLE[..own.unwrap_or(SIMPLE.len())].to_vec()
}

/// The list without a span, then with an element replaced by a simpler one: first all that are
/// equal, then one by one.
fn smaller<T: Clone + PartialEq + 'static>(
    list: Vec<T>,
    simpler: impl Fn(&T) -> Vec<T> + 'static,
) -> impl Iterator<Item = Vec<T>> {
    let whole = list.clone();
    let without = spans(list.len()).map(move |span| {
        let kept = [&whole[..span.start], &whole[span.end..]];
        kept.concat()
    });
    let replacements = (0..list.len()).flat_map({
        let list = list.clone();
        move |at| simpler(&list[at]).into_iter().map(move |new| (at, new))
    });
    let replacements: Vec<(usize, T)> = replacements.collect();
    let replaced = [true, false].into_iter().flat_map(move |all| {
        let list = list.clone();
        let one = move |(at, new): (usize, T)| {
            let mut next = list.clone();
            if all {
                let equal = next.iter_mut().filter(|old| **old == list[at]);
                equal.for_each(|old| *old = new.clone());
            } else {
                next[at] = new;
            }
            (!all || !list[..at].contains(&list[at])).then_some(next)
        };
        replacements.clone().into_iter().filter_map(one)
    });
    without.chain(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::shrink::shrink;
    use crate::oracle::tokenizer::BUDGET;

    fn shrunk(question: &Question, shows: impl Fn(&Question) -> bool) -> (Question, usize) {
        let still_fails = |smaller: Question| shows(&smaller).then_some(smaller);
        let shrunk = shrink(question.clone(), candidates, still_fails, BUDGET);
        (shrunk.smallest, shrunk.tried)
    }

    fn text(text: impl AsRef<[u8]>) -> Question {
        Question::Text(EscapedBytes(text.as_ref().to_vec()))
    }

    fn bytes(question: &Question) -> &[u8] {
        match question {
            Question::Text(EscapedBytes(bytes)) => bytes,
            Question::Ids(_) => panic!("{question:?} is no text"),
        }
    }

    #[test]
    fn what_matters_is_left_and_the_rest_becomes_simple() {
        let long = format!("{}Q{}x語", "naïve café ".repeat(90), "7\t".repeat(150));
        let (small, _) = shrunk(&text(&long), |q| bytes(q).contains(&b'Q'));
        assert_eq!(small, text("Q"));
        let apart = |q: &Question| {
            let chars: Vec<char> = String::from_utf8_lossy(bytes(q)).chars().collect();
            chars.windows(3).any(|w| w[0] == 'Q' && w[2] == 'x') || chars.ends_with(&['x', '語'])
        };
        let (small, _) = shrunk(&text("--- Q\u{301}x ---"), apart);
        assert_eq!(small, text("Qax"), "the one between them may be any");
    }

    #[test]
    fn a_length_that_matters_is_kept_and_found_in_few_questions() {
        let (small, asked) = shrunk(&text("b".repeat(4000)), |q| q.len() >= 100);
        assert_eq!(small, text("a".repeat(100)));
        assert!(asked <= BUDGET, "{asked}");
    }

    #[test]
    fn bytes_that_are_no_text_shrink_as_bytes_and_ids_as_ids() {
        let wild = [b"abc".as_slice(), &[0xe2, 0x82], b"def\xff"].concat();
        let (small, _) = shrunk(&text(wild), |q| bytes(q).contains(&0x82));
        assert_eq!(small, text([0x82]));
        let ids = Question::Ids(vec![5, 7, 5, 5, 9, 7]);
        let (small, _) = shrunk(
            &ids,
            |q| matches!(q, Question::Ids(ids) if ids.contains(&9)),
        );
        assert_eq!(small, Question::Ids(vec![9]));
    }

    #[test]
    fn nothing_can_be_smaller_than_nothing() {
        for nothing in [text(""), Question::Ids(Vec::new())] {
            assert_eq!(shrunk(&nothing, |_| true), (nothing.clone(), 0));
        }
        assert_eq!(shrunk(&text("xyz"), |_| true).0, text(""));
    }
}
