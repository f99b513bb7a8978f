//! Blocks of sixteen rows as unsigned bytes, scales and minima: all that is particular to a format.
//!
//! 256 values of k are unpacked in four parts of 64, each 16 registers of four bytes a row. Weights become unsigned by an
//! offset that the activations' sums take off again (see [`crate::acts`]), as the start value of each block's sum.

mod low;

use std::arch::x86_64::{
    __m512, __m512i, _mm_cvtsi32_si128, _mm_set_epi64x, _mm512_add_epi32, _mm512_and_si512,
    _mm512_broadcast_i32x4, _mm512_castps_si512, _mm512_cmplt_epu32_mask, _mm512_cmpneq_epu32_mask,
    _mm512_cvtepi32_ps, _mm512_mask_mov_epi32, _mm512_maskz_mov_epi32, _mm512_mul_ps, _mm512_or_si512,
    _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_shuffle_epi8, _mm512_slli_epi16, _mm512_slli_epi32, _mm512_sllv_epi32, _mm512_srai_epi32,
    _mm512_srl_epi32, _mm512_srli_epi32, _mm512_sub_epi32, _mm512_xor_si512,
};

use realizar_quant::{DType, FP4_VALUES, IQ4_VALUES};

pub(super) use self::low::{Q4_1_FIRST, Q4_1_LAST, Q5_0_FIRST, Q5_0_LAST, Q5_1_FIRST, Q5_1_LAST};
use super::rows::{Rows16, high_halves, low_halves};
use crate::acts::{ActKind, word};

/// What the kernels know of a format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) dtype: DType,
    /// Bytes of 256 values of a row.
    pub(super) bytes: usize,
    pub(super) kind: ActKind,
    /// Values per scale: 32 or 16.
    pub(super) block: usize,
    /// Where the start values of the blocks' sums lie in a record.
    pub(super) start: Option<usize>,
    /// Whether blocks have minima.
    pub(super) mins: bool,
}

pub(super) const Q4_0: usize = 0;
pub(super) const Q8_0: usize = 1;
pub(super) const Q4_K: usize = 2;
pub(super) const Q5_K: usize = 3;
pub(super) const Q6_K: usize = 4;
pub(super) const IQ4_NL: usize = 5;
pub(super) const IQ4_XS: usize = 6;
pub(super) const MXFP4: usize = 7;
pub(super) const NVFP4: usize = 8;
pub(super) const Q4_1: usize = 9;
pub(super) const Q5_0: usize = 10;
pub(super) const Q5_1: usize = 11;
pub(super) const Q2_K: usize = 12;
pub(super) const Q3_K: usize = 13;

/// By the numbers above.
pub(super) const FACTS: [Facts; 14] = [
    by_block(DType::Q4_0, 144, Some(word::B32_MINUS_8), false),
    by_block(DType::Q8_0, 272, Some(word::B32_MINUS_128), false),
    by_super(DType::Q4_K, 144, 32, None, true),
    by_super(DType::Q5_K, 176, 32, Some(word::S32_MINUS_16), true),
    by_super(DType::Q6_K, 210, 16, Some(word::S16_MINUS_32), false),
    by_block(DType::IQ4_NL, 144, Some(word::B32_MINUS_128), false),
    by_super(DType::IQ4_XS, 136, 32, Some(word::S32_MINUS_16), false),
    by_block(DType::MXFP4, 136, Some(word::B32_MINUS_128), false),
    by_super(DType::NVFP4, 144, 16, Some(word::S16_MINUS_32), false),
    by_block(DType::Q4_1, 160, None, true),
    by_block(DType::Q5_0, 176, Some(word::B32_MINUS_8), false),
    by_block(DType::Q5_1, 192, None, true),
    by_super(DType::Q2_K, 84, 16, None, true),
    by_super(DType::Q3_K, 110, 16, Some(word::S16_MINUS_32), false),
];

const fn by_block(dtype: DType, bytes: usize, start: Option<usize>, mins: bool) -> Facts {
    Facts { dtype, bytes, kind: ActKind::Block32, block: 32, start, mins }
}

const fn by_super(dtype: DType, bytes: usize, block: usize, start: Option<usize>, mins: bool) -> Facts {
    Facts { dtype, bytes, kind: ActKind::Super256, block, start, mins }
}

/// Scales of 256 values of sixteen rows.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Head {
    /// Per block: the f32 scale, or the integer one in the low half of the lane with zeros above it. Where blocks of 32 have
    /// minima, these are behind the eight scales, times -1/8.
    pub(super) scales: [__m512i; 16],
    /// Minima of blocks 0 and 2, 1 and 3, 4 and 6, 5 and 7, as 16-bit pairs. Q2_K: of blocks 4j and 4j + 2.
    pub(super) mins: [__m512i; 4],
    /// 16 x the scales in the same pairs: what the offset of Q5_K adds. Q2_K: minima of blocks 4j + 1 and 4j + 3.
    pub(super) offsets: [__m512i; 4],
    pub(super) d: __m512,
    pub(super) d_min: __m512,
}

