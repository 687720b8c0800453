//! The keys under one architecture's prefix, each read with the check its kind of number needs.
#![forbid(unsafe_code)]

use std::fmt::Display;

use crate::gguf::{Metadata, Value};
use crate::refusal::{Code, Refusal};

/// The keys under one architecture's prefix.
pub(super) struct Keys<'a> {
    pub(super) metadata: &'a Metadata,
    pub(super) prefix: &'static str,
}

/// What OxiBonsai's converter writes before the dot, whatever the architecture.
const ANY_ARCHITECTURE: &str = "llm";

impl<'a> Keys<'a> {
    /// Those of an architecture, by its name or, where a file has none of them, by OxiBonsai's word
    /// for all of them.
    pub(super) fn of(metadata: &'a Metadata, architecture: &'static str) -> Self {
        let has = |prefix: &str| {
            let mut keys = metadata.iter().map(|(key, _)| key);
            keys.any(|key| {
                key.strip_prefix(prefix)
                    .is_some_and(|key| key.starts_with('.'))
            })
        };
        let prefix = if !has(architecture) && has(ANY_ARCHITECTURE) {
            ANY_ARCHITECTURE
        } else {
            architecture
        };
        Keys { metadata, prefix }
    }
}

impl Keys<'_> {
    pub(super) fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    pub(super) fn u32(&self, key: &str) -> Result<Option<u32>, Refusal> {
        self.metadata.u32(&self.name(key))
    }

    pub(super) fn refuse(&self, key: &str, expected: impl Display, found: impl Display) -> Refusal {
        self.metadata
            .refuse(Code::HparamInvalid, &self.name(key), expected, found)
    }

    pub(super) fn at_least_one(&self, key: &str) -> Result<u32, Refusal> {
        match self.u32(key)? {
            None => Err(self
                .metadata
                .missing(&self.name(key), "an integer of at least 1")),
            Some(0) => Err(self.refuse(key, "at least 1", 0)),
            Some(value) => Ok(value),
        }
    }

    pub(super) fn finite(&self, key: &str) -> Result<Option<f32>, Refusal> {
        let value = self.metadata.f32(&self.name(key))?;
        match value.filter(|value| !value.is_finite()) {
            Some(value) => Err(self.refuse(key, "a finite number", value)),
            None => Ok(value),
        }
    }

    pub(super) fn positive(&self, key: &str) -> Result<Option<f32>, Refusal> {
        let value = self.finite(key)?;
        match value.filter(|&value| value <= 0.0) {
            Some(value) => Err(self.refuse(key, "a number above 0", value)),
            None => Ok(value),
        }
    }

    /// A number per layer may be written as an array; only equal ones can be computed.
    pub(super) fn same_in_all_layers(
        &self,
        key: &str,
        layers: u32,
    ) -> Result<Option<u32>, Refusal> {
        let name = self.name(key);
        let Some(Value::Array(array)) = self.metadata.get(&name) else {
            return self.u32(key);
        };
        if array.len != u64::from(layers) {
            return Err(self.refuse(key, format!("{layers} values, one per block"), array.len));
        }
        let Some(mut values) = array.integers() else {
            let found = Value::Array(array);
            return Err(self
                .metadata
                .wrong_type(&name, "an integer or integers", found));
        };
        let first = values.next().unwrap_or(0);
        if let Some(other) = values.find(|&value| value != first) {
            let rule = format!("the same in all blocks, as in the first: {first}");
            return Err(self.refuse(key, rule, other));
        }
        let narrow = u32::try_from(first);
        narrow
            .map(Some)
            .map_err(|_| self.refuse(key, format!("0..={}", u32::MAX), first))
    }
}
