//! The tiny model by which small engines like to state their speed: 100 tokens, width 32, one head, two layers.
//!
//! It is built in memory as a GGUF file of the `llama` architecture with f32 weights and goes the way of every model
//! from there: parsed, checked, loaded, run in a session. The shape is that of an older engine whose figures are quoted
//! with it. That one computes 8192 multiply-adds per layer and position (a feed-forward of two matrices, biases);
//! this one 10240 (a gated feed-forward of three), so it does a fifth more in all. Its weights are zero; these are not.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use realizar_format::{GgufWriter, Shape, Value};
use realizar_model::{Model, Session, SessionOptions, Span, Want};
use realizar_quant::DType;
use realizar_sample::argmax;
use realizar_tensor::{Kernels, KvType, Pool};

use crate::Seeded;

/// The prompt that goes with the model.
pub const PROMPT: [u32; 3] = [1, 5, 10];

const VOCAB: usize = 100;
const HIDDEN: usize = 32;
const LAYERS: usize = 2;
const FFN: usize = 64;
/// Room for the prompt and the longest answer that is measured.
const CONTEXT: usize = 64;
const SEED: u64 = 0x5EED;

/// Parts of a layer and their dimensions, outermost first.
const PARTS: &[(&str, &[usize])] = &[
    ("attn_norm", &[HIDDEN]),
    ("attn_q", &[HIDDEN, HIDDEN]),
    ("attn_k", &[HIDDEN, HIDDEN]),
    ("attn_v", &[HIDDEN, HIDDEN]),
    ("attn_output", &[HIDDEN, HIDDEN]),
    ("ffn_norm", &[HIDDEN]),
    ("ffn_gate", &[FFN, HIDDEN]),
    ("ffn_up", &[FFN, HIDDEN]),
    ("ffn_down", &[HIDDEN, FFN]),
];

/// A session of the tiny model, on one thread: its products are far too short to share.
#[derive(Debug)]
pub struct Headline {
    session: Session,
}

impl Headline {
    /// Builds the file, loads it and opens a session with the machine's best kernels and an f32 cache.
    ///
    /// # Errors
    /// What writer, loader or session refuse; the model is fixed, so only a fault of theirs.
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let source = realizar_format::parse(Bytes::from(gguf()?))?;
        let options = SessionOptions {
            pool: Pool::new(1)?,
            kernels: Kernels::detect(),
            context: CONTEXT,
            kv: KvType::F32,
            chunk: CONTEXT,
            max_sequences: 1,
            kv_blocks: None,
            checkpoints: 1,
        };
        Ok(Self { session: Session::new(Arc::new(Model::load(&*source)?), options)? })
    }

    /// The best next token after `tokens`, all of which go through the model in a sequence of their own. Logits are
    /// computed for every position, and those of the last one are used.
    ///
    /// # Errors
    /// A token is not in the vocabulary, there are none, or more than 64.
    pub fn next_token(&mut self, tokens: &[u32]) -> Result<u32, Box<dyn Error>> {
        let seq = self.session.open()?;
        let logits = self.session.forward(&[Span { seq, tokens, logits: Want::All }])?;
        let next = argmax(logits.row(logits.rows() - 1))?;
        self.session.close(seq)?;
        Ok(next)
    }

    /// Greedy answer of `count` tokens with cached keys and values: the prompt goes through the model once, then each
    /// token once.
    ///
    /// # Errors
    /// As [`Headline::next_token`].
    pub fn greedy_cached(&mut self, prompt: &[u32], count: usize) -> Result<Vec<u32>, Box<dyn Error>> {
        let seq = self.session.open()?;
        let mut answer: Vec<u32> = Vec::with_capacity(count);
        while answer.len() < count {
            let tokens = answer.last().map_or(prompt, std::slice::from_ref);
            let logits = self.session.forward(&[Span { seq, tokens, logits: Want::Last }])?;
            answer.push(argmax(logits.row(0))?);
        }
        self.session.close(seq)?;
        Ok(answer)
    }

    /// The same answer without a cache: for each token a new sequence, in which everything so far is computed again.
    ///
    /// # Errors
    /// As [`Headline::next_token`].
    pub fn greedy_recomputed(&mut self, prompt: &[u32], count: usize) -> Result<Vec<u32>, Box<dyn Error>> {
        let mut tokens = prompt.to_vec();
        for _ in 0..count {
            tokens.push(self.next_token(&tokens)?);
        }
        Ok(tokens.split_off(prompt.len()))
    }
}

