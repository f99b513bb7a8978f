//! Many tokens: sixteen rows are unpacked into a panel in the L1 cache, which then meets group after group of tokens.

#![expect(
    clippy::needless_range_loop,
    reason = "an index runs over several arrays of registers; zipped iterators are not inlined into feature-gated functions"
)]

use std::arch::x86_64::{
    __m512, __m512i, _mm512_dpbusd_epi32, _mm512_loadu_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};
use std::mem::MaybeUninit;

use super::fold::{Fold, splat, start};
use super::panel::{Tail, block_of};
use super::rows::{Ahead, LANES, Near};
use super::unpack::{FACTS, Head, head, part, place};
use crate::acts::{Acts, MOST_SUMS, SUPER, groups};
use crate::matrix::Weights;
use crate::scratch::Scratch;

/// Tokens whose sums fit the registers together.
pub(super) const GROUP: usize = 6;
/// Panels that one pass over the activations meets.
pub(super) const PANELS: usize = 4;
/// Groups of tokens per pass over the weights: their sums stay in the L2 cache.
const STRETCH: usize = MOST_SUMS / GROUP;

/// 256 values of sixteen rows.
struct Panel {
    w: [MaybeUninit<__m512i>; 64],
    head: MaybeUninit<Head>,
}

impl Panel {
    /// Written where it lies: a panel that is built elsewhere and moved costs as much as the products of some tokens.
    const EMPTY: Self = Self { w: [MaybeUninit::uninit(); 64], head: MaybeUninit::uninit() };
}

/// The products of `panels` times sixteen rows from `first` on with all tokens.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
pub(super) fn rows<const F: usize>(
    weights: &Weights<'_>,
    first: usize,
    panels: usize,
    acts: &Acts<'_>,
    tail: &mut Tail,
    scratch: &mut Scratch,
    mut put: impl FnMut(usize, usize, &[f32; LANES]),
) {
    let blocks = weights.cols.div_ceil(SUPER);
    let mut storage = [Panel::EMPTY; PANELS];
    let storage = &mut storage[..panels];
    for panel in storage.iter_mut() {
        // SAFETY: one head; zero bytes are zeros in all its registers.
        unsafe { panel.head.as_mut_ptr().write_bytes(0, 1) };
    }
    let bytes = panels * LANES * weights.row_bytes;
    let ahead = Ahead::new(weights.data, first * weights.row_bytes + bytes, bytes, blocks * panels * 4);
    for (begin, count) in groups(acts.tokens, acts.group * STRETCH) {
        let (_, sums) = scratch.buffers(0, panels * count * LANES);
        for block in 0..blocks {
            for (index, panel) in storage.iter_mut().enumerate() {
                let rows = block_of::<F>(weights, first + index * LANES, block, tail);
                // SAFETY: written above.
                head::<F>(rows, unsafe { panel.head.assume_init_mut() });
                for p in 0..4 {
                    ahead.fetch_far((block * panels + index) * 4 + p);
                    for (i, w) in part::<F>(rows, p).into_iter().enumerate() {
                        panel.w[place::<F>(p, i)].write(w);
                    }
                }
            }
            // What comes next of these rows, or the first of those behind them.
            let (next, rows) = (block + 1, panels * LANES);
            let next = if next < blocks {
                first * weights.row_bytes + next * FACTS[F].bytes
            } else {
                (first + rows) * weights.row_bytes
            };
            let near = Near::new(weights.data, next, weights.row_bytes, FACTS[F].bytes);
            let share = |group: usize| group * rows / count.div_ceil(acts.group);
            for (index, (group, tokens)) in groups(count, acts.group).enumerate() {
                near.fetch(share(index)..share(index + 1));
                let words = acts.group(block, begin + group, tokens);
                // The sums of a group lie together: panel by panel, token by token.
                let sums = &mut sums[group * panels * LANES..][..tokens * panels * LANES];
                if block == 0 {
                    sums.fill(0.0);
                }
                let mut parts = sums.chunks_exact_mut(tokens * LANES);
                let (pairs, last) = storage.as_chunks::<2>();
                for pair in pairs {
                    if let (Some(first), Some(second)) = (parts.next(), parts.next()) {
                        multiply::<F, 2>(pair, words, [first, second]);
                    }
                }
                if let ([panel], Some(sums)) = (last, parts.next()) {
                    multiply::<F, 1>(std::array::from_ref(panel), words, [sums]);
                }
                if block + 1 == blocks {
                    // While they are in the L1 cache; token by token, as what is stored side by side lies side by side then:
                    // outputs of two tokens are pages apart.
                    let sums = sums.as_chunks::<LANES>().0;
                    for token in 0..tokens {
                        for index in 0..panels {
                            put(begin + group + token, first + index * LANES, &sums[index * tokens + token]);
                        }
                    }
                }
            }
        }
    }
}

/// Some panels and one group, by its size.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
fn multiply<const F: usize, const P: usize>(panels: &[Panel; P], words: &[i32], sums: [&mut [f32]; P]) {
    match words.len() / FACTS[F].kind.words() {
        1 => tokens::<F, P, 1>(panels, words, sums),
        2 => tokens::<F, P, 2>(panels, words, sums),
        3 => tokens::<F, P, 3>(panels, words, sums),
        4 => tokens::<F, P, 4>(panels, words, sums),
        5 => tokens::<F, P, 5>(panels, words, sums),
        _ => tokens::<F, P, GROUP>(panels, words, sums),
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
fn tokens<const F: usize, const P: usize, const T: usize>(
    panels: &[Panel; P],
    words: &[i32],
    sums: [&mut [f32]; P],
) {
    assert!(words.len() == T * FACTS[F].kind.words() && sums.iter().all(|sums| sums.len() == T * LANES));
    let registers = const { FACTS[F].block / 4 };
    // SAFETY: the caller has written the head of each panel.
    let heads: [&Head; P] = std::array::from_fn(|p| unsafe { panels[p].head.assume_init_ref() });
    let mut folds = [Fold::<T>::zero(); P];
    for b in 0..64 / registers {
        let mut acc: [[_; T]; P] = [start::<F, T, T>(words, b); P];
        for j in 0..registers {
            let k4 = b * registers + j;
            for t in 0..T {
                let x = splat(words, k4 * T + t);
                for p in 0..P {
                    // SAFETY: the caller has written all registers of each panel.
                    let w = unsafe { panels[p].w[k4].assume_init() };
                    acc[p][t] = _mm512_dpbusd_epi32(acc[p][t], w, x);
                }
            }
        }
        for p in 0..P {
            folds[p].close::<F, T>(&acc[p], heads[p].scales[b], words, b);
        }
    }
    for p in 0..P {
        let mut out: [__m512; T] = [_mm512_setzero_ps(); T];
        for t in 0..T {
            // SAFETY: `sums` is T times 16 floats.
            out[t] = unsafe { _mm512_loadu_ps(sums[p].as_ptr().add(t * LANES)) };
        }
        folds[p].finish::<F, T>(heads[p], words, &mut out);
        for t in 0..T {
            // SAFETY: as for the load.
            unsafe { _mm512_storeu_ps(sums[p].as_mut_ptr().add(t * LANES), out[t]) };
        }
    }
}
