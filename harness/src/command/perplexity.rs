//! `harness perplexity`: how much a text surprises a model, and how far two computations or two
//! models lie apart on it.

mod beside;
mod report;

use std::path::{Path, PathBuf};

use engine::Model;
use engine::bytes::Storage;
use engine::kernels::Kernel;
use engine::numerics::Profile;

use self::beside::{Side, Writing};
use self::report::{Report, rows};
use crate::case::observation::Identity;
use crate::command::brought::Brought;
use crate::command::finish::finish;
use crate::command::flags::{self, Json, OneModel};
use crate::exit::{Exit, Failure};
use crate::file::provenance::{Input, file_name};
use crate::io::destination::Destination;
use crate::io::kl_base::KlBase;
use crate::io::process::map_or_read;
use crate::io::{progress, threads};
use crate::judge::outcome::Outcome;
use crate::oracle::perplexity::{Chunks, Measured, measure};
use crate::reference;
use crate::reference::isolation::Limits;
use crate::runner::engine::Engine;
use crate::runner::reference::Observing;
use crate::runner::{ModelFile, Opened, Runner};

const HELP: &str = "\
Examples:
  harness perplexity model.gguf --text chapter.txt --context 64
  harness perplexity model.gguf --text chapter.txt --context 64 --base instruct.gguf
  harness perplexity model.gguf --text chapter.txt --context 64 --reference bitnet --json -
  harness perplexity model.gguf --text chapter.txt --context 64 --reference bitnet --oracle
  harness perplexity model.gguf --text chapter.txt --context 64 --write-kl-base base.kld
  harness kl model.gguf --kl-base base.kld
  harness kl model.gguf --text chapter.txt --context 64 --chunks 2 \\
      --subject 'cmd: harness eval --model {model} --tokens {tokens} --logits {logits}'

As llama-perplexity has it: chunks of --context tokens, each begun anew, of which the second half
counts. --base is the model that is believed: KL is of its expectations against the others'. Without
it the engine's on this model are, so that a reference's row shows how far it is from the engine. In
brackets is where a number lies 19 times out of 20, chunks drawn again; behind +/- what
llama-perplexity prints there, which takes every position for independent.
--oracle puts a run in double precision first: no build's arithmetic, but what they all approximate.
The error of each is then its own, and the ratio says how many times the engine's it is: near 1
where as much is rounded, in whatever order; far above where something else is computed.
--kl-base believes what llama-perplexity --kl-divergence-base wrote, or --write-kl-base, which
writes the same bytes where the logits have the same bits. It holds the text and, in 16 bits each,
its log-probabilities: KL is then summed as that program sums it, a row counts the codes that its
own file would have in common with this one, and what 16 bits cannot show is said.";

/// How much a text surprises a model, and how far another model or computation is from it
#[derive(clap::Args)]
#[command(after_help = HELP, visible_alias = "kl")]
pub struct Args {
    #[command(flatten)]
    model: OneModel,

