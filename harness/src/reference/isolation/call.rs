//! A call of one single kernel.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which kernel, and how much of what comes with the call it reads: values or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// Rows of values as a file stores them. Reads values, gives bytes.
    Encode {
        /// The type's number.
        kind: i32,
        /// Length of a row.
        columns: usize,
        /// Number of rows.
        rows: usize,
        /// Whether the importance of each column follows the rows.
        weighted: bool,
    },
    /// The values of stored rows. Reads bytes, gives values.
    Decode {
        /// The type's number.
        kind: i32,
        /// How many values.
        count: usize,
    },
    /// The two-bit codes of stored blocks, found out by dot products: what a library that has no
    /// decoder takes them for. Reads bytes, gives one byte a code.
    Codes {
        /// The type's number.
        kind: i32,
        /// How many codes.
        count: usize,
    },
    /// A row of activations as dot products take it. Reads values; gives bytes, and where the
    /// bytes do not hold it, the scale as a value and the sum.
    Activation {
        /// The type's number.
        kind: i32,
        /// How many values.
        count: usize,
    },
    /// Dot products of stored rows with one row of activations. Reads the bytes of the rows, then
    /// those of the activations; gives a value a row.
    Dot {
        /// The number of the rows' type.
        kind: i32,
        /// Length of a row.
        columns: usize,
        /// Number of rows.
        rows: usize,
        /// Bytes of all rows.
        weights: usize,
        /// Bytes of the activations.
        activations: usize,
    },
}

/// As a phase: what is being done when the library dies of it.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Encode {
                kind,
                columns,
                rows,
                weighted,
            } => {
                write!(f, "encoding {rows} rows of {columns} as type {kind}")?;
                f.write_str(if *weighted { ", columns weighed" } else { "" })
            }
            Call::Decode { kind, count, .. } => write!(f, "decoding {count} of type {kind}"),
            Call::Codes { kind, count } => write!(f, "reading {count} codes of type {kind}"),
            Call::Activation { kind, count } => {
                write!(f, "quantising {count} activations to type {kind}")
            }
            Call::Dot {
                kind,
                columns,
                rows,
                ..
            } => write!(f, "multiplying {rows} rows of {columns} of type {kind}"),
        }
    }
}
