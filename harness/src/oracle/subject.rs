//! Whether an engine that a user brought does what it says it can: asked for each ability, and for
//! what must not depend on what it was asked before.

use serde::Serialize;

use crate::case::ability::{Ability, Lacking};
use crate::case::observation::{Lane, TracedNode};
use crate::case::schedule::{Schedule, Step};
use crate::io::table::{Table, words};
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::{ArithmeticGap, tolerances};
use crate::numbers::metrics::{Distance, same_bits};
use crate::runner::watch::{Watch, by_key};
use crate::runner::{Followed, Opened, RunError};

use engine::Token;

/// What one check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub check: &'static str,
    /// How it ended.
    pub end: End,
    /// What was found.
    pub found: String,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// As it must be.
    Ok,
    /// Not offered, and so not asked for.
    Lacking,
    /// Not as it must be.
    Failed,
}

/// All checks of one engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What it calls itself.
    pub engine: String,
    /// The arithmetic it claims.
    pub profile: String,
    /// One after the other.
    pub checks: Vec<Check>,
}

type Found = Result<String, String>;

/// What is asked, and of whom.
struct Asking<'a> {
    opened: &'a mut dyn Opened,
    tokens: Vec<Token>,
    checks: Vec<Check>,
    lacking: &'a Lacking,
}

/// Runs the checks on a model it has opened. `tokens` are the ids of `text` as the built-in
/// tokenizer has them.
pub fn check(
    opened: &mut dyn Opened,
    lacking: &Lacking,
    (text, tokens): (&str, Vec<Token>),
) -> Vec<Check> {
    let checks = Vec::new();
    let mut asking = Asking {
        opened,
        tokens,
        checks,
        lacking,
    };
    asking.look("tokenize", &[Ability::Tokenize], |a| a.tokenizes(text));
    asking.look("detokenize", &[Ability::Detokenize], |a| a.detokenizes());
    asking.look("prefill", &[Ability::Prefill], |a| a.rows(Lane::Prefill));
    asking.look("prefill again", &[Ability::Prefill], Asking::repeats);
    asking.look("decode", &[Ability::Decode], |a| a.rows(Lane::Decode));
    let both = [Ability::Prefill, Ability::Decode];
    asking.look("decode like prefill", &both, Asking::agrees_with_itself);
    let going_on = [Ability::Prefill, Ability::Greedy];
    asking.look("last row alone", &going_on, Asking::last_alone);
    let forgetting = [Ability::Prefill, Ability::Greedy, Ability::Truncate];
    asking.look("truncate", &forgetting, Asking::forgets);
    asking.look("nodes", &[Ability::Nodes], Asking::nodes);
    let going_on = [Ability::Nodes, Ability::Replace];
    asking.look("replace", &going_on, Asking::replaces);
    asking.checks
}

