//! 256 values of one row as unsigned bytes, and what scales them.

use std::arch::x86_64::{
    __m128i, __m512i, _mm_blend_epi32, _mm_loadu_si128, _mm_unpacklo_epi64, _mm256_loadu_si256,
    _mm512_broadcast_i32x4, _mm512_broadcast_i64x4, _mm512_castsi128_si512, _mm512_castsi256_si512,
    _mm512_castsi512_si128, _mm512_loadu_si512, _mm512_mask_add_epi8, _mm512_mask_broadcast_i32x4,
    _mm512_or_si512, _mm512_permutex2var_epi16, _mm512_permutexvar_epi64, _mm512_set_epi64, _mm512_set1_epi8,
    _mm512_set1_epi64, _mm512_setr_epi64, _mm512_shuffle_epi8, _mm512_shuffle_i64x2, _mm512_sllv_epi64,
    _mm512_srli_epi32, _mm512_srlv_epi64, _mm512_test_epi8_mask, _mm512_xor_si512,
};

use super::super::unpack::{
    FACTS, IQ4_NL, IQ4_XS, MXFP4, NVFP4, Q2_K, Q3_K, Q4_0, Q4_1, Q4_1_FIRST, Q4_1_LAST, Q4_K, Q5_0,
    Q5_0_FIRST, Q5_0_LAST, Q5_1, Q5_1_FIRST, Q5_1_LAST, Q5_K, Q6_K, Q8_0, and, table,
};

/// The bytes of 256 values of one row.
///
/// Invariant: all of a block of the format is there, and no more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    bytes: &'a [u8],
}

impl<'a> Row<'a> {
    #[inline(always)]
    pub(super) fn new<const F: usize>(bytes: &'a [u8]) -> Self {
        assert!(bytes.len() == FACTS[F].bytes);
        Self { bytes }
    }

    /// `len` bytes at `at`, of which a block is known to have so many.
    #[inline(always)]
    fn get(self, at: usize, len: usize) -> *const u8 {
        debug_assert!(at + len <= self.bytes.len(), "{len} bytes at {at} of {}", self.bytes.len());
        self.bytes.as_ptr().wrapping_add(at)
    }

    /// 64 bytes.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    fn whole(self, at: usize) -> __m512i {
        // SAFETY: they are within the block.
        unsafe { _mm512_loadu_si512(self.get(at, 64).cast()) }
    }

    /// 32 bytes, in both halves.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    fn half(self, at: usize) -> __m512i {
        // SAFETY: they are within the block.
        _mm512_broadcast_i64x4(unsafe { _mm256_loadu_si256(self.get(at, 32).cast()) })
    }

    /// 16 bytes, in all four quarters.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    fn quarter(self, at: usize) -> __m512i {
        // SAFETY: they are within the block.
        _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(self.get(at, 16).cast()) })
    }

    /// 16 bytes.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    fn sixteen(self, at: usize) -> __m128i {
        // SAFETY: they are within the block.
        unsafe { _mm_loadu_si128(self.get(at, 16).cast()) }
    }

    /// See [`super::super::rows::Rows16::pick`].
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    fn pick(self, at: usize, index: &[i16; 8]) -> __m128i {
        // SAFETY: an index is 16 bytes.
        let index = _mm512_castsi128_si512(unsafe { _mm_loadu_si128(index.as_ptr().cast()) });
        _mm512_castsi512_si128(_mm512_permutex2var_epi16(self.whole(at), index, self.whole(at + 64)))
    }

    /// 16 bytes of each of four blocks that lie `STRIDE` bytes apart, the first of them at `FROM`, out of the 64 bytes at `A` and
    /// those at `B`; any for those that neither has. Loads that cross cache lines are what takes longest here: there are few
    /// of them, and the same ones serve several purposes.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    fn four<const STRIDE: usize, const FROM: usize, const A: usize, const B: usize>(self) -> __m512i {
        // SAFETY: an index is 64 bytes.
        let words = unsafe { _mm512_loadu_si512(index::<STRIDE, FROM, A, B>().as_ptr().cast()) };
        _mm512_permutex2var_epi16(self.whole(A), words, self.whole(B))
    }

    /// The same out of the 64 bytes at `A` and the 16 at `B`.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    fn four_and<const STRIDE: usize, const FROM: usize, const A: usize, const B: usize>(self) -> __m512i {
        // SAFETY: an index is 64 bytes.
        let words = unsafe { _mm512_loadu_si512(index::<STRIDE, FROM, A, B>().as_ptr().cast()) };
        _mm512_permutex2var_epi16(self.whole(A), words, _mm512_castsi128_si512(self.sixteen(B)))
    }

    /// The same of blocks with an odd number of bytes.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    fn four_odd<const STRIDE: usize>(self, at: usize) -> __m512i {
        let x = _mm512_castsi128_si512(self.sixteen(at));
        let x = _mm512_mask_broadcast_i32x4(x, 0x00f0, self.sixteen(at + STRIDE));
        let x = _mm512_mask_broadcast_i32x4(x, 0x0f00, self.sixteen(at + 2 * STRIDE));
        _mm512_mask_broadcast_i32x4(x, 0xf000, self.sixteen(at + 3 * STRIDE))
    }
}

