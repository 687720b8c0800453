//! Weighs the dialects against a file and chooses: who can have written all of its tensors, and
//! what only one of them explains.
#![forbid(unsafe_code)]

use super::written::{Fit, PACKINGS, Packing, Written};
use super::{Candidate, Channels, Dialect, Parting, Spoken, content};
use crate::gguf::tensor_type::id;
use crate::gguf::{TensorInfo, TypeId};
use crate::refusal::{Code, Refusal};

/// What OxiBonsai's converter calls hyper-parameters of every architecture.
const LLM: &str = "llm.";

/// Norms scale by about one: with their signs right, hardly any is negative.
const NORMS_ARE_POSITIVE: f64 = 0.9;

/// What is written otherwise than it is read.
#[derive(Default)]
pub(crate) struct Corrections {
    /// Dimensions are written rows first.
    pub rows_first: bool,
    /// Data does not start at multiples of the alignment.
    pub unpadded: bool,
    /// Tensors, by their place in the table, that say F32 and are INT8.
    pub int8: Vec<(usize, Channels)>,
}

/// Decides whose file it is. `forced` overrides the choice among the possible, never the
/// impossible.
pub(crate) fn settle(
    written: &Written<'_>,
    forced: Option<Dialect>,
) -> Result<(Spoken, Corrections), Refusal> {
    let case = Case::new(written);
    let candidates: Vec<Candidate> = Dialect::ALL.map(|dialect| case.weigh(dialect)).into();
    let (dialect, reason, parting) = match forced {
        Some(dialect) => (Some(dialect), case.forced(dialect, &candidates)?, None),
        None => case.choose(&candidates),
    };
    let unaligned = |tensor: &TensorInfo| !tensor.offset.is_multiple_of(written.alignment);
    let oxibonsai = dialect.is_some_and(is_oxibonsai) || case.version.is_some();
    let corrections = Corrections {
        unpadded: oxibonsai && written.tensors.iter().any(unaligned),
        rows_first: dialect.is_some_and(|dialect| case.rows_first(dialect)),
        int8: if dialect == Some(Dialect::OxiBonsai01) {
            case.int8.clone()
        } else {
            Vec::new()
        },
    };
    let spoken = Spoken {
        dialect,
        reason,
        candidates,
        notes: case.notes(&corrections),
        parting,
    };
    Ok((spoken, corrections))
}

struct Case<'a> {
    written: &'a Written<'a>,
    /// OxiBonsai writes a number that everybody writes as a text.
    version: Option<String>,
    int8: Vec<(usize, Channels)>,
    /// Whether only with rows first a two-bit tensor has the bytes it needs, or the embedding the
    /// length it should have.
    turned: Option<String>,
}

impl<'a> Case<'a> {
    fn new(written: &'a Written<'a>) -> Self {
        let version = written.text("general.quantization_version");
        let tensors = 0..written.tensors.len();
        let channels = |index| Some((index, written.channels(index)?));
        Case {
            int8: match &version {
                Some(_) => tensors.filter_map(channels).collect(),
                None => Vec::new(),
            },
            turned: turned(written),
            written,
            version,
        }
    }

    fn rows_first(&self, dialect: Dialect) -> bool {
        let reverses = dialect == Dialect::BitnetRs || is_oxibonsai(dialect);
        reverses && self.turned.is_some()
    }

    fn weigh(&self, dialect: Dialect) -> Candidate {
        let mut facts = self.metadata_facts(dialect);
        facts.extend(self.tensor_facts(dialect));
        Candidate {
            dialect,
            facts,
            excluded: self
                .excluded_by_size(dialect)
                .or_else(|| self.excluded_by_content(dialect)),
        }
    }

