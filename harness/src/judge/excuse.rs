//! Differences that are known and no fault of the engine: each has a name, a reason and an exact
//! condition, is counted where the condition holds, and is printed with its count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::io::table::{Table, number, words};

/// A known kind of difference; `D` is one difference, with all that was asked.
pub struct Excuse<D> {
    /// Its name, as printed and as in JSON.
    pub name: &'static str,
    /// Who does what, and why it is right or cannot be otherwise.
    pub reason: &'static str,
    /// Whether a difference is one of these: what holds there, in words.
    pub applies: fn(&D) -> Option<String>,
}

/// An excuse that applies to a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied<'a> {
    /// Of the excuse.
    pub name: &'a str,
    /// Of the excuse.
    pub reason: &'a str,
    /// What holds for this difference.
    pub because: String,
}

/// The first of the known excuses that applies to a difference.
pub fn find<D>(known: &[Excuse<D>], difference: &D) -> Option<Applied<'static>> {
    known.iter().find_map(|excuse| {
        let because = (excuse.applies)(difference)?;
        Some(Applied {
            name: excuse.name,
            reason: excuse.reason,
            because,
        })
    })
}

/// How often each excuse applied, by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Excused(BTreeMap<String, Count>);

/// What one excuse applied to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// How many differences.
    pub count: u64,
    /// Of the excuse.
    pub reason: String,
    /// What held for the first of them.
    pub because: String,
    /// The arguments that ask about the first of them again.
    pub first: String,
}

impl Excused {
    /// Counts one more difference; `first` says how to ask about it again.
    pub fn add(&mut self, applied: Applied<'_>, first: impl FnOnce() -> String) {
        if let Some(known) = self.0.get_mut(applied.name) {
            known.count += 1;
            return;
        }
        let count = Count {
            count: 1,
            reason: applied.reason.to_owned(),
            because: applied.because,
            first: first(),
        };
        self.0.insert(applied.name.to_owned(), count);
    }

    /// Adds what was counted where `command` asks again: from here on, `first` is all of it.
    pub fn extend(&mut self, others: &Excused, command: &str) {
        for (name, other) in &others.0 {
            let first = format!("{command} {}", other.first);
            let other = Count {
                first,
                ..other.clone()
            };
            match self.0.get_mut(name) {
                Some(known) => known.count += other.count,
                None => _ = self.0.insert(name.clone(), other),
            }
        }
    }

    /// How many differences were excused by any name.
    pub fn total(&self) -> u64 {
        self.0.values().map(|count| count.count).sum()
    }

    /// The names that applied.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// One count for each name, why it is excused, what held for the first of them, and the
    /// command that shows that one again; nothing where nothing was excused.
    pub fn render(&self, width: Option<usize>) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut table = Table::new(&[words("excused"), number("times"), words("reason")]);
        let mut commands = String::new();
        for (name, found) in &self.0 {
            table.row([name, &found.count.to_string(), &found.reason]);
            table.row(["", "", &format!("first: {}", found.because)]);
            commands += &format!("{name} again: {}\n", found.first);
        }
        table.render(width) + &commands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Excuse<(i32, i32)>; 2] = [
        Excuse {
            name: "sign",
            reason: "the sign is lost",
            applies: |(ours, theirs)| (*ours == -theirs).then(|| format!("{ours}")),
        },
        Excuse {
            name: "even",
            reason: "even numbers are rounded",
            applies: |(ours, theirs)| ((ours - theirs) % 2 == 0).then(|| "both".into()),
        },
    ];

    #[test]
    fn a_difference_is_counted_under_the_first_name_that_applies_and_else_not_at_all() {
        let mut excused = Excused::default();
        for (number, pair) in [(3, -3), (2, 4), (1, 2), (5, -5), (0, 1)]
            .iter()
            .enumerate()
        {
            if let Some(applied) = find(&KNOWN, pair) {
                excused.add(applied, || format!("--case {number}"));
            }
        }
        assert_eq!(excused.total(), 3);
        let mut twice = Excused::default();
        twice.extend(&excused, "harness x");
        twice.extend(&excused, "harness y");
        let text = twice.render(None);
        assert!(text.contains("sign         4  the sign is lost"), "{text}");
        assert!(text.contains("sign again: harness x --case 0\n"), "{text}");
        assert_eq!(
            text.matches("\neven ").count(),
            2,
            "one count for each name: {text}"
        );
        assert_eq!(Excused::default().render(None), "");
        let json = serde_json::to_value(&twice).expect("JSON");
        assert_eq!(json["even"]["count"], 2);
        assert_eq!(json["even"]["first"], "harness x --case 1");
    }
}