/// What scales 256 values of sixteen rows, as it lies: 16 bytes twice, of which register j holds dword j of each row. Types
/// for which 16 bytes are enough have them in the first place.
pub(super) type Raw = [[__m512i; 4]; 2];

/// Scales and minima of the 256-block at `rows`.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub(super) fn head<const F: usize>(rows: Rows16, out: &mut Head) {
    finish::<F>(&raw::<F>(rows), out);
}

/// The first step of [`head`].
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn raw<const F: usize>(rows: Rows16) -> Raw {
    let zero = _mm512_setzero_si512();
    let one = |t| [t, [zero; 4]];
    match F {
        Q4_0 | IQ4_NL => one(rows.words::<0, 9, 1>([0])),
        Q8_0 => one(rows.words::<0, 17, 2>([0, 136])),
        // Of 17 bytes the first: those of even blocks in the low halves of words, those of odd ones in the high halves.
        MXFP4 => [rows.words::<0, 17, 1>([0]), rows.words::<4, 17, 1>([8])],
        // Of 36 bytes the first four.
        NVFP4 => [rows.words::<0, 18, 1>([0]), rows.words::<1, 18, 1>([0])],
        Q5_0 => {
            let (a, b) = (rows.pick(0, Q5_0_FIRST), rows.pick(48, Q5_0_LAST));
            one([a[0], a[1], a[2], b[3]])
        }
        Q4_1 => [rows.pick(0, Q4_1_FIRST), rows.pick(32, Q4_1_LAST)],
        Q5_1 => [rows.pick(0, Q5_1_FIRST), rows.pick(64, Q5_1_LAST)],
        Q2_K => [rows.transpose(0), [zero, zero, zero, rows.dword(80)]],
        Q3_K => one(rows.transpose(94)),
        Q6_K => [rows.transpose(192), [zero, zero, zero, rows.dword(206)]],
        _ => one(rows.transpose(0)),
    }
}

/// The second step of [`head`].
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub(super) fn finish<const F: usize>(&[t, more]: &Raw, out: &mut Head) {
    match F {
        Q4_1 | Q5_0 | Q5_1 | Q2_K | Q3_K => low::finish::<F>(&[t, more], out),
        Q4_0 | Q8_0 | IQ4_NL => {
            for (pair, t) in out.scales.as_chunks_mut::<2>().0.iter_mut().zip(t) {
                *pair = [_mm512_castps_si512(low_halves(t)), _mm512_castps_si512(high_halves(t))];
            }
        }
        MXFP4 => {
            for (four, (even, odd)) in
                out.scales[..8].as_chunks_mut::<4>().0.iter_mut().zip(t.into_iter().zip(more))
            {
                *four = [
                    half_e8m0(even),
                    half_e8m0(_mm512_srli_epi32::<8>(odd)),
                    half_e8m0(_mm512_srli_epi32::<16>(even)),
                    half_e8m0(_mm512_srli_epi32::<24>(odd)),
                ];
            }
        }
        NVFP4 => {
            for (eight, (low, high)) in
                out.scales.as_chunks_mut::<8>().0.iter_mut().zip(t.into_iter().zip(more))
            {
                for (four, shift) in eight.as_chunks_mut::<4>().0.iter_mut().zip([0, 16]) {
                    let shift = _mm_cvtsi32_si128(shift);
                    let (low, high) = (_mm512_srl_epi32(low, shift), _mm512_srl_epi32(high, shift));
                    *four = [
                        half_ue4m3(low),
                        half_ue4m3(_mm512_srli_epi32::<8>(low)),
                        half_ue4m3(high),
                        half_ue4m3(_mm512_srli_epi32::<8>(high)),
                    ];
                }
            }
        }
        IQ4_XS => {
            let d = low_halves(t[0]);
            let (mut low, mut high) = (t[1], _mm512_srli_epi32::<16>(t[0]));
            let bits = |x, mask| _mm512_and_si512(x, _mm512_set1_epi32(mask));
            for scale in &mut out.scales[..8] {
                let six = _mm512_or_si512(bits(low, 15), _mm512_slli_epi32::<4>(bits(high, 3)));
                let six = _mm512_cvtepi32_ps(_mm512_sub_epi32(six, _mm512_set1_epi32(32)));
                *scale = _mm512_castps_si512(_mm512_mul_ps(six, d));
                (low, high) = (_mm512_srli_epi32::<4>(low), _mm512_srli_epi32::<2>(high));
            }
        }
        Q4_K | Q5_K => {
            out.d = low_halves(t[0]);
            out.d_min = high_halves(t[0]);
            let six = |x| and(x, 63);
            let high = |x| _mm512_srli_epi32::<2>(and(x, -64));
            let scales = [six(t[1]), _mm512_or_si512(and(t[3], 15), high(t[1]))];
            let mins = [six(t[2]), _mm512_or_si512(and(_mm512_srli_epi32::<4>(t[3]), 15), high(t[2]))];
            let (byte, pair) = (_mm512_set1_epi32(0xff), _mm512_set1_epi32(0x00ff_00ff));
            for h in 0..2 {
                let s = scales[h];
                out.scales[h * 4] = _mm512_and_si512(s, byte);
                out.scales[h * 4 + 1] = _mm512_and_si512(_mm512_srli_epi32::<8>(s), byte);
                out.scales[h * 4 + 2] = _mm512_and_si512(_mm512_srli_epi32::<16>(s), byte);
                out.scales[h * 4 + 3] = _mm512_srli_epi32::<24>(s);
                out.mins[h * 2] = _mm512_and_si512(mins[h], pair);
                out.mins[h * 2 + 1] = _mm512_and_si512(_mm512_srli_epi32::<8>(mins[h]), pair);
                if F == Q5_K {
                    out.offsets[h * 2] = _mm512_slli_epi16::<4>(_mm512_and_si512(s, pair));
                    out.offsets[h * 2 + 1] =
                        _mm512_slli_epi16::<4>(_mm512_and_si512(_mm512_srli_epi32::<8>(s), pair));
                }
            }
        }
        _ => {
            out.d = high_halves(more[3]);
            let low = _mm512_set1_epi32(0xffff);
            for (four, t) in out.scales.as_chunks_mut::<4>().0.iter_mut().zip(t) {
                let signed = |x| _mm512_and_si512(_mm512_srai_epi32::<24>(x), low);
                *four = [
                    signed(_mm512_slli_epi32::<24>(t)),
                    signed(_mm512_slli_epi32::<16>(t)),
                    signed(_mm512_slli_epi32::<8>(t)),
                    signed(t),
                ];
            }
        }
    }
}

