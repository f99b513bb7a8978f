//! How a file names things: by the GGUF convention, or as Hugging Face checkpoints and `.apr` files do.
//!
//! Everything else in this crate speaks GGUF's names. A [`Dialect`] turns them into those of the file, so that errors
//! name what the user can find there.

use realizar_format::{Format, TensorSource};
use realizar_tensor::PairOrder;

use crate::arch::{ARCHITECTURES, ArchFacts, MISSING};
use crate::error::ModelError;
use crate::hf::{Counts, FAMILIES, Family, Form, MadeTensor, Numbers, architecture_of};

/// How one file names metadata and tensors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    pub(crate) arch: &'static ArchFacts,
    /// What stands before a key; `None`: keys are GGUF's.
    keys: Option<&'static str>,
    /// The family whose tensor names the file has, and their stem; `None`: names are GGUF's.
    family: Option<(&'static Family, &'static str)>,
    /// Which dimensions rotate together, where the file says so.
    pairs: Option<PairOrder>,
}

/// Keys of `config.json` and of `.apr` files for those of GGUF; the first that the file has counts.
const KEYS: &[(&str, &[&str])] = &[
    ("block_count", &["num_hidden_layers", "num_layers", "n_layers", "n_layer"]),
    ("context_length", &["max_position_embeddings", "n_positions", "max_seq_len", "context_length", "n_ctx"]),
    ("embedding_length", &["hidden_size", "hidden_dim", "d_model", "n_embd"]),
    (
        "feed_forward_length",
        &["intermediate_size", "intermediate_dim", "ffn_dim", "n_inner", "ffn_hidden_size"],
    ),
    ("attention.head_count", &["num_attention_heads", "num_heads", "n_heads", "n_head"]),
    ("attention.head_count_kv", &["num_key_value_heads", "num_kv_heads", "n_kv_heads"]),
    ("attention.key_length", &["head_dim"]),
    (
        "attention.layer_norm_rms_epsilon",
        &["rms_norm_eps", "layer_norm_eps", "norm_eps", "layer_norm_epsilon"],
    ),
    ("attention.layer_norm_epsilon", &["layer_norm_eps", "norm_epsilon", "norm_eps", "layer_norm_epsilon"]),
    ("attention.sliding_window", &["sliding_window"]),
    ("attention.scale", &["attention_multiplier"]),
    (
        "attention.temperature_scale",
        &[
            "rope_scaling.llama_4_scaling_beta",
            "rope_parameters.llama_4_scaling_beta",
            "attention.temperature_scale",
        ],
    ),
    ("embedding_scale", &["embedding_multiplier"]),
    ("residual_scale", &["residual_multiplier"]),
    ("logit_scale", &["logits_scaling", "logit_scale"]),
    ("vocab_size", &["vocab_size", "n_vocab"]),
    ("expert_count", &["num_experts", "num_local_experts", "n_routed_experts"]),
    ("expert_used_count", &["num_experts_per_tok", "experts_per_token"]),
    ("expert_feed_forward_length", &["moe_intermediate_size"]),
    ("expert_shared_feed_forward_length", &["shared_expert_intermediate_size"]),
    ("expert_shared_count", &["n_shared_experts"]),
    ("expert_group_count", &["n_group"]),
    ("expert_group_used_count", &["topk_group"]),
    ("expert_weights_norm", &["norm_topk_prob"]),
    ("expert_weights_scale", &["routed_scaling_factor"]),
    ("leading_dense_block_count", &["first_k_dense_replace"]),
    ("attention.q_lora_rank", &["q_lora_rank"]),
    ("attention.kv_lora_rank", &["kv_lora_rank"]),
    ("attention.value_length_mla", &["v_head_dim"]),
    ("rope.dimension_count", &["qk_rope_head_dim"]),
    (
        "partial_rotary_factor",
        &[
            "partial_rotary_factor",
            "rotary_pct",
            "rotary_emb_fraction",
            "rope_parameters.partial_rotary_factor",
        ],
    ),
    (
        "rope.freq_base",
        &[
            "rope_theta",
            "rotary_emb_base",
            "rope_parameters.rope_theta",
            "rope_parameters.full_attention.rope_theta",
        ],
    ),
    ("rope.freq_base_swa", &["rope_local_base_freq", "rope_parameters.sliding_attention.rope_theta"]),
    (
        "rope.scaling.type",
        &[
            "rope_scaling.rope_type",
            "rope_scaling.type",
            "rope_parameters.rope_type",
            "rope_parameters.full_attention.rope_type",
        ],
    ),
    (
        "rope.scaling.factor",
        &["rope_scaling.factor", "rope_parameters.factor", "rope_parameters.full_attention.factor"],
    ),
    ("rope.scaling.attention_factor", &["rope_scaling.attention_factor", "rope_parameters.attention_factor"]),
    // DeepSeek's checkpoints say ten times the number: see what their class implies.
    (
        "rope.scaling.yarn_log_multiplier",
        &[
            "rope_scaling.mscale_all_dim",
            "rope_parameters.mscale_all_dim",
            "rope.scaling.yarn_log_multiplier",
        ],
    ),
    ("rope.scaling.mscale", &["rope_scaling.mscale", "rope_parameters.mscale"]),
    ("rope.scaling.mscale_all_dim", &["rope_scaling.mscale_all_dim", "rope_parameters.mscale_all_dim"]),
    ("rope.scaling.truncate", &["rope_scaling.truncate", "rope_parameters.truncate"]),
    ("rope.scaling.long_factor", &["rope_scaling.long_factor", "rope_parameters.long_factor"]),
    ("rope.scaling.short_factor", &["rope_scaling.short_factor", "rope_parameters.short_factor"]),
    (
        "rope.scaling.original_context_length",
        &[
            "rope_scaling.original_max_position_embeddings",
            "rope_parameters.original_max_position_embeddings",
            "original_max_position_embeddings",
        ],
    ),
    ("rope.scaling.low_freq_factor", &["rope_scaling.low_freq_factor", "rope_parameters.low_freq_factor"]),
    ("rope.scaling.high_freq_factor", &["rope_scaling.high_freq_factor", "rope_parameters.high_freq_factor"]),
    ("rope.scaling.yarn_beta_fast", &["rope_scaling.beta_fast", "rope_parameters.beta_fast"]),
    ("rope.scaling.yarn_beta_slow", &["rope_scaling.beta_slow", "rope_parameters.beta_slow"]),
];

