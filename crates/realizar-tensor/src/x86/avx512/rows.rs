//! Sixteen rows of weights side by side: lane r of a register belongs to row r.

use std::arch::x86_64::{
    __m128i, __m512, __m512i, _MM_HINT_T0, _MM_HINT_T1, _mm_loadu_si128, _mm_prefetch,
    _mm512_broadcast_i32x4, _mm512_cvtepi32_epi16, _mm512_cvtph_ps, _mm512_i32gather_epi32,
    _mm512_loadu_si512, _mm512_mask_broadcast_i32x4, _mm512_maskz_permutex2var_epi16, _mm512_mullo_epi32,
    _mm512_or_si512, _mm512_set1_epi32, _mm512_setr_epi32, _mm512_setzero_si512, _mm512_srli_epi32,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};
use std::ops::Range;

/// Rows per register.
pub(super) const LANES: usize = 16;

/// A place in the first of sixteen rows that lie `stride` bytes apart.
///
/// Invariant: at this place, `reach` bytes of each of the sixteen rows may be read. [`Self::new`] checks it. From there, [`Self::at`]
/// goes to whole blocks inside of the rows ([`super::panel::block_of`]: a matrix is checked to have them) or to what was stored in
/// units of that size, and what reads at a place takes offsets that are constants of the format, below the bytes of its block. Debug
/// builds, in which the tests go through every format, check each; in release builds a check for each read took 7 % of the products of 8 tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows16 {
    base: *const u8,
    stride: usize,
    reach: usize,
}

impl Rows16 {
    /// Sixteen rows of `bytes`, `stride` apart.
    pub(super) fn new(bytes: &[u8], stride: usize) -> Self {
        assert!(
            bytes.len() >= LANES * stride && stride <= i32::MAX as usize / LANES,
            "sixteen rows of {stride} bytes"
        );
        Self { base: bytes.as_ptr(), stride, reach: stride }
    }

    /// The place `bytes` further on, where `reach` bytes are used.
    #[inline(always)]
    pub(super) fn at(self, bytes: usize, reach: usize) -> Self {
        debug_assert!(bytes + reach <= self.reach);
        Self { base: self.base.wrapping_add(bytes), stride: self.stride, reach }
    }

    #[inline(always)]
    fn row(self, row: usize, at: usize) -> *const u8 {
        self.base.wrapping_add(row * self.stride + at)
    }

    /// 16 bytes at `at` of each row: register j holds dword j of every row.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    pub(super) fn transpose(self, at: usize) -> [__m512i; 4] {
        debug_assert!(at + 16 <= self.reach);
        let load = |row: usize| -> __m128i {
            // SAFETY: 16 bytes from `at` are within reach (see the type), by the invariant.
            unsafe { _mm_loadu_si128(self.row(row, at).cast()) }
        };
        // Quarter q of register g is row 4q + g.
        let four = |g: usize| {
            let z = _mm512_broadcast_i32x4(load(g));
            let z = _mm512_mask_broadcast_i32x4(z, 0x00f0, load(4 + g));
            let z = _mm512_mask_broadcast_i32x4(z, 0x0f00, load(8 + g));
            _mm512_mask_broadcast_i32x4(z, 0xf000, load(12 + g))
        };
        turned([four(0), four(1), four(2), four(3)])
    }

    /// The dword at `at` of each row.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    pub(super) fn dword(self, at: usize) -> __m512i {
        debug_assert!(at + 4 <= self.reach);
        let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let offsets = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(self.stride as i32));
        // SAFETY: 4 bytes from `at` of each row are within reach (see the type), by the invariant.
        unsafe { _mm512_i32gather_epi32::<1>(offsets, self.row(0, at).cast()) }
    }

    /// Eight 16-bit words of each row, `STEP` words apart from the `START`th on in the 128 bytes from each `at` on (those that
    /// would lie behind them are any): lane r of register j holds words 2j
    /// and 2j + 1 of row r. Far faster than gathering them one by one.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    pub(super) fn words<const START: i16, const STEP: i16, const COUNT: usize>(
        self,
        at: [usize; COUNT],
    ) -> [__m512i; 4] {
        debug_assert!(at.iter().all(|at| at + 128 <= self.reach));
        let each = const { 8 / COUNT };
        // Every place of a quarter asks for the word that it would hold, which the mask lets through or not.
        let index: &[i16; 32] = const {
            let mut index = [0; 32];
            let mut i = 0;
            while i < 32 {
                index[i] = START + (i % (8 / COUNT)) as i16 * STEP;
                i += 1;
            }
            &{ index }
        };
        // Quarter q of register g is row 4q + g; the words of the first place come before those of the second.
        let four = |g: usize| {
            let mut z = _mm512_setzero_si512();
            for q in 0..4 {
                for (part, &at) in at.iter().enumerate() {
                    let mask = ((1u32 << each) - 1) << (q * 8 + part * each);
                    // SAFETY: 128 bytes from `at` of each row are within reach (see the type), by the invariant; an index is 64 bytes.
                    unsafe {
                        let low = _mm512_loadu_si512(self.row(4 * q + g, at).cast());
                        let high = _mm512_loadu_si512(self.row(4 * q + g, at + 64).cast());
                        let index = _mm512_loadu_si512(index.as_ptr().cast());
                        let words = _mm512_maskz_permutex2var_epi16(mask, low, index, high);
                        z = _mm512_or_si512(z, words);
                    }
                }
            }
            z
        };
        turned([four(0), four(1), four(2), four(3)])
    }

    /// Eight 16-bit words of each row, those with the numbers `index` in the 128 bytes at `at`: lane r of register j holds words
    /// 2j and 2j + 1 of row r.
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
    #[inline]
    pub(super) fn pick(self, at: usize, index: &[i16; 8]) -> [__m512i; 4] {
        debug_assert!(at + 128 <= self.reach);
        // SAFETY: an index is 16 bytes.
        let index = _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(index.as_ptr().cast()) });
        // Quarter q of register g is row 4q + g.
        let four = |g: usize| {
            let mut z = _mm512_setzero_si512();
            for q in 0..4 {
                // SAFETY: 128 bytes from `at` of each row are within reach (see the type), by the invariant.
                unsafe {
                    let low = _mm512_loadu_si512(self.row(4 * q + g, at).cast());
                    let high = _mm512_loadu_si512(self.row(4 * q + g, at + 64).cast());
                    let words = _mm512_maskz_permutex2var_epi16(0xff << (8 * q), low, index, high);
                    z = _mm512_or_si512(z, words);
                }
            }
            z
        };
        turned([four(0), four(1), four(2), four(3)])
    }
}

