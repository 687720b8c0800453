//! Files that were published, by their hashes: what a download is held against.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use engine::config::Config;
use serde::Serialize;

use crate::file::provenance::file_name;

/// A published file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Release {
    /// Where people know it from.
    pub name: &'static str,
    /// Of its bytes.
    pub sha256: &'static str,
    #[serde(skip)]
    architecture: &'static str,
    /// Layers, width, inner width, vocabulary.
    #[serde(skip)]
    shape: [usize; 4],
}

/// Those whose hashes are known from more than one place.
const RELEASES: [Release; 1] = [Release {
    name: "microsoft/bitnet-b1.58-2B-4T-gguf, ggml-model-i2_s.gguf",
    sha256: "4221b252fdd5fd25e15847adfeb5ee88886506ba50b8a34548374492884c2162",
    architecture: "bitnet-b1.58",
    shape: [30, 2560, 6912, 128_256],
}];

impl Release {
    /// The one with these bytes.
    pub fn of_hash(sha256: &str) -> Option<Self> {
        RELEASES
            .into_iter()
            .find(|release| release.sha256 == sha256)
    }

    /// The one with this architecture and these sizes.
    pub fn of_shape(config: &Config) -> Option<Self> {
        let shape = [
            config.block_count,
            config.embedding_length,
            config.feed_forward_length,
            config.vocab_size,
        ];
        let name = config.architecture.name();
        let same = |release: &Release| release.architecture == name && release.shape == shape;
        RELEASES.into_iter().find(same)
    }
}

/// Files that somebody knows to be sound: path to hash, as `sha256sum` lists them.
pub type Manifest = BTreeMap<String, String>;

/// What a manifest says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// These bytes are listed, under this name.
    As(String),
    /// The name is, with another hash.
    Other(String),
    /// Neither is.
    Nowhere,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listed::As(name) => write!(f, "its bytes are those of {name}"),
            Listed::Other(hash) => write!(f, "another file has its name, with sha256 {hash}"),
            Listed::Nowhere => f.write_str("neither its name nor its bytes are listed"),
        }
    }
}

/// Looks a file up in a manifest: by its bytes, then by its name without the folders.
pub fn listed(manifest: &Manifest, path: &Path, sha256: &str) -> Listed {
    let name = file_name(path);
    if let Some((name, _)) = manifest.iter().find(|(_, hash)| *hash == sha256) {
        return Listed::As(name.clone());
    }
    let mut named = manifest
        .iter()
        .filter(|(path, _)| file_name(Path::new(path)) == name);
    let named = named.next().map(|(_, hash)| hash.clone());
    named.map_or(Listed::Nowhere, Listed::Other)
}
