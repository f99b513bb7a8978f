//! Integer products with four rows of weights per 128-bit register, written once for NEON and WebAssembly.
//!
//! Eight rows advance together along k. 256 values of each are unpacked into a panel, in which a register holds four
//! values of k of four rows; then it meets group after group of tokens. The order of float operations is that of
//! [`crate::scalar::integer`]: blocks ascending, then 256-blocks ascending.

#[cfg(test)]
mod portable;
mod product;
mod unpack;
mod vector;

#[cfg(any(target_arch = "aarch64", target_arch = "wasm32"))]
pub(crate) use self::product::product;
#[cfg(target_arch = "aarch64")]
pub(crate) use self::unpack::Format;
pub(crate) use self::unpack::{Q4_0, Q4K, Q5K, Q6K, Q8_0};
#[cfg(any(target_arch = "aarch64", target_arch = "wasm32"))]
pub(crate) use self::vector::Vector;
