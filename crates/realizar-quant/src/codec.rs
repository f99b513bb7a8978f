//! The table of formats: one row per type, a function to read it and one to make it.

use crate::dtype::DType;
use crate::error::QuantError;
use crate::iquant::{magnitudes, nonlinear, trits};
use crate::{apr, float, iquant, kquant, legacy, mx, ternary};

/// Reads whole blocks; lengths were checked.
type Decode = fn(bytes: &[u8], out: &mut [f32]);
/// Makes whole blocks; lengths and values were checked.
type Encode = fn(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]);

/// Whether an encoder takes importance weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Importance {
    /// They change nothing.
    Ignored,
    /// They steer the search for scales.
    Used,
    /// The format is too coarse to be made without them.
    Needed,
}

/// What this crate can do with one type.
#[derive(Debug)]
pub struct Codec {
    /// The type.
    pub dtype: DType,
    /// What its encoder does with importance weights.
    pub importance: Importance,
    decode: Decode,
    encode: Option<Encode>,
}

/// A format that is read only.
const fn read(dtype: DType, decode: Decode) -> Codec {
    Codec { dtype, importance: Importance::Ignored, decode, encode: None }
}

const fn plain(dtype: DType, decode: Decode, encode: Encode) -> Codec {
    Codec { dtype, importance: Importance::Ignored, decode, encode: Some(encode) }
}

const fn weighted(dtype: DType, decode: Decode, encode: Encode) -> Codec {
    Codec { dtype, importance: Importance::Used, decode, encode: Some(encode) }
}

const fn needed(dtype: DType, decode: Decode, encode: Encode) -> Codec {
    Codec { dtype, importance: Importance::Needed, decode, encode: Some(encode) }
}

const CODECS: &[Codec] = &[
    plain(DType::F64, float::decode_f64, float::encode_f64),
    plain(DType::F32, float::decode_f32, float::encode_f32),
    plain(DType::F16, float::decode_f16, float::encode_f16),
    plain(DType::BF16, float::decode_bf16, float::encode_bf16),
    read(DType::F8_E4M3, float::decode_f8_e4m3),
    read(DType::F8_E5M2, float::decode_f8_e5m2),
    plain(DType::Q1_0, ternary::decode_q1_0, ternary::encode_q1_0),
    plain(DType::Q2_0, ternary::decode_q2_0, ternary::encode_q2_0),
    weighted(DType::Q4_0, legacy::decode_q4_0, legacy::encode::encode_q4_0),
    weighted(DType::Q4_1, legacy::decode_q4_1, legacy::encode::encode_q4_1),
    weighted(DType::Q5_0, legacy::decode_q5_0, legacy::encode::encode_q5_0),
    weighted(DType::Q5_1, legacy::decode_q5_1, legacy::encode::encode_q5_1),
    plain(DType::Q8_0, legacy::decode_q8_0, legacy::encode::encode_q8_0),
    plain(DType::Q8_1, legacy::decode_q8_1, legacy::encode::encode_q8_1),
    weighted(DType::Q2_K, kquant::decode_q2_k, kquant::encode::encode_q2_k),
    weighted(DType::Q3_K, kquant::decode_q3_k, kquant::encode::encode_q3_k),
    weighted(DType::Q4_K, kquant::decode_q4_k, kquant::encode::encode_q4_k),
    weighted(DType::Q5_K, kquant::decode_q5_k, kquant::encode::encode_q5_k),
    weighted(DType::Q6_K, kquant::decode_q6_k, kquant::encode::encode_q6_k),
    plain(DType::Q8_K, kquant::decode_q8_k, kquant::encode::encode_q8_k),
    needed(DType::IQ1_S, iquant::decode_iq1_s, trits::encode_iq1_s),
    weighted(DType::IQ1_M, iquant::decode_iq1_m, trits::encode_iq1_m),
    needed(DType::IQ2_XXS, iquant::decode_iq2_xxs, magnitudes::encode_iq2_xxs),
    needed(DType::IQ2_XS, iquant::decode_iq2_xs, magnitudes::encode_iq2_xs),
    weighted(DType::IQ2_S, iquant::decode_iq2_s, magnitudes::encode_iq2_s),
    weighted(DType::IQ3_XXS, iquant::decode_iq3_xxs, magnitudes::encode_iq3_xxs),
    weighted(DType::IQ3_S, iquant::decode_iq3_s, magnitudes::encode_iq3_s),
    weighted(DType::IQ4_NL, iquant::decode_iq4_nl, nonlinear::encode_iq4_nl),
    weighted(DType::IQ4_XS, iquant::decode_iq4_xs, nonlinear::encode_iq4_xs),
    plain(DType::TQ1_0, ternary::decode_tq1_0, ternary::encode_tq1_0),
    plain(DType::TQ2_0, ternary::decode_tq2_0, ternary::encode_tq2_0),
    plain(DType::MXFP4, mx::decode_mxfp4, mx::encode_mxfp4),
    plain(DType::NVFP4, mx::decode_nvfp4, mx::encode_nvfp4),
    read(DType::APR_Q4, apr::decode_apr_q4),
    read(DType::APR_Q8, apr::decode_apr_q8),
];

