//! Faults planted on our side: each is noticed, and shrunk to what shows it.
#![forbid(unsafe_code)]

use std::ops::Range;

use engine::tokenizer::Tokenizer;
use harness::case::observation::tokenization::{Answer, EscapedBytes, Question, TokenizerReply};
use harness::exit::{Exit, Failure};
use harness::judge::outcome::Outcome;
use harness::oracle::tokenizer::engine::Engine;
use harness::oracle::tokenizer::examine::{Plan, Report, examine};
use harness::oracle::tokenizer::{Finding, Pair, TokenizerUnderTest};
use harness::reference::isolation::Described;

use crate::tokenizer::vocabulary::Vocabulary;

/// A tokenizer whose answers are tampered with.
struct Tampered<'a> {
    honest: Engine<'a>,
    tamper: fn(&Question, &mut Answer),
    /// How often it was asked.
    asked: usize,
}

impl<'a> Tampered<'a> {
    fn new(tokenizer: &'a Tokenizer, tamper: fn(&Question, &mut Answer)) -> Self {
        Tampered {
            honest: Engine(tokenizer),
            tamper,
            asked: 0,
        }
    }
}

impl TokenizerUnderTest for Tampered<'_> {
    fn answer(&mut self, questions: &[Question]) -> Result<Vec<Answer>, Failure> {
        self.asked += 1;
        let mut answers = self.honest.answer(questions)?;
        let pairs = questions.iter().zip(&mut answers);
        pairs.for_each(|(question, answer)| (self.tamper)(question, answer));
        Ok(answers)
    }

    fn describe(&mut self, tokens: Range<usize>, full: bool) -> Result<Described, Failure> {
        self.honest.describe(tokens, full)
    }
}

fn compared(
    ours: &mut dyn TokenizerUnderTest,
    theirs: &mut dyn TokenizerUnderTest,
    of: &Tokenizer,
) -> Report {
    let plan = Plan {
        questions: 150,
        seed: 1,
        prompts: vec!["it'S 1234 the abc".into()],
        only: Vec::new(),
    };
    let mut pair = Pair {
        ours,
        theirs,
        api: "llama.cpp of October 2024",
    };
    examine(&mut pair, of, &plan, &mut |_| ())
}

/// Our file says something else than theirs.
fn with_file(change: fn(&mut Vocabulary)) -> Report {
    let right = Vocabulary::default();
    let mut wrong = right.clone();
    change(&mut wrong);
    let (right, wrong) = (right.tokenizer(), wrong.tokenizer());
    compared(&mut Engine(&wrong), &mut Engine(&right), &right)
}

/// Our answers are tampered with.
fn with_answers(tamper: fn(&Question, &mut Answer)) -> Report {
    let right = Vocabulary::default().tokenizer();
    let mut ours = Tampered::new(&right, tamper);
    compared(&mut ours, &mut Engine(&right), &right)
}

#[track_caller]
fn assert_caught(report: &Report, smallest: &[Question]) {
    assert_eq!(report.outcome(), Outcome::Divergence);
    let found = &report.answers.findings;
    for question in smallest {
        let same = found.iter().any(|finding| finding.question == *question);
        assert!(same, "{question:?} is not among {found:#?}");
    }
    let longest = found.iter().map(|finding| finding.question.len()).max();
    assert!(longest <= Some(4), "{found:#?}");
}

fn text(text: &str) -> Question {
    Question::Text(EscapedBytes(text.into()))
}

#[test]
fn the_same_on_both_sides_agrees_in_every_answer() {
    let report = with_file(|_| ());
    assert_eq!(report.outcome(), Outcome::Ok);
    let tally = &report.answers;
    assert_eq!((tally.different, &report.unsteady), (0, &None));
    assert_eq!(tally.excused.total(), 0, "both refuse what is no text");
    assert_eq!(tally.answers(), 4 * (tally.texts + tally.lists));
    assert!(tally.equal > 1500 && tally.refused >= 4 * 24, "{tally:?}");
    assert_eq!(report.vocabulary.equal, 256 + 10 + 3);
}

#[test]
fn word_rules_ignored() {
    assert_caught(&with_file(|v| v.rules = "default"), &[text("'S")]);
}

#[test]
fn two_merges_exchanged() {
    assert_caught(&with_file(|v| v.merges.swap(0, 1)), &[text("abc")]);
}

#[test]
fn a_merge_missing_in_the_middle() {
    let report = with_file(|v| v.merges[8] = "2 3");
    assert!(!report.vocabulary.agree(), "its token is another one");
    assert_caught(&report, &[text("23")]);
}

#[test]
fn the_begin_of_the_text_doubled() {
    let report = with_answers(|_, answer| {
        for way in [1, 3] {
            if let TokenizerReply::Ids(ids) = &mut answer[way] {
                ids.extend_from_within(..1);
                ids.rotate_right(1);
            }
        }
    });
    assert_caught(&report, &[text("")]);
    assert_eq!(report.answers.findings[0].way, "add");
}

