//! A C++ build, asked the few questions that its usual defects cannot pass.

use std::path::Path;

use engine::Model;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::session::OpenOptions;

use super::{BuildReport, entries, finding, speed};
use crate::case::observation::{Greedy, Lane, Observation};
use crate::case::schedule::{Schedule, Step};
use crate::case::taken::Taken;
use crate::exit::Failure;
use crate::file::check::{Finding, Lint};
use crate::fixture::edges;
use crate::judge::outcome::Outcome;
use crate::numbers::metrics::Distance;
use crate::oracle::kernels::{self, Row, Scope};
use crate::oracle::trace::{Located, locate};
use crate::reference;
use crate::reference::isolation::Limits;
use crate::runner::Runner;
use crate::runner::kernels::engine::EngineKernels;
use crate::runner::kernels::family::Family;
use crate::runner::kernels::live::ReferenceKernels;
use crate::runner::kernels::question::Computer;
use crate::runner::passes::Passes;
use crate::runner::reference::Observing;

/// Random questions a kernel, beside the chosen ones.
const QUESTIONS: usize = 8;
/// Between a whole prompt and single tokens: the orders of sums differ, and an activation may round
/// the other way. Of a sound build it is 2e-4 on the model that is asked.
const LANES_NMSE: f64 = 1e-2;
/// So many tokens of the small model.
const TOKENS: usize = 24;

pub(super) fn examine(name: &str, file: Option<&Path>) -> Result<BuildReport, Failure> {
    let mut opened = reference::open_some(&[name.to_owned()], Limits::default())?;
    let reference = opened.remove(0);
    let mut found = Vec::new();
    let mut asked = Vec::new();
    let system_info = reference.hello().system_info.clone();
    match reference.facts().engine_profile() {
        Err(unknown) => {
            asked.push(format!("nothing more: {unknown}"));
            let detail = system_info.clone();
            found.push(finding(Lint::BuildWithoutVectors, name, detail));
        }
        Ok(profile) => {
            let knows_i2_s = reference.hello().knows_i2_s;
            let mut kernels = ReferenceKernels::new(&reference);
            ask_kernels(&mut kernels, knows_i2_s, profile, &mut asked, &mut found);
            if knows_i2_s {
                let mut graph = Observing::new(reference.clone());
                ask_graph(&mut graph, profile, &mut asked, &mut found)?;
            } else {
                let why = "the build has an arithmetic of its own and does not know I2_S";
                asked.push(format!("no graph: {why}"));
            }
            if let Some(file) = file {
                speed::ask(&reference, file, &mut asked, &mut found)?;
            }
        }
    }
    Ok(BuildReport {
        build: name.to_owned(),
        system_info,
        asked,
        findings: entries(found),
    })
}

fn ask_kernels(
    theirs: &mut dyn Computer,
    same_arithmetic: bool,
    profile: Profile,
    asked: &mut Vec<String>,
    found: &mut Vec<Finding>,
) {
    let scope = Scope {
        seed: 1,
        cases: QUESTIONS,
        families: Family::all(),
        case: None,
        same_arithmetic,
        same_author: same_arithmetic,
    };
    let mut ours = EngineKernels::new(profile, Kernel::best());
    let rows = kernels::examine(theirs, &mut ours, &scope, &mut || {});
    let differs = |row: &&Row| row.outcome() == Outcome::Divergence;
    for row in rows.iter().filter(differs) {
        let first = row.first.as_ref();
        let example = first.map_or_else(String::new, |first| format!(", e.g. {}", first.asked));
        let detail = format!("{} of {} numbers differ{example}", row.differ, row.values);
        found.push(finding(Lint::BuildKernelDiffers, &row.kernel, detail));
    }
    let answered = rows.iter().filter(|row| row.cases > 0);
    let (kernels, values) = answered.fold((0, 0), |(n, v), row| (n + 1, v + row.values));
    asked.push(format!(
        "{kernels} of {} kernels: {values} numbers",
        rows.len()
    ));
}

/// The graph of the model that stands on the edges, each operation alone on the engine's inputs,
/// and one way through it against the other.
fn ask_graph(
    theirs: &mut dyn Runner,
    profile: Profile,
    asked: &mut Vec<String>,
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let file = edges::files().remove(0).bytes;
    let model = Model::from_bytes(file.clone(), &OpenOptions::default())?;
    let tokens: Vec<_> = (0..TOKENS as u32).map(|i| i * 9 % 256).collect();
    let prefill = Schedule::of(Step::of_lane(Lane::Prefill, &tokens));
    let decode = Schedule::of(Step::of_lane(Lane::Decode, &tokens));
    let answered = theirs.nodes(&file, &prefill).and_then(|trace| {
        let lanes = theirs.logits(&file, &[prefill, decode])?;
        Ok((trace, lanes))
    });
    let (trace, lanes) = match answered {
        Ok(answered) => answered,
        Err(error) => {
            let detail = format!("no answer: {error}");
            found.push(finding(Lint::BuildGraphDiffers, "a small model", detail));
            return Ok(());
        }
    };
    let observation = Observation {
        identity: theirs.identity(),
        tokens: tokens.clone(),
        lanes: Default::default(),
        greedy: Greedy::default(),
        trace,
        taken: Taken::default(),
    };
    let mut passes = Passes::new(&model, &tokens, profile, TOKENS)?;
    let located = locate(&observation, 0, &mut passes)?.located;
    asked.push(format!(
        "the graph of a small model: {} operations",
        located.nodes.len()
    ));
    if located.outcome() != Outcome::Ok {
        let subject = located
            .blamed
            .as_ref()
            .map_or("the graph", |blame| &blame.key);
        found.push(finding(Lint::BuildGraphDiffers, subject, because(&located)));
    }
    let apart = Distance::between(&lanes[0], &lanes[1]);
    asked.push(format!(
        "prefill against decode: nmse {:.1e}",
        apart.nmse.unwrap_or(f64::NAN)
    ));
    if apart.nmse.is_none_or(|nmse| nmse > LANES_NMSE) {
        let detail = match apart.nmse {
            Some(nmse) => format!("nmse {nmse:.1e}, at most {LANES_NMSE:.0e} is usual"),
            None => "logits that are not finite".into(),
        };
        found.push(finding(Lint::BuildLanesApart, "a small model", detail));
    }
    Ok(())
}

