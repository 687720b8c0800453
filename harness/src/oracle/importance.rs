//! How much each column of a matrix matters on a text: the mean square of what it is multiplied
//! with, as llama-imatrix has it.

use std::collections::BTreeMap;

use engine::config::Config;
use engine::export::Importance;
use engine::session::{EvalError, Session, SessionOptions, Wanted};
use engine::transformer::labels::Labels;
use engine::transformer::probe::{Node, Place, Probe};
use engine::{Model, Token};

use crate::exit::Failure;
use crate::io::threads;

/// Lets a model read a text in chunks, each anew; every position counts. `done` is told of each.
pub fn measure(
    model: &Model,
    chunks: impl Iterator<Item = Vec<Token>>,
    done: &mut dyn FnMut(),
) -> Result<Importance, Failure> {
    let mut squares = Squares {
        config: model.config(),
        sums: BTreeMap::new(),
    };
    for chunk in chunks {
        let options = SessionOptions {
            context: chunk.len(),
            ubatch: chunk.len(),
            threads: threads::cores(),
            profile: Default::default(),
        };
        let session = Session::new(model, options).map_err(EvalError::OutOfMemory);
        session?.feed(&chunk, Wanted::All, &mut squares)?;
        done();
    }
    let means = squares.sums.into_iter().map(|(name, (sums, rows))| {
        let mean = |sum: f64| (sum / rows as f64) as f32;
        (name, sums.into_iter().map(mean).collect())
    });
    Ok(means.collect())
}

/// Sums of squares by column, and how many rows were summed.
struct Squares<'m> {
    config: &'m Config,
    sums: BTreeMap<String, (Vec<f64>, usize)>,
}

impl Probe for Squares<'_> {
    fn at(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        let width = *shape.last().expect("every node has a shape");
        for name in readers(self.config, &node) {
            let empty = || (vec![0.0; width], 0);
            let (sums, rows) = self.sums.entry(name).or_insert_with(empty);
            for row in values.chunks_exact(width) {
                let pairs = sums.iter_mut().zip(row);
                pairs.for_each(|(sum, &x)| *sum += f64::from(x) * f64::from(x));
                *rows += 1;
            }
        }
    }
}

/// The matrices that are multiplied with a node.
fn readers(config: &Config, node: &Node) -> Vec<String> {
    let labels = Labels::of(config.architecture);
    let (gathered, gated) = if config.has_sub_norms {
        (("attn_sub_norm", "MUL"), ("ffn_sub_norm", "MUL"))
    } else {
        ((labels.gathered, "CONT"), (labels.gated, "MUL"))
    };
    match node.place {
        Place::Layer(layer) => {
            let parts: &[&str] = match (node.name, node.op) {
                ("attn_norm", "MUL") => &["attn_q", "attn_k", "attn_v"],
                ("ffn_norm", "MUL") => &["ffn_gate", "ffn_up"],
                of if of == gathered => &["attn_output"],
                of if of == gated => &["ffn_down"],
                _ => &[],
            };
            let name = |part: &&str| format!("blk.{layer}.{part}.weight");
            parts.iter().map(name).collect()
        }
        // The head, which may be the table of embeddings.
        Place::Model if (node.name, node.op) == ("result_norm", "MUL") => {
            ["output.weight", "token_embd.weight"]
                .map(String::from)
                .to_vec()
        }
        Place::Model | Place::Number(_) => Vec::new(),
    }
}
