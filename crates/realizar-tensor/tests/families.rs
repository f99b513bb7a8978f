//! Operations that single families of models need: attention over chosen keys, and parallel streams.

#![allow(clippy::expect_used, clippy::allow_attributes, reason = "a failure panics")]

mod kit;

use kit::{Random, bits, compute, each_table, empty, rows_of};
use realizar_tensor::{
    AttentionSpan, AttentionSpec, BlockId, Chosen, Compute, KV_BLOCK, KvShape, KvStore, KvType, Rows, Slot,
    Vector,
};

/// Keys and values of one sequence in a store of its own, blocks in an odd order.
fn store(
    compute: &mut Compute,
    dtype: KvType,
    kv_heads: usize,
    (dim_k, dim_v): (usize, usize),
    (k, v): (&Rows, &Rows),
) -> (KvStore, Vec<BlockId>) {
    let count = k.rows().div_ceil(KV_BLOCK);
    let shape = KvShape { layers: 1, kv_heads, head_dim_k: dim_k, head_dim_v: dim_v, dtype };
    let mut store = KvStore::new(shape, count).expect("store");
    let mut blocks: Vec<_> = (0..count).map(|_| store.alloc().expect("block")).collect();
    blocks.reverse();
    let slot = |pos: usize| Slot { block: blocks[pos / KV_BLOCK], offset: (pos % KV_BLOCK) as u32 };
    let slots: Vec<Slot> = (0..k.rows()).map(slot).collect();
    compute.kv_append(&mut store, 0, k, v, &slots);
    (store, blocks)
}

/// Rows of a sequence, its indexer, and what attention is to do with it.
struct Case {
    q: Rows,
    k: Rows,
    v: Rows,
    index_q: Rows,
    index_k: Rows,
    weights: Rows,
    sinks: Vector,
}

const LEN: usize = 150;
const HEADS: usize = 4;
const DIMS: (usize, usize) = (32, 64);
const INDEX_HEADS: usize = 3;
const INDEX_DIM: usize = 32;

impl Case {
    fn new() -> Self {
        let mut random = Random::new(7);
        Self {
            q: random.rows(LEN, HEADS * DIMS.0),
            k: random.rows(LEN, 2 * DIMS.0),
            v: random.rows(LEN, 2 * DIMS.1),
            index_q: random.rows(LEN, INDEX_HEADS * INDEX_DIM),
            index_k: random.rows(LEN, INDEX_DIM),
            weights: random.rows(LEN, INDEX_HEADS),
            sinks: random.vector(HEADS),
        }
    }

    fn spec(&self) -> AttentionSpec<'_> {
        AttentionSpec {
            heads: HEADS,
            scale: 0.2,
            window: None,
            softcap: Some(5.0),
            causal: true,
            sinks: Some(&self.sinks),
            alibi: None,
        }
    }

    /// Attention to the best `most` keys, by passes of so many rows.
    fn run(&self, compute: &mut Compute, dtype: KvType, most: usize, rows: usize) -> Vec<f32> {
        let (store_kv, blocks) = store(compute, dtype, 2, DIMS, (&self.k, &self.v));
        let index = (&self.index_k, &rows_of(1, &[0.0; LEN]));
        let (store_index, _) = store(compute, KvType::F32, 1, (INDEX_DIM, 1), index);
        let mut chosen = Chosen::with_capacity(rows, most);
        let mut all = Vec::new();
        for first in (0..LEN).step_by(rows) {
            let count = rows.min(LEN - first);
            let part = |rows: &Rows| {
                let width = rows.width();
                rows_of(width, &rows.read()[first * width..][..count * width])
            };
            let span = AttentionSpan { rows: 0..count, first_pos: first as u32, blocks: &blocks };
            let spans = std::slice::from_ref(&span);
            compute.choose_keys(
                &part(&self.index_q),
                &part(&self.weights),
                &store_index,
                0,
                spans,
                &mut chosen,
            );
            let mut out = empty(count, HEADS * DIMS.1);
            let spec = self.spec();
            compute.attention_chosen(&part(&self.q), &store_kv, 0, (spans, &chosen), &spec, &mut out);
            all.extend_from_slice(out.read());
        }
        all
    }

    /// In f64: the best keys of a row, ascending.
    fn best(&self, row: usize, most: usize) -> Vec<usize> {
        let score = |pos: usize| -> f64 {
            let head = |head: usize| -> f64 {
                let q = &self.index_q.row(row)[head * INDEX_DIM..][..INDEX_DIM];
                let pairs = q.iter().zip(self.index_k.row(pos));
                let sum: f64 = pairs.map(|(q, k)| f64::from(*q) * f64::from(*k)).sum();
                f64::from(self.weights.row(row)[head]) * sum.max(0.0)
            };
            (0..INDEX_HEADS).map(head).sum()
        };
        let mut seen: Vec<usize> = (0..=row).collect();
        seen.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
        seen.truncate(most);
        seen.sort_unstable();
        seen
    }

    fn reference(&self, most: usize) -> Vec<f64> {
        let (mut out, spec) = (Vec::new(), self.spec());
        let cap = f64::from(spec.softcap.expect("a cap"));
        for row in 0..LEN {
            let chosen = self.best(row, most);
            for head in 0..HEADS {
                let source = head / 2;
                let score = |pos: &usize| {
                    let q = &self.q.row(row)[head * DIMS.0..][..DIMS.0];
                    let k = &self.k.row(*pos)[source * DIMS.0..][..DIMS.0];
                    let sum: f64 = q.iter().zip(k).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum();
                    (cap * (sum * f64::from(spec.scale) / cap).tanh()).exp()
                };
                let scores: Vec<f64> = chosen.iter().map(score).collect();
                let total: f64 = scores.iter().sum::<f64>() + f64::from(self.sinks.as_slice()[head]).exp();
                for at in 0..DIMS.1 {
                    let value = |pos: &usize| f64::from(self.v.row(*pos)[source * DIMS.1 + at]);
                    out.push(chosen.iter().zip(&scores).map(|(pos, score)| score / total * value(pos)).sum());
                }
            }
        }
        out
    }
}

