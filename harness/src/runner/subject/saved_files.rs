//! Files with logits, as other programs write them, into rows.

use std::collections::BTreeMap;
use std::path::Path;

use engine::Token;
use engine::encoding::float::Float;
use serde::Deserialize;

use crate::case::observation::{Lane, TracedNode};
use crate::exit::Failure;
use crate::file::provenance::Input;
use crate::io::array::Array;
use crate::io::kl_base::{self, KlBase};

/// Rows of logits, or of what they name.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Row-major.
    pub values: Vec<f32>,
    /// Length of a row.
    pub width: usize,
    /// The tokens of each row, where it is not the whole vocabulary.
    pub named: Vec<Vec<Token>>,
    /// The positions, where the file says which they are.
    pub positions: Option<Vec<usize>>,
    /// Whether they are log-probabilities that were kept in 16 bits.
    pub sixteen_bits: bool,
}

/// What one file holds.
#[derive(Debug, Default)]
pub struct Contents {
    /// Logits, by lane.
    pub lanes: BTreeMap<Lane, Rows>,
    /// Nodes by their keys.
    pub nodes: Vec<TracedNode>,
    /// The prompt's ids, where the file has them.
    pub tokens: Option<Vec<Token>>,
}

/// A line of a file of the most likely tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// The position; that of the line, if none is given.
    position: Option<usize>,
    /// Pairs of a token and the natural logarithm of its probability.
    top: Vec<(Token, f32)>,
}

/// Reads one file, whose logits are of `lane` unless it says otherwise.
pub fn read(path: &Path, lane: Lane, shape: &[usize]) -> Result<(Input, Contents), Failure> {
    let (input, bytes) = Input::read(path)?;
    let wrong = |why: String| Failure::input(format!("{}: {why}", path.display()));
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let mut contents = Contents::default();
    match &*extension {
        "npy" => {
            let array = Array::from_npy(&bytes).map_err(wrong)?;
            contents.lanes.insert(lane, rows(array).map_err(wrong)?);
        }
        "safetensors" => {
            let types = [Float::F32, Float::F16, Float::Bf16];
            let arrays = Array::in_order(&bytes, &types).map_err(wrong)?;
            contents.sort(arrays, lane).map_err(wrong)?;
        }
        "jsonl" => {
            let rows = top(&String::from_utf8_lossy(&bytes)).map_err(wrong)?;
            contents.lanes.insert(lane, rows);
        }
        "kld" => {
            let base = KlBase::parse(&bytes).map_err(wrong)?;
            contents.lanes.insert(lane, kept(&base).map_err(wrong)?);
            contents.tokens = Some(base.head.tokens);
        }
        _ if shape.is_empty() => {
            let known = "npy, safetensors, jsonl or kld; with --subject-shape ROWS,VOCAB it is raw \
                         f32";
            let shown = path.display();
            return Err(wrong(format!(
                "its name says no format: expected {known}; a program is `cmd: {shown} …`, a \
                 shared library `lib:{shown}`"
            )));
        }
        _ => {
            let array = Array::from_raw(&bytes, shape).map_err(wrong)?;
            contents.lanes.insert(lane, rows(array).map_err(wrong)?);
        }
    }
    Ok((input, contents))
}

impl Contents {
    /// Arrays called `logits`, `prefill` or `decode` are logits, the others nodes.
    fn sort(&mut self, arrays: Vec<(String, Array)>, lane: Lane) -> Result<(), String> {
        let only = arrays.len() == 1;
        for (key, array) in arrays {
            let named = match &key[..] {
                "logits" => Some(lane),
                "prefill" => Some(Lane::Prefill),
                "decode" => Some(Lane::Decode),
                _ if only && !key.contains('|') => Some(lane),
                _ => None,
            };
            match named {
                Some(lane) => _ = self.lanes.insert(lane, rows(array)?),
                None => self.nodes.push(TracedNode {
                    key,
                    shape: array.shape,
                    values: array.values,
                }),
            }
        }
        Ok(())
    }
}

/// The rows of a file of llama-perplexity: of one chunk, as one prompt is judged.
fn kept(base: &KlBase<'_>) -> Result<Rows, String> {
    let (chunks, length) = (base.head.chunks(), base.head.length);
    if chunks != 1 {
        return Err(format!(
            "it holds {chunks} chunks, and one prompt is judged: expected 1; \
             `harness kl MODEL --kl-base FILE` reads all of them"
        ));
    }
    let rows = base.chunk(0)?;
    let values = rows.iter().flat_map(|row| row.log_probabilities());
    Ok(Rows {
        values: values.collect(),
        width: base.head.vocab_size,
        named: Vec::new(),
        positions: Some(kl_base::counted(length).collect()),
        sixteen_bits: true,
    })
}

fn rows(array: Array) -> Result<Rows, String> {
    let width = match array.shape[..] {
        [_, width] | [1, _, width] if width > 0 => width,
        _ => {
            let shape = &array.shape;
            return Err(format!(
                "the shape is {shape:?}: expected [positions, vocabulary]"
            ));
        }
    };
    Ok(Rows {
        values: array.values,
        width,
        named: Vec::new(),
        positions: None,
        sixteen_bits: false,
    })
}

/// Lines of JSON, each the most likely tokens of a position. All of them name as many.
fn top(text: &str) -> Result<Rows, String> {
    let mut found: BTreeMap<usize, Vec<(Token, f32)>> = BTreeMap::new();
    for (number, line) in text.lines().filter(|l| !l.trim().is_empty()).enumerate() {
        let like = r#"expected {"position": 0, "top": [[1022, -0.25], …]}"#;
        let at = |why: String| format!("line {}: {why}; {like}", number + 1);
        let line: Line = serde_json::from_str(line).map_err(|e| at(e.to_string()))?;
        let position = line.position.unwrap_or(number);
        if found.insert(position, line.top).is_some() {
            return Err(at(format!("position {position} was there before")));
        }
    }
    let width = found.values().map(Vec::len).min().unwrap_or(0);
    if width == 0 {
        return Err("a position names no token, or there is no line".into());
    }
    // The likeliest of each, as many as the shortest line has.
    let top = found.values_mut().map(|top| {
        top.sort_by(|a, b| b.1.total_cmp(&a.1));
        top.truncate(width);
        top.clone()
    });
    let top: Vec<_> = top.collect();
    Ok(Rows {
        values: top.iter().flatten().map(|(_, logprob)| *logprob).collect(),
        width,
        named: top
            .iter()
            .map(|row| row.iter().map(|(token, _)| *token).collect())
            .collect(),
        positions: Some(found.into_keys().collect()),
        sixteen_bits: false,
    })
}
