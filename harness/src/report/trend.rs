//! The page of a folder of receipts: agreement, distances and speed from run to run.

use maud::{Markup, html};
use serde_json::Value;

use super::bench;
use super::figures::{many, share, size};
use super::page::{self, Section, Tone, heads, scroll};
use crate::judge::compare::Findings;
use crate::numbers::metrics::Distance;
use crate::receipt::{Receipt, comparisons};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 120.0;
const EDGE: f64 = 8.0;

/// One receipt, in short.
struct Run {
    file: String,
    when: String,
    build: String,
    tone: Tone,
    status: String,
    /// Comparisons that agree, and all.
    agree: [usize; 2],
    /// Logits with the same bits, and all.
    equal: [usize; 2],
    nmse: Option<f64>,
    kl: Option<f64>,
    seconds: f64,
}

impl Run {
    fn of(file: &str, receipt: &Receipt) -> Self {
        let all = || comparisons(&receipt.cases);
        let found = || {
            receipt
                .cases
                .iter()
                .flat_map(|c| c.compared().filter_map(|(_, f)| f))
        };
        let logits = found().map(Findings::logits);
        let [values, equal] = logits.fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
        let positions = || {
            found()
                .flat_map(|f| &f.lanes)
                .flat_map(|lane| &lane.positions)
        };
        let nmse = |distance: &Distance| distance.nmse;
        let machine = &receipt.circumstances.machine;
        Run {
            file: file.to_owned(),
            when: receipt.timestamp.clone(),
            build: machine.harness_version.clone(),
            tone: Tone::of(receipt.parity.status),
            status: receipt.parity.status.to_string(),
            agree: [all().filter(|c| receipt.agrees(c)).count(), all().count()],
            equal: [equal, values],
            nmse: positions()
                .filter_map(|p| nmse(&p.distance))
                .max_by(f64::total_cmp),
            kl: positions().filter_map(|p| p.kl).max_by(f64::total_cmp),
            seconds: receipt.circumstances.seconds,
        }
    }
}

/// A build's speed in one test of one file.
struct Speed {
    file: String,
    test: String,
    build: String,
    median: f64,
}

/// The whole page of files with their names: receipts by date, what `bench` wrote by file.
pub fn page(files: &[(String, Vec<u8>)]) -> Result<String, String> {
    let (mut runs, mut speeds, mut neither) = (Vec::new(), Vec::new(), Vec::new());
    for (file, bytes) in files {
        let json: Value = serde_json::from_slice(bytes).unwrap_or_default();
        match Receipt::read(bytes) {
            Ok(receipt) => runs.push(Run::of(file, &receipt)),
            Err(_) if bench::is_one(&json) => speeds.extend(self::speeds(file, &json)),
            Err(why) => neither.push((file.as_str(), why)),
        }
    }
    if runs.is_empty() && speeds.is_empty() {
        let why = neither
            .first()
            .map(|(file, why)| format!("; {file}: {why}"));
        let why = why.unwrap_or_default();
        return Err(format!(
            "no receipt of crossval and no JSON of bench lies there{why}"
        ));
    }
    runs.sort_by(|a, b| (&a.when, &a.file).cmp(&(&b.when, &b.file)));
    let last = runs.last();
    let verdict = page::Verdict {
        about: html! { "harness report · " (many(runs.len(), "receipt")) },
        tone: last.map_or(Tone::Open, |run| run.tone),
        answer: match last.map(|run| run.tone) {
            Some(Tone::Good) => "The latest run agrees",
            Some(Tone::Open) => "The latest run left something open",
            Some(Tone::Bad) => "The latest run diverges or failed",
            None => "No run of crossval",
        },
        because: html! { @if let Some(run) = last {
            p { (run.when) ", " (run.file) ": status " code { (run.status) } }
        } },
    };
    let mut sections = Vec::new();
    if !runs.is_empty() {
        sections.push(Section::new("trends", "Trends", charts(&runs)));
        sections.push(Section::new("runs", "Runs", table(&runs)));
    }
    if !speeds.is_empty() {
        sections.push(Section::new("speed", "Speed", speed_table(&speeds)));
    }
    if !neither.is_empty() {
        let body =
            html! { ul { @for (file, why) in &neither { li { code { (file) } ": " (why) } } } };
        sections.push(Section::new("neither", "Not shown", body));
    }
    Ok(page::page("harness report", &verdict, &sections))
}

