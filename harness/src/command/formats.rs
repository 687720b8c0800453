//! `harness formats`: the table of formats, and what was compared of each with which reference.

use engine::encoding::Author;
use engine::format::{Encode, FORMATS, Format, Product};
use engine::kernels::Kernel;
use serde::Serialize;

use super::finish::finish;
use crate::command::flags;
use crate::exit::{Exit, Failure};
use crate::file::document;
use crate::io::table::{Column, Table, number, words};
use crate::io::{output, progress};
use crate::judge::outcome::Outcome;
use crate::oracle::kernels::{Ending, Row, Scope, examine, outcome};
use crate::reference::isolation::Limits;
use crate::reference::{self, Reference};
use crate::runner::kernels::engine::EngineKernels;
use crate::runner::kernels::family::Family;
use crate::runner::kernels::live::ReferenceKernels;

const HELP: &str = "\
Examples:
  harness formats
  harness formats --reference bitnet --reference llama --json formats.json

Without a reference the table says what there is. With one, its own functions are asked the
questions of `harness kernels`: whether stored bytes mean the same values, whether values become
the same bytes, with and without importance of columns, and whether products are the same bits.
Exit 1 where something differs that is to be the same.";

/// List the formats of weights, and compare each with a C++ reference's own functions
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// A C++ reference, by name or directory; may be given several times [default: BITNET_CPP_DIR]
    #[arg(long, value_name = "NAME|DIR")]
    reference: Vec<String>,

    /// Random questions a function, beside the chosen ones
    #[arg(long, value_name = "N", default_value = "20")]
    cases: usize,

    #[command(flatten)]
    json: flags::Json,
}

#[derive(Serialize)]
struct Report {
    schema_version: u32,
    outcome: Outcome,
    references: Vec<String>,
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
    args.json.beside([])?;
    let references = reference::open(&args.reference, Limits::with_cpu_seconds(3600))?;
    let examined = references.iter().map(|reference| args.examine(reference));
    let examined: Vec<Vec<Row>> = examined.collect::<Result<_, _>>()?;
    let outcome = if examined.is_empty() {
        Outcome::Ok
    } else {
        outcome(examined.iter().flatten())
    };
    let report = Report {
        schema_version: 1,
        outcome,
        references: references.iter().map(|r| r.facts().name.clone()).collect(),
        formats: FORMATS
            .iter()
            .map(|format| line(format, &examined))
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

fn line(format: &'static Format, examined: &[Vec<Row>]) -> Line {
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
        compared: examined.iter().map(asked).collect(),
    }
}

fn text(report: &Report) -> String {
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
    let columns: Vec<Column> = fixed.into_iter().chain(asked).collect();
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
        table.row(fixed.into_iter().chain(said));
    }
    let mut text = table.render(output::width());
    if !report.references.is_empty() {
        let names = report.references.join(", ");
        text += &format!("four columns for each of: {names}; other: an arithmetic of its own\n");
    }
    text.push_str("every format is read, decoded and multiplied by the engine\n");
    text
}
