//! What a block of weights means: every ggml block format, bit for bit.
//!
//! ```
//! use realizar_quant::{DType, decode, encode};
//!
//! let dtype: DType = "q8_0".parse()?;
//! let row: [f32; 64] = std::array::from_fn(|i| i as f32 / 8.0);
//! let mut blocks = vec![0; dtype.row_bytes(row.len()).ok_or("no whole number of blocks")?];
//! encode(dtype, &row, None, &mut blocks)?;
//!
//! let mut back = [0.0; 64];
//! decode(dtype, &blocks, &mut back)?;
//! assert!(row.iter().zip(back).all(|(x, y)| (x - y).abs() < 0.04));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`decode`] gives the floats of ggml's reference to the last bit, [`encode`] its bytes, with and without importance
//! weights. [`Recipe`] knows the mixes of types that users ask for (`Q4_K_M`, ...). The crate knows no files, threads
//! or kernels; what kernels need of a block is public: [`k_scales`], [`q3_k_scales`], the grids and the values.

#![forbid(unsafe_code)]

mod apr;
mod block;
mod codec;
mod dtype;
mod error;
mod float;
mod iquant;
mod kquant;
mod lanes;
mod legacy;
mod mx;
mod recipe;
mod round;
mod search;
mod ternary;

pub use codec::{Codec, Importance, decode, encode};
pub use dtype::DType;
pub use error::QuantError;
pub use float::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
pub use iquant::IQ4_VALUES;
pub use iquant::grids::{
    IQ1_GRID, IQ2_S_GRID, IQ2_XS_GRID, IQ2_XXS_GRID, IQ3_S_GRID, IQ3_XXS_GRID, even_signs,
};
pub use kquant::{k_scales, q3_k_scales};
pub use mx::{FP4_VALUES, half_e8m0, half_ue4m3};
pub use recipe::{Choice, ModelFacts, PlanOptions, Recipe, TensorFacts};