impl Dialect {
    /// Finds the architecture and how the file names things.
    pub(crate) fn of(source: &dyn TensorSource) -> Result<Self, ModelError> {
        const GGUF: &str = "general.architecture";
        const CLASSES: &str = "config.architectures";
        if source.metadata(GGUF).is_none() && source.format() == Format::Apr {
            return Self::apr(source);
        }
        if source.metadata(GGUF).is_none()
            && let Some(classes) = source.get_array(CLASSES)?
        {
            let class = classes.iter().next().and_then(|class| class.as_str()).unwrap_or_default();
            // A class with eyes may have a language part of one of several kinds.
            let inner = source.get_str("config.text_config.model_type")?;
            let kind = inner.or(source.get_str("config.model_type")?);
            let mut of_class = FAMILIES.iter().filter(|family| family.classes.contains(&class));
            let of_kind =
                of_class.clone().find(|family| kind.is_some_and(|kind| family.model_types.contains(&kind)));
            let Some(family) = of_kind.or_else(|| of_class.next()) else {
                if let Some(architecture) = architecture_of(class) {
                    let found = format!("{class:?}");
                    return Err(ModelError::NeedsGguf { key: CLASSES, found, architecture });
                }
                let known = FAMILIES.iter().flat_map(|family| family.classes.iter().copied()).collect();
                return Err(unknown(CLASSES, class, known));
            };
            let stem = family.stem(source).or(family.stems.first().copied()).unwrap_or_default();
            // A model with eyes keeps the numbers of its language part apart.
            let nested = source.get_u32("config.text_config.hidden_size")?.is_some();
            let prefix = if nested { "config.text_config." } else { "config." };
            return Ok(Self {
                arch: family.facts,
                keys: Some(prefix),
                family: Some((family, stem)),
                pairs: None,
            });
        }
        let found = source.require_str(GGUF)?;
        if let Some((architecture, what)) = MISSING.iter().copied().find(|(name, _)| *name == found) {
            return Err(ModelError::NotYet { architecture, what });
        }
        let arch = ArchFacts::find(found).ok_or_else(|| unknown(GGUF, found, names()))?;
        Ok(Self { arch, keys: None, family: None, pairs: None })
    }

    /// An `.apr` file has keys of its own, and tensors by either convention.
    fn apr(source: &dyn TensorSource) -> Result<Self, ModelError> {
        const KEYS: [&str; 3] = ["architecture", "hf_model_type", "model_type"];
        let key = KEYS.into_iter().find(|key| source.metadata(key).is_some()).unwrap_or(KEYS[0]);
        let found = source.require_str(key)?;
        let family = FAMILIES.iter().find(|family| family.model_types.contains(&found));
        let arch = family.map(|family| family.facts).or(ArchFacts::find(found));
        let pairs = match source.get_u32("rope_type")? {
            Some(0) => Some(PairOrder::Adjacent),
            Some(2) => Some(PairOrder::Halves),
            _ => None,
        };
        Ok(Self {
            arch: arch.ok_or_else(|| unknown(key, found, names()))?,
            keys: Some(""),
            family: family.and_then(|family| Some((family, family.stem(source)?))),
            pairs,
        })
    }

