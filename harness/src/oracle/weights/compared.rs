//! A model compared with one library, counted, and in words.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use engine::refusal::escape;
use serde::Serialize;

use super::{Finding, Verdict};
use crate::exit::Exit;

/// One model, compared with one library.
#[derive(Debug, Serialize)]
pub struct Compared {
    /// The model, as it was named.
    pub model: String,
    /// Of the whole file.
    pub model_sha256: String,
    /// Whose functions, or whose record.
    pub library: String,
    /// Whether it computed in this run.
    pub live: bool,
    /// The engine's arithmetic.
    pub profile: &'static str,
    /// Whether a product that differs counts.
    pub judges_products: bool,
    /// One a tensor.
    pub findings: Vec<Finding>,
    /// Why the library answered no more, if it did not.
    pub lost: Option<String>,
    /// Whether it died of it.
    pub died: bool,
}

/// The worst of what happened; a model of which nothing was compared is no agreement.
pub fn exit(compared: &[Compared]) -> Exit {
    let any = |wanted: fn(&Compared) -> bool| compared.iter().any(wanted);
    match () {
        () if any(|one| one.differing().next().is_some()) => Exit::Diverges,
        () if any(|one| one.died) => Exit::ReferenceDied,
        () if any(|one| one.lost.is_some()) => Exit::Incomplete,
        () if any(|one| !one.findings.iter().any(|f| f.decoded.is_settled())) => Exit::Incomplete,
        () => Exit::Agrees,
    }
}

impl Compared {
    /// The tensors of which something differs that counts.
    pub fn differing(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| {
            let product = self.judges_products && finding.product.differs();
            finding.decoded.differs() || finding.encoded.differs() || product
        })
    }

    /// A line of counts, a line a difference, and a line for everything that was not asked for
    /// the same reason.
    pub fn render(&self) -> String {
        let who = if self.live { "" } else { "the record of " };
        let (model, library, profile) = (escape(&self.model), &self.library, self.profile);
        let equal = |verdict: fn(&Finding) -> &Verdict| {
            let verdicts = self.findings.iter().map(verdict);
            verdicts
                .filter(|verdict| **verdict == Verdict::Equal)
                .count()
        };
        let mut text = format!(
            "{model} with {who}{library} ({profile}): {} tensors; equal are {} decoded, \
             {} products, {} encoded again; {} differ\n",
            self.findings.len(),
            equal(|f| &f.decoded),
            equal(|f| &f.product),
            equal(|f| &f.encoded),
            self.differing().count(),
        );
        let mut not_asked: BTreeMap<_, Vec<&Finding>> = BTreeMap::new();
        for finding in &self.findings {
            let (name, encoding) = (escape(&finding.tensor), &finding.encoding);
            for (part, verdict) in ["values", "product", "bytes"]
                .iter()
                .zip(finding.verdicts())
            {
                let word = match verdict {
                    Verdict::Different(_) if *part != "product" || self.judges_products => {
                        "DIFFERS"
                    }
                    Verdict::Different(_) => "differs, not judged",
                    Verdict::NotAsked(why) => {
                        not_asked.entry((part, why)).or_default().push(finding);
                        continue;
                    }
                    Verdict::Equal | Verdict::None => continue,
                };
                if let Verdict::Different(why) = verdict {
                    text += &format!("  {word}: {part} of {name} ({encoding}): {why}\n");
                }
            }
        }
        for ((part, why), findings) in not_asked {
            let (count, first) = (findings.len(), escape(&findings[0].tensor));
            let tensors = if count == 1 { "tensor" } else { "tensors" };
            text += &format!("  not asked: {part} of {count} {tensors}, first {first}: {why}\n");
        }
        if let Some(why) = &self.lost {
            text += &format!("  LOST: {why}\n");
        }
        text
    }
}
