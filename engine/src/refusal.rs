//! The one error of every loading stage: a stable code, the place, and the two things that
//! disagree.
//!
//! A refusal is data, not prose: programs match on [`Code`], people read the `Display` text.

use std::fmt;

/// Why a file was refused. The names are stable: scripts and receipts may rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // each name is the rule it stands for
pub enum Code {
    Truncated,
    BadMagic,
    BadVersion,
    CountImplausible,
    StringTooLong,
    KeyEmpty,
    KeyTooLong,
    KeyNul,
    KeyNotUtf8,
    StringNul,
    StringNotUtf8,
    DuplicateKey,
    BadValueType,
    BadBool,
    NestedArray,
    ArrayTooLong,
    WrongKeyType,
    MissingKey,
    AlignInvalid,
    NameTooLong,
    NameEmpty,
    NameNul,
    NameNotUtf8,
    DuplicateTensor,
    DimsInvalid,
    SizeOverflow,
    TensorTypeUnknown,
    TensorTypeRemoved,
    BlockMismatch,
    OffsetUnaligned,
    OffsetInvalid,
    TensorOverlap,
    DataPastEof,
    DataNonfinite,
    MissingTensor,
    UnknownTensor,
    ShapeMismatch,
    DtypeMismatch,
    I2sShape,
    FlavorUnknown,
    FlavorAmbiguous,
    DialectUnknown,
    DialectAmbiguous,
    HparamInvalid,
    UnknownArch,
    UnknownTokenizer,
    UnknownPretokenizer,
    VocabInvalid,
    VocabDuplicate,
    VocabNoByteTokens,
    VocabSizeMismatch,
    SplitInvalid,
    JsonInvalid,
    HeaderInvalid,
    ShardMissing,
    IndexMismatch,
    ScaleMissing,
    ScaleImplausible,
    TernaryTwice,
    NotTernary,
    TokenizerMissing,
    FileChanged,
    NotARegularFile,
    OutOfMemory,
    Io,
}

impl Code {
    /// The stable, upper-case name, e.g. `BAD_MAGIC`.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Truncated => "TRUNCATED",
            Code::BadMagic => "BAD_MAGIC",
            Code::BadVersion => "BAD_VERSION",
            Code::CountImplausible => "COUNT_IMPLAUSIBLE",
            Code::StringTooLong => "STRING_TOO_LONG",
            Code::KeyEmpty => "KEY_EMPTY",
            Code::KeyTooLong => "KEY_TOO_LONG",
            Code::KeyNul => "KEY_NUL",
            Code::KeyNotUtf8 => "KEY_NOT_UTF8",
            Code::StringNul => "STRING_NUL",
            Code::StringNotUtf8 => "STRING_NOT_UTF8",
            Code::DuplicateKey => "DUPLICATE_KEY",
            Code::BadValueType => "BAD_VALUE_TYPE",
            Code::BadBool => "BAD_BOOL",
            Code::NestedArray => "NESTED_ARRAY",
            Code::ArrayTooLong => "ARRAY_TOO_LONG",
            Code::WrongKeyType => "WRONG_KEY_TYPE",
            Code::MissingKey => "MISSING_KEY",
            Code::AlignInvalid => "ALIGN_INVALID",
            Code::NameTooLong => "NAME_TOO_LONG",
            Code::NameEmpty => "NAME_EMPTY",
            Code::NameNul => "NAME_NUL",
            Code::NameNotUtf8 => "NAME_NOT_UTF8",
            Code::DuplicateTensor => "DUPLICATE_TENSOR",
            Code::DimsInvalid => "DIMS_INVALID",
            Code::SizeOverflow => "SIZE_OVERFLOW",
            Code::TensorTypeUnknown => "TENSOR_TYPE_UNKNOWN",
            Code::TensorTypeRemoved => "TENSOR_TYPE_REMOVED",
            Code::BlockMismatch => "BLOCK_MISMATCH",
            Code::OffsetUnaligned => "OFFSET_UNALIGNED",
            Code::OffsetInvalid => "OFFSET_INVALID",
            Code::TensorOverlap => "TENSOR_OVERLAP",
            Code::DataPastEof => "DATA_PAST_EOF",
            Code::DataNonfinite => "DATA_NONFINITE",
            Code::MissingTensor => "MISSING_TENSOR",
            Code::UnknownTensor => "UNKNOWN_TENSOR",
            Code::ShapeMismatch => "SHAPE_MISMATCH",
            Code::DtypeMismatch => "DTYPE_MISMATCH",
            Code::I2sShape => "I2S_SHAPE",
            Code::FlavorUnknown => "FLAVOR_UNKNOWN",
            Code::FlavorAmbiguous => "FLAVOR_AMBIGUOUS",
            Code::DialectUnknown => "DIALECT_UNKNOWN",
            Code::DialectAmbiguous => "DIALECT_AMBIGUOUS",
            Code::HparamInvalid => "HPARAM_INVALID",
            Code::UnknownArch => "UNKNOWN_ARCH",
            Code::UnknownTokenizer => "UNKNOWN_TOKENIZER",
            Code::UnknownPretokenizer => "UNKNOWN_PRETOKENIZER",
            Code::VocabInvalid => "VOCAB_INVALID",
            Code::VocabDuplicate => "VOCAB_DUPLICATE",
            Code::VocabNoByteTokens => "VOCAB_NO_BYTE_TOKENS",
            Code::VocabSizeMismatch => "VOCAB_SIZE_MISMATCH",
            Code::SplitInvalid => "SPLIT_INVALID",
            Code::JsonInvalid => "JSON_INVALID",
            Code::HeaderInvalid => "HEADER_INVALID",
            Code::ShardMissing => "SHARD_MISSING",
            Code::IndexMismatch => "INDEX_MISMATCH",
            Code::ScaleMissing => "SCALE_MISSING",
            Code::ScaleImplausible => "SCALE_IMPLAUSIBLE",
            Code::TernaryTwice => "TERNARY_TWICE",
            Code::NotTernary => "NOT_TERNARY",
            Code::TokenizerMissing => "TOKENIZER_MISSING",
            Code::FileChanged => "FILE_CHANGED",
            Code::NotARegularFile => "NOT_A_REGULAR_FILE",
            Code::OutOfMemory => "OUT_OF_MEMORY",
            Code::Io => "IO",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A file that was not accepted, and everything a reader needs to see why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rule that was broken.
    pub code: Code,
    /// Path of the field, e.g. `metadata."general.alignment"` or
    /// `tensors."blk.0.attn_q.weight".dims[1]`.
    pub field: String,
    /// Byte offset in the file where the field starts, if it has a place there.
    pub offset: Option<u64>,
    /// What the rule asks for, with the number.
    pub expected: String,
    /// What the file says, with the number.
    pub found: String,
    /// What to do next, if there is something to do.
    pub hint: Option<String>,
}

