//! Differences that are known, each by its name, with its reason and a test for it.
//!
//! The engine follows the tree that its models come from. Later trees of the family changed a few
//! things, and one of them broke one.
#![forbid(unsafe_code)]

use crate::case::observation::spelling::{Entry, Question, Raw, Said};

/// A difference that is known.
#[derive(Debug, Clone, Copy)]
pub struct Excuse {
    /// As in the table.
    pub name: &'static str,
    /// Who does what, and why it is right or cannot be otherwise.
    pub reason: &'static str,
    /// Which generations of the library's interface do so.
    pub whose: fn(&str) -> bool,
    /// Whether a difference between two answers, ours and theirs, is this one.
    pub answer: fn(&Question, &Said, &Said) -> bool,
    /// Our token as their generation would have it.
    pub entry: fn(&Entry, &Entry) -> Entry,
}

/// Those of that generation.
pub fn known(api: &str) -> Vec<Excuse> {
    let theirs = KNOWN.iter().filter(|excuse| (excuse.whose)(api));
    theirs.copied().collect()
}

/// The texts of tokens that a generation takes for marks whatever the file says, and this engine
/// does not. The engine is asked with a file that says so too: then every answer can be compared.
pub fn marks(api: &str) -> &'static [&'static str] {
    if is_newer(api) { &["</s>"] } else { &[] }
}

/// All of them.
pub const KNOWN: &[Excuse] = &[
    Excuse {
        name: "no-utf8",
        reason: "the engine refuses what is no UTF-8 and says at which byte; the reference makes \
                 ids of it that stand for other bytes, or for these",
        whose: |_| true,
        answer: |question, ours, theirs| {
            let no_text = text(question).is_none();
            no_text && matches!((ours, theirs), (Said::Refused(_), Said::Ids(_)))
        },
        entry: as_it_is,
    },
    Excuse {
        name: "newer-end-marks",
        reason: "trees later than bitnet.cpp's know more tokens by their text that end a \
                 generation; </s> is a mark to them, so the engine was asked with a file that \
                 says so",
        whose: is_newer,
        answer: |_, _, _| false,
        entry: |ours, _| Entry {
            ends: ours.ends || NEWER_ENDS.iter().any(|text| text.as_bytes() == ours.text.0),
            ..ours.clone()
        },
    },
    Excuse {
        name: "control-beside-kind",
        reason: "trees later than bitnet.cpp's keep what the file says of a token that they take \
                 for a mark beside the new attribute; every function asks for that one first",
        whose: is_newer,
        answer: |_, _, _| false,
        entry: |ours, theirs| Entry {
            kind: match (ours.kind, theirs.kind) {
                (CONTROL, both) if both & CONTROL != 0 => both,
                (kind, _) => kind,
            },
            ..ours.clone()
        },
    },
    Excuse {
        name: "ik-capital-contractions",
        reason: "ik_llama.cpp looks for capitals by halving a table that has no order, does not \
                 find them, and takes 'S, 'T, 'M, 'D, 'RE, 'VE and 'LL for other words",
        whose: |api| api.starts_with("ik_llama.cpp"),
        answer: |question, ours, theirs| {
            let ids = matches!((ours, theirs), (Said::Ids(_), Said::Ids(_)));
            ids && text(question).is_some_and(has_capital_contraction)
        },
        entry: as_it_is,
    },
];

/// The attribute of marks.
const CONTROL: u32 = 8;

const NEWER_ENDS: [&str; 3] = ["</s>", "<fim_pad>", "<reponame>"];

fn is_newer(api: &str) -> bool {
    !api.contains("October 2024")
}

fn as_it_is(ours: &Entry, _: &Entry) -> Entry {
    ours.clone()
}

fn text(question: &Question) -> Option<&str> {
    match question {
        Question::Text(Raw(bytes)) => std::str::from_utf8(bytes).ok(),
        Question::Ids(_) => None,
    }
}

fn has_capital_contraction(text: &str) -> bool {
    let short = ["s", "t", "m", "d", "re", "ve", "ll"];
    text.match_indices('\'').any(|(at, quote)| {
        let rest = &text.as_bytes()[at + quote.len()..];
        short.iter().any(|short| {
            let written = rest.get(..short.len()).unwrap_or_default();
            written != short.as_bytes() && written.eq_ignore_ascii_case(short.as_bytes())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BITNET: &str = "llama.cpp of October 2024";
    const LLAMA: &str = "llama.cpp with llama_vocab and llama_memory";
    const IK: &str = "ik_llama.cpp, between the generations";

    fn excused(api: &str, text: &[u8], ours: Said, theirs: Said) -> Vec<&'static str> {
        let question = Question::Text(Raw(text.to_vec()));
        let applies = |excuse: &Excuse| (excuse.answer)(&question, &ours, &theirs);
        known(api)
            .into_iter()
            .filter(applies)
            .map(|excuse| excuse.name)
            .collect()
    }

    #[test]
    fn an_excuse_is_for_its_own_difference_and_no_other() {
        let ids = |id| Said::Ids(vec![id]);
        let refused = || Said::Refused("why".into());
        assert_eq!(excused(BITNET, b"\xff", refused(), ids(1)), ["no-utf8"]);
        assert!(excused(BITNET, b"\xff", ids(1), ids(2)).is_empty());
        assert!(excused(BITNET, b"a", refused(), ids(1)).is_empty());
        assert!(excused(BITNET, b"\xff", refused(), Said::Died("how".into())).is_empty());
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
            text: Raw(text.into()),
            kind,
            score: 0,
            ends,
            hidden: Raw::default(),
            shown: Raw::default(),
        };
        let adjusted = |api, ours: &Entry, theirs: &Entry| {
            let mut ours = ours.clone();
            known(api)
                .iter()
                .for_each(|excuse| ours = (excuse.entry)(&ours, theirs));
            ours == *theirs
        };
        let (ours, theirs) = (entry("</s>", 8, false), entry("</s>", 24, true));
        assert!(adjusted(LLAMA, &ours, &theirs) && adjusted(IK, &ours, &theirs));
        assert!(!adjusted(BITNET, &ours, &theirs));
        assert!(!adjusted(
            LLAMA,
            &entry("x", 8, false),
            &entry("x", 8, true)
        ));
        assert!(!adjusted(
            LLAMA,
            &entry("x", 4, false),
            &entry("x", 8, false)
        ));
        assert!(!adjusted(
            LLAMA,
            &entry("x", 8, false),
            &entry("x", 16, false)
        ));
        assert!(!adjusted(
            LLAMA,
            &entry("x", 4, false),
            &entry("x", 12, false)
        ));
    }
}
