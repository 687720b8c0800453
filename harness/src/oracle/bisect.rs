//! Which of many builds is the first whose answers differ from a good one's, found by halving.
//!
//! A build that gives no answer says nothing: its neighbours are asked instead, and where the two
//! sides meet at such builds, they are named. What was found out is handed out as it is found, so
//! that a later run need not ask again.

use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::case::observation::Observation;
use crate::exit::Failure;
use crate::judge::compare::compare;
use crate::judge::outcome::Outcome;
use crate::judge::tolerance::ArithmeticGap;
use crate::judge::verdict::{Verdict, judge};
use crate::runner::{Runner, Task, guarded};

/// One of the builds, which stand in their order, the good one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// As it is shown.
    pub name: String,
    /// What makes it this build and no other: a commit, a hash of its libraries.
    pub key: String,
}

/// What was found out about one build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// Its name.
    pub build: String,
    /// [`Build::key`].
    pub key: String,
    /// What its answers are.
    pub end: End,
}

/// What a build's answers are, beside the good one's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The same.
    Same,
    /// Others.
    Differs {
        /// What differs first, in words.
        first: String,
        /// The first node with another value, in the order of the pass.
        node: Option<String>,
    },
    /// None: it cannot be built or opened, died, or does not agree with itself.
    NoAnswer {
        /// Why.
        why: String,
    },
}

/// Where the answers change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The last build with the good one's answers.
    pub last_same: String,
    /// The first that is known to have others.
    pub first_other: String,
    /// Builds between the two, none of which gives an answer: it may be any of them.
    pub unknown: Vec<String>,
    /// What differs first there, in words.
    pub first: String,
    /// The first node with another value.
    pub node: Option<String>,
}

/// What the whole search came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// None where the last build's answers are the first one's.
    pub change: Option<Change>,
    /// Everything that was found out, in the order of the builds.
    pub tested: Vec<Tested>,
}

/// How builds are asked, and held against the good one.
pub struct Question<'a> {
    /// The prompt and the model.
    pub task: Task<'a>,
    /// Whether distances within the tier of two arithmetics are no difference.
    pub within_tier: bool,
}

/// Opens a build, of that number; an error is that build's alone.
pub type Open<'o> = dyn FnMut(usize, &Build) -> Result<Box<dyn Runner>, String> + 'o;

impl Found {
    /// What it comes to: builds that could not be told apart leave it open.
    pub fn outcome(&self) -> Outcome {
        match &self.change {
            None => Outcome::Ok,
            Some(change) if change.unknown.is_empty() => Outcome::Divergence,
            Some(_) => Outcome::Incomplete,
        }
    }
}

/// Looks for the change. `known` is what an earlier run found out; `keep` is told of all that is
/// known whenever there is more.
pub fn search(
    question: &Question<'_>,
    builds: &[Build],
    open: &mut Open<'_>,
    known: &[Tested],
    keep: &mut dyn FnMut(&[Tested]) -> Result<(), Failure>,
) -> Result<Found, Failure> {
    let mut search = Search {
        question,
        builds,
        open,
        good: None,
        ends: vec![None; builds.len()],
    };
    for (build, end) in builds.iter().zip(&mut search.ends) {
        let same = known.iter().find(|tested| tested.key == build.key);
        *end = same.map(|tested| tested.end.clone());
    }
    let last = builds.len().saturating_sub(1);
    search.asked(0, keep)?;
    let (mut low, mut high) = (0, last);
    match search.asked(last, keep)? {
        End::Same => return Ok(search.found(None)),
        End::Differs { .. } => {}
        End::NoAnswer { why } => {
            let name = &builds[last].name;
            return Err(Failure::input(format!("{name} gives no answer: {why}")));
        }
    }
    while let Some(next) = search.between(low, high) {
        match search.asked(next, keep)? {
            End::Same => low = next,
            End::Differs { .. } => high = next,
            End::NoAnswer { .. } => {}
        }
    }
    Ok(search.found(Some((low, high))))
}

struct Search<'a, 'o> {
    question: &'a Question<'a>,
    builds: &'a [Build],
    open: &'a mut Open<'o>,
    /// What the good build saw, once it was asked.
    good: Option<Observation>,
    ends: Vec<Option<End>>,
}

