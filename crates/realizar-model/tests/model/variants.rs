//! Variants of the zoo's models that have no golden of their own.

use std::sync::Arc;

use realizar_model::{Model, RopeScaling};
use realizar_quant::DType;

use crate::file::{Fact, ModelFile, Tensor};
use crate::golden::{self, Run, forced, load};

fn zoo(suite: &str, name: &str) -> Option<ModelFile> {
    Some(ModelFile::open(&golden::shared(suite)?.join("zoo").join(format!("{name}.gguf"))))
}

fn rows(model: Model) -> Vec<Vec<f32>> {
    let mut session = Run::plain().session(&Arc::new(model));
    forced(&mut session, &[1, 2, 3, 40, 50], &[6, 7])
}

/// DeepSeek's smaller models project their queries at once.
#[test]
fn latent_attention_without_a_query_rank_runs() {
    let Some(mut file) = zoo("latent attention without a query rank", "deepseek2") else { return };
    file.remove("deepseek2.attention.q_lora_rank");
    for layer in 0..2 {
        for part in ["attn_q_a", "attn_q_a_norm", "attn_q_b"] {
            file.drop_tensor(&format!("blk.{layer}.{part}.weight"));
        }
        let data = (0..96 * 64).flat_map(|at| ((at % 13) as f32 / 50.0 - 0.12).to_le_bytes()).collect();
        let name = format!("blk.{layer}.attn_q.weight");
        file.tensors.push(Tensor { name, dims: vec![96, 64], dtype: DType::F32, data });
    }
    let rows = rows(load(&*file.source(), "deepseek2 lite"));
    assert!(rows.iter().flatten().all(|x| x.is_finite()));
    assert_ne!(rows[0], rows[1]);
}

/// Some writers pad shapes with ones, which GGUF has last and we have first.
#[test]
fn ones_around_a_shape_mean_nothing() {
    let mut file = ModelFile::open(&golden::own().join("llama-gqa.gguf"));
    let expected = rows(load(&*file.source(), "llama-gqa"));
    for ones in 1..=2 {
        file.tensors.iter_mut().for_each(|tensor| tensor.dims.insert(0, 1));
        assert!(rows(load(&*file.source(), "padded")) == expected, "{ones} ones");
    }
}

/// Draft layers at the end of a stack are not run.
#[test]
fn draft_layers_are_left_out() {
    let mut file = ModelFile::open(&golden::own().join("llama-gqa.gguf"));
    let expected = rows(load(&*file.source(), "llama-gqa"));
    file.set("llama.block_count", Fact::U32(3)).set("llama.nextn_predict_layers", Fact::U32(1));
    assert!(rows(load(&*file.source(), "with a draft layer")) == expected);
}

/// Files without a type of scaling mean a linear one, and old files have another key for its factor.
#[test]
fn old_ways_to_scale_a_rotation_are_read() {
    let linear = |file: &ModelFile| {
        let config = load(&*file.source(), "scaled").config().clone();
        config.rope.map(|rope| rope.scaling)
    };
    let mut file = ModelFile::open(&golden::own().join("llama-gqa.gguf"));
    assert_eq!(linear(&file), Some(RopeScaling::Linear { factor: 1.0 }));
    file.set("llama.rope.scale_linear", Fact::F32(2.0));
    assert_eq!(linear(&file), Some(RopeScaling::Linear { factor: 2.0 }));
    file.set("llama.rope.scaling.factor", Fact::F32(4.0));
    assert_eq!(linear(&file), Some(RopeScaling::Linear { factor: 4.0 }));
    file.set("llama.rope.scaling.type", Fact::Text("none".into()));
    assert_eq!(linear(&file), Some(RopeScaling::None));
}

/// Llama 3.1's scaling from the metadata is what the divisors say that converters compute from it.
#[test]
fn llama3_scaling_from_metadata_equals_divisors() {
    let Some(mut file) = zoo("llama3 scaling from metadata", "llama-rope-llama3") else { return };
    let (factor, low, high, context) = (8.0f32, 1.0f32, 4.0f32, 64.0f32);
    let computed: Vec<f32> = (0..8)
        .map(|pair| {
            let turns = context * 500_000f32.powf(-(pair as f32) / 8.0) / std::f32::consts::TAU;
            let keep = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            1.0 / (keep + (1.0 - keep) / factor)
        })
        .collect();
    file.tensor("rope_freqs.weight").data = computed.iter().flat_map(|x| x.to_le_bytes()).collect();
    let expected = rows(load(&*file.source(), "computed divisors"));
    file.drop_tensor("rope_freqs.weight")
        .set("llama.rope.scaling.type", Fact::Text("llama3".into()))
        .set("llama.rope.scaling.factor", Fact::F32(factor))
        .set("llama.rope.scaling.low_freq_factor", Fact::F32(low))
        .set("llama.rope.scaling.high_freq_factor", Fact::F32(high))
        .set("llama.rope.scaling.original_context_length", Fact::U32(context as u32));
    let found = rows(load(&*file.source(), "keys"));
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - expected).abs() < 1e-4, "{found} instead of {expected}");
    }
}
