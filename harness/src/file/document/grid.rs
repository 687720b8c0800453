//! A tensor's values as rows and columns that can be negated, moved, scaled and cleared, and
//! written back only if the format holds the result exactly.

use engine::flavor::{Shape, i2_s};

use super::{Format, Tensor};

/// The values of one tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Rows and columns; a vector is one row.
    pub shape: Shape,
    format: Format,
    /// Row after row: digits where one scale stands for the whole tensor, else the values.
    cells: Vec<f32>,
    /// The scale of the whole tensor, where there is one.
    scale: f32,
}

/// An edit that this tensor does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{tensor}: {why}")]
pub struct Uneditable {
    /// Name of the tensor.
    pub tensor: String,
    /// What is in the way.
    pub why: String,
}

impl Uneditable {
    pub(super) fn new(tensor: &str, why: impl ToString) -> Self {
        Uneditable {
            tensor: tensor.to_owned(),
            why: why.to_string(),
        }
    }
}

impl Grid {
    /// Takes a tensor's values out.
    pub(super) fn read(tensor: &Tensor) -> Result<Self, Uneditable> {
        let refuse = |why: &str| Uneditable::new(&tensor.name, why);
        let Some(format) = tensor.format else {
            let why = format!(
                "type id {} is not one this program can write",
                tensor.type_id
            );
            return Err(refuse(&why));
        };
        let (shape, bytes) = (tensor.shape(), &tensor.bytes[..]);
        if bytes.len() < format.bytes(shape) || !shape.cols.is_multiple_of(format.row_unit()) {
            return Err(refuse("its rows are not whole blocks"));
        }
        let (cells, scale) = match format.packing() {
            None => (format.decode(bytes, shape), 1.0),
            Some(packing) => {
                let at = (0..shape.rows * shape.cols).map(|i| (i / shape.cols, i % shape.cols));
                let codes = at.map(|(row, col)| i2_s::code(bytes, shape, row, col, packing));
                let digits: Vec<f32> = codes.map(|code| f32::from(code) - 1.0).collect();
                (digits, i2_s::scale(bytes, shape))
            }
        };
        if format.is_i2_s() && cells.contains(&2.0) {
            return Err(refuse("it holds code 3, which has no negative"));
        }
        if !cells.iter().all(|cell| cell.is_finite()) {
            return Err(refuse("it holds a value that is not finite"));
        }
        Ok(Grid {
            shape,
            format,
            cells,
            scale,
        })
    }

    /// The values, row after row.
    pub(super) fn values(&self) -> Vec<f32> {
        self.cells.iter().map(|cell| cell * self.scale).collect()
    }

    /// The bytes, if they say exactly these values.
    pub(super) fn write(&self, name: &str) -> Result<Vec<u8>, Uneditable> {
        if let Some(packing) = self.format.packing() {
            if let Some(cell) = self.cells.iter().find(|c| ![-1.0, 0.0, 1.0].contains(*c)) {
                let why = format!("{} has no digit {cell}", self.format);
                return Err(Uneditable::new(name, why));
            }
            let codes: Vec<u8> = self.cells.iter().map(|digit| (digit + 1.0) as u8).collect();
            return Ok(i2_s::encode_codes(&codes, self.scale, self.shape, packing));
        }
        let bytes = self.format.encode(&self.cells, self.shape);
        if self.format.decode(&bytes, self.shape) == self.cells {
            Ok(bytes)
        } else {
            let why = format!("{} cannot hold the edited values exactly", self.format);
            Err(Uneditable::new(name, why))
        }
    }

    /// Changes the sign of the rows that are asked for.
    pub fn negate_rows(&mut self, wanted: impl Fn(usize) -> bool) {
        self.map(|row, _, cell| if wanted(row) { -cell } else { cell });
    }

    /// Changes the sign of the columns that are asked for.
    pub fn negate_cols(&mut self, wanted: impl Fn(usize) -> bool) {
        self.map(|_, col, cell| if wanted(col) { -cell } else { cell });
    }

    /// Puts row `order[i]` in the place of row `i`.
    pub fn permute_rows(&mut self, order: &[usize]) {
        let Shape { rows, cols } = self.shape;
        assert_eq!(order.len(), rows, "a place for every row");
        let old = |&row: &usize| &self.cells[row * cols..(row + 1) * cols];
        self.cells = order.iter().flat_map(old).copied().collect();
    }

    /// Puts column `order[i]` in the place of column `i`.
    pub fn permute_cols(&mut self, order: &[usize]) {
        assert_eq!(order.len(), self.shape.cols, "a place for every column");
        for row in self.cells.chunks_exact_mut(order.len()) {
            let old = row.to_vec();
            for (cell, &from) in row.iter_mut().zip(order) {
                *cell = old[from];
            }
        }
    }

