//! One to four tokens: rows of weights are read one after another, as they lie in memory.
//!
//! Memory serves one long stream far better than sixteen short ones, and with so few tokens it is memory that decides. So the
//! lanes of a register are values along k here. Integer sums of blocks come out the same in any order; they are kept for
//! sixteen rows, and then rows go side by side for all that is float, in the order of the other kernels ([`super::fold`]).

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

mod bytes;
mod stream;

use std::arch::x86_64::{
    __m512, __m512i, _mm512_add_epi32, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_permutex2var_epi64,
    _mm512_setr_epi64, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_storeu_si512, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use self::bytes::{Row, bytes};
pub(super) use self::stream::Stream;
use super::fold::{Fold, lanes, start};
use super::panel::{Tail, block_of};
use super::rows::{LANES, Rows16};
use super::unpack::{FACTS, Head, head};
use crate::acts::{Acts, SUPER};
use crate::kernels::ALONG_MOST;
use crate::matrix::Weights;
use crate::scratch::Scratch;

/// Registers that 256 values of one row, or of one token, fill.
const REGISTERS: usize = SUPER / 64;

/// Groups of 256 values whose blocks' sums fill one register.
const fn per_unit<const F: usize>() -> usize {
    FACTS[F].block * LANES / SUPER
}

/// The activations of a product as registers that meet those of [`bytes`]: `[256-block][token][register]`.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
pub(super) fn arrange<const F: usize>(acts: &Acts<'_>, blocks: usize, out: &mut [f32]) {
    let (first, second) =
        (_mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13), _mm512_setr_epi64(2, 3, 6, 7, 10, 11, 14, 15));
    let mut out = out.as_chunks_mut::<LANES>().0.as_chunks_mut::<REGISTERS>().0.iter_mut();
    for block in 0..blocks {
        for token in 0..acts.tokens {
            let (words, _) = acts.group(block, token, 1).as_chunks::<LANES>();
            let Some(out) = out.next() else { return };
            for pair in 0..REGISTERS / 2 {
                // SAFETY: a chunk is a register.
                let [a, b] =
                    [0, 1].map(|i| unsafe { _mm512_loadu_si512(words[pair * 2 + i].as_ptr().cast()) });
                let registers = if FACTS[F].block == 32 {
                    [_mm512_permutex2var_epi64(a, first, b), _mm512_permutex2var_epi64(a, second, b)]
                } else {
                    [a, b]
                };
                for (i, register) in registers.into_iter().enumerate() {
                    // SAFETY: a chunk is a register.
                    unsafe { _mm512_storeu_si512(out[pair * 2 + i].as_mut_ptr().cast(), register) };
                }
            }
        }
    }
}

/// Words of [`arrange`]'s buffer, and of the sums of sixteen rows.
pub(super) fn words<const F: usize>(acts: &Acts<'_>, blocks: usize) -> (usize, usize) {
    (blocks * acts.tokens * SUPER / 4, LANES * stride::<F>(acts.tokens, blocks))
}

/// Words from the sums of one row to those of the next: one register more than there are, so that rows do not share their
/// places in the cache.
const fn stride<const F: usize>(tokens: usize, blocks: usize) -> usize {
    (blocks.div_ceil(per_unit::<F>()) * tokens + 1) * LANES
}

