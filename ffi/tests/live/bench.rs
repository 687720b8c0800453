//! What every check stands on: an open reference, the fixtures, an observer that keeps everything.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use ffi::reference::{Asked, Cache, Missing, Prepared, prepare};
use ffi::{Library, Model, ModelOptions, Node, Observe, SessionOptions, Step};

/// One check.
#[derive(Clone, Copy)]
pub struct Check {
    pub name: &'static str,
    /// Whether it can be made with a reference, or why not.
    pub applies: fn(&Prepared) -> Result<(), String>,
    pub run: fn(&Bench),
}

impl Check {
    pub const fn any(name: &'static str, run: fn(&Bench)) -> Self {
        Check {
            name,
            applies: |_| Ok(()),
            run,
        }
    }

    /// For references that read I2_S files of arch `bitnet`.
    pub const fn bitnet(name: &'static str, run: fn(&Bench)) -> Self {
        Check {
            name,
            applies: is_bitnet,
            run,
        }
    }
}

/// Told by what the library exports, not by what it is called.
fn is_bitnet(prepared: &Prepared) -> Result<(), String> {
    let mut ggml = prepared
        .tree
        .libggml
        .iter()
        .map(|path| std::fs::read(path).unwrap_or_default());
    let found = ggml.any(|bytes| find(&bytes, b"ggml_vec_dot_i2_i8_s\0"));
    if found {
        Ok(())
    } else {
        Err("this library has no I2_S kernels".into())
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

pub struct Bench {
    pub prepared: Prepared,
    pub library: Library,
}

impl Bench {
    pub fn open(place: &Path) -> Self {
        let cache = Cache::from_environment().expect("the parent found one");
        let asked = Asked::Directory(place.to_owned());
        let prepared = prepare(&asked, &cache, Missing::Refuse, &mut |line| {
            eprintln!("{line}")
        });
        let prepared = prepared.expect("the parent prepared it");
        let library = Library::open(&prepared).expect("a prepared reference opens");
        Bench { prepared, library }
    }

    /// The small I2_S model of arch `bitnet`.
    pub fn moby(&self) -> Model {
        let file = fixture("moby-tiny/moby-tiny-bitnet.gguf");
        self.library
            .model(&file, &ModelOptions::default())
            .expect("the fixture loads")
    }
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures")
        .join(name)
}

/// A context for short prompts.
pub fn small() -> SessionOptions {
    SessionOptions {
        context: 64,
        batch: 64,
        ubatch: 64,
        ..SessionOptions::default()
    }
}

/// A prompt of the fixture's vocabulary.
pub const PROMPT: [u32; 11] = [1022, 34, 392, 399, 316, 82, 71, 76, 64, 443, 13];

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Keeps every node it is shown.
#[derive(Default)]
pub struct Keeper {
    pub nodes: Vec<Kept>,
}

pub struct Kept {
    pub key: String,
    pub name: String,
    pub shape: Vec<usize>,
    pub is_plain: bool,
    pub values: Vec<f32>,
    pub sources: Vec<Option<u32>>,
}

impl Observe for Keeper {
    fn wants(&mut self, _: &Node<'_>) -> bool {
        true
    }

    fn sees(&mut self, node: &Node<'_>, values: &mut [f32]) -> Step {
        self.nodes.push(Kept {
            key: node.key(),
            name: node.name.to_string(),
            shape: node.shape(),
            is_plain: node.contiguous && node.type_name == "f32",
            values: values.to_vec(),
            sources: node.sources.iter().map(|source| source.node).collect(),
        });
        Step::Continue
    }
}
