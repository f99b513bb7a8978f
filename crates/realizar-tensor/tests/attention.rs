//! Attention over paged keys and values: against f64, and the same bits whatever surrounds a row.

#![allow(clippy::expect_used, clippy::allow_attributes, reason = "a failure panics")]

mod kit;

use kit::{Random, bits, compute, decoded, each_table, empty, encoded, error, rows_of};
use realizar_quant::DType;
use realizar_tensor::{
    AttentionSpan, AttentionSpec, BlockId, Compute, Isa, KV_BLOCK, Kernels, KvShape, KvStore, KvType, Rows,
    Slot, Vector,
};

/// One sequence's queries, keys and values, and the store that holds them.
struct Case {
    shape: KvShape,
    heads: usize,
    q: Rows,
    k: Rows,
    v: Rows,
    store: KvStore,
    blocks: Vec<BlockId>,
}

impl Case {
    fn new(
        compute: &mut Compute,
        dtype: KvType,
        (heads, kv_heads): (usize, usize),
        dims: (usize, usize),
        len: usize,
    ) -> Self {
        let shape = KvShape { layers: 2, kv_heads, head_dim_k: dims.0, head_dim_v: dims.1, dtype };
        let mut random = Random::new(100 + len as u64);
        let q = random.rows(len, heads * dims.0);
        let k = random.rows(len, kv_heads * dims.0);
        let v = random.rows(len, kv_heads * dims.1);
        let count = len.div_ceil(KV_BLOCK);
        let mut store = KvStore::new(shape, count + 2).expect("store");
        let unused = store.alloc().expect("block");
        let mut blocks: Vec<_> = (0..count).map(|_| store.alloc().expect("block")).collect();
        blocks.reverse();
        store.release(unused);
        let slots = slots(&blocks, 0..len);
        compute.kv_append(&mut store, 1, &k, &v, &slots);
        Self { shape, heads, q, k, v, store, blocks }
    }

    fn spec(&self) -> AttentionSpec<'static> {
        let scale = 1.0 / (self.shape.head_dim_k as f32).sqrt();
        AttentionSpec {
            heads: self.heads,
            scale,
            window: None,
            softcap: None,
            causal: true,
            sinks: None,
            alibi: None,
        }
    }

    /// All rows at once.
    fn run(&self, compute: &mut Compute, spec: &AttentionSpec<'_>) -> Vec<f32> {
        let mut out = empty(self.q.rows(), self.heads * self.shape.head_dim_v);
        let span = AttentionSpan { rows: 0..self.q.rows(), first_pos: 0, blocks: &self.blocks };
        compute.attention(&self.q, &self.store, 1, &[span], spec, &mut out);
        out.read().to_vec()
    }

    /// The values that the store holds of these rows.
    fn stored(&self, rows: &Rows) -> Rows {
        let round = |part: &[f32]| -> Vec<f32> {
            match self.shape.dtype {
                KvType::F32 => part.to_vec(),
                KvType::F16 => decoded(DType::F16, 1, part.len(), &encoded(DType::F16, 1, part.len(), part)),
                // As the weight type of this name, but the integers are made with the f16 scale that is stored.
                _ => {
                    let scale = part.iter().fold(0.0f32, |largest, x| largest.max(x.abs())) / 127.0;
                    let scale = decoded(DType::F16, 1, 1, &encoded(DType::F16, 1, 1, &[scale]))[0];
                    part.iter().map(|x| (x / scale).round_ties_even() * scale).collect()
                }
            }
        };
        rows_of(rows.width(), &rows.read().chunks(32).flat_map(round).collect::<Vec<_>>())
    }

    /// In f64, over keys and values as they are stored.
    fn reference(&self, spec: &AttentionSpec<'_>) -> Vec<f64> {
        let KvShape { kv_heads, head_dim_k, head_dim_v, .. } = self.shape;
        let (k, v) = (self.stored(&self.k), self.stored(&self.v));
        let len = self.q.rows();
        let mut out = Vec::new();
        for row in 0..len {
            for head in 0..self.heads {
                let source = head / (self.heads / kv_heads);
                let sees = |pos: usize| match (spec.causal, spec.window) {
                    (true, None) => pos <= row,
                    (true, Some(window)) => pos <= row && row - pos < window as usize,
                    (false, None) => true,
                    (false, Some(window)) => row.abs_diff(pos) <= window as usize / 2,
                };
                let mut scores = Vec::new();
                for pos in (0..len).filter(|&pos| sees(pos)) {
                    let q = &self.q.row(row)[head * head_dim_k..][..head_dim_k];
                    let k = &k.row(pos)[source * head_dim_k..][..head_dim_k];
                    let mut score = q.iter().zip(k).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
                    score *= f64::from(spec.scale);
                    if let Some(cap) = spec.softcap {
                        score = f64::from(cap) * (score / f64::from(cap)).tanh();
                    }
                    if let Some(alibi) = spec.alibi {
                        score -= f64::from(alibi.as_slice()[head]) * row.abs_diff(pos) as f64;
                    }
                    scores.push((pos, score));
                }
                let mut total: f64 = scores.iter().map(|(_, score)| score.exp()).sum();
                if let Some(sinks) = spec.sinks {
                    total += f64::from(sinks.as_slice()[head]).exp();
                }
                for d in 0..head_dim_v {
                    let value = |pos: usize| f64::from(v.row(pos)[source * head_dim_v + d]);
                    out.push(scores.iter().map(|&(pos, score)| score.exp() / total * value(pos)).sum());
                }
            }
        }
        out
    }
}

