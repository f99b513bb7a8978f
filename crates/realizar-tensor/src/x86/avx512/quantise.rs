//! int8 activations: the integers and scales of the plain kernel, sixteen values at a time.

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::{
    __m512, __m512i, _CMP_LT_OQ, _mm512_abs_ps, _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512,
    _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_cmpge_epu32_mask,
    _mm512_cvtps_epi32, _mm512_div_ps, _mm512_dpbusd_epi32, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_mask_mov_epi32, _mm512_mask_mov_ps, _mm512_mask_permutexvar_epi32, _mm512_mask_storeu_epi32,
    _mm512_maskz_mov_ps, _mm512_max_epu32, _mm512_mul_ps, _mm512_mullo_epi32, _mm512_or_si512,
    _mm512_packs_epi16, _mm512_packs_epi32, _mm512_permute_ps, _mm512_permutexvar_epi32,
    _mm512_permutexvar_ps, _mm512_reduce_max_epu32, _mm512_reduce_max_ps, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setr_epi32, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_shuffle_f32x4, _mm512_shuffle_i32x4, _mm512_shuffle_ps, _mm512_slli_epi32, _mm512_storeu_ps,
};

use super::rows::LANES;
use crate::acts::{ActKind, SUPER, word};
use crate::scalar::quantise::padded;

/// One token's record: its words in registers, those behind the last being any.
type Record = [__m512i; 6];

const _: () = assert!(ActKind::Block32.words() <= 6 * LANES && ActKind::Super256.words() <= 6 * LANES);
const _: () = assert!(word::B32_MINUS_128 == 64 && word::B32_MINUS_8 == 72 && word::B32_SCALE == 80);
const _: () = assert!(word::S16_MINUS_32 == 64 && word::S32_MINUS_16 == 80);
const _: () = assert!(word::S32_PAIRS == 88 && word::S_SCALE == 92);

