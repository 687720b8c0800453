//! Tolerances that a user types, wherever an arithmetic without a name is judged.

use std::path::PathBuf;

use crate::exit::Failure;
use crate::judge::demand::Demand;
use crate::judge::own_tolerance::{self, OwnTolerance};

/// What is demanded instead of the nearest tier.
#[derive(clap::Args, Debug, Clone, Default, PartialEq)]
pub struct OwnTolerances {
    /// Own tolerance: |theirs - ours| may be atol + rtol * |theirs|
    #[arg(long, value_name = "X", help_heading = "Own tolerance")]
    rtol: Option<f64>,

    /// The other part of it
    #[arg(long, value_name = "X", help_heading = "Own tolerance")]
    atol: Option<f64>,

    /// KL divergence of a position, in nats, at most
    #[arg(long, value_name = "X", help_heading = "Own tolerance")]
    kl: Option<f64>,

    /// Share of positions with the same most likely token, at least
    #[arg(long, value_name = "SHARE", help_heading = "Own tolerance")]
    top1: Option<f64>,

    /// Representable values between two logits, at most
    #[arg(long, value_name = "N", help_heading = "Own tolerance")]
    ulp: Option<u64>,

    /// Own tolerances as [[tier]] tables of a TOML file, the strictest first; the first that holds
    /// is named
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["rtol", "atol", "kl", "top1", "ulp"],
        help_heading = "Own tolerance"
    )]
    tolerances: Option<PathBuf>,
}

impl OwnTolerances {
    /// Whether one was typed.
    pub fn any(&self) -> bool {
        *self != OwnTolerances::default()
    }

    /// What they come to: the nearest tier, if none was typed.
    pub fn demand(&self) -> Result<Demand, Failure> {
        if let Some(file) = &self.tolerances {
            return Ok(Demand::Own(own_tolerance::read(file)?));
        }
        let own = OwnTolerance {
            name: "own".into(),
            rtol: self.rtol,
            atol: self.atol,
            kl: self.kl,
            top1: self.top1,
            ulp: self.ulp,
        };
        let unnamed = OwnTolerance {
            name: own.name.clone(),
            ..OwnTolerance::default()
        };
        if own == unnamed {
            return Ok(Demand::Nearest);
        }
        let sound = own.fault().map_or(Ok(()), |why| Err(Failure::input(why)));
        sound.map(|()| Demand::Own(vec![own]))
    }
}