impl Search<'_, '_> {
    /// The build nearest to the middle that may still have an answer.
    fn between(&self, low: usize, high: usize) -> Option<usize> {
        let silent = |at: &usize| matches!(self.ends[*at], Some(End::NoAnswer { .. }));
        let candidates = (low + 1..high).filter(|at| !silent(at));
        candidates.min_by_key(|at| (2 * at).abs_diff(low + high))
    }

    /// What a build's answers are, asked unless that is known.
    fn asked(
        &mut self,
        at: usize,
        keep: &mut dyn FnMut(&[Tested]) -> Result<(), Failure>,
    ) -> Result<End, Failure> {
        if let Some(end) = &self.ends[at] {
            return Ok(end.clone());
        }
        let end = if at == 0 {
            self.good()?;
            End::Same
        } else {
            let good = self.good()?.clone();
            self.ask(at, &good)
        };
        self.ends[at] = Some(end.clone());
        keep(&self.tested())?;
        Ok(end)
    }

    /// What the good build sees. Without an answer there is nothing to hold the others against.
    fn good(&mut self) -> Result<&Observation, Failure> {
        let seen = match self.good.take() {
            Some(seen) => seen,
            None => {
                let seen = self.observe(0).map_err(|why| {
                    let name = &self.builds[0].name;
                    Failure::input(format!("{name} gives no answer to compare with: {why}"))
                })?;
                self.ends[0] = Some(End::Same);
                seen
            }
        };
        Ok(self.good.insert(seen))
    }

    /// Opens a build and looks twice: what differs from itself says nothing about anything else.
    fn observe(&mut self, at: usize) -> Result<Observation, String> {
        let task = self.question.task;
        let mut runner = (self.open)(at, &self.builds[at])?;
        let mut look = || guarded(|| runner.observe(task)).map_err(|error| error.to_string());
        let (seen, mut again) = (look()?, look()?);
        again.identity.name += ", again";
        match apart(task.case, &seen, &again, ArithmeticGap::Nothing) {
            End::Same => Ok(seen),
            End::Differs { first, .. } => Err(format!("it does not agree with itself: {first}")),
            End::NoAnswer { why } => Err(why),
        }
    }

    fn ask(&mut self, at: usize, good: &Observation) -> End {
        let mut seen = match self.observe(at) {
            Ok(seen) => seen,
            Err(why) => return End::NoAnswer { why },
        };
        if seen.identity.fingerprint == good.identity.fingerprint {
            return End::Same;
        }
        let [one, other] = [good, &seen].map(|seen| seen.identity.profile.clone());
        let gap = if self.question.within_tier {
            ArithmeticGap::profiles(&one, &other)
        } else {
            ArithmeticGap::Nothing
        };
        seen.identity.name.clone_from(&self.builds[at].name);
        apart(self.question.task.case, good, &seen, gap)
    }

    fn tested(&self) -> Vec<Tested> {
        let pairs = self.builds.iter().zip(&self.ends);
        let tested = |(build, end): (&Build, &Option<End>)| {
            Some(Tested {
                build: build.name.clone(),
                key: build.key.clone(),
                end: end.clone()?,
            })
        };
        pairs.filter_map(tested).collect()
    }

    fn found(&self, change: Option<(usize, usize)>) -> Found {
        let name = |at: usize| self.builds[at].name.clone();
        let change = change.and_then(|(low, high)| match &self.ends[high] {
            Some(End::Differs { first, node }) => Some(Change {
                last_same: name(low),
                first_other: name(high),
                unknown: (low + 1..high).map(name).collect(),
                first: first.clone(),
                node: node.clone(),
            }),
            _ => None,
        });
        Found {
            change,
            tested: self.tested(),
        }
    }
}

/// Two observations, told apart. Nodes that only one of them has under that name are no difference:
/// a graph may be written anew and compute the same.
fn apart(case: &Case, good: &Observation, seen: &Observation, gap: ArithmeticGap) -> End {
    let differs = |first: String, node| End::Differs { first, node };
    let findings = match compare(case, good, seen) {
        Ok(findings) => findings,
        Err(why) => return differs(why.to_string(), None),
    };
    let node = findings.nodes.first_difference.as_ref();
    let node = node.map(|first| first.place.clone());
    let coverage = findings.coverage(case.declared(false));
    match judge(&findings, &coverage, gap) {
        Verdict::Agree | Verdict::NotJudged => End::Same,
        Verdict::Diverge { first } => differs(first.to_string(), node),
        other => End::NoAnswer {
            why: other.to_string(),
        },
    }
}
