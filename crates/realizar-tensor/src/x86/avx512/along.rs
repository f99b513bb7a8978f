//! One or two tokens: rows of weights are read one after another, as they lie in memory.
//!
//! Memory serves one long stream far better than sixteen short ones, and with so few tokens it is memory that decides. So the
//! lanes of a register are values along k here. Integer sums of blocks come out the same in any order; they are kept for
//! sixteen rows, and then rows go side by side for all that is float, in the order of the other kernels ([`super::fold`]).

#![expect(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

mod bytes;
mod stream;

use std::arch::x86_64::{
    __m512, __m512i, _mm_storeu_si128, _mm512_add_epi32, _mm512_dpbusd_epi32, _mm512_loadu_si512,
    _mm512_permutex2var_epi64, _mm512_setr_epi64, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_storeu_si512, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
    _mm512_unpacklo_epi64,
};

use self::bytes::{Row, keep, unpack};
pub(super) use self::stream::Stream;
use self::stream::pages_after;
use super::fold::{Fold, start};
use super::panel::{Tail, block_of};
use super::rows::{LANES, Rows16};
use super::unpack::{FACTS, Head, MXFP4, NVFP4, Q2_K, Q4_1, Q5_1, Q6_K, finish};
use crate::acts::{Acts, SUPER};
use crate::matrix::Weights;
use crate::scratch::Scratch;

/// Bytes of a register.
const REGISTER: usize = 64;
/// Bytes that are kept of the scales of 256 values.
const KEPT: usize = REGISTER / 2;
/// Registers that 256 values of one row, or of one token, fill.
const REGISTERS: usize = SUPER / 64;

/// Groups of 256 values whose blocks' sums fill one register.
const fn per_unit<const F: usize>() -> usize {
    FACTS[F].block * LANES / SUPER
}

/// Whether 16 bytes are not enough for what scales 256 values.
const fn keeps_twice(format: usize) -> bool {
    matches!(format, MXFP4 | NVFP4 | Q4_1 | Q5_1 | Q2_K | Q6_K)
}

/// The activations of a product as registers that meet those of [`unpack`]: `[256-block][token][register]`.
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

/// Units of a row of so many times 256 values.
pub(super) const fn units<const F: usize>(blocks: usize) -> usize {
    blocks.div_ceil(per_unit::<F>())
}

/// Words of [`arrange`]'s buffer, and of what is kept of sixteen rows.
pub(super) fn words<const F: usize>(acts: &Acts<'_>, blocks: usize) -> (usize, usize) {
    (blocks * acts.tokens * SUPER / 4, LANES * stride::<F>(acts.tokens, blocks))
}

/// Words from what is kept of one row to that of the next: one register more than there are, so that rows do not share their
/// places in the cache.
const fn stride<const F: usize>(tokens: usize, blocks: usize) -> usize {
    (units::<F>(blocks) * (tokens + 1) + 1) * LANES
}

/// The products of the sixteen rows from `first` on with all tokens, whose activations are in `scratch`.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
pub(super) fn rows16<const F: usize, const T: usize>(
    weights: &Weights<'_>,
    first: usize,
    acts: &Acts<'_>,
    tail: &mut Tail,
    stream: &mut Stream,
    scratch: &mut Scratch,
) -> [__m512; T] {
    assert_eq!((acts.tokens, acts.group), (T, 1));
    let blocks = weights.cols.div_ceil(SUPER);
    let (panel, kept) = words::<F>(acts, blocks);
    let (arranged, kept) = scratch.buffers(panel, kept);
    block_sums::<F, T>(weights, first, arranged, tail, stream, kept);
    // Rows side by side from here on.
    let kept = Rows16::new(bytemuck::cast_slice(kept), stride::<F>(T, blocks) * 4);
    let mut out = [_mm512_setzero_ps(); T];
    let mut heads = [Head::zero(); 2];
    for unit in 0..units::<F>(blocks) {
        stream.fold();
        let kept = kept.at(unit * (T + 1) * REGISTER, (T + 1) * REGISTER);
        let within = unit * per_unit::<F>()..blocks.min((unit + 1) * per_unit::<F>());
        for (half, head) in heads.iter_mut().enumerate().take(per_unit::<F>()) {
            let at = T * REGISTER + half * KEPT;
            let t = kept.transpose(at);
            finish::<F>(&[t, if keeps_twice(F) { kept.transpose(at + 16) } else { t }], head);
        }
        for t in 0..T {
            // Lane 4 q + i is block 4 i + q.
            let mut quads = [[_mm512_setzero_si512(); 4]; 4];
            for (q, quad) in quads.iter_mut().enumerate() {
                *quad = kept.transpose(t * REGISTER + q * 16);
            }
            let each = SUPER / FACTS[F].block;
            for (half, block) in within.clone().enumerate() {
                let words = acts.group(block, t, 1);
                let mut fold = Fold::<1>::zero();
                for b in 0..each {
                    let number = half * each + b;
                    let sum = quads[number % 4][number / 4];
                    let acc = [_mm512_add_epi32(sum, start::<F, 1, 1>(words, b)[0])];
                    fold.close::<F, 1>(&acc, heads[half].scales[b], words, b);
                }
                fold.finish_one::<F, 1>(&heads[half], words, 0, &mut out[t]);
            }
        }
    }
    out
}

