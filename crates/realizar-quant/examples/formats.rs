//! Prints what each format costs and keeps: bits per weight, error on gaussian weights, speed on one core.
//!
//! `cargo run --release -p realizar-quant --example formats`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

#[path = "../tests/gaussian/mod.rs"]
mod gaussian;

use std::time::{Duration, Instant};

use gaussian::gaussian;
use realizar_quant::{Codec, DType, Importance, QuantError, decode, encode};

/// Columns of the row that is encoded.
const COLUMNS: usize = 8192;

fn main() -> Result<(), QuantError> {
    let row = gaussian(COLUMNS);
    let importance = vec![1.0; COLUMNS];
    println!("| format | bits per weight | RMS error, % | encode, GB/s of f32 | decode, GB/s of f32 |");
    println!("|---|---|---|---|---|");
    for codec in DType::ALL.into_iter().filter_map(Codec::of) {
        let dtype = codec.dtype;
        let Some(bytes) = dtype.row_bytes(COLUMNS) else { continue };
        let (mut blocks, mut back) = (vec![0; bytes], vec![0.0; COLUMNS]);
        let weights = (codec.importance == Importance::Needed).then_some(&importance[..]);
        let speed = |time: Duration| (4 * COLUMNS) as f64 / time.as_secs_f64() / 1e9;
        if !codec.encodes() {
            // Formats that are only read: any bytes are blocks.
            blocks.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 37 % 251) as u8);
            let decoding = fastest(|| decode(dtype, &blocks, &mut back))?;
            println!("| {dtype} | {:.3} | - | - | {:.1} |", dtype.bits_per_weight(), speed(decoding));
            continue;
        }
        let encoding = fastest(|| encode(dtype, &row, weights, &mut blocks))?;
        let decoding = fastest(|| decode(dtype, &blocks, &mut back))?;
        let sum: f64 = row.iter().zip(&back).map(|(x, y)| f64::from(x - y).powi(2)).sum();
        let rms = 100.0 * (sum / COLUMNS as f64).sqrt();
        println!(
            "| {dtype} | {:.3} | {rms:.2} | {:.2} | {:.1} |",
            dtype.bits_per_weight(),
            speed(encoding),
            speed(decoding)
        );
    }
    Ok(())
}

/// The shortest of many runs: what the machine can do when nothing disturbs it.
fn fastest(mut run: impl FnMut() -> Result<(), QuantError>) -> Result<Duration, QuantError> {
    let started = Instant::now();
    let mut best = Duration::MAX;
    while started.elapsed() < Duration::from_millis(200) {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}
