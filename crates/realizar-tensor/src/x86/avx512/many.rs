//! Many tokens: sixteen rows are unpacked into a panel in the L1 cache, which then meets group after group of tokens.

#![expect(
    clippy::needless_range_loop,
    reason = "an index runs over several arrays of registers; zipped iterators are not inlined into feature-gated functions"
)]

use std::arch::x86_64::{
    __m512, __m512i, _mm512_dpbusd_epi32, _mm512_loadu_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_storeu_ps,
};

use super::fold::{Fold, splat, start};
use super::panel::{Tail, block_of};
use super::rows::LANES;
use super::unpack::{FACTS, Head, head, part, place};
use crate::acts::{Acts, SUPER, groups};
use crate::compute::MOST_SUMS;
use crate::matrix::Weights;
use crate::scratch::Scratch;

/// Tokens whose sums fit the registers together.
pub(super) const GROUP: usize = 14;
/// Panels that one pass over the activations meets.
pub(super) const PANELS: usize = 4;
/// Groups of tokens per pass over the weights: their sums stay in the L2 cache.
const STRETCH: usize = MOST_SUMS / GROUP;

/// 256 values of sixteen rows.
struct Panel {
    w: [__m512i; 64],
    head: Head,
}

/// The products of `panels` times sixteen rows from `first` on with all tokens.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
pub(super) fn rows<const F: usize>(
    weights: &Weights<'_>,
    first: usize,
    panels: usize,
    acts: &Acts<'_>,
    scratch: &mut Scratch,
    mut put: impl FnMut(usize, usize, &[f32; LANES]),
) {
    let blocks = weights.cols.div_ceil(SUPER);
    let mut storage: [Panel; PANELS] =
        std::array::from_fn(|_| Panel { w: [_mm512_setzero_si512(); 64], head: Head::zero() });
    let storage = &mut storage[..panels];
    let mut tail = Tail::EMPTY;
    for (begin, count) in groups(acts.tokens, acts.group * STRETCH) {
        let (_, sums) = scratch.buffers(0, panels * count * LANES);
        sums.fill(0.0);
        for block in 0..blocks {
            for (index, panel) in storage.iter_mut().enumerate() {
                let first = first + index * LANES;
                let rows = block_of::<F>(weights, first, block, &mut tail);
                rows.prefetch(FACTS[F].bytes, FACTS[F].bytes);
                head::<F>(rows, &mut panel.head);
                for p in 0..4 {
                    for (i, w) in part::<F>(rows, p).into_iter().enumerate() {
                        panel.w[place::<F>(p, i)] = w;
                    }
                }
            }
            for (group, tokens) in groups(count, acts.group) {
                let words = acts.group(block, begin + group, tokens);
                for (panel, sums) in storage.iter().zip(sums.chunks_exact_mut(count * LANES)) {
                    multiply::<F>(panel, words, &mut sums[group * LANES..][..tokens * LANES]);
                }
            }
        }
        for (index, sums) in sums.chunks_exact(count * LANES).enumerate() {
            for (token, sums) in sums.as_chunks::<LANES>().0.iter().enumerate() {
                put(begin + token, first + index * LANES, sums);
            }
        }
    }
}

/// One panel and one group, by its size.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
fn multiply<const F: usize>(panel: &Panel, words: &[i32], sums: &mut [f32]) {
    match sums.len() / LANES {
        1 => tokens::<F, 1>(panel, words, sums),
        2 => tokens::<F, 2>(panel, words, sums),
        3 => tokens::<F, 3>(panel, words, sums),
        4 => tokens::<F, 4>(panel, words, sums),
        5 => tokens::<F, 5>(panel, words, sums),
        6 => tokens::<F, 6>(panel, words, sums),
        7 => tokens::<F, 7>(panel, words, sums),
        8 => tokens::<F, 8>(panel, words, sums),
        9 => tokens::<F, 9>(panel, words, sums),
        10 => tokens::<F, 10>(panel, words, sums),
        11 => tokens::<F, 11>(panel, words, sums),
        12 => tokens::<F, 12>(panel, words, sums),
        13 => tokens::<F, 13>(panel, words, sums),
        _ => tokens::<F, GROUP>(panel, words, sums),
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
fn tokens<const F: usize, const T: usize>(panel: &Panel, words: &[i32], sums: &mut [f32]) {
    assert!(words.len() == T * FACTS[F].kind.words() && sums.len() == T * LANES);
    let registers = const { FACTS[F].block / 4 };
    let mut fold = Fold::<T>::zero();
    for b in 0..64 / registers {
        let mut acc: [_; T] = start::<F, T>(words, b);
        for j in 0..registers {
            let k4 = b * registers + j;
            let w = panel.w[k4];
            for t in 0..T {
                acc[t] = _mm512_dpbusd_epi32(acc[t], w, splat(words, k4 * T + t));
            }
        }
        fold.close::<F>(&acc, panel.head.scales[b], words, b);
    }
    let mut out: [__m512; T] = [_mm512_setzero_ps(); T];
    for t in 0..T {
        // SAFETY: `sums` is T times 16 floats.
        out[t] = unsafe { _mm512_loadu_ps(sums.as_ptr().add(t * LANES)) };
    }
    fold.finish::<F>(&panel.head, words, &mut out);
    for t in 0..T {
        // SAFETY: as for the load.
        unsafe { _mm512_storeu_ps(sums.as_mut_ptr().add(t * LANES), out[t]) };
    }
}
