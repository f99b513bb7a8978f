//! Numbers of a model file, read with their ranges. [`Range`]s are one table, so that no reader forgets its check.

use std::fmt::Display;

use realizar_format::{FormatError, TensorSource, Value};

use crate::dialect::Dialect;
use crate::error::ModelError;

/// A whole number of the metadata and the values that can be right.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    /// The key without the architecture's name.
    pub(crate) key: &'static str,
    min: u32,
    max: u32,
}

/// A float of the metadata, from `least` to `max`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number {
    /// The key without the architecture's name.
    pub(crate) key: &'static str,
    least: f32,
    max: f32,
}

const fn count(key: &'static str, min: u32, max: u32) -> Count {
    Count { key, min, max }
}

/// What is divided by, where a number close to 0 would give no finite one.
const fn above_zero(key: &'static str, max: f32) -> Number {
    Number { key, least: 1e-20, max }
}

const fn from_zero(key: &'static str, max: f32) -> Number {
    Number { key, least: 0.0, max }
}

const fn either_sign(key: &'static str, max: f32) -> Number {
    Number { key, least: -max, max }
}

pub(crate) const LAYERS: Count = count("block_count", 1, 1_024);
pub(crate) const CONTEXT: Count = count("context_length", 1, 1 << 28);
pub(crate) const HIDDEN: Count = count("embedding_length", 1, 1 << 18);
pub(crate) const FFN: Count = count("feed_forward_length", 1, 1 << 22);
pub(crate) const VOCAB: Count = count("vocab_size", 1, 1 << 24);
pub(crate) const HEADS: Count = count("attention.head_count", 1, 4_096);
pub(crate) const KV_HEADS: Count = count("attention.head_count_kv", 1, 4_096);
pub(crate) const WINDOW_HEAD_DIM: Count = count("attention.key_length_swa", 1, 8_192);
pub(crate) const WINDOW_VALUE_DIM: Count = count("attention.value_length_swa", 1, 8_192);
pub(crate) const WINDOW_PERIOD: Count = count("attention.sliding_window_pattern", 1, 1_024);
pub(crate) const WINDOW_ROTARY_DIM: Count = count("rope.dimension_count_swa", 1, 8_192);
pub(crate) const SHARED_KV: Count = count("attention.shared_kv_layers", 0, 1_024);
pub(crate) const FULL_INTERVAL: Count = count("full_attention_interval", 1, 1_024);
pub(crate) const TEMPERATURE_LENGTH: Count = count("attention.temperature_length", 1, 1 << 28);
pub(crate) const HEAD_DIM: Count = count("attention.key_length", 1, 8_192);
pub(crate) const VALUE_DIM: Count = count("attention.value_length", 1, 8_192);
pub(crate) const WINDOW: Count = count("attention.sliding_window", 0, 1 << 28);
pub(crate) const POOLING: Count = count("pooling_type", 0, 4);
pub(crate) const CLASSIFIER_POOLING: Count = count("classifier.pooling_type", 1, 2);
pub(crate) const ROTARY_DIM: Count = count("rope.dimension_count", 1, 8_192);
pub(crate) const ROTATED_SHARE: Number = above_zero("partial_rotary_factor", 1.0);
pub(crate) const ORIGINAL_CONTEXT: Count = count("rope.scaling.original_context_length", 1, 1 << 28);
pub(crate) const EXPERTS: Count = count("expert_count", 0, 1_024);
pub(crate) const EXPERTS_USED: Count = count("expert_used_count", 1, 1_024);
pub(crate) const EXPERT_FFN: Count = count("expert_feed_forward_length", 1, 1 << 22);
pub(crate) const EXPERT_GROUPS: Count = count("expert_group_count", 0, 1_024);
pub(crate) const EXPERT_GROUPS_USED: Count = count("expert_group_used_count", 0, 1_024);
pub(crate) const EXPERT_SCORING: Count = count("expert_gating_func", 0, 3);
pub(crate) const SHARED_EXPERTS: Count = count("expert_shared_count", 0, 1_024);
pub(crate) const SHARED_FFN: Count = count("expert_shared_feed_forward_length", 1, 1 << 22);
pub(crate) const EXPERT_STEP: Count = count("interleave_moe_layer_step", 1, 1_024);
pub(crate) const EXPERT_PERIOD: Count = count("moe_every_n_layers", 1, 1_024);
pub(crate) const EXPERT_LATENT: Count = count("moe_latent_size", 1, 1 << 18);
pub(crate) const DENSE_LAYERS: Count = count("leading_dense_block_count", 0, 1_024);
pub(crate) const DRAFT_LAYERS: Count = count("nextn_predict_layers", 0, 1_024);
pub(crate) const Q_RANK: Count = count("attention.q_lora_rank", 0, 1 << 18);
pub(crate) const KV_RANK: Count = count("attention.kv_lora_rank", 1, 8_192);
pub(crate) const LATENT_HEAD_DIM: Count = count("attention.key_length_mla", 1, 8_192);
pub(crate) const LATENT_VALUE_DIM: Count = count("attention.value_length_mla", 1, 8_192);

