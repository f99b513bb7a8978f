//! Everything of a GGUF file before the tensor data.
//!
//! ```text
//! 0 "GGUF" | 4 version u32 | 8 tensor_count u64 | 16 kv_count u64 | kv entries | tensor entries | padding | data
//! ```
//!
//! Version 3 may be big-endian: then every number is, and the version reads as 0x03000000.

use bytes::Bytes;

use crate::cursor::{Cursor, Order};
use crate::data_writer::pad;
use crate::error::{FormatError, Place, reserve};
use crate::gguf::kv;
use crate::gguf::record::{self, Record};
use crate::limits;
use crate::sniff;
use crate::value::Value;

/// The checked header of a GGUF file: metadata and tensor entries, with or without the data behind them.
///
/// Entries stay in the file's own bytes; kept beside them are their positions, 12 bytes an entry.
#[derive(Debug, Clone)]
pub struct GgufHeader {
    bytes: Bytes,
    version: u32,
    order: Order,
    alignment: u32,
    kv: Index,
    tensors: Index,
    data_start: u64,
    data_bytes: u64,
}

/// Positions of the entries of one section, in file order and sorted by name.
#[derive(Debug, Clone, Default)]
struct Index {
    positions: Vec<usize>,
    by_name: Vec<u32>,
}

impl Index {
    /// Sorts the entries by name and refuses two of one name. `name` reads the name of the entry at a position.
    fn new<'a>(
        positions: Vec<usize>,
        field: &'static str,
        name: impl Fn(usize) -> &'a [u8],
    ) -> Result<Self, FormatError> {
        let mut by_name = Vec::new();
        reserve(&mut by_name, positions.len(), || Place::new(field, 0))?;
        by_name.extend((0_u32..).take(positions.len()));
        let mut index = Self { positions, by_name: Vec::new() };
        by_name
            .sort_unstable_by(|a, b| name(index.position(*a)).cmp(name(index.position(*b))).then(a.cmp(b)));
        for pair in by_name.windows(2) {
            let &[first, second] = pair else { continue };
            let repeated = name(index.position(second));
            if name(index.position(first)) == repeated {
                let mut at = Place::named(field, index.position(second) as u64, repeated);
                at.index = Some(second.into());
                return Err(FormatError::Duplicate { at, first: index.position(first) as u64 });
            }
        }
        index.by_name = by_name;
        Ok(index)
    }

    fn position(&self, entry: u32) -> usize {
        self.positions.get(entry as usize).copied().unwrap_or(usize::MAX)
    }

    /// The number of the entry with this name.
    fn find<'a>(&self, wanted: &[u8], name: impl Fn(usize) -> &'a [u8]) -> Option<u32> {
        let found = self.by_name.binary_search_by(|entry| name(self.position(*entry)).cmp(wanted)).ok()?;
        self.by_name.get(found).copied()
    }
}

impl GgufHeader {
    /// Reads and checks the header at the start of `bytes`. The tensor data need not be there.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the header, with field and byte offset.
    pub fn parse(bytes: Bytes) -> Result<Self, FormatError> {
        let mut cursor = start(&bytes)?;
        let version = version(&mut cursor)?;
        let order = cursor.order();
        let tensor_count = count(&mut cursor, "tensor_count", limits::TENSOR_COUNT)?;
        let kv_count = count(&mut cursor, "kv_count", limits::KV_COUNT)?;
        fits(&cursor, "kv_count", 16, u64::from(kv_count).saturating_mul(limits::SMALLEST_KV))?;
        fits(&cursor, "tensor_count", 8, u64::from(tensor_count).saturating_mul(limits::SMALLEST_TENSOR))?;

        let kv = read_kv(&bytes, &mut cursor, kv_count)?;
        let mut header = Self {
            bytes: bytes.clone(),
            version,
            order,
            alignment: limits::DEFAULT_ALIGNMENT,
            kv,
            tensors: Index::default(),
            data_start: 0,
            data_bytes: 0,
        };
        header.alignment = header.read_alignment()?;
        let (tensors, data_bytes) = read_tensors(&bytes, &mut cursor, tensor_count, header.alignment)?;
        header.tensors = tensors;
        header.data_bytes = data_bytes;
        header.data_start = pad(cursor.offset(), header.alignment)
            .ok_or_else(|| overflow("padded_bytes", cursor.offset()))?;
        Ok(header)
    }