#[test]
fn special_tokens_left_unparsed() {
    let report = with_answers(|question, answer| {
        if matches!(question, Question::Text(_)) {
            answer[2] = answer[0].clone();
            answer[3] = answer[1].clone();
        }
    });
    assert_caught(&report, &[text("<b>"), text("<e>")]);
    let found = &report.answers.findings;
    assert!(
        found.iter().all(|finding| finding.way == "parse"),
        "{found:?}"
    );
}

#[test]
fn a_byte_of_the_text_dropped_on_the_way_back() {
    let report = with_answers(|_, answer| {
        for said in answer {
            if let TokenizerReply::Bytes(EscapedBytes(bytes)) = said
                && bytes.len() > 2
            {
                bytes.remove(1);
            }
        }
    });
    assert_caught(&report, &[]);
    let found = &report.answers.findings;
    let shortest = |f: &Finding| matches!(&f.question, Question::Ids(ids) if ids.len() <= 3);
    assert!(found.iter().all(shortest), "{found:?}");
    assert!(found.iter().all(|f| f.first_difference() > Some(0)));
}

#[test]
fn a_token_of_another_kind() {
    let report = with_file(|v| v.kind_of_mark = 1);
    let said = report.vocabulary.differences.join("\n");
    assert!(
        said.contains("token 266: attributes 4, theirs 16"),
        "{said}"
    );
    assert_caught(&report, &[text("<m>")]);
}

#[test]
fn text_refused_by_one_side_only() {
    let report = with_answers(|question, answer| {
        if matches!(question, Question::Text(text) if text.0.contains(&b'\0')) {
            *answer = std::array::from_fn(|_| TokenizerReply::Refused("a NUL".into()));
        }
    });
    assert_caught(&report, &[text("\0")]);
}

#[test]
fn who_dies_or_changes_its_mind_is_no_witness() {
    let right = Vocabulary::default().tokenizer();
    let mut mortal = Tampered::new(&right, |question, answer| {
        if matches!(question, Question::Text(text) if text.0.contains(&b'Z')) {
            *answer = std::array::from_fn(|_| TokenizerReply::Died("SIGSEGV".into()));
        }
    });
    let report = compared(&mut Engine(&right), &mut mortal, &right);
    assert_eq!(report.outcome(), Outcome::ReferenceDied);
    let found = &report.answers.findings[0];
    assert!(
        found.found_in == found.question.len(),
        "a death is not repeated: {found:?}"
    );
    assert!(found.argument.contains('Z'));

    struct Fickle<'a>(Tampered<'a>);
    impl TokenizerUnderTest for Fickle<'_> {
        fn answer(&mut self, questions: &[Question]) -> Result<Vec<Answer>, Failure> {
            let mut answers = self.0.answer(questions)?;
            if self.0.asked == 2 {
                answers[7] = std::array::from_fn(|_| TokenizerReply::Ids(vec![1]));
            }
            Ok(answers)
        }
        fn describe(&mut self, tokens: Range<usize>, full: bool) -> Result<Described, Failure> {
            self.0.describe(tokens, full)
        }
    }
    let mut fickle = Fickle(Tampered::new(&right, |_, _| ()));
    let report = compared(&mut Engine(&right), &mut fickle, &right);
    assert_eq!(report.answers.different, 0);
    assert!(report.unsteady.is_some());
    assert_eq!(report.outcome(), Outcome::Divergence);
}

#[test]
fn what_differs_is_kept_whenever_the_other_side_dies_afterwards() {
    /// Wrong about every Z, and gone for good once it was asked so often.
    struct Failing<'a>(Tampered<'a>, usize);
    impl TokenizerUnderTest for Failing<'_> {
        fn answer(&mut self, questions: &[Question]) -> Result<Vec<Answer>, Failure> {
            if self.0.asked == self.1 {
                let (exit, message) = (Exit::ReferenceDied, "SIGKILL");
                return Err(Failure::new(exit, message));
            }
            self.0.answer(questions)
        }
        fn describe(&mut self, tokens: Range<usize>, full: bool) -> Result<Described, Failure> {
            self.0.describe(tokens, full)
        }
    }
    let right = Vocabulary::default().tokenizer();
    let after = |answered| {
        let tampered = Tampered::new(&right, |question, answer| {
            if matches!(question, Question::Text(text) if text.0.contains(&b'Z')) {
                *answer = std::array::from_fn(|_| TokenizerReply::Ids(vec![1]));
            }
        });
        compared(
            &mut Engine(&right),
            &mut Failing(tampered, answered),
            &right,
        )
    };
    let never = after(usize::MAX);
    assert_eq!((never.outcome(), &never.lost), (Outcome::Divergence, &None));
    assert_eq!(after(0).outcome(), Outcome::ReferenceDied);
    for answered in [1, 2, 5, 30] {
        let report = after(answered);
        let lost = report.lost.as_ref().expect("it died");
        assert_eq!(
            (lost.outcome, &lost.why[..]),
            (Outcome::ReferenceDied, "SIGKILL")
        );
        assert_eq!(report.outcome(), Outcome::Divergence, "after {answered}");
        let found = &report.answers.findings[0];
        assert!(found.argument.contains('Z') && found.ours != found.theirs);
        assert_eq!(
            found.question.len() == found.found_in,
            answered == 1,
            "{found:?}"
        );
    }
}