    /// The text, UTF-8
    #[arg(
        long,
        visible_alias = "file",
        value_name = "FILE",
        required_unless_present = "kl_base"
    )]
    text: Option<PathBuf>,

    /// Tokens of a chunk [default: 512, or the model's context where that is shorter]
    #[arg(long, value_name = "N", value_parser = flags::positive)]
    context: Option<usize>,

    /// Chunks at most
    #[arg(long, value_name = "N", value_parser = flags::positive)]
    chunks: Option<usize>,

    /// The model that is believed, with the same vocabulary
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,

    /// Believe what llama-perplexity --kl-divergence-base wrote, and read its text
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "context", "base", "oracle"])]
    kl_base: Option<PathBuf>,

    /// Write such a file of the computation that is believed
    #[arg(long, value_name = "FILE", conflicts_with = "kl_base")]
    write_kl_base: Option<Destination>,

    /// Compare all of them with a run in double precision on this model
    #[arg(long, conflicts_with = "base")]
    oracle: bool,

    /// This C++ reference on the model as well; may be given several times
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    #[command(flatten)]
    brought: Brought,

    /// Order of float operations
    #[arg(long, value_name = "NAME", value_parser = flags::profile, default_value = "ggml-avx512")]
    profile: Profile,

    /// Inner loops to use instead of the fastest this CPU has; none changes a result
    #[arg(long, value_name = "NAME", value_parser = flags::kernel)]
    kernel: Option<Kernel>,

    #[command(flatten)]
    json: Json,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    args.spare_inputs()?;
    // A text is short; a base file may be larger than the memory.
    let storage = if args.kl_base.is_some() {
        map_or_read()
    } else {
        Storage::Read
    };
    // One of the two is there, or the command line would have been refused.
    let source: &Path = args
        .kl_base
        .as_ref()
        .or(args.text.as_ref())
        .map_or_else(|| args.model.path(), |path| Ok(path))?;
    let (source, bytes) = Input::open(source, storage)?;
    let kept = args
        .kl_base
        .is_some()
        .then(|| KlBase::parse(&bytes))
        .transpose();
    let path = source.path.display();
    let kept = kept.map_err(|why| Failure::input(format!("{path}: {why}")))?;
    let references = reference::open(&args.reference, Limits::default())?;
    let (model, _) = Input::read(args.model.path()?)?;
    let own = args.engine(args.profile);
    let text = args.chunks_of(&source, &bytes, kept.as_ref(), &*own.model(&model)?)?;

    let base = args.base.as_deref().map(Input::read).transpose()?;
    let base = base.map(|(input, _)| input);
    let mut runners: Vec<(&Input, Box<dyn Runner>)> = Vec::new();
    if let Some(base) = &base {
        runners.push((base, Box::new(args.engine(args.profile))));
    }
    if args.oracle {
        runners.push((&model, Box::new(args.engine(Profile::OracleF64))));
    }
    runners.push((&model, Box::new(own)));
    for reference in references {
        runners.push((&model, Box::new(Observing::new(reference))));
    }
    for subject in args.brought.open_whole(None, None)? {
        runners.push((&model, subject));
    }
    let mut side = Side::new(progress::bar(text.count() as u64, "chunks"));
    let measured = args.measure(&text, kept.as_ref(), &mut runners, &mut side)?;
    let mut who: Vec<(&Input, Identity)> = Vec::new();
    who.extend(kept.is_some().then(|| (&source, kept_by(&source))));
    who.extend(
        runners
            .iter()
            .map(|(input, runner)| (*input, runner.identity())),
    );
    for (input, _) in &who {
        input.still_holds()?;
    }
    source.still_holds()?;
    let report = Report {
        text: source.path.display().to_string(),
        text_sha256: source.sha256.clone(),
        tokens: text.count() * text.length,
        context: text.length,
        chunks: text.count(),
        sixteen_bits: side.sixteen_bits(),
        rows: rows(measured, who, args.oracle),
    };
    finish(Outcome::Ok, &report.text(), &report, &args.json)
}

/// Who stands behind a file that was kept.
fn kept_by(file: &Input) -> Identity {
    Identity {
        name: file_name(&file.path),
        profile: "16-bit log-probabilities".into(),
        fingerprint: format!("saved {}", file.sha256),
    }
}

impl Args {
    /// Refuses to write where something is read.
    fn spare_inputs(&self) -> Result<(), Failure> {
        let model = Some(("the model", self.model.path()?));
        let named = [
            ("--text", &self.text),
            ("--base", &self.base),
            ("--kl-base", &self.kl_base),
        ];
        let named = named.into_iter();
        let named = named.filter_map(|(flag, path)| Some((flag, path.as_deref()?)));
        let roles = self.json.beside(model.into_iter().chain(named))?;
        roles.writes("--write-kl-base", self.write_kl_base.as_ref())?;
        Ok(())
    }

    fn engine(&self, profile: Profile) -> Engine {
        let kernel = self.kernel.unwrap_or_else(Kernel::best);
        let cores = threads::cores();
        Engine::new(kernel, cores).with_profile(profile)
    }

    fn chunks_of(
        &self,
        source: &Input,
        bytes: &[u8],
        kept: Option<&KlBase<'_>>,
        model: &Model,
    ) -> Result<Chunks, Failure> {
        let path = source.path.display();
        if let Some(kept) = kept {
            let chunks = Chunks::again(&kept.head, model, self.chunks);
            let named = |f: Failure| Failure::new(f.exit, format!("{path}: {}", f.message));
            return chunks.map_err(named);
        }
        let wrong = |e| Failure::input(format!("{path} is not UTF-8: {e}"));
        let text = std::str::from_utf8(bytes).map_err(wrong)?;
        Chunks::of_text(text, model, self.context, self.chunks)
    }

    /// Lets all of them go through the text, and writes the first one's rows where that was asked.
    fn measure(
        &self,
        text: &Chunks,
        kept: Option<&KlBase<'_>>,
        runners: &mut [(&Input, Box<dyn Runner>)],
        side: &mut Side,
    ) -> Result<Vec<Measured>, Failure> {
        let mut opened: Vec<Box<dyn Opened + '_>> = Vec::new();
        for (input, runner) in runners {
            opened.push(runner.open(ModelFile::Read(input))?);
        }
        let Some(to) = &self.write_kl_base else {
            return Ok(measure(text, kept, &mut opened, side)?);
        };
        let mut measured = Vec::new();
        to.write_with(|out| {
            let mut writing = Writing::new(side, text, out);
            measured = measure(text, kept, &mut opened, &mut writing)?;
            writing.end()
        })?;
        Ok(measured)
    }
}
