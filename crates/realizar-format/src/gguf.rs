//! GGUF, the format of llama.cpp: versions 2 and 3.

mod big_endian;
mod header;
mod kv;
mod reader;
mod record;

pub use header::GgufHeader;
pub use reader::Gguf;
