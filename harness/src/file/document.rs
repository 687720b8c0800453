//! A GGUF file as a document that can be edited: keys and tensors in order, matrices as grids.
//!
//! Nothing of the file is lost on the way in and out: an unedited document writes the bytes it
//! was read from, as far as they follow the format's own layout.

pub mod format;
pub mod grid;

use engine::flavor::{Flavor, Shape, split32};
use engine::gguf::writer::Field;
use engine::gguf::{Gguf, TensorInfo, Writer};
use engine::kernels::Kernel;
use engine::matrix::Matrix;
use engine::refusal::Refusal;

use crate::file::opened::{is_packed, packings};

pub use format::Format;
pub use grid::{Grid, Uneditable};

const ALIGNMENT: &str = "general.alignment";

/// A model file in pieces.
#[derive(Debug, Clone)]
pub struct Document {
    version: u32,
    keys: Vec<(String, Field)>,
    tensors: Vec<Tensor>,
    /// Names of tensors that hold nothing but the scales of others.
    scales: Vec<String>,
}

/// One tensor.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Dimensions in ggml order, the contiguous one first.
    pub dims: Vec<u64>,
    /// How the elements are written, where this program can say.
    pub format: Option<Format>,
    /// The values of a packing that it reads and does not write.
    values: Option<Vec<f32>>,
    type_id: u32,
    bytes: Vec<u8>,
}

impl Document {
    /// Everything a file holds. Packings of two-bit weights are decided from evidence.
    pub fn read(gguf: &Gguf) -> Result<Self, Refusal> {
        Self::read_as(gguf, None)
    }

    /// The same, with the packing of its two-bit weights given.
    pub fn read_as(gguf: &Gguf, flavor: Option<Flavor>) -> Result<Self, Refusal> {
        let keys = gguf.metadata.iter();
        let keys = keys.map(|(key, value)| (key.to_owned(), Field::from(value)));
        let mut packed = packings(gguf, flavor);
        let (mut tensors, mut scales) = (Vec::new(), Vec::new());
        for tensor in gguf.tensors.iter() {
            let mut values = None;
            let format = if is_packed(tensor) {
                let (_, detection) = packed.next().expect("one for every packed tensor");
                let detection = detection?;
                let format = Format::of_flavor(detection.flavor);
                if format.is_none() {
                    values = Some(decoded(gguf, tensor)?);
                    scales.extend(detection.scales);
                }
                format
            } else {
                Format::of_tensor(tensor)
            };
            tensors.push(Tensor {
                name: tensor.name.clone(),
                dims: tensor.dims.clone(),
                format,
                values,
                type_id: tensor.type_id,
                bytes: own_bytes(gguf, tensor, format)?,
            });
        }
        Ok(Document {
            version: gguf.version,
            keys: keys.collect(),
            tensors,
            scales,
        })
    }

