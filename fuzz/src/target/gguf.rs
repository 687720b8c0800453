//! A GGUF file, byte for byte.

use engine::Model;
use engine::bytes::ModelBytes;
use engine::gguf::Gguf;
use engine::session::OpenOptions;
use harness::file::check;
use harness::file::document::Document;

use crate::refused;
use crate::target::model::{self, shape};

/// Reads, and goes on as far as the file lets it.
pub fn run(data: &[u8]) {
    let gguf = match Gguf::parse(ModelBytes::from_vec(data.to_vec())) {
        Ok(gguf) => gguf,
        Err(refusal) => return refused(&refusal),
    };
    for finding in check::examine(&gguf, None, &mut |_, _| ()) {
        assert!(!finding.subjects.is_empty(), "{finding:?}");
    }
    match Document::read(&gguf) {
        Ok(document) => same_when_written_again(&document),
        Err(refusal) => refused(&refusal),
    }
    match Model::from_bytes(data.to_vec(), &OpenOptions::default()) {
        Ok(opened) => drop(model::computed(&opened, 1, &[0, 1, 2])),
        Err(refusal) => refused(&refusal),
    }
}

/// What a document writes is a document that writes the same, if it is one.
fn same_when_written_again(document: &Document) {
    let file = document.file();
    if let Ok(gguf) = Gguf::parse(ModelBytes::from_vec(file.clone()))
        && let Ok(again) = Document::read(&gguf)
    {
        assert!(
            again.file() == file,
            "another file when it is written again"
        );
    }
}

/// A small one of each architecture.
pub fn seeds() -> Vec<Vec<u8>> {
    let formats = ["i2_s-p128", "f16", "q8_0", "f32", "q4_0"];
    let shapes = (0..5).zip(formats).map(|(architecture, format)| {
        let document = shape(architecture, format).document();
        document.expect("a possible shape").file()
    });
    shapes.collect()
}
