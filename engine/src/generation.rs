//! Texts: a model's words into tokens and back, and a session that goes on with what it was given,
//! token after token.
#![forbid(unsafe_code)]

mod guesses;

use std::collections::VecDeque;
use std::path::Path;

use crate::Token;
use crate::error::Error;
use crate::refusal::{Code, Refusal};
use crate::sampler::{Sampler, Sampling};
use crate::session::{EvalError, Model, OpenOptions, Session, SessionOptions, Wanted};
use crate::tokenizer::{TextStream, Tokenizer};
use crate::transformer::likeliest::{Ranked, of_all};

use guesses::Guesses;

pub use guesses::Fared;

/// Opens a model as most want it: read into memory, its packing detected, the fastest kernel.
///
/// ```
/// let model = engine::open("../fixtures/moby-tiny/moby-tiny-b158.gguf")?;
/// assert_eq!(model.tokenize("Call me")?, [1022, 34, 392, 399]);
/// # Ok::<_, engine::Error>(())
/// ```
pub fn open(path: impl AsRef<Path>) -> Result<Model, Error> {
    Ok(Model::open(path.as_ref(), &OpenOptions::default())?)
}

impl Model {
    /// The ids of a text, special tokens added as the model asks for them and read where they are
    /// written out.
    pub fn tokenize(&self, text: &str) -> Result<Vec<Token>, Error> {
        Ok(self.vocabulary()?.encode(text, true, true))
    }

    /// The text of ids, special tokens left out.
    pub fn detokenize(&self, tokens: &[Token]) -> Result<String, Error> {
        Ok(self.vocabulary()?.decode(tokens, false))
    }

    /// An empty session with room for as many positions as the model was made for, on every
    /// processor. Memory is taken as positions come.
    pub fn session(&self) -> Result<Session, Error> {
        Ok(Session::new(self, SessionOptions::of(self))?)
    }

    /// The tokenizer, or the refusal that says there is none.
    pub(crate) fn vocabulary(&self) -> Result<&Tokenizer, Refusal> {
        let none = || {
            let field = "tokenizer.ggml.model";
            Refusal::new(Code::TokenizerMissing, field, "a vocabulary", "none")
                .hint("the model has ids, and no text to them")
        };
        self.tokenizer().ok_or_else(none)
    }
}

impl Session {
    /// The logits behind each of these tokens, row after row, all of them after what the session
    /// was fed before.
    ///
    /// ```
    /// let model = engine::open("../fixtures/moby-tiny/moby-tiny-b158.gguf")?;
    /// let logits = model.session()?.logits(&model.tokenize("Call me")?)?;
    /// assert_eq!(logits.len(), 4 * model.config().vocab_size);
    /// # Ok::<_, engine::Error>(())
    /// ```
    pub fn logits(&mut self, tokens: &[Token]) -> Result<Vec<f32>, Error> {
        Ok(self.feed(tokens, Wanted::All, &mut ())?)
    }

    /// Reads a prompt and goes on with it, as long as somebody asks for more, the model does not
    /// end its text and a position is left. The same seed gives the same tokens on every machine.
    ///
    /// ```
    /// use engine::sampler::Sampling;
    ///
    /// let model = engine::open("../fixtures/moby-tiny/moby-tiny-b158.gguf")?;
    /// let (mut session, prompt) = (model.session()?, model.tokenize("Call me")?);
    /// let tokens = session.generate(&prompt, &Sampling::default())?.at_most(3);
    /// let text: String = tokens.text().collect::<Result<_, _>>()?;
    /// assert_eq!(text, ", and I");
    /// # Ok::<_, engine::Error>(())
    /// ```
    pub fn generate(
        &mut self,
        prompt: &[Token],
        sampling: &Sampling,
    ) -> Result<Generation<'_>, Error> {
        if prompt.is_empty() {
            let rule = "at least one token";
            return Err(Refusal::new(Code::HparamInvalid, "prompt", rule, 0).into());
        }
        let sampler = Sampler::new(sampling.clone())?;
        let mut generation = Generation {
            session: self,
            sampler,
            guesses: Guesses::new(),
            ahead: VecDeque::new(),
            next: Next::Nothing,
            left: usize::MAX,
            stop: None,
            logit: None,
        };
        for &token in prompt {
            generation.guesses.remember(token);
        }
        generation.next = Next::Among(generation.read(prompt)?);
        Ok(generation)
    }
}

/// Why a model wrote no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It said that it is done.
    EndToken,
    /// As many tokens as were asked for.
    MaxTokens,
    /// No position is left.
    Context,
}

/// A text as it comes, token by token. A token is computed when the one behind it is asked for, and
/// with it perhaps a guess of what follows: see [`guessing`](Self::guessing).
pub struct Generation<'s> {
    session: &'s mut Session,
    sampler: Sampler,
    guesses: Guesses,
    /// Tokens that were guessed and computed and not read yet, and the logits behind each.
    ahead: VecDeque<(Token, Vec<f32>)>,
    next: Next,
    /// Tokens that may still come.
    left: usize,
    stop: Option<Stop>,
    /// Of the token that was chosen last.
    logit: Option<f32>,
}

/// Where the next token comes from.
enum Next {
    /// One of these.
    Among(Ranked),
    /// Behind this one, which is to be read first.
    Behind(Token),
    /// There is none.
    Nothing,
}

