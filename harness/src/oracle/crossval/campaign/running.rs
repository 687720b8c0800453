//! In which order the cases of a run are asked, and how many at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Campaign, Step};
use crate::case::Case;
use crate::case::shard::cost;
use crate::exit::Failure;
use crate::io::threads::{self, Piece};
use crate::receipt::{CaseReceipt, Failed, LeftOut, Receipt, merge};

impl Campaign {
    /// Runs the cases, each on the model beside it, those of the cheapest model first. After each
    /// one the receipt so far goes to `watch`, so that whoever ends the run early loses one case at
    /// most.
    pub fn run(
        mut self,
        cases: &[(Case, PathBuf)],
        mut watch: impl FnMut(Step<'_>) -> Result<(), Failure>,
    ) -> Result<Receipt, Failure> {
        for (case, model) in self.begin(cases) {
            watch(Step::Begins(case))?;
            let ended = self.examine(case, model);
            if !self.take((case, model), ended, &mut watch)? {
                break;
            }
        }
        Ok(self.so_far().sealed())
    }

    /// The same in so many jobs at once, each with whom `again` opens for it.
    pub fn run_in_jobs(
        mut self,
        jobs: usize,
        cases: &[(Case, PathBuf)],
        again: &(dyn Fn() -> Result<Campaign, Failure> + Sync),
        mut watch: impl FnMut(Step<'_>) -> Result<(), Failure>,
    ) -> Result<Receipt, Failure> {
        let asked = self.begin(cases);
        let (finished, checked) = (self.finished.clone(), self.checked.clone());
        let models = self.models.clone();
        let job = || {
            again().map(|own| Campaign {
                finished: finished.clone(),
                checked: checked.clone(),
                models: models.clone(),
                ..own
            })
        };
        let examine = |own: &mut Campaign, at: usize| own.examine(&asked[at].0, &asked[at].1);
        threads::in_jobs(jobs, asked.len(), job, examine, |piece| match piece {
            Piece::Begins(at) => watch(Step::Begins(&asked[at].0)).map(|()| true),
            Piece::Ended(at, ended) => {
                let (case, model) = asked[at];
                self.take((case, model), ended, &mut watch)
            }
        })?;
        Ok(self.so_far().sealed())
    }

    /// Those of the cases that somebody answers, in the order in which they are run.
    fn begin<'c>(&mut self, cases: &'c [(Case, PathBuf)]) -> Vec<&'c (Case, PathBuf)> {
        let live: Vec<&str> = self.live.iter().map(|l| &l.facts.name[..]).collect();
        let (asked, left_out): (Vec<_>, Vec<_>) = cases
            .iter()
            .partition(|(case, _)| case.is_answerable(&live));
        self.asked = asked.iter().map(|(case, _)| case.name.clone()).collect();
        let unasked = left_out.into_iter().map(|(case, _)| LeftOut::unasked(case));
        self.left_out.extend(unasked);
        cheapest_model_first(asked)
    }

    /// A case has ended; whether another may begin.
    fn take(
        &mut self,
        (case, model): (&Case, &Path),
        ended: Vec<Result<CaseReceipt, Box<Failed>>>,
        watch: &mut impl FnMut(Step<'_>) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        self.hash_tensors(model);
        for examined in ended {
            match examined {
                Ok(examined) => self.cases.push(examined),
                Err(failed) => self.failures.push(*failed),
            }
        }
        watch(Step::Ended(case, &self.so_far()))?;
        Ok(!(self.failing_fast && self.failed()))
    }
}

/// In the order in which they are run: a model of which all is said soon says it first, and its
/// dearest case begins first, so that no job is left alone with one at the end.
fn cheapest_model_first(mut cases: Vec<&(Case, PathBuf)>) -> Vec<&(Case, PathBuf)> {
    let mut costs: BTreeMap<&Path, f64> = BTreeMap::new();
    for (case, model) in &cases {
        *costs.entry(model.as_path()).or_default() += cost(merge::COMMAND, &case.name);
    }
    let of_model = |model: &PathBuf| costs[model.as_path()];
    let own = |case: &Case| cost(merge::COMMAND, &case.name);
    cases.sort_by(|(one, its), (other, their)| {
        let models = of_model(its).total_cmp(&of_model(their));
        models.then(own(other).total_cmp(&own(one)))
    });
    cases
}
