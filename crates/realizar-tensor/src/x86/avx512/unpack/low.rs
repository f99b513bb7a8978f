//! The formats of few bits: blocks of 32 with minima or a fifth bit, K types of two and three bits.

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::{
    __m512i, _mm_cvtsi32_si128, _mm512_and_si512, _mm512_castps_si512, _mm512_mask_add_epi8, _mm512_mul_ps,
    _mm512_or_si512, _mm512_set_epi32, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_slli_epi32, _mm512_srl_epi32, _mm512_srli_epi32,
    _mm512_sub_epi32, _mm512_test_epi8_mask,
};

use super::{Head, Q2_K, Q4_1, Q5_0, Raw, Rows16, and, high_halves, low_halves};

/// Numbers of the 16-bit words that are scales and minima, in two times 128 bytes: of 11, 10 or 12 words the first or the first two.
pub(in super::super) const Q5_0_FIRST: &[i16; 8] = &[0, 11, 22, 33, 44, 55, 0, 0];
/// See [`Q5_0_FIRST`]; from byte 48 on.
pub(in super::super) const Q5_0_LAST: &[i16; 8] = &[0, 0, 0, 0, 0, 0, 42, 53];
/// See [`Q5_0_FIRST`].
pub(in super::super) const Q4_1_FIRST: &[i16; 8] = &[0, 1, 10, 11, 20, 21, 30, 31];
/// See [`Q5_0_FIRST`]; from byte 32 on.
pub(in super::super) const Q4_1_LAST: &[i16; 8] = &[24, 25, 34, 35, 44, 45, 54, 55];
/// See [`Q5_0_FIRST`].
pub(in super::super) const Q5_1_FIRST: &[i16; 8] = &[0, 1, 12, 13, 24, 25, 36, 37];
/// See [`Q5_0_FIRST`]; from byte 64 on.
pub(in super::super) const Q5_1_LAST: &[i16; 8] = &[16, 17, 28, 29, 40, 41, 52, 53];

/// See [`super::finish`].
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub(super) fn finish<const F: usize>(&[t, more]: &Raw, out: &mut Head) {
    match F {
        Q5_0 => {
            for (pair, t) in t.into_iter().enumerate() {
                out.scales[2 * pair] = _mm512_castps_si512(low_halves(t));
                out.scales[2 * pair + 1] = _mm512_castps_si512(high_halves(t));
            }
        }
        Q2_K => {
            let last = more[3];
            out.d = low_halves(last);
            // The record has the sums of 16 times -32.
            out.d_min = _mm512_mul_ps(high_halves(last), _mm512_set1_ps(-1.0 / 32.0));
            let pair = _mm512_set1_epi32(0x00ff_00ff);
            for j in 0..4 {
                bytes(and(t[j], 15), &mut out.scales[4 * j..]);
                let mins = and(_mm512_srli_epi32::<4>(t[j]), 15);
                out.mins[j] = _mm512_and_si512(mins, pair);
                out.offsets[j] = _mm512_and_si512(_mm512_srli_epi32::<8>(mins), pair);
            }
        }
        super::Q3_K => {
            out.d = high_halves(t[3]);
            let dword =
                |i: usize| _mm512_or_si512(_mm512_srli_epi32::<16>(t[i]), _mm512_slli_epi32::<16>(t[i + 1]));
            let (low, mut high) = ([dword(0), dword(1)], dword(2));
            for four in 0..4 {
                let low = low[four % 2];
                let low = and(if four < 2 { low } else { _mm512_srli_epi32::<4>(low) }, 15);
                let six = _mm512_or_si512(low, _mm512_slli_epi32::<4>(and(high, 3)));
                bytes(six, &mut out.scales[4 * four..]);
                high = _mm512_srli_epi32::<2>(high);
            }
            for scale in &mut out.scales {
                let signed = _mm512_sub_epi32(*scale, _mm512_set1_epi32(32));
                *scale = _mm512_and_si512(signed, _mm512_set1_epi32(0xffff));
            }
        }
        _ => {
            for b8 in 0..8 {
                let t = if b8 < 4 { t[b8] } else { more[b8 - 4] };
                out.scales[b8] = _mm512_castps_si512(low_halves(t));
                // The record has the sums of 32 times -8.
                let min = _mm512_mul_ps(high_halves(t), _mm512_set1_ps(-0.125));
                out.scales[8 + b8] = _mm512_castps_si512(min);
            }
        }
    }
}