#[test]
fn chosen_keys_are_attended_to() {
    let case = Case::new();
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        for most in [1, 5, 64, 100] {
            let found = case.run(&mut compute, KvType::F32, most, LEN);
            for (at, (found, expected)) in found.iter().zip(case.reference(most)).enumerate() {
                let error = (f64::from(*found) - expected).abs();
                assert!(error < 2e-5, "{most} keys on {}, {at}: {found} for {expected}", kernels.name());
            }
            for rows in [1, 7] {
                let parts = case.run(&mut compute, KvType::F32, most, rows);
                assert_eq!(bits(&parts), bits(&found), "{most} keys, {rows} rows on {}", kernels.name());
            }
        }
    });
}

/// Where all keys are chosen, it is attention as ever, bit for bit.
#[test]
fn all_keys_chosen_are_plain_attention() {
    let case = Case::new();
    each_table(|kernels| {
        let mut compute = compute(kernels, 2);
        for &dtype in KvType::ALL {
            let (store, blocks) = store(&mut compute, dtype, 2, DIMS, (&case.k, &case.v));
            let span = AttentionSpan { rows: 0..LEN, first_pos: 0, blocks: &blocks };
            let mut out = empty(LEN, HEADS * DIMS.1);
            compute.attention(&case.q, &store, 0, &[span], &case.spec(), &mut out);
            let chosen = case.run(&mut compute, dtype, LEN, LEN);
            assert_eq!(bits(&chosen), bits(out.read()), "{dtype} on {}", kernels.name());
        }
    });
}

#[test]
fn streams_are_mixed() {
    let mut compute = compute(realizar_tensor::Kernels::detect(), 2);
    let mut x = rows_of(2, &[3.0, 4.0, 0.0, 0.0, 1.0, 0.0]);
    compute.match_length(&mut x, &rows_of(2, &[0.0, 10.0, 1.0, 1.0, 3.0, 4.0]));
    assert_eq!(x.read(), [6.0, 8.0, 0.0, 0.0, 5.0, 0.0]);

    let factors = rows_of(2, &[9.0, 2.0, 9.0, -1.0, 9.0, 0.0]);
    let mut into = rows_of(2, &[1.0; 6]);
    compute.add_weighed(&x, (&factors, 1, 1.0), &mut into);
    assert_eq!(into.read(), [19.0, 25.0, 1.0, 1.0, 6.0, 1.0]);

    // Mean 3, deviation sqrt(10 / 4).
    let mut x = rows_of(5, &[1.0, 2.0, 3.0, 4.0, 5.0, 1.0, 2.0, f32::NAN, 4.0, 5.0]);
    compute.sparsify(&mut x, 1.0);
    let least = 3.0 + 2.5f32.sqrt();
    assert_eq!(x.row(0), [0.0, 0.0, 0.0, 0.0, 5.0 - least]);
    assert!(x.row(1).iter().all(|x| x.is_nan()), "{:?}", x.row(1));
}
