//! A conversation: each line of a terminal or a pipe is what the user says, and is answered with
//! regard to everything said before.
//!
//! The whole conversation goes through the model's template again for each answer. Positions that
//! were read are kept as far as its tokens are the same; those of answers are not: they were
//! computed one by one, and other bits come of that. So every answer is, to the bit, the answer to
//! the whole conversation at once.

use std::io::{self, BufRead, IsTerminal, Read};

use engine::Token;
use engine::tokenizer::Tokenizer;
use serde::Serialize;

use super::{Args, Stop, Writer};
use crate::case::schedule::LEAST_PORTION;
use crate::command::chat::{MAX_PROMPT, isolated};
use crate::exit::Failure;
use crate::io::output;
use crate::reference::isolation::{Conversation, Message};

const HELP: &str =
    "/reset forgets what was said, /quit or the end of the input ends, /help is this";

/// What was said and how it was answered.
#[derive(Debug, Serialize)]
pub struct Turn {
    user: String,
    prompt_tokens: Vec<Token>,
    /// Positions that were not computed again.
    kept: usize,
    tokens: Vec<Token>,
    text: String,
    stop: Stop,
}

/// What was said so far.
pub struct Talk<'m> {
    writer: Writer<'m>,
    /// Positions there are.
    context: usize,
    /// Tokens computed together.
    ubatch: usize,
    max_tokens: usize,
    messages: Vec<Message>,
    /// Tokens that were read as parts of prompts and whose positions may be kept.
    read: Vec<Token>,
}

impl<'m> Talk<'m> {
    /// Nothing was said yet, but by the system.
    pub fn new(args: &Args, writer: Writer<'m>, context: usize) -> Self {
        Talk {
            writer,
            context,
            ubatch: args.computing.ubatch,
            max_tokens: args.max_tokens,
            messages: system(args),
            read: Vec::new(),
        }
    }

    /// Answers line after line. On a terminal a turn that fails is told and forgotten; else it
    /// ends the conversation.
    pub fn hold(&mut self) -> Result<Vec<Turn>, Failure> {
        template(self.writer.tokenizer)?;
        let terminal = io::stdin().is_terminal();
        let spoken = self.messages.len();
        let mut turns = Vec::new();
        if terminal {
            output::tell(HELP);
        }
        let mut lines = io::stdin().lock();
        loop {
            if terminal {
                output::ask("> ");
            }
            let Some(line) = next_line(&mut lines)? else {
                return Ok(turns);
            };
            match line.trim() {
                "" => {}
                "/quit" => return Ok(turns),
                "/help" => output::tell(HELP),
                "/reset" => self.messages.truncate(spoken),
                word if word.starts_with('/') && !word.contains(' ') => {
                    let told = format!("{word}: there is no such command; {HELP}");
                    if !terminal {
                        return Err(Failure::input(told));
                    }
                    output::tell(told);
                }
                said => match self.answer(said) {
                    Ok(turn) if turn.stop == Stop::ReaderGone => return Ok(turns),
                    Ok(turn) => turns.push(turn),
                    Err(failure) if terminal => output::tell(format!("error: {failure}")),
                    Err(failure) => return Err(failure),
                },
            }
        }
    }

    /// What was said is part of the conversation only once it was answered.
    fn answer(&mut self, said: &str) -> Result<Turn, Failure> {
        let before = self.messages.len();
        self.messages.push(message("user", said));
        let turn = self.try_to_answer(said);
        match &turn {
            Ok(turn) => self.messages.push(message("assistant", &turn.text)),
            Err(_) => self.messages.truncate(before),
        }
        turn
    }

    fn try_to_answer(&mut self, said: &str) -> Result<Turn, Failure> {
        let prompt = prompt(self.writer.tokenizer, &self.messages)?;
        let room = self.context.saturating_sub(prompt.len());
        if room == 0 {
            let (context, long) = (self.context, prompt.len());
            return Err(Failure::input(format!(
                "CONTEXT_FULL: the conversation takes {long} of {context} positions: /reset \
                 forgets it"
            )));
        }
        let kept = kept(&self.read, &prompt, self.ubatch);
        self.writer.session.truncate(kept);
        self.read.truncate(kept);
        let most = self.max_tokens.min(room);
        let first = self.writer.read(&prompt[kept..], most)?;
        // A short rest was computed as single tokens are.
        let rest = (prompt.len() - kept) % self.ubatch;
        let rest = if rest < LEAST_PORTION { rest } else { 0 };
        self.read = prompt[..prompt.len() - rest].to_vec();
        let (tokens, stop) = self.writer.write(first, self.max_tokens)?;
        Ok(Turn {
            user: said.to_owned(),
            prompt_tokens: prompt,
            kept,
            tokens,
            text: self.writer.finish()?,
            stop,
        })
    }
}