fn slots(blocks: &[BlockId], positions: std::ops::Range<usize>) -> Vec<Slot> {
    positions.map(|pos| Slot { block: blocks[pos / KV_BLOCK], offset: (pos % KV_BLOCK) as u32 }).collect()
}

type Pair = (usize, usize);

/// Query and key/value heads, dimensions of keys and values, length.
const CASES: &[(Pair, Pair, usize)] = &[
    ((1, 1), (16, 16), 1),
    ((4, 4), (24, 24), 70),
    ((8, 2), (32, 64), 200),
    ((7, 1), (40, 40), 130),
    ((2, 2), (128, 96), 65),
    ((3, 3), (5, 3), 129),
];

#[test]
fn attention_agrees_with_f64() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        for &(heads, dims, len) in CASES {
            for &dtype in KvType::ALL {
                if dtype == KvType::Q8_0 && (dims.0 % 32 > 0 || dims.1 % 32 > 0) {
                    continue;
                }
                let case = Case::new(&mut compute, dtype, heads, dims, len);
                let mut random = Random::new(4);
                let (sinks, slopes) = (
                    random.vector(heads.0),
                    Vector::from_vec((0..heads.0).map(|h| 0.1 / (h + 1) as f32).collect()),
                );
                let plain = case.spec();
                let specs = [
                    ("causal", plain),
                    ("window", AttentionSpec { window: Some(20), ..plain }),
                    ("window of a block", AttentionSpec { window: Some(64), ..plain }),
                    ("soft-cap", AttentionSpec { softcap: Some(1.5), ..plain }),
                    ("both ways", AttentionSpec { causal: false, ..plain }),
                    ("both ways, window", AttentionSpec { causal: false, window: Some(30), ..plain }),
                    ("sinks", AttentionSpec { sinks: Some(&sinks), ..plain }),
                    ("alibi", AttentionSpec { alibi: Some(&slopes), ..plain }),
                ];
                for (name, spec) in specs {
                    let error = error(&case.run(&mut compute, &spec), &case.reference(&spec));
                    assert!(
                        error < 1e-5,
                        "{name}, {heads:?} {dims:?} {len} {dtype} on {}: {error:e}",
                        kernels.name()
                    );
                }
            }
        }
    });
}

/// Vectors of any width that round a product and its sum once, blocks widened or as they are stored: the same bits.
#[test]
fn vectors_of_any_width_agree() {
    let mut tables =
        Kernels::available().iter().filter(|kernels| !matches!(kernels.isa(), Isa::Scalar | Isa::Simd128));
    let Some(first) = tables.next() else { return };
    for kernels in tables {
        for &(heads, dims, len) in CASES {
            let case = Case::new(&mut compute(first, 1), KvType::F16, heads, dims, len);
            for softcap in [None, Some(1.5)] {
                let spec = AttentionSpec { softcap, ..case.spec() };
                let (expected, found) =
                    (case.run(&mut compute(first, 1), &spec), case.run(&mut compute(kernels, 1), &spec));
                assert!(bits(&found) == bits(&expected), "{heads:?} {dims:?} {len} on {}", kernels.name());
            }
        }
    }
}

