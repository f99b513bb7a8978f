//! Products with stacks of experts: each row meets the experts it was routed to.

use super::product::{Input, Job};
use super::{Compute, Routes};
use crate::pool::{Cuts, Grid};
use crate::{QMatrix, Rows, Vector};

/// One stack of experts of a group that multiplies the same input.
#[derive(Debug)]
pub struct ExpertProduct<'a> {
    /// `[experts * out, in]`.
    pub weight: &'a QMatrix,
    /// One value per row of `weight`.
    pub bias: Option<&'a Vector>,
    /// `[rows * used, out]`, overwritten: a row per route.
    pub out: &'a mut Rows,
}

/// Rows sorted by expert, and the results in that order.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    input: Vec<f32>,
    output: Vec<f32>,
    /// Per place in the sorted order: the route.
    order: Vec<usize>,
    /// Per expert: its first place; then the number of places.
    cuts: Vec<usize>,
    /// Experts that have rows, and their borders without the empty ones.
    busy: Vec<usize>,
    busy_cuts: Vec<usize>,
}

impl Gathered {
    pub(super) fn sized(&mut self, input: usize, output: usize) -> (&mut [f32], &mut [f32]) {
        let grow = |buffer: &mut Vec<f32>, len| {
            if buffer.len() < len {
                buffer.resize(len, 0.0);
            }
        };
        grow(&mut self.input, input);
        grow(&mut self.output, output);
        (&mut self.input[..input], &mut self.output[..output])
    }

    /// Sorts the routes by expert, stable.
    fn sort(&mut self, experts: usize, routes: &[u32]) {
        self.cuts.clear();
        self.cuts.resize(experts + 1, 0);
        for &expert in routes {
            self.cuts[expert as usize + 1] += 1;
        }
        // Room for all, so that a step does not grow when it meets other experts than those before.
        self.busy.clear();
        self.busy.reserve(experts);
        self.busy_cuts.clear();
        self.busy_cuts.reserve(experts + 1);
        self.busy_cuts.push(0);
        for expert in 0..experts {
            let rows = self.cuts[expert + 1];
            self.cuts[expert + 1] += self.cuts[expert];
            if rows > 0 {
                self.busy.push(expert);
                self.busy_cuts.push(self.cuts[expert + 1]);
            }
        }
        self.order.clear();
        self.order.resize(routes.len(), 0);
        for (route, &expert) in routes.iter().enumerate() {
            let place = &mut self.cuts[expert as usize];
            self.order[*place] = route;
            *place += 1;
        }
    }
}

impl Compute {
    /// For each route of each row: `out = weight[expert] x + bias[expert]`. `x` has one row per token, which serves all of
    /// its routes, or one row per route.
    ///
    /// # Panics
    /// When the shapes do not fit each other or the routes name an expert that a stack does not have.
    pub fn matmul_experts(&mut self, x: &Rows, routes: &Routes, products: &mut [ExpertProduct<'_>]) {
        let (count, used) = (routes.experts().len(), routes.used());
        let per_row = if x.rows() == count { 1 } else { used };
        assert_eq!(x.rows() * per_row, count, "{} rows for {count} routes", x.rows());
        let experts = routes.experts().iter().max().map_or(0, |&most| most as usize + 1);
        let mut stacked = experts;
        for ExpertProduct { weight, bias, out } in products.iter_mut() {
            let width = out.width();
            assert_eq!(
                weight.cols(),
                x.width(),
                "experts that take {} and rows of {}",
                weight.cols(),
                x.width()
            );
            assert!(
                weight.rows().is_multiple_of(width) && weight.rows() / width >= experts,
                "{experts} experts"
            );
            stacked = weight.rows() / width;
            assert!(bias.is_none_or(|bias| bias.len() == weight.rows()), "a bias per row of the stack");
            out.set_rows(count);
        }
        if count == 0 {
            return;
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.sort(stacked, routes.experts());
        let widest = products.iter().map(|product| product.out.width()).max().unwrap_or(0);
        gathered.sized(count * x.width(), count * widest);
        let Gathered { input, output, order, busy, busy_cuts, .. } = &mut gathered;
        let input = &mut input[..count * x.width()];
        for (row, &route) in input.chunks_exact_mut(x.width()).zip(order.iter()) {
            row.copy_from_slice(x.row(route / per_row));
        }
        self.quantise(input, x.width(), busy_cuts, products.iter().map(|product| product.weight.dtype()));
        let largest = products.iter().map(|product| product.weight.byte_len() / product.weight.rows()).max();
        self.prepare_products(count, x.width(), largest.unwrap_or(0));
        for ExpertProduct { weight, bias, out } in products {
            let width = out.width();
            let output = &mut output[..count * width];
            let rows = super::product::tile_rows(weight, count.div_ceil(busy.len()));
            let grid = Grid::new(output, width, Cuts::At(busy_cuts), rows);
            let input = Input { x: input, acts: &self.acts, stride: count };
            self.pool.run([grid], &mut self.scratch, |scratch, _, mut tile| {
                let expert = busy[busy_cuts.partition_point(|&cut| cut <= tile.rows().start) - 1];
                let job = Job { weight, bias: bias.map(Vector::as_slice), first_row: expert * width };
                job.run(self.kernels, input, scratch, &mut tile);
            });
            let out = out.values_mut();
            for (row, &route) in output.chunks_exact(width).zip(order.iter()) {
                out[route * width..][..width].copy_from_slice(row);
            }
        }
        self.gathered = gathered;
    }
}
