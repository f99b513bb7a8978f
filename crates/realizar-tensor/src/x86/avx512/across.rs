//! Three to sixteen tokens: lanes are tokens.
//!
//! Rows of weights are read one after another, as they lie in memory, and unpacked into bytes that stay in the cache. Then
//! the tokens' activations are what fills a register, and a row's bytes are spread over it: of all sixteen tokens four
//! bytes, or more bytes of fewer tokens. Nothing has to be turned, and the sums of a register's lanes are those of tokens.
//! Floats come in the order of the other kernels ([`super::fold`]).

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm_storeu_si128, _mm512_add_epi32, _mm512_broadcast_i32x4,
    _mm512_castps_si512, _mm512_castsi512_ps, _mm512_dpbusd_epi32, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_maskz_loadu_epi32, _mm512_permutexvar_epi32, _mm512_set1_epi32, _mm512_shuffle_ps, _mm512_set1_epi64,
    _mm512_setzero_si512, _mm512_shuffle_epi32, _mm512_storeu_ps, _mm512_storeu_si512,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::along::bytes::{Row, keep, unpack};
use super::along::{KEPT, keeps_twice};
use super::along::stream::{Stream, pages_after};
use super::fold::{Fold, start};
use super::panel::{Tail, block_of};
use super::rows::{LANES, Rows16};
use super::unpack::{FACTS, Head, finish};
use crate::acts::{ActKind, Acts, SUPER};
use crate::matrix::Weights;
use crate::scratch::Scratch;

/// Most tokens of this kernel.
pub(super) const MOST: usize = 16;
/// 256-blocks of sixteen rows that are unpacked at a time.
const STRETCH: usize = 4;
/// Lines of the words of a record behind its integers.
const EXTRA: usize = 29;

/// Registers of activations of 256 values, for so many lanes.
const fn registers(lanes: usize) -> usize {
    SUPER / 4 * lanes / LANES
}

/// Words of the arranged activations of a 256-block.
const fn record(lanes: usize) -> usize {
    (registers(lanes) + EXTRA) * LANES
}

/// Words of unpacked rows and what scales them.
const UNPACKED: usize = STRETCH * LANES * SUPER / 4;
/// Bytes from what scales one row to what scales the next.
const KEPT_ROW: usize = STRETCH * KEPT + 64;

/// Words of working memory: activations; rows.
pub(super) fn words(lanes: usize, blocks: usize) -> (usize, usize) {
    (blocks * record(lanes), UNPACKED + LANES * KEPT_ROW / 4)
}

/// The activations, so that their registers meet pieces of sixteen bytes of a row, spread over the lanes.
///
/// Integers of sixteen values: 16 lanes, four registers of one word of each token; 8 lanes, two registers, of which quarter q
/// has words 2i and 2i + 1 of tokens 2q and 2q + 1 (token by token within a word); 4 lanes, quarter q has all of token q.
/// Other words: in the lanes where the sums of tokens are in the end.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
pub(super) fn arrange<const F: usize, const N: usize>(acts: &Acts<'_>, blocks: usize, out: &mut [f32]) {
    let count = acts.tokens;
    assert!(count <= N && out.len() >= blocks * record(N));
    // Where the lanes of a register of integers, and of one of other words, come from.
    let (mut integers, mut others) = ([0u32; LANES], [0u32; LANES]);
    for lane in 0..LANES {
        let (q, i) = (lane / 4, lane % 4);
        let (word, token) = match N {
            16 => (0, lane),
            8 => (i % 2, 2 * q + i / 2),
            _ => (i, q),
        };
        integers[lane] = (word * count + token) as u32;
        others[lane] = match N {
            16 => lane,
            8 => 2 * q + i % 2,
            _ => q,
        } as u32;
    }
    let per = LANES / N;
    // SAFETY: an index is 64 bytes.
    let (integers, others) = unsafe {
        (_mm512_loadu_si512(integers.as_ptr().cast()), _mm512_loadu_si512(others.as_ptr().cast()))
    };
    let mask = |lanes: usize| if lanes >= LANES { u16::MAX } else { (1u16 << lanes) - 1 };
    let (some, one) = (mask(per * count), mask(count));
    let total = acts.kind.words();
    for block in 0..blocks {
        let words = acts.group(block, 0, count);
        let out = &mut out[block * record(N)..][..record(N)];
        for i in 0..registers(N) {
            let from = &words[i * per * count..][..per * count];
            // SAFETY: the mask lets as many words through as there are; the output has so many registers.
            unsafe {
                let x = _mm512_maskz_loadu_epi32(some, from.as_ptr());
                let x = if N == 16 { x } else { _mm512_permutexvar_epi32(integers, x) };
                _mm512_storeu_si512(out.as_mut_ptr().add(i * LANES).cast(), x);
            }
        }
        for word in SUPER / 4..total {
            let from = &words[word * count..][..count];
            // SAFETY: as above.
            unsafe {
                let x = _mm512_maskz_loadu_epi32(one, from.as_ptr());
                let x = if N == 16 { x } else { _mm512_permutexvar_epi32(others, x) };
                _mm512_storeu_si512(out.as_mut_ptr().add((registers(N) + word - SUPER / 4) * LANES).cast(), x);
            }
        }
    }
}