/// The prompt cut into chunks, and rows of several sequences in one call.
#[test]
fn chunks_batches_and_threads_do_not_show() {
    each_table(|kernels| {
        let halves = CASES.iter().map(|&case| (KvType::F16, case));
        let others = [KvType::F32, KvType::Q8_0].map(|dtype| (dtype, CASES[2]));
        for (dtype, ((heads, kv_heads), dims, len)) in halves.chain(others) {
            let case = Case::new(&mut compute(kernels, 1), dtype, (heads, kv_heads), dims, len);
            for window in [None, Some(50)] {
                let spec = AttentionSpec { window, ..case.spec() };
                let whole = bits(&case.run(&mut compute(kernels, 1), &spec));
                let width = heads * dims.1;
                for (threads, chunk) in [(1, 1), (2, 7), (3, 33), (4, 64), (2, 200)] {
                    let mut compute = compute(kernels, threads);
                    let mut found = Vec::new();
                    for first in (0..len).step_by(chunk) {
                        let rows = chunk.min(len - first);
                        let q = rows_of(
                            case.q.width(),
                            &case.q.read()[first * case.q.width()..][..rows * case.q.width()],
                        );
                        let mut out = empty(rows, width);
                        let span =
                            AttentionSpan { rows: 0..rows, first_pos: first as u32, blocks: &case.blocks };
                        compute.attention(&q, &case.store, 1, &[span], &spec, &mut out);
                        found.extend(bits(out.read()));
                    }
                    assert!(
                        found == whole,
                        "{threads} threads, chunks of {chunk}, {dims:?} {dtype} on {}",
                        kernels.name()
                    );
                }
                // Every third position as a sequence of its own, beside a longer span.
                let picks: Vec<usize> = (0..len).step_by(3).collect();
                let mut q: Vec<f32> = picks.iter().flat_map(|&pos| case.q.row(pos).to_vec()).collect();
                q.extend_from_slice(case.q.read());
                let mut spans: Vec<_> = picks
                    .iter()
                    .enumerate()
                    .map(|(i, &pos)| AttentionSpan {
                        rows: i..i + 1,
                        first_pos: pos as u32,
                        blocks: &case.blocks,
                    })
                    .collect();
                spans.push(AttentionSpan {
                    rows: picks.len()..picks.len() + len,
                    first_pos: 0,
                    blocks: &case.blocks,
                });
                let mut out = empty(picks.len() + len, width);
                let mut compute = compute(kernels, 2);
                compute.attention(&rows_of(case.q.width(), &q), &case.store, 1, &spans, &spec, &mut out);
                for (row, &pos) in picks.iter().enumerate() {
                    assert_eq!(
                        bits(out.row(row)),
                        whole[pos * width..][..width],
                        "position {pos} on {}",
                        kernels.name()
                    );
                }
                assert!(bits(&out.read()[picks.len() * width..]) == whole, "{dims:?} on {}", kernels.name());
            }
        }
    });
}

/// Whatever an earlier holder left in a block must not show, be it NaN.
#[test]
fn what_is_not_seen_does_not_matter() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 1);
        // Many queries, and so few that a block may be read as it is stored.
        for (kv, (count, last)) in KvType::ALL.iter().flat_map(|kv| [(70, 66), (2, 1)].map(|rows| (kv, rows)))
        {
            let name = format!("{count} rows, {kv} on {}", kernels.name());
            let mut case = Case::new(&mut compute, *kv, (4, 2), (32, 32), count);
            let spec = AttentionSpec { window: Some(16), ..case.spec() };
            let clean = bits(&case.run(&mut compute, &spec));
            let bad = rows_of(64, &[f32::NAN; 64]);
            for pos in count..case.blocks.len() * KV_BLOCK {
                let slot = slots(&case.blocks, pos..pos + 1);
                compute.kv_append(&mut case.store, 1, &bad, &bad, &slot);
            }
            assert_eq!(bits(&case.run(&mut compute, &spec)), clean, "{name}");
            // A later position's NaN does not reach the rows before it.
            compute.kv_append(&mut case.store, 1, &bad, &bad, &slots(&case.blocks, last..last + 1));
            let found = bits(&case.run(&mut compute, &spec));
            assert_eq!(found[..last * 128], clean[..last * 128], "{name}");
            assert!(found[last * 128..].iter().all(|&x| f32::from_bits(x).is_nan()), "{name}");
        }
    });
}

/// What cannot be kept shows: what is not finite, and what f16 scales cannot reach.
#[test]
fn quantised_keys_show_what_is_not_finite() {
    each_table(|kernels| {
        let mut compute = compute(kernels, 1);
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, -127.0 * 65_520.0] {
            let mut case = Case::new(&mut compute, KvType::Q8_0, (1, 1), (32, 32), 2);
            let rows = rows_of(32, &[bad; 32]);
            compute.kv_append(&mut case.store, 1, &rows, &rows, &slots(&case.blocks, 1..2));
            let found = case.run(&mut compute, &case.spec());
            let good = found[..32].iter().all(|x| x.is_finite()) && found[32..].iter().all(|x| x.is_nan());
            assert!(good, "{bad} on {}", kernels.name());
        }
    });
}

