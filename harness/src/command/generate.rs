//! `harness generate`: text from a model, streamed.

mod conversation;
mod transcript;

use std::time::{Duration, Instant};

use engine::Token;
use engine::bytes::Storage;
use engine::chat::Chat;
use engine::generation::{self, Fared, Generation};
use engine::sampler::{Sampler, Sampling};
use engine::template::Message;
use engine::tokenizer::{TextStream, Tokenizer};
use serde_json::json;

use crate::command::flags::{self, Computing, ModelFile, switch};
use crate::exit::{Exit, Failure};
use crate::file::provenance::Hash;
use crate::io::destination::Destination;
use crate::io::output::{self, Reader};
use crate::io::process;
use crate::io::progress;
use crate::oracle::transcript::Stop;

use conversation::Talk;

const EXAMPLE: &str = "\
Examples:
  harness generate --model model.gguf --prompt 'Call me Ishmael.'
  harness generate --model instruct.gguf --chat --system 'Be brief.' --prompt 'Who are you?'
  printf 'Who are you?\\nWhat did I ask?\\n' | harness generate --model instruct.gguf --chat -n 16
  harness generate --model model.gguf --prompt 'The whale' --temperature 0.8 --top-k 40 --seed 7
  harness generate --model model.gguf --prompt 'The whale' -n 64 --guess 0
  harness generate --model model.gguf --prompt 'The whale' --receipt text.json

With --chat and no --prompt, each line of the terminal or of standard input is what the user says,
and every answer regards all that was said before, to the bit as if it were asked at once; /reset
forgets it, /quit ends.

Where the text repeats itself, what follows is guessed and computed together, as if it came token
by token: not a bit of any logit depends on --guess.

With --receipt, `harness verify --model model.gguf --transcript text.json` chooses every token
again, computed together, which takes as long as reading a prompt of that length.

The same model, prompt, flags and seed give the same text, on any number of threads. The file is
mapped: when another program changes it meanwhile, the command says so and ends with exit code 4.";

/// Continue a prompt
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    model: ModelFile,

    /// The text to continue or, with --chat, what the user says
    #[arg(short, long, value_name = "TEXT", required_unless_present = "chat")]
    #[arg(value_parser = flags::text)]
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

    /// Write what was asked and what came, with all that made it, for `verify --transcript`
    #[arg(long, value_name = "FILE|-", requires = "prompt")]
    receipt: Option<Destination>,

    /// Compute the tokens of the prompt one by one as well, so that not a bit depends on --ubatch
    #[arg(long, requires = "prompt")]
    canonical: bool,

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

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let path = args.model.path()?;
    let roles = args.model.roles()?;
    roles.writes("--receipt", args.receipt.as_ref())?;
    let sampling = args.choosing.sampling();
    Sampler::new(sampling.clone())?;
    let model = args.computing.open(&args.model, args.storage())?;
    let tokenizer = model.tokenizer().ok_or_else(|| {
        Failure::input("the model has no vocabulary, so it can neither read nor write text")
    })?;
    let most = model.config().context_length;
    let writer = Writer {
        tokenizer,
        silent: args.model.json.takes_stdout() || args.receipt == Some(Destination::Stdout),
    };
    let prompt = match (&args.prompt, args.chat) {
        (None, _) => {
            let context = args.computing.context.unwrap_or(most);
            let session = args.computing.session(&model, context)?;
            let chat = Chat::new(session, sampling);
            let turns = Talk::new(&args, &model, chat, writer).hold()?;
            model.stamp().still_holds(path)?;
            let model = path.display().to_string();
            let report = json!({ "model": model, "turns": turns });
            args.model.json.write(&report)?;
            return Ok(Exit::Agrees);
        }
        (Some(said), true) => {
            let mut messages = conversation::system(&args);
            messages.push(Message::new("user", said));
            conversation::prompt(&model, &messages)?
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
    let mut session = args.computing.session(&model, needed)?;
    session.take_one_by_one(args.canonical);
    let options = args.options(&session);
    let started = Instant::now();
    let waiting = progress::spinner(READING);
    let mut generation = session.generate(&prompt, &sampling)?;
    waiting.finish_and_clear();
    screen(&mut generation, needed - prompt.len());
    let read = started.elapsed();
    let started = Instant::now();
    let generation = generation.at_most(args.max_tokens).guessing(args.guess);
    let written = writer.write(generation)?;
    let wrote = started.elapsed();
    model.stamp().still_holds(path)?;
    output::tell(speeds(prompt.len(), read, &written, wrote));
    args.keep(&model, &prompt, options, &written)?;
    let Fared { guessed, right } = written.fared;
    args.model.json.write(&json!({
        "model": path.display().to_string(),
        "prompt_tokens": prompt,
        "tokens": written.tokens,
        "text": written.text,
        "stop": written.stop,
        "guesses": { "guessed": guessed, "right": right },
    }))?;
    Ok(Exit::Agrees)
}

impl Args {
    /// The file's own pages for a short answer, a copy in large pages for what reads them often.
    fn storage(&self) -> Storage {
        if self.prompt.is_none() || self.max_tokens >= WORTH_A_COPY {
            Storage::Read
        } else {
            process::map_or_read()
        }
    }
}

/// Tokens from which on the file is copied: 0.3 s for 1.2 GB and, where memory is scattered, a few
/// seconds more, after which a token took 10 ms less.
const WORTH_A_COPY: usize = 256;

impl Choosing {
    fn sampling(&self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            seed: self.seed,
        }
    }
}

