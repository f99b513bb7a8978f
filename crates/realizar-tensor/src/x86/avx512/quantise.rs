//! int8 activations: the integers and scales of the plain kernel, sixteen values at a time.

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::{
    __m128i, __m512, __m512i, _mm_storeu_si128, _mm512_abs_ps, _mm512_add_epi32, _mm512_add_ps,
    _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cvtepi32_epi8, _mm512_cvtps_epi32, _mm512_dpbusd_epi32,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_max_epu32, _mm512_mul_ps, _mm512_permutexvar_epi32,
    _mm512_reduce_max_epu32, _mm512_reduce_max_ps, _mm512_set1_epi8, _mm512_set1_ps, _mm512_setr_epi32,
    _mm512_setzero_si512, _mm512_shuffle_f32x4, _mm512_shuffle_ps, _mm512_storeu_si512,
};

use super::rows::LANES;
use crate::acts::{ActKind, SUPER, word};
use crate::scalar::quantise::{padded, scale_of};

/// Words of the longest record, in whole registers.
const WORDS: usize = 96;

/// See [`Kernels::quantise`](crate::Kernels).
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn quantise(kind: ActKind, x: &[f32], width: usize, block: usize, words: &mut [i32]) {
    let tokens = x.len() / width;
    let (mut record, mut buffer) = ([0; WORDS], [0.0; SUPER]);
    for (token, row) in x.chunks_exact(width).enumerate() {
        let values = padded(row, block, &mut buffer);
        match kind {
            ActKind::Block32 => by_block(values, &mut record),
            ActKind::Super256 => by_super(values, &mut record),
        }
        for (words, &word) in words.chunks_exact_mut(tokens).zip(&record) {
            words[token] = word;
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn by_block(values: &[f32; SUPER], record: &mut [i32; WORDS]) {
    let x = load(values);
    let mut magnitudes = x;
    for i in 0..16 {
        magnitudes[i] = _mm512_abs_ps(x[i]);
    }
    let maxima = largest_of_each(magnitudes);
    let (mut inverse, mut scales) = ([0.0; 8], [0.0f32; 8]);
    for b in 0..8 {
        (scales[b], inverse[b]) = scale_of(maxima[2 * b].max(maxima[2 * b + 1]), 0.0);
    }
    let sums = round(&x, |i| inverse[i / 2], record);
    for b in 0..8 {
        let sum = sums[2 * b] + sums[2 * b + 1];
        record[word::B32_MINUS_128 + b] = -128 * sum;
        record[word::B32_MINUS_8 + b] = -8 * sum;
        record[word::B32_SCALE + b] = scales[b].to_bits() as i32;
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn by_super(values: &[f32; SUPER], record: &mut [i32; WORDS]) {
    let x = load(values);
    let mut magnitudes = x;
    let mut largest = _mm512_setzero_si512();
    for i in 0..16 {
        magnitudes[i] = _mm512_abs_ps(x[i]);
        largest = _mm512_max_epu32(largest, _mm512_castps_si512(magnitudes[i]));
    }
    // The order of the registers is mixed up; the largest sum does not mind.
    let heaviest = _mm512_reduce_max_ps(sum_of_each(magnitudes));
    let (scale, inverse) = scale_of(_mm512_reduce_max_epu32(largest), heaviest);
    let sums = round(&x, |_| inverse, record);
    for (index, sum) in sums.iter().enumerate() {
        record[word::S16_MINUS_32 + index] = -32 * sum;
    }
    let halves: [i32; 8] = std::array::from_fn(|b| sums[2 * b] + sums[2 * b + 1]);
    for (block, sum) in halves.iter().enumerate() {
        record[word::S32_MINUS_16 + block] = -16 * sum;
    }
    for (index, block) in [0, 1, 4, 5].into_iter().enumerate() {
        record[word::S32_PAIRS + index] = (halves[block] & 0xffff) | halves[block + 2] << 16;
    }
    record[word::S_SCALE] = scale.to_bits() as i32;
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(values: &[f32; SUPER]) -> [__m512; 16] {
    let mut x = [_mm512_set1_ps(0.0); 16];
    for i in 0..16 {
        // SAFETY: 16 times 16 floats.
        x[i] = unsafe { _mm512_loadu_ps(values.as_ptr().add(i * LANES)) };
    }
    x
}

/// Rounds to int8, the words of which go to the front of the record; returns the sums of 16 values each.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn round(x: &[__m512; 16], inverse: impl Fn(usize) -> f32, record: &mut [i32; WORDS]) -> [i32; 16] {
    for i in 0..16 {
        let q = _mm512_cvtps_epi32(_mm512_mul_ps(x[i], _mm512_set1_ps(inverse(i))));
        let q: __m128i = _mm512_cvtepi32_epi8(q);
        // SAFETY: four words; the record has 64 for the values.
        unsafe { _mm_storeu_si128(record.as_mut_ptr().add(i * 4).cast(), q) };
    }
    let mut fours = [_mm512_setzero_si512(); 4];
    for i in 0..4 {
        // SAFETY: 16 words of the 64.
        let q = unsafe { _mm512_loadu_si512(record.as_ptr().add(i * LANES).cast()) };
        fours[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), q);
    }
    // Quarter c of register j holds four parts of sum 4j + c.
    let (a, b) = (pairs(fours[0], fours[1]), pairs(fours[2], fours[3]));
    let sums = in_order(pairs(a, b));
    let mut out = [0; 16];
    // SAFETY: 16 words.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), sums) };
    out
}

/// Neighbours added within each quarter: two sums of `a`, two of `b`.
#[target_feature(enable = "avx512f")]
#[inline]
fn pairs(a: __m512i, b: __m512i) -> __m512i {
    let (a, b) = (_mm512_castsi512_ps(a), _mm512_castsi512_ps(b));
    let even = _mm512_castps_si512(_mm512_shuffle_ps::<0x88>(a, b));
    let odd = _mm512_castps_si512(_mm512_shuffle_ps::<0xdd>(a, b));
    _mm512_add_epi32(even, odd)
}

/// From lane 4c + q to lane 4q + c.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn in_order(x: __m512i) -> __m512i {
    _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), x)
}

/// Halves onto halves in all sixteen registers at once, 16 lanes to 1: lane 4c + q comes from register 4q + c.
#[target_feature(enable = "avx512f")]
#[inline]
fn join(mut x: [__m512; 16], op: impl Fn(__m512, __m512) -> __m512) -> __m512 {
    for i in 0..8 {
        let (a, b) = (x[2 * i], x[2 * i + 1]);
        x[i] = op(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
    }
    for i in 0..4 {
        let (a, b) = (x[2 * i], x[2 * i + 1]);
        x[i] = op(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
    }
    for i in 0..2 {
        let (a, b) = (x[2 * i], x[2 * i + 1]);
        x[i] = op(_mm512_shuffle_ps::<0x44>(a, b), _mm512_shuffle_ps::<0xee>(a, b));
    }
    op(_mm512_shuffle_ps::<0x88>(x[0], x[1]), _mm512_shuffle_ps::<0xdd>(x[0], x[1]))
}

/// The sum of each register, by the tree of the plain kernel.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn sum_of_each(x: [__m512; 16]) -> __m512 {
    join(x, |a, b| _mm512_add_ps(a, b))
}

/// The largest bits of each register, in the order of the registers.
#[target_feature(enable = "avx512f")]
#[inline]
fn largest_of_each(x: [__m512; 16]) -> [u32; 16] {
    let largest =
        join(x, |a, b| _mm512_castsi512_ps(_mm512_max_epu32(_mm512_castps_si512(a), _mm512_castps_si512(b))));
    let mut out = [0; 16];
    // SAFETY: 16 words.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), in_order(_mm512_castps_si512(largest))) };
    out
}
