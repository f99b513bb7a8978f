//! How the tests of conversion run a model.

use std::sync::Arc;

use realizar_model::{Model, Session, SessionOptions, Span, Want};
use realizar_tensor::{Kernels, KvType, Pool};

/// Bits of the scores of the token behind `tokens`.
pub(crate) fn score_bits(model: Arc<Model>, tokens: &[u32]) -> Vec<u32> {
    let options = SessionOptions {
        pool: Pool::new(1).unwrap(),
        kernels: Kernels::detect(),
        context: 64,
        kv: KvType::F32,
        chunk: 16,
        max_sequences: 1,
        kv_blocks: None,
        checkpoints: 1,
    };
    let mut session = Session::new(model, options).unwrap();
    let seq = session.open().unwrap();
    let logits = session.forward(&[Span { seq, tokens, logits: Want::Last }]).unwrap();
    logits.row(0).iter().map(|value| value.to_bits()).collect()
}
