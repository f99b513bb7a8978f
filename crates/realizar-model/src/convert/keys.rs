//! The numbers of a model by the keys of GGUF.

use realizar_tensor::Scoring;

use super::fact::Fact;
use crate::arch::{
    AttentionScale, EmbeddingScale, LogitScale, Norm, Residual, ResidualScale, SharedExpert, Temperature,
    WindowRope, YarnMultiplier,
};
use crate::config::{Config, MoeConfig};
use crate::error::ModelError;
use crate::facts::{self, Count, FactReader, Number};
use crate::pooling::Pooling;
use crate::rope_scaling::{RopeConfig, RopeScaling};

/// Keys without the architecture's name, and their values.
#[derive(Debug, Default)]
struct Keys(Vec<(&'static str, Fact)>);

impl Keys {
    fn count(&mut self, fact: Count, number: usize) {
        self.0.push((fact.key, Fact::count(number)));
    }

    fn number(&mut self, fact: Number, number: f32) {
        self.0.push((fact.key, Fact::number(number)));
    }

    /// As the file has it, if it has it.
    fn carry(&mut self, read: &FactReader<'_>, fact: Number) -> Result<(), ModelError> {
        if let Some(number) = read.number(fact)? {
            self.number(fact, number);
        }
        Ok(())
    }

    fn flag(&mut self, key: &'static str, flag: bool) {
        self.0.push((key, Fact::Scalar(realizar_format::Value::Bool(flag))));
    }

    fn word(&mut self, key: &'static str, word: &str) {
        self.0.push((key, Fact::Text(word.to_owned())));
    }
}

/// What a GGUF file must say so that the same configuration is read from it.
pub(super) fn of(config: &Config, read: &FactReader<'_>) -> Result<Vec<(&'static str, Fact)>, ModelError> {
    let mut keys = Keys::default();
    let arch = config.arch;
    keys.count(facts::CONTEXT, config.context);
    keys.count(facts::HIDDEN, config.hidden);
    keys.count(facts::LAYERS, config.layers);
    keys.count(facts::VOCAB, config.vocab);
    // Blocks that are not alike are found when the result is read back.
    if let Some(block) = config.blocks.first() {
        keys.count(facts::FFN, block.ffn);
        keys.count(facts::HEADS, block.heads);
        keys.count(facts::KV_HEADS, block.kv_heads);
        keys.count(facts::HEAD_DIM, block.head_dim);
        keys.count(facts::VALUE_DIM, block.value_dim);
    }
    let eps = if config.norm == Norm::Rms { facts::RMS_EPS } else { facts::LAYER_EPS };
    keys.number(eps, config.norm_eps);
    if let Some(latent) = config.latent {
        keys.count(facts::Q_RANK, latent.q_rank);
        keys.count(facts::KV_RANK, latent.kv_rank);
        keys.count(facts::LATENT_HEAD_DIM, latent.head_dim);
        keys.count(facts::LATENT_VALUE_DIM, latent.value_dim);
    }
    if let Some(window) = config.window {
        keys.count(facts::WINDOW, window as usize);
    }
    if let Some(rope) = &config.rope {
        rotation(&mut keys, rope, read)?;
    }
    if let Some(rope) = config.window_rope.as_ref().filter(|_| arch.window_rope == WindowRope::OwnBase) {
        keys.number(facts::WINDOW_ROPE_BASE, rope.base);
    }
    if arch.attention_scale == AttentionScale::Key {
        keys.carry(read, facts::ATTENTION_SCALE)?;
    }
    if let Some(cap) = config.attention_softcap {
        keys.number(facts::ATTENTION_SOFTCAP, cap);
    }
    if let Some(cap) = config.logit_softcap {
        keys.number(facts::LOGIT_SOFTCAP, cap);
    }
    if arch.temperature == Temperature::Keys {
        keys.carry(read, facts::TEMPERATURE)?;
    }
    if matches!(arch.embedding_scale, EmbeddingScale::KeyOr(_)) {
        keys.number(facts::EMBEDDING_SCALE, config.embedding_scale);
    }
    if matches!(arch.residual_scale, ResidualScale::Key | ResidualScale::KeyOrDepth(_)) {
        keys.number(facts::RESIDUAL_SCALE, config.residual_scale);
    }
    if arch.logit_scale != LogitScale::Unused {
        keys.carry(read, facts::LOGIT_SCALE)?;
    }
    if let Residual::ParallelIf(key) = arch.residual {
        keys.flag(key, config.parallel);
    }
    if let Some(moe) = &config.moe {
        experts(&mut keys, moe, arch.moe.map_or(SharedExpert::None, |moe| moe.shared));
    }
    if let Some(pooling) = config.pooling {
        let number = match pooling {
            Pooling::None => 0,
            Pooling::Mean => 1,
            Pooling::Cls => 2,
            Pooling::Last => 3,
        };
        keys.count(facts::POOLING, number);
    }
    Ok(keys.0)
}

fn rotation(keys: &mut Keys, rope: &RopeConfig, read: &FactReader<'_>) -> Result<(), ModelError> {
    keys.count(facts::ROTARY_DIM, rope.dim);
    keys.number(facts::ROPE_BASE, rope.base);
    let mut own_magnitude = 1.0;
    match rope.scaling {
        RopeScaling::Linear { factor } => {
            keys.word("rope.scaling.type", "linear");
            keys.number(facts::ROPE_FACTOR, factor);
        }
        RopeScaling::Yarn { factor, fast, slow, .. } => {
            keys.word("rope.scaling.type", "yarn");
            keys.number(facts::ROPE_FACTOR, factor);
            keys.number(facts::YARN_FAST, fast);
            keys.number(facts::YARN_SLOW, slow);
            if rope.scores_magnitude == 1.0 {
                own_magnitude = 1.0 + 0.1 * factor.ln();
            }
            if read.dialect.arch.yarn_log_multiplier != YarnMultiplier::Unread {
                keys.carry(read, facts::YARN_LOG_MULTIPLIER)?;
            }
        }
        // What `llama3` means stands in a tensor of divisors; anything else is found when the result is read back.
        _ => keys.word("rope.scaling.type", "none"),
    }
    keys.count(facts::ORIGINAL_CONTEXT, rope.original_context);
    if rope.magnitude != own_magnitude {
        let factor = rope.magnitude / own_magnitude;
        let near = [factor, factor.next_up(), factor.next_down()];
        let exact = near.into_iter().find(|factor| factor * own_magnitude == rope.magnitude);
        keys.number(facts::ROPE_MAGNITUDE, exact.unwrap_or(factor));
    }
    Ok(())
}

fn experts(keys: &mut Keys, moe: &MoeConfig, shared: SharedExpert) {
    keys.count(facts::EXPERTS, moe.experts);
    keys.count(facts::EXPERTS_USED, moe.used);
    keys.count(facts::EXPERT_FFN, moe.ffn);
    match shared {
        SharedExpert::None | SharedExpert::One | SharedExpert::Branch => {}
        SharedExpert::Gated | SharedExpert::Width => keys.count(facts::SHARED_FFN, moe.shared_ffn),
        SharedExpert::Plain | SharedExpert::WidthTimesCount => {
            keys.count(facts::SHARED_EXPERTS, moe.shared_ffn / moe.ffn.max(1));
        }
    }
    keys.count(facts::DENSE_LAYERS, moe.dense_layers);
    let scoring = match moe.scoring {
        Scoring::Softmax => 1,
        Scoring::Sigmoid => 2,
        Scoring::SoftmaxOfChosen => 3,
        // Not said: whether that is right is seen when the result is read back.
        _ => 0,
    };
    keys.count(facts::EXPERT_SCORING, scoring);
    keys.flag("expert_weights_norm", moe.normalise);
    keys.number(facts::EXPERT_SCALE, moe.scale);
    if moe.groups > 1 {
        keys.count(facts::EXPERT_GROUPS, moe.groups);
        keys.count(facts::EXPERT_GROUPS_USED, moe.groups_used);
    }
}
