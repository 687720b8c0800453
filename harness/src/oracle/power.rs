//! Discriminating power: faults that real engines have had, planted one at a time, and whether
//! the comparison with the recordings notices each of them and names the right node.
//!
//! A fault is planted in what the engine reads, in the values of a pass, in the ids, or in what
//! is handed to the comparison. The comparison is the one `crossval` makes: the reference's
//! recordings, every bit of every traced node and of the logits, prefill and decode, and the
//! continuation. How many of the faults the usual gates would have seen is counted beside it.

mod attention;
pub mod clean;
pub mod gate;
mod handed_over;
mod layer;
mod packings;
mod pass;
mod product;
mod reading;
mod rotation;
pub mod table;
pub mod trial;

use std::sync::LazyLock;

use engine::config::Architecture;
use engine::flavor::Flavor;
use engine::numerics::Profile;
use engine::tokenizer::Tokenizer;
use engine::{Model, Token};
use serde::Serialize;

use crate::case::Case;
use crate::case::ability::Lacking;
use crate::case::observation::{Identity, Observation};
use crate::file::document::{Document, Uneditable};
use crate::runner::RunError;
use crate::runner::engine::Computing;
use crate::runner::observe::observe_tokens;
use crate::runner::watch::{Moment, Plant};
use pass::{Act, Change, PassState};

pub use trial::{Bench, Trial, of_shares};

/// The models, by what their cases' names begin with.
const BITNET: &str = "bitnet";
const B158: &str = "b158";
const EDGES: &str = "edges";

/// What lies behind the codes of a packed tensor, the scale first.
const SCALE_BYTES: usize = engine::flavor::i2_s::TRAILER_BYTES as usize;

/// One fault.
#[derive(Serialize)]
pub struct Fault {
    /// Unique, in lower case with dashes.
    pub name: &'static str,
    /// The first node it changes, if it is a fault of numbers.
    pub expected_node: Option<&'static str>,
    /// Which model it is planted in.
    #[serde(skip)]
    model: &'static str,
    #[serde(skip)]
    injection: Injection,
}

/// What a fault does to a file.
type Edit = fn(&mut Document) -> Result<(), Uneditable>;

/// How a fault is planted.
enum Injection {
    /// The engine reads an edited file.
    File(Edit),
    /// The engine takes the two-bit weights for another packing.
    Flavor(Flavor),
    /// Nodes get other values.
    Values(Vec<Act>),
    /// The prompt has other ids.
    Ids(fn(&Tokenizer, &str, &mut Vec<Token>)),
    /// The comparison is handed something else than what was observed.
    Observation(fn(&Observation, &mut Observation)),
}

static CATALOGUE: LazyLock<Vec<Fault>> = LazyLock::new(|| {
    let kinds = [
        reading::faults(),
        packings::faults(),
        product::faults(),
        rotation::faults(),
        attention::faults(),
        layer::faults(),
        handed_over::faults(),
    ];
    kinds.into_iter().flatten().collect()
});

/// Every fault there is.
pub fn catalogue() -> Vec<&'static Fault> {
    CATALOGUE.iter().collect()
}

/// Changes that change nothing, which must therefore not be caught: a copy of the file, and
/// operations computed once more as they were.
#[rustfmt::skip] // a table: a line a row
pub fn placebos() -> Vec<Fault> {
    vec![
        unlocated("file-rewritten", Injection::File(|_| Ok(()))),
        unlocated("values-left-alone", Injection::Values(vec![act(Moment::Made, "", |_, _| ())])),
        unlocated("product-made-again", Injection::Values(vec![product::as_it_was()])),
        unlocated("masked-as-it-was", Injection::Values(vec![attention::as_it_was()])),
        unlocated("turned-as-it-was", Injection::Values(vec![rotation::as_it_was()])),
        unlocated("observation-left-alone", Injection::Observation(|_, _| ())),
    ]
}

/// The fault of values that has this name: one that acts on the nodes of a pass.
pub fn of_values(name: &str) -> Option<&'static Fault> {
    let mut faults = CATALOGUE.iter();
    faults.find(|fault| fault.name == name && matches!(fault.injection, Injection::Values(_)))
}

impl Fault {
    /// Makes a fault of values act on every pass of a model, in one layer if one is named. None if
    /// it is none, or one of models with other nodes.
    pub fn plant<'m>(
        &'m self,
        layer: Option<usize>,
        model: &'m Model,
        profile: Profile,
    ) -> Option<Plant<'m>> {
        let own = match model.config().architecture {
            Architecture::Bitnet => BITNET,
            Architecture::BitnetB158 => B158,
            _ => return None,
        };
        let Injection::Values(acts) = &self.injection else {
            return None;
        };
        (self.model == own).then(|| planted(acts, layer, model, profile))
    }

    /// A model that computes with it; soundly, if it is planted elsewhere than in values.
    fn engine<'m>(&'m self, model: &'m Model, profile: Profile) -> Computing<'m, &'m Model> {
        let engine = Computing::new(model, profile);
        match &self.injection {
            Injection::Values(acts) => engine.with(planted(acts, None, model, profile)),
            _ => engine,
        }
    }

    /// The same fault in another model.
    fn on(self, model: &'static str) -> Self {
        Fault { model, ..self }
    }

    /// The same fault with one more change of values.
    fn and(mut self, more: Act) -> Self {
        if let Injection::Values(acts) = &mut self.injection {
            acts.push(more);
        }
        self
    }
}

fn planted<'m>(
    acts: &'m [Act],
    layer: Option<usize>,
    model: &'m Model,
    profile: Profile,
) -> Plant<'m> {
    Box::new(move || PassState::new(model, profile).disturbed_by(acts, layer))
}

/// What an engine computes of a case, under a name that no receipt has.
fn observed(
    engine: &mut Computing<'_, &Model>,
    name: String,
    case: &Case,
    tokens: Vec<Token>,
    threads: usize,
) -> Result<Observation, RunError> {
    let identity = Identity {
        name,
        profile: engine.profile().name().into(),
        fingerprint: "planted".into(),
    };
    observe_tokens(engine, identity, case, tokens, (threads, &Lacking::new()))
}

fn located(name: &'static str, expected: &'static str, injection: Injection) -> Fault {
    Fault {
        expected_node: Some(expected),
        ..unlocated(name, injection)
    }
}

fn unlocated(name: &'static str, injection: Injection) -> Fault {
    Fault {
        name,
        expected_node: None,
        model: BITNET,
        injection,
    }
}

/// A change of the nodes that `on` names: `name`, `name|OP` or `|OP`, or all of them.
fn act(moment: Moment, on: &'static str, change: impl Change) -> Act {
    Act {
        moment,
        on,
        change: Box::new(change),
    }
}

/// A fault of the operation that makes the nodes `on`; `expected` is the first to differ.
fn made(
    name: &'static str,
    expected: &'static str,
    on: &'static str,
    change: impl Change,
) -> Fault {
    let acts = vec![act(Moment::Made, on, change)];
    located(name, expected, Injection::Values(acts))
}

/// A fault of the operation that reads the nodes `on`; `expected` is the first to differ.
fn read(
    name: &'static str,
    expected: &'static str,
    on: &'static str,
    change: impl Change,
) -> Fault {
    let acts = vec![act(Moment::Read, on, change)];
    located(name, expected, Injection::Values(acts))
}

/// A change of every value alone.
fn each(change: impl Fn(f32) -> f32 + Send + Sync + 'static) -> impl Change {
    move |_: &PassState<'_>, values: &mut [f32]| {
        values.iter_mut().for_each(|x| *x = change(*x));
    }
}
