//! A text that a model wrote, with all that made it, so that another can check it: every token is
//! chosen again from logits that are computed together, at the speed at which a prompt is read.

use engine::numerics::Profile;
use engine::sampler::{Sampler, Sampling};
use engine::session::{EvalError, SessionOptions, Wanted};
use engine::{Model, Session, Token};
use serde::{Deserialize, Serialize};

use crate::exit::Failure;
use crate::file::provenance::{self, Hash, Machine};
use crate::receipt::verify::{Code, Verification};

/// The version of transcripts this build writes and reads.
pub const SCHEMA: u32 = 1;
/// Tokens whose logits are in memory together.
const AT_ONCE: usize = 64;

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The model said that it is done.
    EndToken,
    /// As many tokens as were asked for.
    MaxTokens,
    /// No position is left.
    Context,
    /// Standard output was closed.
    ReaderGone,
}

/// How tokens were chosen and computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The order of float operations.
    pub profile: String,
    /// Whether the prompt was computed token by token as well: then no bit depends on `ubatch`.
    pub canonical: bool,
    /// Tokens of the prompt computed together at most.
    pub ubatch: usize,
    /// Positions there was room for.
    pub context: usize,
    /// Tokens that were asked for.
    pub max_tokens: usize,
    /// 0 means greedy.
    pub temperature: f32,
    /// Among how many; 0 is all.
    pub top_k: usize,
    /// Among those that reach this probability together.
    pub top_p: f32,
    /// Where the random sequence starts.
    pub seed: u64,
}

/// What was asked, what came, and by whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {
    /// [`SCHEMA`].
    pub schema_version: u32,
    /// Name of the model file.
    pub model: String,
    /// SHA-256 of its bytes.
    pub model_sha256: String,
    /// What was asked; nothing where a template of the model was put around it.
    pub prompt: Option<String>,
    /// The same as ids.
    pub prompt_tokens: Vec<Token>,
    /// How it was answered.
    pub options: Options,
    /// The answer.
    pub tokens: Vec<Token>,
    /// Its text.
    pub text: String,
    /// Why it ended.
    pub stop: Stop,
    /// SHA-256 of the logits that its tokens had when they were chosen.
    pub logits: String,
    /// Name of the kernel; no bit depends on it.
    pub kernel: String,
    /// The machine and the build.
    pub machine: Machine,
    /// SHA-256 of this transcript with an empty seal. It notices edits, it does not prove origin.
    pub seal: String,
}

impl Transcript {
    /// With its seal.
    pub fn sealed(mut self) -> Self {
        self.seal = self.computed_seal();
        self
    }

    /// The hash the seal should be.
    pub fn computed_seal(&self) -> String {
        let unsealed = Transcript {
            seal: String::new(),
            ..self.clone()
        };
        provenance::sha256(unsealed.to_json().as_bytes())
    }

