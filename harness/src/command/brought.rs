//! `--subject` where an engine is looked into: somebody else's takes the built-in one's place.

use std::time::Duration;

use engine::kernels::Kernel;

use crate::case::ability::Ability;
use crate::exit::Failure;
use crate::judge::demand::Demand;
use crate::reference::isolation::Limits;
use crate::runner::Subject;
use crate::runner::engine::Engine;
use crate::runner::subject::{self, Options, Spec};

/// Engines that users bring.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct Brought {
    /// This engine of yours: `cmd: COMMAND`, `serve: COMMAND`, `lib:FILE`, `http://…` or files it
    /// saved, as `harness subject --help` says; may be given several times
    #[arg(long, value_name = "WHAT", value_parser = str::parse::<Spec>)]
    pub subject: Vec<Spec>,

    /// With --subject: hand it the two-bit weights as F32, for an engine that does not know I2_S
    #[arg(long, requires = "subject")]
    pub wide: bool,
}

impl Brought {
    /// All of them, started. Each claims that arithmetic, or what it says itself, and has so long
    /// for an answer.
    pub fn open(
        &self,
        claimed: Option<&str>,
        patience: Option<Duration>,
    ) -> Result<Vec<Box<dyn Subject>>, Failure> {
        let limits = Limits::default();
        let limits = Limits {
            patience: patience.unwrap_or(limits.patience),
            ..limits
        };
        let one = |spec: &Spec| {
            let options = Options {
                tokens: None,
                shape: Vec::new(),
                profile: claimed.map(str::to_owned),
                demand: Demand::Nearest,
                limits,
                wide: self.wide,
                host: Engine::new(Kernel::best(), 1),
            };
            subject::open(spec, options)
        };
        self.subject.iter().map(one).collect()
    }

    /// The same where whole rows of a prompt's logits are asked for and nothing less will do.
    pub fn open_whole(
        &self,
        claimed: Option<&str>,
        patience: Option<Duration>,
    ) -> Result<Vec<Box<dyn Subject>>, Failure> {
        let subjects = self.open(claimed, patience)?;
        for subject in &subjects {
            let (identity, lacking) = (subject.identity(), subject.lacking());
            let mut whole = [Ability::Prefill, Ability::Rows].into_iter();
            if let Some(ability) = whole.find(|ability| lacking.contains(ability)) {
                let ability = ability.name();
                let message = "so there is nothing to compare it by";
                return Err(Failure::input(format!(
                    "{identity} does not offer {ability}, {message}"
                )));
            }
        }
        Ok(subjects)
    }
}
