//! Writes GGUF version 3, little-endian. Metadata and tensor entries first, then the data, piece by piece.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use realizar_quant::DType;

use crate::data_writer::{DataWriter, Declared, pad};
use crate::error::{FormatError, Place};
use crate::limits;
use crate::new_file::NewFile;
use crate::packed::{put, put_text};
use crate::shape::Shape;
use crate::sniff;
use crate::value::{Value, ValueType};

/// The head of a GGUF file under construction: what it will say, and which tensors it will hold.
///
/// Everything that the reader would refuse is refused here. Memory is taken for the head only.
///
/// ```
/// use realizar_format::{DType, Gguf, GgufWriter, Shape, TensorSource, Value};
///
/// let mut writer = GgufWriter::new();
/// writer.metadata("general.architecture", Value::from("llama"))?;
/// writer.tensor("norm", DType::F32, Shape::new(&[2]).ok_or("too many dimensions")?)?;
/// let mut data = writer.begin(Vec::new())?;
/// data.write(&1.0_f32.to_le_bytes())?;
/// data.write(&2.0_f32.to_le_bytes())?;
/// let gguf = Gguf::parse(data.finish()?.into())?;
/// assert_eq!(gguf.tensor("norm").map(|tensor| tensor.data.len()), Some(8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct GgufWriter {
    kv: Vec<u8>,
    keys: HashSet<String>,
    records: Vec<u8>,
    tensors: Vec<Declared>,
    names: HashSet<String>,
    alignment: Option<u32>,
    data_bytes: u64,
}

impl GgufWriter {
    /// A file with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a metadata entry. `general.alignment` takes effect, and must come before the first tensor.
    ///
    /// # Errors
    ///
    /// The key is empty, too long or already there, or the value is one that the reader would refuse.
    pub fn metadata(&mut self, key: &str, value: Value<'_>) -> Result<&mut Self, FormatError> {
        let at = |field| Place::named(field, 24_u64.saturating_add(self.kv.len() as u64), key.as_bytes());
        if key.is_empty() {
            return Err(FormatError::invalid(at("key"), "an empty key", "a name"));
        }
        check_limit(at("key_len"), key.len() as u64, limits::KEY_BYTES)?;
        check_limit(at("kv_count"), (self.keys.len() as u64).saturating_add(1), limits::KV_COUNT)?;
        if key == "general.alignment" {
            match value {
                Value::U32(alignment)
                    if alignment.is_power_of_two()
                        && alignment <= limits::ALIGNMENT
                        && self.tensors.is_empty() =>
                {
                    self.alignment = Some(alignment);
                }
                other => {
                    let expected = "a u32, a power of two from 1 to 1048576, before the first tensor";
                    return Err(FormatError::invalid(at("alignment"), other, expected));
                }
            }
        }
        if self.keys.contains(key) {
            return Err(FormatError::invalid(at("duplicate_key"), "a second value", "each key once"));
        }
        check_value(value).map_err(|error| error.of(Some(key.as_bytes()), self.keys.len() as u64))?;
        put_text(&mut self.kv, key.as_bytes());
        self.kv.extend(value.value_type().id().to_le_bytes());
        put(&mut self.kv, value);
        self.keys.insert(key.to_owned());
        Ok(self)
    }

    /// Announces a tensor. The data of all tensors follows in this order.
    ///
    /// # Errors
    ///
    /// The name is empty, too long or already there, the type has no number in GGUF, or the shape does not fit it.
    pub fn tensor(&mut self, name: &str, dtype: DType, shape: Shape) -> Result<&mut Self, FormatError> {
        let index = self.tensors.len() as u64;
        let at = |field| Place {
            index: Some(index),
            ..Place::named(field, self.records.len() as u64, name.as_bytes())
        };
        if name.is_empty() {
            return Err(FormatError::invalid(at("tensor_name"), "an empty name", "a name"));
        }
        check_limit(at("tensor_name_len"), name.len() as u64, limits::GGUF_NAME_BYTES)?;
        check_limit(at("tensor_count"), index.saturating_add(1), limits::TENSOR_COUNT)?;
        check_limit(at("n_dims"), shape.len() as u64, limits::GGUF_DIMS.into())?;
        if self.names.contains(name) {
            return Err(FormatError::invalid(at("duplicate_tensor"), "a second tensor", "each name once"));
        }
        let Some(id) = dtype.ggml_id() else {
            return Err(FormatError::invalid(at("tensor_type"), dtype, "a type that GGUF has"));
        };
        if !shape.cols().is_multiple_of(dtype.block_elems()) {
            let expected = format!("whole blocks of {} elements", dtype.block_elems());
            return Err(FormatError::invalid(at("row_len"), shape.cols(), expected));
        }
        let overflow = |field| FormatError::Overflow { at: at(field), shape: shape.to_string() };
        shape.elements().ok_or_else(|| overflow("elements"))?;
        let bytes = shape.bytes(dtype).ok_or_else(|| overflow("bytes"))?;
        let offset = self.data_bytes;
        let end = pad(bytes, self.alignment()).and_then(|padded| offset.checked_add(padded));
        self.data_bytes = end.ok_or_else(|| overflow("total_bytes"))?;

        put_text(&mut self.records, name.as_bytes());
        let dims = u32::try_from(shape.len()).unwrap_or_default();
        self.records.extend(dims.to_le_bytes());
        for dim in shape.iter().rev() {
            self.records.extend((*dim as u64).to_le_bytes());
        }
        self.records.extend(id.to_le_bytes());
        self.records.extend(offset.to_le_bytes());
        self.names.insert(name.to_owned());
        self.tensors.push(Declared { name: name.to_owned(), bytes });
        Ok(self)
    }

    /// Writes the head to `out`; the data is next.
    ///
    /// # Errors
    ///
    /// `out` fails.
    pub fn begin<W: Write>(self, out: W) -> Result<DataWriter<W>, FormatError> {
        let alignment = self.alignment();
        let mut data = DataWriter::new(out, self.tensors, alignment);
        data.put(sniff::GGUF)?;
        data.put(&3_u32.to_le_bytes())?;
        data.put(&(self.names.len() as u64).to_le_bytes())?;
        data.put(&(self.keys.len() as u64).to_le_bytes())?;
        data.put(&self.kv)?;
        data.put(&self.records)?;
        data.pad_to(alignment)?;
        Ok(data)
    }

    /// Begins the file at `path`; it appears there when [`DataWriter::finish`] and [`NewFile::commit`] are done.
    ///
    /// # Errors
    ///
    /// The file cannot be created or written.
    pub fn create(self, path: impl AsRef<Path>) -> Result<DataWriter<NewFile>, FormatError> {
        self.begin(NewFile::create(path)?)
    }

    fn alignment(&self) -> u32 {
        self.alignment.unwrap_or(limits::DEFAULT_ALIGNMENT)
    }
}

fn check_limit(at: Place, found: u64, limit: u64) -> Result<(), FormatError> {
    if found > limit { Err(FormatError::TooLarge { at, found, limit }) } else { Ok(()) }
}

/// Refuses strings and arrays that are longer than the reader takes.
fn check_value(value: Value<'_>) -> Result<(), FormatError> {
    match value {
        Value::String(text) => {
            check_limit(Place::new("string_len", 0), text.as_bytes().len() as u64, limits::STRING_BYTES)
        }
        Value::Array(array) => {
            check_limit(Place::new("array_len", 0), array.len() as u64, limits::ARRAY_ELEMS)?;
            let is_text = array.elem_type() == ValueType::String;
            array.iter().take_while(|_| is_text).try_for_each(check_value)
        }
        _ => Ok(()),
    }
}