/// The products of the sixteen rows from `first` on with all tokens, whose activations are in `scratch`.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
pub(super) fn rows16<const F: usize, const N: usize>(
    weights: &Weights<'_>,
    first: usize,
    acts: &Acts<'_>,
    tail: &mut Tail,
    stream: &mut Stream,
    scratch: &mut Scratch,
    mut put: impl FnMut(usize, &[f32; LANES]),
) {
    let blocks = weights.cols.div_ceil(SUPER);
    let (arranged, unpacked) = words(N, blocks);
    let (arranged, unpacked) = scratch.buffers(arranged, unpacked);
    let (bytes, kept) = unpacked.split_at_mut(UNPACKED);
    let (bytes, kept): (&mut [u8], &mut [u8]) = (bytemuck::cast_slice_mut(bytes), bytemuck::cast_slice_mut(kept));
    if weights.cols / SUPER < blocks {
        block_of::<F>(weights, first, blocks - 1, tail);
    }
    let mut sums = [[0.0; LANES]; LANES];
    stream.tile(weights.row(first));
    for begin in (0..blocks).step_by(STRETCH) {
        let end = blocks.min(begin + STRETCH);
        open::<F>(weights, first, begin..end, tail, stream, bytes, kept);
        let kept = Rows16::new(kept, KEPT_ROW);
        let mut head = Head::zero();
        for block in begin..end {
            let at = (block - begin) * KEPT;
            let t = kept.at(at, KEPT).transpose(0);
            finish::<F>(&[t, if keeps_twice(F) { kept.at(at, KEPT).transpose(16) } else { t }], &mut head);
            stream.fold();
            let bytes = &bytes[(block - begin) * LANES * SUPER..][..LANES * SUPER];
            let acts = &arranged[block * record(N)..][..record(N)];
            multiply::<F, N>(bytes, &head, acts, &mut sums);
        }
    }
    // A register has the sums of `rows` rows next to each other.
    let rows = LANES / N;
    let mut out = [0.0; LANES];
    for token in 0..acts.tokens {
        let (at, step) = match N {
            16 => (token, 1),
            8 => (token / 2 * 4 + token % 2, 2),
            _ => (token * 4, 1),
        };
        for register in 0..N {
            for row in 0..rows {
                out[register * rows + row] = sums[register][at + row * step];
            }
        }
        put(token, &out);
    }
}

