//! What a token makes any engine read and multiply, whoever computes it.

use engine::config::Config;
use engine::gguf::Gguf;

/// Bytes and products of one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of all weights that take part in a decode step.
    pub weights: u64,
    /// Bytes of the head among them, and its elements.
    pub head: [u64; 2],
    /// Bytes of keys and values of one position, as 16-bit floats.
    pub position: u64,
    /// Products of activations with the matrices of the blocks, without the head, of which a
    /// prefill computes one row.
    pub products: u64,
}

/// What rows are looked up in; it is multiplied as well where there is no head of its own.
const TABLE: &str = "token_embd.weight";
const HEAD: &str = "output.weight";

impl Traffic {
    /// Of a model.
    pub fn of(gguf: &Gguf, config: &Config) -> Self {
        let own_head = gguf.tensors.iter().any(|tensor| tensor.name == HEAD);
        let read = |name: &str| !(own_head && name == TABLE);
        let (mut weights, mut products, mut head) = (0, 0, [0; 2]);
        for tensor in gguf.tensors.iter().filter(|tensor| read(&tensor.name)) {
            let bytes = gguf.region(tensor).len() as u64;
            weights += bytes;
            if [HEAD, TABLE].contains(&&*tensor.name) {
                head = [bytes, tensor.elements()];
            }
            if tensor.name.starts_with("blk.") && tensor.dims.len() == 2 {
                products += tensor.dims.iter().product::<u64>();
            }
        }
        let stored = config.head_count_kv * config.head_dim;
        Traffic {
            weights,
            head,
            position: (2 * 2 * stored * config.block_count) as u64,
            products,
        }
    }

    /// Of the same model written into a file of so many bytes with a table that is also its head:
    /// all of it is read.
    pub fn in_a_file_of(self, bytes: u64) -> Self {
        Traffic {
            weights: bytes,
            ..self
        }
    }

    /// Where the head is screened by a copy of a byte an element.
    pub fn screened(self) -> Self {
        let [bytes, elements] = self.head;
        Traffic {
            weights: self.weights - bytes + elements,
            ..self
        }
    }

    /// Bytes of a decode step behind so many positions.
    pub fn at(&self, positions: f64) -> f64 {
        self.weights as f64 + positions * self.position as f64
    }
}
