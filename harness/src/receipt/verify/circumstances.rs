//! What a run says of its own making, held against what it claims: cases, files, references.

use std::collections::{BTreeMap, BTreeSet};

use super::{Code, Verification};
use crate::case::observation::Identity;
use crate::file::provenance::{Input, of_tensors};
use crate::receipt::{Comparison, LeftOut, Receipt};
use crate::runner::suite::Suite;

impl Verification {
    /// Every case that was asked for is there, once a subject.
    pub(super) fn names(&mut self, receipt: &Receipt) {
        let cases = receipt.cases.iter().map(|case| &case.claims);
        let mut seen = BTreeSet::new();
        let mut twice = cases.clone().filter(|claims| {
            let subject = &claims.engine.identity;
            !seen.insert((&claims.case, &subject.name, &subject.fingerprint))
        });
        match twice.next() {
            Some(claims) => {
                let what = format!("case {}: it is there twice", claims.case);
                self.refute(Code::Case, what);
            }
            None => self.confirmed.push("no case is there twice".into()),
        }
        let failed = receipt.failures.iter().map(|failed| &failed.case);
        let there: BTreeSet<&String> = cases.map(|claims| &claims.case).chain(failed).collect();
        let asked: BTreeSet<&String> = receipt.circumstances.asked.iter().collect();
        if asked.is_empty() && !there.is_empty() {
            let why = "which cases were asked for: it is of an older build";
            return self.cannot_tell(Code::Case, why);
        }
        let strange: Vec<&str> = there.difference(&asked).map(|name| name.as_str()).collect();
        if !strange.is_empty() {
            let what = format!("there and not asked for: {}", strange.join(", "));
            self.refute(Code::Case, what);
        }
        // Every subject is asked about every case.
        let (declared, asked) = (receipt.coverage.cases.declared, asked.len());
        let whole = declared >= asked && declared.is_multiple_of(asked.max(1));
        let what = "as many cases are declared as were asked for";
        self.note(Code::Missing, what, whole);
    }

    /// What was left out is what only a live reference answers, and nothing else.
    pub(super) fn left_out(&mut self, receipt: &Receipt, suite: &Suite) {
        let asked = &receipt.circumstances.asked;
        for left in &receipt.circumstances.left_out {
            let Some(case) = suite.cases.iter().find(|case| case.name == left.case) else {
                continue;
            };
            let what = format!("case {}: why it was left out", left.case);
            let alone = case.recordings.is_empty() && !asked.contains(&left.case);
            self.note(
                Code::LeftOut,
                &what,
                alone && *left == LeftOut::unasked(case),
            );
        }
        let fixtures = suite.cases.len();
        let known = suite.cases.iter().filter(|case| asked.contains(&case.name));
        let line = format!(
            "it speaks of {} of the {fixtures} cases there are",
            known.count()
        );
        self.on_trust.push(line);
    }

    /// The files that the cases stand on are listed, each with the hash it must have.
    pub(super) fn inputs(&mut self, receipt: &Receipt, suite: &Suite) {
        let listed: BTreeSet<&str> = {
            let inputs = receipt.circumstances.inputs.iter();
            inputs.map(|input| &*input.sha256).collect()
        };
        let mut needed: Vec<(String, &str)> = Vec::new();
        for case in &receipt.cases {
            let model = &case.claims.model;
            needed.push((model.file.clone(), &model.sha256));
            for comparison in case.claims.comparisons.iter().filter(|c| !c.live) {
                let Some(recorded) = suite.recordings.get(&comparison.reference.name) else {
                    continue;
                };
                let files = recorded.inputs().iter();
                needed.extend(files.map(|file| (file.path.display().to_string(), &*file.sha256)));
            }
        }
        needed.sort();
        needed.dedup();
        let missing: Vec<&(String, &str)> = needed
            .iter()
            .filter(|(_, sha256)| !listed.contains(sha256))
            .collect();
        for (file, sha256) in &missing {
            let what = format!("{file}: the inputs do not list a file of hash {sha256}");
            self.refute(Code::Inputs, what);
        }
        if missing.is_empty() {
            self.confirmed
                .push("the inputs are the files that were compared".into());
        }
        self.tensors(receipt, suite);
    }

    /// The tensors of each model that is here are listed with the hashes they have.
    fn tensors(&mut self, receipt: &Receipt, suite: &Suite) {
        let models = receipt.cases.iter().map(|case| &case.claims.model);
        let models: BTreeMap<&str, &str> = models.map(|m| (&*m.sha256, &*m.file)).collect();
        for (sha256, file) in models {
            let inputs = &receipt.circumstances.inputs;
            let listed = inputs.iter().find(|input| input.sha256 == sha256);
            let here = Input::read(&suite.folder.join(file)).ok();
            let here = here.filter(|(input, _)| input.sha256 == sha256);
            let (Some(listed), Some((_, bytes))) = (listed, here) else {
                continue;
            };
            let what = format!("{file}: the hash of each tensor");
            if listed.tensors.is_empty() {
                self.cannot_tell(Code::Tensors, format!("{what}: none is listed"));
            } else {
                self.note(Code::Tensors, &what, listed.tensors == of_tensors(bytes));
            }
        }
    }

    /// Who is said to have computed live is described, and is who is described.
    pub(super) fn references(&mut self, receipt: &Receipt) {
        let described: Vec<Identity> = {
            let references = receipt.circumstances.references.iter();
            references.map(|reference| reference.identity()).collect()
        };
        let claims = || receipt.cases.iter().map(|case| &case.claims);
        let with = |c: &&Comparison| c.live && c.is_answered();
        let compared = claims().flat_map(|c| &c.comparisons).filter(with);
        let compared: Vec<&Comparison> = compared.collect();
        for comparison in &compared {
            let Identity {
                name, fingerprint, ..
            } = &comparison.reference;
            let mut same = described.iter().filter(|one| one.name == *name);
            let what = format!("{name}: who computed live is described");
            let holds = same.any(|one| one.fingerprint == *fingerprint);
            if !holds {
                self.refute(Code::Reference, what);
            } else if !self.confirmed.contains(&what) {
                self.confirmed.push(what);
            }
        }
        let known = |fingerprint: &String| described.iter().any(|d| d.fingerprint == *fingerprint);
        let controls = claims().flat_map(|c| &c.controls).filter(with);
        let witnesses = claims()
            .flat_map(|c| &c.witnesses)
            .map(|w| &w.with)
            .filter(with);
        let controls: Vec<&Comparison> = controls.collect();
        for comparison in controls.iter().copied().chain(witnesses) {
            let Identity {
                name, fingerprint, ..
            } = &comparison.reference;
            if !known(fingerprint) {
                let what = format!("{name}: nothing says who computed it");
                self.refute(Code::Reference, what);
            }
        }
        for one in &described {
            let answered = compared.iter().any(|c| c.reference.name == one.name)
                || controls
                    .iter()
                    .any(|c| c.reference.fingerprint == one.fingerprint);
            let what = format!("{}: it is described, and answered", one.name);
            self.note(Code::Reference, &what, answered);
        }
    }
}
