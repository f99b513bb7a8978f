//! What recurrent layers and experts do beside plain products, per kernel table that this machine has: scans of the delta
//! rule, of Mamba 2 and of RWKV 7, the short convolution, and the products of chosen experts.
//!
//! One thread. Scans: tokens per second of one layer, and bytes of state read and written per second, which a chunk of
//! tokens does in a cache. Convolution: bytes of its input and output. Experts: bytes of the weights that are read, which
//! are more than a cache holds.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use realizar_benches::Seeded;
use realizar_quant::{DType, encode};
use realizar_tensor::{
    Compute, ExpertProduct, GroupScore, HeadCols, Kernels, Pool, QMatrix, RouteSpec, Routes, Rows, ScanInput,
    ScanRule, ScanSpec, Scoring, StateSpan, StateStore, Vector,
};

/// Shapes of published models: name, heads, rows and columns of a head's state.
const DELTA: (usize, usize, usize) = (16, 128, 128);
const MAMBA2: (usize, usize, usize) = (48, 128, 64);
const RWKV7: (usize, usize, usize) = (32, 64, 64);
/// Channels and taps.
const CONVOLUTIONS: [(&str, usize, usize); 2] = [("4 taps", 6144, 4), ("3 taps", 2048, 3)];
const TOKENS: [usize; 2] = [1, 256];

/// Experts, of which some serve each token, with as many rows and columns.
const EXPERTS: usize = 32;
const USED: usize = 4;
const ROWS: usize = 1024;
const COLS: usize = 2048;

const ROUTE: RouteSpec<'_> = RouteSpec {
    experts: EXPERTS,
    used: USED,
    scoring: Scoring::Softmax,
    selection_bias: None,
    groups: 1,
    groups_used: 1,
    group_score: GroupScore::BestTwo,
    normalise: true,
    scale: 1.0,
};

