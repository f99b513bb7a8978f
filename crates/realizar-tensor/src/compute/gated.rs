//! Products with what comes out of a gate.

use super::{Compute, Gate, Product, TILE_ELEMS};
use crate::Rows;
use crate::acts::SUPER;

impl Compute {
    /// `gate = kind(gate) * up`, then `out = weight gate^T + bias` for each product of a group.
    ///
    /// Many rows go from the gate into integers piece by piece, and `gate` keeps what it was: written and read once more, they
    /// would pass through memory.
    ///
    /// # Panics
    /// When the shapes differ, a matrix does not take rows of `gate`, or an output or bias does not fit its matrix.
    pub fn matmul_gated(&mut self, kind: Gate, gate: &mut Rows, up: &Rows, products: &mut [Product<'_>]) {
        let kernels = self.kernels;
        let (rows, width) = (gate.rows(), gate.width());
        let integers =
            products.iter().all(|product| kernels.integer_format(product.weight.dtype()).is_some());
        if !integers || rows * width < TILE_ELEMS {
            self.gate(kind, gate, up);
            return self.matmul(gate, products);
        }
        assert_eq!((up.rows(), up.width()), (rows, width), "shapes of a gate");
        products.iter_mut().for_each(|product| product.fit(gate));
        self.prepare(kernels.group_of(rows) * SUPER, 0, 0);
        let dtypes = products.iter().map(|product| product.weight.dtype());
        let input = &*gate;
        self.quantise_by((rows, width), &[0, rows], dtypes, |scratch, act, rows, block, words| {
            let columns = block * SUPER..width.min((block + 1) * SUPER);
            let (part, _) = scratch.buffers(rows.len() * columns.len(), 0);
            for (part, row) in part.chunks_exact_mut(columns.len()).zip(rows) {
                part.copy_from_slice(&input.row(row)[columns.clone()]);
                (kernels.gate)(kind, part, Some(&up.row(row)[columns.clone()]));
            }
            (kernels.quantise)(act, part, columns.len(), 0, words);
        });
        self.products(gate, products);
    }
}
