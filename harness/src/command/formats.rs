//! `harness formats`: the table of formats, and what was compared of each with which reference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::Model;
use engine::bytes::Storage;
use engine::encoding::Author;
use engine::export::{ExportConfig, ExportError, FileSource, Plan, Source, write};
use engine::format::{Encode, FORMATS, Format, Product};
use engine::gguf::writer::Field;
use engine::kernels::Kernel;
use engine::refusal::escape;
use engine::session::OpenOptions;
use serde::Serialize;

use super::finish::finish;
use crate::command::flags::{self, OneModel};
use crate::exit::{Exit, Failure};
use crate::file::document;
use crate::file::provenance::{Input, file_name};
use crate::io::table::{Column, Table, number, words};
use crate::io::{output, progress};
use crate::judge::outcome::Outcome;
use crate::oracle::kernels::{Ending, Row, Scope, examine, outcome};
use crate::oracle::perplexity::{Chunks, measure_models};
use crate::oracle::word_order;
use crate::reference::isolation::Limits;
use crate::reference::{self, Reference};
use crate::runner::kernels::engine::EngineKernels;
use crate::runner::kernels::family::Family;
use crate::runner::kernels::live::ReferenceKernels;

const HELP: &str = "\
Examples:
  harness formats
  harness formats --reference bitnet --reference llama --json formats.json
  harness formats --model model.gguf --text chapter.txt

Without a reference the table says what there is. With one, its own functions are asked the
questions of `harness kernels`: whether stored bytes mean the same values, whether values become
the same bytes, with and without importance of columns, and whether products are the same bits.
Exit 1 where something differs that is to be the same.

With --model, that model is written in each format as `harness export` does, and the mean KL of what
it expects then from what it expected says what the format loses of this one.";

/// List the formats of weights, and compare each with a C++ reference's own functions
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// A C++ reference, by name or directory; may be given several times [default: BITNET_CPP_DIR]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    /// Random questions a function, beside the chosen ones
    #[arg(long, value_name = "N", default_value = "20", value_parser = flags::count::<usize>)]
    cases: usize,

    #[command(flatten)]
    model: OneModel,

    /// The text it reads, UTF-8 [default: three plain sentences]
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,

    #[command(flatten)]
    json: flags::Json,
}

/// Tokens of a chunk of the text: enough to expect something from.
const CONTEXT: usize = 16;
/// Chunks at most: every format is one model more that reads them.
const CHUNKS: usize = 8;

#[derive(Serialize)]
struct Report {
    schema_version: u32,
    outcome: Outcome,
    references: Vec<String>,
    /// The model that was written in each.
    model: Option<String>,
    /// Positions of the text that count.
    positions: Option<usize>,
    formats: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    name: &'static str,
    types: &'static [u32],
    /// Who alone means it by these numbers.
    dialects: Vec<&'static str>,
    block: usize,
    block_bytes: usize,
    bits_per_weight: f64,
    /// Whether `harness export` writes it.
    written: bool,
    /// What multiplies it.
    product: &'static str,
    /// Mean KL of the model's expectations from those it has when written so, in nats.
    mean_kl: Option<f64>,
    /// One for each reference.
    compared: Vec<Compared>,
}

/// What a reference's functions say.
#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
struct Compared {
    decode: Said,
    encode: Said,
    weighted: Said,
    product: Said,
}

#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Said {
    /// Every number the same.
    Equal,
    /// Some not, and they are to be.
    Differs,
    /// Some not, in an arithmetic of its own.
    OtherArithmetic,
    /// It has no such function, or none that means the same.
    NotThere,
    /// It did not come to an end.
    Lost,
}

impl Said {
    fn of(row: Option<&Row>) -> Self {
        match row {
            None => Said::NotThere,
            Some(row) => match &row.ending {
                Ending::NotThere(_) => Said::NotThere,
                Ending::Complete if row.differ == 0 => Said::Equal,
                Ending::Complete if row.judged => Said::Differs,
                Ending::Complete => Said::OtherArithmetic,
                _ => Said::Lost,
            },
        }
    }

