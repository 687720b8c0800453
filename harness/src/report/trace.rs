//! The page of a run of `trace`: what is to blame, then every case and reference it looked at.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::figures::many;
use super::heat;
use super::located::Located;
use super::page::{self, Section, Tone};
use crate::case::observation::Identity;
use crate::judge::outcome::Outcome;

/// One case beside one reference, as it stands in the JSON.
#[derive(Deserialize)]
struct Entry {
    case: String,
    reference: Option<Identity>,
    outcome: Outcome,
    why: Option<String>,
    #[serde(default)]
    declined: bool,
    located: Option<Located>,
    search: Option<Search>,
}

/// The first bad layer, by halving.
#[derive(Deserialize)]
struct Search {
    layers: usize,
    probed: Vec<(usize, bool)>,
    first_bad: Option<usize>,
}

/// Whether that is what `trace` writes.
pub fn is_one(json: &Value) -> bool {
    let traced = |entry: &Value| entry.get("case").is_some() && entry.get("comparison").is_none();
    json.as_array()
        .is_some_and(|all| !all.is_empty() && all.iter().all(traced))
}

/// The whole page.
pub fn page(json: &Value) -> Result<String, serde_json::Error> {
    let entries: Vec<Entry> = Vec::deserialize(json)?;
    let judged = entries.iter().filter(|entry| !entry.declined);
    let worst = judged
        .map(|entry| entry.outcome)
        .max()
        .unwrap_or(Outcome::Incomplete);
    let blamed = entries.iter().find_map(|entry| {
        let (key, because) = entry.located.as_ref()?.blamed()?;
        Some((entry, key, because))
    });
    let differs = blamed.is_some() || worst == Outcome::Divergence;
    let verdict = page::Verdict {
        about: html! { "harness trace" },
        tone: Tone::of(worst),
        answer: match worst {
            Outcome::Ok | Outcome::RustOnly => "No operation is to blame",
            _ if differs => "An operation computes something else",
            _ => "Not everything could be traced",
        },
        because: html! {
            @if let Some((entry, key, because)) = blamed {
                div.first {
                    h2 { "To blame: " code { (key) } }
                    p { (entry.case) ": " (because) }
                }
            }
            p { "status: " code { (worst) } "; " (many(entries.len(), "trace")) }
        },
    };
    let sections = [Section::new("traces", "Traces", traces(&entries))];
    Ok(page::page("harness trace", &verdict, &sections))
}

fn traces(entries: &[Entry]) -> Markup {
    html! {
        (heat::legend())
        @for (at, entry) in entries.iter().enumerate() {
            @let tone = Tone::of(entry.outcome);
            details.comparison id={ "t" (at) } open[tone == Tone::Bad || entries.len() == 1] {
                summary class=(tone.class()) {
                    span.who {
                        (entry.case)
                        @if let Some(reference) = &entry.reference {
                            span.with { " with " } (reference)
                        }
                    }
                    span.word { (entry.outcome) }
                }
                (entry.body(&format!("/{at}")))
            }
        }
    }
}

impl Entry {
    fn body(&self, from: &str) -> Markup {
        html! {
            @if let Some(why) = &self.why { p { (why) } }
            @if let Some(located) = &self.located {
                p.answer { strong { (located.answer()) } }
                (located.render(&format!("{from}/located")))
            }
            @if let Some(search) = &self.search { (search.render()) }
        }
    }
}

impl Search {
    fn render(&self) -> Markup {
        html! {
            p {
                "By halving, of " (self.layers) " layers: "
                @match self.first_bad {
                    Some(layer) => { "layer " (layer) " is the first bad one." }
                    None => "none is bad.",
                }
            }
            ul { @for (layer, bad) in &self.probed {
                li { "layer " (layer) ": " @if *bad { "bad" } @else { "good" } }
            } }
        }
    }
}
