//! When, where, by what and on which files: what it takes to do it again.

use super::page::{heads, scroll};
use maud::{Markup, html};

use crate::receipt::{LiveReference, Receipt};

/// The circumstances of a receipt.
pub fn provenance(receipt: &Receipt) -> Markup {
    let about = &receipt.circumstances;
    let machine = &about.machine;
    let or_unknown = |text: &str| {
        if text.is_empty() {
            "unknown".into()
        } else {
            text.to_owned()
        }
    };
    let facts = [
        ("began", receipt.timestamp.clone()),
        ("took", format!("{:.1} s", about.seconds)),
        ("threads", about.threads.to_string()),
        (
            "machine",
            format!(
                "{}, {} processors",
                or_unknown(&machine.processor),
                machine.processors
            ),
        ),
        ("system", format!("{} {}", machine.os, machine.architecture)),
        ("instruction sets", machine.cpu_features.join(", ")),
        (
            "harness",
            format!("{}, {} build", machine.harness_version, machine.build),
        ),
        ("compiler", machine.rustc.clone()),
        ("schema", receipt.schema_version.to_string()),
        ("seal (SHA-256)", receipt.seal.clone()),
    ];
    html! {
        dl.facts { @for (name, fact) in &facts { div { dt { (name) } dd { (fact) } } } }
        (references(&about.references))
        details {
            summary { "Files that were read: " (about.inputs.len()) }
            (scroll("Files that were read", html! {
                table {
                    (heads(&["file", "SHA-256"]))
                    tbody { @for file in &about.inputs {
                        tr { th scope="row" { (file.path) } td { code.hash { (file.sha256) } } }
                    } }
                }
            }))
        }
    }
}

fn references(references: &[LiveReference]) -> Markup {
    if references.is_empty() {
        return html! { p.absent { "No live reference answered in this run." } };
    }
    let or_unknown = |known: &Option<String>| known.clone().unwrap_or_else(|| "unknown".into());
    html! {
        (scroll("Live references", html! {
            table {
                caption { "Live references" }
                (heads(&["name", "built from", "commit", "compiler", "flags"]))
                tbody { @for one in references {
                    tr {
                        th scope="row" { (one.name) }
                        td { (one.origin) }
                        td { code.hash { (or_unknown(&one.commit)) } }
                        td { (or_unknown(&one.compiler)) }
                        td { (or_unknown(&one.flags)) }
                    }
                } }
            }
        }))
    }
}
