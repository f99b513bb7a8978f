//! Tensor names of the GGUF convention.

pub(crate) const TOKEN_EMBEDDING: &str = "token_embd.weight";
pub(crate) const OUTPUT: &str = "output.weight";
pub(crate) const OUTPUT_BIAS: &str = "output.bias";
pub(crate) const POOLED: [&str; 2] = ["dense_2.weight", "dense_3.weight"];
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

/// A factor on the results of a block's part.
pub(crate) fn scale(layer: usize, part: &str) -> String {
    format!("blk.{layer}.{part}.scale")
}

/// A block's part whose name has no ending.
pub(crate) fn bare(layer: usize, part: &str) -> String {
    format!("blk.{layer}.{part}")
}
