//! The products with weight matrices, per type of weights and per kernel table that this machine has.
//!
//! One token: bytes of weights per second. 64 tokens: multiply-adds per second. The matrix is small enough to stay in a
//! cache, so these are rates of the kernels; what memory allows is measured by `bench` of `realizar-tensor`'s examples
//! and by `realizar-cli bench`. Criterion's Gelem/s are 10^9 multiply-adds per second.
//!
//! `-- --assert` measures nothing for a report: it fails when a format that has a fast kernel on this machine falls to the
//! slow path, which multiplies floats.
#![expect(clippy::print_stdout, reason = "what was measured is for people")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use realizar_benches::Seeded;
use realizar_quant::{DType, encode};
use realizar_tensor::{Compute, Isa, Kernels, Pool, Product, QMatrix, Rows};

const ROWS: usize = 1024;
const COLS: usize = 2048;

/// How much faster than f32 weights they must be, by tokens. The slow path decodes first: of the speed of f32 rows, which lie
/// in a cache here, that leaves a sixth for one token and nine tenths for many; integer kernels have 0.6 and 2.0 times it at least.
const AT_LEAST: [(usize, f64); 2] = [(1, 0.4), (64, 1.2)];

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
        let integer = DType::ALL.into_iter().filter(|dtype| kernels.multiplies_integers(*dtype));
        for dtype in [DType::F32, DType::F16, DType::BF16].into_iter().chain(integer) {
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

/// Compares each fast format with f32 weights, by turns and by the best of many rounds, on the tables of this machine.
fn assert_fast() -> Result<(), Box<dyn Error>> {
    let pool = Pool::new(1)?;
    let values = values();
    let floats = matrix(DType::F32, &values)?;
    let mut slow = Vec::new();
    for kernels in Kernels::available() {
        if kernels.isa() == Isa::Scalar {
            continue;
        }
        for dtype in DType::ALL.into_iter().filter(|dtype| kernels.multiplies_integers(*dtype)) {
            let weight = matrix(dtype, &values)?;
            for (tokens, at_least) in AT_LEAST {
                let [fast, float] = best_of(&pool, kernels, [&weight, &floats], &values, tokens);
                let ratio = float / fast;
                let rate = (ROWS * COLS * tokens) as f64 / fast / 1e9;
                let line = format!(
                    "{} on {}, {tokens} tokens: {rate:.1} GMAC/s, {ratio:.1} times the speed of f32",
                    dtype,
                    kernels.name()
                );
                println!("{line}");
                if ratio < at_least {
                    slow.push(line);
                }
            }
        }
    }
    if slow.is_empty() { Ok(()) } else { Err(format!("on the slow path: {}", slow.join("; ")).into()) }
}

/// Seconds of the fastest of many products with each matrix.
fn best_of(
    pool: &Arc<Pool>,
    kernels: &'static Kernels,
    weights: [&QMatrix; 2],
    values: &[f32],
    tokens: usize,
) -> [f64; 2] {
    const ROUNDS: usize = 30;
    let mut compute = Compute::new(Arc::clone(pool), kernels);
    let mut x = Rows::with_capacity(tokens, COLS);
    x.write(&values.repeat(tokens));
    let mut out = Rows::with_capacity(tokens, ROWS);
    let mut best = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        for (weight, best) in weights.iter().zip(&mut best) {
            let began = Instant::now();
            compute.matmul(&x, &mut [Product { weight, bias: None, out: &mut out }]);
            *best = best.min(began.elapsed().as_secs_f64());
        }
    }
    best
}