/// Which words of two registers [`Row::four`] takes.
const fn index<const STRIDE: usize, const FROM: usize, const A: usize, const B: usize>() -> &'static [u16; 32]
{
    const {
        let mut words = [0; 32];
        let mut i = 0;
        while i < 32 {
            let byte = FROM + i / 8 * STRIDE + i % 8 * 2;
            words[i] = if byte < A + 64 { (byte - A) / 2 } else { 32 + (byte - B) / 2 } as u16;
            i += 1;
        }
        &{ words }
    }
}

/// What [`super::super::unpack::Raw`] has of one row.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub(super) fn keep<const F: usize>(row: Row<'_>) -> [__m128i; 2] {
    let both = |a| [a, a];
    match F {
        Q4_0 | IQ4_NL => both(row.pick(0, every::<0, 9>())),
        Q8_0 => {
            let (a, b) = (row.pick(0, every::<0, 17>()), row.pick(136, every::<0, 17>()));
            both(_mm_unpacklo_epi64(a, b))
        }
        MXFP4 => [row.pick(0, every::<0, 17>()), row.pick(8, every::<4, 17>())],
        NVFP4 => [row.pick(0, every::<0, 18>()), row.pick(0, every::<1, 18>())],
        Q5_0 => {
            let (a, b) = (row.pick(0, Q5_0_FIRST), row.pick(48, Q5_0_LAST));
            both(_mm_blend_epi32::<0b1000>(a, b))
        }
        Q4_1 => [row.pick(0, Q4_1_FIRST), row.pick(32, Q4_1_LAST)],
        Q5_1 => [row.pick(0, Q5_1_FIRST), row.pick(64, Q5_1_LAST)],
        Q2_K => [row.sixteen(0), row.sixteen(68)],
        Q3_K => both(row.sixteen(94)),
        Q6_K => [row.sixteen(192), row.sixteen(194)],
        _ => both(row.sixteen(0)),
    }
}