/// The products of the sixteen rows from `first` on with all tokens, whose activations are in `scratch`.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
pub(super) fn rows16<const F: usize>(
    weights: &Weights<'_>,
    first: usize,
    acts: &Acts<'_>,
    tail: &mut Tail,
    stream: &mut Stream,
    scratch: &mut Scratch,
    mut put: impl FnMut(usize, &[f32; LANES]),
) {
    macro_rules! tokens {
        ($($count:literal),*) => {
            match acts.tokens {
                $($count => {
                    let sums = tokens::<F, $count>(weights, first, acts, tail, stream, scratch);
                    for (token, &sums) in sums.iter().enumerate() {
                        put(token, &lanes(sums));
                    }
                })*
                count => debug_assert!(count == 0, "{count} tokens are too many for this kernel"),
            }
        };
    }
    const { assert!(ALONG_MOST == 4) };
    tokens!(1, 2, 3, 4);
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
fn tokens<const F: usize, const T: usize>(
    weights: &Weights<'_>,
    first: usize,
    acts: &Acts<'_>,
    tail: &mut Tail,
    stream: &mut Stream,
    scratch: &mut Scratch,
) -> [__m512; T] {
    assert_eq!((acts.tokens, acts.group), (T, 1));
    let blocks = weights.cols.div_ceil(SUPER);
    let (panel, sums) = words::<F>(acts, blocks);
    let (acts_registers, sums) = scratch.buffers(panel, sums);
    let steps = blocks.div_ceil(per_unit::<F>());
    stream.tile(LANES * weights.row_bytes, steps);
    block_sums::<F, T>(weights, first, acts_registers, tail, stream, sums);
    // Rows side by side from here on.
    let stride = stride::<F>(T, blocks);
    let sums = Rows16::new(bytemuck::cast_slice(sums), stride * 4);
    let mut out = [_mm512_setzero_ps(); T];
    let mut heads = [Head::zero(); 2];
    for unit in 0..steps {
        stream.fold();
        let within = unit * per_unit::<F>()..blocks.min((unit + 1) * per_unit::<F>());
        for (head_of, block) in heads.iter_mut().zip(within.clone()) {
            head::<F>(block_of::<F>(weights, first, block, tail), head_of);
        }
        for t in 0..T {
            // Lane 4 q + i is block 4 i + q.
            let quads = [0, 1, 2, 3].map(|q| sums.transpose(((unit * T + t) * LANES + q * 4) * 4));
            let each = SUPER / FACTS[F].block;
            for (half, block) in within.clone().enumerate() {
                let words = acts.group(block, t, 1);
                let mut fold = Fold::<1>::zero();
                for b in 0..each {
                    let number = half * each + b;
                    let sum = quads[number % 4][number / 4];
                    let acc = [_mm512_add_epi32(sum, start::<F, 1>(words, b)[0])];
                    fold.close::<F>(&acc, heads[half].scales[b], words, b);
                }
                fold.finish_one::<F>(&heads[half], words, 0, &mut out[t]);
            }
        }
    }
    out
}

/// The integer sums of the blocks of sixteen rows, without their offsets: `[row][unit][token][16 blocks]`.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
#[inline]
fn block_sums<const F: usize, const T: usize>(
    weights: &Weights<'_>,
    first: usize,
    acts: &[f32],
    tail: &mut Tail,
    stream: &mut Stream,
    sums: &mut [f32],
) {
    let blocks = weights.cols.div_ceil(SUPER);
    let whole = weights.cols / SUPER;
    if whole < blocks {
        block_of::<F>(weights, first, whole, tail);
    }
    let acts = acts.as_chunks::<LANES>().0.as_chunks::<REGISTERS>().0.as_chunks::<T>().0;
    for row in 0..LANES {
        let sums = &mut sums[row * stride::<F>(T, blocks)..];
        let mut sums = sums.as_chunks_mut::<LANES>().0.iter_mut();
        let bytes_of_row = weights.row(first + row);
        for unit in 0..blocks.div_ceil(per_unit::<F>()) {
            stream.row();
            let mut acc = [[_mm512_setzero_si512(); 4]; T];
            for half in 0..per_unit::<F>() {
                let block = unit * per_unit::<F>() + half;
                let row = if block < whole {
                    Row::new(&bytes_of_row[block * FACTS[F].bytes..][..FACTS[F].bytes])
                } else if block < blocks {
                    Row::new(tail.row(row, FACTS[F].bytes))
                } else {
                    break;
                };
                let w = bytes::<F>(row);
                for t in 0..T {
                    // SAFETY: a chunk is a register.
                    let x =
                        acts[block][t].each_ref().map(|x| unsafe { _mm512_loadu_si512(x.as_ptr().cast()) });
                    multiply::<F>(&w, &x, &mut acc[t], half);
                }
            }
            for (acc, out) in acc.iter().zip(&mut sums) {
                // SAFETY: a chunk is a register.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), gathered(acc)) };
            }
        }
    }
}

/// Four lanes for each block of 256 values: quarter q of register i belongs to block 4 i + q of the unit.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
fn multiply<const F: usize>(w: &[__m512i; 4], x: &[__m512i; 4], acc: &mut [__m512i; 4], half: usize) {
    for i in 0..REGISTERS {
        let sum = &mut acc[if FACTS[F].block == 32 { half * 2 + i / 2 } else { i }];
        *sum = _mm512_dpbusd_epi32(*sum, w[i], x[i]);
    }
}

/// The sums of four lanes: lane 4 q + i is the sum of quarter q of register i.
#[target_feature(enable = "avx512f")]
#[inline]
fn gathered(x: &[__m512i; 4]) -> __m512i {
    let pair = |a, b| _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (a, b) = (pair(x[0], x[1]), pair(x[2], x[3]));
    _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b))
}
