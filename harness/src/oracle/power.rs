//! Discriminating power: faults that real engines have had, planted one at a time, and whether
//! the comparison with the recordings notices each of them and names the right node.
//!
//! A fault is planted in what the engine reads, in the values of a pass, in the ids, or in what
//! is handed to the comparison. The comparison is the one `crossval` makes: the reference's
//! recordings, every bit of every traced node and of the logits, prefill and decode, and the
//! continuation. How many of the faults the usual gates would have seen is counted beside it.
#![forbid(unsafe_code)]

mod attention;
pub mod clean;
pub mod crew;
mod effect;
pub mod gate;
mod layer;
mod product;
mod reading;
mod rotation;
mod scene;
pub mod trial;
mod witness;

use engine::config::Architecture;
use engine::flavor::Flavor;
use engine::numerics::Profile;
use engine::tokenizer::Tokenizer;
use engine::{Model, Token};

use crate::case::observation::Observation;
use crate::file::document::{Document, Uneditable};
use crate::runner::passes::{self, Plant};
use scene::{Act, NOTHING, Planted, Scene, nothing};

pub use effect::Effect;
pub use trial::Outcome;

/// The models, by what their cases' names begin with.
const BITNET: &str = "bitnet";
const B158: &str = "b158";
const EDGES: &str = "edges";

/// What lies behind the codes of a packed tensor, the scale first.
const SCALE_BYTES: usize = engine::flavor::i2_s::TRAILER_BYTES as usize;

/// One fault.
pub struct Fault {
    /// Unique, in lower case with dashes.
    pub name: &'static str,
    /// The first node it changes, if it is a fault of numbers.
    pub expected_node: Option<&'static str>,
    /// Which model it is planted in.
    model: &'static str,
    means: Means,
}

/// What a fault does to a file.
type Edit = fn(&mut Document) -> Result<(), Uneditable>;

/// How a fault is planted.
enum Means {
    /// The engine reads an edited file.
    File(Edit),
    /// The engine takes the two-bit weights for another packing.
    Flavor(Flavor),
    /// Nodes get other values: as they are made, and as the next operation reads them.
    Values([Act; 2]),
    /// The prompt has other ids.
    Ids(fn(&Tokenizer, &str, &mut Vec<Token>)),
    /// The comparison is told something else than what was seen.
    Testimony(fn(&Observation, &mut Observation)),
}

/// Every fault there is.
pub fn catalogue() -> Vec<&'static Fault> {
    let kinds = [
        reading::FAULTS,
        product::FAULTS,
        rotation::FAULTS,
        attention::FAULTS,
        layer::FAULTS,
        witness::FAULTS,
    ];
    kinds.into_iter().flatten().collect()
}

/// Changes that change nothing, which must therefore not be caught: a copy of the file, and the
/// products of one projection computed once more as they were.
pub const PLACEBOS: &[Fault] = &[
    unlocated("file-rewritten", Means::File(|_| Ok(()))),
    unlocated("values-left-alone", Means::Values(NOTHING)),
    unlocated("product-made-again", made(product::sound)),
    unlocated("masked-as-it-was", made(attention::sound)),
    unlocated("turned-as-it-was", made(rotation::sound)),
    unlocated("testimony-left-alone", Means::Testimony(|_, _| ())),
];

/// The fault of values that has this name: one that acts on the nodes of a pass.
pub fn of_values(name: &str) -> Option<&'static Fault> {
    let fault = catalogue().into_iter().find(|fault| fault.name == name)?;
    fault.acts().map(|_| fault)
}

impl Fault {
    /// Makes a fault of values act on every pass of a model, in one layer if one is named. None if
    /// it is none, or one of models with other nodes.
    pub fn plant<'m>(
        &self,
        layer: Option<usize>,
        model: &'m Model,
        profile: Profile,
    ) -> Option<Plant<'m>> {
        let acts = self.acts()?;
        let own = match model.config().architecture {
            Architecture::Bitnet => BITNET,
            Architecture::BitnetB158 => B158,
            Architecture::Bitnet25 | Architecture::Llama => return None,
        };
        let plant = move || -> Box<dyn passes::Fault + 'm> {
            let fault = Planted::new(Scene::of(model, profile), acts);
            Box::new(fault.in_layer(layer))
        };
        (self.model == own).then(|| Box::new(plant) as Plant<'m>)
    }

    /// The same fault in another model.
    const fn on(self, model: &'static str) -> Self {
        Fault { model, ..self }
    }

    /// What it does to the values of a pass, if that is where it is planted.
    fn acts(&self) -> Option<[Act; 2]> {
        match self.means {
            Means::Values(acts) => Some(acts),
            _ => None,
        }
    }
}

const fn numeric(name: &'static str, expected: &'static str, means: Means) -> Fault {
    Fault {
        expected_node: Some(expected),
        ..unlocated(name, means)
    }
}

const fn unlocated(name: &'static str, means: Means) -> Fault {
    Fault {
        name,
        expected_node: None,
        model: BITNET,
        means,
    }
}

/// A fault of the operation that makes a value.
const fn made(act: Act) -> Means {
    Means::Values([act, nothing])
}

/// A fault of the operation that reads a value.
const fn read(act: Act) -> Means {
    Means::Values([nothing, act])
}