impl Head {
    /// All zero.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn zero() -> Self {
        let (zero, none) = (_mm512_setzero_si512(), _mm512_setzero_ps());
        Self { scales: [zero; 16], mins: [zero; 4], offsets: [zero; 4], d: none, d_min: none }
    }
}

/// The number in k/4 order of register `i` of part `part`: registers come in runs that are one block.
#[inline(always)]
pub(super) const fn place<const F: usize>(part: usize, i: usize) -> usize {
    match F {
        // Halves of 128; a part has 16 of each of its four blocks of 32.
        Q6_K | Q2_K | Q3_K => part / 2 * 32 + part % 2 * 4 + i / 4 * 8 + i % 4,
        _ => part * 16 + i,
    }
}

/// The bytes of part `part` (of four) of the 256-block at `rows`.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub(super) fn part<const F: usize>(rows: Rows16, part: usize) -> [__m512i; 16] {
    let mut out = [_mm512_setzero_si512(); 16];
    match F {
        Q4_1 | Q5_0 | Q5_1 | Q2_K | Q3_K => out = low::part::<F>(rows, part),
        NVFP4 => {
            let table = table::<F>();
            for i in 0..2 {
                let t = rows.transpose(part * 36 + 4 + i * 16);
                for (j, t) in t.into_iter().enumerate() {
                    let at = i * 8 + j / 2 * 4 + j % 2;
                    out[at] = _mm512_shuffle_epi8(table, and(t, 15));
                    out[at + 2] = _mm512_shuffle_epi8(table, and(_mm512_srli_epi32::<4>(t), 15));
                }
            }
        }
        IQ4_NL | IQ4_XS | MXFP4 => {
            let table = table::<F>();
            for i in 0..2 {
                let b = part * 2 + i;
                let t = rows.transpose(match F {
                    IQ4_NL => b * 18 + 2,
                    MXFP4 => b * 17 + 1,
                    _ => b * 16 + 8,
                });
                for j in 0..4 {
                    out[i * 8 + j] = _mm512_shuffle_epi8(table, and(t[j], 15));
                    out[i * 8 + 4 + j] = _mm512_shuffle_epi8(table, and(_mm512_srli_epi32::<4>(t[j]), 15));
                }
            }
        }
        Q4_0 => {
            for i in 0..2 {
                let t = rows.transpose((part * 2 + i) * 18 + 2);
                for j in 0..4 {
                    out[i * 8 + j] = and(t[j], 15);
                    out[i * 8 + 4 + j] = and(_mm512_srli_epi32::<4>(t[j]), 15);
                }
            }
        }
        Q8_0 => {
            for i in 0..4 {
                let t = rows.transpose((part * 2 + i / 2) * 34 + 2 + i % 2 * 16);
                for j in 0..4 {
                    out[i * 4 + j] = _mm512_xor_si512(t[j], _mm512_set1_epi8(-128));
                }
            }
        }
        Q4_K | Q5_K => {
            let quants = if F == Q5_K { 48 } else { 16 };
            for x in 0..2 {
                let t = rows.transpose(quants + part * 32 + x * 16);
                let high = if F == Q5_K { rows.transpose(16 + x * 16) } else { t };
                for j in 0..4 {
                    let (mut low, mut up) = (and(t[j], 15), and(_mm512_srli_epi32::<4>(t[j]), 15));
                    if F == Q5_K {
                        // Bits 2 part and 2 part + 1 become bit 4.
                        let bits = _mm512_srl_epi32(high[j], _mm_cvtsi32_si128(2 * part as i32));
                        low = _mm512_or_si512(low, and(_mm512_slli_epi32::<4>(bits), 16));
                        up = _mm512_or_si512(up, and(_mm512_slli_epi32::<3>(bits), 16));
                    }
                    out[x * 4 + j] = low;
                    out[8 + x * 4 + j] = up;
                }
            }
        }
        _ => {
            let (half, x) = (part / 2, part % 2 * 16);
            let a = rows.transpose(half * 64 + x);
            let b = rows.transpose(half * 64 + 32 + x);
            let h = rows.transpose(128 + half * 32 + x);
            for j in 0..4 {
                let or = |low, high| _mm512_or_si512(low, and(high, 48));
                out[j] = or(and(a[j], 15), _mm512_slli_epi32::<4>(h[j]));
                out[4 + j] = or(and(b[j], 15), _mm512_slli_epi32::<2>(h[j]));
                out[8 + j] = or(and(_mm512_srli_epi32::<4>(a[j]), 15), h[j]);
                out[12 + j] = or(and(_mm512_srli_epi32::<4>(b[j]), 15), _mm512_srli_epi32::<2>(h[j]));
            }
        }
    }
    out
}

