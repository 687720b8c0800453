//! Facts about inputs and the machine: hashes, stamps, versions. No judgement.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use engine::bytes::{FileStamp, ModelBytes, Storage};
use engine::encoding::float::Float;
use engine::gguf::{Gguf, TensorInfo};
use engine::refusal::{Code, Refusal};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::exit::Failure;
use crate::io::threads;

/// A file that was read, what it was, and how to tell that it still is.
#[derive(Clone)]
pub struct Input {
    /// Where it was found.
    pub path: PathBuf,
    /// SHA-256 of the bytes that were read, lower-case hex.
    pub sha256: String,
    stamp: FileStamp,
}

impl Input {
    /// Reads a file into memory and remembers what it was.
    pub fn read(path: &Path) -> Result<(Self, ModelBytes), Failure> {
        Self::open(path, Storage::Read)
    }

    /// The same, of a file that may be larger than the memory.
    pub fn open(path: &Path, storage: Storage) -> Result<(Self, ModelBytes), Failure> {
        let (bytes, stamp) = ModelBytes::open(path, storage)?;
        let sha256 = sha256(&bytes);
        Ok((Self::of(path, sha256, stamp), bytes))
    }

    /// A file that was opened and hashed.
    pub fn of(path: &Path, sha256: String, stamp: FileStamp) -> Self {
        Input {
            path: path.to_owned(),
            sha256,
            stamp,
        }
    }

    /// Reads a file that is text.
    pub fn read_text(path: &Path) -> Result<(Self, String), Failure> {
        let (input, bytes) = Self::read(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|e| {
            let path = path.display();
            Failure::input(format!("{path} is not UTF-8: {e}"))
        })?;
        Ok((input, text.to_owned()))
    }

    /// Whether a stamp taken by somebody else is that of the bytes that were hashed.
    pub fn is_stamped(&self, stamp: &FileStamp) -> Result<(), Refusal> {
        if self.stamp == *stamp {
            Ok(())
        } else {
            Err(Refusal::new(
                Code::FileChanged,
                self.path.display().to_string(),
                format!("{:?}", self.stamp),
                format!("{stamp:?}"),
            ))
        }
    }

    /// Whether the file is still the one that was read.
    pub fn still_holds(&self) -> Result<(), Refusal> {
        self.stamp.still_holds(&self.path)
    }
}

/// The last part of a path, as text.
pub fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// SHA-256 as lower-case hex.
///
/// In portions: a browser exchanges slow code for fast between calls, and a single call for a whole
/// model would hash 16 MB/s to its end.
pub fn sha256(bytes: &[u8]) -> String {
    let mut hash = Sha256::new();
    for portion in bytes.chunks(1 << 20) {
        hash.update(portion);
    }
    hex(&hash.finalize())
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
        hex
    })
}

/// SHA-256 of floats that come in portions, each as its four bytes, the lowest first.
#[derive(Default)]
pub struct Hash(Sha256);

impl Hash {
    /// Adds a portion.
    pub fn add(&mut self, values: &[f32]) {
        self.0.update(Float::F32.encode(values));
    }

    /// Lower-case hex.
    pub fn hex(self) -> String {
        hex(&self.0.finalize())
    }
}

/// SHA-256 of the bytes of each tensor of a model; none where it is no GGUF.
pub fn of_tensors(model: ModelBytes) -> BTreeMap<String, String> {
    let Ok(gguf) = Gguf::parse(model) else {
        return BTreeMap::new();
    };
    let hashed = |tensor: &TensorInfo| (tensor.name.clone(), sha256(&gguf.region(tensor)));
    gguf.tensors.iter().map(hashed).collect()
}

/// Reads a list in the format of `sha256sum`: path to hash.
pub fn checksums(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let (_, bytes) = Input::read(path)?;
    let wrong = |line: usize| {
        Failure::input(format!(
            "{}: line {line} is not `<sha256>  <path>`",
            path.display()
        ))
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong(1))?;
    let entry = |(i, line): (usize, &str)| {
        let (hash, name) = line.split_once("  ").ok_or_else(|| wrong(i + 1))?;
        let hex = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        let entry = (name.to_owned(), hash.to_ascii_lowercase());
        hex.then_some(entry).ok_or_else(|| wrong(i + 1))
    };
    text.lines().enumerate().map(entry).collect()
}

