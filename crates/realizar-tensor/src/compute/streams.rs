//! Parallel streams (AltUp, arXiv:2301.13310), and rows of which only the largest values count.

use super::Compute;
use crate::Rows;

impl Compute {
    /// Scales each row of `x` to the length of the row of `like`; a row of zeros stays as it is.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn match_length(&mut self, x: &mut Rows, like: &Rows) {
        assert_eq!((x.rows(), x.width()), (like.rows(), like.width()), "shapes of rows of one length");
        let squares = |row: &[f32]| row.iter().fold(0.0f32, |sum, x| sum + x * x);
        self.by_rows(x, |_, mut tile| {
            for (index, row) in tile.rows().enumerate() {
                let x = tile.row(index);
                let (own, wanted) = (squares(x).sqrt(), squares(like.row(row)).sqrt());
                if own != 0.0 {
                    let factor = wanted / own;
                    x.iter_mut().for_each(|x| *x *= factor);
                }
            }
        });
    }

    /// `into[i] += x[i] * (factors[i][column] + offset)`: one factor per row.
    ///
    /// # Panics
    /// When the shapes differ or there is no such column.
    pub fn add_weighed(&mut self, x: &Rows, (factors, column, offset): (&Rows, usize, f32), into: &mut Rows) {
        assert_eq!((x.rows(), x.width()), (into.rows(), into.width()), "shapes of a weighed sum");
        assert!(factors.rows() == x.rows() && column < factors.width(), "factor {column} of each row");
        self.by_rows(into, |_, mut tile| {
            for (index, row) in tile.rows().enumerate() {
                let factor = factors.row(row)[column] + offset;
                tile.row(index).iter_mut().zip(x.row(row)).for_each(|(into, x)| *into += x * factor);
            }
        });
    }

    /// `x = max(x - (mean + deviations * standard deviation), 0)` by the mean and the deviation of each row: about the
    /// share of its values that a normal distribution has above that stays.
    pub fn sparsify(&mut self, x: &mut Rows, deviations: f32) {
        self.by_rows(x, |_, mut tile| {
            for index in 0..tile.rows().len() {
                let row = tile.row(index);
                let mean = row.iter().fold(0.0f32, |sum, x| sum + x) / row.len() as f32;
                let squares = row.iter().fold(0.0f32, |sum, x| sum + (x - mean) * (x - mean));
                let least = mean + deviations * (squares / (row.len() as f32 - 1.0).max(1.0)).sqrt();
                // NaN stays NaN.
                row.iter_mut().for_each(|x| *x = if *x <= least { 0.0 } else { *x - least });
            }
        });
    }
}
