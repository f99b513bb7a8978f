//! How a panel of eight rows meets tokens: by the machine's dot products of signed bytes, where it has them.

use super::unpack::{Format, Head, ROWS};
#[cfg(any(test, target_arch = "aarch64", target_arch = "wasm32"))]
use super::vector::Dots;
use super::vector::Vector;
#[cfg(any(test, target_arch = "aarch64", target_arch = "wasm32"))]
use crate::acts::{ActKind, word};
#[cfg(any(test, target_arch = "aarch64", target_arch = "wasm32"))]
use crate::scalar::formats::Minima;

/// What a machine does with weights of one format that are unpacked.
pub(crate) trait Meet<F: Format>: Vector {
    /// 256 values of eight rows, as they are multiplied.
    type Panel;
    /// Scales and minima of as many: of one register of rows after the other.
    type Heads: AsMut<[Head<Self>]>;

    /// A panel to be overwritten.
    fn panel() -> Self::Panel;
    /// Scales and minima to be overwritten.
    fn heads() -> Self::Heads;
    /// Signed bytes of register `quad` of the rows become number `place` in k/4 order.
    fn put(panel: &mut Self::Panel, place: usize, quad: usize, bytes: Self);
    /// Asks memory for so many bytes, which need not be there; only where nothing else foresees them.
    #[inline(always)]
    fn fetch(_: *const u8, _: usize) {}
    /// Scales and minima as the machine likes them.
    #[inline(always)]
    fn prepare(_: &mut Head<Self>) {}
    /// Adds the products of 256 values of eight rows with `T` tokens to their sums.
    fn meet<const T: usize>(
        panel: &Self::Panel,
        heads: &Self::Heads,
        words: &[i32],
        sums: &mut [[f32; ROWS]],
    );
}

/// Registers of four rows that advance together.
#[cfg(any(test, target_arch = "aarch64", target_arch = "wasm32"))]
const QUADS: usize = 2;

#[cfg(any(test, target_arch = "aarch64", target_arch = "wasm32"))]
impl<V: Dots, F: Format> Meet<F> for V {
    type Panel = [[V::Bytes; QUADS]; 64];
    type Heads = [Head<V>; QUADS];

    #[inline(always)]
    fn panel() -> Self::Panel {
        [[V::splat32(0).bytes(); QUADS]; 64]
    }

    #[inline(always)]
    fn heads() -> Self::Heads {
        [Head::zero(); QUADS]
    }

    #[inline(always)]
    fn put(panel: &mut Self::Panel, place: usize, quad: usize, bytes: Self) {
        panel[place][quad] = bytes.bytes();
    }

    #[inline(always)]
    fn meet<const T: usize>(
        panel: &Self::Panel,
        heads: &Self::Heads,
        words: &[i32],
        sums: &mut [[f32; ROWS]],
    ) {
        by_dots::<V, F, T>(panel, heads, words, sums);
    }
}

/// Adds the products of 256 values of eight rows with `T` tokens to their sums.
#[cfg(any(test, target_arch = "aarch64", target_arch = "wasm32"))]
#[inline(always)]
fn by_dots<V: Dots, F: Format, const T: usize>(
    panel: &[[V::Bytes; QUADS]; 64],
    heads: &[Head<V>; QUADS],
    words: &[i32],
    sums: &mut [[f32; ROWS]],
) {
    let (words, sums) = (&words.as_chunks::<T>().0[..F::KIND.words()], &mut sums[..T]);
    let mut floats = [[V::splat(0.0); T]; QUADS];
    let mut whole = [[V::splat32(0); T]; QUADS];
    for (b, panel) in panel.chunks_exact(F::BLOCK / 4).enumerate() {
        let mut acc = [[V::no_sums(); T]; QUADS];
        for (weights, tokens) in panel.iter().zip(&words[b * F::BLOCK / 4..]) {
            for t in 0..T {
                let token = V::token(tokens[t]);
                for q in 0..QUADS {
                    acc[q][t] = V::dot(acc[q][t], weights[q], token);
                }
            }
        }
        for q in 0..QUADS {
            for t in 0..T {
                let sum = V::total(acc[q][t]);
                match F::KIND {
                    ActKind::Super256 if F::SCALED => {
                        floats[q][t] = V::mul_add(sum.to_floats(), heads[q].floats[b], floats[q][t]);
                    }
                    ActKind::Super256 => whole[q][t] = whole[q][t].mul_add32(sum, heads[q].scales[b]),
                    ActKind::Block32 => {
                        let scale = V::splat(float(words[word::B32_SCALE + b][t]));
                        let scale = V::mul(heads[q].floats[b], scale);
                        floats[q][t] = V::mul_add(sum.to_floats(), scale, floats[q][t]);
                    }
                }
            }
        }
    }
    for t in 0..T {
        for q in 0..QUADS {
            let Some(out) = sums[t][q * 4..].first_chunk_mut() else { return };
            let before = V::load_floats(out);
            let after = match F::KIND {
                ActKind::Block32 => {
                    let mut value = floats[q][t];
                    if F::MINS != Minima::None {
                        for b in 0..8 {
                            let eighths = V::splat32(words[word::B32_MINUS_8 + b][t]).to_floats();
                            let scale = V::splat(float(words[word::B32_SCALE + b][t]));
                            value = V::mul_add(eighths, V::mul(heads[q].float_mins[b], scale), value);
                        }
                    }
                    V::add(before, value)
                }
                ActKind::Super256 if F::SCALED => {
                    V::mul_add(floats[q][t], V::splat(float(words[word::S_SCALE][t])), before)
                }
                ActKind::Super256 => {
                    let mut value = V::mul(whole[q][t].to_floats(), heads[q].d);
                    if F::MINS != Minima::None {
                        let mut mins = V::splat32(0);
                        // The record has the sums of 32 times -16, and those of 16 times -32.
                        let (count, first, shift) = match F::MINS {
                            Minima::Of16 => (16, word::S16_MINUS_32, 5),
                            _ => (8, word::S32_MINUS_16, 4),
                        };
                        for b in 0..count {
                            let sum = -(words[first + b][t] >> shift);
                            mins = mins.mul_add32(V::splat32(sum), heads[q].mins[b]);
                        }
                        value = V::mul_sub(mins.to_floats(), heads[q].d_min, value);
                    }
                    V::mul_add(value, V::splat(float(words[word::S_SCALE][t])), before)
                }
            };
            V::store_floats(after, out);
        }
    }
}

#[cfg(any(test, target_arch = "aarch64", target_arch = "wasm32"))]
#[inline(always)]
fn float(word: i32) -> f32 {
    f32::from_bits(word as u32)
}