/// The model as a GGUF file, the same bytes in every run.
fn gguf() -> Result<Vec<u8>, Box<dyn Error>> {
    let mut tensors: Vec<(String, &[usize])> = vec![
        ("token_embd.weight".to_owned(), &[VOCAB, HIDDEN]),
        ("output_norm.weight".to_owned(), &[HIDDEN]),
        ("output.weight".to_owned(), &[VOCAB, HIDDEN]),
    ];
    for layer in 0..LAYERS {
        tensors.extend(PARTS.iter().map(|(part, dims)| (format!("blk.{layer}.{part}.weight"), *dims)));
    }

    let mut writer = GgufWriter::new();
    writer.metadata("general.architecture", Value::from("llama"))?;
    for (key, count) in [
        ("block_count", LAYERS),
        ("embedding_length", HIDDEN),
        ("feed_forward_length", FFN),
        ("attention.head_count", 1),
        ("attention.head_count_kv", 1),
        ("context_length", CONTEXT),
        ("vocab_size", VOCAB),
    ] {
        writer.metadata(&format!("llama.{key}"), Value::U32(u32::try_from(count)?))?;
    }
    writer.metadata("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5))?;
    for (name, dims) in &tensors {
        writer.tensor(name, DType::F32, Shape::new(dims).ok_or("too many dimensions")?)?;
    }

    let mut data = writer.begin(Vec::new())?;
    let mut seeded = Seeded::new(SEED);
    for (_, dims) in &tensors {
        for _ in 0..dims.iter().product() {
            // Gains lie around one; matrices keep the size of what they multiply.
            let weight = match dims {
                [_] => 1.0 + 0.1 * seeded.signed(),
                _ => seeded.signed() * (3.0 / dims[dims.len() - 1] as f32).sqrt(),
            };
            data.write(&weight.to_le_bytes())?;
        }
    }
    Ok(data.finish()?)
}

#[cfg(test)]
mod tests {
    use super::{Headline, PROMPT, gguf};
    use std::collections::BTreeSet;

    #[test]
    fn the_model_has_the_shape_that_it_is_known_by() {
        let headline = Headline::new().unwrap();
        let config = headline.session.model().config();
        let shape = [config.vocab, config.hidden, config.layers, config.blocks[0].ffn];
        assert_eq!(shape, [100, 32, 2, 64]);
        assert_eq!(gguf().unwrap(), gguf().unwrap());
    }

    #[test]
    fn greedy_answers_are_the_same_in_every_run_with_and_without_the_cache() {
        let mut headline = Headline::new().unwrap();
        let answer = headline.greedy_cached(&PROMPT, 20).unwrap();
        assert_eq!(answer.len(), 20);
        assert!(answer.iter().collect::<BTreeSet<_>>().len() > 1, "a model that says one thing: {answer:?}");
        assert_eq!(headline.greedy_cached(&PROMPT, 20).unwrap(), answer, "again");
        assert_eq!(Headline::new().unwrap().greedy_cached(&PROMPT, 20).unwrap(), answer, "a new session");
        for count in [0, 1, 5, 10, 20] {
            let recomputed = headline.greedy_recomputed(&PROMPT, count).unwrap();
            assert_eq!(recomputed, answer[..count], "{count} tokens without the cache");
        }
        assert_eq!(headline.next_token(&PROMPT).unwrap(), answer[0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (name, tokens) in [("none", vec![]), ("not in the vocabulary", vec![100]), ("65", vec![1; 65])] {
            assert!(Headline::new().unwrap().next_token(&tokens).is_err(), "{name}");
        }
    }
}
