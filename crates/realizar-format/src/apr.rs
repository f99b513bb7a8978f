//! `.apr`: version 2 read and written, version 1 recognised and described.

mod compression;
#[cfg(feature = "compression")]
mod decompress;
mod header;
mod legacy;
mod message_pack;
mod reader;
mod record;
mod writer;

pub use legacy::AprV1;
pub use reader::Apr;
pub use writer::AprWriter;

/// Whether these bytes begin as a file of version 1.
pub(crate) fn is_v1(bytes: &[u8]) -> bool {
    bytes.starts_with(legacy::MAGIC)
}

/// Whether these bytes begin as a file of version 2.
pub(crate) fn is_v2(bytes: &[u8]) -> bool {
    header::MAGICS.iter().any(|magic| bytes.starts_with(magic))
}
