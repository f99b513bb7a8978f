//! The formats of few bits: blocks of 32 with minima or a fifth bit, K types of two and three bits.

use super::{Format, Head, Minima, Quad};
use crate::acts::ActKind;
use crate::quads::vector::Vector;

/// See [`super::Q4_0`].
pub(crate) struct Q4_1;
/// See [`super::Q4_0`].
pub(crate) struct Q5_0;
/// See [`super::Q4_0`].
pub(crate) struct Q5_1;
/// See [`super::Q4_0`].
pub(crate) struct Q2K;
/// See [`super::Q4_0`].
pub(crate) struct Q3K;

impl Format for Q4_1 {
    const KIND: ActKind = ActKind::Block32;
    const BYTES: usize = 160;
    const BLOCK: usize = 32;
    const MINS: Minima = Minima::Of32;

    #[inline(always)]
    fn head<V: Vector>(rows: Quad<'_>, out: &mut Head<V>) {
        rows.block_scales(20, out);
        for (b, min) in out.float_mins.iter_mut().enumerate() {
            *min = minus_eighth::<V>(rows, b * 20 + 2);
        }
    }

    #[inline(always)]
    fn part<V: Vector>(rows: Quad<'_>, part: usize, mut put: impl FnMut(usize, V)) {
        let low = V::splat8(15);
        for block in [part * 2, part * 2 + 1] {
            for (j, x) in rows.transpose::<V>(block * 20 + 4).into_iter().enumerate() {
                put(block * 8 + j, x.and(low));
                put(block * 8 + 4 + j, x.shr8(4));
            }
        }
    }
}

impl Format for Q5_0 {
    const KIND: ActKind = ActKind::Block32;
    const BYTES: usize = 176;
    const BLOCK: usize = 32;
    const MINS: Minima = Minima::None;

    #[inline(always)]
    fn head<V: Vector>(rows: Quad<'_>, out: &mut Head<V>) {
        rows.block_scales(22, out);
    }

    #[inline(always)]
    fn part<V: Vector>(rows: Quad<'_>, part: usize, mut put: impl FnMut(usize, V)) {
        let offset = V::splat8(16);
        for block in [part * 2, part * 2 + 1] {
            let [fifth, ..] = rows.transpose::<V>(block * 22 + 2);
            let quants = rows.transpose::<V>(block * 22 + 6);
            five_bits(quants, fifth, |j, x| put(block * 8 + j, x.sub8(offset)));
        }
    }
}

impl Format for Q5_1 {
    const KIND: ActKind = ActKind::Block32;
    const BYTES: usize = 192;
    const BLOCK: usize = 32;
    const MINS: Minima = Minima::Of32;

    #[inline(always)]
    fn head<V: Vector>(rows: Quad<'_>, out: &mut Head<V>) {
        rows.block_scales(24, out);
        for (b, min) in out.float_mins.iter_mut().enumerate() {
            *min = minus_eighth::<V>(rows, b * 24 + 2);
        }
    }

    #[inline(always)]
    fn part<V: Vector>(rows: Quad<'_>, part: usize, mut put: impl FnMut(usize, V)) {
        for block in [part * 2, part * 2 + 1] {
            let [_, fifth, ..] = rows.transpose::<V>(block * 24);
            five_bits(rows.transpose::<V>(block * 24 + 8), fifth, |j, x| put(block * 8 + j, x));
        }
    }
}

/// The f16 at `at` of each row, times -1/8.
#[inline(always)]
fn minus_eighth<V: Vector>(rows: Quad<'_>, at: usize) -> V::Floats {
    V::mul(rows.half::<V>(at), V::splat(-0.125))
}

/// 32 values of 4 lower bits, and the fifth ones: bits `4 j` to `4 j + 3` for dword j.
#[inline(always)]
fn five_bits<V: Vector>(quants: [V; 4], fifth: V, mut put: impl FnMut(usize, V)) {
    let (low, ones, spread) = (V::splat8(15), V::splat8(1), V::splat32(0x0020_4081));
    let fifth = |j: usize| {
        let four = fifth.shr32(4 * j as u32).and(V::splat32(15));
        // A copy of the four bits 7, 14 and 21 bits up has one of them at the end of each byte.
        V::splat32(0).mul_add32(four, spread).and(ones).shl8(4)
    };
    for (j, x) in quants.into_iter().enumerate() {
        put(j, x.and(low).or(fifth(j)));
        put(4 + j, x.shr8(4).or(fifth(4 + j)));
    }
}

