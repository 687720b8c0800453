//! The JSON files of a checkpoint: bounded, and every value refused by its path where it is not
//! what is asked for.

use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use super::unique::Unique;
use crate::bytes::regular_file;
use crate::refusal::{Code, Refusal};

/// The largest vocabularies there are take a tenth of this.
const LIMIT: u64 = 256 << 20;

/// One file.
pub struct Json {
    name: String,
    root: Value,
}

/// A value and the way to it.
#[derive(Clone)]
pub struct Node<'a> {
    /// `config.json.rope_scaling.factor`
    pub path: String,
    /// What stands there.
    pub value: &'a Value,
}

impl Json {
    /// Reads a file; `None` where there is none.
    pub fn read(folder: &Path, name: &str) -> Result<Option<Self>, Refusal> {
        let unreadable = |e: io::Error| Refusal::new(Code::Io, name, "a readable file", e);
        let Some(file) = regular_file(&folder.join(name), name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > LIMIT {
            let rule = format!("at most {LIMIT} bytes of JSON");
            return Err(Refusal::new(Code::JsonInvalid, name, rule, "more"));
        }
        Self::parse(name, &bytes).map(Some)
    }

    /// Takes the text of a file apart.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, Refusal> {
        let Unique(root) = serde_json::from_slice(bytes).map_err(|e| invalid(name, bytes, &e))?;
        let json = Json {
            name: name.to_owned(),
            root,
        };
        match json.root {
            Value::Object(_) => Ok(json),
            _ => Err(json.node().refuse_type("an object")),
        }
    }

    /// The whole of it.
    pub fn node(&self) -> Node<'_> {
        Node {
            path: self.name.clone(),
            value: &self.root,
        }
    }
}

/// Why text is no JSON or names a field twice, with the byte at which it does.
pub fn invalid(name: &str, bytes: &[u8], error: &serde_json::Error) -> Refusal {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let before: usize = lines
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let at = (before + error.column()).min(bytes.len()) as u64;
    let found = format!("{error}, of {} bytes", bytes.len());
    let (code, rule) = if error.is_data() {
        (
            Code::DuplicateKey,
            "an object whose fields have different names",
        )
    } else {
        (Code::JsonInvalid, "JSON")
    };
    Refusal::new(code, name, rule, found).at(at)
}

impl<'a> Node<'a> {
    /// What stands below a key; nothing and `null` are the same.
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(Node {
            path: format!("{}.{key}", self.path),
            value,
        })
    }

    /// What has to stand below a key.
    pub fn need(&self, key: &str, what: &str) -> Result<Node<'a>, Refusal> {
        let field = format!("{}.{key}", self.path);
        let missing = || Refusal::new(Code::MissingKey, field, what, "no such key");
        self.get(key).ok_or_else(missing)
    }

    /// A size: at least one, and no larger than any model has.
    pub fn size(&self) -> Result<usize, Refusal> {
        const MOST: u64 = i32::MAX as u64;
        let number = self.value.as_u64().filter(|n| (1..=MOST).contains(n));
        let rule = format!("an integer of 1..={MOST}");
        number
            .map(|number| number as usize)
            .ok_or_else(|| self.refuse(Code::HparamInvalid, rule, self.shown()))
    }

    /// A token.
    pub fn token(&self) -> Result<u32, Refusal> {
        let number = self.value.as_u64().and_then(|n| u32::try_from(n).ok());
        number.ok_or_else(|| self.refuse_type("a token, an integer of at least 0"))
    }

    /// A number above zero.
    pub fn positive(&self) -> Result<f32, Refusal> {
        let number = self.value.as_f64().map(|number| number as f32);
        let number = number.filter(|number| number.is_finite() && *number > 0.0);
        let rule = "a number above 0";
        number.ok_or_else(|| self.refuse(Code::HparamInvalid, rule, self.shown()))
    }

    /// True or false.
    pub fn bool(&self) -> Result<bool, Refusal> {
        self.value
            .as_bool()
            .ok_or_else(|| self.refuse_type("true or false"))
    }

    /// A text.
    pub fn text(&self) -> Result<&'a str, Refusal> {
        self.value
            .as_str()
            .ok_or_else(|| self.refuse_type("a string"))
    }

    /// What an array holds, each with its way.
    pub fn items(&self) -> Result<impl Iterator<Item = Node<'a>> + use<'a>, Refusal> {
        let items = self.value.as_array();
        let items = items.ok_or_else(|| self.refuse_type("an array"))?;
        let path = self.path.clone();
        Ok(items.iter().enumerate().map(move |(at, value)| Node {
            path: format!("{path}[{at}]"),
            value,
        }))
    }

    /// The names below an object, and what stands there.
    pub fn fields(&self) -> Result<&'a serde_json::Map<String, Value>, Refusal> {
        self.value
            .as_object()
            .ok_or_else(|| self.refuse_type("an object"))
    }

    /// A refusal of this value.
    pub fn refuse(
        &self,
        code: Code,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) -> Refusal {
        Refusal::new(code, &self.path, expected, found)
    }

    /// The value as it stands in the file.
    pub fn shown(&self) -> String {
        self.value.to_string()
    }

    fn refuse_type(&self, expected: &str) -> Refusal {
        self.refuse(Code::WrongKeyType, expected, self.shown())
    }
}
