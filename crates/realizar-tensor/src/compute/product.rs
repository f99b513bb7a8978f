//! Products with weight matrices.

use std::ops::Range;

use realizar_quant::{DType, decode};

use super::{ActBuffers, Compute, TILE_ELEMS};
use crate::acts::{ActKind, Acts, MOST_SUMS, SUPER, groups};
use crate::kernels::{Dots, Kernels, Way, along_words, half_sums};
use crate::matrix::Weights;
use crate::pool::{Cuts, Grid, Tile};
use crate::scratch::Scratch;
use crate::{QMatrix, Rows, Vector};

/// Products that one phase runs together; more run in several phases.
const GROUP: usize = 8;
/// Rows of a matrix per tile.
const TILE_ROWS: usize = 64;
/// Rows of float weights that are widened at a time: for rows of 2048 they stay in the L1 cache.
const PANEL_ROWS: usize = 4;

/// Rows that a kernel wants side by side; fewer are copied.
const FEWEST_ROWS: usize = 16;

/// One matrix of a group that multiplies the same input.
#[derive(Debug)]
pub struct Product<'a> {
    /// `[out, in]`.
    pub weight: &'a QMatrix,
    /// One value per output.
    pub bias: Option<&'a Vector>,
    /// `[rows, out]`, overwritten.
    pub out: &'a mut Rows,
}

impl Product<'_> {
    /// Checks the shapes, and gives the output as many rows as `x` has.
    pub(super) fn fit(&mut self, x: &Rows) {
        let (rows, cols) = (self.weight.rows(), self.weight.cols());
        assert_eq!(cols, x.width(), "a matrix [{rows}, {cols}] and rows of {}", x.width());
        assert_eq!(rows, self.out.width(), "a matrix of {rows} rows and outputs of {}", self.out.width());
        assert!(self.bias.is_none_or(|bias| bias.len() == rows), "a bias for {rows} outputs");
        self.out.set_rows(x.rows());
    }
}

/// Which tokens of the activation buffers a product takes, and its matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) weight: &'a QMatrix,
    pub(super) bias: Option<&'a [f32]>,
    /// Row of `weight` (and of `bias`) that is output 0.
    pub(super) first_row: usize,
}

/// The input of a product in its forms: f32 and quantised.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) x: &'a [f32],
    pub(super) acts: &'a ActBuffers,
    /// Tokens in the buffers.
    pub(super) stride: usize,
}

