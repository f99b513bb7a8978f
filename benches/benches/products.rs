//! The products with weight matrices, per type of weights and per kernel table that this machine has.
//!
//! One token: bytes of weights per second. 64 tokens: multiply-adds per second. The matrix is small enough to stay in a
//! cache, so these are rates of the kernels; what memory allows is measured by `bench` of `realizar-tensor`'s examples
//! and by `realizar-cli bench`.

use std::error::Error;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use realizar_benches::Seeded;
use realizar_quant::{DType, encode};
use realizar_tensor::{Compute, Kernels, Pool, Product, QMatrix, Rows};

const ROWS: usize = 1024;
const COLS: usize = 2048;
const TYPES: &[DType] = &[
    DType::F32,
    DType::F16,
    DType::BF16,
    DType::Q8_0,
    DType::Q4_0,
    DType::Q4_K,
    DType::Q5_K,
    DType::Q6_K,
    DType::IQ4_XS,
];

fn main() -> Result<(), Box<dyn Error>> {
    // Many rows, each of long iterations: a few samples of each say enough. Arguments change all three.
    let criterion = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300));
    let mut criterion = criterion.measurement_time(Duration::from_secs(1)).configure_from_args();
    let pool = Pool::new(1)?;
    let mut seeded = Seeded::new(1);
    let values: Vec<f32> = (0..COLS).map(|_| seeded.signed()).collect();

    for kernels in Kernels::available() {
        let mut group = criterion.benchmark_group(format!("products/{}", kernels.name()));
        group.sampling_mode(SamplingMode::Flat);
        let mut compute = Compute::new(pool.clone(), kernels);
        for &dtype in TYPES {
            let mut row = vec![0; dtype.row_bytes(COLS).ok_or("a row that is not of whole blocks")?];
            encode(dtype, &values, None, &mut row)?;
            let weight = QMatrix::new(dtype, ROWS, COLS, row.repeat(ROWS).into())?;
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
