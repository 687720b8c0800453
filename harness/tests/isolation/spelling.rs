//! Tokenizers that die of one question among many, or answer what was not asked.
#![forbid(unsafe_code)]

use std::path::Path;
use std::rc::Rc;

use engine::gguf::Gguf;
use harness::case::observation::tokenization::{EscapedBytes, Facts, Question, TokenizerReply};
use harness::exit::Exit;
use harness::file::provenance::Input;
use harness::oracle::tokenizer::TokenizerUnderTest;
use harness::oracle::tokenizer::reference::Spec;
use harness::reference::Reference;
use harness::reference::isolation::{Answer, Described, Done, Kind, Request, Stop};
use harness::runner::RunError;

use crate::rogue::launch;
use crate::workers::limits;

/// The rogue's side: it spells a text as the lengths of it, unless it misbehaves.
pub fn answer(misdeed: &str, request: Request) -> Result<Answer, Stop> {
    let model = request.model().expect("of a model").path.clone();
    let (input, _) = Input::read(&model).map_err(|e| Stop::Refused(e.to_string()))?;
    let mut model_sha256 = input.sha256;
    let done = match request {
        Request::Describe { .. } => {
            if misdeed == "another model" {
                model_sha256.replace_range(..1, "x");
            }
            Done::Described(description())
        }
        Request::Spell { questions, .. } => {
            let deadly = |question: &Question| *question == text("deadly");
            if misdeed == "dies of one" && questions.iter().any(deadly) {
                std::process::abort();
            }
            let said = |question: &Question| {
                std::array::from_fn(|_| TokenizerReply::Ids(vec![question.len() as u32]))
            };
            let mut answers: Vec<_> = questions.iter().map(said).collect();
            if misdeed == "forgets one" {
                answers.pop();
            }
            Done::Spelled { answers }
        }
        other => return Err(Stop::Refused(format!("{other:?}"))),
    };
    Ok(Answer {
        model_sha256: Some(model_sha256),
        done,
    })
}

fn description() -> Described {
    Described {
        facts: Facts {
            tokens: 1024,
            bos: None,
            eos: None,
            add_bos: None,
            add_eos: None,
        },
        sha256: String::new(),
        entries: Vec::new(),
    }
}

fn text(text: &str) -> Question {
    Question::Text(EscapedBytes(text.into()))
}

fn with<T>(misdeed: &'static str, work: impl FnOnce(Result<Spec, RunError>) -> T) -> T {
    let model = Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = model.join("../fixtures/moby-tiny/moby-tiny-bitnet.gguf");
    let (input, bytes) = Input::read(&model).expect("a fixture");
    let gguf = Gguf::parse(bytes).expect("sound");
    let launch = Rc::new(move || launch(misdeed));
    let reference = Reference::open("rogue", limits(), launch).expect("it says hello");
    work(Spec::open(&reference, &input, &gguf))
}

#[test]
fn one_deadly_question_costs_its_own_answer_and_no_other() {
    with("dies of one", |asked| {
        let mut questions: Vec<Question> = (0..11).map(|n| text(&"a".repeat(n))).collect();
        questions.insert(6, text("deadly"));
        let answers = asked.expect("opens").answer(&questions).expect("goes on");
        assert_eq!(answers.len(), questions.len());
        for (question, answer) in questions.iter().zip(&answers) {
            match (question == &questions[6], &answer[0]) {
                (true, TokenizerReply::Died(how)) => assert!(how.contains("SIGABRT"), "{how}"),
                (false, said) => {
                    assert_eq!(*said, TokenizerReply::Ids(vec![question.len() as u32]))
                }
                (true, said) => panic!("{said:?}"),
            }
        }
    });
}

#[test]
fn who_dies_of_everything_is_not_asked_for_ever() {
    with("dies of one", |asked| {
        let deadly = vec![text("deadly"); 40];
        let ended = asked.expect("opens").answer(&deadly).expect_err("enough");
        assert_eq!(ended.exit, Exit::ReferenceDied);
    });
}

#[test]
fn answers_that_fit_no_question_are_garbage() {
    with("forgets one", |asked| {
        let answers = asked.expect("opens").answer(&[text("a")]);
        let answers = answers.expect("alone it costs its answer");
        let lost = |how: &String| how.contains("fit no question");
        let died = |reply: &TokenizerReply| match reply {
            TokenizerReply::Died(how) => lost(how),
            _ => false,
        };
        assert!(answers.iter().flatten().all(died), "{answers:?}");
    });
    with("another model", |asked| match asked {
        Err(RunError::Lost(death)) => assert_eq!(death.kind, Kind::ProtocolError, "{death}"),
        other => panic!("{:?}", other.err()),
    });
}
