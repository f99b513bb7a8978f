//! What can be wrong with the input of this crate: weights' shapes, thread counts, cache sizes.

use realizar_quant::{DType, QuantError};

/// Why a buffer, a pool or a cache could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum TensorError {
    #[error("a matrix of {rows} rows and {cols} columns has no elements")]
    EmptyMatrix { rows: usize, cols: usize },
    #[error("{dtype} rows of {cols} columns: not a whole number of {block_elems}-element blocks")]
    RaggedRow { dtype: DType, cols: usize, block_elems: usize },
    #[error("{dtype} matrix [{rows}, {cols}] needs {}, {found} given", Bytes(*.needed))]
    MatrixBytes { dtype: DType, rows: usize, cols: usize, needed: Option<usize>, found: usize },
    #[error("rows {start}..{end} of a matrix with {rows} rows")]
    RowRange { start: usize, end: usize, rows: usize },
    #[error("{found} bytes are not a whole number of {dtype} blocks of {block_bytes} bytes")]
    VectorBytes { dtype: DType, block_bytes: usize, found: usize },
    #[error("cannot decode {dtype} weights")]
    Decode { dtype: DType, source: QuantError },
    #[error("a pool needs at least one thread")]
    NoThreads,
    #[error("a pool of {threads} threads (at most {most})")]
    TooManyThreads { threads: usize, most: usize },
    #[error("cannot start worker thread {worker} of {threads}")]
    Spawn { worker: usize, threads: usize, source: std::io::Error },
    #[error("unknown instruction set `{found}` (known: {known})")]
    UnknownIsa { found: String, known: String },
    #[error("this machine has no kernels `{found}` (it has: {known})")]
    UnknownKernels { found: String, known: String },
    #[error("a KV cache of {layers} layers, {kv_heads} heads of {head_dim_k}/{head_dim_v} holds nothing")]
    EmptyKv { layers: usize, kv_heads: usize, head_dim_k: usize, head_dim_v: usize },
    #[error(
        "q8_0 keys and values need head dimensions that are multiples of 32, not {head_dim_k}/{head_dim_v}"
    )]
    KvHeadDim { head_dim_k: usize, head_dim_v: usize },
    #[error("unknown KV type `{found}` (known: f32, f16, q8_0)")]
    UnknownKvType { found: String },
    #[error("cannot allocate {} for {what}", Bytes(*.bytes))]
    OutOfMemory { what: &'static str, bytes: Option<u64> },
}

/// A number of bytes; `None` when it overflowed.
struct Bytes<T>(Option<T>);

impl<T: std::fmt::Display> std::fmt::Display for Bytes<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(count) => write!(f, "{count} bytes"),
            None => f.write_str("more bytes than an address can tell"),
        }
    }
}
