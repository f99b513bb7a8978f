//! Attention of every kind over keys and values of every type.

use super::{hold, noise, rows, vector};
use crate::{
    AttentionSpan, AttentionSpec, BlockId, Chosen, Compute, KV_BLOCK, KvShape, KvStore, KvType, Rows, Slot,
    Vector,
};

/// Query heads, key/value heads, dimensions of keys and values, length. One query per key and up to nine; vectors that are
/// cut inside a register, and that end with one.
const CASES: &[(usize, usize, usize, usize, usize)] =
    &[(8, 2, 32, 64, 131), (9, 1, 64, 32, 70), (3, 3, 5, 3, 129), (2, 2, 24, 40, 64), (1, 1, 16, 16, 1)];

/// A sequence in a store: what it asks, and where its blocks lie.
struct Sequence {
    store: KvStore,
    blocks: Vec<BlockId>,
    q: Rows,
}

impl Sequence {
    fn new(
        compute: &mut Compute,
        dtype: KvType,
        &(heads, kv_heads, dim_k, dim_v, len): &(usize, usize, usize, usize, usize),
    ) -> Self {
        let shape = KvShape { layers: 1, kv_heads, head_dim_k: dim_k, head_dim_v: dim_v, dtype };
        let mut store = KvStore::new(shape, len.div_ceil(KV_BLOCK)).unwrap();
        let mut blocks: Vec<_> = (0..store.total_blocks()).map(|_| store.alloc().unwrap()).collect();
        blocks.reverse();
        let slot = |pos: usize| Slot { block: blocks[pos / KV_BLOCK], offset: (pos % KV_BLOCK) as u32 };
        let slots: Vec<Slot> = (0..len).map(slot).collect();
        let (k, v) = (rows(len, kv_heads * dim_k, 21), rows(len, kv_heads * dim_v, 22));
        compute.kv_append(&mut store, 0, &k, &v, &slots);
        // Scores far apart, so that the largest grows from block to block.
        let mut q = rows(len, heads * dim_k, 23);
        compute.scale(&mut q, 3.0);
        Self { store, blocks, q }
    }

    /// The last `count` rows: all of a prompt, or what comes with a token or two.
    fn last(&self, compute: &mut Compute, spec: &AttentionSpec<'_>, count: usize) -> Vec<f32> {
        let first = self.q.rows() - count;
        let mut q = Rows::with_capacity(count, self.q.width());
        q.write(&self.q.read()[first * self.q.width()..]);
        let width = spec.heads * self.store.shape().head_dim_v;
        let mut out = Rows::with_capacity(count, width);
        let span = AttentionSpan { rows: 0..count, first_pos: first as u32, blocks: &self.blocks };
        compute.attention(&q, &self.store, 0, &[span], spec, &mut out);
        out.read().to_vec()
    }
}

fn plain(heads: usize, dim_k: usize) -> AttentionSpec<'static> {
    let scale = 1.0 / (dim_k as f32).sqrt();
    AttentionSpec { heads, scale, window: None, softcap: None, causal: true, sinks: None, alibi: None }
}

#[test]
fn attention_is_the_plain_loops() {
    for case in CASES {
        let &(heads, _, dim_k, dim_v, len) = case;
        let sinks = vector(heads, 24);
        let slopes = Vector::from_vec((0..heads).map(|head| 0.1 / (head + 1) as f32).collect());
        let plain = plain(heads, dim_k);
        let specs = [
            ("causal", plain),
            ("window", AttentionSpec { window: Some(20), ..plain }),
            ("window of a block", AttentionSpec { window: Some(64), ..plain }),
            ("soft-cap", AttentionSpec { softcap: Some(1.5), ..plain }),
            ("both ways", AttentionSpec { causal: false, ..plain }),
            ("both ways, window", AttentionSpec { causal: false, window: Some(30), ..plain }),
            ("sinks", AttentionSpec { sinks: Some(&sinks), ..plain }),
            ("alibi", AttentionSpec { alibi: Some(&slopes), ..plain }),
            (
                "all of it",
                AttentionSpec {
                    window: Some(50),
                    softcap: Some(2.5),
                    sinks: Some(&sinks),
                    alibi: Some(&slopes),
                    ..plain
                },
            ),
        ];
        for &dtype in KvType::ALL {
            if dtype == KvType::Q8_0 && (dim_k % 32 > 0 || dim_v % 32 > 0) {
                continue;
            }
            for (name, spec) in specs {
                for count in [len, 1, len.min(2)] {
                    hold(&format!("{name}, {count} rows of {case:?} in {dtype}"), |compute| {
                        Sequence::new(compute, dtype, case).last(compute, &spec, count)
                    });
                }
            }
        }
    }
}

#[test]
fn attention_to_chosen_keys_is_the_plain_loops() {
    let case = (4, 2, 32, 64, 150);
    for &dtype in KvType::ALL {
        hold(&format!("chosen keys in {dtype}"), |compute| {
            let Sequence { store, blocks, q } = Sequence::new(compute, dtype, &case);
            // The indexer's keys: one head for three of its queries.
            let index = Sequence::new(compute, dtype, &(3, 1, 32, 32, case.4));
            let mut weights = Rows::with_capacity(case.4, 3);
            weights.write(&noise(case.4 * 3, 25));
            let span = AttentionSpan { rows: 0..case.4, first_pos: 0, blocks: &blocks };
            let spans = std::slice::from_ref(&span);
            let mut chosen = Chosen::with_capacity(case.4, 70);
            compute.choose_keys(&index.q, &weights, &index.store, 0, spans, &mut chosen);
            let mut out = Rows::with_capacity(case.4, 4 * 64);
            compute.attention_chosen(&q, &store, 0, (spans, &chosen), &plain(4, 32), &mut out);
            out.read().to_vec()
        });
    }
}
