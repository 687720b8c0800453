//! IQ2_S, decoded by a reference's own function.
//!
//! Its 1024 points of eight dimensions follow from no rule that anybody has written down: they
//! are closed under no exchange of two dimensions, so no bound on norms, sums or distances selects
//! them. Copying the table is the only other way.

use engine::gguf::{Gguf, TensorInfo};

use super::question::{Computer, Question};
use crate::exit::Failure;
use crate::file::document::Document;
use crate::reference::isolation::Call;

/// The number of its type, to everybody.
const TYPE: u32 = 22;
const BLOCK: usize = 256;
const BLOCK_BYTES: usize = 82;
/// Blocks of a question.
const AT_ONCE: usize = 4096;

/// Whether a file has tensors of it.
pub fn is_there(gguf: &Gguf) -> bool {
    gguf.tensors.iter().any(is_iq2_s)
}

fn is_iq2_s(tensor: &TensorInfo) -> bool {
    tensor.type_id == TYPE
}

/// The file with these tensors as F32.
pub fn widened(gguf: &Gguf, computer: &mut dyn Computer) -> Result<Vec<u8>, Failure> {
    let mut document = Document::read(gguf)?;
    for tensor in gguf.tensors.iter().filter(|tensor| is_iq2_s(tensor)) {
        let bytes = gguf.region(tensor);
        let blocks = tensor.elements() as usize / BLOCK;
        let mut values = Vec::with_capacity(blocks * BLOCK);
        for bytes in bytes[..blocks * BLOCK_BYTES].chunks(AT_ONCE * BLOCK_BYTES) {
            let count = bytes.len() / BLOCK_BYTES * BLOCK;
            let call = Call::Decode {
                kind: TYPE as i32,
                count,
            };
            let question = Question {
                call,
                values: Vec::new(),
                bytes: bytes.to_vec(),
            };
            let answer = computer.compute(&question)?;
            if answer.values.len() != count {
                let found = answer.values.len();
                return Err(Failure::input(format!(
                    "{found} values of {count} came back"
                )));
            }
            values.extend(answer.values);
        }
        let written = document.becomes_f32(&tensor.name, &values);
        written.map_err(Failure::input)?;
    }
    Ok(document.file())
}