impl Asking<'_> {
    fn look(
        &mut self,
        check: &'static str,
        takes: &[Ability],
        find: impl FnOnce(&mut Self) -> Found,
    ) {
        let lacks = takes.iter().find(|ability| self.lacking.contains(ability));
        let (end, found) = match lacks {
            Some(ability) => (
                End::Lacking,
                format!("it does not offer {}", ability.name()),
            ),
            None => match find(self) {
                Ok(found) => (End::Ok, found),
                Err(found) => (End::Failed, found),
            },
        };
        self.checks.push(Check { check, end, found });
    }

    fn tokenizes(&mut self, text: &str) -> Found {
        let ids = self.opened.tokenize(text).map_err(in_words)?;
        if ids == self.tokens {
            return Ok(format!(
                "{} ids, those of the built-in tokenizer",
                ids.len()
            ));
        }
        Err(format!(
            "{ids:?}, and the built-in tokenizer has {:?}",
            self.tokens
        ))
    }

    fn detokenizes(&mut self) -> Found {
        let text = self.opened.text(&self.tokens).map_err(in_words)?;
        if text.is_empty() {
            return Err("no text comes back for the ids of one".into());
        }
        Ok(format!("{text:?}"))
    }

    fn follow(&mut self, steps: Vec<Step>, watch: &Watch<'_>) -> Result<Followed, String> {
        let schedule = Schedule::of(steps);
        let followed = self.opened.follow(&schedule, watch).map_err(in_words)?;
        let (count, kept) = (followed.rows.len(), schedule.kept());
        if Some(count) != kept.checked_mul(followed.vocab_size) {
            return Err(format!("{count} logits, where {kept} rows were asked for"));
        }
        Ok(followed)
    }

    fn lane(&mut self, lane: Lane) -> Result<Followed, String> {
        self.follow(Step::of_lane(lane, &self.tokens), &Watch::default())
    }

    fn rows(&mut self, lane: Lane) -> Found {
        let followed = self.lane(lane)?;
        let wild = followed.rows.iter().filter(|v| !v.is_finite()).count();
        if wild > 0 {
            return Err(format!("{wild} logits are not finite"));
        }
        if followed.rows.iter().all(|v| *v == followed.rows[0]) {
            return Err("all logits are equal".into());
        }
        let rows = followed.rows.len() / followed.vocab_size;
        Ok(format!("{rows} rows of {} logits", followed.vocab_size))
    }

    /// An empty cache is empty, whatever was in it.
    fn repeats(&mut self) -> Found {
        let first = self.lane(Lane::Prefill)?;
        let other = self.tokens.iter().rev().copied().collect();
        self.follow(vec![Step::Feed(other)], &Watch::default())?;
        let again = self.lane(Lane::Prefill)?;
        if same_bits(&first.rows, &again.rows) {
            return Ok("the same bits, after another prompt".into());
        }
        let far = Distance::between(&first.rows, &again.rows).nmse;
        Err(format!(
            "other bits after another prompt, NMSE {}",
            number(far)
        ))
    }

    fn agrees_with_itself(&mut self) -> Found {
        let [prefill, decode] = [self.lane(Lane::Prefill)?, self.lane(Lane::Decode)?];
        near(&prefill.rows, &decode.rows)
    }

    fn last_alone(&mut self) -> Found {
        let all = self.lane(Lane::Prefill)?;
        let last = self.follow(vec![Step::Last(self.tokens.clone())], &Watch::default())?;
        near(&all.rows[all.rows.len() - all.vocab_size..], &last.rows)
    }

    /// What was forgotten leaves nothing behind.
    fn forgets(&mut self) -> Found {
        let (first, second) = self.tokens.split_at(self.tokens.len().div_ceil(2));
        let [first, second] = [first, second].map(|part| Step::Feed(part.to_vec()));
        let other = self.tokens.iter().rev().copied().collect();
        let between = vec![
            Step::FeedAndDiscard(other),
            Step::Truncate(first.tokens().len()),
        ];
        let plain = self.follow(vec![first.clone(), second.clone()], &Watch::default())?;
        let steps = [vec![first], between, vec![second]].concat();
        let after = self.follow(steps, &Watch::default())?;
        near(&plain.rows, &after.rows)
    }

    fn nodes(&mut self) -> Found {
        let steps = Step::of_lane(Lane::Prefill, &self.tokens);
        let nodes = self.follow(steps, &Watch::every())?.nodes;
        let keyed = |key: &str| key.contains('|') && key.contains('#');
        if let Some(node) = nodes.iter().find(|node| !keyed(&node.key)) {
            let key = &node.key;
            return Err(format!(
                "{key:?} is no key: expected one like `Qcur-0|MUL_MAT#0`"
            ));
        }
        match nodes.first() {
            None => Err("it offers nodes and shows none".into()),
            Some(first) => Ok(format!("{} nodes, the first is {}", nodes.len(), first.key)),
        }
    }

    /// Its own values put back change nothing, and others do.
    fn replaces(&mut self) -> Found {
        let mut pass = |watch: &Watch<'_>| {
            let steps = Step::of_lane(Lane::Prefill, &self.tokens);
            self.follow(steps, watch)
        };
        let free = pass(&Watch::every())?;
        let own = pass(&Watch::replacing(by_key(&free.nodes)))?;
        if !same_bits(&free.rows, &own.rows) {
            return Err("its own values put back changed the logits".into());
        }
        let tells = |node: &&TracedNode| node.values.iter().any(|v| *v != 0.0);
        let Some(node) = free.nodes.iter().find(tells) else {
            return Err("no node has a value that is not 0".into());
        };
        let other = TracedNode {
            values: node.values.iter().map(|v| -v).collect(),
            ..node.clone()
        };
        let other = pass(&Watch::replacing(by_key(std::slice::from_ref(&other))))?;
        let key = &node.key;
        if same_bits(&free.rows, &other.rows) {
            return Err(format!("{key} was negated, and no logit changed"));
        }
        Ok(format!("what follows {key} computes on what it is given"))
    }
}

/// Two ways through one model are as far apart as roundings are, and no further.
fn near(one: &[f32], other: &[f32]) -> Found {
    let gates = tolerances().gates(ArithmeticGap::Path, Lane::Prefill);
    let most = gates.expect("every way has a floor").nmse_tail;
    if same_bits(one, other) {
        return Ok("the same bits".into());
    }
    let distance = Distance::between(one, other);
    let found = format!("NMSE {}", number(distance.nmse));
    match distance.nmse {
        Some(nmse) if nmse <= most => Ok(found),
        _ => Err(format!("{found}: these are other logits")),
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or("none".into(), |value| format!("{value:.1e}"))
}

fn in_words(error: RunError) -> String {
    error.to_string()
}

impl Report {
    /// What it comes to.
    pub fn outcome(&self) -> Outcome {
        let failed = self.checks.iter().any(|check| check.end == End::Failed);
        Outcome::of(&[(failed, Outcome::Divergence)], None)
    }

    /// A row for each check.
    pub fn render(&self, width: Option<usize>) -> String {
        let mut table = Table::new(&[words("check"), words("end"), words("found")]);
        for Check { check, end, found } in &self.checks {
            let end = match end {
                End::Ok => "ok",
                End::Lacking => "not offered",
                End::Failed => "FAILED",
            };
            table.row([*check, end, found]);
        }
        let status = self.outcome();
        let who = format!("{} ({})", self.engine, self.profile);
        format!("{who}\n{}status: {status}\n", table.render(width))
    }
}
