//! What libraries once answered about their kernels, as hashes that are committed: every set of
//! instructions this machine has must answer the same, without a library at hand.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use engine::encoding::Author;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use serde::{Deserialize, Serialize};

use super::examine::{self, Ending, First, Row, Scope};
use super::{Examined, Recalled};
use crate::exit::Failure;
use crate::file::provenance::{Input, sha256};
use crate::judge::excuse::Applied;
use crate::reference::Source;
use crate::reference::isolation::Call;
use crate::runner::guarded;
use crate::runner::kernels::engine::EngineKernels;
use crate::runner::kernels::family::Family;
use crate::runner::kernels::question::{Answer, Computer, Difference, Question};

/// The version of the file that this build reads.
const SCHEMA: u32 = 2;
/// Where it lies in the fixtures folder.
pub const FILE: &str = "kernels.json";
/// Digits of a hash, which is looked up by nobody who wishes for another answer of the same.
const DIGITS: usize = 12;
/// Stands for an answer that differs from ours by name, and is none for everybody.
const EXCUSED: &str = "-";

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Grows with every change of the fields.
    pub schema_version: u32,
    /// Makes the questions.
    pub seed: u64,
    /// Random questions a kernel, beside the chosen ones.
    pub cases: usize,
    /// Who was asked, by name.
    pub libraries: BTreeMap<String, Source>,
    /// Whose bytes they write for weights, by name, where that is known.
    #[serde(default)]
    pub authors: BTreeMap<String, String>,
    /// What they answered, by library and kernel: a hash a question.
    pub answers: BTreeMap<String, BTreeMap<String, String>>,
}

impl Record {
    /// What was just examined, as far as all that is judged agrees.
    pub fn of(scope: (u64, usize), examined: &[Examined]) -> Result<Self, Failure> {
        let (mut libraries, mut answers) = (BTreeMap::new(), BTreeMap::new());
        let mut authors = BTreeMap::new();
        for one in examined {
            let name = &one.reference.name;
            let judged = one.kernels.iter().filter(|row| row.judged);
            let complete = judged.filter(|row| row.ending == Ending::Complete);
            let hashes = complete.map(|row| (row.kernel.clone(), row.hashes.join(" ")));
            let all: BTreeMap<String, String> = hashes.collect();
            if all.is_empty() {
                return Err(Failure::input(format!("{name} answered nothing to record")));
            }
            answers.insert(name.clone(), all);
            let author = one.reference.author();
            authors.extend(author.map(|author| (name.clone(), author.name().to_owned())));
            libraries.insert(name.clone(), Source::of(&one.reference, one.profile));
        }
        Ok(Record {
            schema_version: SCHEMA,
            seed: scope.0,
            cases: scope.1,
            libraries,
            authors,
            answers,
        })
    }

    /// Whether the questions are those of another record.
    pub fn asks_as(&self, other: &Record) -> bool {
        (self.seed, self.cases) == (other.seed, other.cases)
    }

    /// What others said before to the same questions is kept.
    pub fn keeping(self, mut before: Record) -> Self {
        if !self.asks_as(&before) {
            return self;
        }
        before.libraries.extend(self.libraries);
        before.authors.extend(self.authors);
        before.answers.extend(self.answers);
        before
    }

