//! From a text's tokens to vectors, in one pass without a past.

use std::sync::Arc;

use realizar_tensor::{
    AttentionSpan, BlockId, KV_BLOCK, Kernels, Pool, Product, Rows, Slot, StateId, StateSpan,
};

use crate::cache::{CachePlan, MOST_STORES};
use crate::error::ModelError;
use crate::logits::Logits;
use crate::model::Model;
use crate::plan::{Sizes, at_least_one, check_positions};
use crate::pooling::{Pooling, normalise, pool};
use crate::transformer::{Paging, Pass, Step, Wanted};

/// How an encoder runs its model.
#[derive(Debug, Clone)]
pub struct EncoderOptions {
    /// The threads.
    pub pool: Arc<Pool>,
    /// The kernels.
    pub kernels: &'static Kernels,
    /// Tokens of a text at most.
    pub max_tokens: usize,
}

/// A model that turns texts into vectors: an encoder, or a decoder whose last states are wanted.
#[derive(Debug)]
pub struct Encoder {
    model: Arc<Model>,
    max_tokens: usize,
    /// Tokens that there is room for now.
    rows: usize,
    pass: Pass,
    blocks: Vec<BlockId>,
    state: Option<StateId>,
}

/// Room that an encoder has at least.
const FEWEST_ROWS: usize = 64;

impl Encoder {
    /// Allocates an encoder.
    ///
    /// # Errors
    ///
    /// `max_tokens` is 0 or more than the model has positions for, or the memory is not there.
    pub fn new(model: Arc<Model>, options: EncoderOptions) -> Result<Self, ModelError> {
        let EncoderOptions { pool, kernels, max_tokens } = options;
        at_least_one("max_tokens", max_tokens)?;
        check_positions(model.config(), "max_tokens", max_tokens)?;
        let rows = max_tokens.min(FEWEST_ROWS);
        let (pass, blocks, state) = allocate(&model, (pool, kernels), rows, max_tokens)?;
        Ok(Self { model, max_tokens, rows, pass, blocks, state })
    }

    /// Makes room for a text of `tokens`; memory grows to what the longest text needed.
    fn reserve(&mut self, tokens: usize) -> Result<(), ModelError> {
        if tokens > self.rows {
            let rows = tokens.next_power_of_two().min(self.max_tokens);
            let machine = (self.pass.compute.pool().clone(), self.pass.compute.kernels());
            (self.pass, self.blocks, self.state) = allocate(&self.model, machine, rows, self.max_tokens)?;
            self.rows = rows;
        }
        Ok(())
    }

    /// The vector of a text, or with [`Pooling::None`] the vectors of all its tokens, end to end.
    ///
    /// # Errors
    ///
    /// No tokens, too many, or one outside the vocabulary; or the result is not made of finite numbers.
    pub fn encode(
        &mut self,
        tokens: &[u32],
        pooling: Pooling,
        unit_length: bool,
    ) -> Result<Vec<f32>, ModelError> {
        self.run(tokens)?;
        self.pass.norm_output(&self.model);
        let mut width = self.model.config().hidden;
        let mut vectors = pool(self.pass.buffers.x.read(), width, pooling);
        for weight in self.model.weights.pooled.iter().filter(|_| pooling != Pooling::None) {
            let (mut x, mut out) = (Rows::with_capacity(1, width), Rows::with_capacity(1, weight.rows()));
            x.write(&vectors);
            self.pass.compute.matmul(&x, &mut [Product { weight, bias: None, out: &mut out }]);
            (vectors, width) = (out.read().to_vec(), weight.rows());
        }
        if let Some(row) = vectors.chunks_exact(width).position(|row| row.iter().any(|x| !x.is_finite())) {
            return Err(ModelError::NotFinite { row });
        }
        if unit_length {
            normalise(&mut vectors, width);
        }
        Ok(vectors)
    }