/// Unpacks some 256-blocks of sixteen rows, row by row: `[block][row]` bytes, and what scales them `[row][block]`.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
#[inline]
fn open<const F: usize>(
    weights: &Weights<'_>,
    first: usize,
    blocks: std::ops::Range<usize>,
    tail: &Tail,
    stream: &mut Stream,
    bytes: &mut [u8],
    kept: &mut [u8],
) {
    let size = FACTS[F].bytes;
    for row in 0..LANES {
        let data = weights.row(first + row);
        if blocks.start == 0 {
            pages_after(data);
        }
        for (index, block) in blocks.clone().enumerate() {
            stream.unit();
            let from = if (block + 1) * SUPER <= weights.cols {
                &data[block * size..][..size]
            } else {
                tail.row(row, size)
            };
            let from = Row::new::<F>(from);
            let out = &mut bytes[(index * LANES + row) * SUPER..][..SUPER];
            for (i, w) in unpack::<F>(from).into_iter().enumerate() {
                // SAFETY: 256 bytes are four registers.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(i * 64).cast(), w) };
            }
            let slots = keep::<F>(from);
            let place = &mut kept[row * KEPT_ROW + index * KEPT..][..KEPT];
            for slot in 0..if keeps_twice(F) { 2 } else { 1 } {
                // SAFETY: two times 16 bytes.
                unsafe { _mm_storeu_si128(place.as_mut_ptr().add(slot * 16).cast(), slots[slot]) };
            }
        }
    }
}

/// 256 values of sixteen rows, which `N` tokens meet.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
#[inline]
fn multiply<const F: usize, const N: usize>(
    bytes: &[u8],
    head: &Head,
    acts: &[f32],
    sums: &mut [[f32; LANES]; LANES],
) {
    match N {
        16 => some::<F, N, 8, 8>(bytes, head, acts, sums),
        8 => some::<F, N, 2, 4>(bytes, head, acts, sums),
        _ => some::<F, N, 4, 16>(bytes, head, acts, sums),
    }
}

/// Rows in turns of `R`, whose sums fill `M` registers.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
#[inline]
fn some<const F: usize, const N: usize, const M: usize, const R: usize>(
    bytes: &[u8],
    head: &Head,
    acts: &[f32],
    sums: &mut [[f32; LANES]; LANES],
) {
    assert!(bytes.len() == LANES * SUPER && acts.len() == record(N));
    let block = FACTS[F].block;
    let words: &[i32] = bytemuck::cast_slice(&acts[registers(N) * LANES..]);
    for turn in 0..LANES / R {
        let mut folds = [Fold::<1>::zero(); M];
        let rows = turn * R;
        for b in 0..SUPER / block {
            let mut acc = [_mm512_setzero_si512(); R];
            for h in 0..block / 16 {
                let piece = b * (block / 16) + h;
                // Where these sixteen bytes of a row are: see `unpack`.
                let at = if block == 32 { (b / 4 * 2 + h) * 64 + b % 4 * 16 } else { b * 16 };
                let mut x = [_mm512_setzero_si512(); 4];
                for i in 0..registers(N) / 16 {
                    // SAFETY: `acts` has so many registers of integers.
                    x[i] = unsafe {
                        _mm512_loadu_si512(acts.as_ptr().add((piece * (registers(N) / 16) + i) * LANES).cast())
                    };
                }
                for r in 0..R {
                    // SAFETY: `bytes` is sixteen rows of 256.
                    unsafe {
                        let from = bytes.as_ptr().add((rows + r) * SUPER + at);
                        match N {
                            16 => {
                                for i in 0..4 {
                                    let w = _mm512_set1_epi32(from.cast::<i32>().add(i).read_unaligned());
                                    acc[r] = _mm512_dpbusd_epi32(acc[r], w, x[i]);
                                }
                            }
                            8 => {
                                for i in 0..2 {
                                    let w = _mm512_set1_epi64(from.cast::<i64>().add(i).read_unaligned());
                                    acc[r] = _mm512_dpbusd_epi32(acc[r], w, x[i]);
                                }
                            }
                            _ => acc[r] = _mm512_dpbusd_epi32(acc[r], _mm512_broadcast_i32x4(_mm_loadu_si128(from.cast())), x[0]),
                        }
                    }
                }
            }
            for m in 0..M {
                let acc = match N {
                    16 => acc[m],
                    8 => pairs(acc[2 * m], acc[2 * m + 1]),
                    _ => four([acc[4 * m], acc[4 * m + 1], acc[4 * m + 2], acc[4 * m + 3]]),
                };
                let acc = _mm512_add_epi32(acc, start::<F, 1, true>(words, b)[0]);
                let scale = spread::<N>(&head.scales[b], rows + m * (R / M));
                folds[m].close::<F, true>(&[acc], scale, words, b);
            }
        }
        for m in 0..M {
            let head = of_rows::<F, N>(head, rows + m * (R / M));
            let sum = &mut sums[turn * M + m];
            // SAFETY: this is a register.
            unsafe {
                let mut out = _mm512_loadu_ps(sum.as_ptr());
                folds[m].finish_one::<F, true>(&head, words, 0, &mut out);
                _mm512_storeu_ps(sum.as_mut_ptr(), out);
            }
        }
    }
}

