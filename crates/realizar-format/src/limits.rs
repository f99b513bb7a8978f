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

/// Bytes of a safetensors header; the reference implementation's limit.
pub(crate) const SAFETENSORS_HEADER_BYTES: u64 = 100_000_000;
/// Bytes of a tensor name in a safetensors file.
pub(crate) const SAFETENSORS_NAME_BYTES: u64 = 1_024;
/// Largest integer that every JSON reader reads exactly.
pub(crate) const JSON_INTEGER: u64 = 1 << 53;
/// Bytes of a shard index, and of a tokenizer's JSON.
pub(crate) const LARGE_JSON_BYTES: u64 = 64 << 20;
/// Values in a JSON text that take memory of their own. Lists of one kind of scalar are packed and count as one.
pub(crate) const JSON_VALUES: u32 = 262_144;
/// The same for a shard index, which has a value per tensor: the largest models have 200,000.
pub(crate) const INDEX_VALUES: u32 = 524_288;
/// Bytes of a `config.json` and its like.
pub(crate) const CONFIG_BYTES: u64 = 4 << 20;
/// Files of a sharded model.
pub(crate) const SHARDS: usize = 10_000;
/// Bytes of a tensor name in an `.apr` file.
pub(crate) const APR_NAME_BYTES: u64 = 256;
/// Memory that a Zstandard frame may ask its reader to keep.
#[cfg(feature = "compression")]
pub(crate) const ZSTD_WINDOW_BYTES: u64 = 8 << 20;
