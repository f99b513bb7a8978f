//! Making and reading each block format: bytes of f32 per second on one core.
//!
//! `cargo run --release -p realizar-quant --example formats` prints the same speeds as a table, with sizes and errors.

use std::error::Error;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use realizar_quant::{Codec, DType, Importance, QuantError, decode, encode};

/// Elements of the row.
const COLUMNS: usize = 8192;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let row: Vec<f32> = (0..COLUMNS).map(|i| ((i * i % 977) as f32 * 0.37).sin()).collect();
    let importance = vec![1.0; COLUMNS];
    for codec in DType::ALL.into_iter().filter_map(Codec::of) {
        let dtype = codec.dtype;
        let weights = (codec.importance == Importance::Needed).then_some(&importance[..]);
        let mut blocks = vec![0; dtype.row_bytes(COLUMNS).unwrap_or_default()];
        let mut back = vec![0.0; COLUMNS];
        // A row that cannot be made ends the run before a figure is given. For formats that are only read any bytes are
        // blocks.
        if codec.encodes() {
            encode(dtype, &row, weights, &mut blocks)?;
        } else {
            blocks.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 37 % 251) as u8);
        }
        decode(dtype, &blocks, &mut back)?;
        let mut group = criterion.benchmark_group(dtype.name());
        group.throughput(Throughput::Bytes(4 * COLUMNS as u64));
        let mut result: Result<(), QuantError> = Ok(());
        group.bench_function("decode", |bench| {
            bench.iter(|| result = decode(dtype, black_box(&blocks), &mut back));
        });
        if codec.encodes() {
            group.bench_function("encode", |bench| {
                bench.iter(|| result = encode(dtype, black_box(&row), weights, &mut blocks));
            });
        }
        group.finish();
        result?;
    }
    criterion.final_summary();
    Ok(())
}
