//! A share of a run's cases, so that several machines do it together: who does which follows from
//! the names and from what each cost before, and from nothing else.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// The share of that number, of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// From 1.
    pub index: usize,
    /// How many there are.
    pub of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/');
        let numbers = numbers.and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Shard { index, of }),
            _ => Err("expected K/N with K from 1 to N, as 2/4".into()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl Shard {
    /// Which of these are in this share. The dearest go first, each to the share that has least to
    /// do so far.
    pub fn holds(self, command: &str, names: &[String]) -> Vec<bool> {
        let mut order: Vec<usize> = (0..names.len()).collect();
        let cost = |&place: &usize| cost(command, &names[place]);
        order.sort_by(|a, b| cost(b).total_cmp(&cost(a)).then(names[*a].cmp(&names[*b])));
        let mut loads = vec![0.0; self.of];
        let mut held = vec![false; names.len()];
        for place in order {
            let least = (0..self.of).min_by(|&a, &b| f64::total_cmp(&loads[a], &loads[b]));
            let least = least.expect("there is a share");
            loads[least] += cost(&place);
            held[place] = least + 1 == self.index;
        }
        held
    }

    /// Those of a list that are in this share, by their names.
    pub fn take<T>(self, command: &str, all: Vec<T>, name: impl Fn(&T) -> String) -> Vec<T> {
        let names: Vec<String> = all.iter().map(name).collect();
        let held = self.holds(command, &names);
        let kept = all.into_iter().zip(held);
        kept.filter_map(|(one, held)| held.then_some(one)).collect()
    }
}

/// What a receipt says of the run that it is a share of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Which share.
    pub shard: Shard,
    /// The names of all cases of the run, in their order.
    pub plan: Vec<String>,
    /// Live references of which one must have answered, in whichever share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub demanded: Vec<String>,
    /// Which build of this program deals and judges.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub made_by: String,
}

impl Share {
    /// Of a run of these cases, in which no reference must answer.
    pub fn new(shard: Shard, plan: Vec<String>) -> Self {
        Share {
            shard,
            plan,
            demanded: Vec::new(),
            made_by: env!("HARNESS_VERSION").to_owned(),
        }
    }

    /// Its own cases.
    pub fn own(&self, command: &str) -> Vec<String> {
        self.shard.take(command, self.plan.clone(), String::clone)
    }
}

/// Seconds that cases once took, by command. Only their ratios matter.
static COSTS: LazyLock<BTreeMap<String, BTreeMap<String, f64>>> = LazyLock::new(|| {
    toml::from_str(include_str!("../../costs.toml"))
        .expect("costs.toml is a part of the program, and a test reads it")
});

/// What a case cost; the mean of its command's where nobody has measured it.
pub fn cost(command: &str, name: &str) -> f64 {
    let Some(known) = COSTS.get(command).filter(|known| !known.is_empty()) else {
        return 1.0;
    };
    let mean = || known.values().sum::<f64>() / known.len() as f64;
    known.get(name).copied().unwrap_or_else(mean)
}

/// The names whose cost is on record.
pub fn measured(command: &str) -> Vec<&'static str> {
    let known = COSTS.get(command).map(|known| known.keys());
    known.into_iter().flatten().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        let known = measured("crossval").into_iter().map(str::to_owned);
        known.chain(["not-measured-yet".to_owned()]).collect()
    }

    #[test]
    fn every_case_is_in_exactly_one_share_whatever_the_number_of_shares() {
        for of in [1, 2, 3, 7, 100] {
            let mut times = vec![0; names().len()];
            for index in 1..=of {
                let held = Shard { index, of }.holds("crossval", &names());
                times
                    .iter_mut()
                    .zip(held)
                    .for_each(|(n, held)| *n += usize::from(held));
            }
            assert!(times.iter().all(|n| *n == 1), "{of}: {times:?}");
        }
    }

    #[test]
    fn shares_are_balanced_by_what_their_cases_cost() {
        let load = |index| {
            let held = Shard { index, of: 3 }.holds("crossval", &names());
            let all = names();
            let own = all.iter().zip(held).filter(|(_, held)| *held);
            own.map(|(name, _)| cost("crossval", name)).sum::<f64>()
        };
        let loads = [1, 2, 3].map(load);
        let most = loads.iter().copied().fold(0.0, f64::max);
        let mean = loads.iter().sum::<f64>() / 3.0;
        assert!(most < 1.25 * mean, "{loads:?}");
    }

    #[test]
    fn a_share_is_typed_as_two_numbers() {
        assert_eq!("2/4".parse(), Ok(Shard { index: 2, of: 4 }));
        for wrong in ["", "2", "0/4", "5/4", "1/0", "a/b", "1/2/3", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