fn charts(runs: &[Run]) -> Markup {
    let part = |[part, all]: [usize; 2]| (all > 0).then(|| 100.0 * part as f64 / all as f64);
    // No distance at all has no logarithm: it is drawn below the smallest there is.
    let log = |number: Option<f64>| number.map(|n| n.max(1e-18).log10());
    html! { div.charts {
        (chart("Comparisons that agree, %", runs, |run| part(run.agree)))
        (chart("Logits bit-identical, %", runs, |run| part(run.equal)))
        (chart("Largest NMSE, as a power of ten", runs, |run| log(run.nmse)))
        (chart("Largest KL, as a power of ten", runs, |run| log(run.kl)))
        (chart("Seconds", runs, |run| Some(run.seconds)))
    } }
}

/// A line through the runs; the table beneath has the numbers.
fn chart(caption: &str, runs: &[Run], of: impl Fn(&Run) -> Option<f64>) -> Markup {
    let values: Vec<Option<f64>> = runs.iter().map(of).collect();
    let known = || values.iter().flatten().copied();
    let (low, high) = (
        known().fold(f64::MAX, f64::min),
        known().fold(f64::MIN, f64::max),
    );
    if low > high {
        return html! {};
    }
    let span = if high > low { high - low } else { 1.0 };
    let across = (WIDTH - 2.0 * EDGE) / (runs.len().max(2) - 1) as f64;
    let place = |(at, value): (usize, &Option<f64>)| {
        let up = (HEIGHT - 2.0 * EDGE) * (value.as_ref()? - low) / span;
        Some((at, EDGE + across * at as f64, HEIGHT - EDGE - up))
    };
    let points: Vec<(usize, f64, f64)> = values.iter().enumerate().filter_map(place).collect();
    let line: Vec<String> = points
        .iter()
        .map(|(_, x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    let range = format!("{} to {}", size(Some(low)), size(Some(high)));
    let said = format!("{caption}: {range} in {} runs", runs.len());
    html! {
        figure.chart {
            figcaption { (caption) span.note { " " (range) } }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(said) {
                polyline points=(line.join(" ")) {}
                @for (at, x, y) in points {
                    circle class=(runs[at].tone.class()) cx=(format!("{x:.1}"))
                        cy=(format!("{y:.1}")) r="4" {
                        title { (runs[at].when) ": " (size(values[at])) }
                    }
                }
            }
        }
    }
}

fn table(runs: &[Run]) -> Markup {
    html! {
        (scroll("Runs", html! {
            table {
                caption { "Every run, the latest last" }
                (heads(&[
                    "began", "receipt", "harness", "status", "agree", "logits bit-identical",
                    "NMSE max", "KL max", "seconds",
                ]))
                tbody { @for run in runs {
                    tr.short[run.tone != Tone::Good] {
                        th scope="row" { (run.when) }
                        td { (run.file) }
                        td { (run.build) }
                        td { (run.status) }
                        td.number { (run.agree[0]) "/" (run.agree[1]) }
                        td.number { (share(run.equal)) }
                        td.number { (size(run.nmse)) }
                        td.number { (size(run.kl)) }
                        td.number { (format!("{:.1}", run.seconds)) }
                    }
                } }
            }
        }))
    }
}

/// What `bench` measured, if that is what it wrote.
fn speeds(file: &str, json: &Value) -> Vec<Speed> {
    let number = |value: &Value, name: &str| value[name].as_u64().unwrap_or(0);
    let tests = json["tests"].as_array().into_iter().flatten();
    let of_test = tests.flat_map(|test| {
        let name = match number(test, "n_prompt") {
            0 => format!("tg{}", number(test, "n_gen")),
            n => format!("pp{n}"),
        };
        let name = format!("{name} @ d{}", number(test, "n_depth"));
        let speeds = test["speeds"].as_array().into_iter().flatten();
        speeds.map(move |speed| (name.clone(), speed))
    });
    let speed = |(test, speed): (String, &Value)| {
        Some(Speed {
            file: file.to_owned(),
            test,
            build: speed["build"].as_str()?.to_owned(),
            median: speed["median_ts"].as_f64()?,
        })
    };
    of_test.filter_map(speed).collect()
}

fn speed_table(speeds: &[Speed]) -> Markup {
    let most = speeds.iter().map(|speed| speed.median).fold(0.0, f64::max);
    html! {
        (scroll("Speed", html! {
            table.bars {
                caption { "Tokens a second, file by file" }
                (heads(&["test", "build", "file", "tokens a second"]))
                tbody { @for speed in speeds {
                    tr {
                        th scope="row" { (speed.test) }
                        td { (speed.build) }
                        td { (speed.file) }
                        td.long {
                            span.bar style=(format!("width: {:.1}%", 70.0 * speed.median / most)) {}
                            (size(Some(speed.median)))
                        }
                    }
                } }
            }
        }))
    }
}
