//! What an export comes to: tensor by tensor, in all, and what the new file makes of a text.

use std::fmt::Write as _;

use engine::export::{Entry, ExportStats, Loss, Plan, TensorSpec};
use engine::refusal::escape;
use serde::Serialize;

use super::Args;
use super::speed::Speed;
use crate::file::provenance::Input;
use crate::io::output;
use crate::io::table::{Table, number, scientific, words};
use crate::oracle::perplexity::{Chunks, Measured};

/// What `--json` writes.
#[derive(Serialize)]
pub struct Report {
    schema_version: u32,
    input: String,
    output: Option<String>,
    format: &'static str,
    dry_run: bool,
    /// Size of the whole file.
    file_bytes: u64,
    tensors: Vec<Row>,
    /// Names of tensors without values, which are left out.
    empty: Vec<String>,
    stats: ExportStats,
    /// How fast it was written, and how fast others write it, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub speed: Vec<Speed>,
    /// What a reader should know of it.
    pub warnings: Vec<String>,
    /// What both files make of a text, where one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
}

/// What the model and the exported one make of a text.
#[derive(Serialize)]
pub struct Evaluation {
    text: String,
    text_sha256: String,
    chunks: usize,
    context: usize,
    /// The file that was read.
    source: Measured,
    /// The file that was written, and how far it lies from the other.
    exported: Measured,
}

#[derive(Serialize)]
struct Row {
    name: String,
    dims: Vec<u64>,
    from: &'static str,
    to: &'static str,
    bytes: u64,
    bits_per_weight: f64,
    /// Why it stays in single precision.
    kept: Option<String>,
    padding: usize,
    /// Whether the importance of its columns was regarded.
    weighed: bool,
    #[serde(flatten)]
    lost: Option<Lost>,
}

#[derive(Serialize, Clone, Copy)]
struct Lost {
    nmse: f64,
    max_error: f64,
    cosine: f64,
}

/// Above this, what was written is another matrix: a third of it is error.
const NOT_THE_SAME: f64 = 0.3;

impl Args {
    /// Everything but what a text says.
    pub(super) fn report(
        &self,
        plan: &Plan,
        specs: &[TensorSpec],
        losses: &[Option<Loss>],
        file_bytes: u64,
    ) -> Report {
        let rows = plan.entries.iter().zip(losses);
        let tensors: Vec<Row> = rows.map(|(e, loss)| row(e, specs, loss.as_ref())).collect();
        let far = |row: &&Row| row.lost.is_some_and(|lost| lost.nmse > NOT_THE_SAME);
        let warnings = tensors.iter().filter(far).map(|row| {
            format!(
                "{} lost {:.0} % of its energy: {} cannot say what is in it",
                row.name,
                100.0 * row.lost.map_or(0.0, |lost| lost.nmse),
                row.to
            )
        });
        Report {
            schema_version: 1,
            input: self.input.display().to_string(),
            output: self.output.as_ref().map(ToString::to_string),
            format: plan.format.name,
            dry_run: self.dry_run,
            file_bytes,
            warnings: warnings.collect(),
            tensors,
            evaluation: None,
            empty: plan.empty.clone(),
            stats: plan.stats(),
            speed: Vec::new(),
        }
    }
}

fn row(entry: &Entry, specs: &[TensorSpec], loss: Option<&Loss>) -> Row {
    Row {
        name: entry.name.clone(),
        dims: entry.dims.clone(),
        from: specs[entry.source].written,
        to: entry.format.name,
        bytes: entry.bytes,
        bits_per_weight: entry.bits_per_weight(),
        kept: entry.kept.map(|kept| kept.to_string()),
        padding: entry.padding,
        weighed: entry.weighed,
        lost: loss.map(|loss| Lost {
            nmse: loss.nmse(),
            max_error: loss.largest(),
            cosine: loss.cosine(),
        }),
    }
}

/// The table of tensors, and what is to be said below it.
pub fn text(report: &Report) -> String {
    let mut table = Table::of(
        &report.tensors,
        &[
            (words("tensor"), |row| row.name.clone()),
            (words("dims"), |row| {
                let dims: Vec<String> = row.dims.iter().map(u64::to_string).collect();
                dims.join("×")
            }),
            (words("from"), |row| row.from.into()),
            (words("to"), |row| row.to.into()),
            (number("bytes"), |row| row.bytes.to_string()),
            (number("bits"), |row| format!("{:.3}", row.bits_per_weight)),
            (number("nmse"), |row| lost(row, |lost| lost.nmse)),
            (number("max"), |row| lost(row, |lost| lost.max_error)),
            (number("cosine"), |row| {
                row.lost
                    .map_or("–".into(), |lost| format!("{:.6}", lost.cosine))
            }),
            (words("note"), |row| {
                let padded = (row.padding > 0).then(|| format!("{} zeros at its end", row.padding));
                let kept = row.kept.as_ref().map(|why| format!("stays: {why}"));
                let weighed = row.weighed.then(|| "weighed by importance".to_owned());
                kept.or(padded).or(weighed).unwrap_or_default()
            }),
        ],
    )
    .render(output::width());
    for name in &report.empty {
        let _ = writeln!(table, "{name} has no values and is left out");
    }
    for warning in &report.warnings {
        let _ = writeln!(table, "warning: {warning}");
    }
    let stats = &report.stats;
    let elements = stats.original_bytes / 4;
    let _ = writeln!(
        table,
        "{} tensors as {}, {} in single precision: {} bytes of {}, {:.3} bits a weight, ratio \
         {:.2}",
        stats.quantized_tensors,
        report.format,
        stats.fp32_tensors,
        stats.exported_bytes,
        stats.original_bytes,
        8.0 * stats.exported_bytes as f64 / elements.max(1) as f64,
        stats.compression_ratio,
    );
    let to = report.output.as_deref().unwrap_or("the file");
    let verb = if report.dry_run { "would be" } else { "is" };
    let _ = writeln!(table, "{to} {verb} {} bytes", report.file_bytes);
    table.extend(report.speed.iter().map(Speed::line));
    table
        + &report
            .evaluation
            .as_ref()
            .map(Evaluation::text)
            .unwrap_or_default()
}

impl Evaluation {
    /// Of what was measured of both files.
    pub fn new(text: &Input, chunks: &Chunks, source: Measured, exported: Measured) -> Self {
        Evaluation {
            text: text.path.display().to_string(),
            text_sha256: text.sha256.clone(),
            chunks: chunks.count(),
            context: chunks.length,
            source,
            exported,
        }
    }

    fn text(&self) -> String {
        let from = self.exported.from_first.as_ref();
        let kl = from.map_or(String::new(), |from| {
            let interval = from
                .interval
                .map(|[low, high]| format!(" [{low:.6}, {high:.6}]"));
            format!(
                "KL from the source: mean {:.6}{}, largest {:.6} nats; same likeliest token at {} \
                 of {} positions\n",
                from.mean_kl,
                interval.unwrap_or_default(),
                from.largest_kl(),
                from.same_top1,
                self.exported.positions,
            )
        });
        let nll = |measured: &Measured| measured.perplexity.ln();
        kl + &format!(
            "surprise of a token of {}: {:.4} nats, of the source {:.4} (perplexity {:.3}, \
             {:.3})\n",
            escape(&self.text),
            nll(&self.exported),
            nll(&self.source),
            self.exported.perplexity,
            self.source.perplexity,
        )
    }
}

fn lost(row: &Row, number: fn(Lost) -> f64) -> String {
    row.lost
        .map_or("–".into(), |lost| scientific(Some(number(lost))))
}
