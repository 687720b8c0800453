//! The contents of a file for a person at a terminal.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use engine::refusal::escape;
use serde_json::Value;

use super::contents::{Contents, Key, Packing, Status, Tensor};
use super::norms::Norms;

const INFALLIBLE: &str = "writing to a string cannot fail";

/// Everything, in the order of the file. Text from the file is escaped.
pub fn render(contents: &Contents) -> String {
    let mut out = String::new();
    head(&mut out, contents);
    section(&mut out, "metadata", contents.metadata.iter().map(key));
    let line = |(name, value): (&&str, &Value)| format!("{name:<22}{}", plain(value));
    let values = contents.hyper_parameters.iter().flatten().map(line);
    let refused = contents.hyper_parameters_refused.iter();
    let refused = refused.map(|why| format!("not a whole model: {why}"));
    section(&mut out, "hyper-parameters", values.chain(refused));
    section(&mut out, "packings", contents.packings.iter().map(packing));
    let undecided = contents.undecided.values();
    section(&mut out, "packings that cannot be told", undecided.cloned());
    if let Some(tensors) = &contents.tensors {
        section(&mut out, "tensors", tensors.iter().map(tensor));
    }
    if let Some(norms) = &contents.norms {
        section(&mut out, "norms", norm_lines(norms));
    }
    section(
        &mut out,
        "warnings",
        contents.warnings.iter().map(|w| escape(w)),
    );
    let verdict = match contents.status {
        Status::Ok => "ok",
        Status::Warning => "warning: see above; --strict makes this a failure",
        Status::Failed => "failed: strict mode lets no warning pass",
    };
    writeln!(out, "\n{verdict}").expect(INFALLIBLE);
    out
}

fn head(out: &mut String, contents: &Contents) {
    let gguf = &contents.gguf;
    write!(
        out,
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
    .expect(INFALLIBLE);
}

/// A title and its lines; nothing at all where there are none.
fn section(out: &mut String, title: &str, lines: impl IntoIterator<Item = String>) {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_some() {
        writeln!(out, "\n{title}").expect(INFALLIBLE);
    }
    for line in lines {
        writeln!(out, "  {line}").expect(INFALLIBLE);
    }
}

fn key(key: &Key) -> String {
    let more = match key.shortened_from {
        Some(len) => format!(" … ({len} in all)"),
        None => String::new(),
    };
    let name = escape(&key.key);
    format!("{name:<49} {:<14}{}{more}", key.kind, plain(&key.value))
}

/// JSON on one line, which reads well enough, and nothing in it that a terminal obeys.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => escape(text),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| escape(&item.to_string())).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

fn packing(packing: &Packing) -> String {
    let mut text = format!(
        "{:<14}{} {}: {}",
        packing.flavor,
        packing.tensors,
        if packing.tensors == 1 {
            "tensor"
        } else {
            "tensors"
        },
        packing.reason
    );
    let example = escape(&packing.example);
    for evidence in &packing.evidence {
        let needed = evidence.bytes_needed.map_or_else(
            || "cannot hold the shape of".to_owned(),
            |needed| {
                format!(
                    "needs {needed} of the {} bytes of",
                    evidence.bytes_available
                )
            },
        );
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
        write!(
            text,
            "\n    {:<14}{needed} {example}: {facts}",
            evidence.flavor
        )
        .expect(INFALLIBLE);
    }
    text
}

fn tensor(tensor: &Tensor) -> String {
    let dims: Vec<_> = tensor.dims.iter().map(u64::to_string).collect();
    let kind = match tensor.flavor {
        Some(flavor) => format!("{} ({flavor})", tensor.type_id),
        None => format!("{} ({})", tensor.type_id, tensor.kind),
    };
    format!(
        "{:<36}{:<18}{kind:<20}{} bytes at {}",
        escape(&tensor.name),
        dims.join(" x "),
        tensor.bytes,
        tensor.offset
    )
}

fn norm_lines(norms: &Norms) -> Vec<String> {
    let mut lines: Vec<String> = norms
        .tensors
        .iter()
        .map(|judged| {
            let s = &judged.statistic;
            let verdict = match (judged.range, judged.suspicious) {
                (None, _) => String::new(),
                (Some(range), false) => format!("within {} .. {}", range.min, range.max),
                (Some(range), true) => format!("SUSPICIOUS, not in {} .. {}", range.min, range.max),
            };
            format!(
                "{:<36}rms {:<10.4}mean {:<10.4}{:>10.4} .. {:<10.4}{verdict}",
                escape(&s.name),
                s.rms,
                s.mean,
                s.min,
                s.max
            )
        })
        .collect();
    let judged = match &norms.ruleset {
        Some(ruleset) => format!("judged by {}", escape(ruleset)),
        None => "not judged".into(),
    };
    lines.push(format!(
        "{judged}: {} of {} norms and {} of {} plain projections suspicious; {} packed ones not \
         measured",
        norms.layernorm.suspicious,
        norms.layernorm.total,
        norms.projection.suspicious,
        norms.projection.total,
        norms.packed_projections
    ));
    lines
}