/// The integer sums of the blocks of sixteen rows, without their offsets, and what scales them: `[row][unit]`, of each unit 16
/// sums for each token, and [`KEPT`] bytes of each 256 values.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
#[inline]
fn block_sums<const F: usize, const T: usize>(
    weights: &Weights<'_>,
    first: usize,
    acts: &[f32],
    tail: &mut Tail,
    stream: &mut Stream,
    kept: &mut [f32],
) {
    let (per, bytes) = (per_unit::<F>(), FACTS[F].bytes);
    let (whole, blocks) = (weights.cols / SUPER, weights.cols.div_ceil(SUPER));
    if whole < blocks {
        block_of::<F>(weights, first, whole, tail);
    }
    let acts = acts.as_chunks::<LANES>().0.as_chunks::<REGISTERS>().0;
    stream.tile(weights.row(first));
    for (row, kept) in kept.chunks_exact_mut(stride::<F>(T, blocks)).enumerate().take(LANES) {
        let data = weights.row(first + row);
        pages_after(data);
        let mut kept = kept.as_chunks_mut::<LANES>().0.chunks_exact_mut(T + 1);
        let mut units = data[..whole * bytes].chunks_exact(per * bytes);
        let mut tokens = acts.chunks_exact(per * T);
        // In this order: what comes first decides, and the others lose nothing.
        for ((unit, kept), acts) in (&mut units).zip(&mut kept).zip(&mut tokens) {
            stream.unit();
            let mut acc = [[_mm512_setzero_si512(); 4]; T];
            for half in 0..per {
                let block = Row::new::<F>(&unit[half * bytes..][..bytes]);
                meet::<F, T>(block, &acts[half * T..][..T], &mut acc, half, kept);
            }
            store::<T>(&acc, kept);
        }
        // A unit that is not whole, and the block that the row ends in.
        let (unit, acts) = (units.remainder(), acts.chunks_exact(T));
        if let Some(kept) = kept.next() {
            let mut acc = [[_mm512_setzero_si512(); 4]; T];
            let last = (whole < blocks).then(|| tail.row(row, bytes));
            let blocks = unit.chunks_exact(bytes).chain(last).zip(acts.skip(whole / per * per));
            for (half, (block, acts)) in blocks.enumerate() {
                meet::<F, T>(Row::new::<F>(block), acts, &mut acc, half, kept);
            }
            store::<T>(&acc, kept);
        }
    }
}

/// Adds the products of 256 values of a row with all tokens, and keeps what scales them.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
#[inline]
fn meet<const F: usize, const T: usize>(
    block: Row<'_>,
    acts: &[[[f32; LANES]; REGISTERS]],
    acc: &mut [[__m512i; 4]; T],
    half: usize,
    kept: &mut [[f32; LANES]],
) {
    let w = unpack::<F>(block);
    for t in 0..T {
        for i in 0..REGISTERS {
            // SAFETY: this is a register.
            let x = unsafe { _mm512_loadu_si512(acts[t][i].as_ptr().cast()) };
            // Four lanes for each block: quarter q of register i belongs to block 4 i + q of the unit.
            let sum = &mut acc[t][if FACTS[F].block == 32 { half * 2 + i / 2 } else { i }];
            *sum = _mm512_dpbusd_epi32(*sum, w[i], x);
        }
    }
    let slots = keep::<F>(block);
    for slot in 0..if keeps_twice(F) { 2 } else { 1 } {
        let place = &mut kept[T][half * KEPT / 4 + slot * 4..][..4];
        // SAFETY: four words are 16 bytes.
        unsafe { _mm_storeu_si128(place.as_mut_ptr().cast(), slots[slot]) };
    }
}

/// Keeps the sums of a unit.
#[target_feature(enable = "avx512f")]
#[inline]
fn store<const T: usize>(acc: &[[__m512i; 4]; T], kept: &mut [[f32; LANES]]) {
    for t in 0..T {
        // SAFETY: this is a register.
        unsafe { _mm512_storeu_si512(kept[t].as_mut_ptr().cast(), gathered(&acc[t])) };
    }
}

/// The sums of four lanes: lane 4 q + i is the sum of quarter q of register i.
#[target_feature(enable = "avx512f")]
#[inline]
fn gathered(x: &[__m512i; 4]) -> __m512i {
    let a = _mm512_add_epi32(_mm512_unpacklo_epi32(x[0], x[1]), _mm512_unpackhi_epi32(x[0], x[1]));
    let b = _mm512_add_epi32(_mm512_unpacklo_epi32(x[2], x[3]), _mm512_unpackhi_epi32(x[2], x[3]));
    _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b))
}
