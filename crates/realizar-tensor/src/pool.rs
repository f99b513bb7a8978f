//! The thread pool: the caller and its workers share out the tiles of one phase at a time.
//!
//! A phase is a closure over rectangular tiles of one or more output grids. Tiles are claimed one by one
//! from atomic counters, so a core that a neighbour has stolen holds up only its own tile: each thread begins in a
//! region of its own and goes on to those of others when it is through. The shape of a tile never depends on the number of
//! threads. Between phases workers spin for some hundreds of
//! microseconds, then park. A worker that comes late to a phase is not waited for: it joins by raising the
//! count of active threads while the phase is open, and the caller closes the phase before it waits.

use std::any::Any;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crate::TensorError;

/// Parts of a phase's tiles, each with its own counter: a thread works through one in order before it helps with the
/// others, so that it reads long pieces of memory.
const REGIONS: usize = 16;

/// A counter on cache lines of its own.
#[repr(align(128))]
struct Counter(AtomicUsize);

/// How long a worker spins for the next phase before it parks. The caller loses its core for some tens of microseconds when a
/// client is told of tokens; a worker that parked meanwhile would be woken by a call of the system, and come late.
const SPIN: Duration = Duration::from_micros(300);

/// Set in [`Shared::state`] while workers may join the phase.
const OPEN: u64 = 1 << 31;
/// The part of [`Shared::state`] that counts workers inside the phase.
const ACTIVE: u64 = OPEN - 1;

/// What a phase runs, with the lifetime of its borrows erased.
type Task = *const (dyn Fn(usize) + Sync);

struct Shared {
    /// Phase number in the upper half; [`OPEN`]; number of workers inside in the low bits.
    state: AtomicU64,
    /// Written by the caller while no phase is open and no worker is inside; read by workers inside.
    task: UnsafeCell<Option<Task>>,
    /// One flag per worker: about to park, or parked.
    asleep: Box<[AtomicBool]>,
    /// The first panic of a worker in this phase.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    stop: AtomicBool,
}

// SAFETY: `task` is the only field that is not `Sync`; the protocol in its comment (the state is stored with
// Release after the write and read with Acquire on joining) keeps writes apart from reads. The pointee is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `task` is only used while the phase that it belongs to runs, on any thread.
unsafe impl Send for Shared {}

/// The threads that compute: the one that calls and `threads - 1` workers.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<(Thread, Option<JoinHandle<()>>)>,
    /// Held for a phase: a pool runs one at a time.
    running: Mutex<()>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

impl Pool {
    /// Most threads of a pool: more than any machine has cores. With tens of thousands, systems end the process rather than
    /// refuse the thread.
    pub const MOST_THREADS: usize = 4096;