    /// What the writer says, knowingly or not.
    fn metadata_facts(&self, dialect: Dialect) -> Vec<String> {
        let mut facts = Vec::new();
        let is = |one: Dialect| dialect == one;
        if let Some(version) = self.version.as_ref().filter(|_| is_oxibonsai(dialect)) {
            let key = "general.quantization_version";
            facts.push(format!(
                "{key} is the text {version:?}, and a number elsewhere"
            ));
        }
        let keys = || self.written.metadata.iter().map(|(key, _)| key);
        if is_oxibonsai(dialect) && keys().any(|key| key.starts_with(LLM)) {
            facts.push("hyper-parameters are called llm.…".into());
        }
        if is(Dialect::BitnetRs) && self.written.long_header {
            facts.push("the header has 36 bytes, the last 12 for alignment and data offset".into());
        }
        let own = ["bitnet.quantization_type", "bitnet.weight_scale"];
        if let Some(key) = keys().find(|key| is(Dialect::BitnetRs) && own.contains(key)) {
            facts.push(format!("only its converter writes the key {key}"));
        }
        let file_type = self.written.metadata.get("general.file_type");
        if is(Dialect::PrismMl) && file_type.and_then(|value| value.as_integer()) == Some(128) {
            facts.push("general.file_type is 128".into());
        }
        facts
    }

    /// What only this dialect explains about the tensors: the first of each type.
    fn tensor_facts(&self, dialect: Dialect) -> Vec<String> {
        let mut facts = Vec::new();
        let mut seen = Vec::new();
        for index in self.written.contested() {
            let number = self.written.tensors[index].type_id;
            if !seen.contains(&number) {
                let found = self.fact(index, dialect);
                seen.extend(found.is_some().then_some(number));
                facts.extend(found);
            }
        }
        if let Some((index, found)) = self
            .int8
            .first()
            .filter(|_| dialect == Dialect::OxiBonsai01)
        {
            let (name, Channels { rows, cols }) = (&self.written.tensors[*index].name, found);
            facts.push(format!(
                "{name:?} says it is F32 and is INT8: the scales of {rows} rows of {cols} are \
                 behind it, and each row reaches 127"
            ));
        }
        if let Some(turned) = self.turned.as_ref().filter(|_| self.rows_first(dialect)) {
            facts.push(turned.clone());
        }
        facts
    }

    fn fact(&self, index: usize, dialect: Dialect) -> Option<String> {
        let tensor = &self.written.tensors[index];
        let (number, name, span) = (tensor.type_id, &tensor.name, self.written.spans[index]);
        let kind = match TypeId::of(number, dialect) {
            TypeId::Known(known) => {
                let own = TypeId::of(number, Dialect::Ggml) != TypeId::Known(known);
                let exact = |of| self.fit(index, of) == Fit::Exact;
                let only_here = own && exact(dialect) && !exact(Dialect::Ggml);
                only_here.then_some(known.name)?
            }
            _ => self.packing(index, dialect)?,
        };
        Some(format!(
            "the {span} bytes of {name:?}, type {number}, are what {kind} takes"
        ))
    }

