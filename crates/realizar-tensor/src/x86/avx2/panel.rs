//! A panel of eight rows meets tokens: `vpmaddubsw` multiplies unsigned by signed bytes and adds pairs in 16 bits.
//!
//! A pair of products saturates, and sums of pairs wrap, so that each format says how many registers' pairs fit: then
//! `vpmaddwd` multiplies the sums of pairs by the block's integer scale, or by one, and adds them in 32 bits. Signed weights
//! give their magnitude, and the activations take over the sign. Activations are within +-127, and 16 of a 256-block
//! together within 1023 (see [`ActKind::Super256`]).

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::asm;
use std::arch::x86_64::{
    __m256, __m256i, _MM_HINT_T0, _mm_prefetch, _mm256_abs_epi8, _mm256_add_epi16, _mm256_add_epi32,
    _mm256_add_ps, _mm256_castsi256_ps, _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_fnmadd_ps,
    _mm256_loadu_ps, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_sign_epi8, _mm256_storeu_ps,
};

use super::vector::Ymm;
use crate::acts::{ActKind, word};
use crate::quads::{
    Format, Head, Iq4Nl, Iq4Xs, Meet, Mxfp4, Nvfp4, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0,
    ROWS, Vector,
};
use crate::scalar::formats::Minima;

/// How the bytes of a format are multiplied.
pub(super) trait Bytes: Format {
    /// Whether there are negative ones, once `OFFSET` is added.
    const SIGNED: bool;
    /// Registers of which the products of pairs, added, fit 16 bits.
    const RUN: usize;
    /// What is added to the bytes for them not to be negative. A sum of 32 then starts at -8 times that of the activations.
    const OFFSET: i8 = 0;
}

macro_rules! bytes {
    ($($format:ident: $signed:literal, $run:literal $(, $offset:literal)?;)*) => {
        $(impl Bytes for $format {
            const SIGNED: bool = $signed;
            const RUN: usize = $run;
            $(const OFFSET: i8 = $offset;)?
        })*
    };
}

// A lane has two of four values of each register: with magnitudes up to w, 2 x RUN x 127 x w < 2^15, or 1023 x w for 16 values.
bytes! {
    Q4_0: false, 8, 8; // 15
    Q4_1: false, 8; // 15
    Q5_0: true, 8; // 16
    Q5_1: false, 4; // 31
    Q8_0: true, 1; // 128, one pair: 2 x 127 x 128
    Iq4Nl: true, 1; // 127
    Mxfp4: true, 8; // 12
    Q2K: false, 4; // 3
    Q3K: true, 4; // 4
    Q4K: false, 8; // 15
    Q5K: false, 4; // 31, 16 values
    Q6K: true, 4; // 32
    Iq4Xs: true, 1; // 127
    Nvfp4: true, 4; // 12
}

/// 256 values of eight rows.
type Panel = [Ymm; 64];

impl<F: Bytes> Meet<F> for Ymm {
    type Panel = Panel;
    type Heads = [Head<Self>; 1];

    #[inline(always)]
    fn panel() -> Panel {
        [Self::splat32(0); 64]
    }

    #[inline(always)]
    fn heads() -> [Head<Self>; 1] {
        [Head::zero()]
    }

    #[inline(always)]
    fn put(panel: &mut Panel, place: usize, _: usize, bytes: Self) {
        panel[place] = if F::OFFSET == 0 { bytes } else { bytes.sub8(Self::splat8(-F::OFFSET)) };
    }

    #[inline(always)]
    fn fetch(from: *const u8, bytes: usize) {
        for line in (0..bytes).step_by(64) {
            // SAFETY: fetching needs no valid address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(line).cast()) };
        }
    }

    /// Integer scales and minima as pairs of 16 bits: a scale twice, minima as the record's sums of activations lie.
    #[inline(always)]
    fn prepare(head: &mut Head<Self>) {
        if F::KIND == ActKind::Block32 || F::SCALED {
            return;
        }
        let pair = |low: Self, high: Self| low.and(Self::splat32(0xffff)).or(high.shl32(16));
        for scale in &mut head.scales[..256 / F::BLOCK] {
            *scale = pair(*scale, *scale);
        }
        match F::MINS {
            Minima::None => {}
            // The record has the sums of 16 times -32, each in a lane of its own.
            Minima::Of16 => head.d_min = Self::mul(head.d_min, Self::splat(-1.0 / 32.0)),
            Minima::Of32 => {
                let mins = head.mins;
                for (index, b) in [0, 1, 4, 5].into_iter().enumerate() {
                    head.mins[index] = pair(mins[b], mins[b + 2]);
                }
            }
        }
    }

    #[inline(always)]
    fn meet<const T: usize>(
        panel: &Panel,
        [head]: &[Head<Self>; 1],
        words: &[i32],
        sums: &mut [[f32; ROWS]],
    ) {
        // SAFETY: the callers are compiled for AVX2 and FMA.
        unsafe { meet::<F, T>(panel, head, words, sums) }
    }
}