    /// The value of a key.
    pub fn key(&self, key: &str) -> Option<&Field> {
        let found = self.keys.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value)
    }

    /// Replaces the value of a key, or adds the key.
    pub fn set(&mut self, key: &str, value: impl Into<Field>) {
        let value = value.into();
        match self.keys.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.keys.push((key.to_owned(), value)),
        }
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// All tensors, in order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Appends a tensor of values. A matrix is given as rows; a vector has one row.
    pub fn push(&mut self, name: &str, format: Format, shape: Shape, values: &[f32]) {
        self.push_bytes(name, format, shape, format.encode(values, shape));
    }

    /// Appends a tensor that is written already.
    pub fn push_bytes(&mut self, name: &str, format: Format, shape: Shape, bytes: Vec<u8>) {
        let dims = match shape.rows {
            1 => vec![shape.cols as u64],
            rows => vec![shape.cols as u64, rows as u64],
        };
        self.tensors.push(Tensor {
            name: name.to_owned(),
            dims,
            type_id: format.type_id(),
            bytes,
            values: None,
            format: Some(format),
        });
    }

    /// Appends a matrix as Split32: its codes, and behind them a tensor of their scales.
    pub fn push_split32(&mut self, name: &str, shape: Shape, values: &[f32]) {
        let (bytes, scales) = split32::encode(values, shape);
        // The usual name, `.scale`, is that of one factor for a whole matrix elsewhere.
        let sibling = format!("{}.scales", name.trim_end_matches(".weight"));
        let blocks = shape.cols.div_ceil(split32::BLOCK);
        let mut read = vec![0.0; values.len()];
        for (row, out) in read.chunks_exact_mut(shape.cols).enumerate() {
            Flavor::Split32.decode_row(&bytes, &scales, shape, row, out);
        }
        self.push_bytes(name, Format::SPLIT32, shape, bytes);
        let tensor = self.tensors.last_mut().expect("just pushed");
        (tensor.format, tensor.values) = (None, Some(read));
        self.push(
            &sibling,
            Format::F32,
            Shape {
                cols: blocks,
                ..shape
            },
            &scales,
        );
        self.scales.push(sibling);
    }

    /// Keeps the tensors whose names `keep` says yes to.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.tensors.retain(|tensor| keep(&tensor.name));
    }

    /// Edits the values of a tensor: nothing else of it changes.
    pub fn edit(&mut self, name: &str, edit: impl FnOnce(&mut Grid)) -> Result<(), Uneditable> {
        let tensor = self.find(name)?;
        let mut grid = Grid::read(tensor)?;
        edit(&mut grid);
        tensor.bytes = grid.write(&tensor.name)?;
        Ok(())
    }

    /// Writes a tensor as F32, with values that somebody else has read of it.
    pub fn becomes_f32(&mut self, name: &str, values: &[f32]) -> Result<(), Uneditable> {
        self.find(name)?.becomes(Format::F32, values);
        Ok(())
    }

    /// Writes a tensor in another format, its values rounded to what that can say.
    pub fn write_as(&mut self, name: &str, format: Format) -> Result<(), Uneditable> {
        let tensor = self.find(name)?;
        let values = Grid::read(tensor)?.values();
        tensor.becomes(format, &values);
        Ok(())
    }

    /// The bytes of a tensor, for edits that its values cannot express.
    pub fn bytes(&mut self, name: &str) -> Result<&mut Vec<u8>, Uneditable> {
        Ok(&mut self.find(name)?.bytes)
    }

    /// The tensors of two-bit weights under one scale.
    fn two_bits(&mut self) -> impl Iterator<Item = &mut Tensor> {
        let tensors = self.tensors.iter_mut();
        tensors.filter(|tensor| tensor.format.is_some_and(Format::is_i2_s))
    }

    /// The bytes of every tensor of two-bit weights under one scale: codes, then the scale.
    pub fn packed(&mut self) -> impl Iterator<Item = &mut Vec<u8>> {
        self.two_bits().map(|tensor| &mut tensor.bytes)
    }

    /// Writes every tensor of two-bit weights as F32: the same values, for programs that do not
    /// know the type, nor these type numbers. Returns how many there were.
    pub fn widen(&mut self, lacks: &[u32]) -> Result<usize, Uneditable> {
        let lacked = |format: Format| format.is_i2_s() || lacks.contains(&format.type_id());
        let mut widened = self.rewrite(Format::F32, lacked)?;
        widened += self.rewrite(Format::F32, Format::fills_up)?;
        Ok(widened + self.widen_unwritten())
    }

    /// Writes as bitnet.cpp reads them the tensors that it would misread: other packings of I2_S
    /// as its own, whatever it does not know as F32. Returns how many there were.
    pub fn published(&mut self) -> Result<usize, Uneditable> {
        let other = |format: Format| format.is_i2_s() && format != Format::I2_S_P128;
        let mut changed = self.rewrite(Format::I2_S_P128, other)?;
        changed += self.rewrite(Format::F32, Format::is_decoded)?;
        Ok(changed + self.widen_unwritten())
    }

    /// Writes the tensors whose format is one of those in another. Returns how many there were.
    fn rewrite(
        &mut self,
        format: Format,
        wanted: impl Fn(Format) -> bool,
    ) -> Result<usize, Uneditable> {
        let tensors = self.tensors.iter_mut();
        let mut rewritten = 0;
        for tensor in tensors.filter(|tensor| tensor.format.is_some_and(&wanted)) {
            let values = Grid::read(tensor)?.values();
            tensor.becomes(format, &values);
            rewritten += 1;
        }
        Ok(rewritten)
    }

    /// Writes what is read and not written as F32; tensors of scales are not needed then.
    fn widen_unwritten(&mut self) -> usize {
        let mut widened = 0;
        for tensor in &mut self.tensors {
            if let Some(values) = tensor.values.take() {
                tensor.becomes(Format::F32, &values);
                widened += 1;
            }
        }
        if widened > 0 {
            let scales = std::mem::take(&mut self.scales);
            self.retain(|name| !scales.iter().any(|scale| scale == name));
        }
        widened
    }

    /// Puts row `order[i]` in the place of row `i`. Whole rows move, so every format allows it.
    pub fn permute_rows(&mut self, name: &str, order: &[usize]) -> Result<(), Uneditable> {
        let tensor = self.find(name)?;
        // A row of I2_S need not be a range of bytes of its own.
        let Some(format) = tensor.format.filter(|format| !format.is_i2_s()) else {
            return self.edit(name, |grid| grid.permute_rows(order));
        };
        let shape = tensor.shape();
        assert_eq!(order.len(), shape.rows, "a place for every row of {name}");
        let stride = format.bytes(Shape { rows: 1, ..shape });
        let rows = order
            .iter()
            .map(|&row| &tensor.bytes[row * stride..][..stride]);
        tensor.bytes = rows.flatten().copied().collect();
        Ok(())
    }

    /// The file.
    pub fn file(&self) -> Vec<u8> {
        let mut writer = Writer::new(self.version);
        if let Some(Field::U32(alignment)) = self.key(ALIGNMENT) {
            writer = writer.alignment(*alignment);
        }
        for (key, value) in self.keys.iter().filter(|(key, _)| key != ALIGNMENT) {
            writer = writer.key(key, value.clone());
        }
        for tensor in &self.tensors {
            let bytes = tensor.bytes.clone();
            writer = writer.tensor(&tensor.name, &tensor.dims, tensor.type_id, bytes);
        }
        writer.finish()
    }

    fn find(&mut self, name: &str) -> Result<&mut Tensor, Uneditable> {
        let found = self.tensors.iter_mut().find(|tensor| tensor.name == name);
        found.ok_or_else(|| Uneditable::new(name, "there is no such tensor"))
    }
}

