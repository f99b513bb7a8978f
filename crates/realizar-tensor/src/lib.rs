//! Kernels, thread pool and KV blocks for transformer inference on the CPU.
//!
//! A forward pass calls the coarse operations of [`Compute`] on opaque buffers: weights as they lie in the file
//! ([`QMatrix`]), activations ([`Rows`]), small parameters ([`Vector`]) and paged keys and values ([`KvStore`]). Which
//! instructions compute them is a table ([`Kernels`]) that is chosen once; how many threads, a [`Pool`].
//!
//! ```
//! use realizar_tensor::{Compute, Kernels, Pool, Product, QMatrix, Rows};
//! use realizar_quant::DType;
//!
//! let bytes: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
//! let weight = QMatrix::new(DType::F32, 2, 2, bytes.into())?;
//! let mut compute = Compute::new(Pool::new(2)?, Kernels::detect());
//! let (mut x, mut y) = (Rows::with_capacity(1, 2), Rows::with_capacity(1, 2));
//! x.write(&[10.0, 1.0]);
//! compute.matmul(&x, &mut [Product { weight: &weight, bias: None, out: &mut y }]);
//! assert_eq!(y.read(), [12.0, 34.0]);
//! # Ok::<(), realizar_tensor::TensorError>(())
//! ```
//!
//! # Determinism
//! Each output element is the result of one fixed sequence of floating-point operations that depends on the table and
//! on the element's own inputs: not on the other rows of the call, the threads, or how a prompt is cut into calls.
//!
//! The crate knows neither files nor architectures nor sequences.

#![deny(unsafe_code)]

#[cfg(target_arch = "aarch64")]
#[expect(unsafe_code, reason = "vector loads and stores, and calls of feature-gated functions")]
mod aarch64;
mod acts;
mod attend;
mod compute;
mod error;
pub mod hardware;
mod isa;
mod kernels;
mod kv;
#[cfg(test)]
mod levels;
mod matrix;
#[expect(unsafe_code, reason = "erased lifetimes and disjoint parts of shared buffers")]
mod pool;
#[cfg(any(
    test,
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
))]
mod quads;
mod rows;
mod scalar;
mod scratch;
mod state;
#[cfg(feature = "trueno")]
#[expect(unsafe_code, reason = "the dot products of Trueno's backends are unsafe functions")]
mod trueno;
mod vector;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[expect(unsafe_code, reason = "vector loads and stores")]
mod wasm;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector loads and stores, and calls of feature-gated functions")]
mod x86;

pub use compute::{
    AttentionSpan, AttentionSpec, ChannelScanSpec, Chosen, Compute, ExpertProduct, Gate, GroupScore,
    HeadCols, PairOrder, Product, Rope, RouteSpec, Routes, ScanInput, ScanRule, ScanSpec, Scoring,
};
pub use error::TensorError;
pub use isa::Isa;
pub use kernels::{Kernels, Way};
pub use kv::{BlockId, KV_BLOCK, KvShape, KvStore, KvType, Slot};
pub use matrix::QMatrix;
pub use pool::Pool;
pub use rows::Rows;
pub use state::{StateId, StateSpan, StateStore};
pub use vector::Vector;