/// Tokens from which on the head is screened: the copy took 0.45 s where every token was 10 ms
/// shorter with it, so this is twice what makes up for it.
const WORTH_A_SCREEN: usize = 96;

/// Screens the head for a text that is long enough to make up for the time that takes.
fn screen(generation: &mut Generation<'_>, most: usize) {
    if most >= WORTH_A_SCREEN {
        generation.screen();
    }
}

/// What the waiting is for.
const READING: &str = "reading the prompt";

/// Shows a text as it comes.
struct Writer<'m> {
    tokenizer: &'m Tokenizer,
    silent: bool,
}

/// A text, and why it ended.
struct Written {
    tokens: Vec<Token>,
    text: String,
    stop: Stop,
    fared: Fared,
    /// SHA-256 of the logits that the tokens had.
    logits: String,
}

impl Writer<'_> {
    /// All of it, and the end of its line.
    fn write(&self, mut generation: Generation<'_>) -> Result<Written, Failure> {
        let (mut tokens, mut text) = (Vec::new(), String::new());
        let (mut stream, mut digest) = (TextStream::default(), Hash::default());
        let mut reader = Reader::Listening;
        while reader == Reader::Listening
            && let Some(token) = generation.next().transpose()?
        {
            tokens.push(token);
            digest.add(generation.logit().as_slice());
            let piece = stream.push(&self.tokenizer.piece(token, false));
            reader = self.show(&piece)?;
            text += &piece;
        }
        let rest = stream.finish();
        self.show(&rest)?;
        text += &rest;
        if !self.silent {
            output::put(b"\n")?;
        }
        let stop = generation.stop().map_or(Stop::ReaderGone, Stop::from);
        Ok(Written {
            tokens,
            text,
            stop,
            fared: generation.fared(),
            logits: digest.hex(),
        })
    }

    fn show(&self, text: &str) -> Result<Reader, Failure> {
        if self.silent || text.is_empty() {
            return Ok(Reader::Listening);
        }
        output::pass_on(text)
    }
}

impl From<generation::Stop> for Stop {
    fn from(stop: generation::Stop) -> Self {
        match stop {
            generation::Stop::EndToken => Stop::EndToken,
            generation::Stop::MaxTokens => Stop::MaxTokens,
            generation::Stop::Context => Stop::Context,
        }
    }
}

fn speeds(prompt: usize, read: Duration, written: &Written, wrote: Duration) -> String {
    let rate = |tokens: usize, time: Duration| tokens as f64 / time.as_secs_f64().max(1e-9);
    let why = match written.stop {
        Stop::EndToken => "the model ended its text",
        Stop::MaxTokens => "as many as asked for",
        Stop::Context => "the context is full",
        Stop::ReaderGone => "standard output was closed",
    };
    let (count, Fared { guessed, right }) = (written.tokens.len(), written.fared);
    let guesses = if guessed > 0 {
        format!(" ({right} of {guessed} guessed ones were right)")
    } else {
        String::new()
    };
    format!(
        "read {prompt} tokens at {:.1} tokens/s, wrote {count} at {:.1} tokens/s{guesses}: {why}",
        rate(prompt, read),
        rate(count, wrote)
    )
}
