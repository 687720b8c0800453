//! The page of a run of `power`: which planted fault was caught by what, and how large it was.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::figures::{counted, sized, summed, tile};
use super::page::{self, Section, Tone, scroll};

/// As it stands in the JSON, as far as it is shown.
#[derive(Deserialize)]
struct Power {
    faults: Vec<Trial>,
    clean_runs: usize,
    alarms: usize,
}

#[derive(Deserialize)]
struct Trial {
    name: String,
    caught: bool,
    by: Option<String>,
    located: Option<bool>,
    expected_node: Option<String>,
    effect: Effect,
}

#[derive(Deserialize)]
struct Effect {
    kl_max: Option<f64>,
    nmse_max: Option<f64>,
    ulp_max: Option<u64>,
    /// The gates that let it pass.
    passes: Vec<String>,
}

impl Trial {
    fn is_settled(&self) -> bool {
        self.caught && self.located == self.expected_node.as_ref().map(|_| true)
    }
}

/// Whether that is what `power` writes.
pub fn is_one(json: &Value) -> bool {
    json.get("faults").is_some() && json.get("clean_runs").is_some()
}

/// The whole page.
pub fn page(json: &Value) -> Result<String, serde_json::Error> {
    let power = Power::deserialize(json)?;
    let all = power.faults.len();
    let caught = power.faults.iter().filter(|t| t.caught).count();
    let numbers = || power.faults.iter().filter(|t| t.expected_node.is_some());
    let located = numbers().filter(|t| t.located == Some(true)).count();
    let settled = power.faults.iter().all(Trial::is_settled) && power.alarms == 0;
    let verdict = page::Verdict {
        about: html! { "harness power" },
        tone: if settled { Tone::Good } else { Tone::Bad },
        answer: if settled {
            "Every planted fault is caught"
        } else if power.alarms > 0 {
            "A clean run raised an alarm"
        } else {
            "A planted fault goes unnoticed"
        },
        because: html! { dl.tiles {
            (tile("faults caught", summed(caught), html! { " of " (summed(all)) }))
            (tile("faults of numbers located", summed(located), html! {
                " of " (summed(numbers().count()))
            }))
            (tile("alarms in clean runs", counted(power.alarms, "/alarms"), html! {
                " of " (counted(power.clean_runs, "/clean_runs"))
            }))
        } },
    };
    let sections = [Section::new("faults", "Faults", faults(&power.faults))];
    Ok(page::page("harness power", &verdict, &sections))
}

fn faults(faults: &[Trial]) -> Markup {
    let mut gates: Vec<&str> = Vec::new();
    for gate in faults.iter().flat_map(|trial| &trial.effect.passes) {
        if !gates.contains(&&gate[..]) {
            gates.push(gate);
        }
    }
    html! {
        p.note { "A hollow square: that gate, one of the usual ones, lets the fault pass." }
        (scroll("Faults", html! {
            table {
                caption { "Each fault planted alone: what noticed it, and how large it was" }
                thead { tr {
                    th scope="col" { "fault" }
                    th scope="col" { "caught by" }
                    th scope="col" { "planted in" }
                    th scope="col" { "located" }
                    th scope="col" { "KL max" }
                    th scope="col" { "NMSE max" }
                    th scope="col" { "ULP max" }
                    @for gate in &gates { th.tall scope="col" { span { (gate) } } }
                } }
                tbody { @for (at, trial) in faults.iter().enumerate() {
                    (trial.row(&gates, &format!("/faults/{at}/effect")))
                } }
            }
        }))
    }
}

impl Trial {
    fn row(&self, gates: &[&str], from: &str) -> Markup {
        let Effect {
            kl_max,
            nmse_max,
            ulp_max,
            passes,
        } = &self.effect;
        let ulp_max = ulp_max.map(|ulps| ulps as f64);
        let large = [
            ("kl_max", *kl_max),
            ("nmse_max", *nmse_max),
            ("ulp_max", ulp_max),
        ];
        html! { tr.short[!self.is_settled()] {
            th scope="row" { (self.name) }
            td { (self.by.as_deref().unwrap_or("nothing")) }
            td { code { (self.expected_node.as_deref().unwrap_or("–")) } }
            td { @match self.located {
                Some(true) => "yes",
                Some(false) => strong { "no" },
                None => "–",
            } }
            @for (field, number) in large {
                td.number { @match number {
                    Some(number) => (sized(number, &format!("{from}/{field}"))),
                    None => "–",
                } }
            }
            @for gate in gates {
                @let seen = !passes.iter().any(|passed| passed == gate);
                @let (looks, word) = if seen { ("exact", "seen") } else { ("missing", "passes") };
                td { span class={ "square " (looks) } role="img" aria-label=(word) {} }
            }
        } }
    }
}
