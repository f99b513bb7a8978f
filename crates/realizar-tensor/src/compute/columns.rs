//! Parts of heads: columns copied between buffers, and products head by head (multi-head latent attention).

use super::Compute;
use super::product::{Input, Job};
use crate::pool::{Cuts, Grid};
use crate::{QMatrix, Rows};

/// Where each head's columns lie in a row: head `h` begins at `h * stride + offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadCols {
    /// Columns from head to head.
    pub stride: usize,
    /// The first column of head 0.
    pub offset: usize,
}

impl HeadCols {
    fn start(self, head: usize) -> usize {
        head * self.stride + self.offset
    }

    fn check(self, heads: usize, width: usize, row: usize) {
        let end = heads.checked_sub(1).map(|last| self.start(last) + width);
        assert!(
            end.is_some_and(|end| end <= row),
            "{heads} heads of {width} columns at {self:?} in rows of {row}"
        );
    }
}

impl Compute {
    /// `out[h, ..width] = x[h, ..width]` for the heads' columns of both buffers; the rest of `out` is left.
    ///
    /// # Panics
    /// When the columns leave a row.
    pub fn copy_cols(
        &mut self,
        x: &Rows,
        x_cols: HeadCols,
        heads: usize,
        width: usize,
        out: &mut Rows,
        out_cols: HeadCols,
    ) {
        x_cols.check(heads, width, x.width());
        out_cols.check(heads, width, out.width());
        out.set_rows(x.rows());
        self.by_rows(out, |_, mut tile| {
            for (index, row) in tile.rows().enumerate() {
                let (x, out) = (x.row(row), tile.row(index));
                for head in 0..heads {
                    out[out_cols.start(head)..][..width].copy_from_slice(&x[x_cols.start(head)..][..width]);
                }
            }
        });
    }

    /// `out[h] = weight[h] x[h]` for each head: `weight` is a stack of `heads` matrices `[d_out, d_in]`. The rest of `out` is
    /// left.
    ///
    /// # Panics
    /// When the matrix is not `heads` equal parts, or the columns leave a row.
    pub fn matmul_heads(
        &mut self,
        x: &Rows,
        x_cols: HeadCols,
        weight: &QMatrix,
        heads: usize,
        out: &mut Rows,
        out_cols: HeadCols,
    ) {
        assert!(heads > 0 && weight.rows().is_multiple_of(heads), "{} rows for {heads} heads", weight.rows());
        let (d_in, d_out) = (weight.cols(), weight.rows() / heads);
        x_cols.check(heads, d_in, x.width());
        out_cols.check(heads, d_out, out.width());
        out.set_rows(x.rows());
        let (rows, width) = (x.rows(), out.width());
        if rows == 0 {
            return;
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        self.prepare_products(rows, d_in, weight.byte_len() / weight.rows());
        for head in 0..heads {
            let (input, output) = gathered.sized(rows * d_in, rows * d_out);
            for (to, from) in input.chunks_exact_mut(d_in).zip(x.read().chunks_exact(x.width())) {
                to.copy_from_slice(&from[x_cols.start(head)..][..d_in]);
            }
            self.quantise(input, d_in, &[0, rows], std::iter::once(weight.dtype()));
            let job = Job { weight, bias: None, first_row: head * d_out };
            let grid = Grid::new(output, d_out, Cuts::Every(rows), super::product::tile_rows(weight, rows));
            let input = Input { x: input, acts: &self.acts, stride: rows };
            self.pool.run([grid], &mut self.scratch, |scratch, _, mut tile| {
                job.run(self.kernels, input, scratch, &mut tile);
            });
            for (to, from) in out.values_mut().chunks_exact_mut(width).zip(output.chunks_exact(d_out)) {
                to[out_cols.start(head)..][..d_out].copy_from_slice(from);
            }
        }
        self.gathered = gathered;
    }
}