fn because(located: &Located) -> String {
    let blamed = located.blamed.as_ref().map(|blame| blame.because.clone());
    let missing = located.missing.first().map(|key| {
        let count = located.missing.len();
        format!("{count} operations that the engine does not have, as {key}")
    });
    let whys: Vec<String> = blamed.into_iter().chain(missing).collect();
    whys.join("; ")
}

#[cfg(test)]
mod tests {
    use engine::bytes::ModelBytes;
    use engine::gguf::Gguf;

    use super::*;
    use crate::case::observation::Identity;
    use crate::file::document::Document;
    use crate::reference::isolation::{Call, WorkerExit};
    use crate::runner::engine::Engine;
    use crate::runner::kernels::question::{Answer, Question};
    use crate::runner::{ModelFile, Opened, RunError};

    /// The engine as a build that reads every file wrongly.
    struct Misreading {
        engine: Engine,
        file: Vec<u8>,
        /// Whether its single tokens have nothing to do with its prompts.
        apart: bool,
    }

    impl Misreading {
        fn new(edit: impl FnOnce(&mut Document)) -> Self {
            let gguf = ModelBytes::from_vec(edges::files().remove(0).bytes);
            let gguf = Gguf::parse(gguf).expect("sound");
            let mut document = Document::read(&gguf).expect("decided");
            edit(&mut document);
            Misreading {
                engine: Engine::new(Kernel::Scalar, 1),
                file: document.file(),
                apart: false,
            }
        }
    }

    impl Runner for Misreading {
        fn identity(&self) -> Identity {
            self.engine.identity()
        }

        fn open<'s>(&'s mut self, _: ModelFile<'s>) -> Result<Box<dyn Opened + 's>, RunError> {
            self.engine.open(ModelFile::Made(&self.file))
        }

        fn logits(&mut self, _: &[u8], lanes: &[Schedule]) -> Result<Vec<Vec<f32>>, RunError> {
            let mut logits = self.engine.logits(&self.file, lanes)?;
            if self.apart {
                logits[1].iter_mut().for_each(|logit| *logit = -*logit);
            }
            Ok(logits)
        }
    }

    fn graph(edit: impl FnOnce(&mut Document)) -> Vec<Finding> {
        findings(Misreading::new(edit))
    }

    fn findings(mut build: Misreading) -> Vec<Finding> {
        let (mut asked, mut found) = (Vec::new(), Vec::new());
        let profile = Profile::default();
        ask_graph(&mut build, profile, &mut asked, &mut found).expect("a model");
        found
    }

    #[test]
    fn a_graph_with_a_fault_is_found_at_its_operation_and_a_sound_one_is_not() {
        assert_eq!(graph(|_| {}), []);
        let rope = graph(|file| file.set("bitnet.rope.freq_base", 10_000_f32));
        assert_eq!(rope[0].lint, Lint::BuildGraphDiffers);
        assert_eq!(rope[0].subjects, ["Qcur-0|ROPE#0"]);
        let norm = "blk.0.ffn_norm.weight";
        let broken = graph(|file| {
            file.bytes(norm).expect("there")[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        });
        assert_eq!(broken[0].lint, Lint::BuildGraphDiffers, "it has no answer");
    }

    #[test]
    fn lanes_that_have_nothing_in_common_are_found() {
        let apart = Misreading {
            apart: true,
            ..Misreading::new(|_| {})
        };
        let found = findings(apart);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].lint, Lint::BuildLanesApart);
    }

    /// The engine's kernels, of which those that decode may be one off.
    struct Decoding {
        ours: EngineKernels,
        wrong: bool,
    }

    impl Computer for Decoding {
        fn describe(&mut self, kind: i32) -> Result<Option<ffi::TypeFacts>, WorkerExit> {
            self.ours.describe(kind)
        }

        fn compute(&mut self, question: &Question) -> Result<Answer, WorkerExit> {
            let mut answer = self.ours.compute(question)?;
            if self.wrong && matches!(question.call, Call::Decode { .. }) {
                answer.values.iter_mut().for_each(|value| *value += 1.0);
            }
            Ok(answer)
        }
    }

    #[test]
    fn kernels_with_a_fault_are_found_by_name_and_sound_ones_are_not() {
        let asked_of = |wrong| {
            let (mut asked, mut found) = (Vec::new(), Vec::new());
            let profile = Profile::default();
            let ours = EngineKernels::new(profile, Kernel::Scalar);
            let mut theirs = Decoding { ours, wrong };
            ask_kernels(&mut theirs, true, profile, &mut asked, &mut found);
            let all = Family::all().len();
            let line = format!("{all} of {all} kernels");
            assert!(asked[0].starts_with(&line), "{asked:?}");
            found
        };
        assert_eq!(asked_of(false), []);
        let found = asked_of(true);
        assert!(found.iter().all(|f| f.lint == Lint::BuildKernelDiffers));
        assert!(
            found.iter().any(|f| f.subjects == ["f16-decode"]),
            "{found:?}"
        );
    }
}
