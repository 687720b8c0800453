//! The differences between tokenizers that are no fault of the engine, each with its condition.
//!
//! The engine follows the tree that its models come from. Later trees of the family changed a few
//! things, and one of them broke one.
#![forbid(unsafe_code)]

use crate::case::observation::tokenization::{Entry, EscapedBytes, Question, TokenizerReply};
use crate::judge::excuse::Excuse;

/// A difference, and which generation of the library's interface shows it.
#[derive(Clone, Copy)]
pub struct Mismatch<'a> {
    /// The generation.
    pub api: &'a str,
    /// What differs.
    pub place: Place<'a>,
}

/// What differs.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// Two answers to a question, in one of its ways.
    Answer {
        /// The question.
        question: &'a Question,
        /// The engine's answer.
        ours: &'a TokenizerReply,
        /// The reference's answer.
        theirs: &'a TokenizerReply,
    },
    /// One part of a token of the vocabulary.
    Token {
        /// Which part.
        part: Part,
        /// The engine's token.
        ours: &'a Entry,
        /// The reference's token.
        theirs: &'a Entry,
    },
}

/// The parts of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the fields of [`Entry`]
pub enum Part {
    Text,
    Kind,
    Score,
    Ends,
    Hidden,
    Shown,
}

/// The texts of tokens that a generation takes for control tokens whatever the file says, and this
/// engine does not. The engine is asked with a file that says so too: then every answer can be
/// compared.
pub fn control_tokens(api: &str) -> &'static [&'static str] {
    if is_newer(api) { &["</s>"] } else { &[] }
}

/// Every excuse for a mismatch between tokenizers.
pub fn known<'a>() -> [Excuse<Mismatch<'a>>; 4] {
    [
        Excuse {
            name: "no-utf8",
            reason: "the engine refuses what is no UTF-8 and says at which byte; the reference \
                     makes ids of it that stand for other bytes, or for these",
            applies: no_utf8,
        },
        Excuse {
            name: "newer-end-marks",
            reason: "trees later than bitnet.cpp's know more tokens by their text that end a \
                     generation; </s> is a control token to them, so the engine was asked with a \
                     file that says so",
            applies: newer_end,
        },
        Excuse {
            name: "control-beside-kind",
            reason: "trees later than bitnet.cpp's keep what the file says of a token that they \
                     take for a control token beside the new attribute; every function asks for \
                     that one first",
            applies: control_beside_kind,
        },
        Excuse {
            name: "ik-capital-contractions",
            reason: "ik_llama.cpp looks for capitals by halving a table that has no order, does \
                     not find them, and takes 'S, 'T, 'M, 'D, 'RE, 'VE and 'LL for other words",
            applies: capital_contraction,
        },
    ]
}

/// The attribute of control tokens.
const CONTROL: u32 = 8;

const NEWER_ENDS: [&str; 3] = ["</s>", "<fim_pad>", "<reponame>"];

fn is_newer(api: &str) -> bool {
    !api.contains("October 2024")
}

fn no_utf8(mismatch: &Mismatch<'_>) -> Option<String> {
    let Place::Answer {
        question: Question::Text(EscapedBytes(bytes)),
        ours: TokenizerReply::Refused(why),
        theirs: TokenizerReply::Ids(_),
    } = mismatch.place
    else {
        return None;
    };
    std::str::from_utf8(bytes).is_err().then(|| why.clone())
}

fn newer_end(mismatch: &Mismatch<'_>) -> Option<String> {
    let Place::Token {
        part: Part::Ends,
        ours,
        theirs,
    } = mismatch.place
    else {
        return None;
    };
    let known = NEWER_ENDS.iter().any(|text| text.as_bytes() == ours.text.0);
    let applies = is_newer(mismatch.api) && known && theirs.ends && !ours.ends;
    applies.then(|| format!("{} ends a generation", ours.text))
}

fn control_beside_kind(mismatch: &Mismatch<'_>) -> Option<String> {
    let Place::Token {
        part: Part::Kind,
        ours,
        theirs,
    } = mismatch.place
    else {
        return None;
    };
    let applies = is_newer(mismatch.api) && ours.kind == CONTROL && theirs.kind & CONTROL != 0;
    applies.then(|| format!("{} has the attributes {:#x}", ours.text, theirs.kind))
}

