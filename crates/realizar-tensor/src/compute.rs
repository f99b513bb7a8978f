//! The operations of a forward pass, on opaque buffers.

mod attention;
mod choice;
mod columns;
mod elementwise;
mod experts;
mod gated;
mod gates;
mod lookup;
mod norm;
mod product;
mod recurrent;
mod rope;
mod route;
mod scan;
mod streams;

pub use self::attention::{AttentionSpan, AttentionSpec};
pub use self::choice::Chosen;
pub use self::columns::HeadCols;
pub use self::elementwise::Gate;
pub use self::experts::ExpertProduct;
pub use self::product::Product;
pub use self::rope::{PairOrder, Rope};
pub use self::route::{GroupScore, RouteSpec, Routes, Scoring};
pub use self::scan::{ChannelScanSpec, ScanInput, ScanRule, ScanSpec};

use std::sync::Arc;

use crate::acts::{ActKind, SUPER};
use crate::pool::{Cuts, Grid, Pool, Tile};
use crate::scratch::Scratch;
use crate::{Kernels, Rows};

/// Elements that are worth a tile of their own.
const TILE_ELEMS: usize = 16 * 1024;

/// A pool, a table of kernels, and the working memory of the operations.
///
/// Each operation runs to its end as one or more phases on the pool. Outputs get the row count of the inputs; buffers
/// of [`Rows`] never grow, and the working memory grows in [`Self::reserve`] or at the first use of that size, so that a
/// step that has run once allocates nothing.
///
/// # Panics
/// All operations panic when the shapes of their arguments do not fit together: that is the caller's contract. Values
/// never make them panic; NaN and infinity propagate.
#[derive(Debug)]
pub struct Compute {
    pool: Arc<Pool>,
    kernels: &'static Kernels,
    scratch: Vec<Scratch>,
    acts: ActBuffers,
    rope: rope::Table,
    gathered: experts::Gathered,
    scores: Vec<f32>,
    bands: scan::Bands,
}

/// Quantised activations of the product that runs, per kind.
#[derive(Debug, Default)]
struct ActBuffers {
    block32: Vec<i32>,
    super256: Vec<i32>,
}

impl Compute {
    /// Operations that run on `pool` by `kernels`.
    #[must_use]
    pub fn new(pool: Arc<Pool>, kernels: &'static Kernels) -> Self {
        let scratch = (0..pool.threads()).map(|_| Scratch::default()).collect();
        Self {
            pool,
            kernels,
            scratch,
            acts: ActBuffers::default(),
            rope: rope::Table::default(),
            gathered: experts::Gathered::default(),
            scores: Vec::new(),
            bands: scan::Bands::default(),
        }
    }

    /// Makes room for products with inputs of up to `rows` rows of `width` values.
    pub fn reserve(&mut self, rows: usize, width: usize) {
        for kind in [ActKind::Block32, ActKind::Super256] {
            self.acts.sized(kind, rows, width);
        }
    }

    /// Bytes that products of such inputs need, besides the buffers of rows: for planning before [`Self::reserve`].
    #[must_use]
    pub fn reserved_bytes(rows: usize, width: usize) -> usize {
        let words = ActKind::Block32.words() + ActKind::Super256.words();
        width.div_ceil(SUPER).saturating_mul(rows).saturating_mul(words * 4)
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The table of kernels.
    #[must_use]
    pub fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// Grows the working memory of every thread.
    fn prepare(&mut self, panel: usize, sums: usize, bytes: usize) {
        self.scratch.iter_mut().for_each(|scratch| scratch.reserve(panel, sums, bytes));
    }

    /// Runs `f` over tiles of whole rows of `out`.
    fn by_rows(&mut self, out: &mut Rows, f: impl Fn(&mut Scratch, Tile<'_, f32>) + Sync) {
        let width = out.width();
        let step = (TILE_ELEMS / width).max(1);
        let grid = Grid::new(out.values_mut(), width, Cuts::Every(step), width);
        self.pool.run([grid], &mut self.scratch, |scratch, _, tile| f(scratch, tile));
    }
}

impl ActBuffers {
    /// The buffer of a kind, with room for the records of `rows` rows.
    fn sized(&mut self, kind: ActKind, rows: usize, width: usize) -> &mut [i32] {
        let buffer = match kind {
            ActKind::Block32 => &mut self.block32,
            ActKind::Super256 => &mut self.super256,
        };
        let words = width.div_ceil(SUPER) * rows * kind.words();
        if buffer.len() < words {
            // Zeroed memory is not touched before it is used; what was there is not needed.
            *buffer = vec![0; words];
        }
        &mut buffer[..words]
    }

    fn get(&self, kind: ActKind) -> &[i32] {
        match kind {
            ActKind::Block32 => &self.block32,
            ActKind::Super256 => &self.super256,
        }
    }
}
