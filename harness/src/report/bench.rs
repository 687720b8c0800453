//! The page of a run of `bench`: how fast each build was beside the engine, and whether its logits
//! let that count.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::figures::{size, sized};
use super::page::{self, Section, Tone, heads, scroll};
use super::records;
use crate::judge::outcome::Outcome;

/// What is shown of a build.
const BUILD: [&str; 8] = [
    "name",
    "lost",
    "compiled_for",
    "load_ms",
    "first_token_ms",
    "resident_mb",
    "model_bytes",
    "model_sha256",
];

/// As it stands in the JSON, as far as it is shown.
#[derive(Deserialize)]
struct Bench {
    outcome: Outcome,
    machine: Value,
    builds: Vec<Value>,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    n_prompt: usize,
    n_gen: usize,
    n_depth: usize,
    n_threads: usize,
    roofline: Value,
    load: Value,
    speeds: Vec<Speed>,
}

#[derive(Deserialize)]
struct Speed {
    build: String,
    samples_ts: Vec<f64>,
    median_ts: Option<f64>,
    engine_is: Option<Ratio>,
    of_stream: Option<f64>,
    of_int8: Option<f64>,
    logits: Value,
}

#[derive(Deserialize)]
struct Ratio {
    median: f64,
    low: f64,
    high: f64,
}

/// Whether that is what `bench` writes of builds.
pub fn is_one(json: &Value) -> bool {
    json.get("builds").is_some() && json.get("tests").is_some()
}

/// The whole page.
pub fn page(json: &Value) -> Result<String, serde_json::Error> {
    let bench = Bench::deserialize(json)?;
    let tone = Tone::of(bench.outcome);
    let verdict = page::Verdict {
        about: html! { "harness bench" },
        tone,
        answer: match bench.outcome {
            Outcome::Ok | Outcome::RustOnly => "Every build that was timed computes the same",
            Outcome::Divergence => "A build computes something else: its speed does not count",
            _ => "Not every build could be timed",
        },
        because: html! { p { "status: " code { (bench.outcome) } } },
    };
    let tests = html! {
        @for (at, test) in bench.tests.iter().enumerate() { (test.render(&format!("/tests/{at}"))) }
    };
    let starts = records::table("How each starts", &bench.builds, &BUILD, "/builds");
    let machine = html! { p { (records::shown(&bench.machine, "/machine")) } };
    let sections = [
        Section::new("speed", "Speed", tests),
        Section::new("builds", "Builds", starts),
        Section::new("provenance", "Machine", machine),
    ];
    Ok(page::page("harness bench", &verdict, &sections))
}

impl Test {
    fn name(&self) -> String {
        let name = match self.n_prompt {
            0 => format!("tg{}", self.n_gen),
            n => format!("pp{n}"),
        };
        match self.n_depth {
            0 => name,
            depth => format!("{name} @ d{depth}"),
        }
    }

    fn render(&self, from: &str) -> Markup {
        let medians = self.speeds.iter().filter_map(|speed| speed.median_ts);
        let most = medians.fold(0.0, f64::max);
        html! {
            h3 { (self.name()) span.note { " on " (self.n_threads) " threads" } }
            (scroll(&format!("Speed of {}", self.name()), html! {
                table.bars {
                    (heads(&[
                        "build", "tokens a second", "the engine is", "of the roofline",
                        "samples", "logits",
                    ]))
                    tbody { @for (at, speed) in self.speeds.iter().enumerate() {
                        (speed.row(most, &format!("{from}/speeds/{at}")))
                    } }
                }
            }))
            p.note {
                "Meanwhile the machine could: "
                (records::shown(&self.roofline, &format!("{from}/roofline"))) "; load: "
                (records::shown(&self.load, &format!("{from}/load")))
            }
        }
    }
}

impl Speed {
    fn row(&self, most: f64, from: &str) -> Markup {
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        html! { tr {
            th scope="row" { (self.build) }
            td.long { @match self.median_ts {
                Some(median) => {
                    span.bar style=(format!("width: {:.1}%", 70.0 * median / most)) {}
                    (sized(median, &format!("{from}/median_ts")))
                }
                None => "does not count",
            } }
            td.number { @if let Some(ratio) = &self.engine_is {
                (format!("{:.2}× ({:.2} to {:.2})", ratio.median, ratio.low, ratio.high))
            } }
            td.number { (self.of_stream.or(self.of_int8).map_or(String::new(), percent)) }
            td { @for sample in &self.samples_ts { (size(Some(*sample))) " " } }
            td { (records::shown(&self.logits, &format!("{from}/logits"))) }
        } }
    }
}
