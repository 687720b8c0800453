//! Everything that `perplexity` measured, as JSON and as tables.

use engine::refusal::escape;
use serde::Serialize;

use crate::case::observation::Identity;
use crate::file::provenance::{Input, file_name};
use crate::io::output;
use crate::io::table::{Cell, Column, Table, decibels, number, scientific, words};
use crate::oracle::perplexity::{FromFirst, Measured, SHARES};

/// Everything that was measured.
#[derive(Serialize)]
pub struct Report {
    /// The file the text is from.
    pub text: String,
    /// Of its bytes.
    pub text_sha256: String,
    /// Of all chunks.
    pub tokens: usize,
    /// Tokens of a chunk.
    pub context: usize,
    /// Chunks.
    pub chunks: usize,
    /// What the first computation cannot show, where it was kept in 16 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sixteen_bits: Option<SixteenBits>,
    /// The first is the one that is believed.
    pub rows: Vec<Row>,
}

/// What log-probabilities in 16 bits cannot show.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SixteenBits {
    /// Half of the largest step: rounding alone moves a divergence by so much at most.
    pub half_a_step: f64,
    /// Mean probability of what is below `exp(-16)`, and cut.
    pub mean_cut: f64,
}

/// One computation of one model.
#[derive(Serialize)]
pub struct Row {
    model: String,
    model_sha256: String,
    computed_by: Identity,
    /// How many times the engine's error against the run in double precision this one's is.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_ratio: Option<f64>,
    #[serde(flatten)]
    measured: Measured,
}

/// What was measured of each computation, and of which model it is.
pub fn rows(measured: Vec<Measured>, who: Vec<(&Input, Identity)>, oracle: bool) -> Vec<Row> {
    let error = |measured: &Measured| measured.from_first.as_ref()?.error;
    let own = measured.get(1).and_then(error).filter(|_| oracle);
    let all = measured.into_iter().zip(who);
    all.map(|(measured, (input, computed_by))| Row {
        model: file_name(&input.path),
        model_sha256: input.sha256.clone(),
        computed_by,
        error_ratio: own.zip(error(&measured)).map(|(own, error)| error / own),
        measured,
    })
    .collect()
}

/// A number and where it lies.
fn between(value: f64, interval: Option<[f64; 2]>, shown: fn(f64) -> String) -> String {
    let interval = interval.map(|[low, high]| format!(" [{}, {}]", shown(low), shown(high)));
    shown(value) + &interval.unwrap_or_default()
}

fn four_digits(value: f64) -> String {
    format!("{value:.4}")
}

fn short(value: f64) -> String {
    scientific(Some(value))
}

impl Row {
    fn from(&self, cell: impl Fn(&FromFirst) -> String) -> String {
        let from = self.measured.from_first.as_ref();
        from.map_or_else(|| "-".into(), cell)
    }

    fn perplexity(&self) -> String {
        let Measured {
            perplexity,
            standard_error,
            interval,
            ..
        } = self.measured;
        let error = standard_error.map(|error| format!(" +/- {error:.5}"));
        between(perplexity, interval, four_digits) + &error.unwrap_or_default()
    }
}

impl Report {
    /// As it is printed.
    pub fn text(&self) -> String {
        let head = format!(
            "{} chunks of {} tokens of {}, sha256 {}\n",
            self.chunks,
            self.context,
            escape(&self.text),
            self.text_sha256
        );
        head + &self.table() + &self.quantiles() + &self.by_confidence() + &self.coarse()
    }

    fn table(&self) -> String {
        let equal = if self.sixteen_bits.is_some() {
            "equal codes"
        } else {
            "equal bits"
        };
        let mut columns: Vec<(Column, Cell<Row>)> = vec![
            (words("model"), |row| escape(&row.model)),
            (words("computed by"), |row| row.computed_by.to_string()),
            (number("perplexity"), Row::perplexity),
            (number("ratio"), |row| {
                row.from(|from| between(from.ratio, from.ratio_interval, four_digits))
            }),
            (number("mean KL"), |row| {
                row.from(|from| between(from.mean_kl, from.interval, short))
            }),
            (number("tail"), |row| row.from(|from| short(from.tail_kl))),
            (number("error"), |row| {
                row.from(|from| scientific(from.error))
            }),
            (number("SQNR"), |row| row.from(|from| decibels(from.sqnr))),
            (number("same top-1"), |row| {
                row.from(|from| format!("{}/{}", from.same_top1, row.measured.positions))
            }),
            (number(equal), |row| {
                row.from(|from| format!("{}/{}", from.equal_logits, from.logits))
            }),
        ];
        if self.rows.iter().any(|row| row.error_ratio.is_some()) {
            columns.push((number("error ratio"), |row| {
                let ratio = row.error_ratio.map(|ratio| format!("{ratio:.3}"));
                ratio.unwrap_or_else(|| "-".into())
            }));
        }
        Table::of(&self.rows, &columns).render(output::width())
    }

    /// Below which divergence which share of the positions lies.
    fn quantiles(&self) -> String {
        let mut table = Table::new(&[
            words("KL below which lie"),
            number("least"),
            number("0.1 %"),
            number("1 %"),
            number("5 %"),
            number("10 %"),
            number("half"),
            number("90 %"),
            number("95 %"),
            number("99 %"),
            number("99.9 %"),
            number("all"),
        ]);
        for row in &self.rows {
            let quantiles = row
                .measured
                .from_first
                .iter()
                .flat_map(|from| &from.quantiles);
            let cells: Vec<String> = quantiles.map(|&kl| short(kl)).collect();
            if cells.len() == SHARES.len() {
                let who = [row.computed_by.to_string()];
                table.row(who.into_iter().chain(cells));
            }
        }
        if table.is_empty() {
            return String::new();
        }
        "\n".to_owned() + &table.render(output::width())
    }

    /// The divergences where the first computation was more and less sure.
    fn by_confidence(&self) -> String {
        let mut table = Table::new(&[
            words("the first's likeliest token"),
            words("computed by"),
            number("positions"),
            number("mean KL"),
        ]);
        for row in &self.rows {
            let from = row.measured.from_first.iter();
            for class in from.flat_map(|from| &from.by_confidence) {
                table.row([
                    class.words(),
                    row.computed_by.to_string(),
                    class.positions.to_string(),
                    between(class.mean_kl, class.interval, short),
                ]);
            }
        }
        if table.is_empty() {
            return String::new();
        }
        "\n".to_owned() + &table.render(output::width())
    }

    /// What 16 bits can show of it.
    fn coarse(&self) -> String {
        let Some(SixteenBits {
            half_a_step,
            mean_cut,
        }) = self.sixteen_bits
        else {
            return String::new();
        };
        let mut text = format!(
            "\n16 bits a log-probability: rounding alone moves a KL by {half_a_step:.1e} at most, \
             and {mean_cut:.1e} of the probability is cut in the mean\n"
        );
        for row in &self.rows {
            let Some(from) = &row.measured.from_first else {
                continue;
            };
            let who = &row.computed_by;
            let shown = if from.equal_logits == from.logits {
                "every code is the same: equal, as far as 16 bits show it"
            } else if from.mean_kl.abs() <= half_a_step {
                "codes differ, and the mean KL is no more than rounding alone can be"
            } else {
                "the mean KL is more than rounding alone can be"
            };
            text += &format!("{who}: {shown}\n");
        }
        text
    }
}
