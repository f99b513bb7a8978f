//! Why a model file was refused: the place, what is there, what would be right.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::escape::Escaped;

/// Where in a file something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// Stable name of the field, such as `kv_count` or `tensor_type`.
    pub field: &'static str,
    /// Byte offset of the field in its file.
    pub offset: u64,
    /// The metadata key or tensor that the field belongs to, escaped and cut for printing.
    pub name: Option<Box<str>>,
    /// Number of the entry in its list, from 0.
    pub index: Option<u64>,
}

impl Place {
    pub(crate) fn new(field: &'static str, offset: u64) -> Self {
        Self { field, offset, name: None, index: None }
    }

    pub(crate) fn named(field: &'static str, offset: u64, name: &[u8]) -> Self {
        Self { name: Some(Escaped(name).to_string().into()), ..Self::new(field, offset) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.field)?;
        if let Some(name) = &self.name {
            write!(f, " of `{name}`")?;
        }
        if let Some(index) = self.index {
            write!(f, " (entry {index})")?;
        }
        write!(f, " at byte {}", self.offset)
    }
}

/// Why a model file could not be read or written.
///
/// Every message is one line. The cause of an [`FormatError::Io`] is in `source` and not repeated in the text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum FormatError {
    #[error("cannot {action} `{}`", Escaped::path(path))]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot write")]
    Write { source: io::Error },
    #[error("`{}` is {found}, not a regular file", Escaped::path(path))]
    NotAFile { path: PathBuf, found: &'static str },
    #[error("{}: {error}", Escaped::path(path))]
    InFile { path: PathBuf, error: Box<FormatError> },
    #[error("`magic` at byte 0: {found}; {hint}")]
    Magic { found: String, hint: &'static str },
    #[error("{at}: version {found}, accepted {accepted}; {hint}")]
    Version { at: Place, found: u64, accepted: &'static str, hint: &'static str },
    #[error("{at}: needs {needed} bytes, the file has {left} left")]
    Truncated { at: Place, needed: u64, left: u64 },
    #[error("{at}: {found} is above the limit of {limit}")]
    TooLarge { at: Place, found: u64, limit: u64 },
    #[error("{at}: found {found}, expected {expected}")]
    Invalid { at: Place, found: String, expected: Cow<'static, str> },
    #[error("{at}: already given at byte {first}")]
    Duplicate { at: Place, first: u64 },
    #[error("{at}: not the JSON that was expected, line {line} column {column}: {reason}")]
    Json { at: Place, line: usize, column: usize, reason: String },
    #[error("{at}: the size overflows, shape {shape}")]
    Overflow { at: Place, shape: String },
    #[error("{at}: the checksum is {computed:#010x}, the file says {stored:#010x}")]
    Checksum { at: Place, stored: u32, computed: u32 },
    #[error("{at}: {what} is not supported{hint}")]
    Unsupported { at: Place, what: String, hint: &'static str },
    #[error("{at}: {bytes} bytes of memory are not to be had")]
    Memory { at: Place, bytes: u64 },
    #[error("metadata key `{}` is missing", Escaped(key.as_bytes()))]
    MissingKey { key: String },
    #[error("metadata key `{}`: found {found}, expected {expected}", Escaped(key.as_bytes()))]
    WrongType { key: String, found: String, expected: &'static str },
}

impl FormatError {
    /// The file that the error is about, where one is known.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. } | Self::NotAFile { path, .. } | Self::InFile { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The error without the file's path around it.
    #[must_use]
    pub fn root(&self) -> &Self {
        match self {
            Self::InFile { error, .. } => error.root(),
            other => other,
        }
    }

    /// Where in the file the fault lies, for errors that have a place.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match self.root() {
            Self::Version { at, .. }
            | Self::Truncated { at, .. }
            | Self::TooLarge { at, .. }
            | Self::Invalid { at, .. }
            | Self::Duplicate { at, .. }
            | Self::Overflow { at, .. }
            | Self::Json { at, .. }
            | Self::Checksum { at, .. }
            | Self::Unsupported { at, .. }
            | Self::Memory { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Adds the path of the file, unless the error already names one.
    pub(crate) fn in_file(self, path: Option<&Path>) -> Self {
        match (path, self.path()) {
            (Some(path), None) => Self::InFile { path: path.to_path_buf(), error: Box::new(self) },
            _ => self,
        }
    }

    /// Adds the key or tensor and the entry's number to the place.
    pub(crate) fn of(mut self, name: Option<&[u8]>, index: u64) -> Self {
        if let Some(at) = self.place_mut() {
            at.index = Some(index);
            if let (Some(name), None) = (name, &at.name) {
                at.name = Some(Escaped(name).to_string().into());
            }
        }
        self
    }

    fn place_mut(&mut self) -> Option<&mut Place> {
        match self {
            Self::Truncated { at, .. }
            | Self::TooLarge { at, .. }
            | Self::Invalid { at, .. }
            | Self::Overflow { at, .. }
            | Self::Unsupported { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Moves the place by the offset of the section it was found in.
    pub(crate) fn move_by(&mut self, offset: u64) {
        if let Some(at) = self.place_mut() {
            at.offset = at.offset.saturating_add(offset);
        }
    }

    pub(crate) fn invalid(
        at: Place,
        found: impl fmt::Display,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Invalid { at, found: found.to_string(), expected: expected.into() }
    }
}

/// Reserves room for exactly `count` more elements, or says that the memory is not there.
pub(crate) fn reserve<T>(
    list: &mut Vec<T>,
    count: usize,
    at: impl FnOnce() -> Place,
) -> Result<(), FormatError> {
    list.try_reserve_exact(count).map_err(|_| FormatError::Memory {
        at: at(),
        bytes: (count as u64).saturating_mul(size_of::<T>() as u64),
    })
}