/// Half a step of its scale is the most that a value loses, down to f16's smallest numbers and up to its largest.
#[test]
fn quantised_values_lose_half_a_step() {
    const SMALLEST: f32 = 5.960_464_5e-8;
    each_table(|kernels| {
        let mut compute = compute(kernels, 1);
        for largest in [0.0, 1e-42, 1e-9, 3e-6, 5e-6, 1.1e-5, 1.7e-4, 8e-3, 1.0, 129.7, 127.0 * 65_504.0] {
            let mut case = Case::new(&mut compute, KvType::Q8_0, (1, 1), (32, 32), 1);
            let mut random = Random::new(9);
            let mut values = random.rows(1, 32).read().to_vec();
            let most = values.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            values.iter_mut().for_each(|x| *x *= largest / most);
            values[7] = -largest;
            let rows = rows_of(32, &values);
            compute.kv_append(&mut case.store, 1, &rows, &rows, &slots(&case.blocks, 0..1));
            // One position has all the weight: what comes out is the value as it is stored.
            let found = case.run(&mut compute, &case.spec());
            // Scales are rounded to f16, and those among its smallest by up to one of these.
            let step = largest / 127.0 * (1.0 + 1.0 / 2048.0) + SMALLEST;
            for (found, value) in found.iter().zip(&values) {
                let lost = (found - value).abs();
                assert!(lost <= 0.501 * step, "{value} of {largest}: {found} on {}", kernels.name());
            }
        }
    });
}

#[test]
fn copies_hold_the_same() {
    let mut compute = compute(Kernels::detect(), 1);
    let mut case = Case::new(&mut compute, KvType::F16, (2, 2), (16, 16), 64);
    let before = bits(&case.run(&mut compute, &case.spec()));
    let copy = case.store.copy_block(case.blocks[0]).expect("free");
    case.store.release(case.blocks[0]);
    case.blocks[0] = copy;
    assert_eq!(bits(&case.run(&mut compute, &case.spec())), before);
}

#[test]
#[should_panic(expected = "65 positions in 1 blocks")]
fn spans_need_their_blocks() {
    let mut compute = compute(Kernels::detect(), 1);
    let case = Case::new(&mut compute, KvType::F16, (1, 1), (16, 16), 64);
    let span = AttentionSpan { rows: 0..1, first_pos: 64, blocks: &case.blocks };
    compute.attention(&case.q, &case.store, 1, &[span], &case.spec(), &mut empty(64, 16));
}

#[test]
#[should_panic(expected = "is not held in this store")]
fn blocks_are_held() {
    let mut compute = compute(Kernels::detect(), 1);
    let mut case = Case::new(&mut compute, KvType::F16, (1, 1), (16, 16), 64);
    case.blocks.iter().for_each(|&block| case.store.release(block));
    let span = AttentionSpan { rows: 0..1, first_pos: 0, blocks: &case.blocks };
    compute.attention(&case.q, &case.store, 1, &[span], &case.spec(), &mut empty(64, 16));
}

#[test]
#[should_panic(expected = "is not held in this store")]
fn blocks_are_of_this_store() {
    let mut compute = compute(Kernels::detect(), 1);
    let mut case = Case::new(&mut compute, KvType::F16, (1, 1), (16, 16), 64);
    let other = Case::new(&mut compute, KvType::F16, (1, 1), (16, 16), 640);
    let slot = Slot { block: other.blocks.iter().copied().max().unwrap(), offset: 0 };
    let row = rows_of(16, &[0.0; 16]);
    compute.kv_append(&mut case.store, 0, &row, &row, &[slot]);
}

#[test]
#[should_panic(expected = "rows 4..0 of 64")]
#[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
fn spans_do_not_go_back() {
    let mut compute = compute(Kernels::detect(), 1);
    let case = Case::new(&mut compute, KvType::F16, (1, 1), (16, 16), 64);
    let span = |rows| AttentionSpan { rows, first_pos: 0, blocks: &case.blocks };
    let spans = [span(0..4), span(4..0), span(0..4)];
    compute.attention(&case.q, &case.store, 1, &spans, &case.spec(), &mut empty(64, 16));
}

#[test]
#[should_panic(expected = "3 heads on 2")]
fn heads_must_divide() {
    let mut compute = compute(Kernels::detect(), 1);
    let mut case = Case::new(&mut compute, KvType::F16, (2, 2), (16, 16), 1);
    case.heads = 3;
    case.run(&mut compute, &case.spec());
}
