//! Rates of attention beside the f32 peak: `cargo run --release -p realizar-tensor --example attention [threads] [kernels] [kv types]`.
//!
//! Heads of a model of 1.1 B parameters. Prints, per type of keys and values, milliseconds and multiply-adds per second of one
//! layer: a chunk of 256 rows behind 7936 positions, a prompt of 256, and one row behind 8000. Figures are of the best round.

#![expect(clippy::print_stdout, reason = "a tool for people")]

use std::time::Instant;

use realizar_tensor::{
    AttentionSpan, AttentionSpec, Compute, KV_BLOCK, Kernels, KvShape, KvStore, KvType, Pool, Rows, Slot,
    hardware,
};

const HEADS: usize = 32;
const KV_HEADS: usize = 4;
const DIM: usize = 64;

/// Rows of numbers between -1 and 1 that look random.
fn rows(count: usize, width: usize, seed: u32) -> Rows {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    let mut rows = Rows::with_capacity(count, width);
    rows.write(&(0..count * width).map(|_| next()).collect::<Vec<_>>());
    rows
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let threads = args.next().map_or(Ok(Pool::default_threads()), |n| n.parse())?;
    let kernels = args.next().map_or(Ok(Kernels::detect()), |name| Kernels::named(&name))?;
    let types = args.next().map(|names| names.split(',').map(str::parse).collect::<Result<Vec<KvType>, _>>());
    let types = types.transpose()?.unwrap_or_else(|| KvType::ALL.to_vec());
    let pool = Pool::new(threads)?;
    let mut compute = Compute::new(pool.clone(), kernels);
    for dtype in types {
        let shape = KvShape { layers: 1, kv_heads: KV_HEADS, head_dim_k: DIM, head_dim_v: DIM, dtype };
        let mut kv = KvStore::new(shape, 128)?;
        let mut blocks = Vec::new();
        while let Some(block) = kv.alloc() {
            let slots: Vec<Slot> = (0..KV_BLOCK as u32).map(|offset| Slot { block, offset }).collect();
            let seed = 2 * blocks.len() as u32;
            let (k, v) = (rows(KV_BLOCK, KV_HEADS * DIM, seed), rows(KV_BLOCK, KV_HEADS * DIM, seed + 1));
            compute.kv_append(&mut kv, 0, &k, &v, &slots);
            blocks.push(block);
        }
        print!("{} x{threads} {dtype:>4}:", kernels.name());
        for (count, first) in [(256, 7936), (256, 0), (1, 8000)] {
            let q = rows(count, HEADS * DIM, 7);
            let mut out = Rows::with_capacity(count, HEADS * DIM);
            let spec = AttentionSpec {
                heads: HEADS,
                scale: 0.125,
                window: None,
                softcap: None,
                causal: true,
                sinks: None,
                alibi: None,
            };
            let spans = [AttentionSpan { rows: 0..count, first_pos: first as u32, blocks: &blocks }];
            let seen: usize = (0..count).map(|row| first + row + 1).sum();
            let peak = hardware::measure(&pool, kernels).f32_gmac_s;
            let mut best = f64::INFINITY;
            let began = Instant::now();
            while began.elapsed().as_secs_f64() < 0.4 {
                let began = Instant::now();
                compute.attention(&q, &kv, 0, &spans, &spec, &mut out);
                best = best.min(began.elapsed().as_secs_f64());
            }
            let rate = (2 * seen * HEADS * DIM) as f64 / best / 1e9;
            print!(
                " {count} behind {first} {:.3} ms {rate:.0} GMAC/s ({:.0} %);",
                best * 1e3,
                100.0 * rate / peak
            );
        }
        println!();
    }
    Ok(())
}
