//! Model files, read, checked and written: GGUF, safetensors, `.apr`, and folders as Hugging Face lays them out.
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

mod apr;
mod array;
mod beside;
mod cursor;
mod data_writer;
mod error;
mod escape;
mod facts;
mod gguf;
mod hf_folder;
mod json;
mod limits;
mod map;
mod new_file;
mod open;
mod packed;
mod safetensors;
mod shape;
mod sniff;
mod source;
mod value;

pub use apr::{Apr, AprV1, AprWriter};
pub use array::{Array, ArrayIter};
pub use data_writer::DataWriter;
pub use error::{FormatError, Place};
pub use gguf::{Edit, Gguf, GgufHeader, GgufWriter, edit_metadata, overwrite_metadata};
pub use hf_folder::HfFolder;
pub use map::{Access, guard_mappings, release_pages, torn_pages};
pub use new_file::NewFile;
pub use open::{open, open_with, parse};
pub use packed::PackedArray;
pub use safetensors::{Safetensors, SafetensorsWriter};
pub use shape::Shape;
pub use source::{Format, TensorSource, TensorView};
pub use value::{Text, Value, ValueType};

pub use realizar_quant::DType;