/// See [`super::part`].
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub(super) fn part<const F: usize>(rows: Rows16, part: usize) -> [__m512i; 16] {
    let mut out = [_mm512_setzero_si512(); 16];
    match F {
        Q2_K | super::Q3_K => {
            let (half, x) = (part / 2, part % 2 * 16);
            let t = rows.transpose(half * 32 + x + if F == Q2_K { 16 } else { 32 });
            for j in 0..4 {
                out[j] = and(t[j], 3);
                out[4 + j] = and(_mm512_srli_epi32::<2>(t[j]), 3);
                out[8 + j] = and(_mm512_srli_epi32::<4>(t[j]), 3);
                out[12 + j] = and(_mm512_srli_epi32::<6>(t[j]), 3);
            }
            if F != Q2_K {
                let h = rows.transpose(x);
                for j in 0..4 {
                    // Bits 4 half to 4 half + 3 become bit 2.
                    let h = _mm512_srl_epi32(h[j], _mm_cvtsi32_si128(4 * half as i32));
                    let or = |low, third| _mm512_or_si512(low, and(third, 4));
                    out[j] = or(out[j], _mm512_slli_epi32::<2>(h));
                    out[4 + j] = or(out[4 + j], _mm512_slli_epi32::<1>(h));
                    out[8 + j] = or(out[8 + j], h);
                    out[12 + j] = or(out[12 + j], _mm512_srli_epi32::<1>(h));
                }
            }
        }
        _ => {
            for i in 0..2 {
                let b = part * 2 + i;
                let t = rows.transpose(match F {
                    Q4_1 => b * 20 + 4,
                    Q5_0 => b * 22 + 6,
                    _ => b * 24 + 8,
                });
                for j in 0..4 {
                    out[i * 8 + j] = and(t[j], 15);
                    out[i * 8 + 4 + j] = and(_mm512_srli_epi32::<4>(t[j]), 15);
                }
                if F != Q4_1 {
                    let fifth =
                        if F == Q5_0 { rows.transpose(b * 22 + 2)[0] } else { rows.transpose(b * 24)[1] };
                    for j in 0..8 {
                        out[i * 8 + j] = with_fifth(out[i * 8 + j], fifth, j);
                    }
                }
            }
        }
    }
    out
}

/// Adds 16 to the bytes whose bit is set: bits `4 j` to `4 j + 3` of each lane for its four bytes.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn with_fifth(x: __m512i, fifth: __m512i, j: usize) -> __m512i {
    let byte = (j / 2) as i32 * 0x0101_0101;
    let lane = |i: i32| i * 0x0404_0404 + byte;
    let (a, b, c, d) = (lane(0), lane(1), lane(2), lane(3));
    let spread = _mm512_set_epi32(d, c, b, a, d, c, b, a, d, c, b, a, d, c, b, a);
    let bits = _mm512_set1_epi32(if j.is_multiple_of(2) { 0x0804_0201 } else { 0x8040_2010_u32 as i32 });
    let set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(fifth, spread), bits);
    _mm512_mask_add_epi8(x, set, x, _mm512_set1_epi8(16))
}

/// The four bytes of each lane, one to a register.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn bytes(x: __m512i, out: &mut [__m512i]) {
    let byte = _mm512_set1_epi32(0xff);
    out[0] = _mm512_and_si512(x, byte);
    out[1] = _mm512_and_si512(_mm512_srli_epi32::<8>(x), byte);
    out[2] = _mm512_and_si512(_mm512_srli_epi32::<16>(x), byte);
    out[3] = _mm512_srli_epi32::<24>(x);
}
