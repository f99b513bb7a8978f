//! Exact sums of int8 products, 32 at a time.
//!
//! `vpmaddubsw` multiplies unsigned by signed bytes and adds pairs in 16 bits, saturating: with magnitudes of up to 128
//! and 127 a pair stays below 2 x 128 x 127 = 32512. So one side gives its magnitude, the other takes over its sign.

use std::arch::x86_64::{
    __m256i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_set1_epi16, _mm_shuffle_epi32, _mm256_abs_epi8,
    _mm256_add_epi32, _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_set1_epi16, _mm256_setr_m128i, _mm256_setzero_si256,
    _mm256_sign_epi8,
};

use crate::scalar::formats::Super;
use crate::scalar::integer::Dots8;

/// The sums by vectors. Only functions that are compiled for AVX2 may use it.
#[derive(Debug)]
pub(super) struct Vectors;

impl Dots8 for Vectors {
    #[inline(always)]
    fn dot32(q: &[i8; 32], a: &[i32; 8]) -> i32 {
        // SAFETY: both are 32 bytes; the callers are compiled for AVX2.
        unsafe {
            let pairs =
                products(_mm256_loadu_si256(q.as_ptr().cast()), _mm256_loadu_si256(a.as_ptr().cast()));
            sum(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }

    #[inline(always)]
    fn dot_super(w: &Super, a: &[i32; 64]) -> i32 {
        // SAFETY: eight times 32 bytes on both sides; the callers are compiled for AVX2.
        unsafe {
            let mut total = _mm256_setzero_si256();
            for i in 0..8 {
                let q = _mm256_loadu_si256(w.q.as_ptr().add(i * 32).cast());
                let pairs = products(q, _mm256_loadu_si256(a.as_ptr().add(i * 8).cast()));
                let scale = |b: usize| _mm_set1_epi16(w.scales[b] as i16);
                let scales = _mm256_setr_m128i(scale(2 * i), scale(2 * i + 1));
                total = _mm256_add_epi32(total, _mm256_madd_epi16(pairs, scales));
            }
            sum(total)
        }
    }
}

/// Products of `q` and `a`, added in pairs.
///
/// # Safety
/// The caller is compiled for AVX2.
#[inline(always)]
unsafe fn products(q: __m256i, a: __m256i) -> __m256i {
    // `a` is within +-127: its negation exists; `q` may be -128, whose magnitude is 128 as an unsigned byte.
    // SAFETY: by the contract of this function.
    unsafe { _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(a, q)) }
}

/// # Safety
/// The caller is compiled for AVX2.
#[inline(always)]
unsafe fn sum(x: __m256i) -> i32 {
    // SAFETY: by the contract of this function.
    unsafe {
        let x = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
        let x = _mm_add_epi32(x, _mm_shuffle_epi32::<0x4e>(x));
        _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32::<0xb1>(x)))
    }
}