pub(crate) const INDEXER_HEADS: Count = count("attention.indexer.head_count", 1, 1_024);
pub(crate) const INDEXER_HEAD_DIM: Count = count("attention.indexer.key_length", 1, 8_192);
pub(crate) const INDEXER_KEYS: Count = count("attention.indexer.top_k", 1, 1 << 20);
pub(crate) const PER_LAYER: Count = count("embedding_length_per_layer_input", 0, 1 << 16);
pub(crate) const CONVOLUTION: Count = count("ssm.conv_kernel", 2, 64);
pub(crate) const SHORT_CONVOLUTION: Count = count("shortconv.l_cache", 2, 64);
pub(crate) const STATE_INNER: Count = count("ssm.inner_size", 1, 1 << 20);
pub(crate) const STATE_SIZE: Count = count("ssm.state_size", 1, 4_096);
pub(crate) const STEP_RANK: Count = count("ssm.time_step_rank", 1, 1 << 16);
pub(crate) const STATE_GROUPS: Count = count("ssm.group_count", 1, 4_096);
pub(crate) const KEY_DELTA_DIM: Count = count("kda.head_dim", 1, 4_096);
pub(crate) const TOKEN_SHIFTS: Count = count("token_shift_count", 2, 2);
pub(crate) const WKV_DIM: Count = count("wkv.head_size", 1, 4_096);
pub(crate) const DECAY_RANK: Count = count("attention.decay_lora_rank", 1, 1 << 16);
pub(crate) const RATE_RANK: Count = count("attention.iclr_lora_rank", 1, 1 << 16);
pub(crate) const VALUE_RANK: Count = count("attention.value_residual_mix_lora_rank", 1, 1 << 16);
pub(crate) const GATE_RANK: Count = count("attention.gate_lora_rank", 1, 1 << 16);

pub(crate) const RMS_EPS: Number = above_zero("attention.layer_norm_rms_epsilon", 1.0);
pub(crate) const LAYER_EPS: Number = above_zero("attention.layer_norm_epsilon", 1.0);
pub(crate) const ATTENTION_SCALE: Number = from_zero("attention.scale", 1e4);
pub(crate) const OUTPUT_SCALE: Number = from_zero("attention.output_scale", 1e4);
pub(crate) const CLAMP_QKV: Number = above_zero("attention.clamp_kqv", 1e6);
pub(crate) const ALIBI_BIAS: Number = above_zero("attention.max_alibi_bias", 1e3);
pub(crate) const VALUE_SCALE: Number = above_zero("attention.value_scale", 1e6);
pub(crate) const QUERY_WIDTH: Number = above_zero("query_pre_attn_scalar", 1e6);
pub(crate) const ATTENTION_SOFTCAP: Number = above_zero("attn_logit_softcapping", 1e6);
pub(crate) const LOGIT_SOFTCAP: Number = above_zero("final_logit_softcapping", 1e6);
pub(crate) const LOGIT_SCALE: Number = above_zero("logit_scale", 1e6);
pub(crate) const RESIDUAL_SCALE: Number = above_zero("residual_scale", 1e6);
pub(crate) const EMBEDDING_SCALE: Number = above_zero("embedding_scale", 1e6);
pub(crate) const TEMPERATURE: Number = from_zero("attention.temperature_scale", 1e4);
pub(crate) const EXPERT_SCALE: Number = from_zero("expert_weights_scale", 1e6);
pub(crate) const ROPE_BASE: Number = Number { key: "rope.freq_base", least: 1.0, max: 1e12 };
/// 0: the base is as it stands.
pub(crate) const ROPE_ALPHA: Number = from_zero("rope.scaling.alpha", 1e9);
pub(crate) const WINDOW_ROPE_BASE: Number = Number { key: "rope.freq_base_swa", least: 1.0, max: 1e12 };
/// Their keys are whole.
pub(crate) const XIELU: [Number; 4] = [
    either_sign("xielu.alpha_p", 1e4),
    either_sign("xielu.alpha_n", 1e4),
    either_sign("xielu.beta", 1e4),
    either_sign("xielu.eps", 1.0),
];
/// 0: none.
pub(crate) const CLAMPS: [Number; 2] =
    [from_zero("swiglu_clamp_shexp", 1e30), from_zero("swiglu_clamp_exp", 1e30)];