/// The values that four bits stand for, as unsigned bytes: 128 too large, or 32 where blocks are of 16.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub(super) fn table<const F: usize>() -> __m512i {
    let table = const {
        let values = if F == MXFP4 || F == NVFP4 { FP4_VALUES } else { IQ4_VALUES };
        let mut table = [0u8; 16];
        let mut i = 0;
        while i < 16 {
            table[i] = (values[i] as u8).wrapping_add(if F == NVFP4 { 32 } else { 128 });
            i += 1;
        }
        u128::from_le_bytes(table)
    };
    _mm512_broadcast_i32x4(_mm_set_epi64x((table >> 64) as i64, table as i64))
}

/// What the low byte of each lane stands for: see [`realizar_quant::half_e8m0`].
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn half_e8m0(x: __m512i) -> __m512i {
    let e = _mm512_and_si512(x, _mm512_set1_epi32(0xff));
    let normal = _mm512_slli_epi32::<23>(_mm512_sub_epi32(e, _mm512_set1_epi32(1)));
    let small = _mm512_sllv_epi32(_mm512_set1_epi32(0x0020_0000), e);
    _mm512_mask_mov_epi32(normal, _mm512_cmplt_epu32_mask(e, _mm512_set1_epi32(2)), small)
}

/// What the low byte of each lane stands for: see [`realizar_quant::half_ue4m3`].
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn half_ue4m3(x: __m512i) -> __m512i {
    let code = _mm512_and_si512(x, _mm512_set1_epi32(0xff));
    let magnitude = _mm512_and_si512(code, _mm512_set1_epi32(127));
    let normal = _mm512_add_epi32(_mm512_slli_epi32::<20>(magnitude), _mm512_set1_epi32((127 - 8) << 23));
    let small = _mm512_mul_ps(_mm512_cvtepi32_ps(magnitude), _mm512_set1_ps(1.0 / 1024.0));
    let is_small = _mm512_cmplt_epu32_mask(magnitude, _mm512_set1_epi32(8));
    let value = _mm512_mask_mov_epi32(normal, is_small, _mm512_castps_si512(small));
    _mm512_maskz_mov_epi32(_mm512_cmpneq_epu32_mask(code, _mm512_set1_epi32(127)), value)
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub(super) fn and(x: __m512i, byte: i8) -> __m512i {
    _mm512_and_si512(x, _mm512_set1_epi8(byte))
}