/// See [`Kernels::quantise`](crate::Kernels).
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn quantise(kind: ActKind, x: &[f32], width: usize, block: usize, words: &mut [i32]) {
    match x.len() / width {
        1 => group::<1>(kind, x, width, block, words),
        2 => group::<2>(kind, x, width, block, words),
        3 => group::<3>(kind, x, width, block, words),
        4 => group::<4>(kind, x, width, block, words),
        5 => group::<5>(kind, x, width, block, words),
        6 => group::<6>(kind, x, width, block, words),
        7 => group::<7>(kind, x, width, block, words),
        tokens => {
            assert!(tokens == 8, "a group of {tokens} tokens");
            group::<8>(kind, x, width, block, words);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn group<const T: usize>(kind: ActKind, x: &[f32], width: usize, block: usize, words: &mut [i32]) {
    assert!(words.len() == T * kind.words());
    let mut buffer = [0.0; SUPER];
    let mut records = [[_mm512_setzero_si512(); 6]; T];
    for t in 0..T {
        let values = padded(&x[t * width..][..width], block, &mut buffer);
        match kind {
            ActKind::Block32 => by_block(values, &mut records[t]),
            ActKind::Super256 => by_super(values, &mut records[t]),
        }
    }
    interleave(&records, words);
}

/// Where the words of `T` records lie side by side: which word of sixteen each lane takes, and which lanes are of which token.
struct Places<const T: usize> {
    index: [[i32; LANES]; T],
    lanes: [[u16; T]; T],
}

impl<const T: usize> Places<T> {
    const ALL: Self = {
        let (mut index, mut lanes) = ([[0; LANES]; T], [[0; T]; T]);
        let mut at = 0;
        while at < T * LANES {
            index[at / LANES][at % LANES] = (at / T) as i32;
            lanes[at / LANES][at % T] |= 1 << (at % LANES);
            at += 1;
        }
        Self { index, lanes }
    };
}

/// Word by word, token by token.
#[target_feature(enable = "avx512f")]
fn interleave<const T: usize>(records: &[Record; T], words: &mut [i32]) {
    let places = const { &Places::<T>::ALL };
    for (at, out) in words.chunks_mut(LANES).enumerate() {
        let (register, part) = (at / T, at % T);
        // SAFETY: 16 words.
        let index = unsafe { _mm512_loadu_si512(places.index[part].as_ptr().cast()) };
        let mut all = _mm512_setzero_si512();
        for t in 0..T {
            all = _mm512_mask_permutexvar_epi32(all, places.lanes[part][t], index, records[t][register]);
        }
        let mask = 0xffff_u16 >> (LANES - out.len());
        // SAFETY: the mask has as many lanes as there are words.
        unsafe { _mm512_mask_storeu_epi32(out.as_mut_ptr(), mask, all) };
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline]
fn by_block(values: &[f32; SUPER], record: &mut Record) {
    let x = load(values);
    let (scales, inverse) = scales_of(largest_of_pairs(&x));
    let sums = round(&x, &inverse, record);
    // Every other lane: the sum of a block.
    let sums = _mm512_add_epi32(sums, swapped(sums));
    let index = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8, 10, 12, 14);
    let factors =
        _mm512_setr_epi32(-128, -128, -128, -128, -128, -128, -128, -128, -8, -8, -8, -8, -8, -8, -8, -8);
    record[4] = _mm512_mullo_epi32(_mm512_permutexvar_epi32(index, sums), factors);
    record[5] = _mm512_permutexvar_epi32(index, _mm512_castps_si512(scales));
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline]
fn by_super(values: &[f32; SUPER], record: &mut Record) {
    let x = load(values);
    let mut magnitudes = x;
    let mut largest = _mm512_setzero_si512();
    for i in 0..16 {
        magnitudes[i] = _mm512_abs_ps(x[i]);
        largest = _mm512_max_epu32(largest, _mm512_castps_si512(magnitudes[i]));
    }
    // The order of the registers is mixed up; the largest sum does not mind.
    let heaviest = _mm512_reduce_max_ps(sum_of_each(magnitudes));
    let largest = _mm512_reduce_max_epu32(largest);
    let (scale, inverse) = crate::scalar::quantise::scale_of(largest, heaviest);
    let sums = round(&x, &[inverse; LANES], record);
    record[4] = _mm512_mullo_epi32(sums, _mm512_set1_epi32(-32));
    let halves = _mm512_add_epi32(sums, swapped(sums));
    let pick = |index| _mm512_permutexvar_epi32(index, halves);
    let blocks = pick(_mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 0, 0, 0, 0, 0, 0, 0, 0));
    let first = pick(_mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 8, 10, 0, 0, 0, 0));
    let second = pick(_mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 4, 6, 12, 14, 0, 0, 0, 0));
    let low = _mm512_and_si512(first, _mm512_set1_epi32(0xffff));
    let pairs = _mm512_or_si512(low, _mm512_slli_epi32::<16>(second));
    let blocks = _mm512_mullo_epi32(blocks, _mm512_set1_epi32(-16));
    let scale = _mm512_set1_epi32(scale.to_bits() as i32);
    record[5] = _mm512_mask_mov_epi32(_mm512_mask_mov_epi32(blocks, 0x0f00, pairs), 0x1000, scale);
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

/// As [`scale_of`](crate::scalar::quantise::scale_of) without a heaviest sum, lane by lane: the scales, and what to multiply with.
#[target_feature(enable = "avx512f")]
#[inline]
fn scales_of(largest: __m512i) -> (__m512, [f32; LANES]) {
    let infinity = _mm512_set1_ps(f32::INFINITY);
    let bad = _mm512_cmpge_epu32_mask(largest, _mm512_castps_si512(infinity));
    let scale = _mm512_div_ps(_mm512_castsi512_ps(largest), _mm512_set1_ps(127.0));
    let inverse = _mm512_div_ps(_mm512_set1_ps(1.0), scale);
    let good = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(inverse, infinity) & !bad;
    let scale = _mm512_mask_mov_ps(_mm512_maskz_mov_ps(good, scale), bad, _mm512_set1_ps(f32::NAN));
    let mut out = [0.0; LANES];
    // SAFETY: 16 floats.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr(), _mm512_maskz_mov_ps(good, inverse)) };
    (scale, out)
}

/// Rounds register `i` times `inverse[i]` to int8, the words of which go to the front of the record; returns the sums of 16 values
/// each. Values that are not finite become any: their scale is NaN.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn round(x: &[__m512; 16], inverse: &[f32; LANES], record: &mut Record) -> __m512i {
    let mut q = [_mm512_setzero_si512(); 16];
    for i in 0..16 {
        q[i] = _mm512_cvtps_epi32(_mm512_mul_ps(x[i], _mm512_set1_ps(inverse[i])));
    }
    let mut fours = [_mm512_setzero_si512(); 4];
    for i in 0..4 {
        let (a, b) =
            (_mm512_packs_epi32(q[4 * i], q[4 * i + 1]), _mm512_packs_epi32(q[4 * i + 2], q[4 * i + 3]));
        // Dword r of quarter c is word c of register r.
        let bytes = _mm512_packs_epi16(a, b);
        fours[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), bytes);
        record[i] = in_order(bytes);
    }
    // Quarters onto quarters: those of registers 4i to 4i + 3 end up in quarter i.
    let (a, b) = (halves(fours[0], fours[1]), halves(fours[2], fours[3]));
    let even = _mm512_shuffle_i32x4::<0x88>(a, b);
    _mm512_add_epi32(even, _mm512_shuffle_i32x4::<0xdd>(a, b))
}

