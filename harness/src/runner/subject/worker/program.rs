//! An engine that is a program: started anew for each prompt, told by words of its command line
//! where the logits go.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use engine::Token;

use super::child::{end_like, shell};
use super::{About, Asked, Engine};
use crate::case::ability::Ability;
use crate::case::observation::Lane;
use crate::case::schedule::{Schedule, Step};
use crate::io::output::quoted;
use crate::reference::isolation::{Channel, Shown, Stop};
use crate::runner::Followed;
use crate::runner::subject::saved_files;

/// A command line with places for what changes.
pub struct Program {
    template: String,
    scratch: PathBuf,
    model: PathBuf,
}

/// The words in braces, and what stands there when it runs.
pub const PLACES: &str = "{model} the file; {tokens} ids with commas between, or {tokens_file} a \
                          file of them; {logits} a .npy to write, or {logits.safetensors}, \
                          {logits.f32}; {trace} a .safetensors of nodes to write; {lane} prefill \
                          or decode; {ubatch} tokens together at most; {threads}";

const LOGITS: [(&str, &str); 3] = [
    ("{logits}", "logits.npy"),
    ("{logits.safetensors}", "logits.safetensors"),
    ("{logits.f32}", "logits.f32"),
];

impl Program {
    /// A command line as it was typed.
    pub fn parse(words: &str, scratch: &Path) -> Result<Self, Stop> {
        let has = |place: &str| words.contains(place);
        let given = has("{tokens}") || has("{tokens_file}");
        if !given || !LOGITS.iter().any(|(place, _)| has(place)) {
            return Err(Stop::Refused(format!(
                "cmd: {words}: no place for the ids and the logits; there are {PLACES}"
            )));
        }
        Ok(Program {
            template: words.to_owned(),
            scratch: scratch.to_owned(),
            model: PathBuf::new(),
        })
    }

    fn logits(&self) -> (&'static str, PathBuf) {
        let own = LOGITS
            .iter()
            .find(|(place, _)| self.template.contains(place));
        let (place, file) = own.expect("one of them, which was checked");
        (place, self.scratch.join(file))
    }

    /// The command line with everything in its place.
    fn line(&self, tokens: &[Token], lane: Lane, schedule: &Schedule) -> Result<String, Stop> {
        let ids: Vec<String> = tokens.iter().map(Token::to_string).collect();
        let list = self.scratch.join("tokens.txt");
        std::fs::write(&list, ids.join("\n") + "\n")?;
        let (place, logits) = self.logits();
        let path = |path: &Path| quoted(&path.to_string_lossy());
        let line = self
            .template
            .replace("{model}", &path(&self.model))
            .replace("{tokens}", &ids.join(","))
            .replace("{tokens_file}", &path(&list))
            .replace(place, &path(&logits))
            .replace("{trace}", &path(&self.trace()))
            .replace("{lane}", lane.name())
            .replace("{ubatch}", &schedule.ubatch.to_string())
            .replace("{threads}", &schedule.threads.to_string());
        Ok(line)
    }

    fn trace(&self) -> PathBuf {
        self.scratch.join("trace.safetensors")
    }

    /// Runs it to its end. How it ends badly is how this process ends.
    fn run(&self, line: &str) -> Result<(), Stop> {
        let status = shell(line).stdin(Stdio::null()).status()?;
        if status.success() {
            return Ok(());
        }
        end_like(status)
    }
}

impl Engine for Program {
    fn about(&self) -> About {
        let first = self.template.split_whitespace().next().unwrap_or_default();
        let name = Path::new(first).file_name().unwrap_or_default();
        let mut offered = vec![Ability::Prefill, Ability::Rows];
        if self.template.contains("{lane}") {
            offered.push(Ability::Decode);
        }
        if self.template.contains("{trace}") {
            offered.push(Ability::Nodes);
        }
        About {
            name: name.to_string_lossy().into_owned(),
            profile: None,
            offered,
            print: self.template.clone(),
        }
    }

    fn open(&mut self, model: &Path, _: &mut Channel) -> Result<(), Stop> {
        self.model = std::path::absolute(model)?;
        Ok(())
    }

    fn follow(&mut self, asked: &Asked, _: &mut Channel) -> Result<Followed, Stop> {
        let (tokens, lane) = whole(&asked.schedule)?;
        if !asked.replaced.is_empty() {
            return Err(Stop::Refused("a program takes no other nodes".into()));
        }
        let (_, logits) = self.logits();
        for old in [&logits, &self.trace()] {
            let _ = std::fs::remove_file(old); // there may be none
        }
        let line = self.line(&tokens, lane, &asked.schedule)?;
        self.run(&line)?;
        let refused = |why: String| Stop::Refused(format!("after {line}: {why}"));
        let length = std::fs::metadata(&logits).map_or(0, |m| m.len()) as usize;
        let shape = [tokens.len(), length / 4 / tokens.len().max(1)];
        let read = |path: &Path| {
            let read = saved_files::read(path, lane, &shape);
            read.map(|(_, contents)| contents)
        };
        let mut contents = read(&logits).map_err(|e| refused(e.to_string()))?;
        let rows = contents.lanes.remove(&lane);
        let rows = rows.ok_or_else(|| refused("there are no logits of that lane".into()))?;
        let count = rows.values.len() / rows.width;
        if count != tokens.len() {
            let expected = tokens.len();
            return Err(refused(format!(
                "{count} rows of logits, expected {expected}, one for each id"
            )));
        }
        let mut nodes = contents.nodes;
        if asked.shown != Shown::Nothing && self.template.contains("{trace}") {
            nodes.extend(
                read(&self.trace())
                    .map_err(|e| refused(e.to_string()))?
                    .nodes,
            );
        }
        nodes.retain(|node| asked.shown.has(&node.key));
        Ok(Followed {
            named: Vec::new(),
            rows: kept(&rows.values, rows.width, asked.schedule.only.as_deref()),
            vocab_size: rows.width,
            nodes,
        })
    }
}

/// The prompt and its lane, where a schedule is that and nothing else.
fn whole(schedule: &Schedule) -> Result<(Vec<Token>, Lane), Stop> {
    let fed = |step: &Step| match step {
        Step::Feed(tokens) => Some(tokens.clone()),
        _ => None,
    };
    let fed: Option<Vec<Vec<Token>>> = schedule.steps.iter().map(fed).collect();
    match fed.as_deref() {
        Some([prompt]) if prompt.len() != 1 => Ok((prompt.clone(), Lane::Prefill)),
        Some(steps) if steps.iter().all(|step| step.len() == 1) => {
            Ok((steps.concat(), Lane::Decode))
        }
        _ => Err(Stop::Refused(
            "a program computes a prompt in one go or token by token and nothing else".into(),
        )),
    }
}

/// The rows that a schedule hands out.
fn kept(rows: &[f32], width: usize, only: Option<&[usize]>) -> Vec<f32> {
    match only {
        None => rows.to_vec(),
        Some(only) => only
            .iter()
            .filter_map(|row| rows.get(row * width..(row + 1) * width))
            .flatten()
            .copied()
            .collect(),
    }
}
