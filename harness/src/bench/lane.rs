//! One build on one file, behind a process that keeps the model loaded.

use std::path::{Path, PathBuf};

use engine::bytes::ModelBytes;
use engine::config::Config;
use engine::flavor::Flavor;
use engine::gguf::Gguf;
use engine::kernels::Kernel;
use engine::refusal::{Code, Refusal};

use super::traffic::Traffic;
use crate::case::schedule::Schedule;
use crate::exit::Failure;
use crate::file::provenance;
use crate::io::process::map_or_read;
use crate::reference::client::Client;
use crate::reference::isolation::{Cost, Done, ModelFile, Part, Request, WorkerExit};
use crate::reference::{LiveReference, Reference, Scratch};
use crate::runner::reference::rewritten::write_iq2_bn;
use crate::runner::worker::api;

/// A build and the file it computes.
pub struct Lane {
    /// As printed.
    pub name: String,
    /// What it was compiled for, in its own words.
    pub compiled_for: String,
    /// Whether it is another engine.
    pub is_reference: bool,
    /// Whether its logits must be the engine's, bit for bit: the same file, the same arithmetic.
    pub computes_same_bits: bool,
    /// Whether it says of each row only which token is the likeliest, and how likely.
    pub likeliest: bool,
    /// The engine's inner loops.
    pub kernel: Kernel,
    /// Number of tokens there are.
    pub vocabulary: usize,
    /// Positions the model was made for.
    pub context: usize,
    /// The file.
    pub file: ModelFile,
    /// Its length.
    pub bytes: u64,
    /// What a token makes it read and multiply.
    pub traffic: Traffic,
    reference: Reference,
    client: Client,
    /// The file, if it was made for this run.
    _made: Option<Scratch>,
}

/// What a build answered, and what that cost.
pub struct Timing {
    /// The rows of logits that were handed out.
    pub rows: Vec<f32>,
    /// The times.
    pub cost: Cost,
}

/// A model file, and what is known about it before anything is timed.
pub struct Known {
    /// Where it is, and which.
    pub file: ModelFile,
    /// Its length.
    pub bytes: u64,
    /// What a token costs.
    pub traffic: Traffic,
    /// Number of tokens there are.
    pub vocabulary: usize,
    /// Positions the model was made for.
    pub context: usize,
    /// Whether it has two-bit weights that not every library reads.
    pub has_i2_s: bool,
}

impl Known {
    /// Hashes and parses a file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let (bytes, file) = hashed(path)?;
        Ok(Known::parse(bytes, file)?)
    }

    /// The same model in a file of its own, perhaps in types that only its library knows.
    pub fn other(&self, path: &Path) -> Result<Self, Failure> {
        let (bytes, file) = hashed(path)?;
        let length = bytes.len() as u64;
        match Known::parse(bytes, file.clone()) {
            Err(refusal) if refusal.code == Code::TensorTypeUnknown => Ok(Known {
                file,
                bytes: length,
                traffic: self.traffic.in_a_file_of(length),
                ..*self
            }),
            parsed => Ok(parsed?),
        }
    }

    fn parse(bytes: ModelBytes, file: ModelFile) -> Result<Self, Refusal> {
        let length = bytes.len() as u64;
        let gguf = Gguf::parse(bytes)?;
        let config = Config::from_gguf(&gguf)?;
        let is_i2_s = |id: u32| Flavor::of_type(id).contains(&Flavor::I2sP128);
        Ok(Known {
            file,
            bytes: length,
            traffic: Traffic::of(&gguf, &config),
            vocabulary: config.vocab_size,
            context: config.context_length,
            has_i2_s: gguf.tensors.iter().any(|tensor| is_i2_s(tensor.type_id)),
        })
    }
}

fn hashed(path: &Path) -> Result<(ModelBytes, ModelFile), Failure> {
    let (bytes, _) = ModelBytes::open(path, map_or_read())?;
    let file = ModelFile {
        path: path.to_owned(),
        sha256: provenance::sha256(&bytes),
    };
    Ok((bytes, file))
}

