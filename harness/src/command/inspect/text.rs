//! The contents of a file for a person at a terminal.

use engine::refusal::escape;

use super::contents::{Contents, Dialect, Packing, Tensor};
use super::norms::Norms;
use crate::command::finish::Status;
use crate::file::key::{Key, plain};
use crate::file::norm_gate::Judged;
use crate::io::output;
use crate::io::table::{Column, Table, number, words};

/// Everything, in the order of the file. Text from the file is escaped.
pub fn render(contents: &Contents) -> String {
    let mut out = head(contents);
    let mut part = |title: &str, text: String| {
        if !text.is_empty() {
            out += &format!("\n{title}\n{text}");
        }
    };
    part("dialect", dialect(&contents.dialect));
    let metadata = contents.metadata.iter().map(key);
    part(
        "metadata",
        table(&[words("key"), words("type"), words("value")], metadata),
    );
    let values = contents.hyper_parameters.iter().flatten();
    let values = values.map(|(name, value)| [(*name).to_owned(), plain(value)]);
    let refused = contents.hyper_parameters_refused.iter();
    let refused = refused.map(|why| format!("not a whole model: {why}"));
    let values = table(&[words("name"), words("value")], values);
    part("hyper-parameters", values + &lines(refused));
    part("packings", lines(contents.packings.iter().map(packing)));
    let undecided = contents.undecided.values().cloned();
    part("packings that cannot be told", lines(undecided));
    let columns = [
        words("tensor"),
        words("dims"),
        words("type"),
        number("bytes"),
        number("at"),
        number("scale"),
    ];
    let tensors = contents.tensors.iter().flatten().map(tensor);
    part("tensors", table(&columns, tensors));
    part(
        "norms",
        contents.norms.as_ref().map(norms).unwrap_or_default(),
    );
    let warnings = contents.warnings.iter().map(|warning| escape(warning));
    part("warnings", lines(warnings));
    out + match contents.status {
        Status::Ok => "\nok\n",
        Status::Warning => "\nwarning: see above; --strict makes this a failure\n",
        Status::Failed => "\nfailed: strict mode lets no warning pass\n",
    }
}

fn head(contents: &Contents) -> String {
    let gguf = &contents.gguf;
    format!(
        "file      {}, {} bytes\n\
         sha256    {}\n\
         gguf      version {}, {} keys, {} tensors, alignment {}, data from byte {}\n",
        escape(&contents.model),
        contents.bytes,
        contents.model_sha256,
        gguf.version,
        gguf.keys,
        gguf.tensors,
        gguf.alignment,
        gguf.data_start,
    )
}

fn dialect(dialect: &Dialect) -> String {
    let name = dialect.name.unwrap_or("undecided");
    let first = format!("{name:<14}{}", dialect.reason);
    let evidence = dialect.evidence.iter().flat_map(|evidence| {
        let name = evidence.dialect;
        let facts = evidence.facts.iter().cloned();
        let excluded = evidence
            .excluded
            .iter()
            .map(|why| format!("excluded: {why}"));
        let facts = facts.chain(excluded);
        facts.map(move |fact| format!("  {name:<14}{}", escape(&fact)))
    });
    let notes = dialect
        .notes
        .iter()
        .map(|note| format!("note: {}", escape(note)));
    let undecided = dialect.undecided.iter().cloned();
    lines(
        std::iter::once(first)
            .chain(evidence)
            .chain(notes)
            .chain(undecided),
    )
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| format!("  {line}\n")).collect()
}

/// Rows as wide as the terminal allows, a little to the right; nothing where there are none.
fn table<const N: usize>(columns: &[Column; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = Table::new(columns);
    rows.for_each(|row| table.row(row));
    if table.is_empty() {
        return String::new();
    }
    let width = output::width().map(|width| width.saturating_sub(2));
    lines(table.render(width).lines().map(str::to_owned))
}

fn key(key: &Key) -> [String; 3] {
    [escape(&key.key), key.kind.clone(), key.to_string()]
}

fn packing(packing: &Packing) -> String {
    let plural = if packing.tensors == 1 { "" } else { "s" };
    let mut text = format!(
        "{:<14}{} tensor{plural}: {}",
        packing.flavor, packing.tensors, packing.reason
    );
    let example = escape(&packing.example);
    for evidence in &packing.evidence {
        let available = evidence.bytes_available;
        let needed = match evidence.bytes_needed {
            None => "cannot hold the shape of".to_owned(),
            Some(needed) => format!("needs {needed} of the {available} bytes of"),
        };
        let mut facts = evidence.facts.clone();
        if evidence.roomy {
            facts.push("there is more room than it and alignment explain".into());
        }
        facts.extend(
            evidence
                .excluded
                .iter()
                .map(|why| format!("excluded: {why}")),
        );
        let facts = escape(&facts.join("; "));
        text += &format!(
            "\n    {:<14}{needed} {example}: {facts}",
            evidence.flavor.name()
        );
    }
    text
}

fn tensor(tensor: &Tensor) -> [String; 6] {
    let dims: Vec<_> = tensor.dims.iter().map(u64::to_string).collect();
    let kind = tensor.flavor.unwrap_or(tensor.kind);
    [
        escape(&tensor.name),
        dims.join(" x "),
        format!("{} ({kind})", tensor.type_id),
        tensor.bytes.to_string(),
        tensor.offset.to_string(),
        tensor
            .scale
            .map(|scale| scale.to_string())
            .unwrap_or_default(),
    ]
}

fn norms(norms: &Norms) -> String {
    let columns = [
        words("tensor"),
        number("rms"),
        number("mean"),
        number("least"),
        number("most"),
        words("verdict"),
    ];
    let row = |judged: &Judged| {
        let s = &judged.statistic;
        let verdict = judged.range.map(|range| {
            let word = if judged.suspicious {
                "SUSPICIOUS, not in"
            } else {
                "within"
            };
            format!("{word} {} .. {}", range.min, range.max)
        });
        let [rms, mean, least, most] =
            [s.rms, s.mean, s.min, s.max].map(|value| format!("{value:.4}"));
        [
            escape(&s.name),
            rms,
            mean,
            least,
            most,
            verdict.unwrap_or_default(),
        ]
    };
    let judged = match &norms.ruleset {
        Some(ruleset) => format!("judged by {}", escape(ruleset)),
        None => "not judged".into(),
    };
    let sum = format!(
        "{judged}: {} of {} norms and {} of {} plain projections suspicious; {} packed ones not \
         measured",
        norms.layernorm.suspicious,
        norms.layernorm.total,
        norms.projection.suspicious,
        norms.projection.total,
        norms.packed_projections
    );
    table(&columns, norms.tensors.iter().map(row)) + &lines([sum].into_iter())
}