/// Halves added onto halves: two quarters of `a`, two of `b`.
#[target_feature(enable = "avx512f")]
#[inline]
fn halves(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi32(_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0xee>(a, b))
}

/// Neighbours change places.
#[target_feature(enable = "avx512f")]
#[inline]
fn swapped(x: __m512i) -> __m512i {
    _mm512_castps_si512(_mm512_permute_ps::<0xb1>(_mm512_castsi512_ps(x)))
}

/// From lane 4c + q to lane 4q + c.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn in_order(x: __m512i) -> __m512i {
    _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), x)
}

/// The sum of each register, by the tree of the plain kernel: halves onto halves in all sixteen at once. Lane 4c + q comes from
/// register 4q + c.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn sum_of_each(mut x: [__m512; 16]) -> __m512 {
    for i in 0..8 {
        let (a, b) = (x[2 * i], x[2 * i + 1]);
        x[i] = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
    }
    for i in 0..4 {
        let (a, b) = (x[2 * i], x[2 * i + 1]);
        x[i] = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
    }
    for i in 0..2 {
        let (a, b) = (x[2 * i], x[2 * i + 1]);
        x[i] = _mm512_add_ps(_mm512_shuffle_ps::<0x44>(a, b), _mm512_shuffle_ps::<0xee>(a, b));
    }
    _mm512_add_ps(_mm512_shuffle_ps::<0x88>(x[0], x[1]), _mm512_shuffle_ps::<0xdd>(x[0], x[1]))
}

/// The bits of the largest magnitude of each two registers: lanes 2i and 2i + 1 hold that of registers 2i and 2i + 1.
#[target_feature(enable = "avx512f")]
#[inline]
fn largest_of_pairs(x: &[__m512; 16]) -> __m512i {
    let mut m = [_mm512_setzero_ps(); 8];
    for i in 0..8 {
        m[i] = larger(_mm512_abs_ps(x[2 * i]), _mm512_abs_ps(x[2 * i + 1]));
    }
    for i in 0..4 {
        let (a, b) = (m[2 * i], m[2 * i + 1]);
        m[i] = larger(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
    }
    for i in 0..2 {
        let (a, b) = (m[2 * i], m[2 * i + 1]);
        m[i] = larger(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
    }
    let m = larger(_mm512_shuffle_ps::<0x44>(m[0], m[1]), _mm512_shuffle_ps::<0xee>(m[0], m[1]));
    // Quarter q holds those of pair q, twice, and of pair 4 + q.
    let m = larger(m, _mm512_permute_ps::<0xb1>(m));
    let index = _mm512_setr_epi32(0, 0, 4, 4, 8, 8, 12, 12, 2, 2, 6, 6, 10, 10, 14, 14);
    _mm512_castps_si512(_mm512_permutexvar_ps(index, m))
}

/// The larger of two magnitudes by their bits, with what is no number above all.
#[target_feature(enable = "avx512f")]
#[inline]
fn larger(a: __m512, b: __m512) -> __m512 {
    _mm512_castsi512_ps(_mm512_max_epu32(_mm512_castps_si512(a), _mm512_castps_si512(b)))
}
