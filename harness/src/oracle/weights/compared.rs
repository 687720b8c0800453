//! A model compared with one library: what was compared, what was not, and what it comes to.

use serde::Serialize;

use super::{Finding, Verdict};
use crate::judge::outcome::{Lost, Outcome};

/// Everything that was found: what `--json` writes.
#[derive(Debug, Serialize)]
pub struct Report {
    pub schema_version: u32,
    pub outcome: Outcome,
    pub coverage: Coverage,
    /// One for each model and library.
    pub compared: Vec<Compared>,
}

/// One model, compared with one library.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    pub model: String,
    pub model_sha256: String,
    /// Whose functions, or whose record.
    pub library: String,
    /// Whether it computed in this run.
    pub live: bool,
    pub profile: &'static str,
    /// Whether a product that differs counts.
    pub judges_products: bool,
    /// Tensors in the file; those that have no finding were not reached.
    pub tensors: usize,
    /// One a tensor.
    pub findings: Vec<Finding>,
    /// Why it ended before the last tensor, if it did.
    pub lost: Option<Lost>,
}

/// How much of what there is was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    pub tensors: usize,
    /// Those whose values are the same.
    pub values: usize,
    /// Those whose products are.
    pub products: usize,
    /// Those that the library's encoder writes again.
    pub encoded: usize,
    /// Those of which something differs that counts.
    pub differ: usize,
    /// Values, products and bytes with which a library has nothing to compare.
    pub declined: usize,
    /// Those that were to be compared and were not.
    pub not_compared: usize,
    pub not_reached: usize,
}

impl Report {
    /// Of all comparisons; none at all is no agreement.
    pub fn new(compared: Vec<Compared>) -> Self {
        let floor = if compared.is_empty() {
            Outcome::Incomplete
        } else {
            Outcome::Ok
        };
        Report {
            schema_version: 2,
            outcome: Outcome::worst(floor, compared.iter().map(Compared::outcome)),
            coverage: Coverage::of(&compared),
            compared,
        }
    }
}

impl Coverage {
    fn of(compared: &[Compared]) -> Self {
        let mut sum = Coverage::default();
        for one in compared {
            sum.tensors += one.tensors;
            sum.not_reached += one.tensors.saturating_sub(one.findings.len());
            for finding in &one.findings {
                let differs = one.differs(finding);
                sum.differ += usize::from(differs);
                let equal = [&mut sum.values, &mut sum.products, &mut sum.encoded];
                for (equal, (_, verdict)) in equal.into_iter().zip(finding.parts()) {
                    *equal += usize::from(*verdict == Verdict::Equal);
                    match verdict {
                        Verdict::Declined(_) => sum.declined += 1,
                        Verdict::NotCompared(_) => sum.not_compared += 1,
                        _ => {}
                    }
                }
            }
        }
        sum
    }
}

impl Compared {
    /// A comparison that failed before its first tensor.
    pub fn failed(model: &str, lost: Lost) -> Self {
        Compared {
            model: model.to_owned(),
            model_sha256: String::new(),
            library: String::new(),
            live: false,
            profile: "",
            judges_products: true,
            tensors: 0,
            findings: Vec::new(),
            lost: Some(lost),
        }
    }

    /// What it comes to: a model of which nothing was compared is no agreement.
    pub fn outcome(&self) -> Outcome {
        let coverage = self.coverage();
        let parts = self.findings.iter().flat_map(Finding::parts);
        let settled = { parts }.any(|(_, verdict)| verdict.is_settled());
        let gaps = coverage.not_compared + coverage.not_reached > 0 || !settled;
        let found = [
            (!self.live, Outcome::RustOnly),
            (gaps, Outcome::Incomplete),
            (coverage.differ > 0, Outcome::Divergence),
        ];
        Outcome::of(&found, self.lost.as_ref())
    }

    /// Whether a difference in that part counts.
    pub fn judges(&self, part: &str) -> bool {
        part != "product" || self.judges_products
    }

    /// Whether something about a tensor differs that counts.
    fn differs(&self, finding: &Finding) -> bool {
        let mut parts = finding.parts().into_iter();
        parts.any(|(part, verdict)| verdict.differs() && self.judges(part))
    }

    pub fn coverage(&self) -> Coverage {
        Coverage::of(std::slice::from_ref(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::outcome::assert_the_worse_counts;

    fn compared(verdicts: &[Verdict], lost: Option<Outcome>) -> Compared {
        let finding = |verdict: &Verdict| Finding {
            decoded: verdict.clone(),
            ..Finding::of("t", "f16", 1)
        };
        Compared {
            live: true,
            tensors: verdicts.len(),
            findings: verdicts.iter().map(finding).collect(),
            lost: lost.map(|outcome| Lost::new(outcome, "why")),
            ..Compared::failed("m", Lost::new(Outcome::Ok, ""))
        }
    }

    #[test]
    fn of_every_two_comparisons_the_worse_counts_and_a_divergence_is_never_hidden() {
        use Outcome::{Divergence, Incomplete, Ok, ReferenceDied, ReferenceMissing, Refused, Void};
        use Verdict::Equal;
        let declined = || Verdict::Declined("why".into());
        let different = || Verdict::Different("why".into());
        let missing = Verdict::NotCompared("why".into());
        let ends = [
            (compared(&[Equal], None), Ok),
            (compared(&[Equal, declined()], None), Ok),
            (compared(&[declined()], None), Incomplete),
            (compared(&[], None), Incomplete),
            (compared(&[Equal, missing], None), Incomplete),
            (compared(&[], Some(ReferenceMissing)), ReferenceMissing),
            (compared(&[Equal], Some(ReferenceDied)), ReferenceDied),
            (compared(&[], Some(Refused)), Refused),
            (compared(&[Equal, different()], None), Divergence),
            (compared(&[different()], Some(ReferenceDied)), Divergence),
            (compared(&[different()], Some(Void)), Void),
        ];
        assert_the_worse_counts(&ends, |ends| {
            Report::new(ends.iter().map(|&end| end.clone()).collect()).outcome
        });
        assert_eq!(Report::new(Vec::new()).outcome, Incomplete);
        let mut recorded = compared(&[Equal], None);
        recorded.live = false;
        assert_eq!(recorded.outcome(), Outcome::RustOnly);
    }

    #[test]
    fn what_was_not_compared_is_counted_and_a_decline_is_not_a_gap_unless_it_was_declared() {
        let declined = Verdict::Declined("it has no type".into());
        let mut one = compared(&[Verdict::Equal, declined], None);
        assert_eq!((one.coverage().declined, one.outcome()), (1, Outcome::Ok));
        one.findings[1].decoded.declared();
        let coverage = one.coverage();
        assert_eq!((coverage.declined, coverage.not_compared), (0, 1));
        assert_eq!(one.outcome(), Outcome::Incomplete);
        let mut cut = compared(&[Verdict::Equal], None);
        cut.tensors = 3;
        assert_eq!(cut.coverage().not_reached, 2);
        assert_eq!(cut.outcome(), Outcome::Incomplete);
        let sum = Report::new(vec![one, cut]).coverage;
        assert_eq!((sum.tensors, sum.values, sum.not_compared), (5, 2, 1));
    }
}
