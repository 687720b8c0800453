//! Two saved outputs: position by position, node by node.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::Args;
use crate::case::Case;
use crate::case::coverage::{Count, Coverage};
use crate::case::observation::{Greedy, Identity, Lane, Logits, Observation, TracedNode};
use crate::case::taken::Taken;
use crate::exit::{Exit, Failure};
use crate::file::provenance::{Input, sha256};
use crate::io::look;
use crate::io::output;
use crate::io::table::{Table, decibels, number, scientific, words};
use crate::judge::compare::{Findings, LaneFindings, PositionFindings};
use crate::judge::outcome::Outcome;
use crate::judge::own_tolerance::OwnTolerance;
use crate::judge::tolerance::{ArithmeticGap, tolerances};
use crate::numbers::confidence::{Class, classes};
use crate::numbers::gap::Gap;
use crate::numbers::metrics::ulps;
use crate::oracle::crossval::answer::{Concluded, Held, compared, conclude};
use crate::receipt::{Comparison, explanation_of};
use crate::runner::recorded::Recorded;
use crate::runner::subject::saved_files::{self, Rows};

/// One prompt of the two.
#[derive(Serialize)]
pub struct Pair {
    /// The prompt, where it is known.
    prompt: String,
    /// What follows from the findings.
    comparison: Comparison,
    /// What was found; none where the two cannot be compared.
    findings: Option<Findings>,
    /// What every logit of a lane was multiplied with, where one number explains all.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    factors: BTreeMap<Lane, f64>,
    /// The tolerances that it just meets, each alone, as they are typed; none where bits are equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    smallest_tolerances: Option<String>,
    #[serde(skip)]
    rows: Vec<[String; 9]>,
}

/// Compares files of logits and nodes.
pub fn of_files(args: &Args, files: [&String; 2]) -> Result<Exit, Failure> {
    let [theirs, ours] = [read(args, files[0])?, read(args, files[1])?];
    let pair = Pair::of(args, "", &theirs, ours)?;
    finished(args, vec![pair])
}

/// Compares every prompt that two recordings share.
pub fn of_recordings(args: &Args, folders: [&Path; 2]) -> Result<Exit, Failure> {
    let [theirs, ours] = [recording(folders[0])?, recording(folders[1])?];
    let mut pairs = Vec::new();
    for one in &theirs.manifest().cases {
        let mut others = ours.manifest().cases.iter();
        if let Some(other) = others.find(|other| other.prompt == one.prompt) {
            let [one, other] = [theirs.seen(one), ours.seen(other)];
            pairs.push(Pair::of(args, &prompt_of(&theirs, &one), &one, other)?);
        }
    }
    if pairs.is_empty() {
        return Err(Failure::input(
            "the two recordings have no prompt in common",
        ));
    }
    finished(args, pairs)
}

fn prompt_of(recorded: &Recorded, seen: &Observation) -> String {
    let mut cases = recorded.manifest().cases.iter();
    let own = cases.find(|case| case.tokens == seen.tokens);
    own.map_or_else(String::new, |case| case.prompt.clone())
}

/// A recording outside of the fixtures answers for itself.
fn recording(folder: &Path) -> Result<Recorded, Failure> {
    let folder = std::path::absolute(folder).map_err(Failure::environment)?;
    let (shelf, name) = folder.parent().zip(folder.file_name()).ok_or_else(|| {
        let folder = folder.display();
        Failure::input(format!("{folder} has no name"))
    })?;
    let name = name.to_string_lossy();
    let (input, _) = Input::read(&folder.join("recording.json"))?;
    let checksums = BTreeMap::from([(format!("{name}/recording.json"), input.sha256)]);
    Recorded::open(shelf, &name, &checksums)
}

/// What the files of one side hold, as an observation of tokens that nobody knows.
fn read(args: &Args, word: &String) -> Result<Observation, Failure> {
    let (mut lanes, mut trace) = (BTreeMap::new(), Vec::new());
    for (part, path) in Args::parts(word)? {
        let (_, contents) = saved_files::read(&path, part.lane(), &args.shape)?;
        trace.extend(contents.nodes);
        for (lane, rows) in contents.lanes {
            if lanes.insert(lane, logits(rows)).is_some() {
                let (path, lane) = (path.display(), lane.name());
                return Err(Failure::input(format!(
                    "{path}: the logits of {lane} again"
                )));
            }
        }
    }
    if lanes.is_empty() && trace.is_empty() {
        return Err(Failure::input(format!(
            "{word} holds neither logits nor nodes"
        )));
    }
    Ok(Observation {
        identity: Identity {
            name: word.clone(),
            profile: "unnamed".into(),
            fingerprint: sha256(word.as_bytes()),
        },
        tokens: Vec::new(),
        lanes,
        greedy: Greedy::default(),
        trace,
        taken: Taken::default(),
    })
}

