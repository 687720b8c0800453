//! One case of a receipt, held against the fixtures: what the model, the tokenizer, the recordings
//! and the list of known divergences say of it.

use std::collections::BTreeMap;

use engine::kernels::Kernel;
use engine::numerics::Profile;

use super::conclusions::entry;
use super::{Code, Verification};
use crate::case::Case;
use crate::case::ability::Lacking;
use crate::case::observation::{Lane, Logits};
use crate::file::provenance::{Hash, Input};
use crate::judge::verdict::Verdict;
use crate::receipt::{CaseReceipt, Claims, Comparison};
use crate::runner::engine::{Engine, text};
use crate::runner::recorded::Recorded;
use crate::runner::recorded::manifest::Recording;
use crate::runner::suite::Suite;
use crate::runner::{Facts, Runner, Subject, Task};

impl Verification {
    /// The files named are the ones that are there, and what they declare is what was asked.
    pub(super) fn case(&mut self, receipt: &CaseReceipt, suite: &Suite) {
        let claims = &receipt.claims;
        let name = &claims.case;
        self.who_computed(claims);
        let known = suite.cases.iter().find(|c| c.name == *name);
        let model = self.model(claims, known, suite);
        let Some(case) = known else {
            let why = format!("case {name} is not among the fixtures");
            return self.cannot_tell(Code::Case, why);
        };
        if let Some(model) = &model {
            let task = Task { case, model };
            self.facts(claims, task);
            self.tokenizer(claims, task);
            self.greedy_text(claims, model);
        }
        let asked = claims.comparisons.iter().map(|c| &c.reference.name);
        let asked: Vec<_> = asked.collect();
        let all = case.recordings.iter().all(|r| asked.contains(&r));
        let what = format!("case {name}: every recording was asked");
        self.note(Code::Missing, &what, all);
        let what = format!("case {name}: the prompt");
        self.note(Code::Prompt, &what, claims.prompt == case.prompt);
        for comparison in &claims.comparisons {
            self.comparison(claims, comparison, case, suite);
        }
    }

    /// The model, if a file of that hash is at hand.
    fn model(&mut self, claims: &Claims, known: Option<&Case>, suite: &Suite) -> Option<Input> {
        let (name, file) = (&claims.case, &claims.model.file);
        let read = |file: &str| Input::read(&suite.folder.join(file)).ok();
        let named = read(file);
        match &named {
            Some((input, _)) => {
                let what = format!("case {name}: the hash of {file}");
                self.note(Code::Model, &what, input.sha256 == claims.model.sha256);
            }
            None => {
                let why = format!("case {name}: {file} is not here");
                self.cannot_tell(Code::Model, why);
            }
        }
        let own = named.or_else(|| read(&known?.model));
        let (own, _) = own?;
        (own.sha256 == claims.model.sha256).then_some(own)
    }

    /// The engine is one that this build can be.
    fn who_computed(&mut self, claims: &Claims) {
        let (name, engine) = (&claims.case, &claims.engine);
        if !engine.identity.is_built_in() {
            let why = format!("case {name}: what {} computed", engine.identity);
            return self.cannot_tell(Code::Engine, why);
        }
        let here = Engine::new(Kernel::Scalar, 1).identity().fingerprint;
        if engine.identity.fingerprint != here {
            let why = format!("case {name}: what {} computed", engine.identity.fingerprint);
            return self.cannot_tell(Code::Engine, why);
        }
        let kernel = format!("engine {}", engine.kernel);
        let named = engine.identity.name.strip_prefix(&kernel);
        let named = named.is_some_and(|more| more.is_empty() || more.starts_with(" on "));
        let known = Kernel::NAMES.contains(&&*engine.kernel);
        let ordered = Profile::from_name(&engine.identity.profile).is_some();
        let what = format!("case {name}: there is such an engine");
        self.note(Code::Engine, &what, named && known && ordered);
    }

