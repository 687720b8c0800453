//! The tensors of a checkpoint, in one file or in the shards that its index names.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path};

use super::json::Json;
use super::shard::{Entry, Shard};
use crate::encoding::float::Float;
use crate::refusal::{Code, Refusal};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// All of them, found by name.
pub struct Tensors {
    shards: Vec<Shard>,
    /// The shard a tensor lies in, and its place there.
    places: BTreeMap<String, (usize, usize)>,
}

/// One tensor.
#[derive(Clone, Copy)]
pub struct Tensor<'a> {
    shard: &'a Shard,
    entry: &'a Entry,
}

impl Tensors {
    /// Opens every file and checks that index and shards agree.
    pub fn open(folder: &Path) -> Result<Self, Refusal> {
        let Some(index) = Json::read(folder, INDEX)? else {
            let single = Shard::open(folder, SINGLE)?.ok_or_else(|| no_tensors(folder))?;
            return Self::of(vec![single]);
        };
        let map = index.node().need("weight_map", "an object of file names")?;
        let mut files = BTreeMap::new();
        for (tensor, file) in map.fields()? {
            let field = format!("{}.\"{tensor}\"", map.path);
            let plain = file.as_str().filter(|name| is_plain(name));
            let file = plain.ok_or_else(|| {
                let rule = "the name of a file in the same folder";
                Refusal::new(Code::IndexMismatch, field, rule, file)
            })?;
            files.entry(file).or_insert_with(Vec::new).push(tensor);
        }
        let mut shards = Vec::new();
        for (file, tensors) in files {
            let shard = Shard::open(folder, file)?.ok_or_else(|| {
                let rule = format!("the shard of {} tensors", tensors.len());
                Refusal::new(Code::ShardMissing, file, rule, "no such file")
                    .hint("fetch it, or the whole checkpoint again")
            })?;
            agree(&map.path, &shard, &tensors)?;
            shards.push(shard);
        }
        Self::of(shards)
    }

    fn of(shards: Vec<Shard>) -> Result<Self, Refusal> {
        let mut places = BTreeMap::new();
        for (at, shard) in shards.iter().enumerate() {
            for (position, entry) in shard.entries().iter().enumerate() {
                let before = places.insert(entry.name.clone(), (at, position));
                if let Some((other, _)) = before {
                    let field = format!("{}.\"{}\"", shard.name, entry.name);
                    let found = format!("one in {} as well", shards[other].name);
                    let rule = "one tensor of that name";
                    let refusal = Refusal::new(Code::DuplicateTensor, field, rule, found);
                    return Err(refusal.at(entry.begin));
                }
            }
        }
        Ok(Tensors { shards, places })
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        self.places.get(name).map(|&place| self.at(place))
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = Tensor<'_>> {
        self.places.values().map(|&place| self.at(place))
    }

    /// The files they lie in.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.shards.iter().map(|shard| shard.name.as_str())
    }

    fn at(&self, (shard, position): (usize, usize)) -> Tensor<'_> {
        let shard = &self.shards[shard];
        let entry = &shard.entries()[position];
        Tensor { shard, entry }
    }
}

/// No path: an index that came from elsewhere may not name files outside of the checkpoint.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    )
}

fn no_tensors(folder: &Path) -> Refusal {
    let other = ["pytorch_model.bin", "pytorch_model.bin.index.json"];
    let pickled = other.iter().find(|name| folder.join(name).exists());
    let found = pickled.map_or("neither", |name| name);
    let rule = format!("{SINGLE} or {INDEX}");
    Refusal::new(
        Code::ShardMissing,
        folder.display().to_string(),
        rule,
        found,
    )
    .hint("save the checkpoint as safetensors first")
}

/// The index names what the shard holds, and nothing else.
fn agree(index: &str, shard: &Shard, named: &[&String]) -> Result<(), Refusal> {
    let entries = shard.entries();
    let held = |name: &str| {
        entries
            .binary_search_by(|e| e.name.as_str().cmp(name))
            .is_ok()
    };
    if let Some(name) = named.iter().find(|name| !held(name)) {
        let field = format!("{index}.\"{name}\"");
        let rule = format!("a tensor of {}", shard.name);
        let found = format!("none of its {}", entries.len());
        return Err(Refusal::new(Code::IndexMismatch, field, rule, found));
    }
    // Both are in the order of their names.
    let unnamed = entries
        .iter()
        .find(|e| named.binary_search(&&e.name).is_err());
    match unnamed {
        None => Ok(()),
        Some(entry) => {
            let field = format!("{}.\"{}\"", shard.name, entry.name);
            let rule = format!("only the {} tensors that the index names", named.len());
            let found = format!("{} tensors", entries.len());
            Err(Refusal::new(Code::IndexMismatch, field, rule, found).at(entry.begin))
        }
    }
}

impl<'a> Tensor<'a> {
    /// Its name.
    pub fn name(&self) -> &'a str {
        &self.entry.name
    }

    /// How an element is written, e.g. `BF16`.
    pub fn dtype(&self) -> &'static str {
        self.entry.dtype
    }

    /// The last dimension is the contiguous one.
    pub fn shape(&self) -> &'a [u64] {
        &self.entry.shape
    }

    /// Bytes of it.
    pub fn bytes(&self) -> u64 {
        self.entry.len
    }

    /// Reads a part of it.
    pub fn read(&self, from: u64, into: &mut [u8]) -> Result<(), Refusal> {
        self.shard.read(self.entry, from, into)
    }

    /// All of it.
    pub fn read_all(&self) -> Result<Vec<u8>, Refusal> {
        let mut bytes = room(self.entry.len, self.name())?;
        self.read(0, &mut bytes)?;
        Ok(bytes)
    }

    /// How its floats are written, if that is what they are.
    pub fn float(&self) -> Result<Float, Refusal> {
        let floats = [Float::F32, Float::F16, Float::Bf16];
        let known = floats
            .into_iter()
            .find(|f| f.name().eq_ignore_ascii_case(self.dtype()));
        known.ok_or_else(|| {
            let rule = "F32, F16 or BF16";
            self.refuse(Code::DtypeMismatch, "dtype", rule, self.dtype())
        })
    }

    /// A refusal about this tensor.
    pub fn refuse(
        &self,
        code: Code,
        part: &str,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Refusal {
        let field = format!("{}.\"{}\".{part}", self.shard.name, self.name());
        Refusal::new(code, field, expected, found).at(self.entry.begin)
    }
}

/// Room for so many bytes, or a refusal where memory is short.
fn room(bytes: u64, what: &str) -> Result<Vec<u8>, Refusal> {
    let len = usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut buffer = Vec::new();
    let refuse = |_| Refusal::new(Code::OutOfMemory, what, "enough memory", bytes);
    buffer.try_reserve_exact(len).map_err(refuse)?;
    buffer.resize(len, 0);
    Ok(buffer)
}
