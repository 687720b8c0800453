//! One malformed file: its bytes, the stage that decides about it, and what that stage must say.

use engine::refusal::{Code, Refusal};

use crate::builder::Built;

/// Who reads the file, in order. A case is decided by the last one that looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Parse,
    Config,
    Tokenizer,
    /// The search for numbers that are none, made on request only.
    Finite,
    /// `Model::open`: packings and shapes.
    Open,
    /// One token through the model.
    Eval,
}

#[derive(Clone)]
pub struct Case {
    pub id: &'static str,
    pub bytes: Vec<u8>,
    /// How many of them come before the data.
    pub metadata: u64,
    pub stage: Stage,
    pub expect: Expect,
}

#[derive(Clone)]
pub enum Expect {
    /// Accepted by every stage, with exactly these warnings.
    Accepted(Vec<&'static str>),
    Refused(Refused),
}

#[derive(Clone)]
pub struct Refused {
    /// Usually one; several where the mutation only promises that the framing breaks.
    pub codes: Vec<Code>,
    pub field: Option<String>,
    pub offset: Option<u64>,
    /// What `expected` and `found` must mention.
    pub says: Option<[String; 2]>,
}

impl Case {
    /// Accepted without a word.
    pub fn accepted(id: &'static str, built: Built) -> Self {
        Case {
            id,
            metadata: built.place("tensors.end").min(built.bytes.len() as u64),
            bytes: built.bytes,
            stage: Stage::Config,
            expect: Expect::Accepted(Vec::new()),
        }
    }

    /// Refused by the parser at a field, whose place the builder knows.
    pub fn refused(id: &'static str, code: Code, field: &str, built: Built) -> Self {
        let offset = built.place(field);
        Case::refused_at(id, code, field, offset, built)
    }

    /// Refused by the parser at a field the builder did not write under that path.
    pub fn refused_at(
        id: &'static str,
        code: Code,
        field: &str,
        offset: impl Into<Option<u64>>,
        built: Built,
    ) -> Self {
        Case {
            id,
            metadata: built.place("tensors.end").min(built.bytes.len() as u64),
            bytes: built.bytes,
            stage: Stage::Parse,
            expect: Expect::Refused(Refused {
                codes: vec![code],
                field: Some(field.to_owned()),
                offset: offset.into(),
                says: None,
            }),
        }
    }

    /// Refused because counts and entries no longer match, wherever that shows first.
    pub fn misframed(id: &'static str, codes: &[Code], built: Built) -> Self {
        Case {
            id,
            metadata: built.place("tensors.end").min(built.bytes.len() as u64),
            bytes: built.bytes,
            stage: Stage::Parse,
            expect: Expect::Refused(Refused {
                codes: codes.to_vec(),
                field: None,
                offset: None,
                says: None,
            }),
        }
    }

    /// Decided by a later stage than the parser.
    pub fn by(mut self, stage: Stage) -> Self {
        self.stage = stage;
        self
    }

    /// The two things that must be said to disagree.
    pub fn says(mut self, expected: impl ToString, found: impl ToString) -> Self {
        if let Expect::Refused(refused) = &mut self.expect {
            refused.says = Some([expected.to_string(), found.to_string()]);
        }
        self
    }

    /// Accepted, but not without this warning.
    pub fn warns(mut self, name: &'static str) -> Self {
        if let Expect::Accepted(warnings) = &mut self.expect {
            warnings.push(name);
        }
        self
    }
}

impl Refused {
    /// What is wrong with the answer, if anything.
    pub fn complaint(&self, refusal: &Refusal) -> Option<String> {
        if !self.codes.contains(&refusal.code) {
            return Some(format!("expected {:?}", self.codes));
        }
        if self
            .field
            .as_ref()
            .is_some_and(|field| *field != refusal.field)
        {
            return Some(format!("expected the field {:?}", self.field));
        }
        if self.field.is_some() && self.offset != refusal.offset {
            return Some(format!("expected the offset {:?}", self.offset));
        }
        let [expected, found] = self.says.as_ref()?;
        let silent = !mentions(&refusal.expected, expected) || !mentions(&refusal.found, found);
        silent.then(|| format!("expected it to say {expected:?} against {found:?}"))
    }
}

/// Whether `text` contains `word`, and not as a part of a longer number.
fn mentions(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        let sign = before == Some('-');
        let starts = !word.starts_with(|c: char| c.is_ascii_digit()) || !(digit(before) || sign);
        let ends = !word.ends_with(|c: char| c.is_ascii_digit()) || !digit(after);
        starts && ends
    })
}

#[test]
fn a_number_inside_a_longer_one_is_not_mentioned() {
    assert!(mentions("at most 32 bytes", "32"));
    assert!(!mentions("at most 320 bytes", "32"));
    assert!(!mentions("1032", "32"));
    assert!(!mentions("found -1", "1"));
    assert!(mentions("found -1", "-1"));
}
