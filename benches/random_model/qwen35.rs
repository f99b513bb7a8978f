//! The shape of a hybrid of about a billion weights: three layers of a delta rule for each layer of attention.

use std::error::Error;

use realizar_format::{GgufWriter, PackedArray, Value};

use super::vocabulary::{self, Vocabulary};
use super::{Part, Values};

/// The facts of one shape of the `qwen35` architecture.
#[derive(Debug, Clone)]
pub(super) struct Qwen35 {
    pub(super) name: &'static str,
    hidden: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    head_dim: usize,
    ffn: usize,
    vocab: usize,
    /// Heads of the recurrent layers, and the width of each.
    groups: usize,
    state: usize,
    /// Positions that the convolution looks at.
    kernel: usize,
}

/// The shapes, smallest first.
pub(super) const QWENS: &[Qwen35] = &[
    Qwen35 {
        name: "qwen35-tiny",
        hidden: 256,
        layers: 4,
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        ffn: 512,
        vocab: 1024,
        groups: 4,
        state: 64,
        kernel: 4,
    },
    Qwen35 {
        name: "qwen35-1b",
        hidden: 2048,
        layers: 16,
        heads: 16,
        kv_heads: 4,
        head_dim: 128,
        ffn: 5632,
        vocab: 128_256,
        groups: 16,
        state: 128,
        kernel: 4,
    },
];

/// Every fourth layer is attention.
const INTERVAL: usize = 4;

impl Qwen35 {
    /// Every tensor, in the order of the file.
    pub(super) fn parts(&self) -> Vec<Part> {
        let (hidden, inner) = (self.hidden, self.groups * self.state);
        let (queries, keys) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut parts = Vec::new();
        parts.push(Part {
            name: "token_embd.weight".to_owned(),
            dims: vec![self.vocab, hidden],
            values: Values::Normal(0.02),
        });
        for layer in 0..self.layers {
            let name = |part: &str| format!("blk.{layer}.{part}");
            let weight = |part: &str| format!("blk.{layer}.{part}.weight");
            parts.push(Part::gain(weight("attn_norm"), hidden));
            parts.push(Part::gain(weight("post_attention_norm"), hidden));
            if (layer + 1) % INTERVAL == 0 {
                // Queries, each beside its gate.
                parts.push(Part::matrix(weight("attn_q"), 2 * queries, hidden));
                parts.push(Part::matrix(weight("attn_k"), keys, hidden));
                parts.push(Part::matrix(weight("attn_v"), keys, hidden));
                parts.push(Part::matrix(weight("attn_output"), hidden, queries));
                parts.push(Part::gain(weight("attn_q_norm"), self.head_dim));
                parts.push(Part::gain(weight("attn_k_norm"), self.head_dim));
            } else {
                parts.push(Part::matrix(weight("attn_qkv"), 3 * inner, hidden));
                parts.push(Part::matrix(weight("attn_gate"), inner, hidden));
                let values = Values::Around { middle: 0.0, deviation: 0.3 };
                parts.push(Part { name: weight("ssm_conv1d"), dims: vec![3 * inner, self.kernel], values });
                let values = Values::Around { middle: -2.0, deviation: 0.5 };
                parts.push(Part { name: name("ssm_dt.bias"), dims: vec![self.groups], values });
                // Decay: below zero.
                let values = Values::Around { middle: -4.0, deviation: 0.5 };
                parts.push(Part { name: name("ssm_a"), dims: vec![self.groups], values });
                parts.push(Part::matrix(weight("ssm_alpha"), self.groups, hidden));
                parts.push(Part::matrix(weight("ssm_beta"), self.groups, hidden));
                parts.push(Part::gain(weight("ssm_norm"), self.state));
                parts.push(Part::matrix(weight("ssm_out"), hidden, inner));
            }
            parts.push(Part::matrix(weight("ffn_gate"), self.ffn, hidden));
            parts.push(Part::matrix(weight("ffn_up"), self.ffn, hidden));
            parts.push(Part::matrix(weight("ffn_down"), hidden, self.ffn));
        }
        parts.push(Part::gain("output_norm.weight".to_owned(), hidden));
        parts
    }

    /// Writes the metadata: the numbers of the architecture, and a vocabulary.
    pub(super) fn describe(&self, head: &mut GgufWriter) -> Result<(), Box<dyn Error>> {
        head.metadata("general.architecture", Value::from("qwen35"))?;
        head.metadata("general.name", Value::from(format!("random {}", self.name).as_str()))?;
        for (key, number) in [
            ("block_count", self.layers),
            ("context_length", 4096),
            ("embedding_length", self.hidden),
            ("feed_forward_length", self.ffn),
            ("attention.head_count", self.heads),
            ("attention.head_count_kv", self.kv_heads),
            ("attention.key_length", self.head_dim),
            ("attention.value_length", self.head_dim),
            ("rope.dimension_count", self.head_dim / 4),
            ("full_attention_interval", INTERVAL),
            ("ssm.conv_kernel", self.kernel),
            ("ssm.state_size", self.state),
            ("ssm.group_count", self.groups),
            ("ssm.time_step_rank", self.groups),
            ("ssm.inner_size", self.groups * self.state),
            ("vocab_size", self.vocab),
        ] {
            head.metadata(&format!("qwen35.{key}"), Value::U32(u32::try_from(number)?))?;
        }
        // Pairs that turn by time, height and width; text has the same position in all.
        let pairs = i32::try_from(self.head_dim / 8)?;
        let third = (pairs + 1) / 3;
        let sections = PackedArray::i32s([third, third, pairs - 2 * third, 0]);
        head.metadata("qwen35.rope.dimension_sections", Value::Array(sections.as_array()))?;
        head.metadata("qwen35.attention.layer_norm_rms_epsilon", Value::F32(1e-6))?;
        head.metadata("qwen35.rope.freq_base", Value::F32(1e7))?;
        vocabulary::describe(Vocabulary::BytePairs, self.vocab, head)
    }
}