/// How many positions need not be computed again: those of equal tokens, but so that what is left
/// and what is kept are portions in which the bits do not depend on the portion.
fn kept(read: &[Token], prompt: &[Token], ubatch: usize) -> usize {
    let pairs = read.iter().zip(prompt);
    let equal = pairs.take_while(|(read, wanted)| read == wanted).count();
    let kept = equal.min(prompt.len().saturating_sub(LEAST_PORTION));
    if kept < LEAST_PORTION || ubatch < LEAST_PORTION {
        0
    } else {
        kept
    }
}

/// The next line without its end; none at the end of the input.
fn next_line(lines: &mut impl BufRead) -> Result<Option<String>, Failure> {
    let mut line = Vec::new();
    let limit = MAX_PROMPT as u64 + 1;
    let read = lines.by_ref().take(limit).read_until(b'\n', &mut line);
    let read = read.map_err(|e| Failure::environment(format!("standard input: {e}")))?;
    if read > MAX_PROMPT {
        let message = format!("standard input: a line of more than {MAX_PROMPT} bytes");
        return Err(Failure::input(message));
    }
    let line = String::from_utf8(line).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::input(format!("INVALID_UTF8: standard input: byte {at} of a line"))
    })?;
    Ok((read > 0).then_some(line))
}

/// What the system says first.
pub fn system(args: &Args) -> Vec<Message> {
    let said = args.system.iter();
    said.map(|text| message("system", text)).collect()
}

/// One turn.
pub fn message(role: &str, content: &str) -> Message {
    Message {
        role: role.into(),
        content: content.into(),
    }
}

fn template(tokenizer: &Tokenizer) -> Result<&str, Failure> {
    let template = tokenizer.chat_template();
    template.ok_or_else(|| Failure::input("the model brings no chat template: try without --chat"))
}

/// The ids of the rendered template. It usually begins with BOS itself; where it does not and the
/// model asks for one, it is added.
pub fn prompt(tokenizer: &Tokenizer, messages: &[Message]) -> Result<Vec<Token>, Failure> {
    let template = template(tokenizer)?;
    let text = |token: Option<Token>| {
        let bytes = token.and_then(|token| tokenizer.token_text(token));
        String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
    };
    let rendered = isolated::render(Conversation {
        template: template.into(),
        messages: messages.to_vec(),
        bos: text(tokenizer.bos()),
        eos: text(tokenizer.eos()),
    })?;
    let mut tokens = tokenizer.encode(&rendered, false, true);
    if tokenizer.adds_bos() && tokens.first().copied() != tokenizer.bos() {
        tokens.splice(0..0, tokenizer.bos());
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_kept_in_portions_that_change_no_bit() {
        let tokens: Vec<Token> = (0..40).collect();
        let mut other = tokens.clone();
        other[20] = 99;
        assert_eq!(kept(&tokens[..30], &tokens, 512), 30);
        assert_eq!(kept(&tokens, &tokens, 512), 32, "eight are read again");
        assert_eq!(kept(&tokens, &other, 512), 20);
        assert_eq!(kept(&tokens[..7], &tokens, 512), 0, "a portion too short");
        assert_eq!(kept(&tokens, &tokens, 7), 0, "ubatches too short");
        assert_eq!(kept(&[], &tokens, 512), 0);
        assert_eq!(kept(&tokens, &tokens[..3], 512), 0);
    }

    #[test]
    fn lines_end_where_they_end_and_have_a_limit() {
        let mut input = "one\ntwo".as_bytes();
        let mut next = || next_line(&mut input).expect("text");
        assert_eq!(next().as_deref(), Some("one\n"));
        assert_eq!((next().as_deref(), next()), (Some("two"), None));
        let long = vec![b'a'; MAX_PROMPT + 1];
        assert!(next_line(&mut &long[..]).is_err());
        assert!(next_line(&mut &b"\xff\n"[..]).is_err());
    }
}