    /// As it lies in a file.
    pub fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let wrong = |e| Failure::input(format!("it is no transcript of `generate --receipt`: {e}"));
        serde_json::from_slice(bytes).map_err(wrong)
    }

    /// As written to a file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data") + "\n"
    }

    /// Checks all of it against a model, whose hash is that one, on so many threads.
    pub fn verify(&self, model: &Model, sha256: &str, threads: usize) -> Verification {
        let mut found = Verification::default();
        found.note(Code::Seal, "the seal", self.computed_seal() == self.seal);
        found.note(Code::Schema, "the schema", self.schema_version == SCHEMA);
        found.note(Code::Model, "the model", self.model_sha256 == sha256);
        let built = "when and on which machine it was written, and by which build";
        found.on_trust.push(built.into());
        let options = self.possible(model);
        found.note(Code::Options, "the options", options.is_some());
        // Of another model, or an arithmetic that nobody has, the rest says nothing.
        let Some((profile, sampler)) = options.filter(|_| self.model_sha256 == sha256) else {
            return found;
        };
        let size = model.config().vocab_size;
        let mut all = self.prompt_tokens.iter().chain(&self.tokens);
        let known = all.all(|token| (*token as usize) < size);
        if !known || self.prompt_tokens.is_empty() {
            found.note(Code::Tokens, "the ids are ids of the model", false);
            return found;
        }
        self.texts(model, &mut found);
        match self.follow(model, profile, threads, sampler) {
            Ok(followed) => self.conclude(model, followed, &mut found),
            Err(why) => {
                let what = format!("what the model computes: {why}");
                found.note(Code::Tokens, &what, false);
            }
        }
        found
    }

    /// The arithmetic and the sampler, if there can be such.
    fn possible(&self, model: &Model) -> Option<(Profile, Sampler)> {
        let Options {
            context,
            ubatch,
            max_tokens,
            ..
        } = self.options;
        let room = self.prompt_tokens.len().checked_add(self.tokens.len())?;
        // The last token needs no position of its own.
        let fits = room <= context.checked_add(1)? && context <= model.config().context_length;
        if !fits || ubatch == 0 || self.tokens.len() > max_tokens {
            return None;
        }
        let profile = Profile::from_name(&self.options.profile)?;
        let sampler = Sampler::new(self.options.sampling()).ok()?;
        Some((profile, sampler))
    }

    /// The ids of the prompt and the text of the answer are the vocabulary's.
    fn texts(&self, model: &Model, found: &mut Verification) {
        let Some(tokenizer) = model.tokenizer() else {
            let why = "the texts: the model has no vocabulary";
            return found.cannot_tell(Code::Text, why);
        };
        match &self.prompt {
            Some(prompt) => {
                let ids = tokenizer.encode(prompt, true, true);
                found.note(
                    Code::Prompt,
                    "the ids of the prompt",
                    ids == self.prompt_tokens,
                );
            }
            None => found
                .on_trust
                .push("what was said, of which only the ids are here".into()),
        }
        let text = tokenizer.decode(&self.tokens, false);
        found.note(Code::Text, "the text of the answer", text == self.text);
    }

    /// Chooses every token again, after those of the transcript.
    fn follow(
        &self,
        model: &Model,
        profile: Profile,
        threads: usize,
        mut sampler: Sampler,
    ) -> Result<Followed, EvalError> {
        let Options {
            context,
            ubatch,
            canonical,
            ..
        } = self.options;
        let options = SessionOptions {
            context,
            ubatch,
            threads,
            profile,
        };
        let mut session = Session::new(model, options).map_err(EvalError::OutOfMemory)?;
        session.take_one_by_one(canonical);
        let mut row = session.feed(&self.prompt_tokens, Wanted::Last, &mut ())?;
        let size = row.len();
        // Behind the last token only the model's own end has something to say.
        let behind = usize::from(self.stop != Stop::EndToken);
        let fed = self.tokens.len().saturating_sub(behind);
        let (mut digest, mut other, mut at) = (Hash::default(), None, 0);
        let mut choose = |row: &[f32], at: usize| {
            let chosen = sampler.sample(row);
            if let Some(&token) = self.tokens.get(at) {
                digest.add(&[row[token as usize]]);
                if chosen != token && other.is_none() {
                    other = Some((at, chosen));
                }
            }
            chosen
        };
        for portion in self.tokens[..fed].chunks(AT_ONCE) {
            for next in session.feed_each(portion)?.chunks_exact(size) {
                choose(&row, at);
                row.copy_from_slice(next);
                at += 1;
            }
        }
        let last = choose(&row, at);
        Ok(Followed {
            other,
            last,
            logits: digest.hex(),
        })
    }

    fn conclude(&self, model: &Model, followed: Followed, found: &mut Verification) {
        let Followed {
            other,
            last,
            logits,
        } = followed;
        let count = self.tokens.len();
        let same = logits == self.logits;
        match other {
            None => {
                let what = format!("{count} tokens, each chosen again");
                found.note(Code::Tokens, &what, true);
                found.note(Code::Output, "the logits they were chosen by", same);
            }
            Some((at, chosen)) => {
                let wrote = self.tokens[at];
                let what = format!("token {at}: {wrote} is written, {chosen} would be chosen");
                // These logits are the model's, and other options chose by them.
                let code = if same { Code::Options } else { Code::Tokens };
                found.note(code, &what, false);
            }
        }
        let is_end = |token| model.tokenizer().is_some_and(|t| t.is_end(token));
        let early = self.tokens.iter().any(|&token| is_end(token));
        let used = self.prompt_tokens.len() + count;
        let ended = match self.stop {
            Stop::MaxTokens => count == self.options.max_tokens,
            Stop::Context => used == self.options.context + 1,
            Stop::EndToken => is_end(last),
            Stop::ReaderGone => {
                let why = "whether the text went on: its reader left";
                return found.cannot_tell(Code::Missing, why);
            }
        };
        found.note(
            Code::Missing,
            "the text ends where it says",
            ended && !early,
        );
    }
}

/// What the model makes of a transcript.
struct Followed {
    /// The first token that would not be chosen, and what would be.
    other: Option<(usize, Token)>,
    /// What would be chosen last, or behind the end.
    last: Token,
    /// SHA-256 of the logits of the transcript's tokens.
    logits: String,
}

impl Options {
    /// As the sampler takes them.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            seed: self.seed,
        }
    }
}
