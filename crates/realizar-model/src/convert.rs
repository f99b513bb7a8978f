//! From one convention to another: names, keys and the order of rows of GGUF files, Hugging Face folders and `.apr`
//! files. GGUF's stand in the middle: everything is first seen as a GGUF file would hold it, then as what is to be
//! written. Nothing is computed that could round, so that the new file gives the same bits.

mod change;
mod checkpoint;
mod fact;
mod keys;
mod probe;
mod tensor;
mod view;

pub use checkpoint::Checkpoint;
pub use fact::Fact;
pub use tensor::NewTensor;
pub use view::GgufView;

use crate::error::ModelError;

/// The error for what the other side has no place for.
fn cannot(what: String, why: String) -> ModelError {
    ModelError::Convert { what, why }
}
