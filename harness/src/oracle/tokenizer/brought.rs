//! The tokenizer of an engine that a user brought: asked for the ids of texts in the one way that
//! its protocol has, special tokens added and read in the text.

use std::ops::Range;

use super::TokenizerUnderTest;
use crate::case::observation::tokenization::{ADDED_AND_PARSED, Answer, Question, TokenizerReply};
use crate::exit::Failure;
use crate::reference::isolation::Described;
use crate::runner::{Opened, RunError};

/// A model that it has opened.
pub struct Brought<'o>(pub &'o mut dyn Opened);

impl TokenizerUnderTest for Brought<'_> {
    fn answer(&mut self, questions: &[Question]) -> Result<Vec<Answer>, Failure> {
        questions.iter().map(|asked| self.said(asked)).collect()
    }

    fn describes(&self) -> bool {
        false
    }

    fn describe(&mut self, _: Range<usize>, _: bool) -> Result<Described, Failure> {
        let message = "an engine that is brought says nothing of its vocabulary";
        Err(Failure::input(message))
    }
}

impl Brought<'_> {
    fn said(&mut self, question: &Question) -> Result<Answer, Failure> {
        let mut answer: Answer = std::array::from_fn(|_| TokenizerReply::NotAsked);
        // What is no UTF-8 is no text in JSON either.
        if let Question::Text(text) = question
            && let Ok(text) = std::str::from_utf8(&text.0)
        {
            answer[ADDED_AND_PARSED] = match self.0.tokenize(text) {
                Ok(ids) => TokenizerReply::Ids(ids),
                Err(RunError::Refused(why) | RunError::Declined(why) | RunError::NoAnswer(why)) => {
                    TokenizerReply::Refused(why)
                }
                Err(lost) => return Err(lost.into()),
            };
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use engine::Token;
    use engine::bytes::ModelBytes;
    use engine::gguf::Gguf;
    use engine::kernels::Kernel;
    use engine::tokenizer::Tokenizer;

    use super::*;
    use crate::case::schedule::Schedule;
    use crate::judge::outcome::Outcome;
    use crate::oracle::tokenizer::Pair;
    use crate::oracle::tokenizer::engine::Engine;
    use crate::oracle::tokenizer::examine::{Plan, Report, examine};
    use crate::runner::watch::Watch;
    use crate::runner::{Followed, ModelFile, Runner};

    /// The built-in engine as somebody else's, which may lose the last token of texts with a digit.
    struct Foreign<'o> {
        engine: Box<dyn Opened + 'o>,
        wrong: bool,
    }

    impl Opened for Foreign<'_> {
        fn tokenize(&mut self, text: &str) -> Result<Vec<Token>, RunError> {
            let mut ids = self.engine.tokenize(text)?;
            if self.wrong && text.contains(|c: char| c.is_ascii_digit()) {
                ids.pop();
            }
            Ok(ids)
        }

        fn text(&mut self, tokens: &[Token]) -> Result<String, RunError> {
            self.engine.text(tokens)
        }

        fn follow(&mut self, _: &Schedule, _: &Watch<'_>) -> Result<Followed, RunError> {
            Err(RunError::NoAnswer("it is asked for tokens only".into()))
        }
    }

    fn examined(wrong: bool) -> Report {
        let fixture = include_bytes!("../../../../fixtures/moby-tiny/moby-tiny-b158.gguf");
        let gguf = Gguf::parse(ModelBytes::from_vec(fixture.to_vec())).expect("sound");
        let tokenizer = Tokenizer::from_metadata(&gguf.metadata).expect("sound");
        let tokenizer = tokenizer.expect("a vocabulary");
        let mut engine = crate::runner::engine::Engine::new(Kernel::Scalar, 1);
        let engine = engine.open(ModelFile::Made(fixture)).expect("sound");
        let mut foreign = Foreign { engine, wrong };
        let mut pair = Pair {
            ours: &mut Engine(&tokenizer),
            theirs: &mut Brought(&mut foreign),
            api: "",
        };
        let plan = Plan {
            questions: 100,
            seed: 1,
            prompts: vec!["it's 1234".into()],
            only: Vec::new(),
        };
        examine(&mut pair, &tokenizer, &plan, &mut |_| {})
    }

    #[test]
    fn one_way_is_compared_and_the_others_are_counted() {
        let report = examined(false);
        assert_eq!(report.outcome(), Outcome::Ok, "{report:?}");
        let tally = &report.answers;
        assert!(tally.equal > 50, "{tally:?}");
        assert!(tally.not_asked >= 3 * tally.equal, "{tally:?}");
    }

    #[test]
    fn a_tokenizer_with_a_fault_is_found_by_the_smallest_text_that_shows_it() {
        let report = examined(true);
        assert_eq!(report.outcome(), Outcome::Divergence);
        let found = &report.answers.findings[0];
        assert_eq!(found.way, "add and parse");
        assert_eq!(found.question.len(), 1, "{found:?}");
    }
}
