//! What is on record of single functions of weights, as findings beside those about models.

use std::path::{Path, PathBuf};

use engine::kernels::Kernel;

use crate::exit::Failure;
use crate::judge::outcome::{Lost, Outcome};
use crate::oracle::kernels::record::{FILE as KERNELS, Record};
use crate::oracle::kernels::{Ending, Recalled, Row};
use crate::oracle::weights::layouts::{FILE as LAYOUTS, Layouts};
use crate::oracle::weights::{Compared, Finding, Verdict};
use crate::runner::kernels::family::Family;

/// A record of functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Functions {
    /// What a second reading of the layouts says.
    Layouts,
    /// What libraries answered.
    Kernels,
}

impl Functions {
    const ALL: [Functions; 2] = [Functions::Layouts, Functions::Kernels];

    /// Those of a fixtures folder, as paths beside those of its models.
    pub fn on_record(folder: &Path) -> impl Iterator<Item = PathBuf> {
        let paths = Self::ALL.map(|one| folder.join(one.file()));
        paths.into_iter().filter(|path| path.exists())
    }

    /// The record at that path, if it is one.
    pub fn of(path: &Path, folder: &Path) -> Option<Functions> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| path == folder.join(one.file()))
    }

    fn file(self) -> &'static str {
        match self {
            Functions::Layouts => LAYOUTS,
            Functions::Kernels => KERNELS,
        }
    }

    /// Compares all that is on record with what the engine says, with every set of instructions
    /// unless one is named.
    pub fn compare(self, folder: &Path, kernel: Option<Kernel>) -> Vec<Compared> {
        let compared = match self {
            Functions::Layouts => second_reading(folder, kernel.unwrap_or_else(Kernel::best)),
            Functions::Kernels => recalled(folder, kernel),
        };
        compared.unwrap_or_else(|failure| vec![Compared::failed(self.file(), failure.into())])
    }
}

fn second_reading(folder: &Path, kernel: Kernel) -> Result<Vec<Compared>, Failure> {
    let answered = folder.join(KERNELS).exists();
    let libraries = answered.then(|| Record::read(folder)).transpose()?;
    let answered = |kernel: &str| libraries.as_ref().is_some_and(|said| said.answers(kernel));
    Ok(vec![Layouts::read(folder)?.compare(kernel, answered)])
}

fn recalled(folder: &Path, kernel: Option<Kernel>) -> Result<Vec<Compared>, Failure> {
    let kernels = kernel.map_or_else(Kernel::available, |kernel| vec![kernel]);
    let recalled = Record::read(folder)?.recall(&Family::all(), &kernels)?;
    Ok(recalled.iter().map(compared).collect())
}

/// A set of instructions beside what is on record, or beside plain loops.
fn compared(recalled: &Recalled) -> Compared {
    let rows = recalled.kernels.iter();
    let asked = rows.filter(|row| !matches!(row.ending, Ending::NotThere(_)));
    let findings: Vec<Finding> = asked.map(|row| finding(row, recalled.kernel)).collect();
    Compared {
        library: recalled
            .library
            .clone()
            .unwrap_or("none, beside plain loops".into()),
        profile: recalled.profile,
        tensors: findings.len(),
        findings,
        lost: None,
        ..Compared::failed(KERNELS, Lost::new(Outcome::Ok, ""))
    }
}

fn finding(row: &Row, kernel: &str) -> Finding {
    let verdict = match &row.ending {
        Ending::Complete | Ending::NotThere(_) => Verdict::of(row.differ == 0, || {
            let first = row.first.as_ref();
            let first = first.map(|first| format!(", first in case {}", first.case));
            let (differ, values, first) = (row.differ, row.values, first.unwrap_or_default());
            let again = format!("harness kernels --only {} --kernel {kernel}", row.kernel);
            format!("{differ} of {values} values{first}; again: {again}")
        }),
        Ending::EngineDied(why) => Verdict::Different(format!("the engine died: {why}")),
        Ending::Refused(why) | Ending::Died(why) => Verdict::NotCompared(why.clone()),
    };
    let mut finding = Finding::of(&row.kernel, kernel, row.values);
    let part = match Family::by_name(&row.kernel) {
        Ok(family) if family.is_decoder() => &mut finding.decoded,
        Ok(family) if family.is_encoder() => &mut finding.encoded,
        _ => &mut finding.product,
    };
    *part = verdict;
    finding
}
