//! A whole safetensors file.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::cursor::{Cursor, Order};
use crate::error::{FormatError, Place};
use crate::json;
use crate::limits;
use crate::map::{self, Access, Links};
use crate::safetensors::header::{Entry, Header, START};
use crate::source::{Format, TensorSource, TensorView};
use crate::value::Value;

/// One safetensors file, checked from end to end. Tensors are views into the file, in the order of their data.
#[derive(Debug, Clone)]
pub struct Safetensors {
    header: Header,
    by_name: Vec<u32>,
    data: Bytes,
    data_start: u64,
    path: Option<PathBuf>,
}

impl Safetensors {
    /// Maps a file and checks all of it. For a model in several files use [`crate::open`] on its folder.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, is not a regular file, or is not a valid safetensors file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FormatError> {
        let path = path.as_ref();
        Self::from_file(path, map::load_path(path, Links::Follow, Access::Map)?)
    }

    /// Checks a file that is in memory.
    ///
    /// # Errors
    ///
    /// As for [`Safetensors::open`], without a path.
    pub fn parse(bytes: Bytes) -> Result<Self, FormatError> {
        let mut cursor = Cursor::at(&bytes, 0, Order::Little);
        let len = cursor.u64("header_len")?;
        let at = || Place::new("header_len", 0);
        if len > limits::SAFETENSORS_HEADER_BYTES {
            return Err(FormatError::TooLarge {
                at: at(),
                found: len,
                limit: limits::SAFETENSORS_HEADER_BYTES,
            });
        }
        if len > cursor.left() {
            return Err(FormatError::Truncated { at: at(), needed: len, left: cursor.left() });
        }
        let text = json::text(cursor.take(len, "header")?, "header", START)?;
        let header = Header::parse(text, cursor.left())?;
        let mut by_name: Vec<u32> = (0..).take(header.entries.len()).collect();
        let name = |entry: u32| header.entries.get(entry as usize).map(|entry| &entry.name);
        by_name.sort_unstable_by(|a, b| name(*a).cmp(&name(*b)));
        let data_start = cursor.offset();
        let data = bytes.slice(cursor.pos()..);
        Ok(Self { header, by_name, data, data_start, path: None })
    }

    pub(crate) fn from_file(path: &Path, bytes: Bytes) -> Result<Self, FormatError> {
        let file = Self::parse(bytes).map_err(|error| error.in_file(Some(path)))?;
        Ok(Self { path: Some(path.to_path_buf()), ..file })
    }

    fn view<'a>(&'a self, entry: &'a Entry) -> TensorView<'a> {
        let range = || Some(usize::try_from(entry.start).ok()?..usize::try_from(entry.end).ok()?);
        TensorView {
            name: &entry.name,
            dtype: entry.element.dtype,
            shape: entry.shape,
            offset: self.data_start.saturating_add(entry.start),
            data: range().map(|range| self.data.slice(range)).unwrap_or_default(),
        }
    }
}

impl TensorSource for Safetensors {
    fn format(&self) -> Format {
        Format::Safetensors
    }

    fn metadata(&self, key: &str) -> Option<Value<'_>> {
        let (_, text) = self.header.metadata.iter().find(|(name, _)| &**name == key)?;
        Some(Value::from(&**text))
    }

    fn metadata_keys(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.header.metadata.iter().map(|(name, _)| &**name))
    }

    fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        let entry = |entry: &u32| self.header.entries.get(*entry as usize);
        let found =
            self.by_name.binary_search_by(|at| entry(at).map_or("", |entry| &*entry.name).cmp(name)).ok()?;
        self.by_name.get(found).and_then(entry).map(|entry| self.view(entry))
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorView<'_>> + '_> {
        Box::new(self.header.entries.iter().map(|entry| self.view(entry)))
    }

    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}
