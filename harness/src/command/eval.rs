//! `harness eval`: all-position logits as a NumPy file, nodes as safetensors.

mod shown;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use engine::session::Wanted;
use engine::transformer::probe::Probe;
use engine::{Model, Session, Token};
use serde_json::json;

use self::shown::Likeliest;
use crate::command::finish::finish;
use crate::command::flags::{self, Computing, ModelFile};
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::io::atomic::Unfinished;
use crate::io::destination::Destination;
use crate::io::process::map_or_read;
use crate::io::safetensors::Trace;
use crate::io::{look, npy, output, progress};
use crate::judge::outcome::Outcome;

const EXAMPLE: &str = "\
Examples:
  harness eval model.gguf -p 'Call me Ishmael.'       # the likeliest tokens; -v: every node
  harness eval --model model.gguf --prompt 'Call me Ishmael.' --logits logits.npy
  harness eval --model model.gguf --tokens 1022,34,392 --ubatch 1 --logits decode.npy \\
      --trace decode.safetensors

The logits are float32, C order, (positions, vocabulary). The keys of the trace are
`name-layer|OPERATION#occurrence`, as in `attn_norm-0|MUL#0`. Where the prompt takes several
ubatches every node is there once for each, with `@` and the ubatch's first position behind it.
Nothing is written before all of it is known and the model was seen unchanged.";

/// Write or show the logits at every position of a prompt
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    model: ModelFile,

    #[command(flatten)]
    source: Source,

    /// Where the logits go, a NumPy file [default: the likeliest tokens are shown]
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,

    /// Where every node of the pass goes, a safetensors file
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    #[command(flatten)]
    computing: Computing,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The text; special tokens are added and read as the model asks
    #[arg(short, long, value_name = "TEXT", value_parser = flags::text)]
    prompt: Option<String>,

    /// Token ids, separated by commas
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    tokens: Vec<Token>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let to = |path: &PathBuf| Destination::Path(path.clone());
    args.model
        .roles()?
        .writes("--logits", args.logits.as_ref().map(to).as_ref())?
        .writes("--trace", args.trace.as_ref().map(to).as_ref())?;
    let waiting = progress::spinner("hashing the model");
    let storage = map_or_read();
    let (input, _) = Input::open(args.model.path()?, storage)?;
    waiting.finish_and_clear();
    let model = args.computing.open(&args.model, storage)?;
    input.is_stamped(&model.stamp())?;
    let tokens = args.source.tokens(&model)?;
    let mut session = args.computing.session(&model, tokens.len())?;
    let nodes_are_shown = args.logits.is_none() && look::is_verbose();
    let traces = args.trace.is_some() || nodes_are_shown;
    let mut trace = traces.then(Trace::default);
    let vocab_size = model.config().vocab_size;
    let shape = [tokens.len(), vocab_size];
    let mut rows = Rows::begin(args.logits.as_deref(), shape).map_err(Failure::environment)?;
    let ubatch = args.computing.ubatch;
    compute(&mut session, &tokens, ubatch, trace.as_mut(), &mut rows)?;
    input.still_holds()?;
    let (kernel, profile) = (model.kernel().name(), args.computing.profile.name());
    let (positions, nodes) = (tokens.len(), trace.as_ref().map_or(0, Trace::len));
    let ids: Vec<_> = tokens.iter().map(Token::to_string).collect();
    let about = BTreeMap::from([
        ("model_sha256", input.sha256.clone()),
        ("profile", profile.to_owned()),
        ("kernel", kernel.to_owned()),
        ("ubatch", ubatch.to_string()),
        ("tokens", ids.join(",")),
    ]);
    let mut text = String::new();
    if let Rows::Shown(_, rows) = &rows {
        text += &shown::positions(&model, &tokens, rows).render(output::width());
    }
    if let Some(trace) = trace.as_ref().filter(|_| nodes_are_shown) {
        text += &shown::nodes(trace).render(output::width());
    }
    let traced = args.trace.as_ref().zip(trace);
    write(rows, traced, &about).map_err(Failure::environment)?;
    text += &format!(
        "{positions} positions × {vocab_size} logits, {nodes} nodes; kernel {kernel}, profile \
         {profile}, ubatch {ubatch}\n"
    );
    let result = json!({
        "model": args.model.path()?.display().to_string(),
        "model_sha256": input.sha256,
        "tokens": tokens,
        "positions": positions,
        "vocab_size": vocab_size,
        "kernel": kernel,
        "profile": profile,
        "ubatch": ubatch,
        "nodes": nodes,
    });
    finish(Outcome::Ok, &text, &result, &args.model.json)
}

/// What becomes of the logits.
enum Rows {
    /// A file, which is not in its place yet.
    File(Unfinished),
    /// The likeliest tokens of every row of that length, to be shown.
    Shown(usize, Vec<Likeliest>),
}

impl Rows {
    fn begin(path: Option<&Path>, shape: [usize; 2]) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Rows::Shown(shape[1], Vec::new()));
        };
        let mut file = Unfinished::create(path)?;
        npy::write_header(&mut file, &shape)?;
        Ok(Rows::File(file))
    }

    fn take(&mut self, values: &[f32]) -> io::Result<()> {
        match self {
            Rows::File(file) => npy::write_values(file, values),
            Rows::Shown(length, rows) => {
                rows.extend(values.chunks(*length).map(shown::likeliest));
                Ok(())
            }
        }
    }
}

/// Both files are whole before one of them is in its place.
fn write(
    logits: Rows,
    traced: Option<(&PathBuf, Trace)>,
    about: &BTreeMap<&str, String>,
) -> io::Result<()> {
    let begin = |(path, trace): (&PathBuf, Trace)| {
        let mut file = Unfinished::create(path)?;
        trace.write(&mut file, about)?;
        file.flush()?;
        Ok::<_, io::Error>(file)
    };
    let traced = traced.map(begin).transpose()?;
    if let Rows::File(mut file) = logits {
        file.flush()?;
        file.commit()?;
    }
    traced.map_or(Ok(()), Unfinished::commit)
}

/// Feeds ubatch after ubatch, so that only one of them has its logits in memory.
fn compute(
    session: &mut Session,
    tokens: &[Token],
    ubatch: usize,
    mut trace: Option<&mut Trace>,
    logits: &mut Rows,
) -> Result<(), Failure> {
    let bar = progress::bar(tokens.len() as u64, "positions");
    for fed in tokens.chunks(ubatch) {
        let probe: &mut dyn Probe = match trace.as_deref_mut() {
            Some(trace) => {
                if tokens.len() > ubatch {
                    trace.starts_at(session.len());
                }
                trace
            }
            None => &mut (),
        };
        let rows = session.feed(fed, Wanted::All, probe)?;
        logits.take(&rows).map_err(Failure::environment)?;
        bar.inc(fed.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

impl Source {
    fn tokens(&self, model: &Model) -> Result<Vec<Token>, Failure> {
        let tokens = match &self.prompt {
            None => self.tokens.clone(),
            Some(prompt) => match model.tokenizer() {
                Some(tokenizer) => tokenizer.encode(prompt, true, true),
                None => return Err(Failure::input("the model has no vocabulary: use --tokens")),
            },
        };
        if tokens.is_empty() {
            return Err(Failure::input("the prompt has no tokens"));
        }
        Ok(tokens)
    }
}
