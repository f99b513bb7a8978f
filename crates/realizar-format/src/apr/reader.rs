//! A whole `.apr` file of version 2.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::apr::compression;
use crate::apr::header::{self, ALIGNMENT, Header};
use crate::apr::record::{self, Record, SMALLEST};
use crate::beside;
use crate::cursor::{Cursor, Order};
use crate::data_writer::pad;
use crate::error::{FormatError, Place, reserve};
use crate::facts::Facts;
use crate::json;
use crate::limits;
use crate::map::{self, Access, Links};
use crate::sniff;
use crate::source::{Format, TensorSource, TensorView};
use crate::value::Value;

/// The text beside a file that has no vocabulary of its own.
const TOKENIZER: &str = "tokenizer.json";

/// One `.apr` file, checked from end to end, its checksums included. Tensors are views into the file, in the order
/// of their names. The members of the metadata are shown by their names in the file, nested ones joined by dots.
#[derive(Debug, Clone)]
pub struct Apr {
    bytes: Bytes,
    facts: Facts,
    /// Where the entries of the index are, in the order of their names.
    entries: Vec<usize>,
    data_offset: u64,
    warnings: Vec<String>,
    path: Option<PathBuf>,
    tokenizer: Option<Bytes>,
}

impl Apr {
    /// Maps a file and checks all of it.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, is not a regular file, or is not a valid `.apr` file of version 2.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FormatError> {
        let path = path.as_ref();
        Self::from_file(path, map::load_path(path, Links::Follow, Access::Map)?, Access::Map)
    }

    /// Checks a file that is in memory.
    ///
    /// # Errors
    ///
    /// As for [`Apr::open`], without a path.
    pub fn parse(bytes: Bytes) -> Result<Self, FormatError> {
        if crate::apr::is_v1(&bytes) {
            return Err(crate::apr::legacy::refuse());
        }
        if !crate::apr::is_v2(&bytes) {
            return Err(sniff::bad_magic(&bytes));
        }
        let header = Header::parse(&bytes)?;
        if !compression::is_flagged(&header) {
            return Self::parse_plain(bytes, &header);
        }
        let plain = match Self::parse_plain(bytes.clone(), &header) {
            Ok(plain) => return Ok(plain),
            Err(error) => error,
        };
        let at = usize::try_from(header.metadata_offset).unwrap_or(usize::MAX);
        match compression::decompress(&bytes, &header) {
            Ok(content) => Self::parse_plain(content, &header),
            // It looks as if nothing were compressed: then the first error is the one that helps.
            Err(_) if bytes.get(at) == Some(&b'{') => Err(plain),
            Err(error) => Err(error),
        }
    }

    /// A file that the user named; without a vocabulary of its own it has the `tokenizer.json` beside it.
    pub(crate) fn from_file(path: &Path, bytes: Bytes, access: Access) -> Result<Self, FormatError> {
        let mut file = Self::parse(bytes).map_err(|error| error.in_file(Some(path)))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        if file.metadata("tokenizer.vocabulary").is_none() && beside::exists(folder, TOKENIZER) {
            file.tokenizer = Some(beside::load_small(folder, TOKENIZER, limits::LARGE_JSON_BYTES, access)?);
        }
        Ok(Self { path: Some(path.to_path_buf()), ..file })
    }

    fn parse_plain(bytes: Bytes, header: &Header) -> Result<Self, FormatError> {
        let facts = metadata(&bytes, header)?;
        let (entries, data_end) = index(&bytes, header)?;
        let mut warnings = Vec::new();
        if header.minor != 0 {
            warnings.push(format!("version 2.{} is newer than 2.0, the one known here", header.minor));
        }
        check_footer(&bytes, data_end, &mut warnings)?;
        Ok(Self {
            bytes,
            facts,
            entries,
            data_offset: header.data_offset,
            warnings,
            path: None,
            tokenizer: None,
        })
    }

    fn record(&self, at: usize) -> Option<Record<'_>> {
        Record::read(&mut Cursor::at(&self.bytes, at, Order::Little), 0).ok()
    }

    fn view<'a>(&'a self, record: &Record<'a>) -> TensorView<'a> {
        let offset = self.data_offset.saturating_add(record.offset);
        let range =
            usize::try_from(offset).ok().zip(usize::try_from(offset.saturating_add(record.size)).ok());
        let data = range
            .filter(|(_, end)| *end <= self.bytes.len())
            .map(|(start, end)| self.bytes.slice(start..end));
        TensorView {
            name: record.name,
            dtype: record.dtype,
            shape: record.shape,
            offset,
            data: data.unwrap_or_default(),
        }
    }
}

fn metadata(bytes: &[u8], header: &Header) -> Result<Facts, FormatError> {
    let found = u64::from(header.metadata_size);
    if found > limits::LARGE_JSON_BYTES {
        let (at, limit) = (Place::new("metadata_size", 20), limits::LARGE_JSON_BYTES);
        return Err(FormatError::TooLarge { at, found, limit });
    }
    let start = usize::try_from(header.metadata_offset).unwrap_or(usize::MAX);
    let text = Cursor::at(bytes, start, Order::Little).take(found, "metadata")?;
    let object = json::parse_object(text, "metadata", header.metadata_offset)?;
    let mut facts = Facts::default();
    facts.add("", object);
    facts.index(|| Place::new("metadata", header.metadata_offset))
}

