//! What is asked of an export: the format, who keeps single precision, and what the file says of
//! itself.
#![forbid(unsafe_code)]

use super::{ExportError, Importance};
use crate::encoding::Author;
use crate::format::{Encode, FORMATS, Format};

/// The tensors that usually stay in single precision: the two tables and the last norm.
pub const DEFAULT_EXCEPTIONS: [&str; 3] =
    ["token_embd.weight", "output_norm.weight", "output.weight"];

/// Parameters of an export. Patterns are names in which `*` stands for any letters.
#[derive(Debug, Clone)]
pub struct ExportConfig {
    /// What weights become.
    pub format: &'static Format,
    /// Goes into `general.name`; without one the name stays what it was.
    pub model_name: Option<String>,
    /// Goes into `general.version`.
    pub model_version: Option<String>,
    /// Goes into `general.description`.
    pub description: Option<String>,
    /// Where there are some, only tensors that one of them names are quantised.
    pub quantize_layers: Option<Vec<String>>,
    /// Tensors that one of these names stay in single precision, whatever the other list says.
    pub fp32_layers: Vec<String>,
    /// Whether vectors, norms and biases above all, are quantised as matrices are. No loader but
    /// OxiBonsai's reads such a file.
    pub quantize_vectors: bool,
    /// Whether rows that are no whole blocks are padded, the tensor as a whole, with zeros at its
    /// end, as OxiBonsai does; no other loader reads that. Else such tensors stay single precision.
    pub pad_partial_blocks: bool,
    /// Whose quantiser is followed to the bit.
    pub author: Author,
    /// How much the error of each column matters, for formats that regard it.
    pub importance: Option<Importance>,
}

impl ExportConfig {
    /// A format by name, and nothing unusual: vectors stay, everything else is quantised.
    pub fn new(format: &str, model_name: &str) -> Result<Self, ExportError> {
        let found = Format::named(format).filter(|f| !matches!(f.encode, Encode::Nothing));
        let format = found.ok_or_else(|| {
            let written = FORMATS
                .iter()
                .filter(|f| !matches!(f.encode, Encode::Nothing));
            let names: Vec<_> = written.map(|f| f.name).collect();
            ExportError::UnknownFormat {
                name: format.to_owned(),
                known: names.join(", "),
            }
        })?;
        Ok(ExportConfig {
            format,
            model_name: Some(model_name.to_owned()).filter(|name| !name.is_empty()),
            model_version: None,
            description: None,
            quantize_layers: None,
            fp32_layers: Vec::new(),
            quantize_vectors: false,
            pad_partial_blocks: false,
            author: Author::default(),
            importance: None,
        })
    }

    /// Keeps these in single precision.
    pub fn with_fp32_layers(mut self, patterns: Vec<String>) -> Self {
        self.fp32_layers = patterns;
        self
    }

    /// Says something about the model.
    pub fn with_description(mut self, description: &str) -> Self {
        self.description = Some(description.to_owned());
        self
    }

    /// The patterns of [`DEFAULT_EXCEPTIONS`], to be given to [`ExportConfig::with_fp32_layers`].
    pub fn default_fp32_exceptions() -> Vec<String> {
        DEFAULT_EXCEPTIONS.map(String::from).to_vec()
    }
}

/// Whether a name is what a pattern describes.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else {
            return false;
        };
        rest = behind;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters_and_nothing_else_does() {
        let cases = [
            ("output.weight", "output.weight", true),
            ("output.weight", "attn_output.weight", false),
            ("*", "anything", true),
            ("blk.*.ffn_*.weight", "blk.11.ffn_down.weight", true),
            ("blk.*.ffn_*.weight", "blk.11.attn_q.weight", false),
            ("*norm*", "blk.0.attn_norm.weight", true),
            ("blk.0.*", "blk.0.", true),
            ("a*a", "a", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn an_unknown_format_is_refused_with_the_list() {
        let error = ExportConfig::new("q9_9", "m")
            .expect_err("unknown")
            .to_string();
        assert!(error.contains("q9_9") && error.contains("q4_k"), "{error}");
        assert!(
            ExportConfig::new("split32", "m").is_err(),
            "its scales lie elsewhere"
        );
    }
}
