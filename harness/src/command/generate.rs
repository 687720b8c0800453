//! `harness generate`: text from a model, streamed.

mod conversation;
mod guesses;
mod stream;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use engine::sampler::{Sampler, Sampling};
use engine::session::{EvalError, Wanted};
use engine::tokenizer::Tokenizer;
use engine::transformer::likeliest::{Ranked, of_all};
use engine::{Session, Token};
use serde::Serialize;
use serde_json::json;

use crate::command::flags::{Computing, ModelFile, switch};
use crate::exit::{Exit, Failure};
use crate::io::output::{self, Reader};
use crate::io::process;
use crate::io::progress;

use conversation::{Talk, message};
use guesses::{Fared, Guesses};
use stream::TextStream;

const EXAMPLE: &str = "\
Examples:
  harness generate --model model.gguf --prompt 'Call me Ishmael.'
  harness generate --model instruct.gguf --chat --system 'Be brief.' --prompt 'Who are you?'
  printf 'Who are you?\\nWhat did I ask?\\n' | harness generate --model instruct.gguf --chat -n 16
  harness generate --model model.gguf --prompt 'The whale' --temperature 0.8 --top-k 40 --seed 7
  harness generate --model model.gguf --prompt 'The whale' -n 64 --guess 0

With --chat and no --prompt, each line of the terminal or of standard input is what the user says,
and every answer regards all that was said before, to the bit as if it were asked at once; /reset
forgets it, /quit ends.

Where the text repeats itself, what follows is guessed and computed together, as if it came token
by token: not a bit of any logit depends on --guess.

The same model, prompt, flags and seed give the same text, on any number of threads. The file is
mapped: when another program changes it meanwhile, the command says so and ends with exit code 4.";

/// Continue a prompt
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    model: ModelFile,

    /// The text to continue or, with --chat, what the user says
    #[arg(long, value_name = "TEXT", required_unless_present = "chat")]
    prompt: Option<String>,

    /// Put the prompt into the model's own chat template; without one, hold a conversation
    #[arg(long)]
    chat: bool,

    /// What the system says first
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,

    /// Tokens to generate at most, for each answer
    #[arg(short = 'n', long, value_name = "N", default_value = "128")]
    max_tokens: usize,

    /// Tokens to guess at most, where the text repeats itself; 0 computes one by one
    #[arg(long, value_name = "N", default_value = "7")]
    guess: usize,

    #[command(flatten)]
    choosing: Choosing,

    #[command(flatten)]
    computing: Computing,
}

/// How the next token is chosen.
#[derive(clap::Args)]
struct Choosing {
    /// 0 takes the most likely token; the higher, the more surprising
    #[arg(long, value_name = "T", default_value = "0")]
    temperature: f32,

    /// Choose among this many; 0 is all
    #[arg(long, value_name = "K", default_value = "0")]
    top_k: usize,

    /// Choose among the most likely whose probabilities reach this together
    #[arg(long, value_name = "P", default_value = "1")]
    top_p: f32,

    /// Where the random sequence starts
    #[arg(long, value_name = "N", env = "BITNET_SEED", default_value = "0")]
    seed: u64,

    /// Accepted, and always the case: nothing here depends on chance but the seed
    #[arg(
        long,
        env = "BITNET_DETERMINISTIC",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL",
        value_parser = switch
    )]
    deterministic: Option<bool>,
}

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Stop {
    /// The model said that it is done.
    EndToken,
    /// As many tokens as were asked for.
    MaxTokens,
    /// No position is left.
    Context,
    /// Standard output was closed.
    ReaderGone,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let path = &args.model.path;
    args.model.roles()?;
    let sampler = args.choosing.sampler()?;
    let model = args.computing.open(&args.model, process::map_or_read())?;
    let tokenizer = model.tokenizer().ok_or_else(|| {
        Failure::input("the model has no vocabulary, so it can neither read nor write text")
    })?;
    let most = model.config().context_length;
    let writer = |positions| {
        Ok::<_, Failure>(Writer {
            session: args.computing.session(&model, positions)?,
            tokenizer,
            sampler,
            guesses: Guesses::of_up_to(args.guess),
            ahead: VecDeque::new(),
            stream: TextStream::default(),
            shown: String::new(),
            silent: args.model.json.takes_stdout(),
        })
    };
    let prompt = match (&args.prompt, args.chat) {
        (None, _) => {
            let context = args.computing.context.unwrap_or(most);
            let turns = Talk::new(&args, writer(context)?, context).hold()?;
            model.stamp().still_holds(path)?;
            let model = path.display().to_string();
            let report = json!({ "model": model, "turns": turns });
            args.model.json.write(&report)?;
            return Ok(Exit::Agrees);
        }
        (Some(said), true) => {
            let mut messages = conversation::system(&args);
            messages.push(message("user", said));
            conversation::prompt(tokenizer, &messages)?
        }
        (Some(text), false) => tokenizer.encode(text, true, true),
    };
    if prompt.is_empty() {
        return Err(Failure::input("the prompt has no tokens"));
    }
    let needed = prompt
        .len()
        .saturating_add(args.max_tokens)
        .min(most.max(prompt.len()));
    let mut writer = writer(needed)?;
    let started = Instant::now();
    let first = writer.read(&prompt, needed - prompt.len())?;
    let read = started.elapsed();
    let started = Instant::now();
    let (tokens, stop) = writer.write(first, args.max_tokens)?;
    let wrote = started.elapsed();
    let text = writer.finish()?;
    model.stamp().still_holds(path)?;
    let fared = writer.guesses.fared();
    output::tell(speeds(prompt.len(), read, tokens.len(), wrote, fared, stop));
    args.model.json.write(&json!({
        "model": path.display().to_string(),
        "prompt_tokens": prompt,
        "tokens": tokens,
        "text": text,
        "stop": stop,
        "guesses": fared,
    }))?;
    Ok(Exit::Agrees)
}

