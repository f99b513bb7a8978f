//! What the classes of checkpoints imply, or say in another way than by one key: GGUF's key and the number.

use super::Numbers;

/// Everything is said by keys.
pub(super) fn nothing(_: &Numbers<'_>, _: &str) -> Option<f64> {
    None
}

/// What the class says where the files of the larger models, with their pictures, say nothing.
pub(super) fn gemma3(numbers: &Numbers<'_>, key: &str) -> Option<f64> {
    let (theirs, number) = match key {
        "attention.head_count" => ("num_attention_heads", 8.0),
        "attention.head_count_kv" => ("num_key_value_heads", 4.0),
        "attention.key_length" => ("head_dim", 256.0),
        "context_length" => ("max_position_embeddings", 131_072.0),
        "attention.layer_norm_rms_epsilon" => ("rms_norm_eps", 1e-6),
        "rope.freq_base"
            if !numbers.has("rope_theta") && !numbers.has("rope_parameters.full_attention.rope_theta") =>
        {
            ("rope_theta", 1e6)
        }
        _ => return None,
    };
    if numbers.has(theirs) { None } else { Some(number) }
}

/// Four times the width, where nothing else is said.
pub(super) fn gpt2(numbers: &Numbers<'_>, key: &str) -> Option<f64> {
    let own = |theirs| numbers.has(theirs);
    match key {
        "feed_forward_length" if !own("n_inner") => Some(4.0 * numbers.number("n_embd")?),
        _ => None,
    }
}

/// The number of key heads is one unless the newer structure is used, whatever `num_kv_heads` says.
pub(super) fn falcon(numbers: &Numbers<'_>, key: &str) -> Option<f64> {
    match key {
        "attention.head_count_kv" if numbers.is_true("new_decoder_architecture") => {
            numbers.number("num_kv_heads").or_else(|| numbers.number("n_head_kv"))
        }
        "attention.head_count_kv" if numbers.is_true("multi_query") => Some(1.0),
        "attention.head_count_kv" => {
            numbers.number("num_attention_heads").or_else(|| numbers.number("n_head"))
        }
        "feed_forward_length" => {
            let four_times = || numbers.number("hidden_size").map(|hidden| 4.0 * hidden);
            numbers.number("ffn_hidden_size").or_else(four_times)
        }
        "context_length" if !numbers.has("max_position_embeddings") => Some(2048.0),
        _ => None,
    }
}

/// Ways to choose experts: all of them together, by groups, and by groups with a learned bias.
const CHOICES: &[&str] = &["greedy", "group_limited_greedy", "noaux_tc"];

/// Widths that are said in parts, and the factor of the rotation in another unit.
pub(super) fn latent(numbers: &Numbers<'_>, key: &str) -> Option<f64> {
    match key {
        "attention.key_length_mla" => {
            Some(numbers.number("qk_nope_head_dim")? + numbers.number("qk_rope_head_dim")?)
        }
        // Whatever the number of groups is.
        "expert_group_count" if numbers.word("topk_method", CHOICES) == Some("greedy") => Some(1.0),
        // They are one head in the latent space, and their number says nothing.
        "attention.head_count_kv" => Some(1.0),
        "rope.scaling.yarn_log_multiplier" => {
            let factor = numbers.factor("rope_scaling.mscale_all_dim");
            factor.or_else(|| numbers.factor("rope_parameters.mscale_all_dim")).map(|factor| factor / 10.0)
        }
        _ => None,
    }
}

/// As [`latent`], with scores by a sigmoid.
pub(super) fn latent_sigmoid(numbers: &Numbers<'_>, key: &str) -> Option<f64> {
    if key == "expert_gating_func" { Some(2.0) } else { latent(numbers, key) }
}

/// The first positions belong to padding.
pub(super) fn roberta(numbers: &Numbers<'_>, key: &str) -> Option<f64> {
    match key {
        "context_length" => Some(
            numbers.number("max_position_embeddings")? - 1.0 - numbers.number("pad_token_id").unwrap_or(1.0),
        ),
        _ => None,
    }
}

/// Names that mean something else elsewhere.
pub(super) fn distilbert(numbers: &Numbers<'_>, key: &str) -> Option<f64> {
    match key {
        "embedding_length" => numbers.number("dim"),
        "feed_forward_length" => numbers.number("hidden_dim"),
        "attention.layer_norm_epsilon" => Some(1e-12),
        _ => None,
    }
}
