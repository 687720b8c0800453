//! `harness tokenize`: text to ids with the vocabulary inside a model.

use std::fmt::Write as _;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use engine::Token;
use engine::bytes::ModelBytes;
use engine::gguf::Gguf;
use engine::refusal::escape;
use engine::tokenizer::Tokenizer;
use serde::{Serialize, Serializer};

use crate::command::finish::finish;
use crate::command::flags::ModelFile;
use crate::exit::{Exit, Failure};
use crate::file::reading::Reading;
use crate::io::output::{self, Reader};
use crate::io::process::map_or_read;
use crate::judge::outcome::Outcome;

/// Stands for standard input where a file is read.
const STDIN: &str = "-";

const EXAMPLE: &str = "\
Examples:
  harness tokenize --model model.gguf --text 'Call me Ishmael.'
  harness tokenize --model model.gguf --file chapter.txt --no-special --json
  harness tokenize --model model.gguf --text Ahab --dialect bitnet.cpp
  printf '\"one\"\\n\"two\\\\nlines\"\\n' | harness tokenize --model model.gguf --jsonl

With --jsonl each line of standard input is one JSON string, and each line of the answer is the
JSON array of its ids, flushed at once. A line that is no JSON string ends the program with exit
code 2, after the answers to the lines before it.";

/// Turn text into token ids with a model's own vocabulary
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    model: ModelFile,

    #[command(flatten)]
    reading: Reading,

    #[command(flatten)]
    source: Source,

    /// Add what the model asks for and read special tokens in the text [default]
    #[arg(long, overrides_with = "no_special")]
    special: bool,

    /// Neither add special tokens nor read them in the text
    #[arg(long)]
    no_special: bool,

    /// Print one token a line, with the text it stands for
    #[arg(long, conflicts_with = "jsonl")]
    pieces: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The text
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,

    /// A file with the text; `-` is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Many texts from standard input, a JSON string a line
    #[arg(long, conflicts_with = "json")]
    jsonl: bool,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let path = args.model.path()?;
    let text = args.source.file.as_deref().filter(|file| *file != STDIN);
    let text = text.map(|file| ("--file", file));
    let (json, strictness) = (&args.model.json, args.model.strictness);
    json.beside(text.into_iter().chain([("--model", path)]))?;
    let (bytes, stamp) = ModelBytes::open(path, map_or_read())?;
    let gguf = Gguf::parse_as(bytes, args.reading.dialect)?;
    let tokenizer = Tokenizer::from_metadata(&gguf.metadata)?.ok_or_else(|| {
        Failure::input("the model says it has no vocabulary (no_vocab): only ids work with it")
    })?;
    strictness.refuse(gguf.warnings.iter().chain(tokenizer.warnings()))?;
    let special = !args.no_special;
    let encode = |text: &str| tokenizer.encode(text, special, special);
    if args.source.jsonl {
        each_line(io::stdin().lock(), encode)?;
        stamp.still_holds(path)?;
        return Ok(Exit::Agrees);
    }
    let tokens = encode(&args.source.read()?);
    stamp.still_holds(path)?;
    let shown = if args.pieces {
        table(&tokenizer, &tokens)
    } else {
        format!("{}\n", joined(&tokens, " "))
    };
    let result = Tokenized {
        pieces: Pieces(&tokenizer, &tokens),
        special,
        tokens: &tokens,
    };
    finish(Outcome::Ok, &shown, &result, json)
}

/// What `--json` writes.
#[derive(Serialize)]
struct Tokenized<'t> {
    pieces: Pieces<'t>,
    special: bool,
    tokens: &'t [Token],
}

/// The text of every token, which of a long text is in memory one by one.
struct Pieces<'t>(&'t Tokenizer, &'t [Token]);

impl Serialize for Pieces<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Pieces(tokenizer, tokens) = self;
        serializer.collect_seq(tokens.iter().map(|&token| {
            let piece = tokenizer.piece(token, true);
            String::from_utf8_lossy(&piece).into_owned()
        }))
    }
}

/// Ids as text.
fn joined(tokens: &[Token], between: &str) -> String {
    let mut text = String::new();
    for (index, token) in tokens.iter().enumerate() {
        let between = if index == 0 { "" } else { between };
        write!(text, "{between}{token}").expect("memory");
    }
    text
}

impl Source {
    fn read(&self) -> Result<String, Failure> {
        match (&self.text, &self.file) {
            (Some(text), _) => Ok(text.clone()),
            (None, Some(path)) => read_text(path),
            (None, None) => Err(Failure::input("give --text, --file or --jsonl")),
        }
    }
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let shown = escape(&path.display().to_string());
    let bytes = if path.as_os_str() == STDIN {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::stdin().lock(), &mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    let bytes = bytes.map_err(|e| Failure::environment(format!("{shown}: {e}")))?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::input(format!(
            "INVALID_UTF8: {shown}: byte {at} begins no character"
        ))
    })
}

/// Answers each line with a line. Stops when nobody reads the answers any more.
fn each_line(lines: impl BufRead, encode: impl Fn(&str) -> Vec<Token>) -> Result<(), Failure> {
    for (index, line) in lines.split(b'\n').enumerate() {
        let line = line.map_err(|e| Failure::environment(format!("standard input: {e}")))?;
        let text: String = serde_json::from_slice(&line).map_err(|e| {
            let number = index + 1;
            Failure::input(format!(
                "line {number} of standard input is no JSON string: {e}"
            ))
        })?;
        let ids = joined(&encode(&text), ",");
        if output::put(format!("[{ids}]\n").as_bytes())? == Reader::Closed {
            break;
        }
    }
    Ok(())
}

/// One token a line, with its bytes: as text as far as they are text, else as `\x` and two digits.
fn table(tokenizer: &Tokenizer, tokens: &[Token]) -> String {
    let mut text = String::new();
    for &token in tokens {
        write!(text, "{token:>8}  \"").expect("memory");
        for chunk in tokenizer.piece(token, true).utf8_chunks() {
            text.push_str(&escape(chunk.valid()));
            for byte in chunk.invalid() {
                write!(text, "\\x{byte:02x}").expect("memory");
            }
        }
        text.push_str("\"\n");
    }
    text
}
