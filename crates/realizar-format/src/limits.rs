//! How much a file may ask for. Each number is far above any model that exists and far below what hurts.

/// Metadata entries of a GGUF file.
pub(crate) const KV_COUNT: u64 = 65_536;
/// Tensors of any file.
pub(crate) const TENSOR_COUNT: u64 = 1_048_576;
/// Bytes of a GGUF metadata key.
pub(crate) const KEY_BYTES: u64 = 65_535;
/// Bytes of one GGUF string: chat templates and character maps are the longest that exist.
pub(crate) const STRING_BYTES: u64 = 64 << 20;
/// Elements of a GGUF array.
pub(crate) const ARRAY_ELEMS: u64 = 16_777_216;
/// Bytes of a GGUF tensor name; ggml's buffer holds 64 with the final NUL.
pub(crate) const GGUF_NAME_BYTES: u64 = 63;
/// Dimensions of a GGUF tensor.
pub(crate) const GGUF_DIMS: u32 = 4;
/// Largest `general.alignment`.
pub(crate) const ALIGNMENT: u32 = 1 << 20;
/// `general.alignment` when the file does not say.
pub(crate) const DEFAULT_ALIGNMENT: u32 = 32;
/// Dimensions of a tensor in any format.
pub(crate) const DIMS: usize = 8;

/// Smallest metadata entry: length, one byte of key, type, one byte of value.
pub(crate) const SMALLEST_KV: u64 = 8 + 1 + 4 + 1;
/// Smallest tensor entry: length, one byte of name, number of dimensions, type, offset.
pub(crate) const SMALLEST_TENSOR: u64 = 8 + 1 + 4 + 4 + 8;
