//! Two model files: what sets them apart, in their contents and in what they compute.

use std::collections::BTreeMap;
use std::path::Path;

use engine::refusal::escape;
use engine::{Model, Token};
use serde::Serialize;

use super::Args;
use crate::case::Case;
use crate::case::observation::{Greedy, Identity, Observation};
use crate::case::taken::Taken;
use crate::exit::{Exit, Failure};
use crate::file::difference::{Differences, KeyDifference, TensorDifference};
use crate::file::opened::Opened;
use crate::io::table::{Table, number, scientific, words};
use crate::io::{look, output, progress};
use crate::judge::outcome::Outcome;
use crate::numbers::gap::place;
use crate::numbers::rows_apart::{Believed, RowsApart};
use crate::numbers::statistics::mean;
use crate::oracle::trace::{Located, NodeReport, locate, table};
use crate::runner::engine::{open, tokenize};
use crate::runner::passes::Passes;

/// Everything there is to say about two files.
#[derive(Serialize)]
struct Compared {
    first: Side,
    second: Side,
    #[serde(flatten)]
    differences: Differences,
    #[serde(skip_serializing_if = "Option::is_none")]
    computed: Option<Computed>,
    /// Why the second file computes nothing, where a prompt was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_computed: Option<String>,
}

#[derive(Serialize)]
struct Side {
    model: String,
    model_sha256: String,
}

/// What both files make of one prompt.
#[derive(Serialize)]
struct Computed {
    tokens: Vec<Token>,
    /// What the second file's vocabulary makes of the text, where that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_tokens: Option<Vec<Token>>,
    /// Mean of `KL(first ‖ second)` over the positions; none where the logits cannot be compared.
    mean_kl: Option<f64>,
    /// Positions with the same most likely token.
    same_top1: usize,
    nodes: Located,
}

