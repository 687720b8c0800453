//! Collects what is odd about a file without letting the file decide how much is collected.
#![forbid(unsafe_code)]

/// Something unusual that does not make the file unusable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Stable upper-case name, e.g. `TRAILING_DATA`.
    pub name: &'static str,
    /// The first field or tensor it is about.
    pub field: String,
    /// One sentence.
    pub detail: String,
    /// How many fields it is about.
    pub count: u64,
}

/// One warning per name: the first place in full, the others counted.
#[derive(Default)]
pub(super) struct Oddities(Vec<Warning>);

impl Oddities {
    /// Notes one oddity; `describe` gives field and detail and runs for the first of its name.
    pub(super) fn note(&mut self, name: &'static str, describe: impl FnOnce() -> (String, String)) {
        if let Some(known) = self.0.iter_mut().find(|warning| warning.name == name) {
            known.count += 1;
            return;
        }
        let (field, detail) = describe();
        self.0.push(Warning {
            name,
            field,
            detail,
            count: 1,
        });
    }

    pub(super) fn into_warnings(self) -> Vec<Warning> {
        self.0
    }
}
