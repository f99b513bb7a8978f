//! The table of formats: one row per type, a function to read it and one to make it.

use crate::dtype::DType;
use crate::error::QuantError;
use crate::{apr, float, iquant, kquant, legacy, mx, ternary};

/// Reads whole blocks; lengths were checked.
type Decode = fn(bytes: &[u8], out: &mut [f32]);
/// Makes whole blocks; lengths were checked.
type Encode = fn(row: &[f32], out: &mut [u8]);

/// What this crate can do with one type.
#[derive(Debug)]
pub struct Codec {
    /// The type.
    pub dtype: DType,
    decode: Option<Decode>,
    encode: Option<Encode>,
}

const fn codec(dtype: DType, decode: Decode) -> Codec {
    Codec { dtype, decode: Some(decode), encode: None }
}

const CODECS: &[Codec] = &[
    Codec { encode: Some(float::encode_f64), ..codec(DType::F64, float::decode_f64) },
    Codec { encode: Some(float::encode_f32), ..codec(DType::F32, float::decode_f32) },
    Codec { encode: Some(float::encode_f16), ..codec(DType::F16, float::decode_f16) },
    Codec { encode: Some(float::encode_bf16), ..codec(DType::BF16, float::decode_bf16) },
    codec(DType::F8_E4M3, float::decode_f8_e4m3),
    codec(DType::F8_E5M2, float::decode_f8_e5m2),
    codec(DType::Q1_0, ternary::decode_q1_0),
    codec(DType::Q2_0, ternary::decode_q2_0),
    codec(DType::Q4_0, legacy::decode_q4_0),
    codec(DType::Q4_1, legacy::decode_q4_1),
    codec(DType::Q5_0, legacy::decode_q5_0),
    codec(DType::Q5_1, legacy::decode_q5_1),
    codec(DType::Q8_0, legacy::decode_q8_0),
    codec(DType::Q8_1, legacy::decode_q8_1),
    codec(DType::Q2_K, kquant::decode_q2_k),
    codec(DType::Q3_K, kquant::decode_q3_k),
    codec(DType::Q4_K, kquant::decode_q4_k),
    codec(DType::Q5_K, kquant::decode_q5_k),
    codec(DType::Q6_K, kquant::decode_q6_k),
    codec(DType::Q8_K, kquant::decode_q8_k),
    codec(DType::IQ1_S, iquant::decode_iq1_s),
    codec(DType::IQ1_M, iquant::decode_iq1_m),
    codec(DType::IQ2_XXS, iquant::decode_iq2_xxs),
    codec(DType::IQ2_XS, iquant::decode_iq2_xs),
    codec(DType::IQ2_S, iquant::decode_iq2_s),
    codec(DType::IQ3_XXS, iquant::decode_iq3_xxs),
    codec(DType::IQ3_S, iquant::decode_iq3_s),
    codec(DType::IQ4_NL, iquant::decode_iq4_nl),
    codec(DType::IQ4_XS, iquant::decode_iq4_xs),
    codec(DType::TQ1_0, ternary::decode_tq1_0),
    codec(DType::TQ2_0, ternary::decode_tq2_0),
    codec(DType::MXFP4, mx::decode_mxfp4),
    codec(DType::NVFP4, mx::decode_nvfp4),
    codec(DType::APR_Q4, apr::decode_apr_q4),
    codec(DType::APR_Q8, apr::decode_apr_q8),
];

impl Codec {
    /// The row of `dtype`; `None` for types that hold no weights (integers, booleans).
    pub fn of(dtype: DType) -> Option<&'static Codec> {
        CODECS.iter().find(|codec| codec.dtype == dtype)
    }
}

/// Turns stored blocks into floats: `out.len()` elements, any number of whole rows.
///
/// The result is exact: the same f32 operations in the same order as ggml's reference.
///
/// # Errors
/// When `dtype` holds no weights, `out` is no whole number of blocks, or `bytes` has another length than
/// [`DType::row_bytes`] says.
pub fn decode(dtype: DType, bytes: &[u8], out: &mut [f32]) -> Result<(), QuantError> {
    let decode = Codec::of(dtype).and_then(|codec| codec.decode).ok_or(QuantError::NotWeights { dtype })?;
    check_bytes(dtype, out.len(), bytes.len())?;
    decode(bytes, out);
    Ok(())
}

/// Turns one row of floats into stored blocks.
///
/// # Errors
/// When there is no encoder for `dtype`, the row is no whole number of blocks, or `out` has another length than
/// [`DType::row_bytes`] says.
pub fn encode(
    dtype: DType,
    row: &[f32],
    importance: Option<&[f32]>,
    out: &mut [u8],
) -> Result<(), QuantError> {
    let _ = importance;
    let encode = Codec::of(dtype).and_then(|codec| codec.encode).ok_or(QuantError::NoEncoder { dtype })?;
    check_bytes(dtype, row.len(), out.len())?;
    encode(row, out);
    Ok(())
}

fn check_bytes(dtype: DType, elems: usize, found: usize) -> Result<(), QuantError> {
    match dtype.row_bytes(elems) {
        None => Err(QuantError::RowLength { dtype, elems }),
        Some(needed) if needed != found => Err(QuantError::ByteLength { dtype, elems, needed, found }),
        Some(_) => Ok(()),
    }
}
