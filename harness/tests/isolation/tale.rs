//! A rogue that repeats a recording, except for what its tale is about.

use std::path::Path;

use engine::Token;
use harness::case::Case;
use harness::case::observation::tokenization::{EscapedBytes, Question, TokenizerReply};
use harness::case::observation::{Lane, Observation};
use harness::case::schedule::{Schedule, Step};
use harness::file::provenance::Input;
use harness::reference::isolation::{Answer, Channel, Done, Part, Request, Shown, Stop};
use harness::runner::suite::Suite;
use harness::runner::{Runner, Task};

use crate::rogue::{CASE, RECORDING};

/// The node that another one stands for in some tales.
pub const OTHER: &str = "Qcur-0|MUL_MAT#0";

/// What it tells, and the case it is asked about, once a prompt has named it.
pub struct Teller {
    tale: String,
    told: Option<(Case, Observation)>,
}

impl Teller {
    pub fn new(tale: &str) -> Self {
        Teller {
            tale: tale.into(),
            told: None,
        }
    }

    pub fn answer(&mut self, request: Request, channel: &mut Channel) -> Result<Answer, Stop> {
        if self.tale == "no" {
            return Err(Stop::Refused("unknown model architecture: 'bitnet'".into()));
        }
        let model = &request.model().expect("all its requests name one").path;
        let (input, _) = Input::read(model).expect("a fixture");
        let mut model_sha256 = input.sha256.clone();
        let done = match request {
            Request::Open { .. } => Done::Opened,
            Request::Spell { questions, .. } => {
                let said = match &questions[..] {
                    [Question::Text(EscapedBytes(prompt))] => {
                        self.remember(prompt, &input);
                        TokenizerReply::Ids(self.seen().tokens.clone())
                    }
                    _ => {
                        TokenizerReply::Bytes(EscapedBytes(self.seen().greedy.text.clone().into()))
                    }
                };
                let answers = vec![std::array::from_fn(|_| said.clone())];
                Done::Spelled { answers }
            }
            Request::Follow {
                schedule, shown, ..
            } => self.follow(&schedule, &shown, channel)?,
            other => panic!("{other:?}"),
        };
        if self.tale == "another model" && self.is_here() {
            model_sha256 = "0".repeat(64);
        }
        Ok(Answer {
            model_sha256: Some(model_sha256),
            done,
        })
    }

    /// Looks up what was recorded of a prompt.
    fn remember(&mut self, prompt: &[u8], model: &Input) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
        let mut suite = Suite::open(&folder).expect("the committed fixtures are sound");
        let recorded = |case: &&Case| {
            case.prompt.as_bytes() == prompt && case.recordings.iter().any(|r| r == RECORDING)
        };
        let case = suite.cases.iter().find(recorded).expect("recorded").clone();
        let recording = suite.recordings.get_mut(RECORDING);
        let case_of = Task { case: &case, model };
        let seen = recording.expect("among the fixtures").observe(case_of);
        self.told = Some((case, seen.expect("recorded")));
    }

    fn is_here(&self) -> bool {
        self.told
            .as_ref()
            .is_some_and(|(case, _)| case.name == CASE)
    }

    fn seen(&self) -> &Observation {
        &self.told.as_ref().expect("asked about a prompt").1
    }

    fn follow(
        &self,
        schedule: &Schedule,
        shown: &Shown,
        channel: &mut Channel,
    ) -> Result<Done, Stop> {
        if self.tale == "death" && self.is_here() {
            eprintln!("/src/ggml.c:6057: GGML_ASSERT(k >= 8*QK_IQ1BN) failed");
            std::process::abort();
        }
        let (case, seen) = self.told.as_ref().expect("asked about a prompt");
        let vocab_size = seen.lanes[&Lane::Prefill].vocab_size;
        let other = self.tale.starts_with("another node");
        let rows = match &schedule.steps[..] {
            [Step::Feed(_)] => {
                let mut rows = seen.lanes[&Lane::Prefill].values.clone();
                match &self.tale[..] {
                    _ if other => rows[9] += 1.0,
                    "lie" if self.is_here() => rows[700] += 10.0,
                    "moods" if case.nodes > 0 && schedule.threads == 2 => rows[0] += 1e-7,
                    _ => {}
                }
                rows
            }
            [.., Step::Greedy(_)] => {
                let row = |&chosen: &Token| {
                    (0..vocab_size).map(move |t| f32::from(u8::from(t == chosen as usize)))
                };
                let chosen = seen.greedy.tokens.iter().take(schedule.kept());
                chosen.flat_map(row).collect()
            }
            _ => seen.lanes[&Lane::Decode].values.clone(),
        };
        let trace = seen.trace.iter().filter(|_| *shown == Shown::Every);
        for node in trace {
            let mut node = node.clone();
            if other && node.key == OTHER {
                node.values[0] += 1.0;
            }
            channel.part(Part::Node(node))?;
        }
        channel.part(Part::Rows(rows))?;
        Ok(Done::Followed { vocab_size })
    }
}
