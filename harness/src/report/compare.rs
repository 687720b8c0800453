//! The page of `compare`: outputs and engines by the views of a comparison, models and receipts by
//! what differs between them.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::figures::{many, size};
use super::located::Located;
use super::page::{self, Section, Tone};
use super::{comparison, heat, records};
use crate::judge::compare::Findings;
use crate::judge::outcome::Outcome;
use crate::receipt::Comparison;

/// What is shown of a tensor that differs, of whichever kind of change.
const TENSOR: [&str; 11] = [
    "name",
    "change",
    "with",
    "factor",
    "first",
    "second",
    "rows",
    "moved",
    "negated",
    "distance/nmse",
    "because",
];
/// What is shown of a key that differs.
const KEY: [&str; 4] = ["key", "first/value", "second/value", "is_read"];

/// Two outputs, or two engines in one case, as they stand in the JSON.
#[derive(Deserialize)]
struct Pair {
    case: Option<String>,
    prompt: Option<String>,
    why: Option<String>,
    comparison: Option<Comparison>,
    findings: Option<Findings>,
    nodes: Option<Located>,
}

/// Two models.
#[derive(Deserialize)]
struct Models {
    first: Value,
    second: Value,
    keys: Vec<Value>,
    tensors: Vec<Value>,
    equal_tensors: usize,
    computed: Option<Computed>,
    not_computed: Option<String>,
}

#[derive(Deserialize)]
struct Computed {
    mean_kl: Option<f64>,
    same_top1: usize,
    nodes: Located,
}

/// Two receipts.
#[derive(Deserialize)]
struct Receipts {
    claims: Vec<Value>,
    coverage: Vec<Value>,
    environment: Vec<Value>,
}

/// Whether two outputs or engines were compared.
fn are_pairs(json: &Value) -> bool {
    let compared = |one: &Value| one.get("comparison").is_some();
    json.as_array().is_some_and(|all| all.iter().any(compared))
}

/// Whether that is what `compare` writes.
pub fn is_one(json: &Value) -> bool {
    let models = json.get("equal_tensors").is_some();
    models || json.get("environment").is_some() || are_pairs(json)
}

/// The whole page.
pub fn page(json: &Value) -> Result<String, serde_json::Error> {
    if are_pairs(json) {
        return Ok(of_pairs(&Vec::deserialize(json)?));
    }
    if json.get("equal_tensors").is_some() {
        return Ok(of_models(&Models::deserialize(json)?));
    }
    Ok(of_receipts(&Receipts::deserialize(json)?))
}

impl Pair {
    fn tone(&self) -> Tone {
        let outcome = self.comparison.as_ref().map(|c| c.verdict.outcome());
        Tone::of(outcome.unwrap_or(Outcome::Incomplete))
    }

    fn name(&self) -> String {
        let prompt = self.prompt.as_ref().filter(|prompt| !prompt.is_empty());
        let prompt = prompt.map(|prompt| format!("{prompt:?}"));
        self.case
            .clone()
            .or(prompt)
            .unwrap_or_else(|| "the two".into())
    }

    fn body(&self, at: usize) -> Markup {
        html! {
            @if let Some(why) = &self.why { p { (why) } }
            @if let Some(comparison) = &self.comparison {
                p.facts {
                    (comparison.reference) " is believed; held to "
                    code { (comparison.tolerance.name()) } "; " (comparison.verdict)
                }
                @match &self.findings {
                    Some(findings) => (comparison::numbers(
                        comparison, findings, &BTreeMap::new(), &format!("/{at}/findings"),
                    )),
                    None => p.absent { "Nothing was compared, so there are no numbers." },
                }
            }
            @if let Some(nodes) = &self.nodes {
                h3 { "Operation by operation" }
                (nodes.render(&format!("/{at}/nodes")))
            }
        }
    }
}

