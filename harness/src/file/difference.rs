//! What sets two model files apart: their keys, and of each tensor what happened to its values.

mod values;

use std::collections::BTreeMap;
use std::fmt;

use engine::gguf::{Gguf, TensorInfo, Value};
use engine::kernels::Kernel;
use engine::matrix::Matrix;
use serde::Serialize;

use crate::file::key::Key;
use crate::numbers::metrics::{Distance, same_bits};
use values::{Content, compare};

const ARCHITECTURE: &str = "general.architecture";

/// All that differs between two files, the first being the one that is believed.
#[derive(Debug, Clone, Serialize)]
pub struct Differences {
    /// Keys that differ, in the order of the first file.
    pub keys: Vec<KeyDifference>,
    /// Tensors that differ, in the order of the first file.
    pub tensors: Vec<TensorDifference>,
    /// Tensors that are there in both, with the same values.
    pub equal_tensors: usize,
}

/// One key that is not the same; of an array, its first element that is not.
#[derive(Debug, Clone, Serialize)]
pub struct KeyDifference {
    /// Its name.
    pub key: String,
    /// What the first file has.
    pub first: Option<Key>,
    /// What the second file has.
    pub second: Option<Key>,
    /// Whether an engine reads it: `general.` only describes, but for the architecture.
    pub is_read: bool,
}

/// One tensor that is not the same.
#[derive(Debug, Clone, Serialize)]
pub struct TensorDifference {
    /// Its name.
    pub name: String,
    /// What happened to it.
    #[serde(flatten)]
    pub change: Change,
}

/// What sets a tensor of the second file apart from that of the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// The second file lacks it.
    Missing,
    /// Only the second file has it.
    Added,
    /// Other dimensions.
    Reshaped {
        /// In the first file.
        first: Vec<u64>,
        /// In the second.
        second: Vec<u64>,
    },
    /// Written otherwise, with the same values.
    Rewritten {
        /// In the first file.
        first: &'static str,
        /// In the second.
        second: &'static str,
    },
    /// Holds what the first file has under another name.
    Exchanged {
        /// That name.
        with: String,
    },
    /// The same rows in another order.
    RowsMoved {
        /// Rows that are not where they were.
        moved: usize,
        /// All of them.
        rows: usize,
    },
    /// Every value is the first file's times the same factor.
    Scaled {
        /// The factor.
        factor: f64,
    },
    /// The same magnitudes with other signs.
    Negated {
        /// Values with another sign.
        negated: usize,
        /// All values that have one.
        signed: usize,
    },
    /// Other values.
    Changed {
        /// Rows in which they are.
        rows: usize,
        /// Row and column of the first.
        at: [usize; 2],
        /// What the two files have there.
        values: [f32; 2],
        /// How far apart all of them are.
        distance: Distance,
    },
    /// Other bytes, which at least one file has no values for.
    Unreadable {
        /// Why.
        because: String,
    },
}

impl Change {
    /// Whether a computation can notice.
    pub fn computes_otherwise(&self) -> bool {
        !matches!(self, Change::Rewritten { .. })
    }
}

impl Differences {
    /// Compares two files tensor by tensor. `progress` is told how many were looked at, and of how
    /// many.
    pub fn between(first: &Gguf, second: &Gguf, progress: &mut dyn FnMut(u64, u64)) -> Self {
        let mut found = Differences {
            keys: keys(first, second),
            tensors: Vec::new(),
            equal_tensors: 0,
        };
        let mut contents = Vec::new();
        let total = first.tensors.len() as u64;
        for (done, one) in first.tensors.iter().enumerate() {
            let change = match second.tensors.get(&one.name) {
                None => Some(Change::Missing),
                Some(other) => tensor([first, second], [one, other], &mut contents),
            };
            match change {
                None => found.equal_tensors += 1,
                Some(change) => found.add(&one.name, change),
            }
            progress(done as u64 + 1, total);
        }
        let added = second.tensors.iter().map(|tensor| &tensor.name);
        for name in added.filter(|name| first.tensors.get(name).is_none()) {
            found.add(name, Change::Added);
        }
        found.name_exchanged(&contents);
        found
    }

    /// Whether anything differs that a computation can notice.
    pub fn compute_otherwise(&self) -> bool {
        let read = self.keys.iter().any(|key| key.is_read);
        read || self.tensors.iter().any(|t| t.change.computes_otherwise())
    }

    fn add(&mut self, name: &str, change: Change) {
        let name = name.to_owned();
        self.tensors.push(TensorDifference { name, change });
    }

    /// Tensors whose values are those of another tensor of the first file.
    fn name_exchanged(&mut self, contents: &[Content]) {
        let first: BTreeMap<_, _> = contents.iter().map(|c| (c.hashes[0], &c.name)).collect();
        for tensor in &mut self.tensors {
            let content = contents.iter().find(|content| content.name == tensor.name);
            let other = content.and_then(|content| first.get(&content.hashes[1]));
            if let Some(with) = other.filter(|&&name| *name != tensor.name) {
                let with = (*with).clone();
                tensor.change = Change::Exchanged { with };
            }
        }
    }
}

/// Whether two values are equal, wherever in their files they stand.
fn same(one: Value<'_>, other: Value<'_>) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            let alike = one.element_type == other.element_type && one.len == other.len;
            alike
                && one
                    .values()
                    .zip(other.values())
                    .all(|(one, other)| same(one, other))
        }
        _ => one == other,
    }
}

