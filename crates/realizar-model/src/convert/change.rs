//! What is done to a tensor's bytes on the way from one convention to another.

use std::ops::Range;

use realizar_quant::{DType, decode};
use realizar_tensor::PairOrder;

/// A change of rows. Nothing is computed but what the conventions ask for, so that products give the same bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    /// The type in the source.
    pub(crate) from: DType,
    /// The rows of heads go into another order.
    pub(crate) order: Option<HeadOrder>,
    /// Added to every element of a vector.
    pub(crate) add: f32,
}

/// Rows of heads whose rotating values are to stand in another order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadOrder {
    pub(crate) head_dim: usize,
    /// The leading values of a head that rotate.
    pub(crate) rotated: usize,
    /// Rows that belong to heads; those after them stay.
    pub(crate) rows: usize,
    /// The order that they get.
    pub(crate) to: PairOrder,
}

impl HeadOrder {
    /// Where a row of the result comes from.
    fn source(self, row: usize) -> usize {
        let (head, at) = (row - row % self.head_dim, row % self.head_dim);
        let half = self.rotated / 2;
        if row >= self.rows || at >= self.rotated {
            return row;
        }
        head + match self.to {
            PairOrder::Adjacent => at / 2 + at % 2 * half,
            PairOrder::Halves if at < half => 2 * at,
            PairOrder::Halves => 2 * (at - half) + 1,
        }
    }
}

impl Change {
    /// No change.
    pub(crate) fn none(from: DType) -> Self {
        Self { from, order: None, add: 0.0 }
    }

    /// Rows of `row_bytes` each, of a matrix or, where they are single elements, of a vector; the result is in `scratch`,
    /// unless nothing changes. `floats`: `data` is a vector that becomes one of f32, whole.
    pub(crate) fn rows<'a>(
        &self,
        data: &'a [u8],
        row_bytes: usize,
        rows: Range<usize>,
        floats: bool,
        scratch: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        let row = |row: usize| data.get(row * row_bytes..(row + 1) * row_bytes).unwrap_or_default();
        if self.order.is_none() && !(floats && (self.add != 0.0 || self.from != DType::F32)) {
            return data.get(rows.start * row_bytes..rows.end * row_bytes).unwrap_or_default();
        }
        scratch.clear();
        if floats {
            for value in self.vector(data) {
                scratch.extend(value.to_le_bytes());
            }
        } else {
            for new in rows {
                scratch.extend_from_slice(row(self.order.map_or(new, |order| order.source(new))));
            }
        }
        scratch
    }

    /// A vector's elements after the change.
    pub(crate) fn vector(&self, data: &[u8]) -> Vec<f32> {
        let mut values = vec![0.0; data.len() / self.from.block_bytes() * self.from.block_elems()];
        // Only types that can be decoded come here: `is_vector_type`.
        if decode(self.from, data, &mut values).is_err() {
            return Vec::new();
        }
        let value = |at: usize| values.get(self.order.map_or(at, |order| order.source(at))).copied();
        (0..values.len()).filter_map(value).map(|value| value + self.add).collect()
    }

    /// The type that a vector gets: f32, where that loses nothing or something is added to it. `None` if its elements
    /// cannot be added to or moved.
    pub(crate) fn vector_type(&self, kept: DType) -> Option<DType> {
        let sum = self.add != 0.0;
        match self.from {
            from if is_vector_type(from) => Some(DType::F32),
            DType::F64 if sum => Some(DType::F32),
            from => (!sum && (self.order.is_none() || from.block_elems() == 1)).then_some(kept),
        }
    }
}

/// Whether a vector of this type becomes one of f32 without loss.
pub(crate) fn is_vector_type(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16 | DType::F8_E4M3 | DType::F8_E5M2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_orders_are_inverse() {
        for (head_dim, rotated) in [(8, 8), (8, 4), (6, 2), (4, 0)] {
            let order = |to| HeadOrder { head_dim, rotated, rows: 2 * head_dim, to };
            let there: Vec<usize> =
                (0..3 * head_dim).map(|row| order(PairOrder::Adjacent).source(row)).collect();
            for (row, from) in there.iter().enumerate() {
                assert_eq!(order(PairOrder::Halves).source(*from), row, "{head_dim} {rotated}");
            }
        }
        let order = HeadOrder { head_dim: 6, rotated: 4, rows: 12, to: PairOrder::Adjacent };
        let rows: Vec<usize> = (0..14).map(|row| order.source(row)).collect();
        assert_eq!(rows, [0, 2, 1, 3, 4, 5, 6, 8, 7, 9, 10, 11, 12, 13]);
    }

    #[test]
    fn rows_are_moved_and_vectors_widened() {
        let order = HeadOrder { head_dim: 4, rotated: 4, rows: 4, to: PairOrder::Adjacent };
        let data: Vec<u8> = (0..8).collect();
        let mut scratch = Vec::new();
        let matrix = Change { from: DType::F16, order: Some(order), add: 0.0 };
        assert_eq!(matrix.rows(&data, 2, 0..4, false, &mut scratch), [0, 1, 4, 5, 2, 3, 6, 7]);
        assert_eq!(matrix.rows(&data, 2, 1..2, false, &mut scratch), [4, 5]);
        assert_eq!(Change::none(DType::F16).rows(&data, 2, 1..3, false, &mut scratch), [2, 3, 4, 5]);
        let ones = [0x00, 0x3c, 0x00, 0x40];
        let vector = Change { from: DType::F16, order: None, add: 1.0 };
        assert_eq!(vector.vector(&ones), [2.0, 3.0]);
        assert_eq!(vector.rows(&ones, 4, 0..1, true, &mut scratch).len(), 8);
        assert!(Change::none(DType::I32).vector(&ones).is_empty());
    }
}
