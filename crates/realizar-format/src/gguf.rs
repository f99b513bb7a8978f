//! GGUF, the format of llama.cpp: versions 2 and 3.

mod big_endian;
mod edit;
mod header;
mod kv;
mod reader;
mod record;
mod split;
mod writer;

pub use edit::{Edit, edit_metadata, overwrite_metadata};
pub use header::GgufHeader;
pub use reader::Gguf;
pub(crate) use split::{gather, refuse_part};
pub use writer::GgufWriter;
