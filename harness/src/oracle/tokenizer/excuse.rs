//! The differences between tokenizers that are no fault of the engine, each with its condition.
//!
//! The engine follows the tree that its models come from. Later trees of the family changed a few
//! things, and one of them broke one.

use crate::case::observation::tokenization::{Entry, EscapedBytes, Question, TokenizerReply};
use crate::judge::excuse::Excuse;

/// Two answers to a question, in one of its ways; `api` is the generation of the library's
/// interface that the reference has.
#[derive(Clone, Copy)]
pub struct Answers<'a> {
    pub api: &'a str,
    pub question: &'a Question,
    pub ours: &'a TokenizerReply,
    pub theirs: &'a TokenizerReply,
}

/// One part of a token of the vocabulary, likewise.
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    pub api: &'a str,
    pub part: Part,
    pub ours: &'a Entry,
    pub theirs: &'a Entry,
}

/// The fields of an [`Entry`].
#[derive(Clone, Copy, PartialEq, Eq)]
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

/// Every excuse for answers that differ.
pub fn of_answers<'a>() -> [Excuse<Answers<'a>>; 2] {
    [
        Excuse {
            name: "no-utf8",
            reason: "the engine refuses what is no UTF-8 and says at which byte; the reference \
                     makes ids of it that stand for other bytes, or for these",
            applies: no_utf8,
        },
        Excuse {
            name: "ik-capital-contractions",
            reason: "ik_llama.cpp looks for capitals by halving a table that has no order, does \
                     not find them, and takes 'S, 'T, 'M, 'D, 'RE, 'VE and 'LL for other words",
            applies: capital_contraction,
        },
    ]
}

/// Every excuse for tokens that differ.
pub fn of_tokens<'a>() -> [Excuse<Tokens<'a>>; 2] {
    [
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
    ]
}

/// The attribute of control tokens.
const CONTROL: u32 = 8;

const NEWER_ENDS: [&str; 3] = ["</s>", "<fim_pad>", "<reponame>"];

fn is_newer(api: &str) -> bool {
    !api.contains("October 2024")
}

fn no_utf8(differing: &Answers<'_>) -> Option<String> {
    match (differing.question, differing.ours, differing.theirs) {
        (Question::Text(text), TokenizerReply::Refused(why), TokenizerReply::Ids(_)) => {
            let is_text = std::str::from_utf8(&text.0).is_ok();
            (!is_text).then(|| why.clone())
        }
        _ => None,
    }
}

fn capital_contraction(differing: &Answers<'_>) -> Option<String> {
    match (differing.question, differing.ours, differing.theirs) {
        (Question::Text(EscapedBytes(bytes)), TokenizerReply::Ids(_), TokenizerReply::Ids(_)) => {
            let found = contraction_in_capitals(std::str::from_utf8(bytes).ok()?)?;
            let is_ik = differing.api.starts_with("ik_llama.cpp");
            is_ik.then(|| format!("{found} is in the text"))
        }
        _ => None,
    }
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

fn newer_end(differing: &Tokens<'_>) -> Option<String> {
    let (ours, theirs) = (differing.ours, differing.theirs);
    let known = NEWER_ENDS.iter().any(|text| text.as_bytes() == ours.text.0);
    let ends = differing.part == Part::Ends && theirs.ends && !ours.ends;
    let applies = is_newer(differing.api) && known && ends;
    applies.then(|| format!("{} ends a generation", ours.text))
}

fn control_beside_kind(differing: &Tokens<'_>) -> Option<String> {
    let (ours, theirs) = (differing.ours, differing.theirs);
    let beside = ours.kind == CONTROL && theirs.kind & CONTROL != 0;
    let applies = is_newer(differing.api) && differing.part == Part::Kind && beside;
    applies.then(|| format!("{} has the attributes {:#x}", ours.text, theirs.kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::excuse::find;

    const BITNET: &str = "llama.cpp of October 2024";
    const LLAMA: &str = "llama.cpp with llama_vocab and llama_memory";
    const IK: &str = "ik_llama.cpp, between the generations";

    #[test]
    fn an_excuse_is_for_its_own_difference_and_no_other() {
        let excused = |api, text: &[u8], ours, theirs| {
            let differing = Answers {
                api,
                question: &Question::Text(EscapedBytes(text.to_vec())),
                ours: &ours,
                theirs: &theirs,
            };
            find(&of_answers(), &differing).map(|applied| applied.name)
        };
        let ids = |id| TokenizerReply::Ids(vec![id]);
        let refused = || TokenizerReply::Refused("why".into());
        let died = TokenizerReply::Died("how".into());
        assert_eq!(excused(BITNET, b"\xff", refused(), ids(1)), Some("no-utf8"));
        assert_eq!(excused(BITNET, b"\xff", ids(1), ids(2)), None);
        assert_eq!(excused(BITNET, b"a", refused(), ids(1)), None);
        assert_eq!(excused(BITNET, b"\xff", refused(), died), None);
        let contraction = Some("ik-capital-contractions");
        for text in ["it'S", "'Ll", "a'rE", "''D"].map(str::as_bytes) {
            assert_eq!(excused(IK, text, ids(1), ids(2)), contraction);
            assert_eq!(excused(LLAMA, text, ids(1), ids(2)), None);
        }
        for text in ["it's", "'R", "'LX", "S T M D", "'", "'é"] {
            let name = excused(IK, text.as_bytes(), ids(1), ids(2));
            assert_eq!(name, None, "{text}");
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
            let differing = Tokens {
                api,
                part,
                ours,
                theirs,
            };
            find(&of_tokens(), &differing).map(|applied| applied.name)
        };
        let (ends, kind) = (Part::Ends, Part::Kind);
        let (ours, theirs) = (entry("</s>", 8, false), entry("</s>", 24, true));
        let beside = Some("control-beside-kind");
        for api in [LLAMA, IK] {
            assert_eq!(excused(api, ends, &ours, &theirs), Some("newer-end-marks"));
            assert_eq!(excused(api, kind, &ours, &theirs), beside);
            assert_eq!(excused(api, Part::Text, &ours, &theirs), None);
        }
        for part in [ends, kind] {
            assert_eq!(excused(BITNET, part, &ours, &theirs), None);
        }
        let the_other_way_round = excused(LLAMA, ends, &theirs, &ours);
        assert_eq!(the_other_way_round, None);
        let x = |kind, ends| entry("x", kind, ends);
        assert_eq!(excused(LLAMA, ends, &x(8, false), &x(8, true)), None);
        for (ours, theirs) in [(4, 8), (8, 16), (4, 12)] {
            let (ours, theirs) = (x(ours, false), x(theirs, false));
            assert_eq!(excused(LLAMA, kind, &ours, &theirs), None);
        }
    }
}
