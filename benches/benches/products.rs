//! The products with weight matrices, per type of weights and per kernel table that this machine has.
//!
//! One token: bytes of weights per second. 64 tokens: multiply-adds per second. The matrix is small enough to stay in a
//! cache, so these are rates of the kernels; what memory allows is measured by `bench` of `realizar-tensor`'s examples
//! and by `realizar-cli bench`. Criterion's Gelem/s are 10^9 multiply-adds per second.
//!
//! `-- --assert` (`cargo xtask kernels`) measures nothing for a report: it fails when a type that has a fast kernel on this
//! machine is as slow as without it. What the table says of each type is asserted by the tests of `realizar-tensor`, without a clock.
#![expect(clippy::print_stdout, reason = "what was measured is for people")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use realizar_benches::Seeded;
use realizar_quant::{DType, encode};
use realizar_tensor::{Compute, Isa, Kernels, Pool, Product, QMatrix, Rows, Way, hardware};

const ROWS: usize = 1024;
const COLS: usize = 2048;

/// Numbers of tokens that are asserted.
const TOKENS: [usize; 2] = [1, 64];
/// What f32 weights reach of the bound of f32 with many tokens, at least.
const OF_BOUND: f64 = 0.25;

/// How much faster than f32 weights a type must be, by [`TOKENS`]. The f32 rows lie in a cache here.
fn at_least(way: Way) -> Option<[f64; 2]> {
    match way {
        // They have 0.6 and 2.4 or more; decoded, at most 0.2 and 1.0.
        Way::Integers => Some([0.4, 1.2]),
        // F16 in place has 1.5 and 1.6 or more; widened, 0.7 and 1.0.
        Way::Floats => Some([1.1, 1.25]),
        // 0.7 and 0.9; decoded, BF16 has 0.5 and the same, as many tokens share what one row costs.
        Way::Widened => Some([0.57, 0.6]),
        _ => None,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|argument| argument == "--assert") {
        return assert_fast();
    }
    // Many rows, each of long iterations: a few samples of each say enough. Arguments change all three.
    let criterion = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300));
    let mut criterion = criterion.measurement_time(Duration::from_secs(1)).configure_from_args();
    let pool = Pool::new(1)?;
    let values = values();

    for kernels in Kernels::available() {
        let mut group = criterion.benchmark_group(format!("products/{}", kernels.name()));
        group.sampling_mode(SamplingMode::Flat);
        let mut compute = Compute::new(pool.clone(), kernels);
        for dtype in DType::ALL.into_iter().filter(|dtype| kernels.way(*dtype) != Way::Decoded) {
            let weight = matrix(dtype, &values)?;
            for tokens in [1, 64] {
                group.throughput(match tokens {
                    1 => Throughput::Bytes(weight.byte_len() as u64),
                    _ => Throughput::Elements((ROWS * COLS * tokens) as u64),
                });
                let mut x = Rows::with_capacity(tokens, COLS);
                x.write(&values.repeat(tokens));
                let mut out = Rows::with_capacity(tokens, ROWS);
                group.bench_function(BenchmarkId::new(dtype.name(), tokens), |bencher| {
                    bencher.iter(|| {
                        compute.matmul(&x, &mut [Product { weight: &weight, bias: None, out: &mut out }]);
                    });
                });
            }
        }
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

fn values() -> Vec<f32> {
    let mut seeded = Seeded::new(1);
    (0..COLS).map(|_| seeded.signed()).collect()
}

/// A matrix of equal rows.
fn matrix(dtype: DType, values: &[f32]) -> Result<QMatrix, Box<dyn Error>> {
    let mut row = vec![0; dtype.row_bytes(COLS).ok_or("a row that is not of whole blocks")?];
    encode(dtype, values, None, &mut row)?;
    Ok(QMatrix::new(dtype, ROWS, COLS, row.repeat(ROWS).into())?)
}

/// Compares each type that is not decoded with f32 weights, by turns and by the best of many rounds, on the tables of this machine.
fn assert_fast() -> Result<(), Box<dyn Error>> {
    let pool = Pool::new(1)?;
    let values = values();
    let floats = matrix(DType::F32, &values)?;
    let mut slow = Vec::new();
    let mut say = |line: String, fast: bool| {
        println!("{line}");
        if !fast {
            slow.push(line);
        }
    };
    // Trueno's table has other f32 products, and the plain one no vectors.
    for kernels in Kernels::available()
        .iter()
        .filter(|table| table.isa() != Isa::Scalar && table.name() == table.isa().name())
    {
        let bound = hardware::measure(&pool, kernels).f32_gmac_s;
        for dtype in DType::ALL.into_iter().filter(|dtype| *dtype != DType::F32) {
            let way = kernels.way(dtype);
            let Some(limits) = at_least(way) else { continue };
            let weight = matrix(dtype, &values)?;
            for (tokens, limit) in TOKENS.into_iter().zip(limits) {
                let ([fast, float], tries) =
                    best_of(&pool, kernels, [&weight, &floats], &values, tokens, limit);
                let (rate, ratio) = (rate(tokens, fast), float / fast);
                say(
                    format!(
                        "{dtype} on {}, {tokens} tokens: {rate:.1} GMAC/s, {ratio:.2} times the speed of f32 (limit {limit}, tries {tries})",
                        kernels.name()
                    ),
                    ratio >= limit,
                );
            }
        }
        let [float, _] = best_of(&pool, kernels, [&floats, &floats], &values, TOKENS[1], 0.0).0;
        let share = rate(TOKENS[1], float) / bound;
        say(
            format!(
                "F32 on {}, {} tokens: {:.0} % of the {bound:.0} GMAC/s that f32 has (limit {:.0} %)",
                kernels.name(),
                TOKENS[1],
                share * 100.0,
                OF_BOUND * 100.0
            ),
            share >= OF_BOUND,
        );
    }
    if slow.is_empty() {
        Ok(())
    } else {
        Err(format!("as slow as without its kernel: {}", slow.join("; ")).into())
    }
}

/// 10^9 multiply-adds per second.
fn rate(tokens: usize, seconds: f64) -> f64 {
    (ROWS * COLS * tokens) as f64 / seconds / 1e9
}

/// Seconds of the fastest of many products with each matrix. When the first misses the limit of the ratio, a neighbour on the
/// same core may have slowed it all along: it is tried again, later.
fn best_of(
    pool: &Arc<Pool>,
    kernels: &'static Kernels,
    weights: [&QMatrix; 2],
    values: &[f32],
    tokens: usize,
    limit: f64,
) -> ([f64; 2], usize) {
    const ROUNDS: usize = 30;
    const TRIES: usize = 3;
    let mut compute = Compute::new(Arc::clone(pool), kernels);
    let mut x = Rows::with_capacity(tokens, COLS);
    x.write(&values.repeat(tokens));
    let mut out = Rows::with_capacity(tokens, ROWS);
    for tries in 1.. {
        let mut best = [f64::INFINITY; 2];
        for _ in 0..ROUNDS {
            for (weight, best) in weights.iter().zip(&mut best) {
                let began = Instant::now();
                compute.matmul(&x, &mut [Product { weight, bias: None, out: &mut out }]);
                *best = best.min(began.elapsed().as_secs_f64());
            }
        }
        if best[1] >= best[0] * limit || tries == TRIES {
            return (best, tries);
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    unreachable!()
}