pub(crate) const ROPE_FACTOR: Number = above_zero("rope.scaling.factor", 1e6);
pub(crate) const OLD_ROPE_FACTOR: Number = above_zero("rope.scale_linear", 1e6);
pub(crate) const ROPE_MAGNITUDE: Number = above_zero("rope.scaling.attn_factor", 1e3);
pub(crate) const WHOLE_MAGNITUDE: Number = above_zero("rope.scaling.attention_factor", 1e3);
pub(crate) const YARN_MAGNITUDE: Number = from_zero("rope.scaling.mscale", 1e3);
pub(crate) const YARN_SCORES: Number = from_zero("rope.scaling.mscale_all_dim", 1e3);
pub(crate) const YARN_FAST: Number = above_zero("rope.scaling.yarn_beta_fast", 1e6);
pub(crate) const YARN_SLOW: Number = above_zero("rope.scaling.yarn_beta_slow", 1e6);
pub(crate) const YARN_SHARE: Number = from_zero("rope.scaling.yarn_ext_factor", 1e3);
pub(crate) const YARN_LOG_MULTIPLIER: Number = from_zero("rope.scaling.yarn_log_multiplier", 1e3);
pub(crate) const LOW_FREQ_FACTOR: Number = above_zero("rope.scaling.low_freq_factor", 1e6);
pub(crate) const HIGH_FREQ_FACTOR: Number = above_zero("rope.scaling.high_freq_factor", 1e6);

impl Number {
    /// The values that can be right, in words.
    fn expected(&self) -> String {
        let Self { least, max, .. } = *self;
        match least {
            least if least > 0.0 && least < 1.0 => format!("a number above 0 to {max}"),
            least => format!("a number from {least} to {max}"),
        }
    }
}

/// Reads the metadata under one architecture's prefix.
#[derive(Debug)]
pub(crate) struct FactReader<'a> {
    source: &'a dyn TensorSource,
    pub(crate) dialect: Dialect,
}

impl<'a> FactReader<'a> {
    pub(crate) fn new(source: &'a dyn TensorSource, dialect: Dialect) -> Self {
        Self { source, dialect }
    }