impl<'s> Generation<'s> {
    /// Prepares for a long text: the head is [screened](Session::screen) where that helps.
    pub fn screen(&mut self) {
        if self.sampler.wanted().is_some() {
            self.session.screen();
        }
    }

    /// Ends it after so many tokens.
    pub fn at_most(mut self, tokens: usize) -> Self {
        self.left = tokens;
        self
    }

    /// Where a text repeats itself, what follows is guessed and computed together, as if it came
    /// token by token: guesses change no text. They have so many tokens at most; 0 is none.
    pub fn guessing(mut self, most: usize) -> Self {
        self.guesses.limit(most);
        self
    }

    /// How many tokens were guessed so far, and how many of them were right.
    pub fn fared(&self) -> Fared {
        self.guesses.fared()
    }

    /// Why there is no more, once there is none.
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// The logit that the last token had when it was chosen.
    pub fn logit(&self) -> Option<f32> {
        self.logit
    }

    /// The same as text, a piece for each token.
    pub fn text(self) -> Text<'s> {
        Text {
            tokens: self,
            stream: Some(TextStream::default()),
        }
    }

    /// The likeliest tokens behind these, as many as decide the choice.
    fn read(&mut self, tokens: &[Token]) -> Result<Ranked, EvalError> {
        match self.sampler.wanted() {
            Some(most) => self.session.likeliest(tokens, most),
            None => {
                let logits = self.session.feed(tokens, Wanted::Last, &mut ())?;
                Ok(self.ranked(&logits))
            }
        }
    }

    /// As many of these as decide the choice.
    fn ranked(&self, logits: &[f32]) -> Ranked {
        of_all(logits, self.sampler.wanted().unwrap_or(logits.len()))
    }

    /// The likeliest tokens behind the one that was chosen: they are there already if it was
    /// guessed, or are computed, perhaps with a guess of what follows.
    fn behind(&mut self, token: Token) -> Result<Ranked, EvalError> {
        self.guesses.remember(token);
        if let Some((_, logits)) = self.ahead.pop_front_if(|(guessed, _)| *guessed == token) {
            self.guesses.was_right();
            return Ok(self.ranked(&logits));
        }
        self.forget_guesses();
        let room = self.session.context() - self.session.len();
        let guess = self.guesses.next(room.min(self.left).saturating_sub(1));
        let fed: Vec<Token> = [token].into_iter().chain(guess).collect();
        // What cannot be computed is no guess.
        if fed.len() > 1
            && let Ok(logits) = self.session.feed_each(&fed)
        {
            let (first, rest) = logits.split_at(logits.len() / fed.len());
            let rows = rest.chunks_exact(first.len()).map(<[f32]>::to_vec);
            self.ahead.extend(fed.into_iter().skip(1).zip(rows));
            return Ok(self.ranked(first));
        }
        self.read(&[token])
    }

    /// Leaves the session as if nothing had been guessed that was not chosen.
    fn forget_guesses(&mut self) {
        let wrong = self.ahead.len();
        if wrong > 0 {
            self.ahead.clear();
            self.session.truncate(self.session.len() - wrong);
            self.guesses.were_wrong(wrong);
        }
    }

    fn is_end(&self, token: Token) -> bool {
        let tokenizer = self.session.model().tokenizer();
        tokenizer.is_some_and(|tokenizer| tokenizer.is_end(token))
    }
}

impl Drop for Generation<'_> {
    fn drop(&mut self) {
        self.forget_guesses();
    }
}

impl Iterator for Generation<'_> {
    type Item = Result<Token, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            self.stop.get_or_insert(Stop::MaxTokens);
            return None;
        }
        let ranked = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Nothing => return None,
            Next::Among(ranked) => ranked,
            Next::Behind(token) => match self.behind(token) {
                Ok(ranked) => ranked,
                Err(EvalError::ContextFull { .. }) => {
                    self.stop = Some(Stop::Context);
                    return None;
                }
                Err(error) => return Some(Err(error.into())),
            },
        };
        let token = self.sampler.choose(&ranked);
        if self.is_end(token) {
            self.stop = Some(Stop::EndToken);
            return None;
        }
        let mut logits = ranked.iter().filter(|(ranked, _)| *ranked == token);
        self.logit = logits.next().map(|(_, logit)| *logit);
        self.next = Next::Behind(token);
        self.left -= 1;
        Some(Ok(token))
    }
}

/// A text as it comes, piece by piece. A character whose bytes are spread over several tokens comes
/// with the last of them, and what never became one at the end.
pub struct Text<'s> {
    tokens: Generation<'s>,
    stream: Option<TextStream>,
}

impl Iterator for Text<'_> {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let stream = self.stream.as_mut()?;
        match self.tokens.next() {
            Some(Err(error)) => Some(Err(error)),
            Some(Ok(token)) => {
                let vocabulary = self.tokens.session.model().vocabulary();
                let piece = vocabulary.map(|words| stream.push(&words.piece(token, false)));
                Some(piece.map_err(Error::from))
            }
            None => {
                let rest = self.stream.take()?.finish();
                (!rest.is_empty()).then_some(Ok(rest))
            }
        }
    }
}