    /// Starts `threads - 1` workers; the thread that computes is the last one.
    ///
    /// # Errors
    /// When `threads` is zero or above [`Self::MOST_THREADS`], or the system refuses a thread.
    pub fn new(threads: usize) -> Result<Arc<Self>, TensorError> {
        if threads == 0 {
            return Err(TensorError::NoThreads);
        }
        if threads > Self::MOST_THREADS {
            return Err(TensorError::TooManyThreads { threads, most: Self::MOST_THREADS });
        }
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            task: UnsafeCell::new(None),
            asleep: (1..threads).map(|_| AtomicBool::new(false)).collect(),
            panic: Mutex::new(None),
            stop: AtomicBool::new(false),
        });
        let mut pool = Self { shared, workers: Vec::with_capacity(threads - 1), running: Mutex::new(()) };
        for worker in 1..threads {
            let shared = Arc::clone(&pool.shared);
            let handle = thread::Builder::new()
                .name(format!("realizar-{worker}"))
                .spawn(move || shared.work(worker))
                .map_err(|source| TensorError::Spawn { worker, threads, source })?;
            pool.workers.push((handle.thread().clone(), Some(handle)));
        }
        Ok(Arc::new(pool))
    }

    /// Cores this process may use: its affinity and its control group's quota, at least 1.
    #[must_use]
    pub fn default_threads() -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    /// Threads that compute, the caller's included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `f` on the caller (as 0) and on every worker that is free (as 1, 2, ...), and returns when all have left it.
    /// A panic in any of them becomes a panic of the caller.
    pub(crate) fn broadcast(&self, f: &(dyn Fn(usize) + Sync)) {
        if self.workers.is_empty() {
            return f(0);
        }
        let running = lock(&self.running);
        let shared = &*self.shared;
        let task: *const (dyn Fn(usize) + Sync + '_) = f;
        // SAFETY: only the lifetime changes. `f` outlives this call, and this call returns (or unwinds) only after the
        // phase is closed and no worker is inside, so no worker uses the pointer later.
        let task = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), Task>(task) };
        // SAFETY: `running` is held, the last phase is closed and nobody is inside: no other access to the cell.
        unsafe { *shared.task.get() = Some(task) };
        let phase = (shared.state.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        shared.state.store(phase << 32 | OPEN, Ordering::SeqCst);
        for ((thread, _), asleep) in self.workers.iter().zip(&shared.asleep) {
            if asleep.load(Ordering::SeqCst) && asleep.swap(false, Ordering::SeqCst) {
                thread.unpark();
            }
        }
        let own = catch_unwind(AssertUnwindSafe(|| f(0)));
        shared.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut turns = 0u32;
        while shared.state.load(Ordering::Acquire) & ACTIVE != 0 {
            pause(&mut turns);
        }
        let theirs = lock(&shared.panic).take();
        drop(running);
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        if let Some(panic) = theirs {
            resume_unwind(panic);
        }
    }

    /// Runs `f` on every thread that comes in time, with its number and its own state.
    pub(crate) fn each_thread<W: Send>(&self, states: &mut [W], f: impl Fn(usize, &mut W) + Sync) {
        assert!(states.len() >= self.threads(), "{} states for {} threads", states.len(), self.threads());
        let states = Target::of_states(states);
        self.broadcast(&|thread| {
            // SAFETY: every thread inside a phase has its own index below `threads`, so no two share a state.
            f(thread, unsafe { states.element(thread) });
        });
    }

    /// Runs `f` once for every tile of `grids`, with the state of the worker that claimed it and the grid's index.
    ///
    /// # Panics
    /// When there are fewer worker states than threads, or when `f` panics.
    pub(crate) fn run<T: Send, W: Send, const N: usize>(
        &self,
        grids: [Grid<'_, T>; N],
        workers: &mut [W],
        f: impl Fn(&mut W, usize, Tile<'_, T>) + Sync,
    ) {
        assert!(workers.len() >= self.threads(), "{} states for {} threads", workers.len(), self.threads());
        let total = grids.iter().map(Grid::tiles).sum::<usize>();
        if self.workers.is_empty() || total <= 1 {
            let grids = grids.map(Target::new);
            for (index, grid) in grids.iter().enumerate() {
                for tile in 0..grid.tiles {
                    // SAFETY: one thread takes each tile once.
                    f(&mut workers[0], index, unsafe { grid.tile(tile) });
                }
            }
            return;
        }
        let next = [const { Counter(AtomicUsize::new(0)) }; REGIONS];
        let regions = self.threads().min(REGIONS);
        let grids = grids.map(Target::new);
        let states = Target::of_states(workers);
        let claim = |worker: usize| {
            // SAFETY: every thread inside a phase has its own index below `threads`, so no two share a state.
            let state = unsafe { states.element(worker) };
            for region in 0..regions {
                let region = (worker + region) % regions;
                let (start, end) = (total * region / regions, total * (region + 1) / regions);
                loop {
                    let mut tile = start + next[region].0.fetch_add(1, Ordering::Relaxed);
                    if tile >= end {
                        break;
                    }
                    for (index, grid) in grids.iter().enumerate() {
                        if tile < grid.tiles {
                            // SAFETY: each number belongs to one region, whose counter hands it out once, and tiles of a
                            // grid are disjoint.
                            f(state, index, unsafe { grid.tile(tile) });
                            break;
                        }
                        tile -= grid.tiles;
                    }
                }
            }
        };
        self.broadcast(&claim);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for (thread, handle) in &mut self.workers {
            thread.unpark();
            if let Some(handle) = handle.take() {
                // A worker catches the panics of its tasks, so it ends without one.
                let _ = handle.join();
            }
        }
    }
}

impl Shared {
    fn work(&self, worker: usize) {
        let mut seen = 0;
        while let Some(phase) = self.next_phase(worker, seen) {
            seen = phase;
            let mut state = self.state.load(Ordering::Relaxed);
            let joined = loop {
                if state >> 32 != phase || state & OPEN == 0 {
                    break false;
                }
                match self.state.compare_exchange_weak(state, state + 1, Ordering::Acquire, Ordering::Relaxed)
                {
                    Ok(_) => break true,
                    Err(now) => state = now,
                }
            };
            if !joined {
                continue;
            }
            // SAFETY: this worker is counted as active in an open phase, so the caller waits before it writes the cell
            // or lets the closure go.
            if let Some(task) = unsafe { *self.task.get() } {
                // SAFETY: as above, the closure is alive.
                let run = AssertUnwindSafe(|| unsafe { (*task)(worker) });
                if let Err(panic) = catch_unwind(run) {
                    lock(&self.panic).get_or_insert(panic);
                }
            }
            self.state.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits until the phase differs from `seen`: spinning first, then parked. `None`: the pool is being dropped.
    fn next_phase(&self, worker: usize, seen: u64) -> Option<u64> {
        let asleep = &self.asleep[worker - 1];
        let began = Instant::now();
        let mut turns = 0u32;
        loop {
            if self.stop.load(Ordering::SeqCst) {
                return None;
            }
            let phase = self.state.load(Ordering::SeqCst) >> 32;
            if phase != seen {
                asleep.store(false, Ordering::SeqCst);
                return Some(phase);
            }
            if asleep.load(Ordering::SeqCst) {
                thread::park();
            } else if turns.is_multiple_of(64) && began.elapsed() > SPIN {
                // The caller looks at the flag after it has changed the phase, and we look at the phase once more
                // after we have set the flag: one of the two sees the other.
                asleep.store(true, Ordering::SeqCst);
            } else {
                pause(&mut turns);
            }
            turns = turns.wrapping_add(1);
        }
    }
}

/// Spins for some microseconds, then gives the core away again and again: where there are more threads than cores, the
/// one that is waited for may need it.
fn pause(turns: &mut u32) {
    *turns = turns.saturating_add(1);
    if *turns > 2048 && turns.is_multiple_of(8) { thread::yield_now() } else { std::hint::spin_loop() }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a grid is cut into rows of tiles.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cuts<'a> {
    /// After every so many rows.
    Every(usize),
    /// At these ascending row numbers; the first is 0, the last the number of rows.
    At(&'a [usize]),
}

/// A buffer that is written as rectangular tiles of a row-major grid.
#[derive(Debug)]
pub(crate) struct Grid<'a, T> {
    data: &'a mut [T],
    width: usize,
    cuts: Cuts<'a>,
    tile_cols: usize,
}

impl<'a, T> Grid<'a, T> {
    /// `data` as rows of `width`, cut by `cuts` and every `tile_cols` columns.
    pub(crate) fn new(data: &'a mut [T], width: usize, cuts: Cuts<'a>, tile_cols: usize) -> Self {
        assert!(width > 0 && tile_cols > 0 && data.len().is_multiple_of(width), "grid of {width} columns");
        let rows = data.len() / width;
        match cuts {
            Cuts::Every(step) => assert!(step > 0, "tiles of no rows"),
            Cuts::At(at) => {
                assert!(
                    at.first().is_none_or(|&first| first == 0) && at.last().is_none_or(|&last| last == rows)
                );
                assert!(at.is_sorted(), "cuts out of order");
            }
        }
        Self { data, width, cuts, tile_cols }
    }

    /// A grid without tiles, to fill an array.
    pub(crate) fn none() -> Self {
        Self { data: &mut [], width: 1, cuts: Cuts::Every(1), tile_cols: 1 }
    }

    fn tiles(&self) -> usize {
        let bands = match self.cuts {
            Cuts::Every(step) => (self.data.len() / self.width).div_ceil(step),
            Cuts::At(at) => at.len().saturating_sub(1),
        };
        bands * self.width.div_ceil(self.tile_cols)
    }
}

/// The raw form of a grid that threads share.
struct Target<'a, T> {
    data: *mut T,
    rows: usize,
    width: usize,
    cuts: Cuts<'a>,
    tile_cols: usize,
    tiles: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: threads get disjoint parts of the buffer by way of the unsafe methods below; elements move between threads.
unsafe impl<T: Send> Sync for Target<'_, T> {}

impl<'a, T> Target<'a, T> {
    fn new(grid: Grid<'a, T>) -> Self {
        let (tiles, rows) = (grid.tiles(), grid.data.len() / grid.width);
        let Grid { data, width, cuts, tile_cols } = grid;
        Self { data: data.as_mut_ptr(), rows, width, cuts, tile_cols, tiles, borrow: PhantomData }
    }

    fn of_states(states: &'a mut [T]) -> Self {
        Self::new(Grid { width: 1, cuts: Cuts::Every(1), tile_cols: 1, data: states })
    }

    /// # Safety
    /// `index` is below the number of elements, and no two live results have the same.
    unsafe fn element(&self, index: usize) -> &'a mut T {
        // SAFETY: in bounds and not aliased, by the contract of this function.
        unsafe { &mut *self.data.add(index) }
    }

    /// # Safety
    /// `tile` is below `tiles`, and no two live results have the same.
    unsafe fn tile(&self, tile: usize) -> Tile<'a, T> {
        let across = self.width.div_ceil(self.tile_cols);
        let (band, column) = (tile / across, tile % across * self.tile_cols);
        let rows = match self.cuts {
            Cuts::Every(step) => band * step..self.rows.min(band * step + step),
            Cuts::At(at) => at[band]..at[band + 1],
        };
        let cols = column..self.width.min(column + self.tile_cols);
        Tile { data: self.data, width: self.width, rows, cols, borrow: PhantomData }
    }
}

/// A rectangle of a grid, for the one thread that claimed it.
///
/// Invariant: `rows` and `cols` lie inside the grid at `data`, and nobody else touches them while this lives.
#[derive(Debug)]
pub(crate) struct Tile<'a, T> {
    data: *mut T,
    width: usize,
    rows: Range<usize>,
    cols: Range<usize>,
    borrow: PhantomData<&'a mut [T]>,
}