fn logits(rows: Rows) -> Logits {
    let count = rows.values.len() / rows.width;
    Logits {
        positions: rows.positions.unwrap_or_else(|| (0..count).collect()),
        values: rows.values,
        vocab_size: rows.width,
        named: rows.named,
        sixteen_bits: rows.sixteen_bits,
    }
}

impl Pair {
    /// Every position and node that the first has is to be compared.
    pub fn of(
        args: &Args,
        prompt: &str,
        theirs: &Observation,
        mut ours: Observation,
    ) -> Result<Self, Failure> {
        // Whoever compares a thing with itself means to.
        ours.identity.fingerprint = format!("second {}", ours.identity.fingerprint);
        let ours = &ours;
        let positions = |seen: &Observation| -> Vec<usize> {
            let all = seen.lanes.values().flat_map(|lane| &lane.positions);
            all.copied().collect()
        };
        let mut every = [positions(theirs), positions(ours)].concat();
        every.sort_unstable();
        every.dedup();
        let case = Case {
            positions: every,
            ..Case::of_prompt("pair", "", prompt, theirs.tokens.len())
        };
        let mut declared = Coverage {
            references: Count::of(1),
            tokens: Count::of(theirs.tokens.len().max(ours.tokens.len())),
            positions: Count::of(positions(theirs).len().max(positions(ours).len())),
            ..Coverage::default()
        };
        // Two graphs have the nodes they have; those of both are compared.
        let theirs_too = |node: &&TracedNode| ours.trace.iter().any(|n| n.key == node.key);
        declared.nodes = Count::of(theirs.trace.iter().filter(theirs_too).count());
        let apart = match [&theirs.identity.profile, &ours.identity.profile] {
            [a, b] if a == b && a != "unnamed" => ArithmeticGap::Nothing,
            [a, b] if a != b => ArithmeticGap::profiles(a, b),
            _ => ArithmeticGap::Unknown,
        };
        let demand = args.tolerances.demand()?;
        let mut found = compared(&case, theirs, ours);
        if let Ok(findings) = &mut found {
            demand.look(findings, theirs, ours);
        }
        let held = Held {
            profile: &ours.identity.profile,
            apart,
            declared,
            demand,
        };
        let Concluded {
            comparison,
            measured,
        } = conclude((&theirs.identity, false), held, found);
        let findings = measured.findings;
        let rows = findings.as_ref().map(|found| rows(found, theirs, ours));
        let differing = findings.as_ref().filter(|found| {
            let [all, equal] = found.logits();
            equal < all
        });
        let least = differing.map(|found| OwnTolerance::least(found, theirs, ours).flags());
        Ok(Pair {
            prompt: prompt.to_owned(),
            comparison,
            findings,
            factors: factors(theirs, ours),
            smallest_tolerances: least,
            rows: rows.unwrap_or_default(),
        })
    }

    /// What it comes to.
    pub fn outcome(&self) -> Outcome {
        self.comparison.verdict.outcome()
    }

    /// The verdict, where the two part, and the positions.
    pub fn text(&self, second: &str) -> String {
        let Comparison {
            reference, verdict, ..
        } = &self.comparison;
        let by = self.comparison.judged_by.as_ref();
        let by = by.map_or_else(String::new, |by| format!(", judged by {}", by.words()));
        let mut text = format!("{} and {second}: {verdict}{by}\n", reference.name);
        let Some(findings) = &self.findings else {
            return text;
        };
        let [logits, equal] = findings.logits();
        text += &format!("logits: {equal} of {logits} have equal bits\n");
        for lane in &findings.lanes {
            if let Some(first) = &lane.first_difference {
                let (name, first) = (lane.lane.name(), explanation_of(first));
                text += &format!("{name}: first at {first}\n");
            }
            if let Some(ulps) = &lane.ulps {
                text += &format!("{}: ulps apart: {ulps}\n", lane.lane.name());
            }
            if let Some(factor) = self.factors.get(&lane.lane) {
                let name = lane.lane.name();
                text += &format!("{name}: every logit is the first's times {factor:.6}\n");
            }
            text += &by_confidence(lane);
        }
        if let Some(least) = &self.smallest_tolerances {
            text += &format!("smallest tolerances that pass, each alone: {least}\n");
        }
        let nodes = &findings.nodes;
        if !nodes.compared.is_empty() {
            let equal = nodes.compared.iter().filter(|n| n.is_bit_identical());
            let (equal, count) = (equal.count(), nodes.compared.len());
            text += &format!("nodes: {equal} of {count} have equal bits\n");
        }
        if let Some(first) = &nodes.first_difference {
            text += &format!("first node that differs: {}\n", explanation_of(first));
        }
        if !nodes.missing.is_empty() && !nodes.compared.is_empty() {
            let (count, first) = (nodes.missing.len(), &nodes.missing[0]);
            text += &format!("nodes that {second} lacks: {count}, as {first}\n");
        }
        text
    }

