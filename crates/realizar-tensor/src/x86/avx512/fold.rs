//! From the integer sums of blocks to floats: the order of float operations that both kernels share, written once.

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::{
    __m512, __m512i, _mm512_add_ps, _mm512_castsi512_ps, _mm512_cvtepi32_ps, _mm512_dpwssd_epi32,
    _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_mask_set1_epi16, _mm512_mul_ps, _mm512_set1_epi32,
    _mm512_setzero_ps, _mm512_setzero_si512, _mm512_slli_epi32, _mm512_srai_epi32, _mm512_storeu_ps,
};

use super::rows::LANES;
use super::unpack::{FACTS, Head, IQ4_XS, NVFP4, Q2_K, Q3_K, Q5_0, Q5_K};
use crate::acts::{ActKind, word};

/// The sums of 256 values of sixteen rows for `T` tokens: in integers for K types, else in floats.
///
/// The words of activations begin with the first of these tokens, in a group of `S`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fold<const T: usize> {
    integer: [__m512i; T],
    float: [__m512; T],
}

impl<const T: usize> Fold<T> {
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn zero() -> Self {
        Self { integer: [_mm512_setzero_si512(); T], float: [_mm512_setzero_ps(); T] }
    }

    /// Adds the sums of block `b`.
    #[target_feature(enable = "avx512f,avx512vnni")]
    #[inline]
    pub(super) fn close<const F: usize, const S: usize>(
        &mut self,
        acc: &[__m512i; T],
        scale: __m512i,
        words: &[i32],
        b: usize,
    ) {
        for t in 0..T {
            match FACTS[F].kind {
                ActKind::Super256 if F == IQ4_XS || F == NVFP4 => {
                    let scale = _mm512_castsi512_ps(scale);
                    self.float[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[t]), scale, self.float[t]);
                }
                // The sums fit 16 bits (see `ActKind::Super256`), and the upper half of the scale is zero.
                ActKind::Super256 => self.integer[t] = _mm512_dpwssd_epi32(self.integer[t], acc[t], scale),
                ActKind::Block32 => {
                    let token = _mm512_castsi512_ps(splat(words, (word::B32_SCALE + b) * S + t));
                    let scale = _mm512_mul_ps(_mm512_castsi512_ps(scale), token);
                    self.float[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[t]), scale, self.float[t]);
                }
            }
        }
    }

    /// Adds the 256 values to the outputs.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,fma")]
    #[inline]
    pub(super) fn finish<const F: usize, const S: usize>(
        &self,
        head: &Head,
        words: &[i32],
        sums: &mut [__m512; T],
    ) {
        for t in 0..T {
            self.finish_one::<F, S>(head, words, t, &mut sums[t]);
        }
    }

    /// Adds the 256 values to the output of one token.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,fma")]
    #[inline]
    pub(super) fn finish_one<const F: usize, const S: usize>(
        &self,
        head: &Head,
        words: &[i32],
        t: usize,
        sum: &mut __m512,
    ) {
        if matches!(FACTS[F].kind, ActKind::Block32) {
            let mut value = self.float[t];
            if FACTS[F].mins {
                for b in 0..8 {
                    let token = _mm512_castsi512_ps(splat(words, (word::B32_SCALE + b) * S + t));
                    let scale = _mm512_mul_ps(_mm512_castsi512_ps(head.scales[8 + b]), token);
                    let eighths = splat(words, (word::B32_MINUS_8 + b) * S + t);
                    value = _mm512_fmadd_ps(_mm512_cvtepi32_ps(eighths), scale, value);
                }
            }
            *sum = _mm512_add_ps(*sum, value);
            return;
        }
        let scale = _mm512_castsi512_ps(splat(words, word::S_SCALE * S + t));
        if F == IQ4_XS || F == NVFP4 {
            *sum = _mm512_fmadd_ps(self.float[t], scale, *sum);
            return;
        }
        let pair = |i: usize| splat(words, (word::S32_PAIRS + i) * S + t);
        let mut total = self.integer[t];
        if F == Q5_K {
            for i in 0..4 {
                total = _mm512_dpwssd_epi32(total, head.offsets[i], pair(i));
            }
        }
        let mut value = _mm512_mul_ps(_mm512_cvtepi32_ps(total), head.d);
        if FACTS[F].mins {
            let mut mins = _mm512_setzero_si512();
            for i in 0..4 {
                if F == Q2_K {
                    let two = |b: usize| two_sums(words, (word::S16_MINUS_32 + b) * S + t, 2 * S);
                    mins = _mm512_dpwssd_epi32(mins, head.mins[i], two(4 * i));
                    mins = _mm512_dpwssd_epi32(mins, head.offsets[i], two(4 * i + 1));
                } else {
                    mins = _mm512_dpwssd_epi32(mins, head.mins[i], pair(i));
                }
            }
            value = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(mins), head.d_min, value);
        }
        *sum = _mm512_fmadd_ps(value, scale, *sum);
    }
}

/// The start values of the sums of block `b`: what takes the weights' offset off. Words are those of [`Fold`].
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn start<const F: usize, const T: usize, const S: usize>(words: &[i32], b: usize) -> [__m512i; T] {
    let mut acc = [_mm512_setzero_si512(); T];
    if let Some(start) = FACTS[F].start {
        for t in 0..T {
            acc[t] = splat(words, (start + b) * S + t);
            if F == IQ4_XS {
                // The offset is 128, and the record has -16 times the sum.
                acc[t] = _mm512_slli_epi32::<3>(acc[t]);
            }
            if F == Q5_0 {
                // The offset is 16, and the record has -8 times the sum.
                acc[t] = _mm512_slli_epi32::<1>(acc[t]);
            }
            if F == Q3_K {
                // The offset is 4, and the record has -32 times the sum.
                acc[t] = _mm512_srai_epi32::<3>(acc[t]);
            }
        }
    }
    acc
}

/// The word at `at`, in every lane. In release builds the caller's word count is not looked at again: records are as long
/// as `ActKind::words` says, and `Acts::group` has cut out whole ones.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn splat(words: &[i32], at: usize) -> __m512i {
    debug_assert!(at < words.len());
    // SAFETY: `at` is a word number of the record times the tokens of the group plus a token, all within the group.
    _mm512_set1_epi32(unsafe { *words.get_unchecked(at) })
}

/// The words at `at` and `step` further on, which fit 16 bits, as a pair in every lane.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn two_sums(words: &[i32], at: usize, step: usize) -> __m512i {
    _mm512_mask_set1_epi16(splat(words, at), 0xaaaa_aaaa, words[at + step] as i16)
}

/// The lanes of a register.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn lanes(x: __m512) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    // SAFETY: `out` is 16 floats.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr(), x) };
    out
}
