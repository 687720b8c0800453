//! What was to be compared and what was: both counted, because less than declared never passes.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::case::Declared;

/// One kind of thing, declared and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// How many the case asks for.
    pub declared: usize,
    /// How many were compared.
    pub compared: usize,
}

impl Count {
    /// Nothing was asked for and nothing was done; such counts are left out of receipts.
    pub fn is_empty(&self) -> bool {
        *self == Count::default()
    }

    /// Nothing is missing.
    pub fn is_complete(self) -> bool {
        self.compared >= self.declared
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.declared += other.declared;
        self.compared += other.compared;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.compared, self.declared)
    }
}

/// Everything that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Cases that came to an end.
    #[serde(default, skip_serializing_if = "Count::is_empty")]
    pub cases: Count,
    /// References that answered.
    #[serde(default, skip_serializing_if = "Count::is_empty")]
    pub references: Count,
    /// Ways the engine computed: kernels and thread counts.
    #[serde(default, skip_serializing_if = "Count::is_empty")]
    pub kernels: Count,
    /// Token ids of prompts.
    #[serde(default, skip_serializing_if = "Count::is_empty")]
    pub tokens: Count,
    /// Positions whose logits were compared, over both lanes.
    #[serde(default, skip_serializing_if = "Count::is_empty")]
    pub positions: Count,
    /// Traced nodes.
    #[serde(default, skip_serializing_if = "Count::is_empty")]
    pub nodes: Count,
    /// Steps of greedy continuations.
    #[serde(default, skip_serializing_if = "Count::is_empty")]
    pub greedy_steps: Count,
}

impl Coverage {
    /// What one reference is asked for, with nothing compared yet.
    pub fn asked(declared: Declared) -> Self {
        let asked = |declared| Count {
            declared,
            compared: 0,
        };
        Coverage {
            references: asked(1),
            tokens: asked(declared.tokens),
            positions: asked(declared.positions),
            nodes: asked(declared.nodes),
            greedy_steps: asked(declared.greedy_steps),
            ..Coverage::default()
        }
    }

    /// The declared numbers this was measured against.
    pub fn declared(&self) -> Declared {
        Declared {
            tokens: self.tokens.declared,
            positions: self.positions.declared,
            nodes: self.nodes.declared,
            greedy_steps: self.greedy_steps.declared,
        }
    }

    /// The counts with their names, in the order they are reported.
    pub fn named(&self) -> [(&'static str, Count); 7] {
        [
            ("cases", self.cases),
            ("references", self.references),
            ("kernels", self.kernels),
            ("tokens", self.tokens),
            ("positions", self.positions),
            ("nodes", self.nodes),
            ("greedy steps", self.greedy_steps),
        ]
    }

    /// Nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.named().iter().all(|(_, count)| count.is_complete())
    }

    /// What is missing, in words; empty if nothing is.
    pub fn shortfall(&self) -> String {
        let missing = |(name, count): &(&str, Count)| {
            (!count.is_complete()).then(|| format!("{name} {count}"))
        };
        let words: Vec<_> = self.named().iter().filter_map(missing).collect();
        words.join(", ")
    }
}

impl AddAssign for Coverage {
    fn add_assign(&mut self, other: Self) {
        self.cases += other.cases;
        self.references += other.references;
        self.kernels += other.kernels;
        self.tokens += other.tokens;
        self.positions += other.positions;
        self.nodes += other.nodes;
        self.greedy_steps += other.greedy_steps;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missing_position_is_a_shortfall_with_a_name() {
        let whole = Count {
            declared: 2,
            compared: 2,
        };
        let mut coverage = Coverage {
            tokens: whole,
            positions: whole,
            ..Coverage::default()
        };
        assert!(coverage.is_complete());
        coverage.positions.compared -= 1;
        assert!(!coverage.is_complete());
        assert_eq!(coverage.shortfall(), "positions 1/2");
        let mut total = coverage;
        total += coverage;
        assert_eq!(total.shortfall(), "positions 2/4");
    }
}
