//! Tensor names of the GGUF convention.

pub(crate) const TOKEN_EMBEDDING: &str = "token_embd.weight";
pub(crate) const OUTPUT: &str = "output.weight";
pub(crate) const OUTPUT_BIAS: &str = "output.bias";
pub(crate) const POSITIONS: &str = "position_embd.weight";
pub(crate) const TOKEN_TYPES: &str = "token_types.weight";
pub(crate) const ROPE_FACTORS: &str = "rope_freqs.weight";
pub(crate) const ROPE_FACTORS_LONG: &str = "rope_factors_long.weight";
pub(crate) const ROPE_FACTORS_SHORT: &str = "rope_factors_short.weight";

/// The weight of a block's part.
pub(crate) fn weight(layer: usize, part: &str) -> String {
    format!("blk.{layer}.{part}.weight")
}

/// The bias of a block's part.
pub(crate) fn bias(layer: usize, part: &str) -> String {
    format!("blk.{layer}.{part}.bias")
}