    /// Version of the format, 2 or 3.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether the file's numbers are big-endian.
    #[must_use]
    pub fn is_big_endian(&self) -> bool {
        self.order == Order::Big
    }

    /// Every tensor starts at a multiple of this, counted from the start of the data section.
    #[must_use]
    pub fn alignment(&self) -> u32 {
        self.alignment
    }

    /// Where the data section starts in the file.
    #[must_use]
    pub fn data_start(&self) -> u64 {
        self.data_start
    }

    /// Length of the data section, with the padding behind each tensor.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// Number of tensor entries.
    #[must_use]
    pub fn tensor_count(&self) -> usize {
        self.tensors.positions.len()
    }

    /// The value of a metadata key.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<Value<'_>> {
        let entry = self.kv.find(key.as_bytes(), |at| self.key_at(at))?;
        let mut cursor = self.cursor(self.kv.position(entry));
        kv::key(&mut cursor).ok()?;
        kv::value(&mut cursor, &self.bytes).ok()
    }

    /// Where the entry of a key begins in the file; 0 if there is none.
    pub(crate) fn key_offset(&self, key: &str) -> u64 {
        self.kv.find(key.as_bytes(), |at| self.key_at(at)).map_or(0, |entry| self.kv.position(entry) as u64)
    }

    /// The metadata keys in the file's order.
    pub fn metadata_keys(&self) -> impl ExactSizeIterator<Item = &str> {
        // Checked to be UTF-8 by `kv::check`.
        self.kv.positions.iter().map(|at| std::str::from_utf8(self.key_at(*at)).unwrap_or_default())
    }

    /// The tensor entries in the file's order.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.tensors.positions.iter().filter_map(|at| self.record_at(*at))
    }

    /// The entry of a tensor.
    pub(crate) fn record(&self, name: &str) -> Option<Record<'_>> {
        let entry = self.tensors.find(name.as_bytes(), |at| tensor_name_at(&self.bytes, self.order, at))?;
        self.record_at(self.tensors.position(entry))
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn cursor(&self, at: usize) -> Cursor<'_> {
        Cursor::at(&self.bytes, at, self.order)
    }

    fn key_at(&self, at: usize) -> &[u8] {
        key_at(&self.bytes, self.order, at)
    }

    fn record_at(&self, at: usize) -> Option<Record<'_>> {
        Record::read(&mut self.cursor(at), 0).ok()
    }

    fn read_alignment(&self) -> Result<u32, FormatError> {
        const KEY: &str = "general.alignment";
        let Some(value) = self.metadata(KEY) else { return Ok(limits::DEFAULT_ALIGNMENT) };
        let at =
            self.kv.find(KEY.as_bytes(), |at| self.key_at(at)).map_or(0, |entry| self.kv.position(entry));
        let at = Place::named("alignment", at as u64, KEY.as_bytes());
        match value {
            Value::U32(alignment) if alignment.is_power_of_two() && alignment <= limits::ALIGNMENT => {
                Ok(alignment)
            }
            Value::U32(alignment) => {
                Err(FormatError::invalid(at, alignment, "a power of two from 1 to 1048576"))
            }
            other => Err(FormatError::invalid(at, other.value_type(), "u32")),
        }
    }
}

/// A cursor behind the magic, in the byte order that the version field shows.
fn start(bytes: &Bytes) -> Result<Cursor<'_>, FormatError> {
    if !bytes.starts_with(sniff::GGUF) {
        return Err(sniff::bad_magic(bytes));
    }
    let mut cursor = Cursor::at(bytes, 4, Order::Little);
    // The low half of a version number in use is never zero, so a zero there is the high half of a swapped one.
    let swapped = cursor.u32("version")?;
    let order = if swapped != 0 && swapped & 0xffff == 0 { Order::Big } else { Order::Little };
    Ok(Cursor::at(bytes, 4, order))
}