impl Default for Document {
    /// An empty one.
    fn default() -> Self {
        Document {
            version: 3,
            keys: Vec::new(),
            tensors: Vec::new(),
            scales: Vec::new(),
        }
    }
}

impl Tensor {
    /// Other values, written so.
    fn becomes(&mut self, format: Format, values: &[f32]) {
        self.bytes = format.encode(values, self.shape());
        self.type_id = format.type_id();
        self.format = Some(format);
    }

    /// Rows and columns; a vector is one row.
    pub fn shape(&self) -> Shape {
        let rows: u64 = self.dims[1..].iter().product();
        Shape {
            rows: rows as usize,
            cols: self.dims[0] as usize,
        }
    }
}

/// Every value, as the engine reads it.
fn decoded(gguf: &Gguf, tensor: &TensorInfo) -> Result<Vec<f32>, Refusal> {
    let matrix = Matrix::from_tensor(gguf, tensor, None, Kernel::best())?;
    let mut values = vec![0.0; matrix.rows() * matrix.cols()];
    for (row, out) in values.chunks_exact_mut(matrix.cols()).enumerate() {
        matrix.decode_row(row, out);
    }
    Ok(values)
}

/// The bytes of a tensor without what alignment put behind them, as far as that is known.
fn own_bytes(gguf: &Gguf, tensor: &TensorInfo, format: Option<Format>) -> Result<Vec<u8>, Refusal> {
    let region = gguf.region(tensor);
    let known = match format {
        Some(format) => Some(format.bytes(Shape::of(tensor)?)),
        None => tensor.known_bytes().map(|bytes| bytes as usize),
    };
    let len = known.map_or(region.len(), |bytes| bytes.min(region.len()));
    Ok(region[..len].to_vec())
}

#[cfg(test)]
mod tests;
