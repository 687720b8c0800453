//! The same tokens through the checkpoint and through the file, in floats and as the file runs.

use engine::session::{SessionOptions, Wanted};
use engine::transformer::probe::{Node, Probe};
use engine::{Model, Session, Token};
use serde::Serialize;

use crate::exit::Failure;
use crate::io::threads;
use crate::numbers::metrics::{self, Distance, divergence, top1};
use crate::numbers::statistics::mean;

/// Both sets of weights as F32.
#[derive(Debug, Serialize)]
pub struct InFloats {
    /// Logits compared.
    pub logits: usize,
    /// Those whose bits are equal.
    pub bit_equal: usize,
    /// The first node whose bits are not.
    pub first_node: Option<FirstNode>,
}

/// A node that is not the checkpoint's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FirstNode {
    /// `name-layer|OPERATION#occurrence`
    pub node: String,
    /// How far apart, as a share of its energy.
    pub nmse: Option<f64>,
}

/// The file in its own arithmetic.
#[derive(Debug, Serialize)]
pub struct AsItRuns {
    /// Positions compared.
    pub positions: usize,
    /// The smallest cosine of the logits of a position.
    pub least_cosine: Option<f64>,
    /// Mean divergence from the checkpoint's distribution, in nats.
    pub mean_kl: Option<f64>,
    /// Positions at which both find the same token likeliest.
    pub same_top1: usize,
    /// How surprising a token of the text is to the checkpoint and to the file, in nats on average.
    pub surprise: [Option<f64>; 2],
    /// How surprising it is to what knows nothing.
    pub surprise_of_nothing: f64,
}

impl InFloats {
    /// Whether all logits are the checkpoint's.
    pub fn is_same(&self) -> bool {
        self.bit_equal == self.logits && self.first_node.is_none()
    }
}

/// The tokens of a text; some of the vocabulary's where there is no tokenizer.
pub(super) fn tokens(model: &Model, text: &str) -> Result<Vec<Token>, Failure> {
    let most = model.config().context_length;
    let mut tokens = match model.tokenizer() {
        Some(tokenizer) => tokenizer.encode(text, true, true),
        None => (0..model.config().vocab_size.min(16) as Token).collect(),
    };
    tokens.truncate(most);
    if tokens.is_empty() {
        return Err(Failure::input("the text to verify with has no tokens"));
    }
    Ok(tokens)
}

/// The pass of the checkpoint, to which others are compared.
pub(super) struct Passes<'t> {
    tokens: &'t [Token],
    pass: Pass,
    vocabulary: usize,
}

/// What one pass computes.
#[derive(Default)]
struct Pass {
    nodes: Vec<(Node, Vec<f32>)>,
    logits: Vec<f32>,
}

impl Probe for Pass {
    fn at(&mut self, node: Node, _: &[usize], values: &mut [f32]) {
        self.nodes.push((node, values.to_vec()));
    }
}

impl<'t> Passes<'t> {
    pub(super) fn of(checkpoint: &Model, tokens: &'t [Token]) -> Result<Self, Failure> {
        Ok(Passes {
            tokens,
            pass: pass(checkpoint, tokens)?,
            vocabulary: checkpoint.config().vocab_size,
        })
    }

    pub(super) fn in_floats(&self, file: &Model) -> Result<InFloats, Failure> {
        let other = pass(file, self.tokens)?;
        let mut nodes = self.pass.nodes.iter().zip(&other.nodes);
        let differs = |((name, mine), (other, theirs)): &(&_, &(Node, Vec<f32>))| {
            let (name, mine): (&Node, &Vec<f32>) = (name, mine);
            let same = mine.len() == theirs.len() && name == other;
            !same || !Distance::between(mine, theirs).is_bit_identical()
        };
        let first = nodes.find(differs).map(|((name, mine), (_, theirs))| {
            let paired = mine.len() == theirs.len();
            FirstNode {
                node: name.to_string(),
                nmse: paired
                    .then(|| Distance::between(mine, theirs).nmse)
                    .flatten(),
            }
        });
        self.same_size(&other)?;
        let distance = Distance::between(&self.pass.logits, &other.logits);
        Ok(InFloats {
            logits: distance.values,
            bit_equal: distance.bit_equal,
            first_node: first,
        })
    }

    pub(super) fn as_it_runs(&self, file: &Model) -> Result<AsItRuns, Failure> {
        let other = pass(file, self.tokens)?;
        self.same_size(&other)?;
        let rows = |pass: &'_ Pass| -> Vec<Vec<f32>> {
            let rows = pass.logits.chunks_exact(self.vocabulary);
            rows.map(<[f32]>::to_vec).collect()
        };
        let (mine, theirs) = (rows(&self.pass), rows(&other));
        let pairs = || mine.iter().zip(&theirs);
        let cosines = pairs().map(|(a, b)| Distance::between(a, b).cosine);
        let cosines: Option<Vec<f64>> = cosines.collect();
        let divergences: Option<Vec<f64>> = pairs().map(|(a, b)| divergence(a, b)).collect();
        Ok(AsItRuns {
            positions: mine.len(),
            least_cosine: cosines.and_then(|all| all.into_iter().reduce(f64::min)),
            mean_kl: divergences.and_then(|all| mean(&all)),
            same_top1: pairs().filter(|(a, b)| top1(a) == top1(b)).count(),
            surprise: [&mine, &theirs].map(|rows| surprise(rows, self.tokens)),
            surprise_of_nothing: (self.vocabulary as f64).ln(),
        })
    }

    fn same_size(&self, other: &Pass) -> Result<(), Failure> {
        let (mine, theirs) = (self.pass.logits.len(), other.logits.len());
        if mine == theirs {
            return Ok(());
        }
        let message = format!("{theirs} logits, and the checkpoint has {mine}: another vocabulary");
        Err(Failure::input(message))
    }
}

fn pass(model: &Model, tokens: &[Token]) -> Result<Pass, Failure> {
    let options = SessionOptions {
        context: tokens.len(),
        ubatch: tokens.len(),
        threads: threads::cores(),
        profile: Default::default(),
    };
    let mut pass = Pass::default();
    pass.logits = Session::new(model, options)?.feed(tokens, Wanted::All, &mut pass)?;
    Ok(pass)
}

/// Mean surprise of every token but the first, given those before it.
fn surprise(rows: &[Vec<f32>], tokens: &[Token]) -> Option<f64> {
    let came = rows.iter().zip(&tokens[1..]);
    let all: Option<Vec<f64>> = came
        .map(|(row, token)| metrics::surprise(row, *token as usize))
        .collect();
    mean(&all?)
}
