//! What an engine can be asked for. What it cannot do it says, and nothing is declared of it: a
//! verdict never counts what was not offered, and the receipt names it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_variant::to_variant_name;

use crate::case::Case;
use crate::case::coverage::Coverage;
use crate::case::observation::{Lane, Observation};
use crate::case::schedule::{Schedule, Step};
use crate::io::kl_base;

/// One thing an engine may be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ability {
    /// Turns text into ids; without it, it is given the built-in tokenizer's.
    Tokenize,
    /// Computes a prompt in one go and hands out the logits of every position.
    Prefill,
    /// Computes one token at a time.
    Decode,
    /// Hands out whole rows of logits; without it, the most likely tokens only.
    Rows,
    /// Shows nodes of its graph.
    Nodes,
    /// Shows every node that recordings have; found out, and not offered.
    EveryNode,
    /// Goes on from values that it is given for a node.
    Replace,
    /// Hands out the logits of a prompt's first half as well, as the others do: found out, and not
    /// offered.
    FirstHalf,
    /// Continues a prompt with the most likely tokens.
    Greedy,
    /// Turns ids into text.
    Detokenize,
    /// Forgets the last positions it was fed.
    Truncate,
}

/// What an engine cannot do.
pub type Lacking = BTreeSet<Ability>;

impl Ability {
    /// All of them.
    pub const ALL: [Ability; 11] = [
        Ability::Tokenize,
        Ability::Prefill,
        Ability::Decode,
        Ability::Rows,
        Ability::Nodes,
        Ability::EveryNode,
        Ability::Replace,
        Ability::FirstHalf,
        Ability::Greedy,
        Ability::Detokenize,
        Ability::Truncate,
    ];

    /// As in receipts and in the protocol.
    pub fn name(self) -> &'static str {
        to_variant_name(&self).expect("a variant without fields")
    }

    /// All but those.
    pub fn all_but(offered: &[Ability]) -> Lacking {
        let lacking = Self::ALL.into_iter().filter(|a| !offered.contains(a));
        // Whether it shows all of them is seen when it does.
        let seen = [Ability::EveryNode, Ability::FirstHalf];
        lacking.filter(|ability| !seen.contains(ability)).collect()
    }

    /// Whether some case asks for it.
    pub fn is_of_cases(self) -> bool {
        !matches!(self, Ability::Replace | Ability::Truncate)
    }

    /// The ability that a lane takes.
    pub fn of_lane(lane: Lane) -> Self {
        match lane {
            Lane::Prefill => Ability::Prefill,
            Lane::Decode => Ability::Decode,
        }
    }
}

/// The first ability that a schedule takes and an engine lacks.
pub fn lacked(schedule: &Schedule, lacking: &Lacking) -> Option<Ability> {
    let single = |step: &Step| matches!(step, Step::Feed(tokens) if tokens.len() == 1);
    let mut takes = match &schedule.steps[..] {
        steps if steps.iter().all(single) => vec![Ability::Decode],
        [Step::Feed(_)] => vec![Ability::Prefill],
        _ => vec![Ability::Prefill, Ability::Greedy],
    };
    let forgets = |step: &Step| matches!(step, Step::Truncate(_));
    takes.extend(
        schedule
            .steps
            .iter()
            .any(forgets)
            .then_some(Ability::Truncate),
    );
    takes.into_iter().find(|ability| lacking.contains(ability))
}

/// The lanes that are offered.
pub fn lanes(lacking: &Lacking) -> impl Iterator<Item = Lane> {
    let offered = |lane: &Lane| !lacking.contains(&Ability::of_lane(*lane));
    Lane::ALL.into_iter().filter(offered)
}

impl Case {
    /// What it declares of an engine that lacks something.
    pub fn declared_without(&self, lacking: &Lacking, nodes: bool) -> Coverage {
        let partial = [Ability::Nodes, Ability::EveryNode];
        let every = !partial.iter().any(|ability| lacking.contains(ability));
        let mut declared = self.declared(nodes && every);
        let late = kl_base::counted(self.tokens);
        let all = !lacking.contains(&Ability::FirstHalf);
        let positions = self.positions.iter().filter(|at| all || late.contains(at));
        declared.positions.declared = positions.count() * lanes(lacking).count();
        if lacking.contains(&Ability::Greedy) {
            declared.greedy_steps.declared = 0;
        }
        declared
    }
}

impl Observation {
    /// The part of what a reference saw that can be compared with an engine that lacks something,
    /// and saw this.
    pub fn without(&self, lacking: &Lacking, ours: &Observation) -> Observation {
        let mut part = self.clone();
        part.lanes
            .retain(|lane, _| !lacking.contains(&Ability::of_lane(*lane)));
        if lacking.contains(&Ability::Nodes) {
            part.trace.clear();
        }
        if lacking.contains(&Ability::EveryNode) {
            let shown = |key: &String| ours.trace.iter().any(|node| node.key == *key);
            part.trace.retain(|node| shown(&node.key));
        }
        if lacking.contains(&Ability::Greedy) {
            part.greedy = Default::default();
        }
        part
    }
}

/// What was not asked for, in words; empty if nothing is lacking.
pub fn words(lacking: &Lacking) -> String {
    let names = lacking.iter().map(|ability| ability.name());
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_takes_what_its_steps_take() {
        let one = |steps: Vec<Step>, offered: &[Ability]| {
            lacked(&Schedule::of(steps), &Ability::all_but(offered))
        };
        use Ability::{Decode, Greedy, Prefill, Truncate};
        let prompt = || Step::Feed(vec![1, 2]);
        assert_eq!(one(vec![prompt()], &[Prefill]), None);
        assert_eq!(one(vec![Step::Feed(vec![1])], &[Prefill]), Some(Decode));
        assert_eq!(
            one(vec![prompt(), prompt()], &[Prefill, Decode]),
            Some(Greedy)
        );
        let forgetting = vec![prompt(), Step::Truncate(1), prompt()];
        assert_eq!(one(forgetting.clone(), &[Prefill, Greedy]), Some(Truncate));
        assert_eq!(one(forgetting, &[Prefill, Greedy, Truncate]), None);
    }
}
