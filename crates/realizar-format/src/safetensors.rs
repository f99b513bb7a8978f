//! safetensors: a JSON header, then the tensors without gaps.

mod element;
mod header;
mod reader;
mod writer;

pub use reader::Safetensors;
pub use writer::SafetensorsWriter;
