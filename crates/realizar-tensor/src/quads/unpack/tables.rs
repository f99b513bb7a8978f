//! The formats whose four bits choose from a table.

use realizar_quant::{FP4_VALUES, IQ4_VALUES, half_e8m0, half_ue4m3};

use super::{Format, Head, Minima, Quad};
use crate::acts::ActKind;
use crate::quads::vector::Vector;

/// See [`super::Q4_0`].
pub(crate) struct Iq4Nl;
/// See [`super::Q4_0`].
pub(crate) struct Mxfp4;
/// See [`super::Q4_0`].
pub(crate) struct Iq4Xs;
/// See [`super::Q4_0`].
pub(crate) struct Nvfp4;

impl Format for Iq4Nl {
    const KIND: ActKind = ActKind::Block32;
    const BYTES: usize = 144;
    const BLOCK: usize = 32;
    const MINS: Minima = Minima::None;

    #[inline(always)]
    fn head<V: Vector>(rows: Quad<'_>, out: &mut Head<V>) {
        rows.block_scales(18, out);
    }

    #[inline(always)]
    fn part<V: Vector>(rows: Quad<'_>, part: usize, mut put: impl FnMut(usize, V)) {
        for block in [part * 2, part * 2 + 1] {
            chosen(&IQ4_VALUES, rows.transpose(block * 18 + 2), |j, x| put(block * 8 + j, x));
        }
    }
}

impl Format for Mxfp4 {
    const KIND: ActKind = ActKind::Block32;
    const BYTES: usize = 136;
    const BLOCK: usize = 32;
    const MINS: Minima = Minima::None;

    #[inline(always)]
    fn head<V: Vector>(rows: Quad<'_>, out: &mut Head<V>) {
        for (b, scale) in out.floats[..8].iter_mut().enumerate() {
            *scale = rows.byte::<V>(b * 17, half_e8m0);
        }
    }

    #[inline(always)]
    fn part<V: Vector>(rows: Quad<'_>, part: usize, mut put: impl FnMut(usize, V)) {
        for block in [part * 2, part * 2 + 1] {
            chosen(&FP4_VALUES, rows.transpose(block * 17 + 1), |j, x| put(block * 8 + j, x));
        }
    }
}

impl Format for Iq4Xs {
    const KIND: ActKind = ActKind::Super256;
    const BYTES: usize = 136;
    const BLOCK: usize = 32;
    const MINS: Minima = Minima::None;
    const SCALED: bool = true;

    #[inline(always)]
    fn head<V: Vector>(rows: Quad<'_>, out: &mut Head<V>) {
        let [first, low, ..] = rows.transpose::<V>(0);
        let d = first.halves();
        for (b, scale) in out.floats[..8].iter_mut().enumerate() {
            let b = b as u32;
            let low = low.shr32(4 * b).and(V::splat32(15));
            let six = low.or(first.shr32(16 + 2 * b).and(V::splat32(3)).shl32(4));
            *scale = V::mul(six.mul_add32(V::splat32(-32), V::splat32(1)).to_floats(), d);
        }
    }

    #[inline(always)]
    fn part<V: Vector>(rows: Quad<'_>, part: usize, mut put: impl FnMut(usize, V)) {
        for block in [part * 2, part * 2 + 1] {
            chosen(&IQ4_VALUES, rows.transpose(8 + block * 16), |j, x| put(block * 8 + j, x));
        }
    }
}

impl Format for Nvfp4 {
    const KIND: ActKind = ActKind::Super256;
    const BYTES: usize = 144;
    const BLOCK: usize = 16;
    const MINS: Minima = Minima::None;
    const SCALED: bool = true;

    #[inline(always)]
    fn head<V: Vector>(rows: Quad<'_>, out: &mut Head<V>) {
        for (b, scale) in out.floats.iter_mut().enumerate() {
            *scale = rows.byte::<V>(b / 4 * 36 + b % 4, half_ue4m3);
        }
    }

    #[inline(always)]
    fn part<V: Vector>(rows: Quad<'_>, part: usize, mut put: impl FnMut(usize, V)) {
        // Eight bytes hold sixteen values: the low halves are the first eight.
        for two in 0..2 {
            chosen(&FP4_VALUES, rows.transpose(part * 36 + 4 + two * 16), |j, x| {
                let (upper, j) = (j / 4, j % 4);
                put(part * 16 + two * 8 + j / 2 * 4 + j % 2 + upper * 2, x);
            });
        }
    }
}

/// Sixteen bytes of two indices: dwords of low halves are numbers 0 to 3, of high ones 4 to 7.
#[inline(always)]
fn chosen<V: Vector>(table: &[i8; 16], quants: [V; 4], mut put: impl FnMut(usize, V)) {
    let low = V::splat8(15);
    for (j, x) in quants.into_iter().enumerate() {
        put(j, x.and(low).lookup(table));
        put(4 + j, x.shr8(4).lookup(table));
    }
}
