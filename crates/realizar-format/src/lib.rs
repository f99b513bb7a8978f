//! Model files, read and checked: GGUF, and soon safetensors and `.apr`.
//!
//! A file is checked from end to end when it is opened, before anything of it is handed out: every count, length,
//! offset and type. After that nothing fails and nothing is copied; tensors are views into the mapped file.
//!
//! ```no_run
//! let model = realizar_format::open("model.gguf")?;
//! println!("{}", model.require_str("general.architecture")?);
//! for tensor in model.tensors() {
//!     println!("{} {} {}", tensor.name, tensor.dtype, tensor.shape);
//! }
//! # Ok::<(), realizar_format::FormatError>(())
//! ```
//!
//! The crate knows bytes and records. It does not know what a tensor is for, how blocks become floats, or how text
//! becomes tokens.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::cast_possible_truncation, clippy::arithmetic_side_effects)
)]

mod array;
mod cursor;
mod error;
mod escape;
mod gguf;
mod limits;
mod map;
mod open;
mod shape;
mod sniff;
mod source;
mod value;

pub use array::{Array, ArrayIter};
pub use error::{FormatError, Place};
pub use gguf::{Gguf, GgufHeader};
pub use map::Access;
pub use open::{open, open_with, parse};
pub use shape::Shape;
pub use source::{Format, TensorSource, TensorView};
pub use value::{Text, Value, ValueType};

pub use realizar_quant::DType;