fn version(cursor: &mut Cursor<'_>) -> Result<u32, FormatError> {
    let at = Place::new("version", cursor.offset());
    let found = cursor.u32("version")?;
    let refuse = |accepted, hint| Err(FormatError::Version { at, found: found.into(), accepted, hint });
    match (found, cursor.order()) {
        (2 | 3, Order::Little) | (3, Order::Big) => Ok(found),
        (_, Order::Big) => refuse("3", "only version 3 may be big-endian"),
        (1, _) => refuse("2 and 3", "version 1 has 32-bit counts: convert the original model again"),
        (0, _) => refuse("2 and 3", "no file has version 0"),
        _ => refuse("2 and 3", "the file is newer than this reader"),
    }
}

fn count(cursor: &mut Cursor<'_>, field: &'static str, limit: u64) -> Result<u32, FormatError> {
    let at = Place::new(field, cursor.offset());
    let found = cursor.u64(field)?;
    match u32::try_from(found) {
        Ok(count) if found <= limit => Ok(count),
        _ => Err(FormatError::TooLarge { at, found, limit }),
    }
}

/// Refuses a count that the bytes left cannot hold, before anything is reserved for it.
fn fits(cursor: &Cursor<'_>, field: &'static str, at: u64, needed: u64) -> Result<(), FormatError> {
    if needed > cursor.left() {
        return Err(FormatError::Truncated { at: Place::new(field, at), needed, left: cursor.left() });
    }
    Ok(())
}

fn read_kv(bytes: &Bytes, cursor: &mut Cursor<'_>, count: u32) -> Result<Index, FormatError> {
    let mut positions = Vec::new();
    reserve(&mut positions, count as usize, || Place::new("kv_count", 16))?;
    for index in 0..count {
        positions.push(cursor.pos());
        kv::check(cursor, index.into())?;
    }
    Index::new(positions, "duplicate_key", |at| key_at(bytes, cursor.order(), at))
}

/// Reads the tensor entries and adds up the padded sizes: each offset must be the sum of all sizes before it.
fn read_tensors(
    bytes: &Bytes,
    cursor: &mut Cursor<'_>,
    count: u32,
    alignment: u32,
) -> Result<(Index, u64), FormatError> {
    let mut positions = Vec::new();
    reserve(&mut positions, count as usize, || Place::new("tensor_count", 8))?;
    let mut total = 0_u64;
    for index in 0..count {
        positions.push(cursor.pos());
        let record = Record::read(cursor, index.into())?;
        let of = |error: FormatError| error.of(Some(record.name.as_bytes()), index.into());
        if record.offset != total {
            let at = Place::new("offset", record.offset_at);
            return Err(of(FormatError::invalid(
                at,
                record.offset,
                format!("{total}, the end of the tensors before it"),
            )));
        }
        let padded =
            pad(record.bytes, alignment).ok_or_else(|| of(overflow("padded_bytes", record.offset_at)))?;
        total = total.checked_add(padded).ok_or_else(|| of(overflow("total_bytes", record.offset_at)))?;
    }
    let order = cursor.order();
    let index = Index::new(positions, "duplicate_tensor", |at| tensor_name_at(bytes, order, at))?;
    Ok((index, total))
}

fn overflow(field: &'static str, at: u64) -> FormatError {
    FormatError::Overflow { at: Place::new(field, at), shape: "of all tensors so far".to_owned() }
}

fn key_at(bytes: &[u8], order: Order, at: usize) -> &[u8] {
    kv::key(&mut Cursor::at(bytes, at, order)).unwrap_or_default()
}

fn tensor_name_at(bytes: &[u8], order: Order, at: usize) -> &[u8] {
    record::name(&mut Cursor::at(bytes, at, order)).map_or(&[], str::as_bytes)
}