/// Reads the index. Gives where the entries are, and where the last tensor's data ends in the file.
fn index(bytes: &[u8], header: &Header) -> Result<(Vec<usize>, u64), FormatError> {
    let start = usize::try_from(header.index_offset).unwrap_or(usize::MAX);
    let end = usize::try_from(header.data_offset).unwrap_or(usize::MAX).min(bytes.len());
    // The index ends where the data begins, whatever it says.
    let mut cursor = Cursor::at(bytes.get(..end).unwrap_or_default(), start, Order::Little);
    let needed = u64::from(header.tensor_count).saturating_mul(SMALLEST);
    if needed > cursor.left() {
        return Err(FormatError::Truncated {
            at: Place::new("tensor_count", 8),
            needed,
            left: cursor.left(),
        });
    }
    let count = header.tensor_count as usize;
    let mut entries = Vec::new();
    reserve(&mut entries, count, || Place::new("tensor_count", 8))?;
    let mut spans = Vec::new();
    reserve(&mut spans, count, || Place::new("tensor_count", 8))?;
    let mut last: Option<&str> = None;
    for number in 0..u64::from(header.tensor_count) {
        let at = cursor.offset();
        entries.push(cursor.pos());
        let record = Record::read(&mut cursor, number)?;
        let place =
            |field, at| Place { index: Some(number), ..Place::named(field, at, record.name.as_bytes()) };
        match last.map(|last| record.name.cmp(last)) {
            None | Some(std::cmp::Ordering::Greater) => last = Some(record.name),
            Some(std::cmp::Ordering::Equal) => {
                let first = entries.iter().rev().nth(1).map_or(0, |at| *at as u64);
                return Err(FormatError::Duplicate { at: place("duplicate_tensor", at), first });
            }
            Some(std::cmp::Ordering::Less) => {
                return Err(FormatError::invalid(
                    place("index_order", at),
                    "a name out of order",
                    "sorted names",
                ));
            }
        }
        let data_left = (bytes.len() as u64).saturating_sub(header.data_offset);
        let end = record.offset.checked_add(record.size);
        let Some(end) = end.filter(|end| *end <= data_left) else {
            let at = place("tensor_range", record.offset_at);
            let left = data_left.saturating_sub(record.offset);
            return Err(FormatError::Truncated { at, needed: record.size, left });
        };
        spans.push((record.offset, end, record.offset_at));
    }
    spans.sort_unstable();
    let mut data_end = 0;
    for (start, end, at) in spans {
        if start < data_end {
            let expected = format!("at least {data_end}, the end of the tensor before it");
            return Err(FormatError::invalid(Place::new("offset", at), start, expected));
        }
        data_end = end;
    }
    Ok((entries, header.data_offset.saturating_add(data_end)))
}

/// Checks what stands behind the data: padding, and a checksum over everything before it.
fn check_footer(bytes: &[u8], data_end: u64, warnings: &mut Vec<String>) -> Result<(), FormatError> {
    let len = bytes.len() as u64;
    let padded = pad(data_end, ALIGNMENT).unwrap_or(data_end);
    if len <= padded {
        warnings.push("the file has no checksum at its end, as older files do".to_owned());
        return Ok(());
    }
    let at = len.saturating_sub(4);
    if at < padded {
        let place = Place::new("footer_crc32", padded);
        return Err(FormatError::Truncated { at: place, needed: 4, left: len.saturating_sub(padded) });
    }
    if at > padded {
        let extra = at.saturating_sub(padded);
        warnings.push(format!("{extra} bytes behind the last tensor belong to nothing"));
    }
    let start = usize::try_from(at).unwrap_or(usize::MAX);
    let (covered, _) = bytes.split_at_checked(start).unwrap_or_default();
    let stored = Cursor::at(bytes, start, Order::Little).u32("footer_crc32")?;
    header::check("footer_crc32", at, stored, checksum(covered))
}

/// CRC-32 of all of this, of which no more than a piece stays in memory if it is a mapped file.
fn checksum(bytes: &[u8]) -> u32 {
    /// A whole number of pages, whatever their size.
    const PIECE: usize = 4 << 20;
    let mut hasher = crc32fast::Hasher::new();
    for piece in bytes.chunks(PIECE) {
        hasher.update(piece);
        map::release_pages(piece);
    }
    hasher.finalize()
}

impl TensorSource for Apr {
    fn format(&self) -> Format {
        Format::Apr
    }

    fn metadata(&self, key: &str) -> Option<Value<'_>> {
        self.facts.get(key)
    }

    fn metadata_keys(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.facts.names())
    }

    fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        let name_at =
            |at: &usize| record::name(&mut Cursor::at(&self.bytes, *at, Order::Little)).unwrap_or_default();
        let found = self.entries.binary_search_by(|at| name_at(at).cmp(name)).ok()?;
        self.record(*self.entries.get(found)?).map(|record| self.view(&record))
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorView<'_>> + '_> {
        Box::new(self.entries.iter().filter_map(|at| self.record(*at)).map(|record| self.view(&record)))
    }

    fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn companion(&self, name: &str) -> Option<Bytes> {
        self.tokenizer.clone().filter(|_| name == TOKENIZER)
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