fn main() -> Result<(), Box<dyn Error>> {
    let criterion = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(100));
    let mut criterion = criterion.measurement_time(Duration::from_millis(400)).configure_from_args();
    let pool = Pool::new(1)?;
    for kernels in Kernels::available() {
        let mut group = criterion.benchmark_group(format!("recurrent/{}", kernels.name()));
        group.sampling_mode(SamplingMode::Flat);
        let mut compute = Compute::new(Arc::clone(&pool), kernels);
        for tokens in TOKENS {
            scans(&mut group, &mut compute, tokens)?;
            convolutions(&mut group, &mut compute, tokens)?;
        }
        for dtype in [DType::Q4_0, DType::MXFP4, DType::NVFP4] {
            experts(&mut group, &mut compute, dtype)?;
        }
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

fn rows(seeded: &mut Seeded, count: usize, width: usize, values: impl Fn(f32) -> f32) -> Rows {
    let mut rows = Rows::with_capacity(count, width);
    rows.write(&(0..count * width).map(|_| values(seeded.signed())).collect::<Vec<_>>());
    rows
}

/// A sequence's state and the rows that go through it.
fn state(size: usize, rows: usize) -> Result<(StateStore, [StateSpan; 1]), Box<dyn Error>> {
    let mut store = StateStore::new(&[size], 1)?;
    let state = store.alloc().ok_or("no state")?;
    Ok((store, [StateSpan { rows: 0..rows, state }]))
}

fn scans(
    group: &mut BenchmarkGroup<'_, WallTime>,
    compute: &mut Compute,
    tokens: usize,
) -> Result<(), Box<dyn Error>> {
    for (name, (heads, keys, values)) in [("delta", DELTA), ("mamba2", MAMBA2), ("rwkv7", RWKV7)] {
        let mut seeded = Seeded::new(7);
        let small = |x: f32| 0.1 * x;
        let (q, k) =
            (rows(&mut seeded, tokens, heads * keys, small), rows(&mut seeded, tokens, heads * keys, small));
        let v = rows(&mut seeded, tokens, heads * values, small);
        // Below one, so that the state stays finite.
        let decays = if name == "rwkv7" { heads * keys } else { heads };
        let decay = rows(&mut seeded, tokens, decays, |x| 0.9 + 0.05 * x);
        let (read, write) =
            (rows(&mut seeded, tokens, heads * keys, small), rows(&mut seeded, tokens, heads * keys, small));
        let step = rows(&mut seeded, tokens, heads, |x| 0.5 + 0.1 * x);
        let skip = Vector::from_vec(vec![0.5; heads]);
        let input =
            |rows, stride| ScanInput { rows, cols: HeadCols { stride, offset: 0 }, heads, grouped: true };
        let spec = ScanSpec {
            heads,
            key_dim: keys,
            value_dim: values,
            q: input(&q, keys),
            k: input(&k, keys),
            v: input(&v, values),
            decay: if name == "rwkv7" { input(&decay, keys) } else { input(&decay, 1) },
            decay_per_key: name == "rwkv7",
            rule: match name {
                "delta" => ScanRule::Delta { beta: input(&step, 1) },
                "mamba2" => ScanRule::Add { step: Some(input(&step, 1)), skip: Some(&skip) },
                _ => ScanRule::Pair { read: input(&read, keys), write: input(&write, keys) },
            },
        };
        let size = heads * keys * values;
        let (mut store, spans) = state(size, tokens)?;
        let mut out = Rows::with_capacity(tokens, heads * values);
        group.throughput(Throughput::ElementsAndBytes {
            elements: tokens as u64,
            bytes: (2 * size * size_of::<f32>() * tokens) as u64,
        });
        group.bench_function(BenchmarkId::new(name, tokens), |bencher| {
            bencher.iter(|| compute.scan(&mut store, 0, &spans, &spec, &mut out));
        });
    }
    Ok(())
}

fn convolutions(
    group: &mut BenchmarkGroup<'_, WallTime>,
    compute: &mut Compute,
    tokens: usize,
) -> Result<(), Box<dyn Error>> {
    for (name, channels, taps) in CONVOLUTIONS {
        let mut seeded = Seeded::new(8);
        let x = rows(&mut seeded, tokens, channels, |x| x);
        let weight = Vector::from_vec((0..taps * channels).map(|_| seeded.signed()).collect());
        let (mut store, spans) = state((taps - 1) * channels, tokens)?;
        let mut out = Rows::with_capacity(tokens, channels);
        group.throughput(Throughput::ElementsAndBytes {
            elements: tokens as u64,
            bytes: (2 * channels * size_of::<f32>() * tokens) as u64,
        });
        group.bench_function(BenchmarkId::new(format!("convolution, {name}"), tokens), |bencher| {
            bencher.iter(|| compute.convolve(&mut store, 0, &spans, &x, &weight, None, true, &mut out));
        });
    }
    Ok(())
}

/// The products of one token's experts.
fn experts(
    group: &mut BenchmarkGroup<'_, WallTime>,
    compute: &mut Compute,
    dtype: DType,
) -> Result<(), Box<dyn Error>> {
    let mut seeded = Seeded::new(9);
    let row: Vec<f32> = (0..COLS).map(|_| seeded.signed()).collect();
    let mut encoded = vec![0; dtype.row_bytes(COLS).ok_or("not whole blocks")?];
    encode(dtype, &row, None, &mut encoded)?;
    let stack = QMatrix::new(dtype, EXPERTS * ROWS, COLS, encoded.repeat(EXPERTS * ROWS).into())?;
    let x = rows(&mut seeded, 1, COLS, |x| x);
    let mut routes = Routes::with_capacity(1, USED);
    let mut out = Rows::with_capacity(USED, ROWS);
    let scores: Vec<Rows> = (0..EXPERTS)
        .map(|first| {
            // Others from time to time, so that they come from memory.
            let mut scores = Rows::with_capacity(1, EXPERTS);
            scores.write(&(0..EXPERTS).map(|at| ((at + first * 7) % EXPERTS) as f32).collect::<Vec<_>>());
            scores
        })
        .collect();
    let bytes = stack.byte_len() / EXPERTS * USED;
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: bytes as u64 });
    let mut turn = 0;
    group.bench_function(BenchmarkId::new("experts", dtype), |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % EXPERTS;
            compute.route(&scores[turn], &ROUTE, &mut routes);
            let product = ExpertProduct { weight: &stack, bias: None, out: &mut out };
            compute.matmul_experts(&x, &routes, &mut [product]);
        });
    });
    Ok(())
}
