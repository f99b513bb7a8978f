//! A whole GGUF file: the header and, behind it, the data of every tensor.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::error::{FormatError, Place, reserve};
use crate::gguf::big_endian;
use crate::gguf::header::GgufHeader;
use crate::gguf::record::Record;
use crate::map::{self, Access, Links};
use crate::source::{Format, TensorSource, TensorView};
use crate::value::Value;

/// One GGUF file, checked from end to end. Tensors are views into the file.
///
/// A big-endian file cannot be used where it lies: its tensor data is copied and swapped once, when it is opened.
#[derive(Debug, Clone)]
pub struct Gguf {
    header: GgufHeader,
    data: Bytes,
    warnings: Vec<String>,
    path: Option<PathBuf>,
}

impl Gguf {
    /// Maps one file and checks all of it. For a model in several files use [`crate::open`].
    ///
    /// # Errors
    ///
    /// The file cannot be opened, is not a regular file, or is not a valid GGUF file; path, field and offset are named.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FormatError> {
        let path = path.as_ref();
        Self::from_file(path, map::load_path(path, Links::Follow, Access::Map)?)
    }

    /// Checks a file that is in memory.
    ///
    /// # Errors
    ///
    /// As for [`Gguf::open`], without a path.
    pub fn parse(bytes: Bytes) -> Result<Self, FormatError> {
        let header = GgufHeader::parse(bytes)?;
        let data = data(&header)?;
        let end = header.data_start().saturating_add(header.data_bytes());
        let trailing = (header.bytes().len() as u64).saturating_sub(end);
        let warning =
            (trailing > 0).then(|| format!("{trailing} bytes behind the last tensor belong to nothing"));
        Ok(Self { header, data, warnings: warning.into_iter().collect(), path: None })
    }

    pub(crate) fn from_file(path: &Path, bytes: Bytes) -> Result<Self, FormatError> {
        let gguf = Self::parse(bytes).map_err(|error| error.in_file(Some(path)))?;
        Ok(Self { path: Some(path.to_path_buf()), ..gguf })
    }

    /// Everything before the tensor data.
    #[must_use]
    pub fn header(&self) -> &GgufHeader {
        &self.header
    }

    fn view<'a>(&'a self, record: &Record<'a>) -> TensorView<'a> {
        TensorView {
            name: record.name,
            dtype: record.dtype,
            shape: record.shape,
            offset: self.header.data_start().saturating_add(record.offset),
            data: slice(&self.data, record.offset, record.bytes).unwrap_or_default(),
        }
    }
}

/// The data section, after a check that it holds every tensor.
fn data(header: &GgufHeader) -> Result<Bytes, FormatError> {
    let file = header.bytes();
    let data = slice(file, header.data_start(), (file.len() as u64).saturating_sub(header.data_start()));
    let data = data.unwrap_or_default();
    for (index, record) in (0_u64..).zip(header.records()) {
        if slice(&data, record.offset, record.bytes).is_none() {
            let at = Place::named(
                "tensor_range",
                header.data_start().saturating_add(record.offset),
                record.name.as_bytes(),
            );
            let left = (data.len() as u64).saturating_sub(record.offset);
            return Err(FormatError::Truncated { at, needed: record.bytes, left }.of(None, index));
        }
    }
    if !header.is_big_endian() {
        return Ok(data);
    }
    let mut swapped = Vec::new();
    reserve(&mut swapped, data.len(), || Place::new("endianness", header.data_start()))?;
    swapped.extend_from_slice(&data);
    for record in header.records() {
        let tail = usize::try_from(record.offset).ok().and_then(|offset| swapped.get_mut(offset..));
        let bytes = usize::try_from(record.bytes).unwrap_or_default();
        big_endian::swap(&record, tail.and_then(|tail| tail.get_mut(..bytes)).unwrap_or_default())?;
    }
    Ok(swapped.into())
}

/// A view of `len` bytes at `offset`, if they are there.
fn slice(bytes: &Bytes, offset: u64, len: u64) -> Option<Bytes> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    (end <= bytes.len()).then(|| bytes.slice(start..end))
}

impl TensorSource for Gguf {
    fn format(&self) -> Format {
        Format::Gguf
    }

    fn metadata(&self, key: &str) -> Option<Value<'_>> {
        self.header.metadata(key)
    }

    fn metadata_keys(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.header.metadata_keys())
    }

    fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        self.header.record(name).map(|record| self.view(&record))
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorView<'_>> + '_> {
        Box::new(self.header.records().map(|record| self.view(&record)))
    }

    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