    /// The file.
    pub(crate) fn source(&self) -> &'a dyn TensorSource {
        self.source
    }

    /// The whole key.
    pub(crate) fn key(&self, suffix: &str) -> String {
        self.dialect.key(self.source, suffix)
    }

    /// A whole number inside its range. A list with one value per layer is taken if all are alike.
    pub(crate) fn count(&self, fact: Count) -> Result<Option<usize>, ModelError> {
        if let Some(implied) = self.implied(fact)? {
            return Ok(Some(implied));
        }
        let key = self.key(fact.key);
        let found = match self.source.metadata(&key) {
            None => return Ok(None),
            Some(Value::Array(list)) => {
                let values = list.to_u32s().ok_or_else(|| wrong_type(&key, &list, "whole numbers"))?;
                self.layered(&key, values.len())?;
                let first = values.first().copied().unwrap_or_default();
                if values.iter().any(|value| *value != first) {
                    return Err(self.unsupported(format!("`{key}` that differs between layers")));
                }
                first
            }
            Some(_) => self.source.require_u32(&key)?,
        };
        if (fact.min..=fact.max).contains(&found) {
            return Ok(Some(found as usize));
        }
        Err(out_of_range(key, found, format!("{}..={}", fact.min, fact.max)))
    }

    /// A whole number per layer: one for all, or a list. Draft layers behind the model's own are left out. With `zero`,
    /// a layer may have none.
    pub(crate) fn per_layer(
        &self,
        fact: Count,
        zero: bool,
        layers: usize,
    ) -> Result<Option<Vec<usize>>, ModelError> {
        if let Some(implied) = self.implied(fact)? {
            return Ok(Some(vec![implied; layers]));
        }
        let key = self.key(fact.key);
        let mut values = match self.source.metadata(&key) {
            None => return Ok(None),
            Some(Value::Array(list)) => {
                let values = list.to_u32s().ok_or_else(|| wrong_type(&key, &list, "whole numbers"))?;
                self.layered(&key, values.len())?;
                values
            }
            Some(_) => vec![self.source.require_u32(&key)?; layers],
        };
        values.truncate(layers);
        let min = if zero { 0 } else { fact.min };
        match values.iter().find(|value| !(min..=fact.max).contains(value)) {
            None => Ok(Some(values.into_iter().map(|value| value as usize).collect())),
            Some(found) => Err(out_of_range(key, found, format!("{min}..={}", fact.max))),
        }
    }

    /// A whole number that the file says in another way.
    fn implied(&self, fact: Count) -> Result<Option<usize>, ModelError> {
        let Some(number) = self.dialect.implied(self.source, fact.key)? else { return Ok(None) };
        if number.fract() == 0.0 && (f64::from(fact.min)..=f64::from(fact.max)).contains(&number) {
            return Ok(Some(number as usize));
        }
        Err(out_of_range(self.key(fact.key), number, format!("{}..={}", fact.min, fact.max)))
    }

    /// A truth value per layer, if the file has the key: a list of them, or of ones and zeros. Draft layers behind the
    /// model's own are left out.
    pub(crate) fn flags_per_layer(
        &self,
        suffix: &str,
        layers: usize,
    ) -> Result<Option<Vec<bool>>, ModelError> {
        let key = self.key(suffix);
        if !self.has(&key) {
            return Ok(None);
        }
        let list = self.source.require_array(&key)?;
        self.layered(&key, list.len())?;
        let mut flags = Vec::with_capacity(list.len());
        for value in list.iter() {
            flags.push(match (value.as_bool(), value.as_i128()) {
                (Some(truth), _) => truth,
                (None, Some(number @ (0 | 1))) => number == 1,
                (None, Some(number)) => return Err(out_of_range(key, number, "0 or 1".to_owned())),
                (None, None) => return Err(wrong_type(&key, &list, "truth values")),
            });
        }
        flags.truncate(layers);
        Ok(Some(flags))
    }

    /// Whether the rotated dimensions are cut into sections: by time, height and width, and a fourth that is free.
    pub(crate) fn has_sections(&self) -> Result<bool, ModelError> {
        let key = self.key("rope.dimension_sections");
        let Some(list) = self.source.get_array(&key)? else { return Ok(false) };
        let values = list.to_u32s().ok_or_else(|| wrong_type(&key, &list, "whole numbers"))?;
        match values.len() {
            3 | 4 => Ok(values.iter().any(|value| *value > 0)),
            len => Err(out_of_range(key, format!("a list of {len}"), "3 or 4 numbers".to_owned())),
        }
    }

    /// Whether a key has a list for its value.
    pub(crate) fn is_list(&self, suffix: &str) -> bool {
        self.source.metadata(&self.key(suffix)).is_some_and(|value| value.as_array().is_some())
    }

    /// The kinds of a checkpoint's layers (`layer_types`): whether each is of this kind, and not of the other.
    pub(crate) fn layers_of(
        &self,
        kind: &str,
        other: &str,
        layers: usize,
    ) -> Result<Option<Vec<bool>>, ModelError> {
        let key = self.key("layer_types");
        if !self.dialect.is_json() || !self.has(&key) {
            return Ok(None);
        }
        let list = self.source.require_array(&key)?;
        self.layered(&key, list.len())?;
        let mut flags = Vec::with_capacity(list.len());
        for value in list.iter() {
            match value.as_str() {
                Some(found) if found == kind || found == other => flags.push(found == kind),
                Some(found) => {
                    let shown: String = found.chars().take(64).collect();
                    return Err(out_of_range(key, format!("{shown:?}"), format!("{kind} or {other}")));
                }
                None => return Err(wrong_type(&key, &list, "words")),
            }
        }
        flags.truncate(layers);
        Ok(Some(flags))
    }

    /// A float per layer: one for all, or a list. `key` is whole, and the fact's range holds.
    pub(crate) fn floats_per_layer(
        &self,
        key: &str,
        fact: Number,
        layers: usize,
    ) -> Result<Vec<f32>, ModelError> {
        let values = match self.source.metadata(key) {
            Some(Value::Array(list)) => {
                self.layered(key, list.len())?;
                let values: Option<Vec<f32>> = list.iter().map(|value| value.as_f32()).collect();
                values.ok_or_else(|| wrong_type(key, &list, "floats"))?
            }
            _ => vec![self.source.require_f32(key)?; layers],
        };
        match values.iter().find(|value| !(fact.least..=fact.max).contains(*value)) {
            None => Ok(values),
            Some(found) => Err(out_of_range(key.to_owned(), found, fact.expected())),
        }
    }

    /// Whether the file has the key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.source.metadata(key).is_some()
    }

    /// Checks how many values of a head rotate, and tells which facts say so.
    pub(crate) fn rotated(
        &self,
        (fact, dim): (Count, usize),
        (width, head_dim): (Count, usize),
    ) -> Result<(), ModelError> {
        if dim > head_dim {
            let (rotated, width) = ((fact.key, dim), (width.key, head_dim));
            return Err(self.disagree(rotated, width, "no more dimensions can be rotated than a head has"));
        }
        if !dim.is_multiple_of(2) {
            return Err(out_of_range(self.key(fact.key), dim, "an even number".to_owned()));
        }
        Ok(())
    }

    /// As [`Self::count`] for a key that must be there.
    pub(crate) fn require_count(&self, fact: Count) -> Result<usize, ModelError> {
        self.count(fact)?.ok_or_else(|| self.missing(fact.key))
    }

    /// A float inside its range.
    pub(crate) fn number(&self, fact: Number) -> Result<Option<f32>, ModelError> {
        let whole = |value: Value<'_>| value.as_i128().map(|number| number as f32);
        let implied = self.dialect.implied(self.source, fact.key)?.map(|number| number as f32);
        let found = match implied {
            Some(_) => implied,
            None => {
                let key = self.key(fact.key);
                match self.source.metadata(&key) {
                    // JSON has one kind of number.
                    Some(value) if self.dialect.is_json() && whole(value).is_some() => whole(value),
                    _ => self.source.get_f32(&key)?,
                }
            }
        };
        match found {
            None => Ok(None),
            Some(found) if found >= fact.least && found <= fact.max => Ok(Some(found)),
            Some(found) => Err(out_of_range(self.key(fact.key), found, fact.expected())),
        }
    }

    /// As [`Self::number`] for a key that must be there.
    pub(crate) fn require_number(&self, fact: Number) -> Result<f32, ModelError> {
        self.number(fact)?.ok_or_else(|| self.missing(fact.key))
    }

    /// A truth value.
    pub(crate) fn flag(&self, suffix: &str) -> Result<Option<bool>, ModelError> {
        Ok(self.source.get_bool(&self.key(suffix))?)
    }

    /// A word.
    pub(crate) fn word(&self, suffix: &str) -> Result<Option<&'a str>, ModelError> {
        Ok(self.source.get_str(&self.key(suffix))?)
    }

    /// The error for two keys whose values cannot both be right.
    pub(crate) fn disagree(
        &self,
        (key, value): (&str, usize),
        (other, other_value): (&str, usize),
        rule: &'static str,
    ) -> ModelError {
        ModelError::Disagree {
            key: self.key(key),
            value: value.to_string(),
            other: self.key(other),
            other_value: other_value.to_string(),
            rule,
        }
    }

    /// The error for something that this crate does not do for this architecture.
    pub(crate) fn unsupported(&self, what: String) -> ModelError {
        ModelError::Unsupported { architecture: self.dialect.arch.name, what }
    }

    /// The error for a key that must be there.
    pub(crate) fn missing(&self, suffix: &str) -> ModelError {
        FormatError::MissingKey { key: self.key(suffix) }.into()
    }

    fn layered(&self, key: &str, len: usize) -> Result<(), ModelError> {
        let layers_key = self.key(LAYERS.key);
        let layers = self.source.require_u32(&layers_key)? as usize;
        if len == layers {
            return Ok(());
        }
        Err(ModelError::Disagree {
            key: key.to_owned(),
            value: format!("a list of {len}"),
            other: layers_key,
            other_value: layers.to_string(),
            rule: "one value per layer is needed",
        })
    }
}

/// The error for a value outside its range.
pub(crate) fn out_of_range(key: String, found: impl Display, expected: String) -> ModelError {
    ModelError::OutOfRange { key, found: found.to_string(), expected }
}

fn wrong_type(key: &str, found: &impl std::fmt::Debug, expected: &'static str) -> ModelError {
    FormatError::WrongType { key: key.to_owned(), found: format!("{found:?}"), expected }.into()
}