    /// A row for each position that differs.
    pub fn table(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let mut table = Table::new(&[
            words("lane"),
            number("position"),
            number("bit-equal"),
            number("nmse"),
            number("SQNR"),
            number("max |x-y|"),
            number("max ulps"),
            number("KL"),
            words("top-1"),
        ]);
        self.rows.iter().for_each(|row| table.row(row.clone()));
        table.render(output::width())
    }
}

/// A row for each position that differs, or for all.
fn rows(findings: &Findings, theirs: &Observation, ours: &Observation) -> Vec<[String; 9]> {
    let mut rows = Vec::new();
    for lane in &findings.lanes {
        let sides = [theirs, ours].map(|seen| seen.lanes.get(&lane.lane));
        let named = sides
            .into_iter()
            .flatten()
            .any(|side| !side.named.is_empty());
        let differs = |p: &&PositionFindings| look::is_verbose() || !p.distance.is_bit_identical();
        for found in lane.positions.iter().filter(differs) {
            let row = |side: Option<&Logits>| Some(side?.at(found.position)?.to_vec());
            let pair = row(sides[0]).zip(row(sides[1]));
            let whole = pair.filter(|(a, b)| !named && a.len() == b.len());
            let most = whole.and_then(|(a, b)| {
                let apart = a.iter().zip(&b).map(|(&a, &b)| ulps([a, b]));
                apart.collect::<Option<Vec<u64>>>()?.into_iter().max()
            });
            let distance = &found.distance;
            rows.push([
                lane.lane.name().to_owned(),
                found.position.to_string(),
                format!("{}/{}", distance.bit_equal, distance.values),
                scientific(distance.nmse),
                decibels(distance.sqnr()),
                scientific(distance.max_abs),
                most.map_or_else(|| "-".to_owned(), |most| most.to_string()),
                scientific(found.kl),
                (if found.top1_equal { "same" } else { "OTHER" }).to_owned(),
            ]);
        }
    }
    rows
}

fn factors(theirs: &Observation, ours: &Observation) -> BTreeMap<Lane, f64> {
    let factor = |(lane, one): (&Lane, &Logits)| {
        let other = ours.lanes.get(lane)?;
        let whole = one.named.is_empty() && other.named.is_empty();
        let paired = whole && one.positions == other.positions;
        let ratio = paired.then(|| Gap::between(&one.values, &other.values).ratio)?;
        Some((*lane, ratio?))
    };
    theirs.lanes.iter().filter_map(factor).collect()
}

/// The mean divergences where the first is more and less sure of its likeliest token.
fn by_confidence(lane: &LaneFindings) -> String {
    let classes = classes(&[lane.confidence()], &tolerances().interval);
    let class = |class: &Class| {
        let (words, kl) = (class.words(), scientific(Some(class.mean_kl)));
        format!("{words}: {kl} at {}", class.positions)
    };
    let classes: Vec<String> = classes.iter().map(class).collect();
    if classes.is_empty() {
        return String::new();
    }
    let (name, classes) = (lane.lane.name(), classes.join(", "));
    format!("{name}: mean KL by how sure the first is: {classes}\n")
}

fn finished(args: &Args, pairs: Vec<Pair>) -> Result<Exit, Failure> {
    let outcome = Outcome::worst(Outcome::Ok, pairs.iter().map(Pair::outcome));
    let second = args.what.last().cloned().unwrap_or_default();
    let text = pairs.iter().map(|pair| {
        let prompt = match &pair.prompt[..] {
            "" => String::new(),
            prompt => format!("{prompt:?}\n"),
        };
        prompt + &pair.text(&second) + &pair.table()
    });
    let text: Vec<String> = text.collect();
    let text = text.join("\n") + &format!("status: {outcome}\n");
    args.finish(outcome, &text, &pairs)
}