impl Lane {
    /// A build on a file.
    pub fn new(reference: Reference, name: String, kernel: Kernel, known: &Known) -> Self {
        Lane {
            name,
            compiled_for: reference.hello().system_info.clone(),
            is_reference: reference.hello().api != api(),
            computes_same_bits: false,
            likeliest: false,
            kernel,
            vocabulary: known.vocabulary,
            context: known.context,
            file: known.file.clone(),
            bytes: known.bytes,
            traffic: known.traffic,
            client: Client::new(&reference),
            reference,
            _made: None,
        }
    }

    /// The same on what the library makes of the file's two-bit weights, which it cannot multiply
    /// as they are.
    pub fn on_iq2_bn(self) -> Result<Self, Failure> {
        let made = Scratch::reserve().map_err(Failure::environment)?;
        write_iq2_bn(&self.reference, &self.file.path, &made.path, 2 * self.bytes)?;
        let made = made.hashed().map_err(Failure::environment)?;
        let bytes = std::fs::metadata(&made.path).map_err(Failure::environment)?;
        Ok(Lane {
            name: format!("{} iq2_bn", self.name),
            file: ModelFile {
                path: made.path.clone(),
                sha256: made.sha256.clone(),
            },
            traffic: self.traffic.in_a_file_of(bytes.len()),
            bytes: bytes.len(),
            _made: Some(made),
            ..self
        })
    }

    /// Ends its process: the next question finds a new one.
    pub fn restart(&mut self) {
        self.client = Client::new(&self.reference);
    }

    /// Follows a schedule.
    pub fn time(&mut self, schedule: &Schedule) -> Result<Timing, WorkerExit> {
        let request = Request::Time {
            model: self.file.clone(),
            schedule: schedule.clone(),
            likeliest: self.likeliest,
        };
        let mut rows = Vec::new();
        let each = |part| match part {
            Part::Rows(values) => {
                rows = values;
                Ok(())
            }
            Part::Named(_) => Err("names of tokens, and none were asked for".into()),
            Part::Node(node) => Err(format!("node {}, and none was asked for", node.key)),
        };
        let last = |done| match done {
            Done::Timed { vocab_size, cost } => Some((vocab_size, cost)),
            _ => None,
        };
        let (vocab_size, cost) = self.client.stream(&request, each, last)?;
        let width = if self.likeliest { 2 } else { self.vocabulary };
        let (found, wanted) = (rows.len(), width * schedule.kept());
        let portions = schedule.steps.len();
        if found != wanted || cost.feeds.len() != portions || vocab_size != width {
            let complaint = format!(
                "{found} logits and {} times, where {wanted} and {portions} were asked for",
                cost.feeds.len()
            );
            return Err(self.client.reject(complaint));
        }
        Ok(Timing { rows, cost })
    }
}

/// A reference as it is named on the command line, perhaps with a file of its own behind `=`.
#[derive(Debug, Clone)]
pub struct Opponent {
    /// Its name or directory.
    pub name: String,
    /// Its own file.
    pub model: Option<PathBuf>,
}

impl std::str::FromStr for Opponent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, model) = match text.split_once('=') {
            Some((name, model)) => (name, Some(model)),
            None => (text, None),
        };
        if name.is_empty() || model.is_some_and(str::is_empty) {
            return Err("expected NAME, DIR, NAME=FILE or DIR=FILE".into());
        }
        Ok(Opponent {
            name: name.into(),
            model: model.map(PathBuf::from),
        })
    }
}

/// A build without the vector instructions of this machine is no opponent.
pub fn must_have_vectors(facts: &LiveReference) -> Result<(), Failure> {
    let needed = if cfg!(target_arch = "x86_64") {
        "AVX2"
    } else {
        "NEON"
    };
    let sets = &facts.hello.system_info;
    if sets.contains(&format!("{needed} = 1")) {
        return Ok(());
    }
    let name = &facts.name;
    Err(Failure::input(format!(
        "{name} was built without {needed}, so its speed says nothing: {sets}; \
         `scripts/reference.sh` builds one with the instructions of this machine"
    )))
}
