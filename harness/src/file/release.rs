//! Files that were published, by their hashes: what a download is held against.

use engine::config::Config;
use serde::Serialize;

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
