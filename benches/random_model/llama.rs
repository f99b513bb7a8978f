//! Shapes of the `llama` architecture: their tensors and what their files say.

use std::error::Error;

use realizar_format::{GgufWriter, Value};

use super::vocabulary::{self, Vocabulary};
use super::{Part, Values};

/// The facts of one shape.
#[derive(Debug, Clone)]
pub(super) struct Llama {
    pub(super) name: &'static str,
    hidden: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    head_dim: usize,
    ffn: usize,
    vocab: usize,
    context: u32,
    rope_base: f32,
    /// The embeddings are the output matrix too.
    tied: bool,
    /// Rotary angles are stretched as in Llama 3.
    stretched: bool,
    vocabulary: Vocabulary,
}

/// The shapes, smallest first. `tiny` is for trying things out.
pub(super) const LLAMAS: &[Llama] = &[
    Llama {
        name: "tiny",
        hidden: 256,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        ffn: 512,
        vocab: 512,
        context: 512,
        rope_base: 10_000.0,
        tied: false,
        stretched: false,
        vocabulary: Vocabulary::SentencePiece,
    },
    Llama {
        name: "tinyllama-1.1b",
        hidden: 2048,
        layers: 22,
        heads: 32,
        kv_heads: 4,
        head_dim: 64,
        ffn: 5632,
        vocab: 32_000,
        context: 2048,
        rope_base: 10_000.0,
        tied: false,
        stretched: false,
        vocabulary: Vocabulary::SentencePiece,
    },
    Llama {
        name: "llama-3.2-1b",
        hidden: 2048,
        layers: 16,
        heads: 32,
        kv_heads: 8,
        head_dim: 64,
        ffn: 8192,
        vocab: 128_256,
        context: 131_072,
        rope_base: 500_000.0,
        tied: true,
        stretched: true,
        vocabulary: Vocabulary::BytePairs,
    },
    Llama {
        name: "llama-3.2-3b",
        hidden: 3072,
        layers: 28,
        heads: 24,
        kv_heads: 8,
        head_dim: 128,
        ffn: 8192,
        vocab: 128_256,
        context: 131_072,
        rope_base: 500_000.0,
        tied: true,
        stretched: true,
        vocabulary: Vocabulary::BytePairs,
    },
];

impl Llama {
    /// Every tensor, in the order of the file. Weights are scaled so that activations keep their size.
    pub(super) fn parts(&self) -> Vec<Part> {
        let (queries, keys) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut parts = Vec::new();
        parts.push(Part {
            name: "token_embd.weight".to_owned(),
            dims: vec![self.vocab, self.hidden],
            values: Values::Normal(0.02),
        });
        if self.stretched {
            let values = Values::Stretch { base: self.rope_base };
            parts.push(Part { name: "rope_freqs.weight".to_owned(), dims: vec![self.head_dim / 2], values });
        }
        for layer in 0..self.layers {
            let name = |part: &str| format!("blk.{layer}.{part}.weight");
            parts.push(Part::gain(name("attn_norm"), self.hidden));
            parts.push(Part::matrix(name("attn_q"), queries, self.hidden));
            parts.push(Part::matrix(name("attn_k"), keys, self.hidden));
            parts.push(Part::matrix(name("attn_v"), keys, self.hidden));
            parts.push(Part::matrix(name("attn_output"), self.hidden, queries));
            parts.push(Part::gain(name("ffn_norm"), self.hidden));
            parts.push(Part::matrix(name("ffn_gate"), self.ffn, self.hidden));
            parts.push(Part::matrix(name("ffn_up"), self.ffn, self.hidden));
            parts.push(Part::matrix(name("ffn_down"), self.hidden, self.ffn));
        }
        parts.push(Part::gain("output_norm.weight".to_owned(), self.hidden));
        if !self.tied {
            parts.push(Part::matrix("output.weight".to_owned(), self.vocab, self.hidden));
        }
        parts
    }

    /// Writes the metadata: the numbers of the architecture, and a vocabulary.
    pub(super) fn describe(&self, head: &mut GgufWriter) -> Result<(), Box<dyn Error>> {
        head.metadata("general.architecture", Value::from("llama"))?;
        head.metadata("general.name", Value::from(format!("random {}", self.name).as_str()))?;
        for (key, number) in [
            ("block_count", self.layers),
            ("context_length", self.context as usize),
            ("embedding_length", self.hidden),
            ("feed_forward_length", self.ffn),
            ("attention.head_count", self.heads),
            ("attention.head_count_kv", self.kv_heads),
            ("attention.key_length", self.head_dim),
            ("attention.value_length", self.head_dim),
            ("rope.dimension_count", self.head_dim),
            ("vocab_size", self.vocab),
        ] {
            head.metadata(&format!("llama.{key}"), Value::U32(u32::try_from(number)?))?;
        }
        head.metadata("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5))?;
        head.metadata("llama.rope.freq_base", Value::F32(self.rope_base))?;
        vocabulary::describe(self.vocabulary, self.vocab, head)
    }
}