    /// The two-bit packing of a dialect that takes just the bytes of a tensor. What can be I2_S is
    /// no other; codes are looked at only where sizes leave it open, as most of a file is codes.
    fn packing(&self, index: usize, dialect: Dialect) -> Option<&'static str> {
        let written = self.written;
        let rows_first = self.rows_first(dialect);
        let exactly = |packing: &&Packing| written.is_exactly(index, packing, rows_first);
        let mut own = PACKINGS.iter().filter(|packing| packing.dialect == dialect);
        let found = own.find(exactly)?;
        let [i2_s, ..] = &PACKINGS;
        let is_i2_s = written.is_exactly(index, i2_s, false) && written.can_be_i2_s(index);
        (is_i2_s == (dialect == i2_s.dialect)).then_some(found.name)
    }

    fn fit(&self, index: usize, dialect: Dialect) -> Fit {
        self.written.fit(index, dialect, self.rows_first(dialect))
    }

    fn excluded_by_size(&self, dialect: Dialect) -> Option<String> {
        self.written.contested().find_map(|index| {
            let fit = self.fit(index, dialect);
            let elsewhere = || Dialect::ALL.into_iter().map(|other| self.fit(index, other));
            let excluded = match fit {
                Fit::Exact => false,
                Fit::Roomy => elsewhere().any(|fit| fit == Fit::Exact),
                // Where it is nothing to anybody, it says nothing about who wrote it.
                Fit::Not => elsewhere().any(|fit| fit != Fit::Not),
            };
            excluded.then(|| self.why_not(index, dialect, fit))
        })
    }

    fn why_not(&self, index: usize, dialect: Dialect, fit: Fit) -> String {
        let tensor = &self.written.tensors[index];
        let (number, name, span) = (tensor.type_id, &tensor.name, self.written.spans[index]);
        match (TypeId::of(number, dialect).name(), fit) {
            ("unknown", _) => format!("it has no type {number}, which {name:?} is of"),
            (of, Fit::Roomy) => format!("{name:?} has {span} bytes, more than {of} takes"),
            (of, _) => format!("{name:?} has {span} bytes, which cannot be {of}"),
        }
    }

    fn excluded_by_content(&self, dialect: Dialect) -> Option<String> {
        if dialect == Dialect::OxiBonsai
            && let Some((index, _)) = self.int8.first()
        {
            let name = &self.written.tensors[*index].name;
            return Some(format!(
                "from version 0.2 on it writes no INT8, and {name:?} is that"
            ));
        }
        self.written.contested().find_map(|index| {
            let tensor = &self.written.tensors[index];
            let bytes = self.written.bytes(index);
            let used = used(tensor, bytes, dialect);
            let why = contradiction(tensor, used, dialect)?;
            Some(format!("{:?}: {why}", tensor.name))
        })
    }

    fn forced(&self, dialect: Dialect, candidates: &[Candidate]) -> Result<String, Refusal> {
        let candidate = candidates.iter().find(|c| c.dialect == dialect);
        let Some(why) = candidate.and_then(|c| c.excluded.clone()) else {
            return Ok("it was asked for and is possible".into());
        };
        let expected = format!("a file that can be of {dialect}, as was asked for");
        let refusal = Refusal::new(Code::DialectUnknown, "tensors", expected, why);
        Err(refusal.hint("--dialect chooses among the dialects that the file allows"))
    }

    /// Those with most telling signs; then any that are left, if they agree.
    fn choose(&self, candidates: &[Candidate]) -> (Option<Dialect>, String, Option<Parting>) {
        let possible = || candidates.iter().filter(|c| c.excluded.is_none());
        let said = |c: &&Candidate| !self.metadata_facts(c.dialect).is_empty();
        let shown = |c: &&Candidate| !c.facts.is_empty();
        let of = |c: &Candidate| c.dialect;
        let mut left: Vec<Dialect> = possible().filter(said).map(of).collect();
        if left.is_empty() {
            left = possible().filter(shown).map(of).collect();
        }
        let Some(&first) = left.first() else {
            // Whatever is wrong with it is told tensor by tensor.
            let possible = possible().map(of).next().unwrap_or(Dialect::Ggml);
            return (Some(possible), "nothing speaks for any other".into(), None);
        };
        let Some(parting) = self.parting(&left) else {
            let others = left[1..]
                .iter()
                .map(|d| d.name())
                .collect::<Vec<_>>()
                .join(", ");
            let alike = format!("signs of it; {others} would read every tensor alike");
            let reason = if others.is_empty() {
                "it alone explains the file".into()
            } else {
                alike
            };
            return (Some(first), reason, None);
        };
        let names: Vec<&str> = left.iter().map(|d| d.name()).collect();
        let reason = format!("{} are possible and read it differently", names.join(", "));
        (None, reason, Some(parting))
    }

    /// The first tensor that some of the dialects read differently.
    fn parting(&self, dialects: &[Dialect]) -> Option<Parting> {
        self.written.tensors.iter().find_map(|tensor| {
            let means = |dialect| TypeId::of(tensor.type_id, dialect).name();
            let reading = |&dialect: &Dialect| (dialect, means(dialect));
            let differ = dialects
                .iter()
                .any(|&other| means(other) != means(dialects[0]));
            differ.then(|| Parting {
                field: format!("tensors.{:?}.type", tensor.name),
                at: tensor.type_at(),
                readings: dialects.iter().map(reading).collect(),
            })
        })
    }

    fn notes(&self, corrections: &Corrections) -> Vec<String> {
        let mut notes = Vec::new();
        if corrections.rows_first {
            notes.push("dimensions are written rows first and read the other way round".into());
        }
        if corrections.unpadded {
            notes.push("the data of its tensors is not padded, as other programs expect".into());
        }
        if self.written.long_header {
            notes.push("the header has 36 bytes: no other program finds the metadata".into());
        }
        if self
            .written
            .metadata
            .iter()
            .any(|(key, _)| key.starts_with(LLM))
        {
            notes
                .push("hyper-parameters called llm.… are read as those of its architecture".into());
        }
        let rotated = |(key, _): (&str, _)| key.starts_with("prism.hadamard");
        if self.written.metadata.iter().any(rotated) {
            notes
                .push("weights are rotated: activations would have to be, and are not here".into());
        }
        for (index, Channels { rows, cols }) in &corrections.int8 {
            let name = &self.written.tensors[*index].name;
            notes.push(format!(
                "{name:?} says it is F32; read as {rows} × {cols} of INT8"
            ));
        }
        notes
    }
}

