//! What was located as a table for a person, in execution order.

use std::fmt::Write as _;

use super::bundle::Replay;
use super::layers::Search;
use super::{Located, NodeReport};
use crate::io::table::{Table, number, scientific, words};
use crate::judge::tolerance::local::Rung;
use crate::numbers::gap::{Gap, coordinates};

/// The table of what differs or of everything, then the summary.
pub fn render(located: &Located, all: bool, width: Option<usize>) -> String {
    let engine = || format!("the engine in {}", located.profile);
    let who = located.computed_by.as_ref();
    let who = who.map_or_else(engine, ToString::to_string);
    let mut text = format!(
        "{} against {who}, rung {}\n",
        located.reference,
        located.rung.name()
    );
    let differs = |n: &NodeReport| !n.total.is_identical() || n.differs_alone();
    let mut table = Table::new(&[
        words(""),
        words("node"),
        number("differ"),
        words("at"),
        number("theirs"),
        number("ours"),
        number("ulps"),
        number("max ulps"),
        number("total"),
        number("local"),
        number("inherited"),
        number("flips"),
        words("what it does"),
    ]);
    for node in &located.nodes {
        if all || differs(node) {
            table.row(row(node));
        }
    }
    if !table.is_empty() {
        text.push_str(&table.render(width));
    }
    text.push_str(&summary(located));
    text
}

fn row(node: &NodeReport) -> [String; 13] {
    let share = 100.0 * node.total.differing as f64 / node.values.max(1) as f64;
    // What an operation does wrong on its own counts more than what it makes of wrong inputs.
    let gap = node.local.as_ref().filter(|local| !local.is_identical());
    let gap = gap.unwrap_or(&node.total);
    let nmse = |gap: &Option<Gap>| gap.as_ref().map_or("-".into(), |gap| scientific(gap.nmse));
    let flips = node.flips.as_ref();
    let [at, theirs, ours, ulps] = first(&node.shape, gap);
    [
        if node.acceptable { "" } else { "!" }.into(),
        node.key.clone(),
        format!("{share:.2} %"),
        at,
        theirs,
        ours,
        ulps,
        count(gap),
        scientific(node.total.nmse),
        nmse(&node.local),
        nmse(&node.inherited),
        flips.map_or_else(String::new, |f| format!("{}/{}", f.legal, f.flipped)),
        node.does.into(),
    ]
}

/// The first element that differs: its place, both values, their distance.
fn first(shape: &[usize], gap: &Gap) -> [String; 4] {
    let Some(first) = gap.first else {
        return ["-"; 4].map(str::to_owned);
    };
    let [theirs, ours] = first.values().map(|value| format!("{value:.6e}"));
    let at = coordinates(shape, first.index);
    let at: Vec<String> = at.iter().map(usize::to_string).collect();
    let ulps = first.ulps.map_or_else(|| "NaN".into(), |n| n.to_string());
    [at.join(","), theirs, ours, ulps]
}

fn count(gap: &Gap) -> String {
    match (gap.first, gap.max_ulps) {
        (None, _) => "-".into(),
        (_, None) => "NaN".into(),
        (_, Some(ulps)) => ulps.to_string(),
    }
}

/// What it comes to, in sentences.
pub fn summary(located: &Located) -> String {
    let [total, local] = located.differing();
    let [legal, flips] = located.flips();
    let equal = located.coverage.compared - total;
    let mut lines = vec![format!(
        "nodes {}: {equal} with every bit equal, {total} differ, {local} of them on their own",
        located.coverage
    )];
    if !located.alone.is_complete() {
        lines.push(format!(
            "judged alone {}: it does not go on from values that it is given (`replace` in \
             `harness subject --help`)",
            located.alone
        ));
    }
    if flips > 0 {
        lines.push(format!(
            "roundings that fell the other way: {legal} of {flips} certified"
        ));
    }
    let few = |keys: &[String]| match keys {
        [first, second, _, rest @ ..] if located.computed_by.is_some() => {
            format!("{first}, {second} and {} others", rest.len() + 1)
        }
        keys => keys.join(", "),
    };
    let missing = few(&located.missing);
    match (&located.computed_by, located.missing.len()) {
        (_, 0) => {}
        (None, _) => lines.push(format!("INCOMPLETE, missing: {missing}")),
        (Some(who), count) => {
            let name = &who.name;
            let plural = if count == 1 { "" } else { "s" };
            lines.push(format!(
                "{name} does not show {count} node{plural}: {missing}"
            ));
        }
    }
    if !located.unjudged.is_empty() {
        let unjudged = few(&located.unjudged);
        lines.push(format!("the reference does not show {unjudged}"));
    }
    let (first, last) = located.logits.split_at(located.logits.len().min(16));
    let rest = if last.is_empty() { "" } else { "…" };
    lines.push(format!(
        "logits {first}{rest}, the same observed and unobserved"
    ));
    lines.push(verdict(located, total, flips));
    lines.join("\n") + "\n"
}

fn verdict(located: &Located, differing: usize, flips: usize) -> String {
    let rung = located.rung;
    match &located.blamed {
        Some(blame) => {
            let node = located.nodes.iter().find(|node| node.key == blame.key);
            let what = node.map_or_else(String::new, described);
            format!("BLAMED {}{what}: {}", blame.key, blame.because)
        }
        None if differing == 0 => "no operation is blamed: all bits agree".into(),
        None => innocent(rung, flips),
    }
}

/// Layer, tensor and operation in words.
fn described(node: &NodeReport) -> String {
    let mut text = String::from(" (");
    if let Some(layer) = node.layer {
        write!(text, "layer {layer}, ").expect("strings take all");
    }
    if let Some(tensor) = &node.tensor {
        write!(text, "tensor {tensor}, ").expect("strings take all");
    }
    text + node.does + ")"
}

fn innocent(rung: Rung, flips: usize) -> String {
    let certified = if flips > 0 {
        ", every flip certified"
    } else {
        ""
    };
    if rung == Rung::Unmeasured {
        return "no operation is blamed: the arithmetic differs, and none stands out".into();
    }
    format!(
        "no operation is blamed: the arithmetic differs, every local error is within the rung {} \
         (peak {:e}){certified}",
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