impl<T> Tile<'_, T> {
    /// The grid's rows that this tile covers.
    pub(crate) fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// The grid's columns that this tile covers.
    pub(crate) fn cols(&self) -> Range<usize> {
        self.cols.clone()
    }

    /// The tile's part of its row number `row`, counted from the tile's first.
    pub(crate) fn row(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows.len(), "row {row} of a tile of {}", self.rows.len());
        let start = (self.rows.start + row) * self.width + self.cols.start;
        // SAFETY: by the invariant these elements are inside the buffer and ours alone; `&mut self` keeps rows apart.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(start), self.cols.len()) }
    }
}

mod pairs;

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::{Cuts, Grid, Pool};
    use crate::TensorError;

    /// Writes each tile's number of visits.
    fn visit(pool: &Pool, data: &mut [u32], width: usize, cuts: Cuts<'_>, tile_cols: usize) {
        let mut states = vec![(); pool.threads()];
        let grid = Grid::new(data, width, cuts, tile_cols);
        pool.run([grid, Grid::none()], &mut states, |_, index, mut tile| {
            assert_eq!(index, 0);
            for row in 0..tile.rows().len() {
                tile.row(row).iter_mut().for_each(|x| *x += 1);
            }
        });
    }

    #[test]
    fn every_element_is_in_one_tile() -> Result<(), TensorError> {
        for threads in [1, 2, 4] {
            let pool = Pool::new(threads)?;
            for (rows, width, step, cols) in
                [(1, 1, 1, 1), (7, 5, 2, 3), (64, 10, 64, 4), (3, 100, 1, 7), (0, 4, 1, 2)]
            {
                let mut data = vec![0; rows * width];
                visit(&pool, &mut data, width, Cuts::Every(step), cols);
                assert!(
                    data.iter().all(|&x| x == 1),
                    "{rows} x {width} by {step} x {cols}, {threads} threads"
                );
            }
            let mut data = vec![0; 90];
            visit(&pool, &mut data, 9, Cuts::At(&[0, 3, 3, 10]), 4);
            assert!(data.iter().all(|&x| x == 1), "cuts, {threads} threads");
        }
        Ok(())
    }

    #[test]
    fn workers_take_part() -> Result<(), TensorError> {
        let pool = Pool::new(3)?;
        let arrived = AtomicUsize::new(0);
        let mut counts = vec![0; 3];
        // Each thread holds its tile until all three have one.
        pool.run([Grid::new(&mut [0u8; 3], 1, Cuts::Every(1), 1)], &mut counts, |count, _, _| {
            *count += 1;
            arrived.fetch_add(1, Ordering::SeqCst);
            while arrived.load(Ordering::SeqCst) < 3 {
                std::thread::yield_now();
            }
        });
        assert_eq!(counts, [1, 1, 1]);
        Ok(())
    }

    #[test]
    fn parked_workers_wake() -> Result<(), TensorError> {
        let pool = Pool::new(2)?;
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(2));
            let arrived = AtomicUsize::new(0);
            pool.each_thread(&mut [(), ()], |_, ()| {
                arrived.fetch_add(1, Ordering::SeqCst);
                while arrived.load(Ordering::SeqCst) < 2 {
                    std::thread::yield_now();
                }
            });
        }
        Ok(())
    }

    #[test]
    fn a_panic_anywhere_reaches_the_caller_and_the_pool_goes_on() -> Result<(), TensorError> {
        let pool = Pool::new(4)?;
        for victim in 0..64 {
            let mut data = vec![0u32; 64];
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let grid = Grid::new(&mut data, 1, Cuts::Every(1), 1);
                pool.run([grid], &mut [(); 4], |(), _, tile| {
                    assert_ne!(tile.rows().start, victim, "tile {victim}");
                });
            }));
            let panic = caught.expect_err("a panic");
            assert!(
                panic.downcast_ref::<String>().is_some_and(|text| text.contains(&format!("tile {victim}")))
            );
            visit(&pool, &mut data, 1, Cuts::Every(1), 1);
            assert!(data.iter().all(|&x| x == 1));
        }
        Ok(())
    }

    #[test]
    fn a_worker_panic_is_the_callers() -> Result<(), TensorError> {
        let pool = Pool::new(2)?;
        let arrived = AtomicUsize::new(0);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            pool.each_thread(&mut [(), ()], |thread, ()| {
                arrived.fetch_add(1, Ordering::SeqCst);
                while arrived.load(Ordering::SeqCst) < 2 {
                    std::thread::yield_now();
                }
                assert_eq!(thread, 0, "the worker's");
            });
        }));
        assert!(caught.is_err());
        Ok(())
    }

    #[test]
    fn two_callers_take_turns() -> Result<(), TensorError> {
        let pool = Pool::new(2)?;
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let mut data = vec![0; 32];
                        visit(&pool, &mut data, 4, Cuts::Every(1), 2);
                        assert!(data.iter().all(|&x| x == 1));
                    }
                });
            }
        });
        Ok(())
    }

    #[test]
    fn no_threads_are_refused_and_the_default_is_some() {
        assert!(matches!(Pool::new(0), Err(TensorError::NoThreads)));
        assert!(Pool::default_threads() >= 1);
        let shown = format!("{:?}", Pool::new(2).expect("pool"));
        assert_eq!(shown, "Pool { threads: 2, .. }");
    }

    #[test]
    #[should_panic(expected = "1 states for 2 threads")]
    fn every_thread_needs_a_state() {
        let pool = Pool::new(2).expect("pool");
        pool.run([Grid::<u8>::none()], &mut [()], |(), _, _| {});
    }
}