impl Choosing {
    fn sampler(&self) -> Result<Sampler, Failure> {
        let sampling = Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            seed: self.seed,
        };
        Ok(Sampler::new(sampling)?)
    }
}

/// Tokens from which on the head is screened: the copy took 0.45 s where every token was 10 ms
/// shorter with it, so this is twice what makes up for it.
const WORTH_A_SCREEN: usize = 96;

/// Feeds a session with its own choices.
struct Writer<'m> {
    session: Session<'m>,
    tokenizer: &'m Tokenizer,
    sampler: Sampler,
    guesses: Guesses,
    /// Tokens that were guessed and computed and not chosen yet, and the logits behind each.
    ahead: VecDeque<(Token, Vec<f32>)>,
    stream: TextStream,
    shown: String,
    silent: bool,
}

impl Writer<'_> {
    /// Reads the prompt and returns what may come next. The head is screened for a text that is
    /// long enough to make up for the time that takes.
    fn read(&mut self, prompt: &[Token], most: usize) -> Result<Ranked, Failure> {
        let waiting = progress::spinner("reading the prompt");
        self.ahead.clear();
        prompt
            .iter()
            .for_each(|&token| self.guesses.remember(token));
        let ranked = self.feed(prompt)?;
        if most >= WORTH_A_SCREEN && self.sampler.wanted().is_some() {
            self.session.screen();
        }
        waiting.finish_and_clear();
        Ok(ranked)
    }

    /// The likeliest tokens behind these, as many as decide the choice.
    fn feed(&mut self, tokens: &[Token]) -> Result<Ranked, EvalError> {
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

    /// The likeliest tokens behind the one that was chosen, where `left` more are wanted: they are
    /// there already if it was guessed, or are computed, perhaps with a guess of what follows.
    fn behind(&mut self, token: Token, left: usize) -> Result<Ranked, EvalError> {
        self.guesses.remember(token);
        match self.ahead.pop_front() {
            Some((guessed, logits)) if guessed == token => {
                self.guesses.was_right();
                return Ok(self.ranked(&logits));
            }
            Some(_) => {
                let wrong = 1 + self.ahead.len();
                self.ahead.clear();
                self.session.truncate(self.session.len() - wrong);
                self.guesses.were_wrong(wrong);
            }
            None => {}
        }
        let room = self.session.room().min(left).saturating_sub(1);
        let guess = self.guesses.next(room);
        let fed: Vec<Token> = [token].into_iter().chain(guess).collect();
        if fed.len() > 1
            && let Ok(logits) = self.session.feed_each(&fed)
        {
            let (first, rest) = logits.split_at(logits.len() / fed.len());
            let rows = rest.chunks_exact(first.len()).map(<[f32]>::to_vec);
            self.ahead.extend(fed.into_iter().skip(1).zip(rows));
            return Ok(self.ranked(first));
        }
        self.feed(&[token])
    }

    /// Chooses, shows and feeds token after token.
    fn write(&mut self, mut ranked: Ranked, most: usize) -> Result<(Vec<Token>, Stop), Failure> {
        let mut tokens = Vec::new();
        while tokens.len() < most {
            let token = self.sampler.choose(&ranked);
            if self.tokenizer.is_end(token) {
                return Ok((tokens, Stop::EndToken));
            }
            tokens.push(token);
            let text = self.stream.push(&self.tokenizer.piece(token, false));
            if self.show(&text)? == Reader::Closed {
                return Ok((tokens, Stop::ReaderGone));
            }
            if tokens.len() == most {
                break;
            }
            ranked = match self.behind(token, most - tokens.len()) {
                Err(EvalError::ContextFull { .. }) => return Ok((tokens, Stop::Context)),
                fed => fed?,
            };
        }
        Ok((tokens, Stop::MaxTokens))
    }

    fn show(&mut self, text: &str) -> Result<Reader, Failure> {
        self.shown.push_str(text);
        if self.silent || text.is_empty() {
            return Ok(Reader::Listening);
        }
        output::put(text.as_bytes())
    }

    /// Ends the line and returns all that was shown of this text.
    fn finish(&mut self) -> Result<String, Failure> {
        let rest = std::mem::take(&mut self.stream).finish();
        self.show(&rest)?;
        if !self.silent {
            output::put(b"\n")?;
        }
        Ok(std::mem::take(&mut self.shown))
    }
}

fn speeds(
    prompt: usize,
    read: Duration,
    written: usize,
    wrote: Duration,
    fared: Fared,
    stop: Stop,
) -> String {
    let rate = |tokens: usize, time: Duration| tokens as f64 / time.as_secs_f64().max(1e-9);
    let why = match stop {
        Stop::EndToken => "the model ended its text",
        Stop::MaxTokens => "as many as asked for",
        Stop::Context => "the context is full",
        Stop::ReaderGone => "standard output was closed",
    };
    let guessed = if fared.guessed > 0 {
        format!(
            " ({} of {} guessed ones were right)",
            fared.right, fared.guessed
        )
    } else {
        String::new()
    };
    format!(
        "read {prompt} tokens at {:.1} tokens/s, wrote {written} at {:.1} tokens/s{guessed}: {why}",
        rate(prompt, read),
        rate(written, wrote)
    )
}
