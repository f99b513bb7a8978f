//! Work around scans: steps, decays, unit vectors, mixes with the token before.

use super::{Compute, HeadCols};
use crate::{Rows, Vector};

/// `ln(1 + e^x)`, which is `x` itself above 20.
fn softplus(x: f32) -> f32 {
    if x > 20.0 { x } else { x.exp().ln_1p() }
}

impl Compute {
    /// `x = ln(1 + e^(x + bias))`, column by column.
    ///
    /// # Panics
    /// When there is not one bias per column.
    pub fn softplus(&mut self, x: &mut Rows, bias: &Vector) {
        assert_eq!(bias.len(), x.width(), "a bias per column");
        self.by_rows(x, |_, mut tile| {
            for index in 0..tile.rows().len() {
                for (x, bias) in tile.row(index).iter_mut().zip(bias.as_slice()) {
                    *x = softplus(*x + bias);
                }
            }
        });
    }

    /// `out = e^(x rate)`, column by column.
    ///
    /// # Panics
    /// When the shapes differ or there is not one rate per column.
    pub fn decay(&mut self, x: &Rows, rates: &Vector, out: &mut Rows) {
        assert_eq!((rates.len(), out.width()), (x.width(), x.width()), "a rate per column");
        out.set_rows(x.rows());
        self.by_rows(out, |_, mut tile| {
            for (index, row) in tile.rows().enumerate() {
                for ((out, x), rate) in tile.row(index).iter_mut().zip(x.row(row)).zip(rates.as_slice()) {
                    *out = (x * rate).exp();
                }
            }
        });
    }

    /// Scales the columns of each head to length 1 (`x / sqrt(x x + eps)`), times `scale`, in place.
    ///
    /// # Panics
    /// When the columns leave a row.
    pub fn unit_heads(
        &mut self,
        x: &mut Rows,
        cols: HeadCols,
        heads: usize,
        width: usize,
        (eps, scale): (f32, f32),
    ) {
        let end = (heads.max(1) - 1) * cols.stride + cols.offset + width;
        assert!(end <= x.width(), "{heads} heads of {width} at {cols:?} in rows of {}", x.width());
        self.by_rows(x, |_, mut tile| {
            for index in 0..tile.rows().len() {
                let row = tile.row(index);
                for head in 0..heads {
                    let part = &mut row[head * cols.stride + cols.offset..][..width];
                    let squares = part.iter().fold(0.0f32, |sum, x| sum + x * x);
                    let factor = scale / (squares + eps).sqrt();
                    part.iter_mut().for_each(|x| *x *= factor);
                }
            }
        });
    }

    /// `into *= x`.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn multiply(&mut self, x: &Rows, into: &mut Rows) {
        assert_eq!((x.rows(), x.width()), (into.rows(), into.width()), "shapes of a product by elements");
        self.by_rows(into, |_, mut tile| {
            for (index, row) in tile.rows().enumerate() {
                tile.row(index).iter_mut().zip(x.row(row)).for_each(|(into, x)| *into *= x);
            }
        });
    }

    /// `out = x + (before - x) share`, column by column.
    ///
    /// # Panics
    /// When the shapes differ or there is not one share per column.
    pub fn mix(&mut self, x: &Rows, before: &Rows, share: &Vector, out: &mut Rows) {
        assert_eq!((before.rows(), before.width(), share.len()), (x.rows(), x.width(), x.width()), "a mix");
        assert_eq!(out.width(), x.width(), "width of the output");
        out.set_rows(x.rows());
        self.by_rows(out, |_, mut tile| {
            for (index, row) in tile.rows().enumerate() {
                let inputs = x.row(row).iter().zip(before.row(row)).zip(share.as_slice());
                for (out, ((x, before), share)) in tile.row(index).iter_mut().zip(inputs) {
                    *out = x + (before - x) * share;
                }
            }
        });
    }

    /// `x = x + (other - x) share`, element by element.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn blend(&mut self, x: &mut Rows, other: &Rows, share: &Rows) {
        let shape = (x.rows(), x.width());
        assert!((other.rows(), other.width()) == shape && (share.rows(), share.width()) == shape, "a blend");
        self.by_rows(x, |_, mut tile| {
            for (index, row) in tile.rows().enumerate() {
                let inputs = other.row(row).iter().zip(share.row(row));
                tile.row(index)
                    .iter_mut()
                    .zip(inputs)
                    .for_each(|(x, (other, share))| *x += (other - *x) * share);
            }
        });
    }

    /// `out = x factor`, column by column.
    ///
    /// # Panics
    /// When the widths differ.
    pub fn scale_columns(&mut self, x: &Rows, factors: &Vector, out: &mut Rows) {
        assert_eq!((factors.len(), out.width()), (x.width(), x.width()), "a factor per column");
        out.set_rows(x.rows());
        self.by_rows(out, |_, mut tile| {
            for (index, row) in tile.rows().enumerate() {
                let inputs = x.row(row).iter().zip(factors.as_slice());
                tile.row(index).iter_mut().zip(inputs).for_each(|(out, (x, factor))| *out = x * factor);
            }
        });
    }

    /// Adds to each head its values, weighed by the sum of `q k weight` over the head.
    ///
    /// # Panics
    /// When the shapes differ or rows are not `heads` equal parts.
    pub fn add_weighed_heads(
        &mut self,
        [q, k, v]: [&Rows; 3],
        weights: &Vector,
        heads: usize,
        into: &mut Rows,
    ) {
        let shape = (into.rows(), into.width());
        let alike = [q, k, v].into_iter().all(|rows| (rows.rows(), rows.width()) == shape);
        assert!(
            alike && weights.len() == shape.1 && heads > 0 && shape.1.is_multiple_of(heads),
            "{heads} heads"
        );
        let dim = shape.1 / heads;
        self.by_rows(into, |_, mut tile| {
            for (index, row) in tile.rows().enumerate() {
                for (head, out) in tile.row(index).chunks_exact_mut(dim).enumerate() {
                    let part = |values: &[f32]| head * dim..head * dim + dim.min(values.len());
                    let (q, k, v) = (q.row(row), k.row(row), v.row(row));
                    let weights = &weights.as_slice()[part(q)];
                    let sum = q[part(q)]
                        .iter()
                        .zip(&k[part(k)])
                        .zip(weights)
                        .map(|((q, k), w)| q * k * w)
                        .sum::<f32>();
                    out.iter_mut().zip(&v[part(v)]).for_each(|(out, v)| *out += sum * v);
                }
            }
        });
    }
}