/// Keys of the two architectures count as the same: their names differ wherever that does.
fn keys(first: &Gguf, second: &Gguf) -> Vec<KeyDifference> {
    let architecture = |gguf: &Gguf| {
        let name = gguf.metadata.string(ARCHITECTURE).ok().flatten();
        name.map(|name| format!("{name}."))
    };
    let [ours, theirs] = [first, second].map(architecture);
    let renamed = |key: &str, from: &Option<String>, to: &Option<String>| {
        let rest = from.as_ref().and_then(|from| key.strip_prefix(from));
        let renamed = rest
            .zip(to.as_ref())
            .map(|(rest, to)| format!("{to}{rest}"));
        renamed.unwrap_or_else(|| key.to_owned())
    };
    let known = first.metadata.iter().filter_map(|(key, value)| {
        let other = second.metadata.get(&renamed(key, &ours, &theirs));
        KeyDifference::between(key, Some(value), other)
    });
    let added = second.metadata.iter().filter_map(|(key, value)| {
        let other = first.metadata.get(&renamed(key, &theirs, &ours));
        let added = other.is_none().then_some(value)?;
        KeyDifference::between(key, None, Some(added))
    });
    known.chain(added).collect()
}

impl KeyDifference {
    fn between(key: &str, first: Option<Value<'_>>, second: Option<Value<'_>>) -> Option<Self> {
        if first
            .zip(second)
            .is_some_and(|(one, other)| same(one, other))
        {
            return None;
        }
        let difference = |shown: &str, first: Option<Value<'_>>, second: Option<Value<'_>>| {
            let side = |value| Key::of(shown, value);
            KeyDifference {
                is_read: key == ARCHITECTURE || !key.starts_with("general."),
                key: shown.to_owned(),
                first: first.map(side),
                second: second.map(side),
            }
        };
        if let (Some(Value::Array(one)), Some(Value::Array(other))) = (first, second)
            && one.len == other.len
            && let Some((at, (one, other))) = one
                .values()
                .zip(other.values())
                .enumerate()
                .find(|(_, (one, other))| !same(*one, *other))
        {
            return Some(difference(&format!("{key}[{at}]"), Some(one), Some(other)));
        }
        Some(difference(key, first, second))
    }
}

/// What sets two tensors of one name apart; nothing if every value has the same bits and is written
/// in the same way.
fn tensor(
    files: [&Gguf; 2],
    tensors: [&TensorInfo; 2],
    contents: &mut Vec<Content>,
) -> Option<Change> {
    let [first, second] = tensors;
    if first.dims != second.dims {
        return Some(Change::Reshaped {
            first: first.dims.clone(),
            second: second.dims.clone(),
        });
    }
    let [one, other] = [0, 1].map(|at| files[at].region(tensors[at]));
    let same_bytes = first.type_id == second.type_id && one[..] == other[..];
    let open = |at: usize| Matrix::from_tensor(files[at], tensors[at], None, Kernel::Scalar);
    match (open(0), open(1)) {
        (Ok(one), Ok(other)) => {
            let [ours, theirs] = [one.encoding(), other.encoding()];
            if same_bytes && ours == theirs && same_scales(&one, &other) {
                return None;
            }
            compare(&first.name, [&one, &other], contents).or_else(|| {
                (ours != theirs).then_some(Change::Rewritten {
                    first: ours,
                    second: theirs,
                })
            })
        }
        _ if same_bytes => None,
        (Err(refusal), _) | (_, Err(refusal)) => Some(Change::Unreadable {
            because: refusal.to_string(),
        }),
    }
}

/// A packing without scales of its own has them in another tensor.
fn same_scales(one: &Matrix, other: &Matrix) -> bool {
    match (one, other) {
        (Matrix::Packed(one), Matrix::Packed(other)) => {
            same_bits(&one.stored().scales, &other.stored().scales)
        }
        (Matrix::Decoded(one), Matrix::Decoded(other)) => {
            same_bits(&one.stored().scales, &other.stored().scales)
        }
        _ => true,
    }
}

/// In words; the second file is the grammatical subject.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Missing => write!(f, "is missing"),
            Change::Added => write!(f, "is not in the first file"),
            Change::Reshaped { first, second } => {
                write!(f, "has the dimensions {second:?} instead of {first:?}")
            }
            Change::Rewritten { first, second } => {
                write!(f, "has the same values, as {second} instead of {first}")
            }
            Change::Exchanged { with } => {
                write!(f, "holds the values that the first file has in {with}")
            }
            Change::RowsMoved { moved, rows } => {
                write!(f, "has the same rows, {moved} of {rows} in another place")
            }
            Change::Scaled { factor } => write!(f, "is the first file's times {factor}"),
            Change::Negated { negated, signed } => {
                write!(f, "has the sign of {negated} of {signed} values turned")
            }
            Change::Changed {
                rows,
                at: [row, column],
                values: [first, second],
                distance,
            } => {
                let nmse = distance.nmse.map(|nmse| format!(", nmse {nmse:.1e}"));
                write!(
                    f,
                    "has other values in {rows} rows, the first in row {row}, column {column}: \
                     {second:e} instead of {first:e}{}",
                    nmse.unwrap_or_default()
                )
            }
            Change::Unreadable { because } => write!(f, "has other bytes: {because}"),
        }
    }
}
