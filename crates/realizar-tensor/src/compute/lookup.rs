//! Rows picked out of tables, and places picked out of rows.

use super::Compute;
use super::product::widen;
use crate::{QMatrix, Rows};

impl Compute {
    /// `out[i] = table[ids[i]] * scale`.
    ///
    /// # Panics
    /// When an id is not below the table's rows, or the widths differ.
    pub fn embed(&mut self, table: &QMatrix, ids: &[u32], scale: f32, out: &mut Rows) {
        assert_eq!(
            table.cols(),
            out.width(),
            "a table of rows of {} into rows of {}",
            table.cols(),
            out.width()
        );
        if let Some(id) = ids.iter().find(|&&id| id as usize >= table.rows()) {
            panic!("id {id} in a table of {} rows", table.rows());
        }
        out.set_rows(ids.len());
        let kernels = self.kernels;
        self.by_rows(out, |_, mut tile| {
            for (index, row) in tile.rows().enumerate() {
                let out = tile.row(index);
                let id = ids[row] as usize;
                widen(kernels, table.dtype(), table.view(id..id + 1).data, out);
                if scale != 1.0 {
                    out.iter_mut().for_each(|x| *x *= scale);
                }
            }
        });
    }

    /// The index of the largest value of each row; the first of equals, and NaN is below everything.
    ///
    /// # Panics
    /// When `out` has not one place per row.
    pub fn argmax(&mut self, x: &Rows, out: &mut [u32]) {
        assert_eq!(out.len(), x.rows(), "places for {} rows", x.rows());
        for (out, row) in out.iter_mut().zip(x.read().chunks_exact(x.width())) {
            let mut best = (0, f32::NEG_INFINITY);
            for (index, &value) in (0..).zip(row) {
                if value > best.1 {
                    best = (index, value);
                }
            }
            *out = best.0;
        }
    }
}
