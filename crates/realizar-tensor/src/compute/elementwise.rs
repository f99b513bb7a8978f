//! Operations element by element.

use super::Compute;
use crate::Rows;
use crate::pool::{Cuts, Grid, Tile};

/// Columns per tile of element-by-element work.
const TILE_COLS: usize = 2048;

/// An activation function.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Gate {
    /// `x / (1 + e^-x)`.
    Silu,
    /// The tanh form of GELU.
    GeluTanh,
    /// GELU by the error function.
    GeluErf,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)^2`.
    Relu2,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// [`Self::Silu`] with at most `limit`, times `clamp(up, -limit, limit)`.
    ClampedSilu {
        /// The bound.
        limit: f32,
    },
    /// xIELU (arXiv:2411.13010): `positive x^2 + beta x` above 0, else `negative (e^min(x, eps) - 1 - x) + beta x`.
    Xielu {
        /// Factor of the square.
        positive: f32,
        /// Factor of the exponential part.
        negative: f32,
        /// Slope at 0.
        beta: f32,
        /// The exponential part is flat above this.
        eps: f32,
    },
    /// `g = min(gate, limit)`, `u = clamp(up, -limit, limit)`: `g / (1 + e^(-alpha g)) * (u + 1)`.
    ClampedSwiglu {
        /// Steepness of the sigmoid.
        alpha: f32,
        /// Bound of both inputs.
        limit: f32,
    },
}

impl Compute {
    /// `gate = kind(gate) * up`.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn gate(&mut self, kind: Gate, gate: &mut Rows, up: &Rows) {
        let kernels = self.kernels;
        self.pairwise(up, gate, |up, gate| (kernels.gate)(kind, gate, Some(up)));
    }

    /// `x = kind(x)`.
    pub fn activate(&mut self, kind: Gate, x: &mut Rows) {
        let kernels = self.kernels;
        self.each(x, |_, x| (kernels.gate)(kind, x, None));
    }

    /// `into += scale * x`.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn add(&mut self, x: &Rows, scale: f32, into: &mut Rows) {
        let kernels = self.kernels;
        self.pairwise(x, into, |x, into| (kernels.add)(x, scale, into));
    }

    /// `x *= factor`.
    pub fn scale(&mut self, x: &mut Rows, factor: f32) {
        self.each(x, |_, x| x.iter_mut().for_each(|x| *x *= factor));
    }

    /// `x[i] *= factors[i]`: one factor per row.
    ///
    /// # Panics
    /// When there is not one factor per row.
    pub fn scale_rows(&mut self, x: &mut Rows, factors: &[f32]) {
        assert_eq!(factors.len(), x.rows(), "{} factors for {} rows", factors.len(), x.rows());
        self.each(x, |row, x| x.iter_mut().for_each(|x| *x *= factors[row]));
    }

    /// `x[i] *= 1 / (1 + e^-gate[i])`: one gate per row.
    ///
    /// # Panics
    /// When `gate` is not one value per row of `x`.
    pub fn gate_rows(&mut self, x: &mut Rows, gate: &Rows) {
        assert_eq!((gate.rows(), gate.width()), (x.rows(), 1), "one gate per row");
        self.each(x, |row, x| {
            let factor = 1.0 / (1.0 + (-gate.row(row)[0]).exp());
            x.iter_mut().for_each(|x| *x *= factor);
        });
    }

    /// `x = cap * tanh(x / cap)`.
    pub fn softcap(&mut self, x: &mut Rows, cap: f32) {
        let kernels = self.kernels;
        self.each(x, |_, x| (kernels.softcap)(x, cap));
    }

    /// Runs `f` over matching parts of two buffers of the same shape.
    fn pairwise(&mut self, x: &Rows, out: &mut Rows, f: impl Fn(&[f32], &mut [f32]) + Sync) {
        let shape = (out.rows(), out.width());
        assert_eq!((x.rows(), x.width()), shape, "shapes of an element-by-element operation");
        self.tiles(out, |tile| {
            let cols = tile.cols();
            for (index, row) in tile.rows().enumerate() {
                f(&x.row(row)[cols.clone()], tile.row(index));
            }
        });
    }

    /// Runs `f` over parts of rows.
    fn each(&mut self, x: &mut Rows, f: impl Fn(usize, &mut [f32]) + Sync) {
        self.tiles(x, |tile| {
            for (index, row) in tile.rows().enumerate() {
                f(row, tile.row(index));
            }
        });
    }

    fn tiles(&mut self, out: &mut Rows, f: impl Fn(&mut Tile<'_, f32>) + Sync) {
        let width = out.width();
        let step = (super::TILE_ELEMS / width.min(TILE_COLS)).max(1);
        let grid = Grid::new(out.values_mut(), width, Cuts::Every(step), TILE_COLS);
        self.pool.run([grid], &mut self.scratch, |_, _, mut tile| f(&mut tile));
    }
}
