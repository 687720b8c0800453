//! What libraries once computed from random models, as hashes that are committed: without a
//! library at hand the engine must compute the same bits, with every set of instructions.
//!
//! The models are chosen for the formats: each in the matrices of a layer, in the table of
//! embeddings and in the head, in rows that are whole vectors and in rows that are not. One has its
//! numbers where rounding turns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use engine::bytes::Storage;
use engine::format::FORMATS;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::{Model, Token};
use serde::{Deserialize, Serialize};

use super::trial::{chat, prefill, singles};
use crate::case::schedule::Schedule;
use crate::exit::Failure;
use crate::file::document::{Document, Format};
use crate::file::provenance::{Hash, Input};
use crate::file::reading::Reading;
use crate::fixture::knife_edges;
use crate::fixture::random::RandomShape;
use crate::io::threads;
use crate::judge::outcome::Outcome;
use crate::numbers::split_mix::SplitMix64;
use crate::receipt::features::{Cell, taken_cells};
use crate::reference::{Reference, Source};
use crate::runner::engine::Computing;
use crate::runner::reference::Observing;
use crate::runner::watch::Watch;
use crate::runner::{Opened, RunError, Runner, guarded};

/// Where it lies in the fixtures folder.
pub const FILE: &str = "shapes.json";
/// Digits of a hash.
const DIGITS: usize = 12;
/// Tokens that each model is fed: a whole vector of them and some more.
const TOKENS: usize = 11;
/// Before the words of the model whose numbers are brought there.
const KNIFE_EDGES: &str = "knife edges of ";

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Grows with every change of the fields.
    pub schema_version: u32,
    /// Who was asked, by name.
    pub libraries: BTreeMap<String, Source>,
    /// What they computed, by library and by the words of a model: a hash of the logits for each
    /// way through it.
    pub logits: BTreeMap<String, BTreeMap<String, String>>,
}

/// One library's record, held to what the engine computes with one set of instructions.
#[derive(Debug, Clone, Serialize)]
pub struct Recalled {
    pub library: String,
    pub profile: &'static str,
    pub kernel: &'static str,
    /// Models whose logits are those on record.
    pub equal: usize,
    /// Ways in which they are not, each with the words of the model.
    pub differ: Vec<(String, String)>,
    /// Models without an answer, and why.
    pub lost: Vec<(String, String)>,
    /// What was exercised in those that are equal.
    #[serde(skip)]
    pub exercised: BTreeSet<Cell>,
}

/// A model of the record.
struct Chosen {
    shape: RandomShape,
    /// What the engine must be told of its file.
    reading: Reading,
    /// Whether its numbers are brought to where rounding turns.
    edges: bool,
}

/// All of them: every format that is possible, in rows of whole vectors and in others.
fn chosen() -> Vec<Chosen> {
    let mut all = Vec::new();
    for (seed, format) in FORMATS.into_iter().enumerate() {
        let i2_s = format.flavor.filter(|flavor| flavor.is_i2_s());
        let reading = Reading {
            dialect: format.dialects.first().copied(),
            flavor: i2_s,
        };
        let name = format.name;
        // Nobody looks up rows of I2_S or of what takes two tensors.
        let alone = i2_s.is_none() && name.parse::<Format>().is_ok();
        let (table, head) = if alone { (name, name) } else { ("f16", "f32") };
        for (place, sizes) in [
            "head_dim=64 group=4 width=256 inner=256 biases=no rope_factors=yes",
            "head_dim=32 group=1 width=224 inner=96 biases=no rope_factors=no",
        ]
        .into_iter()
        .enumerate()
        {
            let seed = 2 * seed + place + 1;
            let words = format!(
                "arch=llama scales=no weights={name} embedding={table} output={head} {sizes} \
                 seed={seed}"
            );
            all.extend(model(&words).map(|shape| Chosen {
                shape,
                reading,
                edges: false,
            }));
        }
    }
    let others = [
        "arch=bitnet head_dim=64 group=4 width=256 inner=384 weights=i2_s-p128 embedding=f16 \
         output=tied scales=yes biases=no rope_factors=no seed=101",
        "arch=llama head_dim=64 group=4 width=256 inner=256 weights=q8_0 embedding=bf16 \
         output=bf16 scales=no biases=no rope_factors=no seed=102",
        "arch=llama head_dim=64 group=4 width=256 inner=256 weights=f16 embedding=f16 \
         output=f16 scales=no biases=yes rope_factors=no seed=103",
    ];
    let others = others.into_iter().filter_map(model);
    let others = others.map(|shape| (shape, false));
    let edges = [(knife_edges::shape(), true)];
    all.extend(others.chain(edges).map(|(shape, edges)| Chosen {
        shape,
        reading: Reading::default(),
        edges,
    }));
    all
}