/// See [`Meet::meet`].
///
/// # Safety
/// The caller is compiled for AVX2 and FMA.
#[inline(always)]
unsafe fn meet<F: Bytes, const T: usize>(
    panel: &Panel,
    head: &Head<Ymm>,
    words: &[i32],
    sums: &mut [[f32; ROWS]],
) {
    let words = words.as_chunks::<T>().0;
    let (Some(values), Some(rest)) = (words.first_chunk::<64>(), words.get(64..F::KIND.words())) else {
        return;
    };
    let rest = |at: usize| &rest[at - 64];
    let Some(sums) = sums.first_chunk_mut::<T>() else { return };
    let integer = F::KIND == ActKind::Super256 && !F::SCALED;
    // SAFETY: by the contract of this function; loads and stores are of whole arrays.
    unsafe {
        let ones = _mm256_set1_epi16(1);
        let mut whole = [_mm256_setzero_si256(); T];
        let mut floats = [_mm256_setzero_ps(); T];
        for b in 0..256 / F::BLOCK {
            let mut acc = [_mm256_setzero_si256(); T];
            if F::OFFSET != 0 {
                for t in 0..T {
                    acc[t] = _mm256_set1_epi32(rest(word::B32_MINUS_8 + b)[t]);
                }
            }
            let factor = if integer { head.scales[b].0 } else { ones };
            for run in 0..F::BLOCK / 4 / F::RUN {
                let mut pairs = [_mm256_setzero_si256(); T];
                for j in 0..F::RUN {
                    let k4 = b * (F::BLOCK / 4) + run * F::RUN + j;
                    let w = panel[k4].0;
                    let magnitude = if F::SIGNED { _mm256_abs_epi8(w) } else { w };
                    for t in 0..T {
                        let x = _mm256_set1_epi32(values[k4][t]);
                        let x = if F::SIGNED { _mm256_sign_epi8(x, w) } else { x };
                        let products = _mm256_maddubs_epi16(magnitude, x);
                        pairs[t] = if j == 0 { products } else { _mm256_add_epi16(pairs[t], products) };
                    }
                    hold(&mut pairs);
                }
                for t in 0..T {
                    let sum = _mm256_madd_epi16(pairs[t], factor);
                    if integer {
                        whole[t] = _mm256_add_epi32(whole[t], sum);
                    } else {
                        acc[t] = _mm256_add_epi32(acc[t], sum);
                    }
                }
                hold(if integer { &mut whole } else { &mut acc });
            }
            if !integer {
                for t in 0..T {
                    let mut scale = head.floats[b];
                    if F::KIND == ActKind::Block32 {
                        scale = _mm256_mul_ps(scale, splat(rest(word::B32_SCALE + b)[t]));
                    }
                    floats[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc[t]), scale, floats[t]);
                }
            }
        }
        for t in 0..T {
            let before = _mm256_loadu_ps(sums[t].as_ptr());
            let after = if F::KIND == ActKind::Block32 {
                if F::MINS != Minima::None {
                    for b in 0..8 {
                        let eighths = _mm256_cvtepi32_ps(_mm256_set1_epi32(rest(word::B32_MINUS_8 + b)[t]));
                        let scale = _mm256_mul_ps(head.float_mins[b], splat(rest(word::B32_SCALE + b)[t]));
                        floats[t] = _mm256_fmadd_ps(eighths, scale, floats[t]);
                    }
                }
                _mm256_add_ps(before, floats[t])
            } else {
                let mut value = floats[t];
                if integer {
                    value = _mm256_mul_ps(_mm256_cvtepi32_ps(whole[t]), head.d);
                    // Pairs of sums of 32, or sums of 16 in lanes whose other half meets no minimum.
                    let (count, first) = match F::MINS {
                        Minima::None => (0, word::S_SCALE),
                        Minima::Of16 => (16, word::S16_MINUS_32),
                        Minima::Of32 => (4, word::S32_PAIRS),
                    };
                    if count > 0 {
                        let mut mins = _mm256_setzero_si256();
                        for i in 0..count {
                            let min = head.mins[i].0;
                            let sum = _mm256_set1_epi32(rest(first + i)[t]);
                            mins = _mm256_add_epi32(mins, _mm256_madd_epi16(min, sum));
                        }
                        value = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(mins), head.d_min, value);
                    }
                }
                _mm256_fmadd_ps(value, splat(rest(word::S_SCALE)[t]), before)
            };
            _mm256_storeu_ps(sums[t].as_mut_ptr(), after);
        }
    }
}

/// Keeps the sums' order, register of weights by register. Left to itself the compiler goes token by token, for which there
/// are not enough registers.
#[target_feature(enable = "avx2")]
#[inline]
fn hold<const T: usize>(sums: &mut [__m256i; T]) {
    for sum in sums {
        // SAFETY: nothing is done.
        unsafe { asm!("/* {0} */", inout(ymm_reg) * sum, options(nomem, nostack, preserves_flags)) };
    }
}

/// The word as a float, in every lane.
///
/// # Safety
/// The caller is compiled for AVX2.
#[inline(always)]
unsafe fn splat(word: i32) -> __m256 {
    // SAFETY: by the contract of this function.
    unsafe { _mm256_castsi256_ps(_mm256_set1_epi32(word)) }
}
