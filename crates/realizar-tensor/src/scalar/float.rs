//! Products of f32 rows, and the conversions from 16-bit floats and from integers with scales.

use super::math::{Arith, LANES, tree_sum};
use crate::kernels::Dots;
use crate::kv::KV_BLOCK;
use crate::pool::Tile;

/// See [`Kernels::widen_f16`](crate::Kernels).
pub(crate) fn widen_f16(bytes: &[u8], out: &mut [f32]) {
    for (out, &bytes) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *out = half::f16::from_le_bytes(bytes).to_f32();
    }
}

/// See [`Kernels::narrow_f16`](crate::Kernels).
pub(crate) fn narrow_f16(x: &[f32], out: &mut [[u8; 2]]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = half::f16::from_f32(x).to_le_bytes();
    }
}

/// See [`Kernels::widen_bf16`](crate::Kernels).
#[inline(always)]
pub(crate) fn widen_bf16(bytes: &[u8], out: &mut [f32]) {
    for (out, &bytes) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *out = f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16);
    }
}

/// See [`Kernels::widen_q8_keys`](crate::Kernels).
#[inline(always)]
pub(crate) fn widen_q8_keys(values: &[u8], scales: &[f32], out: &mut [f32]) {
    let parts = out.chunks_mut(32 * KV_BLOCK).zip(values.chunks(32 * KV_BLOCK));
    for ((out, values), &scales) in parts.zip(scales.as_chunks::<KV_BLOCK>().0) {
        let rows = out.as_chunks_mut::<KV_BLOCK>().0.iter_mut().zip(values.as_chunks::<KV_BLOCK>().0);
        for (out, values) in rows {
            for pos in 0..KV_BLOCK {
                out[pos] = f32::from(values[pos] as i8) * scales[pos];
            }
        }
    }
}

/// See [`Kernels::widen_q8_values`](crate::Kernels).
#[inline(always)]
pub(crate) fn widen_q8_values(values: &[u8], scales: &[f32], out: &mut [f32]) {
    let parts = out.as_chunks_mut::<32>().0.iter_mut().zip(values.as_chunks::<32>().0);
    for ((out, values), scale) in parts.zip(scales) {
        for i in 0..32 {
            out[i] = f32::from(values[i] as i8) * scale;
        }
    }
}

/// See [`Kernels::dots`](crate::Kernels): `R` weight rows by `T` tokens at a time. Lane k mod 16 sums its elements in
/// ascending order, then the fixed tree; neither depends on `R` or `T`.
#[inline(always)]
pub(crate) fn dots<A: Arith, const R: usize, const T: usize>(dots: Dots<'_>, out: &mut Tile<'_, f32>) {
    let Dots { weights, x, k, first_row } = dots;
    let (rows, tokens) = (weights.len() / k, x.len() / k);
    let mut token = 0;
    while token + T <= tokens {
        rows_of::<A, R, T>(weights, &x[token * k..][..T * k], k, rows, |t, r, value| {
            out.row(token + t)[first_row + r] = value;
        });
        token += T;
    }
    while token < tokens {
        rows_of::<A, R, 1>(weights, &x[token * k..][..k], k, rows, |_, r, value| {
            out.row(token)[first_row + r] = value;
        });
        token += 1;
    }
}

/// All weight rows with `T` tokens.
#[inline(always)]
fn rows_of<A: Arith, const R: usize, const T: usize>(
    weights: &[f32],
    x: &[f32],
    k: usize,
    rows: usize,
    mut put: impl FnMut(usize, usize, f32),
) {
    let mut row = 0;
    while row + R <= rows {
        block::<A, R, T>(&weights[row * k..][..R * k], x, k, |r, t, value| put(t, row + r, value));
        row += R;
    }
    while row < rows {
        block::<A, 1, T>(&weights[row * k..][..k], x, k, |_, t, value| put(t, row, value));
        row += 1;
    }
}

/// `R` rows by `T` tokens, sums in registers.
#[inline(always)]
fn block<A: Arith, const R: usize, const T: usize>(
    weights: &[f32],
    x: &[f32],
    k: usize,
    mut put: impl FnMut(usize, usize, f32),
) {
    let mut sums = [[[0.0f32; LANES]; T]; R];
    let w: [_; R] = std::array::from_fn(|r| weights[r * k..][..k].as_chunks::<LANES>());
    let x: [_; T] = std::array::from_fn(|t| x[t * k..][..k].as_chunks::<LANES>());
    for i in 0..k / LANES {
        for t in 0..T {
            let x = x[t].0[i];
            for r in 0..R {
                let w = &w[r].0[i];
                for lane in 0..LANES {
                    sums[r][t][lane] = A::mul_add(w[lane], x[lane], sums[r][t][lane]);
                }
            }
        }
    }
    for r in 0..R {
        for t in 0..T {
            for (lane, (&w, &x)) in w[r].1.iter().zip(x[t].1).enumerate() {
                sums[r][t][lane] = A::mul_add(w, x, sums[r][t][lane]);
            }
            put(r, t, tree_sum(sums[r][t]));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Kernels;

    #[test]
    fn every_table_rounds_to_f16_alike() {
        // Every exponent, with fractions on, below and above the middle between two halves; infinity and NaN.
        let fractions = [0, 1, 0xfff, 0x1000, 0x1001, 0x3000, 0x7f_f000, 0x7f_ffff];
        let bits = (0..=0x1ff_u32).flat_map(|top| fractions.map(|fraction| top << 23 | fraction));
        let values: Vec<f32> = bits.map(f32::from_bits).collect();
        for kernels in Kernels::available() {
            for count in [1, 15, 23, values.len()] {
                let mut out = vec![[0; 2]; count];
                (kernels.narrow_f16)(&values[..count], &mut out);
                for (value, half) in values.iter().zip(out) {
                    let expected = half::f16::from_f32(*value).to_le_bytes();
                    assert_eq!(half, expected, "{value:e} ({:#x}) on {}", value.to_bits(), kernels.name());
                }
            }
        }
    }
}
