//! What every page has: a head, a verdict first, sections that can be jumped to, and numbers that
//! say where they come from.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::judge::outcome::Outcome;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// How a result looks: colour and sign, which say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing is wrong.
    Good,
    /// Nothing is wrong, and something is open.
    Open,
    /// Something is wrong.
    Bad,
}

impl Tone {
    /// Of what a run or a case comes to.
    pub fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok | Outcome::RustOnly => Tone::Good,
            Outcome::Incomplete | Outcome::ReferenceMissing | Outcome::StaleEntry => Tone::Open,
            _ => Tone::Bad,
        }
    }

    /// The class it has in the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Tone::Good => "good",
            Tone::Open => "open",
            Tone::Bad => "bad",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Tone::Good => "✓",
            Tone::Open => "?",
            Tone::Bad => "✗",
        }
    }
}

/// What may be wider than the screen, and then scrolls, by the keyboard as well. `label` names it.
pub fn scroll(label: &str, table: Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (table) } }
}

/// The names of a table's columns.
pub fn heads(names: &[&str]) -> Markup {
    html! { thead { tr { @for name in names { th scope="col" { (name) } } } } }
}

/// What stands above everything else.
pub struct Verdict<'a> {
    /// The command that wrote the JSON, and when.
    pub about: Markup,
    /// Good or bad.
    pub tone: Tone,
    /// The answer in a few words.
    pub answer: &'a str,
    /// What it rests on.
    pub because: Markup,
}

/// A section: its anchor, its heading, what it shows.
pub struct Section {
    /// Unique on the page.
    pub id: &'static str,
    /// As read out.
    pub heading: &'static str,
    /// What it shows.
    pub body: Markup,
}

impl Section {
    /// A section.
    pub fn new(id: &'static str, heading: &'static str, body: Markup) -> Self {
        Section { id, heading, body }
    }
}

/// The whole page.
pub fn page(title: &str, verdict: &Verdict<'_>, sections: &[Section]) -> String {
    let tone = verdict.tone;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (verdict.answer) " · " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header class={ "verdict " (tone.class()) } {
                    p.about { (verdict.about) }
                    h1 { span.sign aria-hidden="true" { (tone.sign()) } " " (verdict.answer) }
                    div.because { (verdict.because) }
                    nav aria-label="Sections" {
                        @for section in sections {
                            a href={ "#" (section.id) } { (section.heading) }
                        }
                    }
                }
                main {
                    @for Section { id, heading, body } in sections {
                        section id=(id) aria-labelledby={ (id) "-heading" } {
                            h2 id={ (id) "-heading" } { (heading) }
                            (body)
                        }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}