    fn comparison(&mut self, claims: &Claims, found: &Comparison, case: &Case, suite: &Suite) {
        let (name, with) = (&claims.case, &found.reference.name);
        let lacking = &claims.engine.lacking;
        let what = format!("case {name} with {with}: as much was declared as the case declares");
        let declared = found.coverage.declared() == case.declared_without(lacking, true)
            || found.is_declined() && !case.live.contains(with)
            || foreign_graph(found, case, lacking);
        self.note(Code::Declared, &what, declared);
        if let Some((reason, bound)) = entry(found) {
            let listed = suite.ledger.about(name, &claims.model.sha256, with);
            let listed = listed.is_some_and(|e| e.reason == reason && e.bound == bound);
            let what = format!("case {name} with {with}: the divergence is known");
            self.note(Code::Ledger, &what, listed);
        }
        match suite.recordings.get(with) {
            Some(_) if found.live => {
                let what = format!("case {name}: {with}, which is a recording, computed live");
                self.refute(Code::Reference, what);
            }
            Some(recorded) => self.recording(claims, found, (case, recorded)),
            None if found.is_declined() => {
                self.on_trust
                    .push(format!("case {name}: that {with} took no part"));
            }
            None if found.live => {
                let what = format!("case {name}: what {with} computed");
                if self.repeated.contains(name) {
                    self.confirmed.push(what);
                } else if self.repeated.is_empty() {
                    let why = "which only another run can tell: --rerun N";
                    self.cannot_tell(Code::Reference, format!("{what}, {why}"));
                } else {
                    let count = self.repeated.len();
                    let why = format!("as {count} other cases, run again, came to the same");
                    self.on_trust.push(format!("{what}, {why}"));
                }
            }
            None => {
                let why = format!("case {name}: {with} is not a recording");
                self.cannot_tell(Code::Recording, why);
            }
        }
    }

    /// Weights, vocabulary and kernels are the model's, as far as a build that was told nothing can
    /// tell.
    fn facts(&mut self, claims: &Claims, task: Task<'_>) {
        let what = format!("case {}: what the model is made of", claims.case);
        if claims.quant.forced {
            let why = format!("{what}: its packing was given");
            return self.cannot_tell(Code::Facts, why);
        }
        let (kernel, profile) = (&claims.engine.kernel, &claims.engine.identity.profile);
        let runs_here = Kernel::from_name(kernel);
        let engine = Engine::new(runs_here.unwrap_or(Kernel::Scalar), 1);
        let mut engine = engine.with_profile(Profile::from_name(profile).unwrap_or_default());
        match engine.facts(task) {
            Ok(Facts {
                model,
                multiplied_by,
                ..
            }) => {
                let same = model.architecture == claims.model.architecture
                    && model.quant == claims.quant
                    && model.vocabulary == claims.tokenizer;
                self.note(Code::Facts, &what, same);
                if claims.engine.identity.is_built_in() && runs_here.is_some() {
                    let what = format!("case {}: what multiplied it", claims.case);
                    let same = multiplied_by == claims.engine.multiplied_by;
                    self.note(Code::Engine, &what, same);
                }
            }
            // A subject may read what this engine does not.
            Err(error) if claims.validation.backend != "rust" => {
                self.cannot_tell(Code::Facts, format!("{what}: {error}"));
            }
            Err(error) => self.refute(Code::Facts, format!("{what}: {error}")),
        }
    }

    /// The ids are what this program's tokenizer makes of the prompt, if it is said to have made
    /// them.
    fn tokenizer(&mut self, claims: &Claims, task: Task<'_>) {
        let (name, by) = (&claims.case, &claims.validation.tokenizer);
        if by != "rust" {
            return;
        }
        let what = format!("case {name}: the ids that the {by} tokenizer makes");
        match Engine::new(Kernel::Scalar, 1).tokenize(task) {
            Ok(ids) => self.note(Code::Tokens, &what, ids == claims.tokens),
            Err(error) => self.refute(Code::Tokens, format!("{what}: {error}")),
        }
    }

