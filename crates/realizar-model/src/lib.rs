//! One transformer for every architecture that people run: what differs between them is data.
//!
//! [`Model::load`] checks a file and binds its weights where they lie; [`Session`] runs batches of many sequences.
//! ```no_run
//! use realizar_model::{Model, Session, SessionOptions, Span, Want};
//! use realizar_tensor::{Kernels, KvType, Pool};
//!
//! let model = std::sync::Arc::new(Model::load(&*realizar_format::open("model.gguf")?)?);
//! let options = SessionOptions {
//!     pool: Pool::new(Pool::default_threads())?,
//!     kernels: Kernels::detect(),
//!     context: 4096,
//!     kv: KvType::F16,
//!     chunk: 512,
//!     max_sequences: 1,
//!     kv_blocks: None,
//!     checkpoints: 1,
//! };
//! let mut session = Session::new(model, options)?;
//! let span = Span { seq: session.open()?, tokens: &[1, 526, 527], logits: Want::Last };
//! println!("{} logits", session.forward(&[span])?.row(0).len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod arch;
mod attention;
mod binder;
mod buffers;
mod cache;
mod checkpoints;
mod config;
mod convert;
mod dialect;
mod encoder;
mod error;
mod facts;
mod feed_forward;
mod finite;
mod hf;
mod indexer;
mod linear;
mod logits;
mod model;
mod names;
mod pass;
mod per_layer;
mod plan;
mod pooling;
mod rank;
mod rope_scaling;
mod sequences;
mod session;
mod state;
mod streams;
mod transformer;
mod weights;

pub use arch::{
    ARCHITECTURES, ArchFacts, AttentionGate, AttentionScale, Biases, EmbeddingScale, Ffn, FfnGate,
    GateNumbers, Latent, LogitScale, Moe, MoeLayers, Norm, NormPlaces, PerLayer, Position, Presence, QkNorm,
    Rank, Residual, ResidualScale, Role, RopeLayers, SharedExpert, SharedKv, Softcaps, State, StateKind,
    StateLayers, Streams, Temperature, WindowRope, Windows, YarnMultiplier,
};
pub use config::{
    BlockConfig, Config, FfnKind, IndexerConfig, LatentConfig, MoeConfig, PerLayerConfig, QueryTemperature,
    StateConfig,
};
pub use convert::{Checkpoint, Fact, GgufView, NewTensor};
pub use encoder::{Encoder, EncoderOptions};
pub use error::ModelError;
pub use finite::check_tensors;
pub use logits::Logits;
pub use model::{Model, ModelWarning};
pub use plan::MemoryPlan;
pub use pooling::Pooling;
pub use rope_scaling::{RopeConfig, RopeScaling};
pub use sequences::SeqId;
pub use session::{Session, SessionOptions, Span, Want};
