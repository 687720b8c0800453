//! A conversation: each line of a terminal or a pipe is what the user says, and is answered with
//! regard to everything said before.

use std::io::{self, BufRead, IsTerminal, Read};

use engine::chat::{self, Chat};
use engine::template::{MAX_PROMPT, Message};
use engine::{Model, Token};
use serde::Serialize;

use super::{Args, READING, Stop, Writer, Written, screen};
use crate::command::chat::isolated;
use crate::exit::Failure;
use crate::io::{output, progress};

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
    model: &'m Model,
    chat: Chat,
    writer: Writer<'m>,
    /// Positions there are.
    context: usize,
    max_tokens: usize,
    guess: usize,
    messages: Vec<Message>,
}

impl<'m> Talk<'m> {
    /// Nothing was said yet, but by the system.
    pub fn new(args: &Args, model: &'m Model, chat: Chat, writer: Writer<'m>) -> Self {
        Talk {
            model,
            context: chat.context(),
            chat,
            writer,
            max_tokens: args.max_tokens,
            guess: args.guess,
            messages: system(args),
        }
    }

    /// Answers line after line. On a terminal a turn that fails is told and forgotten; else it
    /// ends the conversation.
    pub fn hold(&mut self) -> Result<Vec<Turn>, Failure> {
        template(self.model)?;
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
        self.messages.push(Message::new("user", said));
        let turn = self.try_to_answer(said);
        match &turn {
            Ok(turn) => self.messages.push(Message::new("assistant", &turn.text)),
            Err(_) => self.messages.truncate(before),
        }
        turn
    }

    fn try_to_answer(&mut self, said: &str) -> Result<Turn, Failure> {
        let prompt = prompt(self.model, &self.messages)?;
        let room = self.context.saturating_sub(prompt.len());
        if room == 0 {
            let (context, long) = (self.context, prompt.len());
            return Err(Failure::input(format!(
                "CONTEXT_FULL: the conversation takes {long} of {context} positions: /reset \
                 forgets it"
            )));
        }
        let waiting = progress::spinner(READING);
        let (kept, mut generation) = self.chat.read(&prompt)?;
        waiting.finish_and_clear();
        screen(&mut generation, self.max_tokens.min(room));
        let written = self
            .writer
            .write(generation.at_most(self.max_tokens).guessing(self.guess))?;
        let Written {
            tokens, text, stop, ..
        } = written;
        Ok(Turn {
            user: said.to_owned(),
            prompt_tokens: prompt,
            kept,
            tokens,
            text,
            stop,
        })
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
    said.map(|text| Message::new("system", text)).collect()
}

fn template(model: &Model) -> Result<&str, Failure> {
    let template = model.tokenizer().and_then(|words| words.chat_template());
    template.ok_or_else(|| Failure::input("the model brings no chat template: try without --chat"))
}

/// The ids of the rendered template.
pub fn prompt(model: &Model, messages: &[Message]) -> Result<Vec<Token>, Failure> {
    let template = template(model)?;
    let conversation = chat::conversation(model, Some(template), messages)?;
    Ok(chat::tokens(model, &isolated::render(conversation)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

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
