//! Gates of heads, bounds, and weights of routes.

use super::{Compute, Routes};
use crate::{Rows, Vector};

impl Compute {
    /// Brings every value into `-limit..=limit`.
    pub fn clamp(&mut self, x: &mut Rows, limit: f32) {
        self.by_rows(x, |_, mut tile| {
            for index in 0..tile.rows().len() {
                for x in tile.row(index) {
                    let low = if *x < -limit { -limit } else { *x };
                    *x = if low > limit { limit } else { low };
                }
            }
        });
    }

    /// Multiplies each of the equal parts of a row with the sigmoid of its gate.
    ///
    /// # Panics
    /// When rows are not as many equal parts as `gates` has columns.
    pub fn gate_heads(&mut self, x: &mut Rows, gates: &Rows) {
        let (heads, width) = (gates.width(), x.width());
        assert!(gates.rows() == x.rows() && width.is_multiple_of(heads), "{heads} gates for rows of {width}");
        self.by_rows(x, |_, mut tile| {
            for (index, row) in tile.rows().enumerate() {
                for (head, gate) in tile.row(index).chunks_exact_mut(width / heads).zip(gates.row(row)) {
                    let factor = 1.0 / (1.0 + (-gate).exp());
                    head.iter_mut().for_each(|x| *x *= factor);
                }
            }
        });
    }

    /// Multiplies the weight of each route with its expert's factor.
    ///
    /// # Panics
    /// When a route's expert has no factor.
    pub fn scale_routes(&mut self, routes: &mut Routes, factors: &Vector) {
        routes.weigh(|expert, weight| weight * factors.as_slice()[expert]);
    }

    /// One row per route: the row of `x` times the route's weight, which becomes 1.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn spread(&mut self, x: &Rows, routes: &mut Routes, out: &mut Rows) {
        let used = routes.used();
        assert_eq!((x.rows(), x.width()), (routes.rows(), out.width()), "one row of `x` per row of routes");
        out.set_rows(routes.rows() * used);
        let weights = routes.weights();
        self.by_rows(out, |_, mut tile| {
            for (index, route) in tile.rows().enumerate() {
                for (out, x) in tile.row(index).iter_mut().zip(x.row(route / used)) {
                    *out = weights[route] * x;
                }
            }
        });
        routes.weigh(|_, _| 1.0);
    }
}
