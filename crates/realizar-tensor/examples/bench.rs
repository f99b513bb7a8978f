//! Rates of the products beside the machine's bounds: `cargo run --release -p realizar-tensor --example bench [threads] [isa]`.
//!
//! Prints, per type, multiply-adds per second with many tokens and bytes of weights per second with one token, each beside
//! the bound measured in the same minute.

#![expect(clippy::print_stdout, reason = "a tool for people")]

use std::time::Instant;

use realizar_quant::{DType, encode};
use realizar_tensor::{Compute, Isa, Kernels, Pool, Product, QMatrix, Rows, hardware};

const COLS: usize = 2048;
const TYPES: &[DType] =
    &[DType::Q4_0, DType::Q8_0, DType::Q4_K, DType::Q5_K, DType::Q6_K, DType::F16, DType::F32];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let threads = args.next().map_or(Ok(Pool::default_threads()), |n| n.parse())?;
    let isa = args.next().map(|name| name.parse::<Isa>()).transpose()?;
    let kernels =
        isa.map_or(Some(Kernels::detect()), Kernels::for_isa).ok_or("this machine lacks that level")?;
    let pool = Pool::new(threads)?;
    let mut compute = Compute::new(pool.clone(), kernels);
    for &dtype in TYPES {
        let bounds = hardware::measure(&pool, kernels);
        let peak =
            if matches!(dtype, DType::F16 | DType::F32) { bounds.f32_gmac_s } else { bounds.int8_gmac_s };
        print!("{} x{threads} {dtype:>5}:", kernels.name());
        let block: Vec<f32> = (0..COLS).map(|i| (i as f32 * 0.37).sin()).collect();
        let mut row = vec![0; dtype.row_bytes(COLS).ok_or("no whole row")?];
        encode(dtype, &block, None, &mut row)?;
        for tokens in [1, 4, 8, 16, 64, 256] {
            // One token from memory, many from the cache.
            let rows = if tokens == 1 { (256 << 20) / row.len() } else { 2048 };
            let weight = QMatrix::new(dtype, rows, COLS, row.repeat(rows).into())?;
            let mut x = Rows::with_capacity(tokens, COLS);
            x.write(&block.repeat(tokens));
            let mut out = Rows::with_capacity(tokens, rows);
            let mut times = Vec::new();
            for _ in 0..if tokens == 1 { 9 } else { 25 } {
                let began = Instant::now();
                compute.matmul(&x, &mut [Product { weight: &weight, bias: None, out: &mut out }]);
                times.push(began.elapsed().as_secs_f64());
            }
            times.sort_by(f64::total_cmp);
            // The best round, as the bounds are of the best round: others share the machine.
            let best = times[0];
            let gmac = (rows * COLS * tokens) as f64 / best / 1e9;
            let bytes = weight.byte_len() as f64 / best / 1e9;
            if tokens == 1 {
                print!(
                    " T=1 {bytes:.1} GB/s ({:.0} % of {:.1})",
                    100.0 * bytes / bounds.read_gb_s,
                    bounds.read_gb_s
                );
            } else {
                print!(", T={tokens} {gmac:.0}");
            }
            if tokens == 256 {
                println!(" GMAC/s ({:.0} % of {peak:.0})", 100.0 * gmac / peak);
            }
        }
    }
    Ok(())
}
