//! The data of announced tensors, written piece by piece behind a head.

use std::io::{BufWriter, Write};

use crate::error::{FormatError, Place};

/// A tensor that was announced: its name, and how many bytes will come.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// The data section of a file under construction. Memory does not grow with the tensors' size.
#[derive(Debug)]
pub struct DataWriter<W: Write> {
    out: BufWriter<W>,
    tensors: Vec<Declared>,
    current: usize,
    filled: u64,
    written: u64,
    alignment: u32,
    footer: Option<crc32fast::Hasher>,
}

impl<W: Write> DataWriter<W> {
    /// Each tensor will be padded to a multiple of `alignment`, a power of two.
    pub(crate) fn new(out: W, tensors: Vec<Declared>, alignment: u32) -> Self {
        let mut data = Self {
            out: BufWriter::new(out),
            tensors,
            current: 0,
            filled: 0,
            written: 0,
            alignment,
            footer: None,
        };
        data.skip_empty();
        data
    }

    /// As [`DataWriter::new`], with a checksum over all of the file behind it.
    pub(crate) fn with_checksum(out: W, tensors: Vec<Declared>, alignment: u32) -> Self {
        Self { footer: Some(crc32fast::Hasher::new()), ..Self::new(out, tensors, alignment) }
    }

    /// The tensor whose data is due, and how many bytes of it are still to come.
    #[must_use]
    pub fn due(&self) -> Option<(&str, u64)> {
        let tensor = self.tensors.get(self.current)?;
        Some((&tensor.name, tensor.bytes.saturating_sub(self.filled)))
    }

    /// Writes the next piece of the tensor that is due. A piece never goes on into the next tensor.
    ///
    /// # Errors
    ///
    /// There are more bytes than the tensor has left, or the file cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let (name, left) = self.due().unwrap_or(("", 0));
        if bytes.len() as u64 > left {
            let at = Place::named("tensor_data", self.written, name.as_bytes());
            let found = format!("{} bytes", bytes.len());
            return Err(FormatError::invalid(at, found, format!("at most {left}")));
        }
        let done = left == bytes.len() as u64;
        self.put(bytes)?;
        self.filled = self.filled.saturating_add(bytes.len() as u64);
        if done {
            self.pad_to(self.alignment)?;
            self.current = self.current.saturating_add(1);
            self.filled = 0;
            self.skip_empty();
        }
        Ok(())
    }

    /// Ends the file, and gives back what it was written to.
    ///
    /// # Errors
    ///
    /// Data is missing, or the last bytes cannot be written.
    pub fn finish(mut self) -> Result<W, FormatError> {
        if let Some((name, left)) = self.due() {
            let at = Place::named("tensor_data", self.written, name.as_bytes());
            return Err(FormatError::Truncated { at, needed: left, left: 0 });
        }
        if let Some(footer) = self.footer.take() {
            self.put(&footer.finalize().to_le_bytes())?;
        }
        self.out.into_inner().map_err(|error| FormatError::Write { source: error.into_error() })
    }

    /// Writes bytes of the head.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        if let Some(footer) = &mut self.footer {
            footer.update(bytes);
        }
        self.written = self.written.saturating_add(bytes.len() as u64);
        self.out.write_all(bytes).map_err(|source| FormatError::Write { source })
    }

    /// Writes zeros up to a multiple of `alignment`.
    pub(crate) fn pad_to(&mut self, alignment: u32) -> Result<(), FormatError> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let end = pad(self.written, alignment).unwrap_or(self.written);
        while let left @ 1.. = end.saturating_sub(self.written) {
            let piece = usize::try_from(left).ok().and_then(|left| ZEROS.get(..left));
            self.put(piece.unwrap_or(&ZEROS))?;
        }
        Ok(())
    }

    fn skip_empty(&mut self) {
        while self.due().is_some_and(|(_, left)| left == 0) {
            self.current = self.current.saturating_add(1);
        }
    }
}

/// `bytes` rounded up to a multiple of `alignment`, a power of two.
pub(crate) fn pad(bytes: u64, alignment: u32) -> Option<u64> {
    bytes.checked_next_multiple_of(alignment.into())
}
