//! Few tokens: weights are unpacked into registers and used at once.

use std::arch::x86_64::{__m512, __m512i, _mm512_dpbusd_epi32, _mm512_setzero_ps};

use super::fold::{Fold, lanes, splat, start};
use super::panel::{Tail, block_of};
use super::rows::{Ahead, LANES};
use super::unpack::{FACTS, Head, Q3_K, Q6_K, head, part, place};
use crate::acts::{Acts, SUPER};
use crate::matrix::Weights;

/// Most tokens of this kernel.
pub(super) const MOST: usize = 16;
/// Most tokens of a group: their sums stay in registers.
pub(super) const GROUP: usize = 8;
/// Bytes beyond the next sixteen rows at which weights are asked for. When one token went this way too, 0 and 4 KiB were 5 and
/// 3 % slower with it in the mean of four rounds, which differ among themselves by 10 %.
const LEAD: usize = 8 << 10;

/// The products of the sixteen rows from `first` on with all tokens.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
pub(super) fn rows16<const F: usize>(
    weights: &Weights<'_>,
    first: usize,
    acts: &Acts<'_>,
    tail: &mut Tail,
    mut put: impl FnMut(usize, &[f32; LANES]),
) {
    macro_rules! tokens {
        ($($count:literal: $a:literal + $b:literal in $groups:tt),*) => {
            match acts.tokens {
                $($count => {
                    let (a, b) = tokens!($groups, $count, $a, $b);
                    for (token, &sums) in a.iter().chain(&b).enumerate() {
                        put(token, &lanes(sums));
                    }
                })*
                count => debug_assert!(count == 0, "{count} tokens are too many for this kernel"),
            }
        };
        (one, $count:literal, $a:literal, $b:literal) => {
            tokens::<F, $a, $b, $count, $count>(weights, first, acts, tail)
        };
        (two, $count:literal, $a:literal, $b:literal) => {
            tokens::<F, $a, $b, $a, $b>(weights, first, acts, tail)
        };
    }
    if matches!(F, Q3_K | Q6_K) && matches!(acts.tokens, 7 | 8) {
        // With twice the sums to fold, eight of them and what they fold into fill more registers than there are.
        return tokens!(7: 4 + 3 in one, 8: 4 + 4 in one);
    }
    tokens!(3: 3 + 0 in one, 4: 4 + 0 in one, 5: 5 + 0 in one, 6: 6 + 0 in one, 7: 7 + 0 in one, 8: 8 + 0 in one,
        9: 5 + 4 in two, 10: 5 + 5 in two, 11: 6 + 5 in two, 12: 6 + 6 in two, 13: 7 + 6 in two, 14: 7 + 7 in two,
        15: 8 + 7 in two, 16: 8 + 8 in two);
}

/// `A` and `B` tokens, which may be none; they lie in groups of `SA` and of `SB` tokens, or in the same one.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
fn tokens<const F: usize, const A: usize, const B: usize, const SA: usize, const SB: usize>(
    weights: &Weights<'_>,
    first: usize,
    acts: &Acts<'_>,
    tail: &mut Tail,
) -> ([__m512; A], [__m512; B]) {
    assert!(acts.tokens == A + B && acts.group == SA);
    let facts = FACTS[F];
    let blocks = weights.cols.div_ceil(SUPER);
    let registers = facts.block / 4;
    let (mut a, mut b) = ([_mm512_setzero_ps(); A], [_mm512_setzero_ps(); B]);
    let bytes = LANES * weights.row_bytes;
    let start = (first + LANES) * weights.row_bytes + LEAD;
    let ahead = Ahead::new(weights.data, start, bytes, blocks * 4);
    let mut scales = Head::zero();
    for block in 0..blocks {
        let rows = block_of::<F>(weights, first, block, tail);
        let words_a = acts.group(block, 0, SA);
        // Within a group words come token by token: those of the second tokens begin behind those of the first.
        let words_b = if SA == A { acts.group(block, A, B) } else { &words_a[A..] };
        head::<F>(rows, &mut scales);
        let (mut fold_a, mut fold_b) = (Fold::<A>::zero(), Fold::<B>::zero());
        for p in 0..4 {
            ahead.fetch(block * 4 + p);
            let w = part::<F>(rows, p);
            for run in 0..16 / registers {
                let k4 = place::<F>(p, run * registers);
                let w = &w[run * registers..][..registers];
                multiply::<F, A, SA>(w, k4, words_a, &scales, &mut fold_a);
                if B > 0 {
                    multiply::<F, B, SB>(w, k4, words_b, &scales, &mut fold_b);
                }
            }
        }
        fold_a.finish::<F, SA>(&scales, words_a, &mut a);
        fold_b.finish::<F, SB>(&scales, words_b, &mut b);
    }
    (a, b)
}

/// One block of weights, whose registers begin at number `k4` in k/4 order.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,f16c")]
#[inline]
fn multiply<const F: usize, const T: usize, const S: usize>(
    w: &[__m512i],
    k4: usize,
    words: &[i32],
    head: &Head,
    fold: &mut Fold<T>,
) {
    let b = k4 / w.len();
    let mut acc: [_; T] = start::<F, T, S>(words, b);
    for (j, &w) in w.iter().enumerate() {
        for (t, acc) in acc.iter_mut().enumerate() {
            *acc = _mm512_dpbusd_epi32(*acc, w, splat(words, (k4 + j) * S + t));
        }
    }
    fold.close::<F, S>(&acc, head.scales[b], words, b);
}
