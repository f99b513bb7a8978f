//! The bounds of this machine, measured: the read rate of memory and the rates of multiply-adds.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::{Kernels, Pool};

/// What the machine can do at best, all threads of a pool together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Gigabytes read from memory per second, in the best round of 4 MiB a thread. A read of hundreds of megabytes holds less: on
    /// one virtual machine 33 to 63 where this was 57 to 68, so shares of this bound are on the low side.
    pub read_gb_s: f64,
    /// 10^9 multiply-adds of int8 per second, by the fastest instruction of the table's level.
    pub int8_gmac_s: f64,
    /// 10^9 multiply-adds of f32 per second.
    pub f32_gmac_s: f64,
}

/// Bytes that no cache holds.
const BYTES: usize = 256 << 20;
/// Words that one thread reads in one round: short enough that some rounds are not disturbed.
const WINDOW: usize = (4 << 20) / 8;
/// How long each rate is measured.
const TIME: Duration = Duration::from_millis(200);

/// Measures for about a second; a quarter of a gigabyte of memory is used meanwhile.
#[must_use]
pub fn measure(pool: &Pool, kernels: &Kernels) -> Bounds {
    let read_gb_s = {
        let data = vec![1u64; BYTES / 8];
        let windows = data.len() / WINDOW;
        rate(pool, |thread, round| {
            read(&data[(round * pool.threads() + thread) % windows * WINDOW..][..WINDOW]);
            (WINDOW * 8) as f64
        })
    };
    let peak = kernels.peak;
    let int8_gmac_s = rate(pool, |_, _| (peak.int8)());
    let f32_gmac_s = rate(pool, |_, _| (peak.f32)());
    Bounds { read_gb_s, int8_gmac_s, f32_gmac_s }
}

/// 10^9 units of work per second, best of the rounds that fit the time.
fn rate(pool: &Pool, work: impl Fn(usize, usize) -> f64 + Sync) -> f64 {
    let began = Instant::now();
    let mut best = 0.0f64;
    let mut done = vec![0.0; pool.threads()];
    for number in 0.. {
        if began.elapsed() >= TIME {
            break;
        }
        done.fill(0.0);
        let round = Instant::now();
        // A thread that comes late takes part in the next round; what was done is what counts.
        pool.each_thread(&mut done, |thread, done| *done = work(thread, number));
        best = best.max(done.iter().sum::<f64>() / round.elapsed().as_secs_f64() / 1e9);
    }
    best
}

/// Four streams side by side: one core gets more out of several than out of one.
fn read(data: &[u64]) {
    const LANES: usize = 8;
    let quarter = data.len() / 4 / LANES;
    let lines = data.as_chunks::<LANES>().0;
    let mut sums = [[0u64; LANES]; 4];
    for i in 0..quarter {
        for (stream, sums) in sums.iter_mut().enumerate() {
            let line = &lines[stream * quarter + i];
            *sums = std::array::from_fn(|lane| sums[lane].wrapping_add(line[lane]));
        }
    }
    black_box(sums);
}

#[cfg(test)]
mod tests {
    use super::measure;
    use crate::{Kernels, Pool, TensorError};

    #[test]
    fn every_bound_is_measured() -> Result<(), TensorError> {
        let pool = Pool::new(if cfg!(target_family = "wasm") { 1 } else { 2 })?;
        for kernels in Kernels::available() {
            let bounds = measure(&pool, kernels);
            let rates = [bounds.read_gb_s, bounds.int8_gmac_s, bounds.f32_gmac_s];
            assert!(rates.iter().all(|&rate| rate > 0.01), "{bounds:?} on {}", kernels.name());
        }
        Ok(())
    }
}