    /// Whether the metadata is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.keys.is_some()
    }

    /// The key for what GGUF calls `ARCHITECTURE.suffix`.
    pub(crate) fn key(&self, source: &dyn TensorSource, suffix: &str) -> String {
        let Some(prefix) = self.keys else { return format!("{}.{suffix}", self.arch.name) };
        let names = KEYS.iter().find(|(ours, _)| *ours == suffix).map(|(_, theirs)| *theirs);
        let mut keys = names.unwrap_or_default().iter().map(|name| format!("{prefix}{name}"));
        // What has no other name there has the same one, as most newer facts do.
        let first = keys.next().unwrap_or_else(|| format!("{prefix}{suffix}"));
        if source.metadata(&first).is_some() {
            return first;
        }
        keys.find(|key| source.metadata(key).is_some()).unwrap_or(first)
    }

    /// A number that the file says in another way than by one key, or that its class implies.
    pub(crate) fn implied(&self, source: &dyn TensorSource, suffix: &str) -> Result<Option<f64>, ModelError> {
        let Some(((family, _), prefix)) = self.family.zip(self.keys) else { return Ok(None) };
        Numbers::implied(source, prefix, family, suffix)
    }

    /// Whether a checkpoint gives a list of numbers.
    pub(crate) fn has_list(&self, source: &dyn TensorSource, suffix: &str) -> Result<bool, ModelError> {
        Ok(self.is_json() && source.get_array(&self.key(source, suffix))?.is_some())
    }

    /// A truth value of a checkpoint that makes it something else than its class is as a rule: the key, and what it
    /// must be.
    pub(crate) fn odd(&self, source: &dyn TensorSource) -> Result<Option<(String, bool)>, ModelError> {
        let Some(((family, _), prefix)) = self.family.zip(self.keys) else { return Ok(None) };
        for &(key, must) in family.only {
            let key = format!("{prefix}{key}");
            if source.get_bool(&key)?.is_some_and(|found| found != must) {
                return Ok(Some((key, must)));
            }
        }
        Ok(None)
    }

    /// The tensor for what GGUF calls `name`; where it must be made, the first that it is made from.
    pub(crate) fn tensor(&self, name: &str) -> String {
        let Some((family, stem)) = self.family else { return name.to_owned() };
        match family.form(stem, name) {
            Some((form, stem)) => form.first_name(&stem),
            None => family.tensor(stem, name),
        }
    }

    /// Whether the file has what GGUF calls `name`.
    pub(crate) fn has(&self, source: &dyn TensorSource, name: &str) -> bool {
        match self.form(name) {
            Some((form, stem)) => form.is_there(source, &stem),
            None => source.tensor(&self.tensor(name)).is_some(),
        }
    }

    /// What GGUF calls `name`, if the file has it in another form: made, in memory of its own. An error names the
    /// tensor of the file that is missing or does not fit.
    pub(crate) fn made(
        &self,
        source: &dyn TensorSource,
        name: &str,
        counts: Counts,
    ) -> Option<Result<MadeTensor, String>> {
        let (form, stem) = self.form(name)?;
        Some(form.make(source, &stem, counts))
    }

    /// How many matrices of it can be [made one by one](Self::made_matrix), if they can.
    pub(crate) fn matrices(&self, source: &dyn TensorSource, name: &str) -> Option<usize> {
        let (form, stem) = self.form(name)?;
        form.matrices(source, &stem)
    }

    /// As [`made`](Self::made), of one matrix of a stack: the others take no memory.
    pub(crate) fn made_matrix(
        &self,
        source: &dyn TensorSource,
        name: &str,
        counts: Counts,
        number: usize,
    ) -> Option<Result<MadeTensor, String>> {
        let (form, stem) = self.form(name)?;
        Some(form.make_one(source, &stem, counts, number))
    }

    fn form(&self, name: &str) -> Option<(&'static Form, String)> {
        let (family, stem) = self.family?;
        family.form(stem, name)
    }

    /// What GGUF calls the tensors that the file may have, in a model of so many layers.
    pub(crate) fn candidates(&self, source: &dyn TensorSource, layers: usize) -> Vec<String> {
        match self.family {
            Some((family, _)) => family.candidates(layers),
            None => source.tensors().map(|tensor| tensor.name.to_owned()).collect(),
        }
    }

    /// Which dimensions rotate together: a GGUF file of some architectures has its rows in another order than the
    /// checkpoint it was made from.
    pub(crate) fn pairs(&self, pairs: PairOrder) -> PairOrder {
        self.pairs.unwrap_or(self.family.map_or(pairs, |(family, _)| family.pairs))
    }

    /// What must be added to the gains of the norms.
    pub(crate) fn gain_offset(&self) -> f32 {
        self.family.map_or(0.0, |(family, _)| family.gain_offset)
    }

    /// What `hidden_act` may be; anything else, and the file is not what we take it for. Empty: it is not looked at.
    pub(crate) fn activations(&self) -> &'static [&'static str] {
        self.family.map_or(&[], |(family, _)| family.activations)
    }
}

/// The key of `config.json` for what GGUF calls `suffix`.
pub(crate) fn json_key(suffix: &str) -> String {
    let known = KEYS.iter().find(|(ours, _)| *ours == suffix).and_then(|(_, theirs)| theirs.first());
    known.copied().unwrap_or(suffix).to_owned()
}

fn names() -> Vec<&'static str> {
    ARCHITECTURES.iter().map(|facts| facts.name).collect()
}

fn unknown(key: &'static str, found: &str, supported: Vec<&'static str>) -> ModelError {
    let shown: String = found.chars().take(64).collect();
    ModelError::UnknownArchitecture { key, found: format!("{shown:?}"), supported }
}
