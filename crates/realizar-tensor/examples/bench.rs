//! Rates of the products beside the machine's bounds: `cargo run --release -p realizar-tensor --example bench [threads] [kernels] [types]`.
//!
//! Prints, per type, bytes of weights per second with one token (weights from memory) and multiply-adds per second with
//! more (weights in the cache), each beside the bound measured in the same second. All figures are of the best round: rounds
//! are short, so that some of them have the machine to themselves.

#![expect(clippy::print_stdout, reason = "a tool for people")]

use std::time::Instant;

use realizar_quant::{DType, encode};
use realizar_tensor::{Compute, Kernels, Pool, Product, QMatrix, Rows, hardware};

const COLS: usize = 2048;
/// Bytes of weights that no cache holds, and how many of them one round reads.
const MEMORY: usize = 256 << 20;
const ROUND: usize = 8 << 20;

/// Types with an integer kernel, and two without.
fn measured_types(kernels: &Kernels) -> Vec<DType> {
    let integer = DType::ALL.into_iter().filter(|dtype| kernels.multiplies_integers(*dtype));
    integer.chain([DType::F16, DType::F32]).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let threads = args.next().map_or(Ok(Pool::default_threads()), |n| n.parse())?;
    let kernels = args.next().map_or(Ok(Kernels::detect()), |name| Kernels::named(&name))?;
    let types = args.next().map(|names| names.split(',').map(str::parse).collect::<Result<Vec<DType>, _>>());
    let types = types.transpose()?.unwrap_or_else(|| measured_types(kernels));
    let pool = Pool::new(threads)?;
    let mut compute = Compute::new(pool.clone(), kernels);
    for dtype in types {
        let bounds = hardware::measure(&pool, kernels);
        let peak =
            if matches!(dtype, DType::F16 | DType::F32) { bounds.f32_gmac_s } else { bounds.int8_gmac_s };
        let block: Vec<f32> = (0..COLS).map(|i| (i as f32 * 0.37).sin()).collect();
        let mut row = vec![0; dtype.row_bytes(COLS).ok_or("no whole row")?];
        encode(dtype, &block, None, &mut row)?;
        let weight = QMatrix::new(dtype, MEMORY / row.len(), COLS, row.repeat(MEMORY / row.len()).into())?;
        let step = ROUND / row.len();
        print!("{} x{threads} {dtype:>4}:", kernels.name());
        for tokens in [1, 2, 4, 8, 16, 64, 256] {
            let rows = if tokens == 1 { step } else { 4096 / tokens.min(16) };
            let parts: Vec<QMatrix> = (0..if tokens == 1 { weight.rows() / step } else { 40 })
                .map(|i| weight.slice_rows(if tokens == 1 { i * step..(i + 1) * step } else { 0..rows }))
                .collect::<Result<_, _>>()?;
            let mut x = Rows::with_capacity(tokens, COLS);
            x.write(&block.repeat(tokens));
            let mut out = Rows::with_capacity(tokens, rows);
            let mut best = f64::INFINITY;
            for weight in &parts {
                let began = Instant::now();
                compute.matmul(&x, &mut [Product { weight, bias: None, out: &mut out }]);
                best = best.min(began.elapsed().as_secs_f64());
            }
            if tokens == 1 {
                let rate = parts[0].byte_len() as f64 / best / 1e9;
                print!(
                    " T=1 {rate:.1} GB/s ({:.0} % of {:.1});",
                    100.0 * rate / bounds.read_gb_s,
                    bounds.read_gb_s
                );
            } else {
                let rate = (rows * COLS * tokens) as f64 / best / 1e9;
                print!(" T={tokens} {rate:.0} ({:.0} %)", 100.0 * rate / peak);
            }
        }
        println!(" of {peak:.0} GMAC/s");
    }
    Ok(())
}
