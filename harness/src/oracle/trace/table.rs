//! What was located as a table for a person, in execution order.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use super::bundle::Replay;
use super::layers::Search;
use super::{Located, NodeReport};
use crate::judge::tolerance::local::Rung;
use crate::numbers::gap::Gap;

/// Which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Nodes that differ.
    Differing,
    /// Every node.
    All,
}

/// The table, then the summary.
pub fn render(located: &Located, rows: Rows) -> String {
    let mut text = format!(
        "{} against the engine in {}, rung {}\n",
        located.reference,
        located.profile,
        located.rung.name()
    );
    let shown =
        |n: &&NodeReport| rows == Rows::All || !n.total.is_nothing() || !n.local.is_nothing();
    let nodes: Vec<_> = located.nodes.iter().filter(shown).collect();
    if !nodes.is_empty() {
        put(&mut text, &head());
    }
    for node in nodes {
        put(&mut text, &row(node));
    }
    text.push_str(&summary(located));
    text
}

fn head() -> String {
    format!(
        "  {:<29} {:>8} {:>8} {:>13} {:>13} {:>7} {:>9} {:>9} {:>9} {:>9} {:>6}  what it does",
        "node",
        "differ",
        "first",
        "theirs",
        "ours",
        "ulps",
        "max ulps",
        "total",
        "local",
        "inherited",
        "flips",
    )
}

fn row(node: &NodeReport) -> String {
    let share = 100.0 * node.total.differing as f64 / node.values.max(1) as f64;
    // What an operation does wrong on its own counts more than what it makes of wrong inputs.
    let gap = match node.local.is_nothing() {
        true => &node.total,
        false => &node.local,
    };
    let flips = node.flips.as_ref().map_or_else(String::new, |flips| {
        format!("{}/{}", flips.legal, flips.flipped)
    });
    let mark = if node.acceptable { ' ' } else { '!' };
    format!(
        "{mark} {:<29} {share:>6.2} % {} {:>9} {:>9} {:>9} {flips:>6}  {}",
        node.key,
        first(gap),
        number(node.total.nmse),
        number(node.local.nmse),
        number(node.inherited.nmse),
        node.does,
    )
}

fn first(gap: &Gap) -> String {
    let Some(first) = gap.first else {
        return format!("{:>8} {:>13} {:>13} {:>7} {:>9}", "-", "-", "-", "-", "-");
    };
    let [theirs, ours] = first.values();
    let count = |n: Option<u64>| n.map_or("NaN".into(), |n| n.to_string());
    format!(
        "{:>8} {theirs:>13.6e} {ours:>13.6e} {:>7} {:>9}",
        first.index,
        count(first.ulps),
        count(gap.max_ulps)
    )
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "none".into(),
        Some(0.0) => "0".into(),
        Some(value) => format!("{value:.1e}"),
    }
}

fn summary(located: &Located) -> String {
    let [total, local] = located.differing();
    let [legal, flips] = located.flips();
    let mut text = String::new();
    put(
        &mut text,
        &format!(
            "nodes {}: {} with every bit equal, {total} differ, {local} of them on their own",
            located.coverage,
            located.coverage.compared - total
        ),
    );
    if flips > 0 {
        let line = format!("roundings that fell the other way: {legal} of {flips} certified");
        put(&mut text, &line);
    }
    if !located.missing.is_empty() {
        let missing = located.missing.join(", ");
        put(&mut text, &format!("INCOMPLETE, missing: {missing}"));
    }
    if !located.unjudged.is_empty() {
        let unjudged = located.unjudged.join(", ");
        put(
            &mut text,
            &format!("the reference does not show {unjudged}"),
        );
    }
    let (first, last) = located.logits.split_at(located.logits.len().min(16));
    let rest = if last.is_empty() { "" } else { "…" };
    put(
        &mut text,
        &format!("logits {first}{rest} with and without anybody looking"),
    );
    let verdict = match (&located.blamed, total) {
        (Some(blame), _) => format!("BLAMED {}: {}", blame.key, blame.because),
        (None, 0) => "nobody is blamed: all bits agree".into(),
        (None, _) => innocent(located.rung, flips),
    };
    put(&mut text, &verdict);
    text
}

fn innocent(rung: Rung, flips: usize) -> String {
    let flips = if flips > 0 {
        ", every flip certified"
    } else {
        ""
    };
    format!(
        "nobody is blamed: the arithmetic differs, every local error is within the rung {} \
         (peak {:e}){flips}",
        rung.name(),
        rung.peak_max()
    )
}

/// The search in a line.
pub fn search(search: &Search) -> String {
    let found = match search.first_bad {
        None => "no layer is bad".into(),
        Some(layer) => format!("layer {layer} is the first bad one"),
    };
    let word = |&(layer, bad): &(usize, bool)| {
        let word = if bad { "bad" } else { "good" };
        format!("{layer} {word}")
    };
    let probed: Vec<_> = search.probed.iter().map(word).collect();
    let (layers, passes) = (search.layers, search.passes());
    let probed = probed.join(", ");
    format!("layer search: {found}; {passes} passes for {layers} layers ({probed})\n")
}

/// A replay in two lines.
pub fn replay(replay: &Replay) -> String {
    let word = |gap: &Gap| match gap.first {
        None => "every bit equal".to_owned(),
        Some(first) => {
            let [theirs, ours] = first.values();
            let (differing, index) = (gap.differing, first.index);
            format!("{differing} differ, first at {index}: {theirs:e} there, {ours:e} now")
        }
    };
    let verdict = if replay.acceptable {
        "agrees"
    } else {
        "DIVERGES"
    };
    format!(
        "{} replayed on the bundle's inputs\n  the reference's result: {} ({verdict})\n  \
         the engine's result in the bundle: {}\n",
        replay.node,
        word(&replay.theirs),
        word(&replay.ours)
    )
}

fn put(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}
