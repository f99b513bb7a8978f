//! Writes safetensors files.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use realizar_quant::DType;

use crate::data_writer::{DataWriter, Declared};
use crate::error::{FormatError, Place};
use crate::json::quoted;
use crate::limits;
use crate::new_file::NewFile;
use crate::safetensors::element;
use crate::shape::Shape;

/// The header of a safetensors file under construction. The data of all tensors follows in the order in which they
/// were announced; announce wider types first to keep all of them aligned.
///
/// ```
/// use realizar_format::{DType, Safetensors, SafetensorsWriter, Shape, TensorSource};
///
/// let mut writer = SafetensorsWriter::new();
/// writer.metadata("format", "pt")?;
/// writer.tensor("norm", DType::F32, Shape::new(&[1]).ok_or("too many dimensions")?)?;
/// let mut data = writer.begin(Vec::new())?;
/// data.write(&1.0_f32.to_le_bytes())?;
/// let file = Safetensors::parse(data.finish()?.into())?;
/// assert_eq!(file.tensor("norm").map(|tensor| tensor.data.len()), Some(4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct SafetensorsWriter {
    metadata: String,
    keys: HashSet<String>,
    entries: String,
    names: HashSet<String>,
    tensors: Vec<Declared>,
    data_bytes: u64,
}

impl SafetensorsWriter {
    /// A file with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry of `__metadata__`.
    ///
    /// # Errors
    ///
    /// The key is already there.
    pub fn metadata(&mut self, key: &str, text: &str) -> Result<&mut Self, FormatError> {
        if !self.keys.insert(key.to_owned()) {
            let at = Place::named("duplicate_key", 8, key.as_bytes());
            return Err(FormatError::invalid(at, "a second value", "each key once"));
        }
        let comma = if self.metadata.is_empty() { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(self.metadata, "{comma}{}:{}", quoted(key), quoted(text));
        Ok(self)
    }

    /// Announces a tensor.
    ///
    /// # Errors
    ///
    /// The name is already there or too long, the format lacks the type, or the sizes overflow.
    pub fn tensor(&mut self, name: &str, dtype: DType, shape: Shape) -> Result<&mut Self, FormatError> {
        let index = self.tensors.len() as u64;
        let at = |field| Place { index: Some(index), ..Place::named(field, 8, name.as_bytes()) };
        if name.len() as u64 > limits::SAFETENSORS_NAME_BYTES {
            let (found, limit) = (name.len() as u64, limits::SAFETENSORS_NAME_BYTES);
            return Err(FormatError::TooLarge { at: at("tensor_name_len"), found, limit });
        }
        if name == "__metadata__" || self.names.contains(name) {
            return Err(FormatError::invalid(
                at("duplicate_tensor"),
                "a name that is taken",
                "each name once",
            ));
        }
        let Some(element) = element::by_dtype(dtype) else {
            return Err(FormatError::invalid(at("dtype"), dtype, "a type that safetensors has"));
        };
        let overflow = |field| FormatError::Overflow { at: at(field), shape: shape.to_string() };
        let elements = shape.elements().ok_or_else(|| overflow("elements"))?;
        // Eight elements fill whole bytes, whatever their size.
        let (eights, left) = ((elements as u64) >> 3, (elements as u64) & 7);
        let left_bits = left.saturating_mul(element.bits);
        if left_bits & 7 != 0 {
            let found = format!("{elements} elements of {} bits", element.bits);
            return Err(FormatError::invalid(at("shape"), found, "data that ends at the end of a byte"));
        }
        let bytes = eights.checked_mul(element.bits).and_then(|bytes| bytes.checked_add(left_bits >> 3));
        let bytes = bytes.ok_or_else(|| overflow("bytes"))?;
        let start = self.data_bytes;
        self.data_bytes = start.checked_add(bytes).ok_or_else(|| overflow("total_bytes"))?;
        let end = self.data_bytes;
        let name_json = quoted(name);
        let dims: Vec<_> = shape.iter().map(usize::to_string).collect();
        let comma = if self.entries.is_empty() { "" } else { "," };
        let _ = write!(
            self.entries,
            "{comma}{name_json}:{{\"dtype\":\"{dtype}\",\"shape\":[{}],\"data_offsets\":[{start},{end}]}}",
            dims.join(",")
        );
        self.names.insert(name.to_owned());
        self.tensors.push(Declared { name: name.to_owned(), bytes });
        Ok(self)
    }

    /// Writes the header to `out`; the data is next.
    ///
    /// # Errors
    ///
    /// The header is above the format's limit of 100 MB, or `out` fails.
    pub fn begin<W: Write>(self, out: W) -> Result<DataWriter<W>, FormatError> {
        let comma = if self.metadata.is_empty() || self.entries.is_empty() { "" } else { "," };
        let metadata = match self.metadata.is_empty() {
            true => String::new(),
            false => format!("\"__metadata__\":{{{}}}", self.metadata),
        };
        let mut header = format!("{{{metadata}{comma}{}}}", self.entries);
        // The data begins at a multiple of eight.
        while !header.len().is_multiple_of(8) {
            header.push(' ');
        }
        let len = header.len() as u64;
        if len > limits::SAFETENSORS_HEADER_BYTES {
            let (at, limit) = (Place::new("header_len", 0), limits::SAFETENSORS_HEADER_BYTES);
            return Err(FormatError::TooLarge { at, found: len, limit });
        }
        let mut data = DataWriter::new(out, self.tensors, 1);
        data.put(&len.to_le_bytes())?;
        data.put(header.as_bytes())?;
        Ok(data)
    }

    /// Begins the file at `path`; it appears there when [`DataWriter::finish`] and [`NewFile::commit`] are done.
    ///
    /// # Errors
    ///
    /// As for [`SafetensorsWriter::begin`], or the file cannot be created.
    pub fn create(self, path: impl AsRef<Path>) -> Result<DataWriter<NewFile>, FormatError> {
        self.begin(NewFile::create(path)?)
    }
}
