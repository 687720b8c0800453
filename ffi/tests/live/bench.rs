//! What every check stands on: an open reference, the fixtures, an observer that keeps everything.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use ffi::reference::{Cache, IfMissing, Prepared, Spec, prepare};
use ffi::{Library, Model, ModelOptions, Node, Observe, Session, SessionOptions, Step, Wanted};

use crate::widened::widened;

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

    /// For references with bitnet.cpp's I2_S kernels.
    pub const fn bitnet(name: &'static str, run: fn(&Bench)) -> Self {
        Check {
            name,
            applies: is_bitnet,
            run,
        }
    }

    /// For ik_llama.cpp.
    pub const fn ik(name: &'static str, run: fn(&Bench)) -> Self {
        Check {
            name,
            applies: is_ik,
            run,
        }
    }

    /// For references that were built here, not elsewhere.
    pub const fn recorded(name: &'static str, run: fn(&Bench)) -> Self {
        Check {
            name,
            applies: has_record,
            run,
        }
    }
}

/// Told by what the library exports, not by what it is called.
fn is_bitnet(prepared: &Prepared) -> Result<(), String> {
    exports(
        prepared,
        "ggml_vec_dot_i2_i8_s",
        "this library has no I2_S kernels",
    )
}

fn is_ik(prepared: &Prepared) -> Result<(), String> {
    exports(prepared, "iqk_mul_mat", "this library is not ik_llama.cpp")
}

fn exports(prepared: &Prepared, symbol: &str, otherwise: &str) -> Result<(), String> {
    let needle = format!("\0{symbol}\0");
    let holds = |path| {
        let bytes = std::fs::read(path).expect("the library is readable");
        bytes
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
    };
    let found = prepared.tree.libggml.iter().any(holds);
    if found {
        Ok(())
    } else {
        Err(otherwise.to_owned())
    }
}

fn has_record(prepared: &Prepared) -> Result<(), String> {
    let found = prepared.tree.root.join("reference.json").is_file();
    if found {
        Ok(())
    } else {
        Err("a build made elsewhere carries no record".into())
    }
}

pub struct Bench {
    pub prepared: Prepared,
    pub library: Library,
}

impl Bench {
    pub fn open(place: &Path) -> Self {
        let cache = Cache::from_environment().expect("the parent found one");
        let asked = Spec::Directory(place.to_owned());
        let prepared = prepare(&asked, &cache, IfMissing::Fail, &mut |line| {
            eprintln!("{line}")
        });
        let prepared = prepared.expect("the parent prepared it");
        let library = Library::open(&prepared).expect("a prepared reference opens");
        Bench { prepared, library }
    }

    /// The small model of arch `bitnet`: as it is, or widened for a library without I2_S.
    pub fn moby(&self) -> Model {
        let file = fixture(MOBY);
        let options = ModelOptions::default();
        if is_bitnet(&self.prepared).is_ok() {
            return self
                .library
                .model(&file, &options)
                .expect("the fixture loads");
        }
        let widened = widened(&file);
        self.library
            .model(widened.path(), &options)
            .expect("the widened fixture loads")
    }
}

/// The small I2_S model of arch `bitnet`.
pub const MOBY: &str = "moby-tiny/moby-tiny-bitnet.gguf";

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

/// All logits of `tokens`, fed from the start in one call per length in `lengths`.
pub fn decode_in_parts(session: &mut Session<'_>, tokens: &[u32], lengths: &[usize]) -> Vec<f32> {
    assert_eq!(lengths.iter().sum::<usize>(), tokens.len());
    let mut first = 0;
    let mut logits = Vec::new();
    for length in lengths {
        let part = &tokens[first..first + length];
        logits.extend(session.decode(part, first, Wanted::All).unwrap());
        first += length;
    }
    logits
}

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
            shape: node.shape(),
            is_plain: node.contiguous && node.type_name == "f32",
            values: values.to_vec(),
            sources: node.sources.iter().map(|source| source.node).collect(),
        });
        Step::Continue
    }
}