/// A small model in those words; none where a format cannot hold it.
fn model(words: &str) -> Option<RandomShape> {
    let words = format!(
        "{words} layers=1 kv_heads=1 vocab=259 context=100 rope_base=10000 epsilon=0.00001"
    );
    RandomShape::from_seed(0, None).changed(&words).ok()
}

impl Chosen {
    /// The words it follows from.
    fn words(&self) -> String {
        let edges = if self.edges { KNIFE_EDGES } else { "" };
        format!("{edges}{}", self.shape)
    }

    fn document(&self) -> Result<Document, RunError> {
        if self.edges {
            return Ok(knife_edges::document());
        }
        self.shape.document().map_err(RunError::Refused)
    }

    /// In one portion, in two, token by token, and as a chat.
    fn ways(&self) -> [Schedule; 4] {
        let mut dice = SplitMix64(self.shape.seed);
        let drawn = (0..TOKENS).map(|_| dice.below(self.shape.vocab) as Token);
        let tokens = if self.edges {
            knife_edges::tokens()
        } else {
            drawn.collect()
        };
        [
            prefill(&tokens, 512),
            prefill(&tokens, 7),
            Schedule::of(singles(&tokens)),
            chat(&tokens),
        ]
    }

    /// What a library computes that reads the formats it knows, and F32 for the others.
    fn asked(&self, theirs: &mut dyn Runner) -> Result<String, RunError> {
        let mut document = self.document()?;
        let published = document.published();
        published.map_err(|e| RunError::Refused(e.to_string()))?;
        let rows = theirs.logits(&document.file(), &self.ways())?;
        Ok(words(rows.into_iter()))
    }

    /// What the engine computes from the file as it is, and what was exercised.
    fn computed(&self, engine: (Profile, Kernel)) -> Result<(String, BTreeSet<Cell>), RunError> {
        let (profile, kernel) = engine;
        let file = self.document()?.file();
        let options = self.reading.options(Storage::Read, Some(kernel));
        let model = Model::from_bytes(file, &options);
        let model = model.map_err(|e| RunError::Refused(e.to_string()))?;
        let mut computing = Computing::new(Arc::new(model), profile);
        let rows = self
            .ways()
            .map(|way| computing.follow(&way, &Watch::default()));
        let rows: Vec<Vec<f32>> = rows
            .into_iter()
            .map(|followed| Ok(followed?.rows))
            .collect::<Result<_, RunError>>()?;
        let cells = taken_cells(profile.name(), computing.taken());
        Ok((words(rows.into_iter()), cells.into_iter().collect()))
    }
}

/// A hash for each way.
fn words(rows: impl Iterator<Item = Vec<f32>>) -> String {
    let hash = |rows: Vec<f32>| {
        let mut hash = Hash::default();
        hash.add(&rows);
        hash.hex()[..DIGITS].to_owned()
    };
    let words: Vec<String> = rows.map(hash).collect();
    words.join(" ")
}

impl Default for Record {
    fn default() -> Self {
        Record {
            schema_version: 1,
            libraries: BTreeMap::new(),
            logits: BTreeMap::new(),
        }
    }
}

