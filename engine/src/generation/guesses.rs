//! Guesses of what comes next, from what came before: behind the same few tokens the same may
//! follow once more.
//!
//! A guess changes no text. It is computed together with the token before it, as if its tokens came
//! one by one, and what was not chosen is forgotten. It costs time where it is wrong, so how far
//! guesses reach depends on how the last ones fared.

#![forbid(unsafe_code)]

use std::collections::HashMap;

use crate::Token;

/// Tokens that have to be the same for a guess.
const ALIKE: usize = 3;
/// Tokens of a guess at most, unless something else is asked for: with the one before them they are
/// as many as the kernels of blocks take at once.
const MOST: usize = 7;
/// Tokens of the first guess.
const AT_FIRST: usize = 3;
/// Tokens that are not guessed behind after a guess of which nothing was right.
const PAUSE: usize = 8;

/// What was read and written so far, and how guesses fared.
pub struct Guesses {
    tokens: Vec<Token>,
    /// Where the token behind some tokens is, when they were there last.
    behind: HashMap<[Token; ALIKE], usize>,
    /// Tokens of a guess at most.
    most: usize,
    reach: usize,
    /// Tokens of the last guess.
    last: usize,
    pause: usize,
    fared: Fared,
}

/// How many tokens were guessed, and how many of them were chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fared {
    /// How many were guessed.
    pub guessed: usize,
    /// How many of them were chosen.
    pub right: usize,
}

impl Guesses {
    /// Before the first token.
    pub fn new() -> Self {
        Self::of_up_to(MOST)
    }

    /// Before the first token. Guesses have `most` tokens at most.
    fn of_up_to(most: usize) -> Self {
        Guesses {
            tokens: Vec::new(),
            behind: HashMap::new(),
            most,
            reach: AT_FIRST.min(most),
            last: 0,
            pause: 0,
            fared: Fared::default(),
        }
    }

    /// Limits guesses to so many tokens from now on.
    pub fn limit(&mut self, most: usize) {
        self.most = most;
        self.reach = self.reach.clamp(most.min(1), most);
    }

    /// Remembers a token of the text.
    pub fn remember(&mut self, token: Token) {
        if let Some(&before) = self.tokens.last_chunk() {
            self.behind.insert(before, self.tokens.len());
        }
        self.tokens.push(token);
        self.pause = self.pause.saturating_sub(1);
    }

    /// What may follow, `room` tokens of it at most; nothing where there is no reason for a guess.
    pub fn next(&mut self, room: usize) -> Vec<Token> {
        let before = self.tokens.last_chunk();
        let start = before.and_then(|before| self.behind.get(before));
        let mut guess = Vec::new();
        if let Some(&start) = start.filter(|_| self.pause == 0) {
            for at in start..start + self.reach.min(room) {
                // A guess that reaches beyond the text repeats itself.
                let beyond = at.checked_sub(self.tokens.len());
                guess.push(beyond.map_or_else(|| self.tokens[at], |at| guess[at]));
            }
        }
        self.last = guess.len();
        self.fared.guessed += self.last;
        guess
    }

    /// The next token of the last guess was chosen.
    pub fn was_right(&mut self) {
        self.fared.right += 1;
        self.reach = (self.reach + 1).min(self.most);
    }

    /// So many tokens of the last guess were not.
    pub fn were_wrong(&mut self, count: usize) {
        self.reach = self.reach.saturating_sub(count).max(1);
        if count == self.last {
            self.pause = PAUSE;
        }
    }

    /// How all guesses fared.
    pub fn fared(&self) -> Fared {
        self.fared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guesses(most: usize, text: &[Token]) -> Guesses {
        let mut guesses = Guesses::of_up_to(most);
        text.iter().for_each(|&token| guesses.remember(token));
        guesses
    }

    #[test]
    fn what_followed_the_same_tokens_last_is_guessed() {
        let text = [1, 2, 3, 4, 5, 6, 9, 1, 2, 3, 7, 8, 0, 1, 2, 3];
        assert_eq!(guesses(8, &text).next(8), [7, 8, 0]);
        assert_eq!(guesses(8, &text).next(1), [7]);
        assert_eq!(guesses(2, &text).next(8), [7, 8]);
        assert!(guesses(0, &text).next(8).is_empty());
        assert!(
            guesses(8, &text[..13]).next(8).is_empty(),
            "never seen before"
        );
        assert!(guesses(8, &[1, 2]).next(8).is_empty());
    }

    #[test]
    fn a_text_that_repeats_itself_is_guessed_to_go_on() {
        let mut guesses = guesses(8, &[5, 6, 5, 6, 5]);
        for _ in 0..5 {
            guesses.was_right();
        }
        assert_eq!(guesses.next(8), [6, 5, 6, 5, 6, 5, 6, 5]);
    }

    #[test]
    fn guesses_reach_as_far_as_the_last_ones_were_right() {
        let mut guesses = guesses(8, &[7; 5]);
        assert_eq!(guesses.next(8).len(), 3);
        let mut reach = |right: usize, wrong: usize| {
            (0..right).for_each(|_| guesses.was_right());
            guesses.were_wrong(wrong);
            guesses.next(8).len()
        };
        assert_eq!([reach(3, 0), reach(6, 0)], [6, 8]);
        assert_eq!([reach(5, 3), reach(1, 4), reach(1, 1)], [5, 2, 2]);
        assert_eq!(reach(0, 2), 0, "nothing was right");
        for _ in 0..PAUSE {
            assert!(guesses.next(8).is_empty());
            guesses.remember(7);
        }
        assert_eq!(guesses.next(8), [7]);
        let fared = Fared {
            guessed: 27,
            right: 16,
        };
        assert_eq!(guesses.fared(), fared);
    }
}
