//! The logits of a batch.

use crate::error::ModelError;

/// Logits of the positions that a batch asked for, in the batch's order.
#[derive(Debug, Clone, Copy)]
pub struct Logits<'a> {
    data: &'a [f32],
    vocab: usize,
}

impl<'a> Logits<'a> {
    pub(crate) fn new(data: &'a [f32], vocab: usize) -> Self {
        Self { data, vocab }
    }

    /// Number of rows: one per position that was asked for.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.data.len() / self.vocab
    }

    /// The logits of one position, one per row of the vocabulary.
    ///
    /// # Panics
    ///
    /// When there are not so many rows.
    #[must_use]
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.vocab..][..self.vocab]
    }

    /// Whether all logits of a row are finite numbers. Broken weights or an overflow end here; only the sequence of
    /// this row is touched by it.
    ///
    /// # Errors
    ///
    /// A logit of the row is NaN or infinite.
    ///
    /// # Panics
    ///
    /// When there are not so many rows.
    pub fn check(&self, row: usize) -> Result<(), ModelError> {
        // Integers compare in any order, so this runs in vectors.
        let largest = self.row(row).iter().fold(0, |largest, x| (x.to_bits() & 0x7fff_ffff).max(largest));
        if largest < f32::INFINITY.to_bits() { Ok(()) } else { Err(ModelError::NotFinite { row }) }
    }
}

#[cfg(test)]
mod tests {
    use super::Logits;

    #[test]
    fn rows_that_are_not_finite_are_told() {
        let data = [0.0, -1.0, f32::NAN, 0.0, f32::NEG_INFINITY, 1.0, f32::MAX, f32::MIN];
        let logits = Logits::new(&data, 2);
        assert_eq!(logits.rows(), 4);
        assert_eq!(logits.row(3), [f32::MAX, f32::MIN]);
        let good: Vec<bool> = (0..4).map(|row| logits.check(row).is_ok()).collect();
        assert_eq!(good, [true, false, false, true]);
    }
}