impl Refusal {
    /// A refusal without offset and hint; add them with [`Refusal::at`] and [`Refusal::hint`].
    pub fn new(
        code: Code,
        field: impl Into<String>,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Refusal {
            code,
            field: field.into(),
            offset: None,
            expected: expected.to_string(),
            found: found.to_string(),
            hint: None,
        }
    }

    /// Names the byte offset the field starts at.
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Names the next step.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Field paths and found values carry text from the file: a terminal would obey it, and
        // a single string may be as long as the file.
        write!(f, "{}: {}", self.code, shown(&self.field))?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        let (expected, found) = (shown(&self.expected), shown(&self.found));
        write!(f, ": expected {expected}, found {found}")?;
        match &self.hint {
            Some(hint) => write!(f, " ({})", shown(hint)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

/// What moves the cursor, breaks the line or turns the direction of writing as `\u{..}`,
/// everything else as it is.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible_order(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Line separators and direction marks: text that reads differently from what it says.
fn is_invisible_order(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// Escaped, and without its middle where it is too long for a message.
fn shown(text: &str) -> String {
    const ENDS: usize = 400;
    if text.len() <= 2 * ENDS {
        return escape(text);
    }
    let head = text.floor_char_boundary(ENDS);
    let tail = text.ceil_char_boundary(text.len() - ENDS);
    let left_out = tail - head;
    format!(
        "{}… {left_out} bytes …{}",
        escape(&text[..head]),
        escape(&text[tail..])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_file_cannot_move_the_cursor() {
        let refusal = Refusal::new(Code::KeyNul, "a\u{1b}[2J\u{202e}b", 1, "x\ny").at(24);
        let shown = refusal.to_string();
        assert_eq!(
            shown,
            "KEY_NUL: a\\u{1b}[2J\\u{202e}b at byte 24: expected 1, found x\\ny"
        );
    }

    #[test]
    fn a_string_as_long_as_the_file_leaves_a_readable_message() {
        let long = "é".repeat(1 << 20);
        let shown = Refusal::new(Code::UnknownArch, "f", "one of a, b", long).to_string();
        assert!(shown.len() < 1000, "{}", shown.len());
        assert!(shown.contains("… 2096352 bytes …"), "{shown}");
    }
}
