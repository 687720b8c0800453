//! Lays out files byte by byte, right or wrong, and remembers where it wrote each field.
//!
//! It shares nothing with the engine's own writer: what the tests expect of an offset comes from
//! here, never from the code under test.

/// A value as it lies in the file: type id and payload.
#[derive(Clone)]
pub struct Raw {
    pub type_id: u32,
    pub payload: Vec<u8>,
    /// Where elements start, relative to the payload, for arrays.
    pub elements: Vec<usize>,
}

#[derive(Clone)]
pub struct Key {
    pub name: Vec<u8>,
    pub value: Raw,
}

#[derive(Clone)]
pub struct Tensor {
    pub name: Vec<u8>,
    pub dims: Vec<u64>,
    pub type_id: u32,
    pub bytes: Vec<u8>,
    /// Written instead of the number of dimensions.
    pub n_dims: Option<u32>,
    /// Written instead of the offset the layout gives.
    pub offset: Option<u64>,
    /// Bytes left free in front of the data.
    pub hole: u64,
}

/// A file that can be changed before it is laid out.
#[derive(Clone)]
pub struct Draft {
    pub magic: [u8; 4],
    pub version: u32,
    /// Written instead of the true counts.
    pub tensor_count: Option<u64>,
    pub key_count: Option<u64>,
    pub keys: Vec<Key>,
    pub tensors: Vec<Tensor>,
    /// What data is aligned to, whatever the metadata says.
    pub alignment: u64,
    /// Order in which the data of the tensors lies, if not that of the table.
    pub data_order: Option<Vec<usize>>,
}

/// The bytes, and the offset of every field by its path.
pub struct Built {
    pub bytes: Vec<u8>,
    places: Vec<(String, u64)>,
}

impl Built {
    /// Where a field was written.
    pub fn place(&self, field: &str) -> u64 {
        let found = self.places.iter().find(|(path, _)| path == field);
        found
            .unwrap_or_else(|| panic!("the builder wrote no {field}"))
            .1
    }