    fn word(self) -> &'static str {
        match self {
            Said::Equal => "equal",
            Said::Differs => "DIFFERS",
            Said::OtherArithmetic => "other",
            Said::NotThere => "–",
            Said::Lost => "LOST",
        }
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit, Failure> {
    let read = [
        ("--model", args.model.typed()),
        ("--text", args.text.as_deref()),
    ];
    let read = read
        .into_iter()
        .filter_map(|(flag, path)| Some((flag, path?)));
    args.json.beside(read)?;
    let references = reference::open(&args.reference, Limits::with_cpu_seconds(3600))?;
    let examined = references.iter().map(|reference| args.examine(reference));
    let examined: Vec<Vec<Row>> = examined.collect::<Result<_, _>>()?;
    let outcome = if examined.is_empty() {
        Outcome::Ok
    } else {
        outcome(examined.iter().flatten())
    };
    let written = args
        .model
        .typed()
        .map(|model| args.written(model))
        .transpose()?;
    let report = Report {
        schema_version: 1,
        model: args.model.typed().map(file_name),
        positions: written.as_ref().map(|written| written.positions),
        outcome,
        references: references.iter().map(|r| r.facts().name.clone()).collect(),
        formats: FORMATS
            .iter()
            .map(|format| line(format, &examined, written.as_ref()))
            .collect(),
    };
    finish(report.outcome, &text(&report), &report, &args.json)
}

impl Args {
    fn examine(&self, reference: &Reference) -> Result<Vec<Row>, Failure> {
        let profile = reference.facts().engine_profile()?;
        let author = reference.facts().author();
        let scope = Scope {
            seed: 1,
            cases: self.cases,
            families: Family::all(),
            case: None,
            same_arithmetic: author == Some(Author::Bitnet),
            same_author: author.is_some(),
        };
        let bar = progress::bar(scope.families.len() as u64, &reference.facts().name);
        let mut theirs = ReferenceKernels::new(reference);
        let ours = EngineKernels::new(profile, Kernel::best());
        let mut ours = ours.writing_as(author.unwrap_or_default());
        Ok(examine(&mut theirs, &mut ours, &scope, &mut || bar.inc(1)))
    }
}

/// What each format loses of a model.
struct Written {
    positions: usize,
    /// By the name of the format, where it can be written.
    mean_kl: BTreeMap<&'static str, f64>,
}

impl Args {
    /// Writes the model in each format and lets it read the text, beside what it was.
    fn written(&self, path: &Path) -> Result<Written, Failure> {
        let options = OpenOptions {
            storage: Storage::Map,
            ..OpenOptions::default()
        };
        let source = Model::open(path, &options)?;
        let text = self.text.as_deref().map(Input::read_text).transpose()?;
        let text = text.as_ref().map_or(word_order::TEXT, |(_, text)| text);
        let chunks = Chunks::of_text(text, &source, Some(CONTEXT), Some(CHUNKS))?;
        let mut written = Written {
            positions: 0,
            mean_kl: BTreeMap::new(),
        };
        let bar = progress::bar(FORMATS.len() as u64, "formats");
        for format in FORMATS {
            bar.inc(1);
            if matches!(format.encode, Encode::Nothing) {
                continue;
            }
            let Some(file) = export(&source, format).map_err(Failure::input)? else {
                continue;
            };
            let exported = Model::from_bytes(file, &options_for(format))?;
            let measured = measure_models(&chunks, &[&source, &exported], &mut || ())?;
            let from = measured[1].from_first.as_ref().expect("there is a first");
            written.positions = measured[1].positions;
            written.mean_kl.insert(format.name, from.mean_kl);
        }
        bar.finish_and_clear();
        Ok(written)
    }
}

/// The packing is said: some cannot be told from others by their bytes.
fn options_for(format: &Format) -> OpenOptions {
    OpenOptions {
        dialect: format.dialects.first().copied(),
        flavor: format.flavor,
        ..OpenOptions::default()
    }
}

/// The whole file, as `harness export` writes it; none where no matrix of it has a shape that the
/// format can be written in.
fn export(model: &Model, format: &Format) -> Result<Option<Vec<u8>>, ExportError> {
    let source = FileSource::new(model.gguf(), None)?;
    let config = ExportConfig::new(format.name, "")?;
    let config = config.with_fp32_layers(ExportConfig::default_fp32_exceptions());
    let plan = Plan::new(source.tensors(), &config)?;
    if !plan
        .entries
        .iter()
        .any(|entry| std::ptr::eq(entry.format, format))
    {
        return Ok(None);
    }
    let keys = model.gguf().metadata.iter();
    let keys: Vec<_> = keys
        .map(|(key, value)| (key.to_owned(), Field::from(value)))
        .collect();
    let mut file = Vec::new();
    write(&source, &plan, &config, &keys, &mut file, &mut |_| ())?;
    Ok(Some(file))
}

fn line(format: &'static Format, examined: &[Vec<Row>], written: Option<&Written>) -> Line {
    let asked = |rows: &Vec<Row>| {
        let known = document::Format::all().find(|known| std::ptr::eq(known.row(), format));
        let published =
            known.filter(|known| document::Format::of_kind(known.kind()) == Some(*known));
        let of = |what: &str| {
            let name = published.map(|known| format!("{}-{what}", known.type_name()));
            Said::of(rows.iter().find(|row| Some(&row.kernel) == name.as_ref()))
        };
        Compared {
            decode: of("decode"),
            encode: of("encode"),
            weighted: of("encode-weighted"),
            product: of("dot"),
        }
    };
    Line {
        name: format.name,
        types: format.types,
        dialects: format
            .dialects
            .iter()
            .map(|dialect| dialect.name())
            .collect(),
        block: format.block,
        block_bytes: format.block_bytes,
        bits_per_weight: 8.0 * format.block_bytes as f64 / format.block as f64,
        written: !matches!(format.encode, Encode::Nothing),
        product: match format.product {
            Product::Floats(_) => "of the profile",
            Product::Kernels { .. } => "of its own",
            Product::Decoded => "as F32",
        },
        mean_kl: written.and_then(|written| written.mean_kl.get(format.name).copied()),
        compared: examined.iter().map(asked).collect(),
    }
}

fn text(report: &Report) -> String {
    let loss = report.model.as_ref().map(|_| number("KL"));
    let fixed = [
        words("format"),
        words("type ids"),
        words("of"),
        number("block"),
        number("bytes"),
        number("bits"),
        words("written"),
        words("product"),
    ];
    const PARTS: [&str; 4] = ["decoded", "encoded", "weighed", "product"];
    let asked = report.references.iter().flat_map(|_| PARTS.map(words));
    let columns: Vec<Column> = fixed.into_iter().chain(loss).chain(asked).collect();
    let mut table = Table::new(&columns);
    for line in &report.formats {
        let types: Vec<String> = line.types.iter().map(u32::to_string).collect();
        let fixed = [
            line.name.to_owned(),
            types.join(", "),
            line.dialects.join(", "),
            line.block.to_string(),
            line.block_bytes.to_string(),
            format!("{:.4}", line.bits_per_weight),
            if line.written { "yes" } else { "no" }.to_owned(),
            line.product.to_owned(),
        ];
        let said = line.compared.iter().flat_map(|one| {
            let parts = [one.decode, one.encode, one.weighted, one.product];
            parts.map(|said| said.word().to_owned())
        });
        let mean_kl = line.mean_kl.map_or("–".into(), |kl| format!("{kl:.1e}"));
        let loss = report.model.as_ref().map(|_| mean_kl);
        table.row(fixed.into_iter().chain(loss).chain(said));
    }
    let mut text = table.render(output::width());
    if !report.references.is_empty() {
        let names = report.references.join(", ");
        text += &format!("four columns for each of: {names}; other: an arithmetic of its own\n");
    }
    if let (Some(model), Some(positions)) = (&report.model, report.positions) {
        let model = escape(model);
        text += &format!(
            "KL: {model} written so, its tables apart, from what it was; mean of {positions} \
             positions, in nats\n"
        );
    }
    text.push_str("every format is read, decoded and multiplied by the engine\n");
    text
}