fn capital_contraction(mismatch: &Mismatch<'_>) -> Option<String> {
    let Place::Answer {
        question: Question::Text(EscapedBytes(bytes)),
        ours: TokenizerReply::Ids(_),
        theirs: TokenizerReply::Ids(_),
    } = mismatch.place
    else {
        return None;
    };
    let text = std::str::from_utf8(bytes).ok()?;
    let found = contraction_in_capitals(text)?;
    (mismatch.api.starts_with("ik_llama.cpp")).then(|| format!("{found} is in the text"))
}

/// A short form of English behind its apostrophe, written in capitals.
fn contraction_in_capitals(text: &str) -> Option<&str> {
    let short = ["s", "t", "m", "d", "re", "ve", "ll"];
    text.match_indices('\'').find_map(|(at, _)| {
        short.iter().find_map(|short| {
            let written = text.get(at..at + 1 + short.len())?;
            let letters = &written[1..];
            (letters != *short && letters.eq_ignore_ascii_case(short)).then_some(written)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::excuse::find;

    const BITNET: &str = "llama.cpp of October 2024";
    const LLAMA: &str = "llama.cpp with llama_vocab and llama_memory";
    const IK: &str = "ik_llama.cpp, between the generations";

    fn excused(
        api: &str,
        text: &[u8],
        ours: TokenizerReply,
        theirs: TokenizerReply,
    ) -> Vec<&'static str> {
        let question = Question::Text(EscapedBytes(text.to_vec()));
        let place = Place::Answer {
            question: &question,
            ours: &ours,
            theirs: &theirs,
        };
        let applied = find(&known(), &Mismatch { api, place });
        applied.map(|applied| applied.name).into_iter().collect()
    }

    #[test]
    fn an_excuse_is_for_its_own_difference_and_no_other() {
        let ids = |id| TokenizerReply::Ids(vec![id]);
        let refused = || TokenizerReply::Refused("why".into());
        assert_eq!(excused(BITNET, b"\xff", refused(), ids(1)), ["no-utf8"]);
        assert!(excused(BITNET, b"\xff", ids(1), ids(2)).is_empty());
        assert!(excused(BITNET, b"a", refused(), ids(1)).is_empty());
        assert!(
            excused(
                BITNET,
                b"\xff",
                refused(),
                TokenizerReply::Died("how".into())
            )
            .is_empty()
        );
        for text in ["it'S", "'Ll", "a'rE", "''D"] {
            let text = text.as_bytes();
            assert_eq!(
                excused(IK, text, ids(1), ids(2)),
                ["ik-capital-contractions"]
            );
            assert!(excused(LLAMA, text, ids(1), ids(2)).is_empty());
        }
        for text in ["it's", "'R", "'LX", "S T M D", "'", "'é"] {
            assert!(
                excused(IK, text.as_bytes(), ids(1), ids(2)).is_empty(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_token_is_excused_in_the_part_that_is_known() {
        let entry = |text: &str, kind, ends| Entry {
            text: EscapedBytes(text.into()),
            kind,
            score: 0,
            ends,
            hidden: EscapedBytes::default(),
            shown: EscapedBytes::default(),
        };
        let excused = |api, part, ours: &Entry, theirs: &Entry| {
            let place = Place::Token { part, ours, theirs };
            find(&known(), &Mismatch { api, place }).map(|applied| applied.name)
        };
        let (ends, kind) = (Part::Ends, Part::Kind);
        let (ours, theirs) = (entry("</s>", 8, false), entry("</s>", 24, true));
        for api in [LLAMA, IK] {
            assert_eq!(excused(api, ends, &ours, &theirs), Some("newer-end-marks"));
            assert_eq!(
                excused(api, kind, &ours, &theirs),
                Some("control-beside-kind")
            );
            assert_eq!(excused(api, Part::Text, &ours, &theirs), None);
        }
        assert_eq!(excused(BITNET, ends, &ours, &theirs), None);
        assert_eq!(excused(BITNET, kind, &ours, &theirs), None);
        assert_eq!(
            excused(LLAMA, ends, &theirs, &ours),
            None,
            "the other way round"
        );
        let x = |kind, ends| entry("x", kind, ends);
        assert_eq!(excused(LLAMA, ends, &x(8, false), &x(8, true)), None);
        for (ours, theirs) in [(4, 8), (8, 16), (4, 12)] {
            let (ours, theirs) = (x(ours, false), x(theirs, false));
            assert_eq!(excused(LLAMA, kind, &ours, &theirs), None);
        }
    }
}
