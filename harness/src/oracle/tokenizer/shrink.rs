//! Makes a question that shows a difference smaller while it shows it.
//!
//! Spans go first, half of it down to single elements, then characters become simpler ones. What
//! asks is slow, so candidates go out in portions, and there is an end to them.
#![forbid(unsafe_code)]

use crate::case::observation::spelling::{Question, Raw};
use crate::exit::Failure;

/// Candidates asked about at once.
const PORTION: usize = 64;
/// Candidates asked about in all; what is left then is small enough.
const MOST: usize = 4096;
/// What a character is tried to become, the simplest first.
const SIMPLE: [char; 7] = ['a', ' ', '0', '.', '\n', 'é', '語'];

/// The smallest question that still shows the difference. `shows` is asked about several and says
/// which of them is the first that shows it.
pub fn shrink(
    question: &Question,
    mut shows: impl FnMut(&[Question]) -> Result<Option<usize>, Failure>,
) -> Result<Question, Failure> {
    match question {
        Question::Ids(ids) => {
            let wrap = |ids: &[u32]| Question::Ids(ids.to_vec());
            let ids = smallest(
                ids.clone(),
                |_| Vec::new(),
                |some| ask(some, wrap, &mut shows),
            )?;
            Ok(wrap(&ids))
        }
        Question::Text(Raw(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => {
                let wrap = |text: &[char]| {
                    Question::Text(Raw(text.iter().collect::<String>().into_bytes()))
                };
                let text = text.chars().collect();
                let text = smallest(text, simpler, |some| ask(some, wrap, &mut shows))?;
                Ok(wrap(&text))
            }
            Err(_) => {
                let wrap = |bytes: &[u8]| Question::Text(Raw(bytes.to_vec()));
                let simpler = |byte: &u8| match byte {
                    b'a' => Vec::new(),
                    _ => vec![b'a'],
                };
                let bytes = bytes.clone();
                let bytes = smallest(bytes, simpler, |some| ask(some, wrap, &mut shows))?;
                Ok(wrap(&bytes))
            }
        },
    }
}

fn ask<T>(
    some: &[Vec<T>],
    wrap: impl Fn(&[T]) -> Question,
    shows: &mut impl FnMut(&[Question]) -> Result<Option<usize>, Failure>,
) -> Result<Option<usize>, Failure> {
    let questions: Vec<Question> = some.iter().map(|one| wrap(one)).collect();
    shows(&questions)
}

/// Characters that are simpler than this one.
fn simpler(c: &char) -> Vec<char> {
    let own = SIMPLE.iter().position(|simple| simple == c);
    SIMPLE[..own.unwrap_or(SIMPLE.len())].to_vec()
}

/// Smaller lists, until none that is one step smaller shows the difference.
fn smallest<T: Clone + PartialEq>(
    mut list: Vec<T>,
    simpler: impl Fn(&T) -> Vec<T>,
    mut shows: impl FnMut(&[Vec<T>]) -> Result<Option<usize>, Failure>,
) -> Result<Vec<T>, Failure> {
    let mut left = MOST;
    loop {
        let mut shrunk = false;
        let mut span = list.len().div_ceil(2);
        while span > 0 && left > 0 {
            let starts = (0..list.len()).step_by(span);
            let without = starts.map(|start| {
                let end = list.len().min(start + span);
                [&list[..start], &list[end..]].concat()
            });
            match first(without, &mut left, &mut shows)? {
                Some(shorter) => (list, shrunk) = (shorter, true),
                None => span /= 2,
            }
            span = span.min(list.len());
        }
        let replaced = replaced(&list, &simpler);
        match first(replaced, &mut left, &mut shows)? {
            Some(next) => list = next,
            None if shrunk && left > 0 => {}
            None => return Ok(list),
        }
    }
}

/// The list with an element replaced by a simpler one: first all that are equal, then one by one.
fn replaced<'l, T: Clone + PartialEq>(
    list: &'l [T],
    simpler: &'l impl Fn(&T) -> Vec<T>,
) -> impl Iterator<Item = Vec<T>> + 'l {
    let leading = (0..list.len()).filter(|&at| !list[..at].contains(&list[at]));
    let all = leading.flat_map(move |at| simpler(&list[at]).into_iter().map(move |e| (at, e)));
    let all = all.map(move |(at, element)| {
        let other = |old: &T| {
            if *old == list[at] {
                element.clone()
            } else {
                old.clone()
            }
        };
        list.iter().map(other).collect()
    });
    let each =
        (0..list.len()).flat_map(move |at| simpler(&list[at]).into_iter().map(move |e| (at, e)));
    let each = each.map(move |(at, element)| {
        let mut next = list.to_vec();
        next[at] = element;
        next
    });
    all.chain(each)
}

/// The first of the candidates that shows the difference.
fn first<T: Clone>(
    candidates: impl Iterator<Item = Vec<T>>,
    left: &mut usize,
    shows: &mut impl FnMut(&[Vec<T>]) -> Result<Option<usize>, Failure>,
) -> Result<Option<Vec<T>>, Failure> {
    let mut candidates = candidates.take(*left);
    loop {
        let portion: Vec<Vec<T>> = candidates.by_ref().take(PORTION).collect();
        if portion.is_empty() {
            return Ok(None);
        }
        *left = left.saturating_sub(portion.len());
        if let Some(at) = shows(&portion)? {
            return Ok(portion.into_iter().nth(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shrunk(question: &Question, shows: impl Fn(&Question) -> bool) -> (Question, usize) {
        let mut asked = 0;
        let small = shrink(question, |some| {
            asked += some.len();
            Ok(some.iter().position(&shows))
        });
        (small.expect("nobody fails"), asked)
    }

    fn text(text: impl AsRef<[u8]>) -> Question {
        Question::Text(Raw(text.as_ref().to_vec()))
    }

    fn bytes(question: &Question) -> &[u8] {
        match question {
            Question::Text(Raw(bytes)) => bytes,
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
        assert!(asked <= MOST, "{asked}");
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

    #[test]
    fn who_never_agrees_is_not_asked_for_ever() {
        let (_, asked) = shrunk(&text("ab".repeat(1000)), |_| false);
        assert!(asked <= MOST, "{asked}");
    }
}