fn of_pairs(pairs: &[Pair]) -> String {
    let worst = pairs.iter().map(Pair::tone);
    let tone = worst
        .max_by_key(|tone| *tone as usize)
        .unwrap_or(Tone::Open);
    let exact = pairs.iter().all(|pair| {
        let comparison = pair.comparison.as_ref();
        comparison.is_some_and(|c| c.logits_bit_identical)
    });
    let verdict = page::Verdict {
        about: html! { "harness compare" },
        tone,
        answer: match tone {
            Tone::Good if exact => "The same bits",
            Tone::Good => "The same within its tolerances",
            Tone::Open => "Not everything could be compared",
            Tone::Bad => "They differ",
        },
        because: html! { p { (many(pairs.len(), "comparison")) } },
    };
    let body = html! {
        (heat::legend())
        @for (at, pair) in pairs.iter().enumerate() {
            @let tone = pair.tone();
            details.comparison id={ "p" (at) } open[pairs.len() == 1 || tone == Tone::Bad] {
                summary class=(tone.class()) {
                    span.who { (pair.name()) }
                    span.word {
                        (pair.comparison.as_ref().map_or("not compared", |c| c.verdict.word()))
                    }
                }
                (pair.body(at))
            }
        }
    };
    let sections = [Section::new("comparisons", "Comparisons", body)];
    page::page("harness compare", &verdict, &sections)
}

fn of_models(models: &Models) -> String {
    let differ = models.keys.len() + models.tensors.len();
    let wrong = models.computed.as_ref().and_then(|c| c.nodes.blamed());
    let verdict = page::Verdict {
        about: html! { "harness compare" },
        tone: if differ == 0 { Tone::Good } else { Tone::Bad },
        answer: if differ == 0 {
            "The same model"
        } else {
            "The models differ"
        },
        because: html! {
            p {
                (many(models.keys.len(), "key")) " and " (many(models.tensors.len(), "tensor"))
                " set them apart; " (many(models.equal_tensors, "tensor")) " with the same values"
            }
            @if let Some((key, because)) = wrong {
                div.first { h2 { "First operation that differs: " code { (key) } } p { (because) } }
            }
        },
    };
    let files = html! {
        p { "first: " (records::shown(&models.first, "/first")) }
        p { "second: " (records::shown(&models.second, "/second")) }
    };
    let mut sections = vec![
        Section::new(
            "tensors",
            "Tensors",
            html! {
                (records::table("Tensors that differ", &models.tensors, &TENSOR, "/tensors"))
                @if models.tensors.is_empty() { p { "Every tensor holds the same values." } }
            },
        ),
        Section::new(
            "keys",
            "Keys",
            html! {
                (records::table("Keys that differ", &models.keys, &KEY, "/keys"))
                @if models.keys.is_empty() { p { "Every key is the same." } }
            },
        ),
    ];
    let computed = match (&models.computed, &models.not_computed) {
        (Some(computed), _) => html! {
            (heat::legend())
            p {
                "Mean KL " (size(computed.mean_kl)) "; the same most likely token at "
                (many(computed.same_top1, "position")) "."
            }
            (computed.nodes.render("/computed/nodes"))
        },
        (None, Some(why)) => html! { p { (why) } },
        (None, None) => html! { p.absent { "No prompt was given, so nothing was computed." } },
    };
    sections.push(Section::new("computed", "Computed", computed));
    sections.push(Section::new("provenance", "Files", files));
    page::page("harness compare", &verdict, &sections)
}

fn of_receipts(receipts: &Receipts) -> String {
    let changed = receipts.claims.len() + receipts.coverage.len();
    let verdict = page::Verdict {
        about: html! { "harness compare" },
        tone: if changed == 0 { Tone::Good } else { Tone::Bad },
        answer: if changed == 0 {
            "The same claims"
        } else {
            "The claims differ"
        },
        because: html! {
            p {
                "Changed: " (many(receipts.claims.len(), "claim")) ", "
                (many(receipts.coverage.len(), "count")) " of coverage, "
                (many(receipts.environment.len(), "fact")) " of the environment"
            }
        },
    };
    let part = |id, heading, records: &[Value]| {
        let from = format!("/{id}");
        let body = html! {
            (records::table(heading, records, &["path", "left", "right"], &from))
            @if records.is_empty() { p { "Nothing differs." } }
        };
        Section::new(id, heading, body)
    };
    let sections = [
        part("claims", "Claims", &receipts.claims),
        part("coverage", "Coverage", &receipts.coverage),
        part("environment", "Environment", &receipts.environment),
    ];
    page::page("harness compare", &verdict, &sections)
}