    /// Overwrites eight bytes of a field.
    pub fn patch_u64(&mut self, field: &str, value: u64) {
        let at = self.place(field) as usize;
        self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Cuts the file off at a byte.
    pub fn cut(&mut self, at: u64) {
        self.bytes.truncate(at as usize);
    }

    fn note(&mut self, path: impl Into<String>) {
        self.places.push((path.into(), self.bytes.len() as u64));
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn string(&mut self, text: &[u8]) {
        self.u64(text.len() as u64);
        self.bytes.extend_from_slice(text);
    }

    fn pad(&mut self, alignment: u64) {
        let padded = (self.bytes.len() as u64).next_multiple_of(alignment);
        self.bytes.resize(padded as usize, 0);
    }
}

impl Draft {
    /// An empty version 3 file.
    pub fn new() -> Self {
        Draft {
            magic: *b"GGUF",
            version: 3,
            tensor_count: None,
            key_count: None,
            keys: Vec::new(),
            tensors: Vec::new(),
            alignment: 32,
            data_order: None,
        }
    }

    /// Appends a key, or replaces the value of one that is there.
    pub fn set(&mut self, name: &str, value: Raw) {
        match self.keys.iter_mut().find(|key| key.name == name.as_bytes()) {
            Some(key) => key.value = value,
            None => self.add(name.as_bytes(), value),
        }
    }

    /// Appends a key even if it is there.
    pub fn add(&mut self, name: &[u8], value: Raw) {
        let name = name.to_vec();
        self.keys.push(Key { name, value });
    }

    /// Takes a key out, which must be there.
    pub fn remove(&mut self, name: &str) {
        let before = self.keys.len();
        self.keys.retain(|key| key.name != name.as_bytes());
        assert_eq!(
            self.keys.len() + 1,
            before,
            "{name} was not in the base file"
        );
    }

    /// Appends a tensor.
    pub fn tensor(&mut self, name: &str, dims: &[u64], type_id: u32, bytes: Vec<u8>) {
        self.tensors.push(Tensor {
            name: name.as_bytes().to_vec(),
            dims: dims.to_vec(),
            type_id,
            bytes,
            n_dims: None,
            offset: None,
            hole: 0,
        });
    }

    /// A tensor of the base file.
    pub fn find(&mut self, name: &str) -> &mut Tensor {
        let found = self
            .tensors
            .iter_mut()
            .find(|tensor| tensor.name == name.as_bytes());
        found.unwrap_or_else(|| panic!("{name} is not in the base file"))
    }

    /// Lays the file out.
    pub fn build(&self) -> Built {
        let mut out = Built {
            bytes: Vec::new(),
            places: Vec::new(),
        };
        out.note("header.magic");
        out.bytes.extend_from_slice(&self.magic);
        out.note("header.version");
        out.u32(self.version);
        out.note("header.tensor_count");
        out.u64(self.tensor_count.unwrap_or(self.tensors.len() as u64));
        out.note("header.metadata_count");
        out.u64(self.key_count.unwrap_or(self.keys.len() as u64));
        for (index, key) in self.keys.iter().enumerate() {
            put_key(&mut out, index, key);
        }
        let offsets = self.offsets();
        for (index, tensor) in self.tensors.iter().enumerate() {
            put_tensor(&mut out, index, tensor, offsets[index]);
        }
        out.note("tensors.end");
        self.put_data(&mut out, &offsets);
        out.note("file.end");
        out
    }

    fn order(&self) -> Vec<usize> {
        let in_table_order = || (0..self.tensors.len()).collect();
        self.data_order.clone().unwrap_or_else(in_table_order)
    }

    fn offsets(&self) -> Vec<u64> {
        let mut offsets = vec![0; self.tensors.len()];
        let mut end = 0u64;
        for index in self.order() {
            let tensor = &self.tensors[index];
            offsets[index] = end + tensor.hole;
            end = offsets[index] + tensor.bytes.len() as u64;
            end = end.next_multiple_of(self.alignment);
        }
        offsets
    }

    fn put_data(&self, out: &mut Built, offsets: &[u64]) {
        out.pad(self.alignment);
        let start = out.bytes.len() as u64;
        out.note("data.start");
        for index in self.order() {
            let tensor = &self.tensors[index];
            out.bytes.resize((start + offsets[index]) as usize, 0);
            let name = String::from_utf8_lossy(&tensor.name);
            out.note(format!("tensors.\"{name}\".data"));
            out.bytes.extend_from_slice(&tensor.bytes);
            out.pad(self.alignment);
        }
    }
}

fn put_key(out: &mut Built, index: usize, key: &Key) {
    let name = String::from_utf8_lossy(&key.name);
    out.note(format!("metadata[{index}].key"));
    // The first entry under a name keeps the path, so the second is found by its index.
    out.note(format!("metadata.\"{name}\".key"));
    out.string(&key.name);
    out.note(format!("metadata.\"{name}\".type"));
    out.u32(key.value.type_id);
    out.note(format!("metadata.\"{name}\""));
    if key.value.type_id == 9 {
        out.note(format!("metadata.\"{name}\".element_type"));
        let start = out.bytes.len() as u64;
        out.places
            .push((format!("metadata.\"{name}\".len"), start + 4));
        for (index, at) in key.value.elements.iter().enumerate() {
            let place = start + *at as u64;
            out.places
                .push((format!("metadata.\"{name}\"[{index}]"), place));
        }
    }
    out.bytes.extend_from_slice(&key.value.payload);
}

fn put_tensor(out: &mut Built, index: usize, tensor: &Tensor, offset: u64) {
    let name = String::from_utf8_lossy(&tensor.name).into_owned();
    out.note(format!("tensors[{index}].name"));
    out.note(format!("tensors.\"{name}\".name"));
    out.string(&tensor.name);
    out.note(format!("tensors.\"{name}\".n_dims"));
    out.u32(tensor.n_dims.unwrap_or(tensor.dims.len() as u32));
    out.note(format!("tensors.\"{name}\".dims"));
    for (axis, &dim) in tensor.dims.iter().enumerate() {
        out.note(format!("tensors.\"{name}\".dims[{axis}]"));
        out.u64(dim);
    }
    out.note(format!("tensors.\"{name}\".type"));
    out.u32(tensor.type_id);
    out.note(format!("tensors.\"{name}\".offset"));
    out.u64(tensor.offset.unwrap_or(offset));
}

/// A value of a type without elements, from its bytes.
fn plain(type_id: u32, payload: &[u8]) -> Raw {
    Raw {
        type_id,
        payload: payload.to_vec(),
        elements: Vec::new(),
    }
}

pub fn u32(value: u32) -> Raw {
    plain(4, &value.to_le_bytes())
}

pub fn i32(value: i32) -> Raw {
    plain(5, &value.to_le_bytes())
}

pub fn f32(value: f32) -> Raw {
    plain(6, &value.to_le_bytes())
}

pub fn bool(value: u8) -> Raw {
    plain(7, &[value])
}

pub fn u64(value: u64) -> Raw {
    plain(10, &value.to_le_bytes())
}

pub fn u16(value: u16) -> Raw {
    plain(2, &value.to_le_bytes())
}

/// A value of any type id and payload.
pub fn raw(type_id: u32, payload: &[u8]) -> Raw {
    plain(type_id, payload)
}

pub fn text(value: impl AsRef<[u8]>) -> Raw {
    let value = value.as_ref();
    let mut payload = (value.len() as u64).to_le_bytes().to_vec();
    payload.extend_from_slice(value);
    plain(8, &payload)
}

/// An array of any element type, each element given as its bytes.
pub fn array(element_type: u32, items: impl IntoIterator<Item = Vec<u8>>) -> Raw {
    let mut payload = element_type.to_le_bytes().to_vec();
    payload.extend_from_slice(&[0; 8]);
    let mut elements = Vec::new();
    for item in items {
        elements.push(payload.len());
        payload.extend_from_slice(&item);
    }
    payload[4..12].copy_from_slice(&(elements.len() as u64).to_le_bytes());
    Raw {
        type_id: 9,
        payload,
        elements,
    }
}

pub fn texts<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Raw {
    array(8, items.into_iter().map(|item| text(item).payload))
}

pub fn f32s(items: impl IntoIterator<Item = f32>) -> Raw {
    array(6, items.into_iter().map(|item| item.to_le_bytes().to_vec()))
}

pub fn i32s(items: impl IntoIterator<Item = i32>) -> Raw {
    array(5, items.into_iter().map(|item| item.to_le_bytes().to_vec()))
}

pub fn u32s(items: impl IntoIterator<Item = u32>) -> Raw {
    array(4, items.into_iter().map(|item| item.to_le_bytes().to_vec()))
}
