//! What libraries once said about the weights of the fixtures, as hashes that are committed.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::library;
use super::{Engine, Finding, Tensor, Verdict};
use crate::exit::Failure;
use crate::file::provenance::Input;
use crate::reference::{LiveReference, Source};

/// Where it lies in the fixtures folder.
pub const FILE: &str = "weights.json";

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Grows with every change of the fields.
    pub schema_version: u32,
    /// Who was asked, by name.
    pub libraries: BTreeMap<String, Source>,
    /// What they said, by the model's path in the fixtures folder.
    pub models: BTreeMap<String, Model>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    pub sha256: String,
    /// What was said, by tensor; tensors no library knows are missing.
    pub tensors: BTreeMap<String, Hashes>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hashes {
    /// SHA-256 of its values as little-endian floats.
    pub decoded: String,
    /// SHA-256 of its product with the seeded activations, by library.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub products: BTreeMap<String, String>,
}

impl Default for Record {
    fn default() -> Self {
        Record {
            schema_version: 1,
            libraries: BTreeMap::new(),
            models: BTreeMap::new(),
        }
    }
}

impl Record {
    /// Reads the record of a fixtures folder.
    pub fn read(folder: &Path) -> Result<(Input, Self), Failure> {
        let path = folder.join(FILE);
        let (input, bytes) = Input::read(&path)?;
        let wrong = |e| Failure::input(format!("{}: {e}", path.display()));
        Ok((input, serde_json::from_slice(&bytes).map_err(wrong)?))
    }

    /// The model with that hash.
    pub fn model(&self, sha256: &str) -> Option<&Model> {
        self.models.values().find(|model| model.sha256 == sha256)
    }

    /// Takes over what was written down of other models.
    pub fn take(&mut self, others: Self) {
        self.libraries.extend(others.libraries);
        self.models.extend(others.models);
    }

    /// Writes down what a library said of a tensor. Two libraries that decode it differently have
    /// no common record.
    pub fn add(
        &mut self,
        facts: &LiveReference,
        profile: &str,
        (file, sha256): (&str, &str),
        tensor: &str,
        said: library::Hashes,
    ) -> Result<(), Failure> {
        let Some(decoded) = said.decoded else {
            return Ok(());
        };
        let source = Source::of(facts, profile);
        self.libraries.insert(facts.name.clone(), source);
        let model = self.models.entry(file.into()).or_default();
        model.sha256 = sha256.into();
        let hashes = model.tensors.entry(tensor.into()).or_default();
        if !hashes.decoded.is_empty() && hashes.decoded != decoded {
            let name = &facts.name;
            let message = format!("{file}: {name} decodes {tensor} unlike the others");
            return Err(Failure::input(message));
        }
        hashes.decoded = decoded;
        let product = said.product.map(|hash| (facts.name.clone(), hash));
        hashes.products.extend(product);
        Ok(())
    }
}

impl Model {
    /// Holds a live library to what it said of a tensor once: it cannot decline that now.
    pub fn hold(&self, library: &str, finding: &mut Finding) {
        let Some(recorded) = self.tensors.get(&finding.tensor) else {
            return;
        };
        if recorded.products.contains_key(library) {
            finding.decoded.declared();
            finding.product.declared();
        }
    }

    /// Compares a tensor with what `library` said of it; `decoded` and `product` are hashes of
    /// what the engine says.
    pub fn compare(
        &self,
        library: &str,
        tensor: &Tensor,
        decoded: &str,
        product: Option<&str>,
    ) -> Finding {
        let mut finding = Finding::new(tensor);
        finding.decoded = Verdict::Different("the record does not have it".into());
        let Some(theirs) = self.tensors.get(&tensor.name) else {
            return finding;
        };
        let compare = |what: &str, theirs: &str, ours: &str| {
            let why = || {
                format!(
                    "the {what} hash to {}, recorded are {}",
                    cut(ours),
                    cut(theirs)
                )
            };
            Verdict::of(theirs == ours, why)
        };
        finding.decoded = compare("values", &theirs.decoded, decoded);
        finding.product = match (product, theirs.products.get(library)) {
            (None, _) => Verdict::None,
            (Some(ours), Some(theirs)) => compare("products", theirs, ours),
            (Some(_), None) => Verdict::Different(format!("{library} has none on record")),
        };
        finding
    }

    /// Compares the same weights in other packings with what `library` said of theirs.
    pub fn repacked(&self, library: &str, packed: &[(String, Tensor)], engine: Engine) -> Verdict {
        let other = |(decoded, tensor): &&(String, Tensor)| {
            let theirs = self.tensors.get(&tensor.name);
            let values = theirs.map(|theirs| &theirs.decoded);
            let product = theirs.and_then(|theirs| theirs.products.get(library));
            values != Some(decoded) || product != tensor.product_hash(engine).as_ref()
        };
        match packed.iter().find(other) {
            _ if packed.is_empty() => Verdict::None,
            None => Verdict::Equal,
            Some((_, tensor)) => {
                let packing = tensor.encoding();
                Verdict::Different(format!(
                    "packed again as {packing} it is not the recorded one"
                ))
            }
        }
    }
}

/// The beginning of a hash.
fn cut(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
