//! A checkpoint in one of its forms, some of whose files are others, and its conversion.

use std::path::Path;
use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use engine::Model;
use engine::bytes::ModelBytes;
use engine::checkpoint::{Checkpoint, Floats, Options, Said, TARGETS};
use engine::gguf::Gguf;
use engine::refusal::Refusal;
use engine::session::OpenOptions;
use harness::fixture::checkpoint::{File, Form, files};
use serde_json::Value;

use crate::edited::{self, Edit};
use crate::refused;
use crate::target::model::shape;

const FORMS: [Form; 4] = [Form::Values, Form::Master, Form::Multiply, Form::Divide];

/// Two architectures in each form, in one file or two.
static SOUND: LazyLock<Vec<Vec<File>>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for architecture in [2, 3] {
        let document = shape(architecture, "i2_s-p128")
            .document()
            .expect("possible");
        let gguf = Gguf::parse(ModelBytes::from_vec(document.file())).expect("sound");
        for (form, shards) in FORMS.into_iter().zip([1, 2, 1, 2]) {
            all.push(files(&gguf, form, shards).expect("a checkpoint"));
        }
    }
    all
});

fn run_on(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let which = input.choose_index(SOUND.len())?;
    let mut texts: Vec<Option<Value>> = Vec::new();
    let mut bytes: Vec<Vec<u8>> = Vec::new();
    for file in &SOUND[which] {
        texts.push(serde_json::from_slice(&file.bytes).ok());
        bytes.push(file.bytes.clone());
    }
    let options = Options {
        target: &TARGETS[input.choose_index(TARGETS.len())?],
        table: &TARGETS[input.choose_index(TARGETS.len())?],
        architecture: None,
        name: None,
        word_rules: input.arbitrary::<bool>()?.then(|| "llama-bpe".into()),
        said: Said {
            floats: *input.choose(&[None, Some(Floats::AsIs), Some(Floats::Absmean)])?,
            rule: None,
            missing_scale: input.arbitrary()?,
        },
    };
    for _ in 0..input.int_in_range(0..=3)? {
        let file = input.choose_index(bytes.len())?;
        match &mut texts[file] {
            Some(value) if input.ratio(7, 8)? => {
                edited::json(value, input)?;
                bytes[file] = value.to_string().into_bytes();
            }
            _ => {
                let edits = Vec::<Edit>::arbitrary(input)?;
                bytes[file] = edited::bytes(std::mem::take(&mut bytes[file]), &edits);
            }
        }
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (file, bytes) in SOUND[which].iter().zip(&bytes) {
        std::fs::write(folder.path().join(&file.name), bytes).expect("written");
    }
    if let Err(refusal) = converted(folder.path(), &options) {
        refused(&refusal);
    }
    Ok(())
}

fn converted(folder: &Path, options: &Options) -> Result<(), Refusal> {
    let checkpoint = Checkpoint::open(folder)?;
    let mut file = Vec::new();
    let written = checkpoint.plan(options)?.write(&mut file, |_| ())?;
    opens(file, written.len());
    Ok(())
}

/// What is converted is a file with these tensors at least, which this engine opens or refuses for
/// what it says.
fn opens(file: Vec<u8>, tensors: usize) {
    let gguf = Gguf::parse(ModelBytes::from_vec(file.clone())).expect("what is written is read");
    assert!(gguf.tensors.len() >= tensors);
    if let Err(refusal) = Model::from_bytes(file, &OpenOptions::default()) {
        refused(&refusal);
    }
}

/// Damages, opens, plans and converts.
pub fn run(data: &[u8]) {
    // Where the input runs out, there is nothing to run.
    let _ = run_on(&mut Unstructured::new(data));
}