    /// The text of the continuation is what its ids say.
    fn greedy_text(&mut self, claims: &Claims, model: &Input) {
        let what = format!("case {}: the text of the continuation", claims.case);
        // Another engine may write its text as it likes, and is not this one to be asked.
        if !claims.engine.identity.is_built_in() {
            return;
        }
        let said = Engine::new(Kernel::Scalar, 1).model(model);
        if claims.greedy.is_empty() {
            return self.note(Code::Text, &what, claims.greedy_text.is_empty());
        }
        match said.and_then(|model| text(&model, &claims.greedy)) {
            Ok(said) => self.note(Code::Text, &what, said == claims.greedy_text),
            Err(error) => self.cannot_tell(Code::Text, format!("{what}: {error}")),
        }
    }

    /// Ids and outputs that are claimed equal to a recording's are the recording's.
    fn recording(
        &mut self,
        claims: &Claims,
        comparison: &Comparison,
        (case, recorded): (&Case, &Recorded),
    ) {
        let what = format!("case {} with {}", claims.case, comparison.reference.name);
        let identity = recorded.identity() == comparison.reference;
        self.note(
            Code::Recording,
            &format!("{what}: the recording's identity"),
            identity,
        );
        let manifest = recorded.manifest();
        let model = manifest.model.sha256 == claims.model.sha256;
        self.note(Code::Model, &format!("{what}: the recorded model"), model);
        let Some(recording) = manifest.cases.iter().find(|c| c.prompt == claims.prompt) else {
            return self.refute(Code::Recording, format!("{what}: no such prompt"));
        };
        if comparison.verdict != Verdict::Agree {
            return;
        }
        let steps = comparison.coverage.greedy_steps.declared;
        let greedy = recording.greedy.get(..steps);
        let tokens = recording.tokens == claims.tokens;
        self.note(Code::Tokens, &format!("{what}: token ids"), tokens);
        // In another arithmetic a tie may have ended otherwise.
        if !comparison.is_exact() {
            return;
        }
        // The receipt holds the continuation in the engine's own arithmetic only.
        if comparison.profile != claims.engine.identity.profile {
            let profile = &comparison.profile;
            let why = format!("{what}: outputs and continuation, computed in {profile}");
            return self.on_trust.push(why);
        }
        let same = greedy.is_some() && greedy == claims.greedy.get(..steps);
        self.note(Code::Tokens, &format!("{what}: greedy ids"), same);
        // Engines that were brought may show outputs that are rounded, or some of them.
        if comparison.logits_bit_identical && claims.engine.identity.is_built_in() {
            let outputs = claims.outputs == digests(case, recorded, recording, claims);
            self.note(Code::Output, &format!("{what}: the outputs"), outputs);
        }
    }
}

/// What the outputs of a case hash to, where they are a recording's, in the lanes that are claimed.
fn digests(
    case: &Case,
    recorded: &Recorded,
    recording: &Recording,
    claims: &Claims,
) -> BTreeMap<Lane, String> {
    let seen = recorded.seen(recording);
    let lanes = seen
        .lanes
        .iter()
        .filter(|(lane, _)| claims.outputs.contains_key(lane));
    let digest = |(lane, logits): (&Lane, &Logits)| {
        let mut hash = Hash::default();
        let rows = case.positions.iter().filter_map(|&at| logits.at(at));
        rows.for_each(|row| hash.add(row));
        (*lane, hash.hex())
    };
    lanes.map(digest).collect()
}

/// A live reference of another arithmetic may have a graph of its own, whose nodes have no
/// counterpart; everything else is asked of it like of everybody.
fn foreign_graph(comparison: &Comparison, case: &Case, lacking: &Lacking) -> bool {
    let declared = comparison.coverage.declared();
    let other = comparison.live && !comparison.is_exact();
    other && declared == case.declared_without(lacking, false)
}
