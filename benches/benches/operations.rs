//! What lies between the products: norms, rotation, gates, sums and attention, per kernel table that this machine has.
//!
//! One thread, data in a cache. Work that goes element by element is given in bytes read and written per second, attention
//! in multiply-adds of f32 (criterion's Gelem/s are 10^9 of them). The shapes are those of a model of 1.1 B.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use realizar_benches::Seeded;
use realizar_tensor::{
    AttentionSpan, AttentionSpec, Compute, Gate, KV_BLOCK, Kernels, KvShape, KvStore, KvType, PairOrder,
    Pool, Rope, Rows, Slot, Vector,
};

const HIDDEN: usize = 2048;
const FFN: usize = 5632;
const HEADS: usize = 32;
const KV_HEADS: usize = 4;
const HEAD_DIM: usize = 64;
/// Tokens of the work that goes element by element.
const TOKENS: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let criterion = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300));
    let mut criterion = criterion.measurement_time(Duration::from_secs(1)).configure_from_args();
    let pool = Pool::new(1)?;
    for kernels in Kernels::available() {
        let mut group = criterion.benchmark_group(format!("operations/{}", kernels.name()));
        group.sampling_mode(SamplingMode::Flat);
        let mut compute = Compute::new(Arc::clone(&pool), kernels);
        elements(&mut group, &mut compute);
        for kv in KvType::ALL {
            for (context, queries) in [(512, 1), (8192, 1), (512, 16), (8192, 16)] {
                attention(&mut group, &mut compute, *kv, context, queries)?;
            }
        }
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

fn rows(seeded: &mut Seeded, count: usize, width: usize) -> Rows {
    let mut rows = Rows::with_capacity(count, width);
    rows.write(&(0..count * width).map(|_| seeded.signed()).collect::<Vec<_>>());
    rows
}

/// Norms, rotation, gates and sums.
fn elements(group: &mut BenchmarkGroup<'_, WallTime>, compute: &mut Compute) {
    let mut seeded = Seeded::new(2);
    let (x, up) = (rows(&mut seeded, TOKENS, HIDDEN), rows(&mut seeded, TOKENS, FFN));
    let (mut out, mut wide) = (rows(&mut seeded, TOKENS, HIDDEN), rows(&mut seeded, TOKENS, FFN));
    let gain = Vector::from_vec((0..HIDDEN).map(|_| 1.0 + 0.1 * seeded.signed()).collect());
    let bytes = |values: usize| Throughput::Bytes((values * TOKENS * size_of::<f32>()) as u64);

    group.throughput(bytes(2 * HIDDEN));
    group.bench_function("rms_norm", |bencher| bencher.iter(|| compute.rms_norm(&x, &gain, 1e-5, &mut out)));
    group.bench_function("layer_norm", |bencher| {
        bencher.iter(|| compute.layer_norm(&x, &gain, Some(&gain), 1e-5, &mut out));
    });
    let angles = (0..HEAD_DIM / 2).map(|i| 1e4_f32.powf(-2.0 * i as f32 / HEAD_DIM as f32));
    let rope = Rope {
        head_dim: HEAD_DIM,
        rotary_dim: HEAD_DIM,
        offset: 0,
        order: PairOrder::Halves,
        inv_freq: Vector::from_vec(angles.collect()),
        magnitude: 1.0,
    };
    let positions: Vec<u32> = (0..TOKENS as u32).collect();
    group.bench_function("rope", |bencher| bencher.iter(|| compute.rope(&mut out, HEADS, &rope, &positions)));
    group.throughput(bytes(3 * HIDDEN));
    group.bench_function("add", |bencher| bencher.iter(|| compute.add(&x, 1e-6, &mut out)));
    group.throughput(bytes(3 * FFN));
    for (name, kind) in [("silu", Gate::Silu), ("gelu_tanh", Gate::GeluTanh), ("gelu_erf", Gate::GeluErf)] {
        group.bench_function(name, |bencher| bencher.iter(|| compute.gate(kind, &mut wide, &up)));
    }
}

/// Some queries at the end of a sequence of `context` tokens.
fn attention(
    group: &mut BenchmarkGroup<'_, WallTime>,
    compute: &mut Compute,
    dtype: KvType,
    context: usize,
    queries: usize,
) -> Result<(), Box<dyn Error>> {
    let mut seeded = Seeded::new(3);
    let shape = KvShape { layers: 1, kv_heads: KV_HEADS, head_dim_k: HEAD_DIM, head_dim_v: HEAD_DIM, dtype };
    let mut kv = KvStore::new(shape, context / KV_BLOCK)?;
    let mut blocks = Vec::new();
    while let Some(block) = kv.alloc() {
        let (k, v) = (
            rows(&mut seeded, KV_BLOCK, KV_HEADS * HEAD_DIM),
            rows(&mut seeded, KV_BLOCK, KV_HEADS * HEAD_DIM),
        );
        let slots: Vec<Slot> = (0..KV_BLOCK as u32).map(|offset| Slot { block, offset }).collect();
        compute.kv_append(&mut kv, 0, &k, &v, &slots);
        blocks.push(block);
    }
    let q = rows(&mut seeded, queries, HEADS * HEAD_DIM);
    let mut out = Rows::with_capacity(queries, HEADS * HEAD_DIM);
    out.set_rows(queries);
    let spec = AttentionSpec {
        heads: HEADS,
        scale: 0.125,
        window: None,
        softcap: None,
        causal: true,
        sinks: None,
        alibi: None,
    };
    let first = context - queries;
    let spans = [AttentionSpan { rows: 0..queries, first_pos: first as u32, blocks: &blocks }];
    // A query meets each key that it sees with all of a head, and each value.
    let seen: usize = (0..queries).map(|query| first + query + 1).sum();
    group.throughput(Throughput::Elements((2 * seen * HEADS * HEAD_DIM) as u64));
    let name = BenchmarkId::new(format!("attention/{dtype}"), format!("{queries}x{context}"));
    group.bench_function(name, |bencher| {
        bencher.iter(|| compute.attention(&q, &kv, 0, &spans, &spec, &mut out));
    });
    Ok(())
}
