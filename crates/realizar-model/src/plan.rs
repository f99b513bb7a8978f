//! What a session will need, told before anything is allocated.

use realizar_tensor::{Compute, KV_BLOCK};

use crate::arch::Position;
use crate::buffers::Buffers;
use crate::cache::CachePlan;
use crate::config::Config;
use crate::error::ModelError;
use crate::model::Model;
use crate::pass::widest;
use crate::session::SessionOptions;

/// Bytes that a session needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Keys and values.
    pub kv_bytes: u64,
    /// Activations.
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
    pub(crate) logit_rows: usize,
}

impl Sizes {
    pub(crate) fn of(model: &Model, options: &SessionOptions) -> Result<Self, ModelError> {
        let config = model.config();
        let SessionOptions { context, chunk, max_sequences, kv_blocks, kv, .. } = *options;
        at_least_one("context", context)?;
        at_least_one("chunk", chunk)?;
        at_least_one("max_sequences", max_sequences)?;
        check_positions(config, "context", context)?;
        let all = max_sequences.saturating_mul(context.div_ceil(KV_BLOCK));
        let kv_blocks = kv_blocks.unwrap_or(all);
        at_least_one("kv_blocks", kv_blocks)?;
        let logit_rows = max_sequences.clamp(FEWEST_LOGIT_ROWS.min(chunk), chunk);
        let cache = CachePlan::new(config, kv, kv_blocks, (max_sequences, context, chunk));
        Ok(Self { cache, logit_rows })
    }

    pub(crate) fn plan(&self, model: &Model, chunk: usize) -> Result<MemoryPlan, ModelError> {
        let refused = ModelError::Memory { what: "keys and values", bytes: u64::MAX };
        Ok(MemoryPlan {
            kv_bytes: self.cache.bytes().ok_or(refused)?,
            scratch_bytes: Buffers::bytes(model.config(), chunk, self.logit_rows)
                + Compute::reserved_bytes(chunk, widest(model.config())) as u64,
            weights_bytes: model.weights_bytes(),
        })
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