    /// How well the second part of a text answers the first, by the head of a reranker; larger is better, and the scale is
    /// the model's own.
    ///
    /// # Errors
    ///
    /// The model has no such head; or as [`Self::encode`].
    pub fn score(&mut self, tokens: &[u32]) -> Result<f32, ModelError> {
        let (model, config) = (self.model.clone(), self.model.config().clone());
        let Some(head) = &model.weights.rank else {
            return Err(ModelError::WrongRole {
                architecture: config.arch.name,
                role: "without a reranker's head",
            });
        };
        self.run(tokens)?;
        self.pass.norm_output(&model);
        let compute = &mut self.pass.compute;
        let how = (config.arch.rank, config.rank_pooling, config.norm_eps);
        let score = head.score(compute, how, self.pass.buffers.x.read(), config.hidden);
        if score.is_finite() { Ok(score) } else { Err(ModelError::NotFinite { row: 0 }) }
    }

    /// The logits after the last token.
    ///
    /// # Errors
    ///
    /// The model is an encoder; or as [`Self::encode`].
    pub fn last_logits(&mut self, tokens: &[u32]) -> Result<&[f32], ModelError> {
        let config = self.model.config();
        if !config.causal() {
            return Err(ModelError::WrongRole { architecture: config.arch.name, role: "an encoder" });
        }
        let vocab = config.vocab;
        self.run(tokens)?;
        self.pass.logits(&self.model, tokens.len() - 1..tokens.len());
        let logits = self.pass.buffers.logits.read();
        Logits::new(logits, vocab).check(0)?;
        Ok(logits)
    }

    /// Runs a text; the stream is left in the pass.
    fn run(&mut self, tokens: &[u32]) -> Result<(), ModelError> {
        let vocab = self.model.config().vocab;
        if tokens.is_empty() {
            return Err(ModelError::NoTokens { seq: 0 });
        }
        if tokens.len() > self.max_tokens {
            let (adding, context) = (tokens.len(), self.max_tokens);
            return Err(ModelError::ContextFull { seq: 0, len: 0, adding, context });
        }
        if let Some(&token) = tokens.iter().find(|token| **token as usize >= vocab) {
            return Err(ModelError::UnknownToken { seq: 0, token, vocab });
        }
        self.reserve(tokens.len())?;
        let positions: Vec<u32> = (0..tokens.len() as u32).collect();
        let slot =
            |pos: &u32| Slot { block: self.blocks[*pos as usize / KV_BLOCK], offset: pos % KV_BLOCK as u32 };
        let slots: Vec<Slot> = positions.iter().map(slot).collect();
        let blocks = &self.blocks[..tokens.len().div_ceil(KV_BLOCK)];
        let spans = [AttentionSpan { rows: 0..tokens.len(), first_pos: 0, blocks }];
        let paging = [Paging { slots: &slots, spans: &spans, stretches: &spans }; MOST_STORES];
        if let (Some(states), Some(state)) = (&mut self.pass.cache.states, self.state) {
            states.reset(state);
        }
        let states = self.state.map(|state| StateSpan { rows: 0..tokens.len(), state });
        let (states, wanted) = (states.as_slice(), Wanted::All);
        let step = Step { ids: tokens, positions: &positions, paging: &paging, states, wanted };
        self.pass.run(&self.model, step);
        Ok(())
    }
}

/// A pass for texts of up to `rows` tokens, and its cache blocks.
fn allocate(
    model: &Model,
    machine: (Arc<Pool>, &'static Kernels),
    rows: usize,
    context: usize,
) -> Result<(Pass, Vec<BlockId>, Option<StateId>), ModelError> {
    let cache = CachePlan::without_past(model.config(), rows);
    let sizes = Sizes { cache, chunk: rows, sequences: 1, logit_rows: 1, context, checkpoints: None };
    sizes.plan(model)?.try_reserve()?;
    let mut pass = Pass::new(model, machine, sizes, context)?;
    // All stores have as many blocks, and give them in the same order.
    let mut blocks = Vec::new();
    for store in &mut pass.cache.stores {
        blocks = (0..store.kv.total_blocks()).filter_map(|_| store.kv.alloc()).collect();
    }
    let state = pass.cache.states.as_mut().and_then(|states| states.alloc());
    Ok((pass, blocks, state))
}
