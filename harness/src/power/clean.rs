//! The engine without a fault, in every way it can compute: nothing may raise an alarm.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use engine::kernels::Kernel;
use engine::numerics::Profile;

use crate::case::Case;
use crate::compare::compare;
use crate::coverage::Coverage;
use crate::exit::Failure;
use crate::observation::Observation;
use crate::provenance::Input;
use crate::runner::engine::Engine;
use crate::runner::{Runner, Task};
use crate::suite::Suite;
use crate::tolerance::Apart;
use crate::verdict::{Verdict, judge};

/// Steps of the continuation of a prompt nobody recorded.
const STEPS: usize = 4;
/// Splits of a prompt, each an arithmetic of its own.
const UBATCHES: [usize; 6] = [512, 7, 1, 2, 16, 33];

/// Runs `count` clean comparisons and says which of them raised an alarm.
///
/// Every second one is a recorded case in one of the arithmetics there are recordings of, on some
/// kernel, number of threads and any ubatch that holds the prompt. The others are the beginning
/// of a recorded prompt, in ubatches of some size, computed twice on different kernels and
/// numbers of threads. What is compared is everything `crossval` compares.
pub fn alarms(suite: &Suite, count: usize, mut done: impl FnMut()) -> Result<Vec<String>, Failure> {
    let mut alarms = Vec::new();
    let recorded = || {
        suite
            .cases
            .iter()
            .filter(|case| !case.recordings.is_empty())
    };
    let models: BTreeSet<&String> = recorded().map(|case| &case.model).collect();
    for (m, model) in models.iter().enumerate() {
        let (input, _) = Input::read(&suite.folder.join(model))?;
        let cases: Vec<&Case> = recorded().filter(|c| c.model == **model).collect();
        let ways = Ways::new();
        for i in (m..count).step_by(models.len()) {
            let turn = i / models.len();
            let case = cases[turn / 2 % cases.len()];
            let alarm = match turn % 2 {
                0 => ways.against_recording(suite, case, &input, turn / 2),
                _ => ways.against_each_other(case, &input, turn / 2),
            };
            alarms.extend(alarm?.map(|verdict| format!("run {i}, {}: {verdict}", case.name)));
            done();
        }
    }
    Ok(alarms)
}

/// Engines on one model: every kernel, sharing what was opened.
struct Ways {
    engines: Vec<Engine>,
}

impl Ways {
    fn new() -> Self {
        let kernels = Kernel::available().into_iter().rev();
        Ways {
            engines: kernels.map(|kernel| Engine::new(kernel, 1)).collect(),
        }
    }

    /// The fastest kernel does most of the work, the others take their turns.
    fn engine(&self, turn: usize) -> &Engine {
        let others = self.engines.len() - 1;
        match (turn % 8, others) {
            (7, 1..) => &self.engines[1 + turn / 8 % others],
            _ => &self.engines[0],
        }
    }

    fn against_recording(
        &self,
        suite: &Suite,
        case: &Case,
        input: &Input,
        turn: usize,
    ) -> Result<Option<Verdict>, Failure> {
        let profile = [Profile::GgmlAvx512, Profile::GgmlAvx2][turn / 5 % 2];
        let recordings = case.recordings.iter().map(|name| &suite.recordings[name]);
        let mut same = recordings.filter(|r| r.identity().profile == profile.name());
        let Some(recording) = same.next() else {
            let message = format!("no recording of {} is {}", case.name, profile.name());
            return Err(Failure::input(message));
        };
        let whole = case.tokens + turn % (case.context - case.tokens);
        let case = &Case {
            // One that splits the prompt is part of the arithmetic and stays what it was.
            ubatch: if case.ubatch < case.tokens {
                case.ubatch
            } else {
                whole
            },
            ..case.clone()
        };
        let task = Task { case, model: input };
        let theirs = recording.clone().observe(task).map_err(Failure::input)?;
        let engine = self.engine(turn).on_threads(1 + turn % 3);
        let ours = engine
            .with_profile(profile)
            .observe(task)
            .map_err(Failure::input)?;
        Ok(alarm(case, &theirs, &ours))
    }

    fn against_each_other(
        &self,
        case: &Case,
        input: &Input,
        turn: usize,
    ) -> Result<Option<Verdict>, Failure> {
        let letters = case.prompt.chars().count();
        let prompt = case
            .prompt
            .chars()
            .take(1 + turn * 5 % letters.min(60))
            .collect();
        let mut case = Case {
            prompt,
            ubatch: UBATCHES[turn % UBATCHES.len()],
            recordings: Vec::new(),
            nodes: 0,
            greedy_steps: STEPS,
            ..case.clone()
        };
        let [one, other] = [
            self.engines[0].on_threads(1),
            self.engine(turn).on_threads(2),
        ];
        let tokens = one.tokenize(Task {
            case: &case,
            model: input,
        });
        case.tokens = tokens.map_err(Failure::input)?.len();
        case.context = case.tokens + STEPS;
        case.nodes = 1;
        case.positions = (0..case.tokens).collect();
        let task = Task {
            case: &case,
            model: input,
        };
        let [one, other] = [one, other].map(|mut engine| engine.observe(task));
        let (one, other) = (one.map_err(Failure::input)?, other.map_err(Failure::input)?);
        // Every node the one shows must be shown by the other.
        case.nodes = one.trace.len();
        Ok(alarm(&case, &one, &other))
    }
}

fn alarm(case: &Case, theirs: &Observation, ours: &Observation) -> Option<Verdict> {
    let verdict = match compare(case, theirs, ours) {
        Ok(findings) => {
            let coverage: Coverage = findings.coverage(case.declared());
            judge(&findings, &coverage, Apart::Nothing)
        }
        Err(why) => Verdict::Incomparable { why },
    };
    (verdict != Verdict::Agree).then_some(verdict)
}
