//! A conversation: what the user says, and answers that regard all that was said before.
//!
//! The whole conversation goes through the model's template again for each answer. Positions that
//! were read are kept as far as its tokens are the same; those of answers are not: they were
//! computed one by one, and other bits come of that. So every answer is, to the bit, the answer to
//! the whole conversation at once.
#![forbid(unsafe_code)]

use crate::Token;
use crate::error::Error;
use crate::generation::Generation;
use crate::refusal::{Code, Refusal};
use crate::sampler::Sampling;
use crate::session::{LEAST_PORTION, Model, Session};
use crate::template::{Conversation, Message, render};

/// Somebody who talks with a model.
pub struct Chat {
    session: Session,
    sampling: Sampling,
    template: Option<String>,
    messages: Vec<Message>,
    /// Tokens of an answer at most.
    max_tokens: usize,
    /// Tokens that were read as parts of prompts and whose positions may be kept.
    read: Vec<Token>,
}

impl Model {
    /// A conversation in which nothing was said yet, on every processor and always with the
    /// likeliest token.
    ///
    /// ```
    /// let model = engine::open("../fixtures/moby-tiny/moby-tiny-b158.gguf")?;
    /// // An instructed model brings its template along; this one was only read to.
    /// let lines = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:";
    /// let mut chat = model.chat()?.with_template(lines).with_max_tokens(8);
    /// let answer = chat.say("Who are you?")?;
    /// assert_eq!(chat.messages()[1].content, answer);
    /// # Ok::<_, engine::Error>(())
    /// ```
    pub fn chat(&self) -> Result<Chat, Error> {
        Ok(Chat::new(self.session()?, Sampling::default()))
    }
}

impl Chat {
    /// In a session of one's own, with tokens chosen in a way of one's own.
    pub fn new(session: Session, sampling: Sampling) -> Self {
        Chat {
            session,
            sampling,
            template: None,
            messages: Vec::new(),
            max_tokens: usize::MAX,
            read: Vec::new(),
        }
    }

    /// Another template than the model's own.
    pub fn with_template(mut self, template: &str) -> Self {
        self.template = Some(template.to_owned());
        self
    }

    /// What the system says first.
    pub fn with_system(mut self, said: &str) -> Self {
        self.messages.insert(0, Message::new("system", said));
        self
    }

    /// Ends answers that are longer.
    pub fn with_max_tokens(mut self, tokens: usize) -> Self {
        self.max_tokens = tokens;
        self
    }

    /// Positions there are for all of it.
    pub fn context(&self) -> usize {
        self.session.context()
    }

    /// What was said so far.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The answer to what the user says.
    pub fn say(&mut self, text: &str) -> Result<String, Error> {
        self.say_and(text, |_| ())
    }

    /// The same, piece by piece as it comes. What fails was never said.
    pub fn say_and(&mut self, text: &str, mut show: impl FnMut(&str)) -> Result<String, Error> {
        self.messages.push(Message::new("user", text));
        let answer = self.answer(&mut show);
        match &answer {
            Ok(answer) => self.messages.push(Message::new("assistant", answer)),
            Err(_) => drop(self.messages.pop()),
        }
        answer
    }

    fn answer(&mut self, show: &mut dyn FnMut(&str)) -> Result<String, Error> {
        let model = self.session.model();
        let prompt = prompt(model, self.template.as_deref(), &self.messages)?;
        let most = self.max_tokens;
        let (_, generation) = self.read(&prompt)?;
        let mut answer = String::new();
        for piece in generation.at_most(most).text() {
            let piece = piece?;
            show(&piece);
            answer += &piece;
        }
        Ok(answer)
    }

    /// Reads a prompt that holds the whole conversation, and goes on with it; and how many
    /// positions of earlier ones were kept.
    pub fn read(&mut self, prompt: &[Token]) -> Result<(usize, Generation<'_>), Error> {
        let ubatch = self.session.ubatch();
        let kept = kept(&self.read, prompt, ubatch);
        self.session.truncate(kept);
        self.read.truncate(kept);
        let generation = self.session.generate(&prompt[kept..], &self.sampling)?;
        // A short rest was computed as single tokens are.
        let rest = (prompt.len() - kept) % ubatch;
        let rest = if rest < LEAST_PORTION { rest } else { 0 };
        self.read = prompt[..prompt.len() - rest].to_vec();
        Ok((kept, generation))
    }
}

/// The conversation that a model's template, or another, makes a prompt of.
pub fn conversation(
    model: &Model,
    template: Option<&str>,
    messages: &[Message],
) -> Result<Conversation, Error> {
    let tokenizer = model.vocabulary()?;
    let none = || {
        let field = "tokenizer.chat_template";
        Refusal::new(Code::MissingKey, field, "a chat template", "none")
    };
    let text = |token: Option<Token>| {
        let bytes = token.and_then(|token| tokenizer.token_text(token));
        String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
    };
    Ok(Conversation {
        template: template
            .or(tokenizer.chat_template())
            .ok_or_else(none)?
            .into(),
        messages: messages.to_vec(),
        bos: text(tokenizer.bos()),
        eos: text(tokenizer.eos()),
    })
}

/// The ids of a rendered template. It usually begins with BOS itself; where it does not and the
/// model asks for one, it is added.
pub fn tokens(model: &Model, rendered: &str) -> Result<Vec<Token>, Error> {
    let tokenizer = model.vocabulary()?;
    let mut tokens = tokenizer.encode(rendered, false, true);
    if tokenizer.adds_bos() && tokens.first().copied() != tokenizer.bos() {
        tokens.splice(0..0, tokenizer.bos());
    }
    Ok(tokens)
}

fn prompt(
    model: &Model,
    template: Option<&str>,
    messages: &[Message],
) -> Result<Vec<Token>, Error> {
    let rendered = render(&conversation(model, template, messages)?)?;
    tokens(model, &rendered)
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
}
