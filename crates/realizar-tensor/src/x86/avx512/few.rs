//! Up to four tokens: weights are unpacked into registers and used at once.

use std::arch::x86_64::{__m512, _mm512_dpbusd_epi32, _mm512_setzero_ps};

use super::fold::{Fold, lanes, splat, start};
use super::panel::{Tail, block_of};
use super::rows::{Ahead, LANES};
use super::unpack::{FACTS, Head, head, part, place};
use crate::acts::{Acts, SUPER};
use crate::matrix::Weights;

/// The products of the sixteen rows from `first` on with all tokens.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
pub(super) fn rows16<const F: usize>(
    weights: &Weights<'_>,
    first: usize,
    acts: &Acts<'_>,
    tail: &mut Tail,
    mut put: impl FnMut(usize, &[f32; LANES]),
) {
    let mut all = |sums: &[__m512]| {
        for (token, &sums) in sums.iter().enumerate() {
            put(token, &lanes(sums));
        }
    };
    match acts.tokens {
        1 => all(&tokens::<F, 1>(weights, first, acts, tail)),
        2 => all(&tokens::<F, 2>(weights, first, acts, tail)),
        3 => all(&tokens::<F, 3>(weights, first, acts, tail)),
        _ => all(&tokens::<F, 4>(weights, first, acts, tail)),
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
fn tokens<const F: usize, const T: usize>(
    weights: &Weights<'_>,
    first: usize,
    acts: &Acts<'_>,
    tail: &mut Tail,
) -> [__m512; T] {
    assert_eq!(acts.tokens, T);
    let facts = FACTS[F];
    let blocks = weights.cols.div_ceil(SUPER);
    let registers = facts.block / 4;
    let mut sums = [_mm512_setzero_ps(); T];
    let bytes = LANES * weights.row_bytes;
    let ahead = Ahead::new(weights.data, first * weights.row_bytes + bytes, bytes, blocks * 4);
    let mut scales = Head::zero();
    for block in 0..blocks {
        let rows = block_of::<F>(weights, first, block, tail);
        let words = acts.group(block, 0, T);
        head::<F>(rows, &mut scales);
        let mut fold = Fold::<T>::zero();
        for p in 0..4 {
            ahead.fetch(block * 4 + p);
            let w = part::<F>(rows, p);
            for run in 0..16 / registers {
                let k4 = place::<F>(p, run * registers);
                let b = k4 / registers;
                let mut acc: [_; T] = start::<F, T>(words, b);
                for j in 0..registers {
                    for (t, acc) in acc.iter_mut().enumerate() {
                        *acc =
                            _mm512_dpbusd_epi32(*acc, w[run * registers + j], splat(words, (k4 + j) * T + t));
                    }
                }
                fold.close::<F>(&acc, scales.scales[b], words, b);
            }
        }
        fold.finish::<F>(&scales, words, &mut sums);
    }
    sums
}