/// The bytes behind the rows that are being computed, fetched in the order in which they lie: memory serves one long stream
/// far better than sixteen short ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    from: *const u8,
    /// Bytes per 256-block, so that all are fetched when the last block is done.
    share: usize,
}

impl Ahead {
    /// The `bytes` bytes behind the first `start` of `data`, in `blocks` equal shares. They may lie outside: fetching harms
    /// nothing.
    pub(super) fn new(data: &[u8], start: usize, bytes: usize, blocks: usize) -> Self {
        Self { from: data.as_ptr().wrapping_add(start), share: bytes.div_ceil(blocks).next_multiple_of(64) }
    }

    /// Fetches share number `block` into the L1 cache.
    #[inline(always)]
    pub(super) fn fetch(self, block: usize) {
        for line in (0..self.share).step_by(64) {
            // SAFETY: fetching needs no valid address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.from.wrapping_add(block * self.share + line).cast()) };
        }
    }

    /// Fetches share number `block` into the L2 cache.
    #[inline(always)]
    pub(super) fn fetch_far(self, block: usize) {
        for line in (0..self.share).step_by(64) {
            // SAFETY: fetching needs no valid address.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(self.from.wrapping_add(block * self.share + line).cast()) };
        }
    }
}

/// The bytes that each row is read next for, fetched into the L1 cache row by row while others are multiplied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near {
    from: *const u8,
    stride: usize,
    bytes: usize,
}

impl Near {
    /// `bytes` bytes of each row, which lie `stride` bytes apart from `start` of `data` on. They may lie outside: fetching harms
    /// nothing.
    pub(super) fn new(data: &[u8], start: usize, stride: usize, bytes: usize) -> Self {
        Self { from: data.as_ptr().wrapping_add(start), stride, bytes }
    }

    /// Fetches those of some rows.
    #[inline(always)]
    pub(super) fn fetch(self, rows: Range<usize>) {
        for row in rows {
            let from = self.from.wrapping_add(row * self.stride);
            // The last line as well, where a row does not begin with one.
            for at in (0..=self.bytes).step_by(64) {
                // SAFETY: fetching needs no valid address.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(at).cast()) };
            }
        }
    }
}

/// Dwords and rows change places: from quarter q of register g, row 4q + g, to lane r of register j, dword j of row r.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn turned(z: [__m512i; 4]) -> [__m512i; 4] {
    let (a, b) = (_mm512_unpacklo_epi32(z[0], z[1]), _mm512_unpackhi_epi32(z[0], z[1]));
    let (c, d) = (_mm512_unpacklo_epi32(z[2], z[3]), _mm512_unpackhi_epi32(z[2], z[3]));
    [
        _mm512_unpacklo_epi64(a, c),
        _mm512_unpackhi_epi64(a, c),
        _mm512_unpacklo_epi64(b, d),
        _mm512_unpackhi_epi64(b, d),
    ]
}

/// The low 16 bits of each lane as f16.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub(super) fn low_halves(x: __m512i) -> __m512 {
    _mm512_cvtph_ps(_mm512_cvtepi32_epi16(x))
}

/// The high 16 bits of each lane as f16.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")]
#[inline]
pub(super) fn high_halves(x: __m512i) -> __m512 {
    low_halves(_mm512_srli_epi32::<16>(x))
}