/// The bytes of [`super::super::unpack::part`] for one row. Types with blocks of 16: in the order of k. Types with blocks of
/// 32: the first halves of four blocks, their second halves, and both of the next four.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub(super) fn unpack<const F: usize>(row: Row<'_>) -> [__m512i; 4] {
    let pairs = [0, 1].map(|g| match F {
        Q8_0 => {
            let turn = |x| _mm512_xor_si512(x, _mm512_set1_epi8(-128));
            let (first, second) = if g == 0 {
                (row.four::<34, 2, 0, 64>(), row.four::<34, 18, 0, 64>())
            } else {
                (row.four::<34, 138, 136, 200>(), row.four::<34, 154, 136, 200>())
            };
            let last = row.sixteen(g * 136 + 120);
            [turn(first), turn(_mm512_mask_broadcast_i32x4(second, 0xf000, last))]
        }
        Q4_K | Q5_K => {
            // Nibbles of 32 bytes are two blocks, one low and one high.
            let x = row.whole(g * 64 + if F == Q4_K { 16 } else { 48 });
            let shift = _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4);
            let nibbles = |x| and(_mm512_srlv_epi64(x, shift), 15);
            let x =
                [_mm512_shuffle_i64x2::<0b10_10_00_00>(x, x), _mm512_shuffle_i64x2::<0b11_11_01_01>(x, x)]
                    .map(nibbles);
            if F == Q4_K {
                return x;
            }
            let bit = |i: i64| 0x0101_0101_0101_0101 << i;
            let bits = if g == 0 {
                _mm512_setr_epi64(bit(0), bit(0), bit(1), bit(1), bit(2), bit(2), bit(3), bit(3))
            } else {
                _mm512_setr_epi64(bit(4), bit(4), bit(5), bit(5), bit(6), bit(6), bit(7), bit(7))
            };
            [plus(x[0], row.quarter(16), bits, 16), plus(x[1], row.quarter(32), bits, 16)]
        }
        Q2_K | Q3_K => {
            let x = row.half(g * 32 + if F == Q2_K { 16 } else { 32 });
            [0, 1].map(|i| {
                let j = i as i64 * 4;
                let two = and(_mm512_srlv_epi64(x, halves(j, j + 2)), 3);
                if F == Q2_K {
                    return two;
                }
                let bit = |i: i64| 0x0101_0101_0101_0101 << i;
                let place = g as i64 * 4 + i as i64 * 2;
                plus(two, row.half(0), halves(bit(place), bit(place + 1)), 4)
            })
        }
        NVFP4 => [0, 1].map(|i| {
            // Nibbles of 8 bytes are one block.
            // SAFETY: 32 bytes are within the block.
            let x = unsafe { _mm256_loadu_si256(row.get((g * 2 + i) * 36 + 4, 32).cast()) };
            let x = _mm512_permutexvar_epi64(
                _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3),
                _mm512_castsi256_si512(x),
            );
            let x = _mm512_srlv_epi64(x, _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4));
            _mm512_shuffle_epi8(table::<F>(), and(x, 15))
        }),
        Q4_0 | Q4_1 | Q5_0 | Q5_1 | IQ4_NL | IQ4_XS | MXFP4 => {
            let x = match (F, g) {
                (Q4_0 | IQ4_NL, 0) => row.four::<18, 2, 0, 64>(),
                (Q4_0 | IQ4_NL, _) => row.four_and::<18, 74, 72, 128>(),
                (Q4_1, 0) => row.four::<20, 4, 0, 64>(),
                (Q4_1, _) => row.four_and::<20, 84, 80, 144>(),
                (Q5_0, 0) => row.four::<22, 6, 0, 64>(),
                (Q5_0, _) => row.four::<22, 94, 64, 112>(),
                (Q5_1, 0) => row.four::<24, 8, 0, 64>(),
                (Q5_1, _) => row.four::<24, 104, 64, 128>(),
                (MXFP4, _) => row.four_odd::<17>(g * 68 + 1),
                _ => row.whole(g * 64 + 8),
            };
            let x = [and(x, 15), and(_mm512_srli_epi32::<4>(x), 15)];
            match F {
                IQ4_NL | IQ4_XS | MXFP4 => x.map(|x| _mm512_shuffle_epi8(table::<F>(), x)),
                Q5_0 | Q5_1 => {
                    let fifth = match (F, g) {
                        (Q5_0, 0) => row.four::<22, 2, 0, 64>(),
                        (Q5_0, _) => row.four::<22, 90, 64, 112>(),
                        (_, 0) => row.four::<24, 4, 0, 64>(),
                        _ => row.four::<24, 100, 64, 128>(),
                    };
                    let byte = |i: i64| 0x0101_0101_0101_0101 * i;
                    let bits = _mm512_set1_epi64(0x8040_2010_0804_0201_u64 as i64);
                    [0, 1].map(|i| {
                        let (low, high) = (byte(i as i64 * 2), byte(i as i64 * 2 + 1));
                        let spread = _mm512_set_epi64(high, low, high, low, high, low, high, low);
                        plus(x[i], _mm512_shuffle_epi8(fifth, spread), bits, 16)
                    })
                }
                _ => x,
            }
        }
        _ => {
            // Q6_K.
            let (x, high) = (row.whole(g * 64), row.half(128 + g * 32));
            let or = |low, high| _mm512_or_si512(low, and(high, 48));
            [
                or(and(x, 15), _mm512_sllv_epi64(high, halves(4, 2))),
                or(and(_mm512_srli_epi32::<4>(x), 15), _mm512_srlv_epi64(high, halves(0, 2))),
            ]
        }
    });
    [pairs[0][0], pairs[0][1], pairs[1][0], pairs[1][1]]
}

/// Every `STEP`th word from number `FIRST` on, as far as 128 bytes reach; any word for the rest.
#[inline(always)]
const fn every<const FIRST: i16, const STEP: i16>() -> &'static [i16; 8] {
    const {
        let mut words = [0; 8];
        let mut i = 0;
        while i < 8 {
            words[i as usize] = (FIRST + i * STEP) % 64;
            i += 1;
        }
        &{ words }
    }
}

/// One number in the first half, another in the second.
#[target_feature(enable = "avx512f")]
#[inline]
fn halves(a: i64, b: i64) -> __m512i {
    _mm512_setr_epi64(a, a, a, a, b, b, b, b)
}

/// Adds `what` to the bytes of `x` where a bit of `bits` is set in `where_set`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn plus(x: __m512i, where_set: __m512i, bits: __m512i, what: i8) -> __m512i {
    _mm512_mask_add_epi8(x, _mm512_test_epi8_mask(where_set, bits), x, _mm512_set1_epi8(what))
}
