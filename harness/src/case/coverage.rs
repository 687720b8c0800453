//! What was to be compared and what was: both counted, because less than declared never passes.

use std::fmt;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

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
    /// So many are asked for, and none was compared.
    pub fn of(declared: usize) -> Self {
        Count {
            declared,
            compared: 0,
        }
    }

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
    /// What one reference was asked for, with nothing compared.
    pub fn declared(mut self) -> Self {
        for count in self.counts() {
            count.compared = 0;
        }
        Coverage {
            cases: Count::default(),
            kernels: Count::default(),
            ..self
        }
    }

    fn counts(&mut self) -> [&mut Count; 7] {
        [
            &mut self.cases,
            &mut self.references,
            &mut self.kernels,
            &mut self.tokens,
            &mut self.positions,
            &mut self.nodes,
            &mut self.greedy_steps,
        ]
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
        for (sum, (_, more)) in self.counts().into_iter().zip(other.named()) {
            *sum += more;
        }
    }
}
