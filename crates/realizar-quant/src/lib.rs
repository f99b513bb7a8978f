//! What a block of weights means: every ggml block format, bit for bit.
//!
//! ```
//! use realizar_quant::{decode, encode, DType};
//!
//! let row = [0.5, -1.0, 2.0, 0.25];
//! let mut bytes = vec![0; DType::F16.row_bytes(row.len()).ok_or("no whole row")?];
//! encode(DType::F16, &row, None, &mut bytes)?;
//! let mut back = [0.0; 4];
//! decode(DType::F16, &bytes, &mut back)?;
//! assert_eq!(back, row);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crate knows neither files nor threads nor tensors' names: rows in, rows out.

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
pub use mx::FP4_VALUES;
pub use recipe::{Choice, ModelFacts, PlanOptions, Recipe, TensorFacts};
