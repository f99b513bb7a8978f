//! A step that has run once allocates nothing.

mod kit;

use kit::{Random, each_table, empty};
use realizar_quant::DType;
use realizar_tensor::{
    AttentionSpan, AttentionSpec, Compute, ExpertProduct, Gate, GroupScore, KV_BLOCK, KvShape, KvStore,
    KvType, PairOrder, Pool, Product, Rope, RouteSpec, Routes, Scoring, Slot, Vector,
};

#[test]
#[expect(clippy::too_many_lines, reason = "one step with every operation")]
fn a_warm_step_allocates_nothing() {
    each_table(|kernels| {
        for (threads, rows) in [(1, 1), (2, 1), (1, 17), (2, 17)] {
            if threads > 1 && cfg!(target_family = "wasm") {
                continue; // There are no threads.
            }
            let mut compute = Compute::new(Pool::new(threads).expect("pool"), kernels);
            compute.reserve(rows, 256);
            assert!(Compute::reserved_bytes(rows, 256) >= rows * 256);
            assert_eq!((compute.kernels().name(), compute.pool().threads()), (kernels.name(), threads));
            let mut random = Random::new(2);
            let table = random.matrix(DType::Q8_0, 50, 256);
            let dtypes =
                [DType::Q4_K, DType::Q6_K, DType::Q8_0, DType::Q4_0, DType::F16, DType::F32, DType::Q5_1];
            let weights: Vec<_> = dtypes.iter().map(|&dtype| random.matrix(dtype, 256, 256)).collect();
            let narrow = random.matrix(DType::Q5_K, 3, 256);
            let experts = random.matrix(DType::Q4_K, 4 * 256, 256);
            let router = random.matrix(DType::F32, 4, 256);
            let (gain, head_gain) = (random.vector(256), random.vector(64));
            let ids: Vec<u32> = (0..rows as u32).collect();
            let shape =
                KvShape { layers: 1, kv_heads: 2, head_dim_k: 64, head_dim_v: 64, dtype: KvType::F16 };
            let mut kv = KvStore::new(shape, 1).expect("store");
            let block = kv.alloc().expect("block");
            let slots: Vec<_> = ids.iter().map(|&offset| Slot { block, offset }).collect();
            let rope = Rope {
                head_dim: 64,
                rotary_dim: 64,
                offset: 0,
                order: PairOrder::Halves,
                inv_freq: Vector::from_vec(vec![0.1; 32]),
                magnitude: 1.0,
            };
            let [mut x, mut y, mut z, mut sums] = [(); 4].map(|()| empty(rows, 256));
            let (mut k, mut v, mut few) = (empty(rows, 128), empty(rows, 128), empty(rows, 3));
            let (kv_weight, v_weight) =
                (random.matrix(DType::Q4_K, 128, 256), random.matrix(DType::Q6_K, 128, 256));
            let mut routes = Routes::with_capacity(rows, 2);
            let mut logits = empty(rows, 4);
            let (mut expert_rows, mut expert_up) = (empty(2 * rows, 256), empty(2 * rows, 256));
            let mut best = vec![0; rows];
            let route_spec = RouteSpec {
                experts: 4,
                used: 2,
                scoring: Scoring::Softmax,
                selection_bias: None,
                groups: 0,
                groups_used: 0,
                group_score: GroupScore::BestTwo,
                normalise: true,
                scale: 1.0,
            };
            let spec = AttentionSpec {
                heads: 4,
                scale: 0.125,
                window: None,
                softcap: None,
                causal: true,
                sinks: None,
                alibi: None,
            };
            assert!(rows <= KV_BLOCK);
            let mut step = || {
                compute.embed(&table, &ids, 1.0, &mut x);
                compute.rms_norm(&x, &gain, 1e-5, &mut y);
                compute.layer_norm(&x, &gain, None, 1e-5, &mut z);
                compute.matmul(
                    &y,
                    &mut [
                        Product { weight: &weights[0], bias: None, out: &mut z },
                        Product { weight: &kv_weight, bias: None, out: &mut k },
                        Product { weight: &v_weight, bias: None, out: &mut v },
                        Product { weight: &narrow, bias: None, out: &mut few },
                    ],
                );
                compute.rms_norm_heads(&mut k, 2, &head_gain, 1e-5);
                compute.rope(&mut z, 4, &rope, &ids);
                compute.rope(&mut k, 2, &rope, &ids);
                compute.kv_append(&mut kv, 0, &k, &v, &slots);
                let blocks = [block];
                let span = AttentionSpan { rows: 0..rows, first_pos: 0, blocks: &blocks };
                compute.attention(&z, &kv, 0, &[span], &spec, &mut y);
                for weight in &weights {
                    compute.matmul(&y, &mut [Product { weight, bias: Some(&gain), out: &mut z }]);
                }
                compute.gate(Gate::Silu, &mut z, &y);
                compute.activate(Gate::GeluErf, &mut z);
                compute.add(&z, 1.0, &mut x);
                compute.scale(&mut x, 0.5);
                compute.softcap(&mut x, 30.0);
                compute.matmul(&x, &mut [Product { weight: &router, bias: None, out: &mut logits }]);
                compute.route(&logits, &route_spec, &mut routes);
                compute.matmul_experts(
                    &x,
                    &routes,
                    &mut [
                        ExpertProduct { weight: &experts, bias: None, out: &mut expert_rows },
                        ExpertProduct { weight: &experts, bias: None, out: &mut expert_up },
                    ],
                );
                compute.combine(&expert_rows, &routes, &mut sums);
                compute.argmax(&sums, &mut best);
            };
            step();
            let counted = allocation_counter::measure(&mut step);
            assert_eq!(counted.count_total, 0, "{threads} threads, {rows} rows on {}", kernels.name());
        }
    });
}
