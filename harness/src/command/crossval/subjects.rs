//! Who is examined: the built-in engine and the other ways it can run, or what `--subject` names.

use std::path::PathBuf;
use std::time::Duration;

use ::engine::Token;
use ::engine::kernels::Kernel;

use super::Args;
use crate::command::flags;
use crate::exit::Failure;
use crate::file::provenance::Input;
use crate::judge::demand::Demand;
use crate::judge::own_tolerance::{self, OwnTolerance};
use crate::judge::tolerance::ArithmeticGap;
use crate::oracle::crossval::campaign::Campaign;
use crate::reference::isolation::Limits;
use crate::runner::Subject;
use crate::runner::engine::{self, Engine};
use crate::runner::subject::{self, Options, Spec, StandIn, saved};
use crate::runner::suite::Suite;

/// Whose logits are judged, and by what.
#[derive(clap::Args)]
pub struct Subjects {
    /// Judge these logits instead of the built-in engine's; may be given several times
    #[arg(long, value_name = "WHAT", value_parser = str::parse::<Spec>)]
    subject: Vec<Spec>,

    /// With --subject: the prompt's ids, separated by commas, or a file of them [default: what the
    /// subject's tokenizer makes of the prompt, or the built-in one]
    #[arg(long, value_name = "IDS|FILE", requires = "subject")]
    tokens: Option<String>,

    /// With --subject: rows and length of a row of a file of raw f32
    #[arg(
        long,
        value_name = "ROWS,VOCAB",
        value_delimiter = ',',
        requires = "subject"
    )]
    subject_shape: Vec<usize>,

    /// With --subject: hand it the two-bit weights as F32, for an engine that does not know I2_S
    #[arg(long, requires = "subject")]
    wide: bool,

    /// Own tolerance: |theirs - ours| may be atol + rtol * |theirs|
    #[arg(
        long,
        value_name = "X",
        requires = "subject",
        help_heading = "Own tolerance"
    )]
    rtol: Option<f64>,

    /// The other part of it
    #[arg(
        long,
        value_name = "X",
        requires = "subject",
        help_heading = "Own tolerance"
    )]
    atol: Option<f64>,

    /// KL divergence of a position, in nats, at most
    #[arg(
        long,
        value_name = "X",
        requires = "subject",
        help_heading = "Own tolerance"
    )]
    kl: Option<f64>,

    /// Share of positions with the same most likely token, at least
    #[arg(
        long,
        value_name = "SHARE",
        requires = "subject",
        help_heading = "Own tolerance"
    )]
    top1: Option<f64>,

    /// Representable values between two logits, at most
    #[arg(
        long,
        value_name = "N",
        requires = "subject",
        help_heading = "Own tolerance"
    )]
    ulp: Option<u64>,

    /// Own tolerances as [[tier]] tables of a TOML file, the strictest first; the first that holds
    /// is named
    #[arg(
        long,
        value_name = "FILE",
        requires = "subject",
        conflicts_with_all = ["rtol", "atol", "kl", "top1", "ulp"],
        help_heading = "Own tolerance"
    )]
    tolerances: Option<PathBuf>,
}

impl Subjects {
    /// Whether somebody brought an engine.
    pub fn any(&self) -> bool {
        !self.subject.is_empty()
    }

    /// The ids that were typed.
    fn tokens(&self) -> Result<Option<Vec<Token>>, Failure> {
        self.tokens.as_deref().map(saved::tokens).transpose()
    }

