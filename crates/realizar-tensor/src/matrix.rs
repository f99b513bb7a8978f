//! Weights as they lie in the file: a typed view of rows of quantised blocks.

use std::ops::Range;

use bytes::Bytes;
use realizar_quant::{DType, decode};

use crate::TensorError;

/// A row-major matrix `[rows, cols]` of any element type. Cloning and slicing share the bytes.
///
/// Invariant: `data` holds exactly `rows * row_bytes` bytes, and `rows`, `cols` are at least 1.
#[derive(Debug, Clone)]
pub struct QMatrix {
    dtype: DType,
    rows: usize,
    cols: usize,
    row_bytes: usize,
    data: Bytes,
}

impl QMatrix {
    /// A view of `data`, without a copy. The bytes need no alignment.
    ///
    /// # Errors
    /// When the shape is empty, `cols` is not whole blocks of `dtype`, `data` has another length than the shape, or the
    /// type cannot be decoded.
    pub fn new(dtype: DType, rows: usize, cols: usize, data: Bytes) -> Result<Self, TensorError> {
        if rows == 0 || cols == 0 {
            return Err(TensorError::EmptyMatrix { rows, cols });
        }
        let block_elems = dtype.block_elems();
        // Types with a head before all elements or a padded tail have no rows of their own.
        let whole = (cols / block_elems).checked_mul(dtype.block_bytes());
        let row_bytes = dtype
            .row_bytes(cols)
            .filter(|&bytes| cols.is_multiple_of(block_elems) && whole == Some(bytes))
            .ok_or(TensorError::RaggedRow { dtype, cols, block_elems })?;
        let needed = row_bytes.checked_mul(rows);
        if needed != Some(data.len()) {
            return Err(TensorError::MatrixBytes { dtype, rows, cols, needed, found: data.len() });
        }
        // A type without a decoder shows at its first block.
        let mut block = vec![0.0; block_elems];
        decode(dtype, &data[..dtype.block_bytes()], &mut block)
            .map_err(|source| TensorError::Decode { dtype, source })?;
        Ok(Self { dtype, rows, cols, row_bytes, data })
    }

    /// Some of the rows, sharing the bytes: one expert of a stack, one part of a fused projection.
    ///
    /// # Errors
    /// When the range is empty or leaves the matrix.
    pub fn slice_rows(&self, range: Range<usize>) -> Result<Self, TensorError> {
        if range.start >= range.end || range.end > self.rows {
            return Err(TensorError::RowRange { start: range.start, end: range.end, rows: self.rows });
        }
        let data = self.data.slice(range.start * self.row_bytes..range.end * self.row_bytes);
        Ok(Self { rows: range.len(), data, ..*self })
    }

    /// Some rows in another order, as a copy: for parts of fused projections that do not lie together.
    ///
    /// # Errors
    /// When there are no rows, or one is not in the matrix.
    pub fn pick_rows(&self, rows: &[usize]) -> Result<Self, TensorError> {
        let Some(&last) = rows.iter().max().filter(|row| **row < self.rows) else {
            let end = rows.iter().max().map_or(0, |row| row + 1);
            return Err(TensorError::RowRange { start: 0, end, rows: self.rows });
        };
        let view = self.view(0..last + 1);
        let data: Vec<u8> = rows.iter().flat_map(|row| view.row(*row).iter().copied()).collect();
        Ok(Self { rows: rows.len(), data: data.into(), ..*self })
    }

    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Number of rows: outputs of a product.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns: inputs of a product.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes of all rows.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.data.len()
    }

    /// A borrowed view of some rows.
    pub(crate) fn view(&self, rows: Range<usize>) -> Weights<'_> {
        Weights {
            data: &self.data[rows.start * self.row_bytes..rows.end * self.row_bytes],
            rows: rows.len(),
            cols: self.cols,
            row_bytes: self.row_bytes,
        }
    }
}

/// The rows of a matrix that one tile multiplies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights<'a> {
    /// `rows * row_bytes` bytes.
    pub(crate) data: &'a [u8],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_bytes: usize,
}

impl<'a> Weights<'a> {
    /// The bytes of one row.
    pub(crate) fn row(&self, row: usize) -> &'a [u8] {
        &self.data[row * self.row_bytes..][..self.row_bytes]
    }
}
