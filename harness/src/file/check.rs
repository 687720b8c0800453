//! The mistakes that real model files have: each one a lint with a name that stays, a severity, a
//! sentence that says what follows from it, and what to do next.

mod hyper_parameters;
mod packing;
mod tensors;
pub mod upstream;
mod values;
mod vocabulary;

use engine::config::Config;
use engine::flavor::{Detection, Flavor};
use engine::gguf::dialect::Dialect;
use engine::gguf::{Gguf, TensorInfo};
use engine::refusal::Refusal;
use serde::Serialize;

use crate::file::opened::{is_packed, packings};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Probably not what was meant; a failure in strict mode.
    Warning,
    /// Some engine refuses the file, dies of it, or computes something else.
    Error,
}

impl Severity {
    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// A lint that found something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which one.
    #[serde(skip)]
    pub lint: Lint,
    /// The keys or tensors it is about, in file order.
    pub subjects: Vec<String>,
    /// What was found about the first of them, with the numbers.
    pub detail: String,
}

/// A packed tensor and what it was found to be.
type Packed<'a> = (&'a TensorInfo, Result<Detection, Refusal>);

/// Examines a file and every value in it. `progress` is told how many looks at a tensor were taken,
/// and of how many.
pub fn examine(
    gguf: &Gguf,
    forced: Option<Flavor>,
    progress: &mut dyn FnMut(u64, u64),
) -> Vec<Finding> {
    let mut findings = Findings::default();
    dialect(gguf, &mut findings);
    for warning in &gguf.warnings {
        let detail = format!("{}: {}", warning.name, warning.detail);
        findings.add(Lint::FileOdd, &warning.field, detail);
    }
    let whole = is_model(gguf);
    if whole {
        vocabulary::examine(gguf, &mut findings);
    } else {
        let detail = format!("{} tensors and no layer", gguf.tensors.len());
        findings.add(Lint::NotAModel, "tokenizer.ggml.model", detail);
    }
    hyper_parameters::examine(gguf, &mut findings);
    let packed = gguf.tensors.iter().filter(|t| is_packed(t)).count() as u64;
    let total = packed + gguf.tensors.iter().len() as u64;
    let mut done = 0;
    let mut looked = || {
        done += 1;
        progress(done, total);
    };
    let packed: Vec<Packed> = packings(gguf, forced).inspect(|_| looked()).collect();
    let config = Config::from_gguf(gguf);
    if let Ok(config) = &config {
        tensors::examine(gguf, config, &packed, &mut findings);
    }
    packing::examine(gguf, &packed, &mut findings);
    values::examine(gguf, &packed, &mut findings, &mut looked);
    if let Err(refusal) = config
        && whole
        && !findings.has(Lint::VocabSizeMismatch)
    {
        let field = refusal.field.clone();
        findings.add(Lint::HyperParametersRefused, &field, refusal.to_string());
    }
    findings.0
}

/// Whose file it is, where it is not what everybody means by GGUF.
fn dialect(gguf: &Gguf, findings: &mut Findings) {
    let spoken = &gguf.spoken;
    match spoken.decided() {
        Err(refusal) => findings.add(Lint::DialectAmbiguous, &refusal.field, refusal.to_string()),
        Ok(Dialect::Ggml | Dialect::BitnetCpp) => {}
        Ok(dialect) => {
            let candidate = spoken.candidates.iter().find(|c| c.dialect == dialect);
            let facts = candidate.into_iter().flat_map(|c| &c.facts);
            let signs: Vec<&str> = facts.chain(&spoken.notes).map(String::as_str).collect();
            let detail = format!("{dialect}: {}", signs.join("; "));
            findings.add(Lint::DialectForeign, dialect.name(), detail);
        }
    }
}

/// Whether it is meant to be one: even a damaged model has layers or a vocabulary.
fn is_model(gguf: &Gguf) -> bool {
    let layers = || gguf.tensors.iter().any(|t| t.name.starts_with("blk."));
    gguf.metadata.get("tokenizer.ggml.model").is_some() || layers()
}

/// One finding per lint, however many tensors it is about.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    /// `detail` is kept for the first subject only.
    fn add(&mut self, lint: Lint, subject: &str, detail: impl Into<String>) {
        let subject = subject.to_owned();
        match self.0.iter_mut().find(|finding| finding.lint == lint) {
            Some(finding) => finding.subjects.push(subject),
            None => self.0.push(Finding {
                lint,
                subjects: vec![subject],
                detail: detail.into(),
            }),
        }
    }

    fn has(&self, lint: Lint) -> bool {
        self.0.iter().any(|finding| finding.lint == lint)
    }
}

