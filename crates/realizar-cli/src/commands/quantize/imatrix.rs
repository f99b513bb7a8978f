//! Importance weights: what llama-imatrix writes, as GGUF or in its older format.
//!
//! A tensor's entry has one number for each column (of each expert): the mean square of the activations that meet it.
//! The files have sums and counts; they are divided when a row is asked for, so that the file stays where it is.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use bytes::{Buf, Bytes};
use realizar_format::{DType, Shape, TensorSource};

use super::error::QuantizeError;
use crate::error::CliError;

/// A file of importance weights.
#[derive(Debug)]
pub(super) struct Imatrix {
    file: String,
    entries: Vec<Entry>,
    names: HashMap<String, usize>,
    dataset: Option<String>,
    chunks: u32,
}

/// The numbers of one tensor: little-endian f32 sums, and the counts that equal stretches of them are divided by.
#[derive(Debug)]
struct Entry {
    sums: Bytes,
    counts: Vec<f32>,
}

/// A text of a metadata value in the new file is at most this long, as llama-quantize has it.
const LONGEST: usize = 127;

impl Imatrix {
    /// Reads the file and checks every number in it.
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let file = path.to_string_lossy().into_owned();
        let mut imatrix = Self { file, entries: Vec::new(), names: HashMap::new(), dataset: None, chunks: 0 };
        let mut magic = [0; 4];
        let read = fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
        match read {
            Ok(()) if magic == *b"GGUF" => imatrix.read_gguf(realizar_format::open(path)?.as_ref())?,
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
                return Err(CliError::file("read", path, error));
            }
            _ => {
                let bytes = fs::read(path).map_err(|error| CliError::file("read", path, error))?;
                imatrix.read_legacy(bytes.into())?;
            }
        }
        imatrix.check()?;
        Ok(imatrix)
    }

    fn bad(&self, what: impl Into<String>) -> QuantizeError {
        QuantizeError::Imatrix { file: self.file.clone(), what: what.into() }
    }

    fn add(&mut self, name: &str, sums: Bytes, counts: Vec<f32>) {
        let number = *self.names.entry(name.to_owned()).or_insert(self.entries.len());
        let entry = Entry { sums, counts };
        match self.entries.get_mut(number) {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }

    /// Tensors `NAME.in_sum2` and `NAME.counts`, and three metadata entries.
    fn read_gguf(&mut self, source: &dyn TensorSource) -> Result<(), QuantizeError> {
        let datasets = source.get_array("imatrix.datasets").ok().flatten();
        let number = |key| source.get_u32(key).ok().flatten();
        let (Some(datasets), Some(chunks), Some(_)) =
            (datasets, number("imatrix.chunk_count"), number("imatrix.chunk_size"))
        else {
            return Err(
                self.bad("it lacks one of `imatrix.datasets`, `imatrix.chunk_count`, `imatrix.chunk_size`")
            );
        };
        let first = datasets.iter().next().and_then(|value| value.as_str());
        self.dataset = first.map(|name| shortened(name).to_owned());
        self.chunks = chunks;
        for sums in source.tensors() {
            let Some(name) = sums.name.strip_suffix(".in_sum2") else { continue };
            let counts = source.tensor(&format!("{name}.counts")).filter(|counts| {
                let elements = counts.shape.elements().unwrap_or_default();
                elements > 0 && sums.shape.elements().unwrap_or_default().is_multiple_of(elements)
            });
            let Some(counts) = counts.filter(|counts| counts.dtype == DType::F32 && sums.dtype == DType::F32)
            else {
                return Err(self.bad(format!("`{}` has no counts of type F32 that fit it", sums.name)));
            };
            // Whole numbers, which a count below one half is not.
            let counts = floats(&counts.data).map(f32::round).collect();
            self.add(name, sums.data.clone(), counts);
        }
        Ok(())
    }

    /// The older format: a count of entries, and for each its name, a number of calls, and sums; then what it was made
    /// from.
    fn read_legacy(&mut self, mut bytes: Bytes) -> Result<(), QuantizeError> {
        let len = bytes.len();
        let cut =
            |bytes: &Bytes, what: &str| format!("{what} at byte {} does not fit the file", len - bytes.len());
        let number = |bytes: &mut Bytes| bytes.try_get_i32_le().ok();
        let length = |bytes: &mut Bytes, size: usize| {
            let count = usize::try_from(number(bytes)?).ok()?;
            count.checked_mul(size).filter(|&needed| needed <= bytes.len())
        };
        let entries = number(&mut bytes).filter(|&entries| entries > 0);
        let Some(entries) = entries else { return Err(self.bad("it has no entries")) };
        for _ in 0..entries {
            let Some(name) = length(&mut bytes, 1) else { return Err(self.bad(cut(&bytes, "a name"))) };
            let name = String::from_utf8_lossy(&bytes.split_to(name)).into_owned();
            let Some(calls) = number(&mut bytes) else { return Err(self.bad(cut(&bytes, "a count"))) };
            let Some(sums) = length(&mut bytes, 4).filter(|&sums| sums > 0) else {
                return Err(self.bad(cut(&bytes, "the list of numbers")));
            };
            // Without calls the numbers stand as they are.
            let calls = if calls > 0 { calls as f32 } else { 1.0 };
            self.add(&name, bytes.split_to(sums), vec![calls]);
        }
        self.chunks = number(&mut bytes).and_then(|chunks| u32::try_from(chunks).ok()).unwrap_or_default();
        if let Some(name) = length(&mut bytes, 1).filter(|&name| name > 0) {
            self.dataset = Some(shortened(&String::from_utf8_lossy(&bytes.split_to(name))).to_owned());
        }
        Ok(())
    }

    /// Refuses numbers that are no sums of squares.
    fn check(&self) -> Result<(), QuantizeError> {
        if self.entries.is_empty() {
            return Err(self.bad("it has no entries"));
        }
        for (name, &entry) in &self.names {
            let bad = floats(&self.entries[entry].sums).position(|sum| !(sum >= 0.0 && sum.is_finite()));
            if let Some(at) = bad {
                let name = name.escape_debug();
                return Err(self.bad(format!("number {at} of `{name}` is negative or not finite")));
            }
        }
        Ok(())
    }

    /// The number of the tensor's entry. The token embeddings of some files have one of another size, which is not used.
    pub(super) fn find(&self, name: &str, shape: &Shape) -> Result<Option<usize>, QuantizeError> {
        let Some(&entry) = self.names.get(name) else { return Ok(None) };
        let experts = shape.len().checked_sub(3).map_or(1, |outer| shape[outer]);
        let (needed, found) = (shape.cols() * experts, self.entries[entry].sums.len() / 4);
        if needed == found {
            return Ok(Some(entry));
        }
        if name == "token_embd.weight" {
            return Ok(None);
        }
        Err(QuantizeError::ImportanceLength { file: self.file.clone(), name: name.to_owned(), found, needed })
    }

    /// The weights of an expert's columns; for a tensor without experts the expert is 0.
    pub(super) fn columns(&self, entry: usize, expert: usize, columns: usize, out: &mut Vec<f32>) {
        let Entry { sums, counts } = &self.entries[entry];
        let stretch = sums.len() / 4 / counts.len();
        let from = expert * columns;
        out.clear();
        out.extend(floats(&sums[4 * from..4 * (from + columns)]).enumerate().map(|(i, sum)| {
            let count = counts[(from + i) / stretch];
            // An expert that nothing came to: all its columns are alike.
            if count > 0.0 { sum / count } else { 1.0 }
        }));
    }

    /// The path as metadata.
    pub(super) fn file(&self) -> &str {
        shortened(&self.file)
    }

    /// What the weights were made from.
    pub(super) fn dataset(&self) -> Option<&str> {
        self.dataset.as_deref()
    }

    /// Stretches of text that they were made from.
    pub(super) fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Number of tensors.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// What fits into a metadata value.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes))
}
