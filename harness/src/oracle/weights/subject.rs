//! One model file: compared with every live library, or with the record of every library.

use std::path::Path;

use engine::gguf::TensorInfo;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use ffi::reference::COMMAND;

use super::measure::{Engine, Tensor};
use super::record::{self, Record};
use super::{Compared, Finding, Library};
use crate::exit::{Exit, Failure};
use crate::file::opened::Opened;
use crate::file::reading::Reading;
use crate::io::progress;
use crate::judge::outcome::{Lost, Outcome};
use crate::reference::Reference;
use crate::reference::isolation::WorkerExit;
use crate::runner::kernels::live::ReferenceKernels;

/// A model that was read, as it is named in reports and records.
struct Subject {
    name: String,
    opened: Opened,
    kernel: Kernel,
}

/// Compares the model at `path`, named after its place in the fixtures `folder`, with the
/// references, or with the record where there are none. What live references say goes to `new`.
/// Whatever fails is a comparison beside the others: what was found before is kept.
pub fn compare(
    (path, folder): (&Path, &Path),
    kernel: Kernel,
    references: &[Reference],
    recorded: Option<&Record>,
    new: &mut Record,
) -> Vec<Compared> {
    let name = name(path, folder);
    let failed = |failure: Failure| Compared::failed(&name, failure.into());
    let subject = match Opened::read(path, Reading::default()) {
        Ok(opened) => Subject {
            name: name.clone(),
            opened,
            kernel,
        },
        Err(failure) => return vec![failed(failure)],
    };
    let mut compared = if references.is_empty() {
        let found = subject.with_record(recorded);
        found.unwrap_or_else(|failure| vec![failed(failure)])
    } else {
        let one = |reference| subject.with_reference(reference, recorded, new);
        references.iter().map(one).collect()
    };
    if let Err(changed) = subject.opened.input.still_holds() {
        let void = Lost::new(Outcome::Void, changed);
        compared.push(Compared::failed(&name, void));
    }
    compared
}

/// The name of a model in reports and records: its place in the fixtures folder.
pub fn name(path: &Path, folder: &Path) -> String {
    let name = path.strip_prefix(folder).unwrap_or(path);
    name.to_string_lossy().replace('\\', "/")
}

impl Subject {
    /// With every library that was recorded.
    fn with_record(&self, record: Option<&Record>) -> Result<Vec<Compared>, Failure> {
        let sha256 = &self.opened.input.sha256;
        let recorded = record.and_then(|record| Some((record, record.model(sha256)?)));
        let (record, model) = recorded.ok_or_else(|| {
            no_reference(format!(
                "no record is of a file with sha256 {sha256}, and no reference is named"
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
        for info in self.tensors("tensors") {
            let tensor = match Tensor::of(&self.opened.gguf, info, self.kernel) {
                Ok(tensor) => tensor,
                Err(refusal) => {
                    let lost = Some(Lost::from(Failure::from(refusal)));
                    compared.iter_mut().for_each(|one| one.lost = lost.clone());
                    break;
                }
            };
            let decoded = tensor.decoded_hash();
            let repacked = tensor.repacked(self.kernel).into_iter();
            let repacked = repacked.map(|other| (other.decoded_hash(), other));
            let repacked: Vec<(String, Tensor)> = repacked.collect();
            for (one, &engine) in compared.iter_mut().zip(&engines) {
                let product = tensor.product_hash(engine);
                let product = product.as_deref();
                let mut finding = model.compare(&one.library, &tensor, &decoded, product);
                finding.encoded = model.repacked(&one.library, &repacked, engine);
                one.findings.push(finding);
            }
        }
        Ok(compared)
    }

    /// With a live reference, which is held to what it said once.
    fn with_reference(
        &self,
        reference: &Reference,
        recorded: Option<&Record>,
        new: &mut Record,
    ) -> Compared {
        let facts = reference.facts();
        let profile = match facts.engine_profile() {
            Ok(profile) => profile,
            Err(failure) => return Compared::failed(&self.name, failure.into()),
        };
        let mut one = self.compared(&facts.name, true, profile);
        one.judges_products = facts.hello.knows_i2_s;
        let engine = self.engine(profile);
        let asked = self.ask(reference, engine, recorded, new, &mut one.findings);
        one.lost = asked.err();
        one
    }

    /// Compares tensor after tensor; what was compared before a failure is in `findings`.
    fn ask(
        &self,
        reference: &Reference,
        engine: Engine,
        recorded: Option<&Record>,
        new: &mut Record,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Lost> {
        let (facts, sha256) = (reference.facts(), &self.opened.input.sha256[..]);
        let recorded = recorded.and_then(|record| record.model(sha256));
        let mut theirs = ReferenceKernels::new(reference);
        for info in self.tensors(&facts.name) {
            let gguf = &self.opened.gguf;
            let tensor = Tensor::of(gguf, info, self.kernel).map_err(Failure::from)?;
            let mut library = Library::new(&mut theirs);
            let compared = library.compare((gguf, info), &tensor, engine);
            let (mut finding, said) = compared.map_err(lost)?;
            if let Some(model) = recorded {
                model.hold(&facts.name, &mut finding);
            }
            findings.push(finding);
            let file = (&self.name[..], sha256);
            new.add(facts, engine.profile.name(), file, &info.name, said)?;
        }
        Ok(())
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
            tensors: self.opened.gguf.tensors.len(),
            findings: Vec::new(),
            lost: None,
        }
    }

    /// Every tensor, with a bar.
    fn tensors(&self, what: &str) -> impl Iterator<Item = &TensorInfo> {
        let tensors = self.opened.gguf.tensors.iter();
        let bar = progress::bar(tensors.len() as u64, what);
        tensors.inspect(move |_| bar.inc(1))
    }
}

fn lost(ended: WorkerExit) -> Lost {
    let outcome = match ended {
        WorkerExit::Refused(_) => Outcome::Incomplete,
        WorkerExit::Died(_) => Outcome::ReferenceDied,
    };
    Lost::new(outcome, ended)
}

/// A reference is needed and there is none.
pub fn no_reference(why: String) -> Failure {
    Failure::new(
        Exit::ReferenceMissing,
        format!("{why}; to get one, run: {COMMAND}"),
    )
}
