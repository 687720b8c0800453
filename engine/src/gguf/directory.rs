//! Tensor names, dims, types, and byte ranges proven to lie inside the file.
#![forbid(unsafe_code)]

/// One entry of the tensor table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name, UTF-8, at most 63 bytes.
    pub name: String,
    /// Dimensions in ggml order: `dims[0]` is contiguous.
    pub dims: Vec<u64>,
    /// The type id as written. What it means is decided elsewhere: ids collide between dialects.
    pub type_id: u32,
    /// Absolute offset of the data in the file.
    pub offset: u64,
    /// Bytes from there to the next tensor's data, or to the end of the file.
    pub gap: u64,
    /// Absolute offset of this entry in the tensor table.
    pub declared_at: u64,
}

impl TensorInfo {
    /// Contiguous dimension, the length of a row.
    pub fn cols(&self) -> u64 {
        self.dims[0]
    }
    /// Product of the other dimensions.
    pub fn rows(&self) -> u64 {
        self.dims[1..].iter().product()
    }
}

/// The tensor table, in file order, with lookup by name.
#[derive(Default)]
pub struct Directory {
    #[allow(dead_code)]
    tensors: Vec<TensorInfo>,
}

impl Directory {
    /// The tensor of that name.
    pub fn get(&self, _name: &str) -> Option<&TensorInfo> {
        todo!("gguf")
    }
    /// All tensors in file order.
    pub fn iter(&self) -> std::slice::Iter<'_, TensorInfo> {
        self.tensors.iter()
    }
}
