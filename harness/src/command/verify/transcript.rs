//! `harness verify --transcript`: the tokens of a text, chosen again.

use std::path::Path;
use std::thread::available_parallelism;
use std::time::Instant;

use crate::command::finish::finish;
use crate::command::flags::Json;
use crate::command::selection::Selection;
use crate::exit::{Exit, Failure};
use crate::file::provenance::Input;
use crate::io::destination::FileRoles;
use crate::io::output;
use crate::oracle::transcript::Transcript;
use crate::runner::engine::open;

/// What a transcript says, held against the model.
pub fn verify(file: &Path, selection: &Selection, json: &Json) -> Result<Exit, Failure> {
    let path = selection.model.path()?;
    let roles = FileRoles::default().reads("--model", path);
    let roles = roles.reads("--transcript", file);
    roles.writes("--json", json.to.as_ref())?;
    let (_, bytes) = Input::read(file)?;
    let named = |why: Failure| Failure::input(format!("{}: {}", file.display(), why.message));
    let transcript = Transcript::read(&bytes).map_err(named)?;
    let (input, _) = Input::read(path)?;
    let model = open(&input, selection.reading, selection.kernel)?;
    let threads = available_parallelism().map_or(1, usize::from);
    let started = Instant::now();
    let found = transcript.verify(&model, &input.sha256, threads);
    let seconds = started.elapsed().as_secs_f64();
    let tokens = transcript.prompt_tokens.len() + transcript.tokens.len();
    let rate = tokens as f64 / seconds.max(1e-9);
    output::tell(format!(
        "{tokens} tokens in {seconds:.2} s, {rate:.1} tokens/s"
    ));
    finish(found.outcome(), &found.to_string(), &found, json)
}