impl Record {
    /// Reads the record of a fixtures folder.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let (_, bytes) = Input::read(&path)?;
        let wrong = |e| Failure::input(format!("{}: {e}", path.display()));
        serde_json::from_slice(&bytes).map_err(wrong)
    }

    /// What is on record in a folder, if there is one, of the models that are still asked.
    pub fn kept(folder: &Path) -> Result<Self, Failure> {
        if !folder.join(FILE).exists() {
            return Ok(Record::default());
        }
        let mut record = Record::read(folder)?;
        let asked: BTreeSet<String> = chosen().iter().map(Chosen::words).collect();
        for said in record.logits.values_mut() {
            said.retain(|words, _| asked.contains(words));
        }
        Ok(record)
    }

    /// Asks a library about every model; `done` is shown what it declines.
    pub fn ask(
        &mut self,
        reference: &Reference,
        mut done: impl FnMut(&str, Option<&RunError>),
    ) -> Result<(), Failure> {
        let facts = reference.facts();
        let profile = facts.engine_profile()?;
        let mut theirs = Observing::unchanged(reference.clone());
        let mut logits = BTreeMap::new();
        for one in chosen() {
            let words = one.words();
            let answer = one.asked(&mut theirs);
            done(&words, answer.as_ref().err());
            if let Ok(answer) = answer {
                logits.insert(words, answer);
            }
        }
        let source = Source::of(facts, profile.name());
        self.libraries.insert(facts.name.clone(), source);
        self.logits.insert(facts.name.clone(), logits);
        Ok(())
    }

    /// Holds the engine, on each set of instructions, to what every library computed.
    pub fn recall(&self, kernels: &[Kernel]) -> Result<Vec<Recalled>, Failure> {
        let none = BTreeMap::new();
        let mut held = Vec::new();
        for (library, source) in &self.libraries {
            let profile = Profile::from_name(&source.profile).ok_or_else(|| {
                let profile = &source.profile;
                Failure::input(format!("{FILE}: there is no profile {profile:?}"))
            })?;
            let said = self.logits.get(library).unwrap_or(&none);
            held.extend(
                kernels
                    .iter()
                    .map(|&kernel| (library, said, profile, kernel)),
            );
        }
        threads::parallel_map(held.len(), |at| {
            let (library, said, profile, kernel) = held[at];
            let mut recalled = Recalled {
                library: library.clone(),
                profile: profile.name(),
                kernel: kernel.name(),
                equal: 0,
                differ: Vec::new(),
                lost: Vec::new(),
                exercised: BTreeSet::new(),
            };
            recalled.hold(said, (profile, kernel));
            Ok(recalled)
        })
    }
}

impl Recalled {
    fn hold(&mut self, said: &BTreeMap<String, String>, engine: (Profile, Kernel)) {
        let mut left: BTreeSet<&String> = said.keys().collect();
        for one in chosen() {
            let words = one.words();
            let Some(theirs) = said.get(&words) else {
                continue;
            };
            left.remove(&words);
            let computed = guarded(|| one.computed(engine));
            let (ours, exercised) = match computed {
                Ok(computed) => computed,
                Err(error) => {
                    self.lost.push((words, error.to_string()));
                    continue;
                }
            };
            if ours == *theirs {
                self.equal += 1;
                self.exercised.extend(exercised);
                continue;
            }
            let ways = one.ways();
            let theirs = theirs.split(' ').chain([""; 4]);
            let pairs = ours.split(' ').zip(theirs).zip(&ways);
            let differing = pairs.filter(|((ours, theirs), _)| ours != theirs);
            self.differ
                .extend(differing.map(|(_, way)| (words.clone(), way.to_string())));
        }
        let why = "the engine makes no such model any more";
        let left = left.into_iter();
        self.lost
            .extend(left.map(|words| (words.clone(), why.into())));
    }

    /// What it comes to; nothing compared is no agreement.
    pub fn outcome(&self) -> Outcome {
        let found = [
            (true, Outcome::RustOnly),
            (
                self.equal == 0 || !self.lost.is_empty(),
                Outcome::Incomplete,
            ),
            (!self.differ.is_empty(), Outcome::Divergence),
        ];
        Outcome::of(&found, None)
    }

    /// In a line, and one for each way that differs.
    pub fn text(&self) -> String {
        let (profile, kernel) = (self.profile, self.kernel);
        let [differ, lost] = [&self.differ, &self.lost].map(Vec::len);
        let mut text = format!(
            "record of {} ({profile}), {kernel}: {} models equal in every way; {differ} ways \
             differ, {lost} models lost\n",
            self.library, self.equal
        );
        for (shape, way) in &self.differ {
            let library = &self.library;
            text += &if shape.starts_with(KNIFE_EDGES) {
                format!("  DIFFERS: {shape}: {way}\n")
            } else {
                format!(
                    "  DIFFERS; again: harness shapes --reference {library} --kernel {kernel} \
                     --shape '{shape}' --schedule '{way}'\n"
                )
            };
        }
        for (shape, why) in &self.lost {
            text += &format!("  LOST: {shape}: {why}\n");
        }
        text
    }
}