macro_rules! lints {
    ($($(#[doc = $doc:literal])+ $lint:ident $name:literal $severity:ident $next:literal)*) => {
        /// Every mistake that is looked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Lint { $($(#[doc = $doc])+ $lint,)* }

        impl Lint {
            /// All of them.
            pub const ALL: &[Lint] = &[$(Lint::$lint),*];

            /// Stable name.
            pub fn name(self) -> &'static str {
                match self { $(Lint::$lint => $name,)* }
            }

            /// How bad it is.
            pub fn severity(self) -> Severity {
                match self { $(Lint::$lint => Severity::$severity,)* }
            }

            /// What to do next.
            pub fn next_step(self) -> &'static str {
                match self { $(Lint::$lint => $next,)* }
            }

            /// What follows from it: the sentence of its documentation.
            pub fn sentence(self) -> String {
                let lines: &[&str] = match self {
                    $(Lint::$lint => &[$($doc),+],)*
                };
                lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
            }
        }
    };
}

lints! {
    /// The file breaks no rule of the format but a habit of every writer.
    FileOdd "file-odd" Warning "ask the one who wrote the file, or write it again"

    /// The file holds tensors and no model, so nothing a model needs was looked for.
    NotAModel "not-a-model" Note "nothing, if tensors are all that it is for"

    /// The word rules are not named, so engines cut text differently than the model was trained.
    PreTokenizerMissing "pre-tokenizer-missing" Warning
        "set tokenizer.ggml.pre to the rules of the original tokenizer, e.g. llama-bpe"
    /// The word rules are the default ones, which hardly any model was trained with.
    PreTokenizerDefault "pre-tokenizer-default" Warning
        "set tokenizer.ggml.pre to the rules of the original tokenizer, e.g. llama-bpe"
    /// The word rules cut tokens apart that others leave whole: the vocabulary was trained with
    /// those.
    PreTokenizerSuspect "pre-tokenizer-suspect" Warning
        "set tokenizer.ggml.pre to the rules of the original tokenizer; look which fit above"
    /// No key says whether a text begins with the BOS token, and the default for these rules is no.
    AddBosMissing "add-bos-missing" Warning
        "set tokenizer.ggml.add_bos_token to what the original tokenizer does"
    /// The token that ends a text is a piece of ordinary text, so generation stops in mid-sentence
    /// or never.
    EndTokenOrdinary "end-token-ordinary" Warning
        "set tokenizer.ggml.eos_token_id to the original's, and its token type to 3"
    /// The chat template is no program that could be run.
    ChatTemplateBroken "chat-template-broken" Warning
        "take the template from the original's tokenizer_config.json"
    /// The vocabulary cannot be used, so the model can only be fed ids.
    TokenizerRefused "tokenizer-refused" Error "convert the model again, with its own tokenizer"
    /// The number of tokens, the stated size and the rows of the embedding disagree.
    VocabSizeMismatch "vocab-size-mismatch" Error
        "convert the model again; padding tokens must be in the list as well"

    /// A hyper-parameter is missing or cannot be.
    HyperParametersRefused "hyper-parameters-refused" Error
        "convert the model again with a converter that knows the architecture"
    /// The architecture's name implies another activation than such a model was trained with.
    ActivationSuspect "activation-suspect" Warning
        "use bitnet for SiLU and bitnet-b1.58 for squared ReLU, and compare perplexities"
    /// The context length is outside of what anybody trains.
    ContextOdd "context-odd" Warning "look at max_position_embeddings of the original model"
    /// The base of the rotation is missing, so it is 10000, and such models are trained with more.
    RopeBaseMissing "rope-base-missing" Warning "set rope.freq_base to rope_theta of the original"
    /// The base of the rotation is 10000, and models with such vocabularies are trained with more.
    RopeBaseOdd "rope-base-odd" Warning "set rope.freq_base to rope_theta of the original"
    /// The file says that it holds another type of weights than it does.
    FileTypeContradicted "file-type-contradicted" Note
        "trust the tensors; the one who wrote the key meant another file"
    /// The epsilon of the norms is outside of what anybody trains.
    EpsilonOdd "epsilon-odd" Warning "look at rms_norm_eps of the original model"

    /// A tensor the architecture needs is not there; no engine may make one up.
    TensorMissing "tensor-missing" Error "convert the model again; look for a renamed tensor"
    /// A tensor has other dimensions than the hyper-parameters say.
    TensorShape "tensor-shape" Error "compare the hyper-parameters with the original model's"
    /// A tensor the architecture does not have: bitnet.cpp stops with "wrong number of tensors".
    TensorExtra "tensor-extra" Error "remove the tensor, or choose the architecture that has it"
    /// The embedding is packed in two bits: older bitnet.cpp aborts when it looks a token up.
    EmbeddingPacked "embedding-packed" Warning "keep token_embd.weight in F16 when quantising"

    /// Two writers of GGUF would have written these bytes for different weights.
    DialectAmbiguous "dialect-ambiguous" Error
        "say whose file it is with --dialect, and ask the one who wrote it"
    /// The file is written in a dialect that other tools misread, or refuse.
    DialectForeign "dialect-foreign" Note "harness export writes it again as everybody reads it"
    /// A type id that means one thing here and another elsewhere, so other tools refuse the file.
    TypeIdContested "type-id-contested" Note "use a tool of the same family as the writer"
    /// The bytes of a tensor fit no packing.
    PackingUnknown "packing-unknown" Error "quantise the model again; check the download's hash"
    /// Two-bit codes of 3, which no writer of I2_S emits: the file is damaged.
    CodeThree "code-three" Error "check the download's hash, or quantise the model again"
    /// The quantiser ran on several threads, and their pieces overwrote each other: the weights
    /// are lost.
    QuantisedInThreads "quantised-in-threads" Error "quantise again on one thread"
    /// More bytes follow a tensor than it and alignment explain.
    GapOversized "gap-oversized" Warning "quantise again on one thread, and compare the sizes"
    /// A shape bitnet.cpp's two-bit kernels compute wrongly: rows must be multiples of 128, tensors
    /// single matrices.
    ShapeUnserved "shape-unserved" Error "keep this tensor in F16, or use TQ2_0"
    /// A lookup-table packing whose kernels were never generated for this shape: bitnet.cpp divides
    /// by zero or aborts.
    LookupTableShape "lookup-table-shape" Error "convert to I2_S instead of TL1 or TL2"
    /// The scale is so large that its inverse must have been meant, or the model knows its text
    /// better with the inverse of every scale.
    ScaleInverted "scale-inverted" Warning
        "multiply by the checkpoint's weight_scale where the converter divided, or vice versa"
    /// Every scale is 1, which no training leaves: they were lost on the way.
    ScalesLost "scales-lost" Warning
        "convert the model again, with the checkpoint's weight_scale tensors"
    /// The scale lies far from that of the same weight in the other layers.
    ScaleOutlier "scale-outlier" Warning
        "compare the scale with the mean magnitude of the original weight"

    /// A linear weight of a ternary model that is not ternary: quantising to I2_S keeps its signs
    /// and loses the rest.
    WeightsNotTernary "weights-not-ternary" Error
        "ternarise first: round(w / mean|w|) clamped to -1 .. 1, times mean|w|"
    /// A stretch of packed weights is all zero bytes, which no weights are: a hole in a download.
    ZeroRun "zero-run" Error "check the download's hash, or fetch the file again"
    /// Every value of a tensor is zero: nothing behind it depends on anything before it.
    TensorZero "tensor-zero" Error "check the download's hash, or convert the model again"
    /// Every weight of a norm is the same, which training does not leave.
    NormConstant "norm-constant" Warning "compare the norm with the original model's"
    /// The values are of a size that no weights have, as when they are read in another float
    /// format.
    MagnitudeOdd "magnitude-odd" Warning
        "compare the tensor's type with the original's: F16 or BF16?"
    /// Far more or far fewer weights are zero than of the same weight in the other layers.
    ZeroShareOutlier "zero-share-outlier" Warning
        "compare the tensor with the original's, and the download's hash"
    /// The order of words makes no difference to what the model expects: what it had learnt is
    /// lost.
    WordOrderIgnored "word-order-ignored" Warning
        "compare it with a sound file: harness compare SOUND THIS --prompt TEXT"
    /// With two tensors of a layer changed about the model knows its text better: they were
    /// exchanged.
    TensorsExchanged "tensors-exchanged" Warning
        "convert the model again; harness compare SOUND THIS names what was exchanged"
    /// The list of known files has another hash for a file of this name.
    ManifestMismatch "manifest-mismatch" Error
        "fetch the file again: its bytes are not those listed"
    /// The file has the shapes of a published model and other bytes: another conversion, or
    /// damage.
    NotTheRelease "not-the-release" Note
        "if it was downloaded as that file, fetch it again; else nothing"

    /// The build lacks the vector instructions that its two-bit kernels are written in: without
    /// them they may be empty.
    BuildWithoutVectors "build-without-vectors" Error "build with AVX2 or NEON enabled"
    /// A kernel of the build does not compute what the kernel of that name computes.
    BuildKernelDiffers "build-kernel-differs" Error
        "see the smallest input: harness kernels --reference BUILD --only KERNEL"
    /// The build's graph computes something else from the same weights.
    BuildGraphDiffers "build-graph-differs" Error
        "see every operation: harness trace --reference BUILD"
    /// Token by token the build computes something else than from a whole prompt, further apart
    /// than another order of sums explains.
    BuildLanesApart "build-lanes-apart" Error
        "use another ubatch or build; harness crossval --reference BUILD shows both ways"

    /// A token takes the build less time than reading the weights does, or many times as long.
    BuildSpeedOdd "build-speed-odd" Warning
        "too fast: harness crossval tells whether it computes; too slow: see its instruction sets"

    /// A weight or a scale is NaN or infinite.
    DataNonfinite "data-nonfinite" Error "check the download's hash, or convert the model again"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_lint_says_what_it_means_and_what_to_do() {
        for (index, lint) in Lint::ALL.iter().enumerate() {
            let (name, sentence) = (lint.name(), lint.sentence());
            assert!(
                Lint::ALL[..index].iter().all(|other| other.name() != name),
                "{name}"
            );
            assert!(
                name.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
                "{name}"
            );
            assert!(
                sentence.ends_with('.') && sentence.len() > 30,
                "{name}: {sentence}"
            );
            assert!(lint.next_step().len() > 15, "{name}");
        }
        assert!(Severity::Error > Severity::Warning && Severity::Warning > Severity::Note);
    }
}