impl Format for Q2K {
    const KIND: ActKind = ActKind::Super256;
    const BYTES: usize = 84;
    const BLOCK: usize = 16;
    const MINS: Minima = Minima::Of16;

    #[inline(always)]
    fn head<V: Vector>(rows: Quad<'_>, out: &mut Head<V>) {
        (out.d, out.d_min) = (rows.half::<V>(80), rows.half::<V>(82));
        let low = V::splat8(15);
        for (j, x) in rows.transpose::<V>(0).into_iter().enumerate() {
            out.scales[4 * j..][..4].copy_from_slice(&bytes(x.and(low)));
            out.mins[4 * j..][..4].copy_from_slice(&bytes(x.shr8(4)));
        }
    }

    #[inline(always)]
    fn part<V: Vector>(rows: Quad<'_>, part: usize, mut put: impl FnMut(usize, V)) {
        for four in two_bits::<V>(rows, 16, part) {
            for (place, x) in four {
                put(place, x);
            }
        }
    }
}

impl Format for Q3K {
    const KIND: ActKind = ActKind::Super256;
    const BYTES: usize = 110;
    const BLOCK: usize = 16;
    const MINS: Minima = Minima::None;

    #[inline(always)]
    fn head<V: Vector>(rows: Quad<'_>, out: &mut Head<V>) {
        out.d = rows.half::<V>(108);
        // The twelve bytes of scales begin in the middle of the first dword.
        let t = rows.transpose::<V>(94);
        let dword = |i: usize| t[i].shr32(16).or(t[i + 1].shl32(16));
        let (low, offset) = (V::splat8(15), V::splat8(32));
        for four in 0..4 {
            let lower = dword(four % 2).shr8(four as u32 / 2 * 4).and(low);
            let upper = dword(2).shr8(2 * four as u32).and(V::splat8(3)).shl8(4);
            let signed = lower.or(upper).sub8(offset);
            for (scale, byte) in out.scales[4 * four..][..4].iter_mut().zip(bytes(signed)) {
                *scale = byte.shl32(24).sar32(24);
            }
        }
    }

    #[inline(always)]
    fn part<V: Vector>(rows: Quad<'_>, part: usize, mut put: impl FnMut(usize, V)) {
        let third = rows.transpose::<V>(part % 2 * 16);
        let (one, offset) = (V::splat8(1), V::splat8(4));
        for (third, two) in third.into_iter().zip(two_bits::<V>(rows, 32, part)) {
            for (quarter, (place, x)) in two.into_iter().enumerate() {
                let bit = third.shr8((part / 2 * 4 + quarter) as u32).and(one).shl8(2);
                put(place, x.or(bit).sub8(offset));
            }
        }
    }
}

/// Two bits of each value of a part, and their places: 16 of each of the four quarters of a half, whose 32 bytes begin at `at`
/// in the first; dword by dword of these bytes. (Given back, not handed to a function: that would not be inlined.)
#[inline(always)]
fn two_bits<V: Vector>(rows: Quad<'_>, at: usize, part: usize) -> [[(usize, V); 4]; 4] {
    let (half, x) = (part / 2, part % 2);
    let dwords = rows.transpose::<V>(at + half * 32 + x * 16);
    let mut out = [[(0, V::splat32(0)); 4]; 4];
    for (j, (bits, out)) in dwords.into_iter().zip(&mut out).enumerate() {
        for (quarter, out) in out.iter_mut().enumerate() {
            let two = bits.shr8(2 * quarter as u32).and(V::splat8(3));
            *out = (half * 32 + quarter * 8 + x * 4 + j, two);
        }
    }
    out
}

/// The four bytes of each lane, one to a register.
#[inline(always)]
fn bytes<V: Vector>(x: V) -> [V; 4] {
    let byte = V::splat32(0xff);
    [x.and(byte), x.shr32(8).and(byte), x.shr32(16).and(byte), x.shr32(24)]
}