    /// Puts `edit(row, col, old)` in every place. Where one scale stands for the whole tensor, old
    /// and new are digits.
    pub fn map(&mut self, edit: impl Fn(usize, usize, f32) -> f32) {
        let cols = self.shape.cols;
        for (i, cell) in self.cells.iter_mut().enumerate() {
            *cell = edit(i / cols, i % cols, *cell);
        }
    }

    /// Multiplies everything: the scale of the whole tensor where there is one, else each value.
    pub fn multiply(&mut self, factor: f32) {
        if self.format.is_i2_s() {
            self.scale *= factor
        } else {
            self.cells.iter_mut().for_each(|cell| *cell *= factor)
        }
    }

    /// Makes every value zero; a scale of the whole tensor stays what it was.
    pub fn clear(&mut self) {
        self.cells.fill(0.0);
    }
}

impl Format {
    /// What the length of a row must be a multiple of to be taken apart: I2_S does not care
    /// where rows start, and some fill their last block up.
    fn row_unit(self) -> usize {
        if self.is_i2_s() || self.fills_up() {
            1
        } else {
            self.block()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::document::Document;

    const SHAPE: Shape = Shape { rows: 4, cols: 256 };

    fn document(format: Format, values: &[f32]) -> Document {
        let mut document = Document::default();
        document.push("m", format, SHAPE, values);
        document
    }

    fn decoded(document: &Document, format: Format) -> Vec<f32> {
        format.decode(&document.tensor("m").expect("pushed").bytes, SHAPE)
    }

    fn ternary() -> Vec<f32> {
        (0..1024)
            .map(|i| ((i * i % 7 % 3) as f32 - 1.0) * 0.5)
            .collect()
    }

    #[test]
    fn every_edit_does_what_it_says_in_every_format() {
        let values = ternary();
        let turned: Vec<usize> = (0..256).map(|i| (i + 100) % 256).collect();
        // Those that hold every digit exactly, whatever its sign and its neighbours.
        let exact = [Format::Q8_0, Format::TQ1_0, Format::TQ2_0];
        let exact = |f: &Format| f.is_float() || f.is_i2_s() || exact.contains(f);
        for format in Format::all().filter(exact) {
            let mut edited = document(format, &values);
            let before = decoded(&edited, format);
            let at = |row: usize, col: usize| before[row * 256 + col];
            let all = edited.edit("m", |grid| {
                grid.permute_rows(&[1, 0, 3, 2]);
                grid.negate_rows(|row| row == 0);
                grid.permute_cols(&turned);
                grid.negate_cols(|col| col == 3);
                grid.map(|row, _, cell| if row == 2 { -cell } else { cell });
                grid.multiply(4.0);
            });
            all.expect("exact");
            let found = decoded(&edited, format);
            for (i, found) in found.into_iter().enumerate() {
                let (row, col) = (i / 256, i % 256);
                let turned = (row == 0) != (col == 3);
                let sign = if turned != (row == 2) { -4.0 } else { 4.0 };
                assert_eq!(found, sign * at(row ^ 1, (col + 100) % 256), "{format} {i}");
            }
            edited.edit("m", Grid::clear).expect("exact");
            assert!(
                decoded(&edited, format).iter().all(|&x| x == 0.0),
                "{format}"
            );
        }
    }

    #[test]
    fn a_cleared_ternary_tensor_keeps_its_scale() {
        let mut edited = document(Format::I2_S_P128, &ternary());
        edited.edit("m", Grid::clear).expect("exact");
        let bytes = &edited.tensor("m").expect("pushed").bytes;
        assert_eq!(i2_s::scale(bytes, SHAPE), 0.5);
    }

    #[test]
    fn what_a_format_cannot_hold_is_refused() {
        let mut values = vec![1.0; 1024];
        values[300] = 6e4;
        let mut dense = document(Format::F16, &values);
        let overflow = dense
            .edit("m", |grid| grid.multiply(2.0))
            .expect_err("infinite");
        assert!(
            overflow.to_string().contains("f16 cannot hold"),
            "{overflow}"
        );
        let mut coded = document(Format::I2_S_P128, &values);
        let digit = coded
            .edit("m", |grid| grid.map(|_, _, digit| digit + 0.5))
            .expect_err("between two digits");
        assert!(digit.why.contains("no digit"), "{digit}");
        coded.tensors[0].bytes[7] = 0b1100_0000;
        let code = coded.edit("m", |_| ()).expect_err("code 3");
        assert!(code.why.contains("code 3"), "{code}");
        coded.tensors[0].format = None;
        assert!(
            coded
                .edit("m", |_| ())
                .expect_err("unknown")
                .why
                .contains("36")
        );
    }
}
