//! Who is examined: the built-in engine and the other ways it can run, or what `--subject` names.

use ::engine::Token;
use ::engine::kernels::Kernel;
use ::engine::numerics::Profile;

use super::Args;
use crate::case::ability::Ability;
use crate::command::flags;
use crate::command::own_tolerances::OwnTolerances;
use crate::exit::Failure;
use crate::file::provenance::Input;
use crate::io::output::quoted;
use crate::judge::tolerance::ArithmeticGap;
use crate::judge::verdict::Verdict;
use crate::oracle::crossval::campaign::{Campaign, Live};
use crate::receipt::{Comparison, Receipt, trace_command};
use crate::reference;
use crate::reference::isolation::Limits;
use crate::runner::Subject;
use crate::runner::engine::{self, Engine};
use crate::runner::subject::{self, Options, Spec, StandIn, saved};
use crate::runner::suite::Suite;

/// Whose logits are judged, and by what.
#[derive(clap::Args)]
pub struct Subjects {
    /// Judge these logits instead of the built-in engine's; may be given several times
    #[arg(long, alias = "logits", value_name = "WHAT", value_parser = str::parse::<Spec>)]
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

    #[command(flatten)]
    tolerances: OwnTolerances,
}

impl Subjects {
    /// Whether somebody brought an engine.
    pub fn any(&self) -> bool {
        !self.subject.is_empty()
    }

    /// Who was brought.
    pub fn brought(&self) -> &[Spec] {
        &self.subject
    }

    /// The ids that were typed.
    fn tokens(&self) -> Result<Option<Vec<Token>>, Failure> {
        self.tokens.as_deref().map(saved::tokens).transpose()
    }
}

impl Args {
    /// The prompts that were typed, or the one whose ids were.
    pub fn asked(&self, engine: &Engine, model: &Input) -> Result<Vec<String>, Failure> {
        let ids = self.subjects.tokens()?.filter(|_| self.prompt.is_empty());
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
        text.ok_or_else(none).map(|text| vec![text])
    }

    /// The command that finds the operation in which the only subject parts from a reference.
    pub fn next(&self, receipt: &Receipt) -> String {
        let [spec] = &self.subjects.subject[..] else {
            return String::new();
        };
        let parted =
            |comparison: &&Comparison| matches!(comparison.verdict, Verdict::Diverge { .. });
        let parted = receipt.cases.iter().find_map(|case| {
            let comparison = case.claims.comparisons.iter().find(parted)?;
            Some((case, comparison))
        });
        match parted {
            None => String::new(),
            Some((case, _)) if case.claims.engine.lacking.contains(&Ability::Nodes) => {
                "next: let it show nodes, and `harness trace` names the operation; `harness \
                 subject --help` says how\n"
                    .into()
            }
            Some((case, comparison)) => {
                let line = trace_command(receipt, case, comparison);
                let profile = self
                    .profile
                    .as_ref()
                    .map(|name| format!(" --profile {name}"));
                let (profile, spec) = (profile.unwrap_or_default(), quoted(&spec.to_string()));
                format!("next: {line}{profile} --subject {spec}\n")
            }
        }
    }

    /// The references that were named, each in every way in which it is asked.
    pub fn live(&self, limits: Limits) -> Result<Vec<Live>, Failure> {
        let opened = reference::open(&self.reference, limits)?.into_iter();
        let lanes = |reference| Live::lanes(reference, self.reading);
        Ok(opened.flat_map(lanes).collect())
    }

    /// A run of whoever is examined, beside these.
    pub fn asking(
        &self,
        suite: Suite,
        engine: &Engine,
        live: Vec<Live>,
    ) -> Result<Campaign, Failure> {
        let chosen = engine.on_threads(self.threads);
        let campaign = self.campaign(suite, chosen)?.with_references(live);
        if !self.oracle {
            return Ok(campaign);
        }
        let exact = engine.on_threads(self.threads);
        Ok(campaign.against(Box::new(exact.with_profile(Profile::OracleF64))))
    }

    fn campaign(&self, suite: Suite, engine: Engine) -> Result<Campaign, Failure> {
        if !self.subjects.any() {
            if self.subjects.tolerances.any() {
                let message = "own tolerances are for --subject: the built-in engine claims every \
                               bit of an arithmetic";
                return Err(Failure::input(message));
            }
            let subjects = self.ways(engine)?;
            return Ok(Campaign::new(suite, subjects, self.threads));
        }
        let one = self.prompt.len() == 1 || self.subjects.tokens.is_some() || self.case.len() == 1;
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
                demand: self.subjects.tolerances.demand()?,
                limits: Limits {
                    patience: self.patience,
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

    /// The built-in engine as it was asked for.
    pub fn chosen(&self) -> Result<Engine, Failure> {
        self.engine(self.kernel.unwrap_or_else(Kernel::best), self.threads)
    }

    /// The built-in engine with that kernel.
    fn engine(&self, kernel: Kernel, threads: usize) -> Result<Engine, Failure> {
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
