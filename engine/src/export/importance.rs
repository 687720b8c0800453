//! How much each column of a matrix matters, from a file of llama.cpp's `llama-imatrix`: the mean
//! square of what the column is multiplied with on some text.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use super::ExportError;
use crate::encoding::Quantiser;
use crate::format::{Encode, Format};
use crate::gguf::{Gguf, TensorInfo};
use crate::kernels::Kernel;
use crate::matrix::Matrix;

/// What a column's squares are called behind the name of the matrix, and how many were summed.
const SUMS: &str = ".in_sum2";
const COUNTS: &str = ".counts";

/// The importance of the columns of some matrices, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Importance {
    columns: BTreeMap<String, Vec<f32>>,
}

impl Importance {
    /// Reads a file whose `general.type` is `imatrix`. A matrix that met no text is left out.
    pub fn read(gguf: &Gguf) -> Result<Self, ExportError> {
        let wrong = |name: &str, reason: String| ExportError::Importance {
            name: name.to_owned(),
            reason,
        };
        let kind = gguf.metadata.string("general.type")?;
        if kind != Some("imatrix") {
            let found = kind.unwrap_or("nothing");
            let reason = format!(
                "expected \"imatrix\", as llama-imatrix writes in files that end in .gguf; found \
                 {found}"
            );
            return Err(wrong("general.type", reason));
        }
        let mut columns = BTreeMap::new();
        for tensor in gguf.tensors.iter() {
            let Some(name) = tensor.name.strip_suffix(SUMS) else {
                continue;
            };
            let counts = format!("{name}{COUNTS}");
            let missing = || wrong(&counts, format!("is missing, and {} is there", tensor.name));
            let counts = values(gguf, gguf.tensors.get(&counts).ok_or_else(missing)?)?;
            let sums = values(gguf, tensor)?;
            let [count] = counts[..] else {
                let reason = format!(
                    "holds {} matrices, as of experts; one is read",
                    counts.len()
                );
                return Err(wrong(&tensor.name, reason));
            };
            if count > 0.0 {
                let means: Vec<f32> = sums.iter().map(|sum| sum / count).collect();
                if let Some(at) = means.iter().position(|&x| !(x.is_finite() && x >= 0.0)) {
                    let reason = format!("column {at}: {} is no mean of squares", means[at]);
                    return Err(wrong(&tensor.name, reason));
                }
                columns.insert(name.to_owned(), means);
            }
        }
        Ok(Importance { columns })
    }

    /// One number a column of that matrix.
    pub fn of(&self, name: &str) -> Option<&[f32]> {
        self.columns.get(name).map(Vec::as_slice)
    }
}

/// All values of a tensor.
fn values(gguf: &Gguf, tensor: &TensorInfo) -> Result<Vec<f32>, ExportError> {
    let matrix = Matrix::from_tensor(gguf, tensor, None, Kernel::best())?;
    let mut values = vec![0.0; matrix.rows() * matrix.cols()];
    for (row, out) in values.chunks_exact_mut(matrix.cols()).enumerate() {
        matrix.decode_row(row, out);
    }
    Ok(values)
}

impl Format {
    /// Whether its quantiser regards importance: other bytes come of the same values.
    pub fn weighs(&self) -> bool {
        let Encode::Rows(encode) = self.encode else {
            return false;
        };
        let row: Vec<f32> = (0..self.block)
            .map(|i| ((i * 37) % 101) as f32 - 40.0)
            .collect();
        let first: Vec<f32> = (0..self.block).map(|i| 1e4 / (1 + i * i) as f32).collect();
        let [plain, weighed] = [None, Some(&first[..])].map(|importance| {
            let mut out = Vec::new();
            let quantiser = Quantiser {
                importance,
                ..Quantiser::default()
            };
            encode(&row, &quantiser, &mut out);
            out
        });
        plain != weighed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::ModelBytes;
    use crate::encoding::float::Float;
    use crate::format::FORMATS;
    use crate::gguf::Writer;

    /// A file about one matrix of two columns, with these sums and that many rows counted.
    fn file(kind: &str, sums: [f32; 2], counts: &[f32]) -> Gguf {
        let writer = Writer::new(3).key("general.type", kind);
        let writer = writer.tensor("a.weight.in_sum2", &[2, 1], 0, Float::F32.encode(&sums));
        let counts = writer.tensor(
            "a.weight.counts",
            &[1, counts.len() as u64],
            0,
            Float::F32.encode(counts),
        );
        Gguf::parse(ModelBytes::from_vec(counts.finish())).expect("sound")
    }

    #[test]
    fn sums_become_means_and_what_met_no_text_is_left_out() {
        let read = Importance::read(&file("imatrix", [6.0, 0.0], &[3.0])).expect("sound");
        assert_eq!(read.of("a.weight"), Some(&[2.0, 0.0][..]));
        assert_eq!(read.of("b.weight"), None);
        let none = Importance::read(&file("imatrix", [0.0, 0.0], &[0.0])).expect("sound");
        assert_eq!(none, Importance::default());
    }

    #[test]
    fn what_is_no_importance_is_refused_by_name() {
        for (file, said) in [
            (file("model", [1.0, 1.0], &[1.0]), "general.type"),
            (file("imatrix", [-1.0, 1.0], &[1.0]), "no mean of squares"),
            (
                file("imatrix", [f32::NAN, 1.0], &[1.0]),
                "no mean of squares",
            ),
            (file("imatrix", [1.0, 1.0], &[1.0, 1.0]), "a.weight.in_sum2"),
        ] {
            let error = Importance::read(&file).expect_err("refused").to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn the_formats_that_weigh_are_those_that_search_for_their_codes() {
        let weighing = FORMATS.iter().filter(|format| format.weighs());
        let names: Vec<_> = weighing.map(|format| format.name).collect();
        let expected = "q4_0 q4_1 q5_0 q5_1 q2_k q3_k q4_k q5_k q6_k";
        assert_eq!(names.join(" "), expected);
    }
}