/// The eight bytes at `from`, in each eighth. An instruction of its own: the compiler would make two of a broadcast and its
/// shuffle.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn twice(from: *const u8) -> __m512i {
    let out;
    unsafe {
        std::arch::asm!("vpbroadcastq {}, qword ptr [{}]", out(zmm_reg) out, in(reg) from, options(pure, readonly, nostack, preserves_flags));
    }
    out
}

/// What scales the rows from `row` on, where their sums are.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
#[inline]
fn of_rows<const F: usize, const N: usize>(head: &Head, row: usize) -> Head {
    let mut out = Head::zero();
    if FACTS[F].mins {
        for b in 0..8 {
            if matches!(FACTS[F].kind, ActKind::Block32) {
                out.scales[8 + b] = spread::<N>(&head.scales[8 + b], row);
            }
        }
    }
    for i in 0..4 {
        out.mins[i] = spread::<N>(&head.mins[i], row);
        out.offsets[i] = spread::<N>(&head.offsets[i], row);
    }
    out.d = _mm512_castsi512_ps(spread::<N>(&_mm512_castps_si512(head.d), row));
    out.d_min = _mm512_castsi512_ps(spread::<N>(&_mm512_castps_si512(head.d_min), row));
    out
}

/// The lanes of the `16 / N` rows from `row` on, one row to a register's lane and again for each token.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
#[inline]
fn spread<const N: usize>(lanes: &__m512i, row: usize) -> __m512i {
    debug_assert!(row + LANES / N <= LANES);
    let from = std::ptr::from_ref(lanes).cast::<i32>();
    // SAFETY: a register has sixteen lanes, and those from `row` on are among them (asserted).
    unsafe {
        let from = from.add(row);
        match N {
            16 => _mm512_set1_epi32(*from),
            8 => _mm512_shuffle_epi32::<0x50>(twice(from.cast())),
            _ => _mm512_broadcast_i32x4(_mm_loadu_si128(from.cast())),
        }
    }
}

/// The sums of two rows: of tokens 2q and 2q + 1, one row after the other, in quarter q.
#[target_feature(enable = "avx512f")]
#[inline]
fn pairs(a: __m512i, b: __m512i) -> __m512i {
    let (a, b) = (_mm512_castsi512_ps(a), _mm512_castsi512_ps(b));
    let (even, odd) = (_mm512_shuffle_ps::<0x88>(a, b), _mm512_shuffle_ps::<0xdd>(a, b));
    _mm512_add_epi32(_mm512_castps_si512(even), _mm512_castps_si512(odd))
}

/// The sums of two rows: of tokens 2q and 2q + 1, one row after the other, in quarter q.
#[target_feature(enable = "avx512f")]
#[inline]
fn two(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b))
}

/// The sums of four rows: of token q, one row after the other, in quarter q.
#[target_feature(enable = "avx512f")]
#[inline]
fn four(x: [__m512i; 4]) -> __m512i {
    let (a, b) = (two(x[0], x[1]), two(x[2], x[3]));
    _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b))
}