/// The bytes of a tensor without what pads them.
fn used<'a>(tensor: &TensorInfo, bytes: &'a [u8], dialect: Dialect) -> &'a [u8] {
    let TypeId::Known(known) = TypeId::of(tensor.type_id, dialect) else {
        return bytes;
    };
    let needed = known.bytes(tensor.cols(), tensor.rows());
    let needed = needed.and_then(|needed| usize::try_from(needed).ok());
    needed
        .and_then(|needed| bytes.get(..needed))
        .unwrap_or(bytes)
}

fn is_oxibonsai(dialect: Dialect) -> bool {
    Dialect::OXIBONSAI.contains(&dialect)
}

/// What in the bytes of a tensor says that a dialect did not write it.
fn contradiction(tensor: &TensorInfo, bytes: &[u8], dialect: Dialect) -> Option<&'static str> {
    let oxibonsai = is_oxibonsai(dialect);
    let norm = tensor.name.contains("norm");
    let signs = || content::share_of_signs(bytes);
    let contradicts = match (tensor.type_id, dialect) {
        (id::Q2_0, _) if oxibonsai => !content::scales_at(bytes, 32),
        (id::Q2_0 | id::PQ2_0, Dialect::PrismMl) => !content::scales_at(bytes, 0),
        (id::Q4_K, _) if oxibonsai => !content::scales_reach_63(bytes, 144),
        (id::Q5_K, _) if oxibonsai => !content::scales_reach_63(bytes, 176),
        (id::Q6_K, _) if oxibonsai => !content::scales_reach_127(bytes),
        (id::Q1_0, Dialect::OxiBonsai) if norm => signs() < 1.0 - NORMS_ARE_POSITIVE,
        (id::Q1_0, Dialect::OxiBonsai01) if norm => signs() > NORMS_ARE_POSITIVE,
        _ => false,
    };
    contradicts.then_some(match tensor.type_id {
        id::Q1_0 => "nearly all weights of a norm would be negative",
        _ => "its blocks have no scales as that writer makes them",
    })
}

/// The first sign that rows are written first: two-bit codes that have their bytes only so, or an
/// embedding that has its length only so.
fn turned(written: &Written<'_>) -> Option<String> {
    let two_bits = |index: &usize| {
        let exactly = |packing: &Packing, rows_first: bool| {
            let of = packing.dialect == Dialect::BitnetRs || !rows_first;
            of && written.is_exactly(*index, packing, rows_first)
        };
        let any = |rows_first| PACKINGS.iter().any(|packing| exactly(packing, rows_first));
        !any(false) && any(true)
    };
    if let Some(index) = written.contested().find(two_bits) {
        let TensorInfo { name, dims, .. } = &written.tensors[index];
        let span = written.spans[index];
        return Some(format!(
            "{span} bytes are what {name:?} takes if {dims:?} is rows first"
        ));
    }
    let why = "the embedding's rows have the length the metadata says only if rows are first";
    written.embedding_is_rows_first().then(|| why.into())
}
