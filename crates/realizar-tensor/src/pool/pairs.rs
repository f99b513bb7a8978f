//! Two buffers that are written together, tile by tile.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Grid, Pool, Target, Tile};

impl Pool {
    /// Runs `f` once for every tile of `second`, together with a tile of `first`: the bands of `second` go with the bands
    /// `bands` of `first`, and column for column.
    ///
    /// # Panics
    /// When a band is named twice or is not there, the grids differ in tiles per band, or `f` panics.
    pub(crate) fn run_pairs<A: Send, B: Send, W: Send>(
        &self,
        first: Grid<'_, A>,
        bands: &[usize],
        second: Grid<'_, B>,
        workers: &mut [W],
        f: impl Fn(&mut W, Tile<'_, A>, Tile<'_, B>) + Sync,
    ) {
        assert!(workers.len() >= self.threads(), "{} states for {} threads", workers.len(), self.threads());
        let across = second.width.div_ceil(second.tile_cols);
        assert_eq!(first.width.div_ceil(first.tile_cols), across, "tiles per band");
        assert_eq!(second.tiles(), bands.len() * across, "one band per band");
        let last = first.tiles() / across;
        for (at, band) in bands.iter().enumerate() {
            assert!(*band < last && !bands[..at].contains(band), "band {band} of {last}, once");
        }
        let total = second.tiles();
        let next = AtomicUsize::new(0);
        let (first, second, states) = (Target::new(first), Target::new(second), Target::of_states(workers));
        let claim = |worker: usize| {
            // SAFETY: every thread inside a phase has its own index below `threads`, so no two share a state.
            let state = unsafe { states.element(worker) };
            loop {
                let tile = next.fetch_add(1, Ordering::Relaxed);
                if tile >= total {
                    return;
                }
                let partner = bands[tile / across] * across + tile % across;
                // SAFETY: the counter hands out each number once, bands are there and none is named twice, so neither
                // tile is handed out again; tiles of a grid are disjoint.
                let (first, second) = unsafe { (first.tile(partner), second.tile(tile)) };
                f(state, first, second);
            }
        };
        if total <= 1 { claim(0) } else { self.broadcast(&claim) }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::super::{Cuts, Grid, Pool};
    use crate::TensorError;

    #[test]
    fn tiles_meet_their_partners() -> Result<(), TensorError> {
        for threads in [1, 3] {
            let pool = Pool::new(threads)?;
            let mut workers = vec![(); threads];
            // Bands 2 and 0 of four rows of 4 columns, with rows 0..2 and 2..3 of 2 columns.
            let (mut first, mut second) = ([0u32; 16], [0u32; 6]);
            let run = |bands: &[usize], first: &mut [u32], second: &mut [u32], workers: &mut [()]| {
                let left = Grid::new(first, 4, Cuts::Every(1), 2);
                let right = Grid::new(second, 2, Cuts::At(&[0, 2, 3]), 1);
                pool.run_pairs(left, bands, right, workers, |(), mut left, mut right| {
                    assert_eq!(left.cols().start / 2, right.cols().start);
                    left.row(0)[0] += right.rows().len() as u32;
                    (0..right.rows().len()).for_each(|row| right.row(row)[0] += 1);
                });
            };
            run(&[2, 0], &mut first, &mut second, &mut workers);
            assert_eq!(first, [1, 0, 1, 0, 0, 0, 0, 0, 2, 0, 2, 0, 0, 0, 0, 0], "{threads} threads");
            assert_eq!(second, [1; 6], "{threads} threads");
            for bands in [[1, 1], [0, 4]] {
                let run = AssertUnwindSafe(|| run(&bands, &mut first, &mut second, &mut workers));
                assert!(catch_unwind(run).is_err(), "{bands:?}");
            }
        }
        Ok(())
    }
}
