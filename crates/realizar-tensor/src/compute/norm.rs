//! Norms of rows and of heads.

use super::Compute;
use crate::pool::Tile;
use crate::{Rows, Vector};

impl Compute {
    /// `out = x / sqrt(mean(x^2) + eps) * gain`, row by row.
    ///
    /// # Panics
    /// When the widths of `x`, `gain` and `out` differ.
    pub fn rms_norm(&mut self, x: &Rows, gain: &Vector, eps: f32, out: &mut Rows) {
        let kernels = self.kernels;
        self.norm(x, gain, None, out, |x, gain, _, out| (kernels.rms_norm)(x, gain, eps, out));
    }

    /// `out = (x - mean(x)) / sqrt(variance(x) + eps) * gain + bias`, row by row.
    ///
    /// # Panics
    /// When the widths of `x`, `gain`, `bias` and `out` differ.
    pub fn layer_norm(&mut self, x: &Rows, gain: &Vector, bias: Option<&Vector>, eps: f32, out: &mut Rows) {
        let kernels = self.kernels;
        self.norm(x, gain, bias, out, |x, gain, bias, out| (kernels.layer_norm)(x, gain, bias, eps, out));
    }

    /// [`Self::rms_norm`] of each of the `heads` parts of every row, in place. `gain` is one head's, for all of them, or a
    /// whole row's.
    ///
    /// # Panics
    /// When rows are not `heads` equal parts, or `gain` fits neither a part nor a row.
    pub fn rms_norm_heads(&mut self, x: &mut Rows, heads: usize, gain: &Vector, eps: f32) {
        let kernels = self.kernels;
        self.norm_heads(x, heads, gain, None, |x, gain, _, out| (kernels.rms_norm)(x, gain, eps, out));
    }

    /// [`Self::layer_norm`] of each of the `heads` parts of every row, in place; see [`Self::rms_norm_heads`].
    ///
    /// # Panics
    /// When rows are not `heads` equal parts, or `gain` or `bias` fits neither a part nor a row.
    pub fn layer_norm_heads(
        &mut self,
        x: &mut Rows,
        heads: usize,
        gain: &Vector,
        bias: Option<&Vector>,
        eps: f32,
    ) {
        let kernels = self.kernels;
        self.norm_heads(x, heads, gain, bias, |x, gain, bias, out| {
            (kernels.layer_norm)(x, gain, bias, eps, out)
        });
    }

    fn norm(
        &mut self,
        x: &Rows,
        gain: &Vector,
        bias: Option<&Vector>,
        out: &mut Rows,
        norm: impl Fn(&[f32], &[f32], Option<&[f32]>, &mut [f32]) + Sync,
    ) {
        let width = x.width();
        assert_eq!(out.width(), width, "rows of {width} into rows of {}", out.width());
        assert_eq!(gain.len(), width, "a gain of {} for rows of {width}", gain.len());
        assert!(bias.is_none_or(|bias| bias.len() == width), "a bias for rows of {width}");
        out.set_rows(x.rows());
        self.by_rows(out, |_, mut tile: Tile<'_, f32>| {
            for (index, row) in tile.rows().enumerate() {
                norm(x.row(row), gain.as_slice(), bias.map(Vector::as_slice), tile.row(index));
            }
        });
    }

    fn norm_heads(
        &mut self,
        x: &mut Rows,
        heads: usize,
        gain: &Vector,
        bias: Option<&Vector>,
        norm: impl Fn(&[f32], &[f32], Option<&[f32]>, &mut [f32]) + Sync,
    ) {
        let width = x.width();
        assert!(heads > 0 && width.is_multiple_of(heads), "rows of {width} in {heads} heads");
        let dim = width / heads;
        let fits = |vector: &Vector| vector.len() == dim || vector.len() == width;
        assert!(fits(gain) && bias.is_none_or(fits), "a gain of {} for heads of {dim}", gain.len());
        // A vector of one head begins at 0 for every head.
        let part = |vector: &'_ Vector, head: usize| if vector.len() == dim { 0 } else { head * dim };
        self.prepare(dim, 0, 0);
        self.by_rows(x, |scratch, mut tile| {
            let (copy, _) = scratch.buffers(dim, 0);
            for index in 0..tile.rows().len() {
                for (head, x) in tile.row(index).chunks_exact_mut(dim).enumerate() {
                    copy.copy_from_slice(x);
                    let gain = &gain.as_slice()[part(gain, head)..][..dim];
                    let bias = bias.map(|bias| &bias.as_slice()[part(bias, head)..][..dim]);
                    norm(copy, gain, bias, x);
                }
            }
        });
    }
}
