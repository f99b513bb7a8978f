//! Writes `.apr` files of version 2.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use realizar_quant::DType;

use crate::apr::header::{ALIGNMENT, BYTES, Header, ROW_MAJOR};
use crate::apr::record;
use crate::data_writer::{DataWriter, Declared, pad};
use crate::error::{FormatError, Place};
use crate::json;
use crate::limits;
use crate::new_file::NewFile;
use crate::shape::Shape;
use crate::value::Value;

/// The members that every file has, and what stands there when nobody says otherwise.
const ALWAYS: [(&str, &str); 4] =
    [("model_type", "\"\""), ("license", "null"), ("data_source", "null"), ("data_license", "null")];

/// An `.apr` file under construction. The data of all tensors follows in the order in which they were announced.
///
/// ```
/// use realizar_format::{Apr, AprWriter, DType, Shape, TensorSource, Value};
///
/// let mut writer = AprWriter::new();
/// writer.metadata("model_type", Value::from("llama"))?;
/// writer.tensor("norm", DType::F32, Shape::new(&[1]).ok_or("too many dimensions")?)?;
/// let mut data = writer.begin(Vec::new())?;
/// data.write(&1.0_f32.to_le_bytes())?;
/// let file = Apr::parse(data.finish()?.into())?;
/// assert_eq!(file.metadata("param_count").and_then(|count| count.as_u64()), Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct AprWriter {
    metadata: BTreeMap<String, String>,
    entries: BTreeMap<String, Vec<u8>>,
    tensors: Vec<Declared>,
    elements: u64,
    data_bytes: u64,
}

impl AprWriter {
    /// A file with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member of the metadata. `total_size` and `param_count` are computed when they are not given.
    ///
    /// # Errors
    ///
    /// The key is already there, or the value is a string that is not UTF-8 or a float that JSON lacks.
    pub fn metadata(&mut self, key: &str, value: Value<'_>) -> Result<&mut Self, FormatError> {
        let at = |field| Place::named(field, BYTES, key.as_bytes());
        if self.metadata.contains_key(key) {
            return Err(FormatError::invalid(at("duplicate_key"), "a second value", "each key once"));
        }
        let mut text = String::new();
        if !json::write_value(&mut text, value) {
            return Err(FormatError::invalid(at("metadata"), value, "text in UTF-8 and finite numbers"));
        }
        self.metadata.insert(key.to_owned(), text);
        Ok(self)
    }

    /// Announces a tensor.
    ///
    /// # Errors
    ///
    /// The name is already there or too long, the format lacks the type, or the shape does not fit it.
    pub fn tensor(&mut self, name: &str, dtype: DType, shape: Shape) -> Result<&mut Self, FormatError> {
        let index = self.tensors.len() as u64;
        let at = |field| Place { index: Some(index), ..Place::named(field, BYTES, name.as_bytes()) };
        let name_len = u16::try_from(name.len()).unwrap_or(u16::MAX);
        let sizes = [
            ("tensor_name_len", name.len() as u64, limits::APR_NAME_BYTES),
            ("tensor_count", index.saturating_add(1), limits::TENSOR_COUNT),
        ];
        for (field, found, limit) in sizes {
            if found > limit {
                return Err(FormatError::TooLarge { at: at(field), found, limit });
            }
        }
        if self.entries.contains_key(name) {
            return Err(FormatError::invalid(at("duplicate_tensor"), "a second tensor", "each name once"));
        }
        let Some(code) = record::code(dtype) else {
            return Err(FormatError::invalid(at("tensor_type"), dtype, "a type that .apr has"));
        };
        let overflow = |field| FormatError::Overflow { at: at(field), shape: format!("{shape} of {dtype}") };
        let size = record::size(dtype, &shape).ok_or_else(|| overflow("size"))?;
        let offset = self.data_bytes;
        let end = pad(size, ALIGNMENT).and_then(|padded| offset.checked_add(padded));
        self.data_bytes = end.ok_or_else(|| overflow("total_bytes"))?;

        let mut entry = Vec::from(name_len.to_le_bytes());
        entry.extend(name.as_bytes());
        entry.extend([code, u8::try_from(shape.len()).unwrap_or_default()]);
        for dim in shape.iter() {
            entry.extend((*dim as u64).to_le_bytes());
        }
        entry.extend(offset.to_le_bytes());
        entry.extend(size.to_le_bytes());
        self.entries.insert(name.to_owned(), entry);
        self.elements = self.elements.saturating_add(shape.elements().unwrap_or_default() as u64);
        self.tensors.push(Declared { name: name.to_owned(), bytes: size });
        Ok(self)
    }

    /// Writes header, metadata and index to `out`; the data is next.
    ///
    /// # Errors
    ///
    /// The metadata is above 64 MiB, or `out` fails.
    pub fn begin<W: Write>(self, out: W) -> Result<DataWriter<W>, FormatError> {
        let too_large = |field, found: usize, limit| FormatError::TooLarge {
            at: Place::new(field, BYTES),
            found: found as u64,
            limit,
        };
        let metadata = self.metadata_text();
        let index: Vec<u8> = self.entries.values().flatten().copied().collect();
        let padded = |bytes: u64| pad(bytes, ALIGNMENT).unwrap_or(bytes);
        let metadata_size =
            u32::try_from(metadata.len()).ok().filter(|len| u64::from(*len) <= limits::LARGE_JSON_BYTES);
        let metadata_size = metadata_size
            .ok_or_else(|| too_large("metadata_size", metadata.len(), limits::LARGE_JSON_BYTES))?;
        let index_offset = padded(BYTES.saturating_add(metadata_size.into()));
        let header = Header {
            minor: 0,
            flags: ROW_MAJOR,
            tensor_count: u32::try_from(self.tensors.len()).unwrap_or(u32::MAX),
            metadata_offset: BYTES,
            metadata_size,
            index_offset,
            data_offset: padded(index_offset.saturating_add(index.len() as u64)),
        };
        let mut data = DataWriter::with_checksum(out, self.tensors, ALIGNMENT);
        data.put(&header.to_bytes())?;
        data.put(metadata.as_bytes())?;
        data.pad_to(ALIGNMENT)?;
        data.put(&index)?;
        data.pad_to(ALIGNMENT)?;
        Ok(data)
    }

    /// Begins the file at `path`; it appears there when [`DataWriter::finish`] and [`NewFile::commit`] are done.
    ///
    /// # Errors
    ///
    /// As for [`AprWriter::begin`], or the file cannot be created.
    pub fn create(self, path: impl AsRef<Path>) -> Result<DataWriter<NewFile>, FormatError> {
        self.begin(NewFile::create(path)?)
    }

    fn metadata_text(&self) -> String {
        let computed =
            [("total_size", self.data_bytes.to_string()), ("param_count", self.elements.to_string())];
        let defaults = ALWAYS.iter().map(|(key, text)| (*key, (*text).to_owned())).chain(computed);
        let missing = defaults.filter(|(key, _)| !self.metadata.contains_key(*key));
        let given = self.metadata.iter().map(|(key, text)| (&**key, text.clone()));
        let mut object = String::from("{");
        for (key, text) in missing.chain(given) {
            let comma = if object.len() > 1 { "," } else { "" };
            // Writing to a string does not fail.
            let _ = write!(object, "{comma}{}:{text}", json::quoted(key));
        }
        object.push('}');
        object
    }
}