impl Codec {
    /// The row of `dtype`; `None` for types that hold no weights (integers, booleans).
    pub fn of(dtype: DType) -> Option<&'static Codec> {
        CODECS.iter().find(|codec| codec.dtype == dtype)
    }

    /// Whether [`encode`] can make this type.
    pub const fn encodes(&self) -> bool {
        self.encode.is_some()
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
    let codec = Codec::of(dtype).ok_or(QuantError::NotWeights { dtype })?;
    check_bytes(dtype, out.len(), bytes.len())?;
    (codec.decode)(bytes, out);
    Ok(())
}

/// Turns one row of floats into stored blocks, byte for byte as ggml's reference does.
///
/// `importance` says how much each element of the row matters (the mean square of the activations that meet it). Its
/// scale does not matter. Formats whose [`Importance`] is `Ignored` take it and do not look at it.
///
/// # Errors
/// When there is no encoder for `dtype`, the row is no whole number of blocks, `out` has another length than
/// [`DType::row_bytes`] says, `importance` is missing where it is needed, has another length than the row or a value
/// that is negative or not finite, or the row has a value that is not finite (types without blocks take those).
pub fn encode(
    dtype: DType,
    row: &[f32],
    importance: Option<&[f32]>,
    out: &mut [u8],
) -> Result<(), QuantError> {
    let codec = Codec::of(dtype).ok_or(QuantError::NotWeights { dtype })?;
    let encode = codec.encode.ok_or(QuantError::NoEncoder { dtype })?;
    check_bytes(dtype, row.len(), out.len())?;
    match (importance, codec.importance) {
        (None, Importance::Needed) => return Err(QuantError::ImportanceNeeded { dtype }),
        (Some(importance), Importance::Used | Importance::Needed) => check_importance(row.len(), importance)?,
        _ => {}
    }
    if dtype.block_elems() > 1
        && let Some((index, value)) = first(row, |value| !value.is_finite())
    {
        return Err(QuantError::NotFinite { dtype, index, value });
    }
    encode(row, importance, out);
    Ok(())
}

fn check_bytes(dtype: DType, elems: usize, found: usize) -> Result<(), QuantError> {
    match dtype.row_bytes(elems) {
        None => Err(QuantError::RowLength { dtype, elems }),
        Some(needed) if needed != found => Err(QuantError::ByteLength { dtype, elems, needed, found }),
        Some(_) => Ok(()),
    }
}

fn check_importance(elems: usize, importance: &[f32]) -> Result<(), QuantError> {
    if importance.len() != elems {
        return Err(QuantError::ImportanceLength { elems, found: importance.len() });
    }
    match first(importance, |value| !(value >= 0.0 && value.is_finite())) {
        Some((index, value)) => Err(QuantError::Importance { index, value }),
        None => Ok(()),
    }
}

/// The first value that is `bad`.
fn first(values: &[f32], bad: impl Fn(f32) -> bool) -> Option<(usize, f32)> {
    // In stretches without an early way out, which become vector code.
    let stretch = values.chunks(64).position(|values| values.iter().fold(false, |any, &v| any | bad(v)))?;
    let from = 64 * stretch;
    values[from..].iter().position(|&value| bad(value)).map(|i| (from + i, values[from + i]))
}