/// Compares two files.
pub fn run(args: &Args, files: [&Path; 2]) -> Result<Exit, Failure> {
    let [first, second] = [
        Opened::read(files[0], args.reading)?,
        Opened::read(files[1], args.reading)?,
    ];
    let bar = progress::bar(0, "tensors");
    let differences = Differences::between(&first.gguf, &second.gguf, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let mut compared = Compared {
        first: Side::of(&first),
        second: Side::of(&second),
        differences,
        computed: None,
        not_computed: None,
    };
    if let Some(prompt) = &args.prompt {
        let believed = open(&first.input, args.reading, args.kernel)?;
        let tokens = tokenize(&believed, prompt)?;
        match compute(args, prompt, &believed, tokens, &second) {
            Ok(computed) => compared.computed = Some(computed),
            Err(failure) => compared.not_computed = Some(failure.to_string()),
        }
    }
    first.input.still_holds()?;
    second.input.still_holds()?;
    let text = compared.text(look::is_verbose());
    args.finish(compared.outcome(), &text, &compared)
}

fn compute(
    args: &Args,
    prompt: &str,
    believed: &Model,
    tokens: Vec<Token>,
    second: &Opened,
) -> Result<Computed, Failure> {
    let name = args.what[0].clone();
    let case = Case::of_prompt("prompt", &name, prompt, tokens.len());
    let free = Passes::new(believed, &tokens, args.order(), case.ubatch)?.free()?;
    let model = open(&second.input, args.reading, args.kernel)?;
    let other_tokens = tokenize(&model, prompt)?;
    let mut passes = Passes::new(&model, &tokens, args.order(), case.ubatch)?;
    let sizes = [believed, &model].map(|model| model.config().vocab_size);
    let ours = passes.free()?.logits.unwrap_or_default();
    let theirs = Believed::Logits(free.logits.unwrap_or_default());
    let mut apart = RowsApart::default();
    let paired = sizes[0] == sizes[1] && apart.add(&theirs, &ours, sizes[1]).is_ok();
    let apart = paired.then_some(apart);
    let reference = Observation {
        identity: Identity {
            name,
            profile: args.order().name().into(),
            fingerprint: String::new(),
        },
        tokens,
        trace: free.nodes,
        lanes: BTreeMap::new(),
        greedy: Greedy::default(),
        taken: Taken::default(),
    };
    let evidence = locate(&reference, 0, &mut passes)?;
    Ok(Computed {
        other_tokens: Some(other_tokens).filter(|other| *other != reference.tokens),
        tokens: reference.tokens,
        mean_kl: apart.as_ref().and_then(|apart| mean(&apart.kl.concat())),
        same_top1: apart.map_or(0, |apart| apart.same_top1),
        nodes: evidence.located,
    })
}

impl Side {
    fn of(opened: &Opened) -> Self {
        Side {
            model: opened.input.path.display().to_string(),
            model_sha256: opened.input.sha256.clone(),
        }
    }
}

impl Compared {
    fn outcome(&self) -> Outcome {
        let computed = self.computed.as_ref();
        Outcome::of(
            &[
                (self.differences.compute_otherwise(), Outcome::Divergence),
                (self.not_computed.is_some(), Outcome::Divergence),
                (
                    computed.is_some_and(|c| c.other_tokens.is_some()),
                    Outcome::Divergence,
                ),
                (
                    computed.is_some_and(|c| c.nodes.outcome() != Outcome::Ok),
                    Outcome::Divergence,
                ),
            ],
            None,
        )
    }

    fn text(&self, all: bool) -> String {
        let Differences {
            keys,
            tensors,
            equal_tensors,
        } = &self.differences;
        let side = |word: &str, side: &Side| {
            format!("{word:<8}{}  {}\n", side.model_sha256, escape(&side.model))
        };
        let mut text = side("first", &self.first) + &side("second", &self.second);
        text += &format!("\nkeys: {} differ\n", keys.len());
        text += &keys_table(keys);
        let (differ, all_tensors) = (tensors.len(), tensors.len() + equal_tensors);
        text += &format!("\ntensors: {differ} of {all_tensors} differ\n");
        text += &tensors_table(tensors);
        if let Some(why) = &self.not_computed {
            text += &format!("\nthe second file computes nothing: {}\n", escape(why));
        }
        if let Some(computed) = &self.computed {
            text += &computed.text(all);
        }
        text
    }
}

impl Computed {
    fn text(&self, all: bool) -> String {
        let positions = self.tokens.len();
        let mut text = match self.mean_kl {
            Some(kl) => format!(
                "\nlogits: mean KL {}, the same most likely token at {} of {positions} positions\n",
                scientific(Some(kl)),
                self.same_top1
            ),
            None => "\nlogits: not comparable, or not finite\n".into(),
        };
        if let Some(other) = &self.other_tokens {
            let count = other.len();
            text += &format!(
                "the second file's vocabulary reads the prompt as {count} other tokens; both were \
                 given the first one's\n"
            );
        }
        if all {
            return text + &table::render(&self.nodes, false, output::width());
        }
        let nodes = &self.nodes.nodes;
        let own: Vec<&NodeReport> = nodes.iter().filter(|node| !node.acceptable).collect();
        text += &format!(
            "operations: {} of {} give something else on the first file's inputs\n",
            own.len(),
            nodes.len()
        );
        for side in [&self.nodes.missing, &self.nodes.unjudged] {
            if let Some(example) = side.first() {
                let file = if side == &self.nodes.missing {
                    "first"
                } else {
                    "second"
                };
                let count = side.len();
                text += &format!("only in the {file} file's graph: {count}, as {example}\n");
            }
        }
        text + &operations_table(&own)
    }
}

fn operations_table(own: &[&NodeReport]) -> String {
    let tensor = |node: &NodeReport| node.tensor.clone().unwrap_or_else(|| "-".to_owned());
    let value = |node: &NodeReport, side: usize| {
        let first = node.own().first.as_ref();
        first.map_or_else(String::new, |first| format!("{:e}", first.values()[side]))
    };
    let mut table = Table::new(&[
        words("operation"),
        words("tensor"),
        words("at"),
        number("first"),
        number("second"),
        number("nmse"),
        words("what it does"),
    ]);
    for node in own {
        let at = node
            .own()
            .first
            .as_ref()
            .map(|first| place(&node.shape, first.index));
        table.row([
            node.key.clone(),
            tensor(node),
            at.unwrap_or_default(),
            value(node, 0),
            value(node, 1),
            scientific(node.own().nmse),
            node.does.to_owned(),
        ]);
    }
    rendered(&table)
}

fn keys_table(keys: &[KeyDifference]) -> String {
    let none = || "-".to_owned();
    let mut table = Table::new(&[words("key"), words("first"), words("second"), words("")]);
    for key in keys {
        let shown = |side: &Option<_>| side.as_ref().map_or_else(none, ToString::to_string);
        let note = if key.is_read { "" } else { "only describes" };
        let cells = [
            escape(&key.key),
            shown(&key.first),
            shown(&key.second),
            note.into(),
        ];
        table.row(cells);
    }
    rendered(&table)
}

fn tensors_table(tensors: &[TensorDifference]) -> String {
    let name: fn(&TensorDifference) -> String = |t| escape(&t.name);
    let change: fn(&TensorDifference) -> String = |t| escape(&t.change.to_string());
    let columns = [(words("tensor"), name), (words("the second file"), change)];
    rendered(&Table::of(tensors, &columns))
}

fn rendered(table: &Table) -> String {
    if table.is_empty() {
        return String::new();
    }
    table.render(output::width())
}