    fn demand(&self) -> Result<Demand, Failure> {
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

impl Args {
    /// The prompt that was typed, or the one whose ids were.
    pub fn asked(&self, engine: &Engine, model: &Input) -> Result<Option<String>, Failure> {
        let ids = self.subjects.tokens()?.filter(|_| self.prompt.is_none());
        let Some(ids) = ids else {
            return Ok(self.prompt.clone());
        };
        let model = engine.model(model).map_err(Failure::input)?;
        let text = |ids: &[Token]| {
            let text = engine::text(&model, ids).ok()?;
            (engine::tokenize(&model, &text).ok()? == *ids).then_some(text)
        };
        // The token that stands in front of every text is no part of it.
        let text = text(&ids).or_else(|| {
            let text = engine::text(&model, ids.get(1..)?).ok()?;
            (engine::tokenize(&model, &text).ok()? == ids).then_some(text)
        });
        let none = || Failure::input("--tokens: no text has these ids; give the text as --prompt");
        text.ok_or_else(none).map(Some)
    }

    /// The run as it was asked for.
    pub fn campaign(&self, suite: Suite, engine: Engine) -> Result<Campaign, Failure> {
        if !self.subjects.any() {
            let subjects = self.ways(engine)?;
            return Ok(Campaign::new(suite, subjects, self.threads));
        }
        let one = self.prompt.is_some() || self.subjects.tokens.is_some() || self.case.len() == 1;
        let saved = |spec: &Spec| matches!(spec, Spec::Saved(_));
        if !one && self.subjects.subject.iter().any(saved) {
            let message = "saved logits are those of one prompt: say which with --prompt, --tokens \
                           or --case";
            return Err(Failure::input(message));
        }
        let claimed = self.claimed()?;
        let mut opened = Vec::new();
        for spec in &self.subjects.subject {
            let options = Options {
                tokens: self.subjects.tokens()?,
                shape: self.subjects.subject_shape.clone(),
                profile: claimed.clone(),
                demand: self.subjects.demand()?,
                limits: Limits {
                    patience: Duration::from_secs(self.patience),
                    ..Limits::default()
                },
                wide: self.subjects.wide,
                host: engine.on_threads(self.threads),
            };
            opened.push(subject::open(spec, options)?);
        }
        let mut opened = opened.into_iter();
        let first = opened.next().into_iter().collect();
        let stand_in = StandIn::new(engine, claimed.as_deref());
        let campaign = Campaign::new(suite, first, self.threads).beside(Box::new(stand_in));
        Ok(opened.fold(campaign, Campaign::also))
    }

    /// The engine as asked for, and other ways it can compute, all of which must give the same
    /// bits: on the small fixtures every other kernel, and always another number of threads.
    fn ways(&self, chosen: Engine) -> Result<Vec<Box<dyn Subject>>, Failure> {
        let threads = if self.threads == 1 { 2 } else { 1 };
        let kernels = match self.kernel {
            None if self.is_of_fixtures() => Kernel::available(),
            _ => Vec::new(),
        };
        // One run differs in both, because a slow kernel is run no more often than it must be.
        let others = kernels.into_iter().rev().skip(1);
        let others = others.map(|kernel| self.engine(kernel, threads));
        let mut subjects: Vec<Engine> = others.collect::<Result<_, _>>()?;
        if subjects.is_empty() {
            subjects.push(chosen.on_threads(threads));
        }
        let all = std::iter::once(chosen).chain(subjects);
        let all = all.map(|engine| Box::new(engine) as Box<dyn Subject>);
        Ok(all.collect())
    }

    /// The built-in engine with that kernel.
    pub fn engine(&self, kernel: Kernel, threads: usize) -> Result<Engine, Failure> {
        let engine = Engine::new(kernel, threads).reading(self.reading);
        match &self.profile {
            Some(name) if !self.subjects.any() => {
                let profile = flags::profile(name);
                let profile = profile.map_err(|why| Failure::input(format!("--profile: {why}")))?;
                Ok(engine.with_profile(profile))
            }
            _ => Ok(engine),
        }
    }

    /// The arithmetic a subject claims: one that the ladder has a place for, or it means nothing.
    fn claimed(&self) -> Result<Option<String>, Failure> {
        let Some(name) = &self.profile else {
            return Ok(None);
        };
        if ArithmeticGap::profiles(name, "ggml-avx512") == ArithmeticGap::Unknown {
            return Err(Failure::input(format!(
                "--profile {name}: no arithmetic has that name; there are ggml-SET, ik-SET-wide, \
                 ik-SET-iq2bn and llama.cpp-SET-wide, with avx512, avx2 or neon as SET, and \
                 ggml-neon-fp16; without --profile the nearest tier is looked for"
            )));
        }
        Ok(self.profile.clone())
    }
}
