//! `harness weights`: every tensor of a model, decoded and multiplied as the C++ does it.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use engine::gguf::TensorInfo;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::refusal::escape;
use ffi::reference::COMMAND;
use serde::Serialize;

use crate::command::flags;
use crate::exit::{Exit, Failure};
use crate::file::opened::Opened;
use crate::io::atomic;
use crate::io::output;
use crate::io::progress;
use crate::oracle::weights::{self, Compared, Engine, Library, Record, Tensor, record};
use crate::reference::isolation::{Limits, WorkerExit};
use crate::reference::{self, Reference};
use crate::runner::kernels::live::Theirs;
use crate::runner::suite::Suite;

const HELP: &str = "\
Examples:
  harness weights
  harness weights --reference bitnet --model model.gguf --json weights.json
  harness weights --reference bitnet --reference bitnet-portable --record fixtures/weights.json

Without a reference, hashes of what libraries once said are compared: those of the fixtures are
committed. Equality is of every bit of every value. Exit 1 where one differs, 3 where there is
neither a reference nor a record.";

/// Compare every tensor's values, and every matrix's product, with the C++
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The model, a GGUF file; may be given several times [default: every model of the fixtures]
    #[arg(long, value_name = "FILE")]
    model: Vec<PathBuf>,

    /// A C++ reference, by name or directory; may be given several times [default: BITNET_CPP_DIR]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    /// Write down here what the references say, for runs without one
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Inner loops to use instead of the fastest this CPU has; none changes a result
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

    /// Fixtures folder [default: fixtures/ here or above]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,

    /// Write what was found here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Report {
    schema_version: u32,
    compared: Vec<Compared>,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let folder = args.fixtures.clone().map_or_else(Suite::find, Ok)?;
    let references = reference::open(&args.reference, limits())?;
    if references.is_empty() && args.record.is_some() {
        let message = format!("--record writes what a reference says; to get one, run: {COMMAND}");
        return Err(missing(message));
    }
    let models = match args.model.is_empty() {
        true => models_below(&folder)?,
        false => args.model.clone(),
    };
    let kernel = args.kernel.unwrap_or_else(Kernel::best);
    let mut record = Record::default();
    let mut compared = Vec::new();
    for path in &models {
        let opened = Opened::read(path)?;
        let name = path.strip_prefix(&folder).unwrap_or(path);
        let model = Subject {
            opened: &opened,
            name: name.to_string_lossy().replace('\\', "/"),
            kernel,
        };
        let new = match references.is_empty() {
            true => model.with_record(&Record::read(&folder)?.1)?,
            false => model.with_references(&references, &mut record)?,
        };
        opened.input.still_holds()?;
        for one in &new {
            output::put(one.render().as_bytes())?;
        }
        compared.extend(new);
    }
    if let Some(path) = &args.record {
        write(path, &record)?;
    }
    let exit = weights::exit(&compared);
    if let Some(path) = &args.json {
        let report = Report {
            schema_version: 1,
            compared,
        };
        write(path, &report)?;
    }
    Ok(exit)
}

/// One process answers for every tensor of a model.
fn limits() -> Limits {
    Limits {
        cpu_seconds: 3600,
        ..Limits::default()
    }
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::environment)?;
    atomic::write(path, (text + "\n").as_bytes()).map_err(Failure::environment)
}

fn missing(message: String) -> Failure {
    Failure {
        exit: Exit::ReferenceMissing,
        message,
    }
}

/// Every model file in the folders of the fixtures, sorted.
fn models_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = |folder: &Path| -> Result<Vec<PathBuf>, Failure> {
        let cannot = |e| Failure::environment(format!("{}: {e}", folder.display()));
        let entries = std::fs::read_dir(folder).map_err(cannot)?;
        entries
            .map(|entry| entry.map(|entry| entry.path()).map_err(cannot))
            .collect()
    };
    let mut models = Vec::new();
    for place in entries(folder)?.into_iter().filter(|place| place.is_dir()) {
        let is_model = |path: &PathBuf| path.extension().is_some_and(|e| e == "gguf");
        models.extend(entries(&place)?.into_iter().filter(is_model));
    }
    models.sort();
    Ok(models)
}

/// A model that is compared.
struct Subject<'a> {
    opened: &'a Opened,
    name: String,
    kernel: Kernel,
}

impl Subject<'_> {
    /// With every library that was recorded.
    fn with_record(&self, record: &Record) -> Result<Vec<Compared>, Failure> {
        let sha256 = &self.opened.input.sha256;
        let model = record.model(sha256).ok_or_else(|| {
            let name = escape(&self.name);
            missing(format!(
                "{name}: no record is of a file with sha256 {sha256}, and no reference is named; \
                 to get one, run: {COMMAND}"
            ))
        })?;
        let mut compared = Vec::new();
        let mut engines = Vec::new();
        for (library, source) in &record.libraries {
            let profile = Profile::from_name(&source.profile).ok_or_else(|| {
                let file = record::FILE;
                Failure::input(format!("{file}: there is no profile {:?}", source.profile))
            })?;
            compared.push(self.compared(library, false, profile));
            engines.push(self.engine(profile));
        }
        for tensor in self.tensors("tensors") {
            let tensor = Tensor::of(&self.opened.gguf, tensor, self.kernel)?;
            let decoded = tensor.decoded_hash();
            for (one, &engine) in compared.iter_mut().zip(&engines) {
                let product = tensor.product_hash(engine);
                let product = product.as_deref();
                let finding = model.compare(&one.library, &tensor, &decoded, product);
                one.findings.push(finding);
            }
        }
        Ok(compared)
    }

    /// With live references; what they say is recorded.
    fn with_references(
        &self,
        references: &[Reference],
        record: &mut Record,
    ) -> Result<Vec<Compared>, Failure> {
        let mut compared = Vec::new();
        for reference in references {
            let facts = reference.facts();
            let profile = facts.engine_profile()?;
            let mut one = self.compared(&facts.name, true, profile);
            one.judges_products = facts.hello.knows_i2_s;
            let mut theirs = Theirs::new(reference);
            for info in self.tensors(&facts.name) {
                let gguf = &self.opened.gguf;
                let tensor = Tensor::of(gguf, info, self.kernel)?;
                let mut library = Library::new(&mut theirs);
                match library.compare((gguf, info), &tensor, self.engine(profile)) {
                    Ok((finding, said)) => {
                        one.findings.push(finding);
                        let file = (&self.name[..], &self.opened.input.sha256[..]);
                        record.add(facts, profile.name(), file, &info.name, said)?;
                    }
                    Err(ended) => {
                        one.lost = Some(ended.to_string());
                        one.died = matches!(ended, WorkerExit::Died(_));
                        break;
                    }
                }
            }
            compared.push(one);
        }
        Ok(compared)
    }

    fn engine(&self, profile: Profile) -> Engine {
        Engine {
            profile,
            kernel: self.kernel,
        }
    }

    fn compared(&self, library: &str, live: bool, profile: Profile) -> Compared {
        Compared {
            model: self.name.clone(),
            model_sha256: self.opened.input.sha256.clone(),
            library: library.into(),
            live,
            profile: profile.name(),
            judges_products: true,
            findings: Vec::new(),
            lost: None,
            died: false,
        }
    }

    /// Every tensor, with a bar.
    fn tensors(&self, what: &str) -> impl Iterator<Item = &TensorInfo> {
        let tensors = self.opened.gguf.tensors.iter();
        let bar = progress::bar(tensors.len() as u64, what);
        tensors.inspect(move |_| bar.inc(1))
    }
}
