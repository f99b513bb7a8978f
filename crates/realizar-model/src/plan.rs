//! What a session will need, told before anything is allocated.

use realizar_tensor::{Compute, KV_BLOCK};

use crate::arch::Position;
use crate::buffers::Buffers;
use crate::cache::CachePlan;
use crate::checkpoints::{BESIDE, EVERY};
use crate::config::Config;
use crate::error::ModelError;
use crate::model::Model;
use crate::pass::widest;
use crate::sequences::Sequences;
use crate::session::SessionOptions;

/// Bytes that a session needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Keys and values.
    pub kv_bytes: u64,
    /// Recurrent states, with those that are kept of what came before; 0 for a model without.
    pub state_bytes: u64,
    /// Activations, and what the session notes of its sequences.
    pub scratch_bytes: u64,
    /// The model's tensors, which stay in their file and are mapped.
    pub weights_bytes: u64,
}

/// Rows of logits that one pass can make; more are made in several goes.
const FEWEST_LOGIT_ROWS: usize = 8;

/// Sizes of a session, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) cache: CachePlan,
    /// Rows of a pass: no more than there can be tokens.
    pub(crate) chunk: usize,
    pub(crate) sequences: usize,
    pub(crate) logit_rows: usize,
    /// Tokens of a sequence.
    pub(crate) context: usize,
    /// States that a sequence keeps of what came before; `None`: the model has none.
    pub(crate) checkpoints: Option<usize>,
}

impl Sizes {
    pub(crate) fn of(model: &Model, options: &SessionOptions) -> Result<Self, ModelError> {
        let config = model.config();
        let SessionOptions { context, chunk, max_sequences, kv_blocks, kv, checkpoints, .. } = *options;
        at_least_one("context", context)?;
        at_least_one("chunk", chunk)?;
        at_least_one("max_sequences", max_sequences)?;
        check_positions(config, "context", context)?;
        let all = max_sequences.saturating_mul(context.div_ceil(KV_BLOCK));
        let kv_blocks = kv_blocks.unwrap_or(all);
        at_least_one("kv_blocks", kv_blocks)?;
        let tokens = context.saturating_mul(max_sequences).min(kv_blocks.saturating_mul(KV_BLOCK));
        let chunk = chunk.min(tokens);
        let logit_rows = max_sequences.clamp(FEWEST_LOGIT_ROWS.min(chunk), chunk);
        // A sequence never has more places where a state is kept.
        let checkpoints = checkpoints.min(context / EVERY);
        let sizes = (max_sequences, context, chunk);
        let cache = CachePlan::new(config, kv, kv_blocks, sizes, checkpoints + BESIDE);
        let checkpoints = cache.has_states().then_some(checkpoints);
        Ok(Self { cache, chunk, sequences: max_sequences, logit_rows, context, checkpoints })
    }

    pub(crate) fn plan(&self, model: &Model) -> Result<MemoryPlan, ModelError> {
        let refused = |what| ModelError::Memory { what, bytes: u64::MAX };
        let activations = Buffers::bytes(model.config(), self.chunk, self.logit_rows);
        let quantised = Compute::reserved_bytes(self.chunk, widest(model.config()));
        let noted = match self.checkpoints {
            // The tokens, which may have to run again.
            Some(_) => self.context.checked_mul(size_of::<u32>()),
            None => Some(0),
        };
        let sequences = noted
            .and_then(|bytes| bytes.checked_add(Sequences::BYTES_PER_SEQUENCE)?.checked_mul(self.sequences));
        let scratch = activations
            .zip(sequences)
            .and_then(|(bytes, more)| bytes.checked_add(u64::try_from(more.checked_add(quantised)?).ok()?));
        Ok(MemoryPlan {
            kv_bytes: self.cache.kv_bytes().ok_or(refused("keys and values"))?,
            state_bytes: self.cache.state_bytes().ok_or(refused("recurrent states"))?,
            scratch_bytes: scratch.ok_or(refused("activations"))?,
            weights_bytes: model.weights_bytes(),
        })
    }
}

impl MemoryPlan {
    /// Asks for the whole at once and lets it go: buffers that are made one by one end the process where the system has
    /// no memory for one of them.
    pub(crate) fn try_reserve(&self) -> Result<(), ModelError> {
        let bytes = self.kv_bytes.saturating_add(self.state_bytes).saturating_add(self.scratch_bytes);
        let fits = usize::try_from(bytes).is_ok_and(|len| Vec::<u8>::new().try_reserve_exact(len).is_ok());
        if fits { Ok(()) } else { Err(ModelError::Memory { what: "the session's buffers", bytes }) }
    }
}

/// Learned positions end where the model's context ends.
pub(crate) fn check_positions(
    config: &Config,
    option: &'static str,
    tokens: usize,
) -> Result<(), ModelError> {
    let limit = match config.arch.position {
        Position::Learned => config.context,
        _ => u32::MAX as usize,
    };
    if tokens <= limit {
        return Ok(());
    }
    Err(ModelError::Option { option, found: tokens, expected: format!("at most {limit}") })
}

pub(crate) fn at_least_one(option: &'static str, found: usize) -> Result<(), ModelError> {
    if found > 0 { Ok(()) } else { Err(ModelError::Option { option, found, expected: "at least 1".into() }) }
}
