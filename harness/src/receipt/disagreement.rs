//! When somebody disagrees, who stands alone?

use std::collections::BTreeSet;

use super::Claims;
use crate::judge::verdict::Verdict;

/// How the engine is called among the witnesses.
const ENGINE: &str = "the engine";

/// One sentence for each arithmetic in which somebody disagrees with somebody.
pub fn sentences(claims: &Claims) -> Vec<String> {
    let judged = claims.comparisons.iter().filter(|c| c.is_exact());
    let profiles: BTreeSet<&str> = judged.map(|c| &c.profile[..]).collect();
    let sentence = |profile: &str| {
        let group = Group::of(claims, profile);
        let disagree = group.relations.iter().any(|r| !r.agree);
        disagree.then(|| format!("{} in {profile}: {}", claims.case, group.sentence()))
    };
    profiles.into_iter().filter_map(sentence).collect()
}

/// Everybody who computed in one arithmetic, and who agrees with whom.
struct Group<'a> {
    relations: Vec<Relation<'a>>,
}

struct Relation<'a> {
    between: [&'a str; 2],
    agree: bool,
}

impl<'a> Group<'a> {
    fn of(claims: &'a Claims, profile: &str) -> Self {
        let ours = claims.comparisons.iter().map(|c| (ENGINE, c));
        let theirs = claims.witnesses.iter().map(|w| (&w.name[..], &w.with));
        let relations = ours.chain(theirs).filter_map(|(name, with)| {
            let agree = match with.verdict {
                Verdict::Agree => true,
                Verdict::Diverge { .. } => false,
                _ => return None,
            };
            let here = with.profile == profile && with.is_exact();
            here.then_some(Relation {
                between: [name, &with.reference.name],
                agree,
            })
        });
        Group {
            relations: relations.collect(),
        }
    }

    fn sentence(&self) -> String {
        let parties: BTreeSet<&str> = self.relations.iter().flat_map(|r| r.between).collect();
        let mut alone = parties.iter().filter(|party| self.is_alone(party));
        match (alone.next(), alone.next()) {
            (Some(party), None) => {
                let others: Vec<_> = parties.iter().filter(|p| *p != party).copied().collect();
                format!("{party} stands alone; {} agree", others.join(", "))
            }
            _ => {
                let pairs = self.relations.iter().filter(|r| !r.agree);
                let pairs = pairs.map(|r| r.between.join(" and "));
                let pairs: Vec<_> = pairs.collect();
                format!(
                    "{} disagree, and no third party settles it",
                    pairs.join("; ")
                )
            }
        }
    }

    /// Disagrees with everybody it was compared with, while the others agree among themselves.
    fn is_alone(&self, party: &str) -> bool {
        let is_own = |r: &&Relation<'_>| r.between.contains(&party);
        let (own, others): (Vec<_>, Vec<_>) = self.relations.iter().partition(is_own);
        let apart = own.iter().all(|r| !r.agree);
        apart && !others.is_empty() && others.iter().all(|r| r.agree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(relations: &[(&'static str, &'static str, bool)]) -> String {
        let relation = |&(one, other, agree): &(&'static str, &'static str, bool)| Relation {
            between: [one, other],
            agree,
        };
        let relations = relations.iter().map(relation).collect();
        Group { relations }.sentence()
    }

    #[test]
    fn two_witnesses_that_agree_settle_it() {
        let engine = sentence(&[(ENGINE, "a", false), (ENGINE, "b", false), ("a", "b", true)]);
        assert_eq!(engine, "the engine stands alone; a, b agree");
        let reference = sentence(&[(ENGINE, "a", true), (ENGINE, "b", false), ("a", "b", false)]);
        assert_eq!(reference, "b stands alone; a, the engine agree");
    }

    #[test]
    fn two_parties_or_three_opinions_settle_nothing() {
        let two = sentence(&[(ENGINE, "a", false)]);
        assert!(two.contains("no third party"), "{two}");
        let three = sentence(&[
            (ENGINE, "a", false),
            (ENGINE, "b", false),
            ("a", "b", false),
        ]);
        assert!(three.contains("no third party"), "{three}");
    }
}