/// Variables that put something before a program or into it.
pub const INTRUDING: [&str; 5] = [
    "HARNESS_WORKER_WRAPPER",
    "LD_PRELOAD",
    "LD_AUDIT",
    "GLIBC_TUNABLES",
    "DYLD_INSERT_LIBRARIES",
];

/// The machine and the build, for the circumstances of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub architecture: String,
    /// The processor, as the operating system names it; empty where it does not.
    pub processor: String,
    /// Instruction sets found at run time that the engine knows.
    pub cpu_features: Vec<String>,
    /// Processors this process may use.
    pub processors: usize,
    /// Version of this program.
    pub harness_version: String,
    /// The compiler that built it.
    pub rustc: String,
    /// `release` or `debug`: how the harness itself was built.
    pub build: String,
    /// For which processors, and with which flags.
    #[serde(default)]
    pub flags: String,
    /// The commit it was built from, and whether the tree had been edited.
    #[serde(default)]
    pub commit: String,
    /// SHA-256 of the program itself: the engine is part of it.
    #[serde(default)]
    pub program: String,
    /// The variables that can steer a run, as they were set.
    pub environment: BTreeMap<String, String>,
}

impl Machine {
    /// What can be asked without leaving the process.
    pub fn here() -> Self {
        let build = if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        };
        let variables = [
            "CROSSVAL_GGUF",
            "BITNET_CPP_DIR",
            "BITNET_STRICT_MODE",
            "BITNET_SEED",
            "BITNET_DETERMINISTIC",
        ];
        let variables = variables.into_iter().chain(INTRUDING);
        let set = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
        Machine {
            os: std::env::consts::OS.into(),
            architecture: std::env::consts::ARCH.into(),
            processor: processor(),
            cpu_features: cpu_features(),
            processors: threads::cores(),
            harness_version: env!("CARGO_PKG_VERSION").into(),
            rustc: env!("HARNESS_RUSTC").into(),
            build: build.into(),
            flags: env!("HARNESS_FLAGS").into(),
            commit: env!("HARNESS_COMMIT").into(),
            program: program(),
            environment: variables.filter_map(set).collect(),
        }
    }
}

/// The program that runs, hashed once.
fn program() -> String {
    static HASH: OnceLock<String> = OnceLock::new();
    let hash = || {
        let own = std::env::current_exe().ok()?;
        Some(Input::open(&own, Storage::Map).ok()?.0.sha256)
    };
    let hash = || hash().unwrap_or_else(|| "unknown".into());
    HASH.get_or_init(hash).clone()
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let model = fields.find(|(key, _)| key.trim() == "model name");
    model.map_or(String::new(), |(_, name)| name.trim().to_owned())
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<String> {
    let known = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avxvnni", is_x86_feature_detected!("avxvnni")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
    ];
    let present = known.into_iter().filter(|(_, there)| *there);
    present.map(|(name, _)| name.to_owned()).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<String> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_abc() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), known);
        let mut hash = Hash::default();
        hash.add(&[1.0]);
        hash.add(&[-0.0]);
        assert_eq!(hash.hex(), sha256(&[0, 0, 0x80, 0x3f, 0, 0, 0, 0x80]));
    }

    #[test]
    fn an_input_that_changes_no_longer_holds_and_a_bad_list_is_refused() {
        let path = std::env::temp_dir().join(format!("input-{}", std::process::id()));
        std::fs::write(&path, format!("{}  a/b c\n", sha256(b"abc"))).expect("temporary file");
        let (input, _) = Input::read(&path).expect("there");
        assert!(input.still_holds().is_ok());
        assert_eq!(checksums(&path).expect("a list")["a/b c"], sha256(b"abc"));
        std::fs::write(&path, "nonsense").expect("temporary file");
        assert!(input.still_holds().is_err());
        assert!(checksums(&path).is_err());
        std::fs::remove_file(&path).expect("temporary file");
        assert!(checksums(&path).is_err());
    }
}
