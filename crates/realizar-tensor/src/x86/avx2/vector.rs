//! The vectors of [`crate::quads`] in 256-bit registers: what unpacks weights of eight rows, four in each half.

use std::arch::x86_64::{
    __m128i, __m256, __m256i, _mm_cvtsi32_si128, _mm_loadu_si128, _mm_setr_epi16, _mm256_add_epi32,
    _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_castsi256_si128, _mm256_cvtepi32_ps,
    _mm256_cvtph_ps, _mm256_loadu_ps, _mm256_mul_ps, _mm256_mullo_epi32, _mm256_or_si256,
    _mm256_permute4x64_epi64, _mm256_set_m128i, _mm256_set1_epi8, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setr_epi8, _mm256_shuffle_epi8, _mm256_sll_epi16, _mm256_sll_epi32, _mm256_sra_epi32,
    _mm256_srl_epi16, _mm256_srl_epi32, _mm256_sub_epi8, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
};

use crate::quads::Vector;

/// A register. Only functions that are compiled for AVX2 and F16C may use it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ymm(pub(super) __m256i);

/// A shift's count in a register; constants become part of the instruction.
#[inline(always)]
fn by(count: u32) -> __m128i {
    // SAFETY: SSE2 belongs to the architecture.
    unsafe { _mm_cvtsi32_si128(count as i32) }
}

impl Vector for Ymm {
    type Floats = __m256;
    const ROWS: usize = 8;

    #[inline(always)]
    fn load<'a>(row: impl Fn(usize) -> &'a [u8; 16], first: usize) -> Self {
        // SAFETY: the callers are compiled for AVX2; 16 bytes, of any alignment.
        unsafe {
            let load = |row: &[u8; 16]| _mm_loadu_si128(row.as_ptr().cast());
            Self(_mm256_set_m128i(load(row(first + 4)), load(row(first))))
        }
    }

    #[inline(always)]
    fn splat8(byte: i8) -> Self {
        // SAFETY: the callers are compiled for AVX2.
        Self(unsafe { _mm256_set1_epi8(byte) })
    }

    #[inline(always)]
    fn splat32(lane: i32) -> Self {
        // SAFETY: the callers are compiled for AVX2.
        Self(unsafe { _mm256_set1_epi32(lane) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: the callers are compiled for AVX2.
        Self(unsafe { _mm256_and_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: the callers are compiled for AVX2.
        Self(unsafe { _mm256_or_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn sub8(self, other: Self) -> Self {
        // SAFETY: the callers are compiled for AVX2.
        Self(unsafe { _mm256_sub_epi8(self.0, other.0) })
    }

    #[inline(always)]
    fn shr8(self, count: u32) -> Self {
        // SAFETY: the callers are compiled for AVX2.
        let shifted = Self(unsafe { _mm256_srl_epi16(self.0, by(count)) });
        shifted.and(Self::splat8((0xffu32 >> count) as i8))
    }

    #[inline(always)]
    fn shl8(self, count: u32) -> Self {
        // SAFETY: the callers are compiled for AVX2.
        let shifted = Self(unsafe { _mm256_sll_epi16(self.0, by(count)) });
        shifted.and(Self::splat8((0xffu32 << count) as i8))
    }

    #[inline(always)]
    fn shr32(self, count: u32) -> Self {
        // SAFETY: the callers are compiled for AVX2.
        Self(unsafe { _mm256_srl_epi32(self.0, by(count)) })
    }

    #[inline(always)]
    fn shl32(self, count: u32) -> Self {
        // SAFETY: the callers are compiled for AVX2.
        Self(unsafe { _mm256_sll_epi32(self.0, by(count)) })
    }

    #[inline(always)]
    fn sar32(self, count: u32) -> Self {
        // SAFETY: the callers are compiled for AVX2.
        Self(unsafe { _mm256_sra_epi32(self.0, by(count)) })
    }

    #[inline(always)]
    fn mul_add32(self, a: Self, b: Self) -> Self {
        // SAFETY: the callers are compiled for AVX2.
        Self(unsafe { _mm256_add_epi32(self.0, _mm256_mullo_epi32(a.0, b.0)) })
    }

    #[inline(always)]
    fn lookup(self, table: &[i8; 16]) -> Self {
        // SAFETY: the callers are compiled for AVX2; 16 bytes.
        unsafe {
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
            Self(_mm256_shuffle_epi8(table, self.0))
        }
    }

    #[inline(always)]
    fn transpose(rows: [Self; 4]) -> [Self; 4] {
        // SAFETY: the callers are compiled for AVX2.
        unsafe {
            let [Self(a), Self(b), Self(c), Self(d)] = rows;
            let (low_ab, low_cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
            let (high_ab, high_cd) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
            [
                Self(_mm256_unpacklo_epi64(low_ab, low_cd)),
                Self(_mm256_unpackhi_epi64(low_ab, low_cd)),
                Self(_mm256_unpacklo_epi64(high_ab, high_cd)),
                Self(_mm256_unpackhi_epi64(high_ab, high_cd)),
            ]
        }
    }

    #[inline(always)]
    fn halves(self) -> __m256 {
        // SAFETY: the callers are compiled for AVX2 and F16C.
        unsafe {
            let low = _mm256_setr_epi8(
                0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 4, 5, 8, 9, 12, 13, -1, -1,
                -1, -1, -1, -1, -1, -1,
            );
            // The first quarter, then the third.
            let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_shuffle_epi8(self.0, low));
            _mm256_cvtph_ps(_mm256_castsi256_si128(packed))
        }
    }

    #[inline(always)]
    fn to_floats(self) -> __m256 {
        // SAFETY: the callers are compiled for AVX2.
        unsafe { _mm256_cvtepi32_ps(self.0) }
    }

    #[inline(always)]
    fn half_of(row: impl Fn(usize) -> u16) -> __m256 {
        let row = |i: usize| row(i) as i16;
        // SAFETY: the callers are compiled for AVX2 and F16C.
        unsafe {
            let halves = _mm_setr_epi16(row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7));
            _mm256_cvtph_ps(halves)
        }
    }

    #[inline(always)]
    fn float_of(row: impl Fn(usize) -> f32) -> __m256 {
        // One by one: a function over the array would not always be inlined.
        let floats = [row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)];
        // SAFETY: the callers are compiled for AVX2; eight floats.
        unsafe { _mm256_loadu_ps(floats.as_ptr()) }
    }

    #[inline(always)]
    fn splat(float: f32) -> __m256 {
        // SAFETY: the callers are compiled for AVX2.
        unsafe { _mm256_set1_ps(float) }
    }

    #[inline(always)]
    fn mul(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the callers are compiled for AVX2.
        unsafe { _mm256_mul_ps(a, b) }
    }
}
