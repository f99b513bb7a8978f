//! Plain float types: f64, f32, f16, bf16 and the two 8-bit floats.
//!
//! The conversions are branch-free integer code, so that loops over them become vector code on any CPU; results
//! equal IEEE 754 round-to-nearest-even. NaNs become quiet NaNs as ggml writes them.

/// Widens IEEE half precision; exact.
#[inline]
pub const fn f16_to_f32(bits: u16) -> f32 {
    let magnitude = (bits & 0x7fff) as u32;
    let sign = ((bits & 0x8000) as u32) << 16;
    let (normal, top) = (magnitude >= 0x0400, magnitude >= 0x7c00);
    // Rebias the exponent from 15 to 127; infinity and NaN need the step twice to reach 255.
    let rebias = if top { 224 << 23 } else { 112 << 23 };
    let subnormal = (magnitude as i32 as f32 * f32::from_bits(0x3380_0000)).to_bits(); // 2^-24
    f32::from_bits(sign | if normal { (magnitude << 13) + rebias } else { subnormal })
}

/// Narrows to IEEE half precision, ties to even; above 65519 is infinity, NaN is `7e00` with the sign.
#[inline]
pub const fn f32_to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    let sign = (bits >> 16) as u16 & 0x8000;
    let half = if magnitude > 0x7f80_0000 {
        0x7e00
    } else if magnitude >= 0x3880_0000 {
        let rebiased = magnitude - (112 << 23);
        let rounded = (rebiased + 0xfff + ((rebiased >> 13) & 1)) >> 13;
        if rounded > 0x7c00 { 0x7c00 } else { rounded }
    } else {
        // Adding 0.5, whose unit in the last place is 2^-24, rounds to a multiple of the smallest half.
        (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5f32.to_bits()
    };
    sign | half as u16
}

/// Widens bfloat16; exact.
#[inline]
pub const fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits((bits as u32) << 16)
}

/// Narrows to bfloat16, ties to even; a NaN keeps its upper bits and becomes quiet.
#[inline]
pub const fn f32_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if bits & 0x7fff_ffff > 0x7f80_0000 {
        (bits >> 16) as u16 | 0x40
    } else {
        ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
    }
}

/// The f16 at the start of `bytes`.
#[inline]
pub(crate) fn read_f16(bytes: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn decode_with<const N: usize>(bytes: &[u8], out: &mut [f32], widen: impl Fn([u8; N]) -> f32) {
    for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *out = widen(*bytes);
    }
}

fn encode_with<const N: usize>(row: &[f32], out: &mut [u8], narrow: impl Fn(f32) -> [u8; N]) {
    for (out, &value) in out.as_chunks_mut::<N>().0.iter_mut().zip(row) {
        *out = narrow(value);
    }
}

pub(crate) fn decode_f64(bytes: &[u8], out: &mut [f32]) {
    decode_with(bytes, out, |b| f64::from_le_bytes(b) as f32);
}

pub(crate) fn decode_f32(bytes: &[u8], out: &mut [f32]) {
    decode_with(bytes, out, f32::from_le_bytes);
}

pub(crate) fn decode_f16(bytes: &[u8], out: &mut [f32]) {
    decode_with(bytes, out, |b| f16_to_f32(u16::from_le_bytes(b)));
}

pub(crate) fn decode_bf16(bytes: &[u8], out: &mut [f32]) {
    decode_with(bytes, out, |b| bf16_to_f32(u16::from_le_bytes(b)));
}

/// The 256 values of the OCP 8-bit float e4m3: no infinity, NaN is `7f` and `ff`.
static E4M3: [f32; 256] = {
    let mut values = [0.0; 256];
    let mut code = 0;
    while code < 128 {
        let (exponent, mantissa) = (code as u32 >> 3, code as u32 & 7);
        values[code] = match (exponent, mantissa) {
            (15, 7) => f32::NAN,
            (0, _) => mantissa as f32 * (1.0 / 512.0),
            _ => f32::from_bits((exponent + 127 - 7) << 23 | mantissa << 20),
        };
        values[code + 128] = -values[code];
        code += 1;
    }
    values
};

pub(crate) fn decode_f8_e4m3(bytes: &[u8], out: &mut [f32]) {
    decode_with(bytes, out, |[code]| E4M3[usize::from(code)]);
}

/// An e5m2 number is the upper half of an f16.
pub(crate) fn decode_f8_e5m2(bytes: &[u8], out: &mut [f32]) {
    decode_with(bytes, out, |[code]| f16_to_f32(u16::from(code) << 8));
}

pub(crate) fn encode_f64(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
    encode_with(row, out, |x| f64::from(x).to_le_bytes());
}

pub(crate) fn encode_f32(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
    encode_with(row, out, f32::to_le_bytes);
}

pub(crate) fn encode_f16(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
    encode_with(row, out, |x| f32_to_f16(x).to_le_bytes());
}

pub(crate) fn encode_bf16(row: &[f32], _: Option<&[f32]>, out: &mut [u8]) {
    encode_with(row, out, |x| f32_to_bf16(x).to_le_bytes());
}