impl Compute {
    /// `out = x weight^T + bias` for each product of a group; the input is quantised once for all of them.
    ///
    /// # Panics
    /// When a matrix does not take rows of `x`, or an output or bias does not fit its matrix.
    pub fn matmul(&mut self, x: &Rows, products: &mut [Product<'_>]) {
        products.iter_mut().for_each(|product| product.fit(x));
        if x.rows() == 0 {
            return;
        }
        let cuts = [0, x.rows()];
        self.quantise(x.read(), x.width(), &cuts, products.iter().map(|product| product.weight.dtype()));
        self.products(x, products);
    }

    /// The products, after `x` was made integers.
    pub(super) fn products(&mut self, x: &Rows, products: &mut [Product<'_>]) {
        let tokens = x.rows();
        let largest = products.iter().map(|product| product.weight.byte_len() / product.weight.rows()).max();
        self.prepare_products(tokens, x.width(), largest.unwrap_or(0));
        for part in products.chunks_mut(GROUP) {
            // A step of a small model is mostly fixed cost, so that nothing is set up for products that are not there.
            match part.len() {
                1 => self.together::<1>(x, part),
                2 => self.together::<2>(x, part),
                3 => self.together::<3>(x, part),
                _ => self.together::<GROUP>(x, part),
            }
        }
    }

    /// Up to `N` products in one phase.
    fn together<const N: usize>(&mut self, x: &Rows, products: &mut [Product<'_>]) {
        let tokens = x.rows();
        let mut jobs = [None; N];
        let mut products = products.iter_mut();
        let grids: [_; N] = std::array::from_fn(|i| match products.next() {
            Some(Product { weight, bias, out }) => {
                let weight: &QMatrix = weight;
                let bias = bias.map(Vector::as_slice);
                jobs[i] = Some(Job { weight, bias, first_row: 0 });
                let width = out.width();
                Grid::new(out.values_mut(), width, Cuts::Every(tokens), tile_rows(weight, tokens))
            }
            None => Grid::none(),
        });
        let input = Input { x: x.read(), acts: &self.acts, stride: tokens };
        self.pool.run(grids, &mut self.scratch, |scratch, index, mut tile| {
            if let Some(job) = jobs[index] {
                job.run(self.kernels, input, scratch, &mut tile);
            }
        });
    }

    /// Working memory for tiles of any product with `tokens` rows of `width` and weight rows of up to `row_bytes`.
    pub(super) fn prepare_products(&mut self, tokens: usize, width: usize, row_bytes: usize) {
        let (panel, along) = along_words(tokens, width);
        let sums = (TILE_ROWS * tokens.min(MOST_SUMS)).max(half_sums(tokens)).max(along);
        self.prepare((PANEL_ROWS * width).max(panel), sums, FEWEST_ROWS * row_bytes);
    }

    /// Quantises `x` for the matrices of these types. `cuts` are the borders of the runs of tokens that are multiplied
    /// together: groups do not cross them.
    pub(super) fn quantise(
        &mut self,
        x: &[f32],
        width: usize,
        cuts: &[usize],
        dtypes: impl Iterator<Item = DType> + Clone,
    ) {
        let kernels = self.kernels;
        self.quantise_by((x.len() / width, width), cuts, dtypes, |_, kind, rows, block, words| {
            (kernels.quantise)(kind, &x[rows.start * width..rows.end * width], width, block, words);
        });
    }

    /// As [`Self::quantise`] for rows of `width` that `put` makes integers of: some rows' 256-block of that number.
    pub(super) fn quantise_by(
        &mut self,
        (tokens, width): (usize, usize),
        cuts: &[usize],
        dtypes: impl Iterator<Item = DType> + Clone,
        put: impl Fn(&mut Scratch, ActKind, Range<usize>, usize, &mut [i32]) + Sync,
    ) {
        let kernels = self.kernels;
        for kind in [ActKind::Block32, ActKind::Super256] {
            let mut formats = dtypes.clone().filter_map(|dtype| kernels.integer_format(dtype));
            if !formats.any(|format| format.kind == kind) {
                continue;
            }
            let (words, blocks) = (kind.words(), width.div_ceil(SUPER));
            // Whole groups of tokens, as long as all have the same size: then a tile reads whole rows, which mostly the same
            // thread has written. Else columns, for all tokens.
            let group = kernels.group_of(tokens);
            let (step, tile_tokens) = match cuts.len() {
                _ if tokens * width < TILE_ELEMS => (blocks, tokens),
                0..=2 => (blocks, (TILE_ELEMS / width).max(1).next_multiple_of(group)),
                _ => (1, tokens),
            };
            let acts = self.acts.sized(kind, tokens, width);
            let grid = Grid::new(acts, tokens * words, Cuts::Every(step), tile_tokens * words);
            self.pool.run([grid], &mut self.scratch, |scratch, _, mut tile| {
                let start = tile.cols().start / words;
                let inside = start..tile.cols().end / words;
                for run in cuts.windows(2) {
                    let count = run[1] - run[0];
                    let groups =
                        groups(count, kernels.group_of(count)).map(|(first, count)| (run[0] + first, count));
                    for (first, count) in groups.filter(|(first, _)| inside.contains(first)) {
                        for (index, block) in tile.rows().enumerate() {
                            let words = &mut tile.row(index)[(first - start) * words..][..count * words];
                            put(scratch, kind, first..first + count, block, words);
                        }
                    }
                }
            });
        }
    }
}

/// Rows per tile: enough to be worth claiming, whatever the number of threads.
pub(super) fn tile_rows(weight: &QMatrix, tokens: usize) -> usize {
    let per_row = weight.cols() * tokens;
    (TILE_ELEMS * 4).div_ceil(per_row).next_multiple_of(TILE_ROWS)
}

impl Job<'_> {
    /// Computes one tile: all its rows are one run of tokens, its columns are outputs.
    pub(super) fn run(
        &self,
        kernels: &Kernels,
        input: Input<'_>,
        scratch: &mut Scratch,
        tile: &mut Tile<'_, f32>,
    ) {
        let (tokens, columns) = (tile.rows(), tile.cols());
        let rows = self.first_row + columns.start..self.first_row + columns.end;
        let weights = self.weight.view(rows.clone());
        if let Some(format) = kernels.integer_format(self.weight.dtype()) {
            let acts = Acts {
                data: input.acts.get(format.kind),
                kind: format.kind,
                stride: input.stride,
                first: tokens.start,
                tokens: tokens.len(),
                group: kernels.group_of(tokens.len()),
            };
            (format.product)(&weights, &acts, scratch, tile);
        } else {
            let x = &input.x[tokens.start * weights.cols..tokens.end * weights.cols];
            float_tile(kernels, self.weight.dtype(), &weights, x, scratch, tile);
        }
        if let Some(bias) = self.bias {
            for token in 0..tokens.len() {
                for (out, &bias) in tile.row(token).iter_mut().zip(&bias[rows.clone()]) {
                    *out += bias;
                }
            }
        }
    }
}

/// A tile of any type by way of f32 rows.
fn float_tile(
    kernels: &Kernels,
    dtype: DType,
    weights: &Weights<'_>,
    x: &[f32],
    scratch: &mut Scratch,
    tile: &mut Tile<'_, f32>,
) {
    let k = weights.cols;
    let in_place = kernels.way(dtype) == Way::Floats;
    if in_place
        && dtype == DType::F32
        && cfg!(target_endian = "little")
        && let Ok(weights) = bytemuck::try_cast_slice(weights.data)
    {
        return (kernels.dots)(Dots { weights, x, k, first_row: 0 }, tile);
    }
    if in_place
        && dtype == DType::F16
        && let Some(half) = kernels.half
    {
        let (_, sums) = scratch.buffers(0, half_sums(x.len() / k));
        return half(weights, x, sums, tile);
    }
    let (panel, _) = scratch.buffers(PANEL_ROWS * k, 0);
    for first_row in (0..weights.rows).step_by(PANEL_ROWS) {
        let rows = PANEL_ROWS.min(weights.rows - first_row);
        let panel = &mut panel[..rows * k];
        for (row, out) in panel.chunks_exact_mut(k).enumerate() {
            widen(kernels, dtype, weights.row(first_row + row), out);
        }
        (kernels.dots)(Dots { weights: panel, x, k, first_row }, tile);
    }
}

/// One row of weights as f32.
pub(super) fn widen(kernels: &Kernels, dtype: DType, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        DType::F16 => (kernels.widen_f16)(bytes, out),
        DType::BF16 => (kernels.widen_bf16)(bytes, out),
        // `QMatrix::new` has checked that the type can be decoded and the row is whole.
        _ if decode(dtype, bytes, out).is_err() => out.fill(f32::NAN),
        _ => {}
    }
}