    /// Reads the record of a fixtures folder.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let (_, bytes) = Input::read(&path)?;
        let wrong = |e: &dyn Display| Failure::input(format!("{}: {e}", path.display()));
        let record: Record = serde_json::from_slice(&bytes).map_err(|e| wrong(&e))?;
        if record.schema_version != SCHEMA {
            let found = record.schema_version;
            return Err(wrong(&format!(
                "schema {found} where this build reads {SCHEMA}"
            )));
        }
        Ok(record)
    }

    /// Whether any library answered about that kernel.
    pub fn answers(&self, kernel: &str) -> bool {
        self.answers.values().any(|said| said.contains_key(kernel))
    }

    /// Holds those kernels of the engine, on each set of instructions, to what every library
    /// answered; and in the arithmetics that nobody was asked in, to the plain one.
    pub fn recall(
        &self,
        families: &[Family],
        kernels: &[Kernel],
    ) -> Result<Vec<Recalled>, Failure> {
        let mut all = Vec::new();
        let mut profiles = Profile::ALL.to_vec();
        for (name, source) in &self.libraries {
            let profile = Profile::from_name(&source.profile).ok_or_else(|| {
                let profile = &source.profile;
                Failure::input(format!("{FILE}: there is no profile {profile:?}"))
            })?;
            profiles.retain(|other| *other != profile);
            let author = self.author(name)?;
            let none = BTreeMap::new();
            let said = self.answers.get(name).unwrap_or(&none);
            let has = |family: &Family| said.contains_key(&family.name());
            let has_arithmetic = families.iter().any(|f| f.is_arithmetic() && has(f));
            for &kernel in kernels {
                let ours = EngineKernels::new(profile, kernel).writing_as(author);
                // What is no arithmetic is the same code everywhere.
                let whole = kernel == Kernel::Scalar || kernels.len() == 1;
                if !whole && !has_arithmetic {
                    continue;
                }
                let asked = families
                    .iter()
                    .filter(|family| whole || family.is_arithmetic());
                let rows = asked.map(|&family| self.row(family, said, ours));
                all.push(Recalled::new(Some(name), profile, kernel, rows.collect()));
            }
        }
        for profile in profiles {
            for &kernel in kernels.iter().filter(|&&kernel| kernel != Kernel::Scalar) {
                all.push(self.beside_the_plain_one(profile, kernel, families));
            }
        }
        Ok(all)
    }

    /// Nobody's is asked for where no author is on record: see [`Scope::same_author`].
    fn author(&self, library: &str) -> Result<Author, Failure> {
        let Some(name) = self.authors.get(library) else {
            return Ok(Author::default());
        };
        let unknown = || Failure::input(format!("{FILE}: there is no author {name:?}"));
        Author::from_name(name).ok_or_else(unknown)
    }

    fn row(&self, family: Family, said: &BTreeMap<String, String>, mut ours: EngineKernels) -> Row {
        let mut row = Row::new(family, true);
        let Some(hashes) = said.get(&row.kernel) else {
            row.ending = Ending::NotThere("the record has no answer".into());
            return row;
        };
        for (case, theirs) in hashes.split(' ').enumerate() {
            let question = family.question(self.seed, case);
            let answer = match guarded(|| Ok(ours.compute(&question))) {
                Ok(Ok(answer)) => examine::meaningful(&question, answer),
                Ok(Err(refused)) => {
                    row.ending = refused.into();
                    return row;
                }
                Err(died) => {
                    row.ending = Ending::EngineDied(died.to_string());
                    return row;
                }
            };
            row.cases += 1;
            row.values += answer.size();
            if theirs == EXCUSED {
                for _ in 0..answer.size() {
                    let first = || format!("--only {} --case {case}", row.kernel);
                    row.excused.add(unrecorded(&question), first);
                }
                continue;
            }
            let ours = hash(&question, &answer);
            if theirs == ours {
                row.equal += answer.size();
                continue;
            }
            // An answer of nothing differs as well.
            row.differ += answer.size().max(1);
            let first = || otherwise((family, case), &question, [theirs, &ours]);
            row.first.get_or_insert_with(first);
        }
        if row.cases != family.chosen() + self.cases {
            row.ending = Ending::Refused(format!("{} answers are on record", row.cases));
        } else if row.equal == 0 && row.differ == 0 {
            row.ending = Ending::Refused("no answer on record can be compared".into());
        }
        row
    }

    fn beside_the_plain_one(
        &self,
        profile: Profile,
        kernel: Kernel,
        families: &[Family],
    ) -> Recalled {
        let scope = Scope {
            seed: self.seed,
            cases: self.cases,
            families: families
                .iter()
                .copied()
                .filter(|f| f.is_arithmetic())
                .collect(),
            case: None,
            same_arithmetic: true,
            same_author: true,
        };
        let [mut plain, mut ours] =
            [Kernel::Scalar, kernel].map(|k| EngineKernels::new(profile, k));
        let rows = examine::examine(&mut plain, &mut ours, &scope, &mut || ());
        Recalled::new(None, profile, kernel, rows)
    }
}

/// The first answer that is not the one on record: the record has no values to show.
fn otherwise((family, case): (Family, usize), question: &Question, sides: [&str; 2]) -> First {
    let [theirs, ours] = sides.map(str::to_owned);
    First {
        case,
        about: family.describe(case),
        asked: question.call.to_string(),
        shrunk_to: question.call.to_string(),
        inputs: examine::inputs(question),
        difference: Difference {
            place: "the hash".into(),
            theirs,
            ours,
        },
        packing: None,
    }
}

/// Why an answer is not compared.
fn unrecorded(question: &Question) -> Applied<'static> {
    Applied {
        name: "not-on-record",
        reason: "the library's answer differed from the engine's by a named excuse when it was \
                 recorded, and of a hash no part can be compared",
        because: question.call.to_string(),
    }
}

/// The bits of an answer. Those of a NaN that a product made depend on the order of operands, which
/// nobody promises.
fn hash(question: &Question, answer: &Answer) -> String {
    let product = matches!(question.call, Call::Dot { .. });
    let bits = |value: &f32| match value {
        nan if product && nan.is_nan() => f32::NAN.to_bits(),
        value => value.to_bits(),
    };
    let values = answer.values.iter().map(bits);
    let mut bytes: Vec<u8> = values.flat_map(u32::to_le_bytes).collect();
    bytes.extend(&answer.bytes);
    bytes.extend(answer.sum.unwrap_or_default().to_le_bytes());
    sha256(&bytes)[..DIGITS].to_owned()
}

/// What is put on record of two answers: nothing where they differ, if only by name.
pub(super) fn recorded(question: &Question, [theirs, ours]: &[Answer; 2]) -> String {
    let [theirs, ours] = [theirs, ours].map(|answer| hash(question, answer));
    if theirs == ours {
        theirs
    } else {
        EXCUSED.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(seed: u64, libraries: &[(&str, &str)]) -> Record {
        let source = || {
            let source = json!({
                "profile": "", "origin": "", "compiler": "", "flags": "", "sha256": []
            });
            serde_json::from_value(source).expect("a source")
        };
        let each = |(name, hash): &(&str, &str)| {
            let answers = BTreeMap::from([("f32-dot".to_owned(), (*hash).to_owned())]);
            (name.to_string(), answers)
        };
        let names = || libraries.iter().map(|(name, _)| name.to_string());
        Record {
            schema_version: SCHEMA,
            seed,
            cases: 1,
            libraries: names().map(|name| (name, source())).collect(),
            authors: names().map(|name| (name, "bitnet".into())).collect(),
            answers: libraries.iter().map(each).collect(),
        }
    }

    #[test]
    fn only_what_others_said_to_the_same_questions_is_kept() {
        let before = said(1, &[("a", "old"), ("b", "kept")]);
        let both = said(1, &[("a", "new"), ("b", "kept")]);
        assert_eq!(said(1, &[("a", "new")]).keeping(before.clone()), both);
        let other = said(2, &[("a", "new")]);
        assert_eq!(other.clone().keeping(before), other);
    }
}
