//! Blocks of eight rows as signed bytes, scales and minima: all that is particular to a format.
//!
//! The four parts of 64 values of a 256-block are unpacked one by one, each into sixteen registers of four bytes of four
//! rows. The bytes are signed: offsets are taken off here.

mod low;
mod tables;

pub(crate) use self::low::{Q2K, Q3K, Q4_1, Q5_0, Q5_1};
pub(crate) use self::tables::{Iq4Nl, Iq4Xs, Mxfp4, Nvfp4};
use super::vector::Vector;
use crate::acts::ActKind;
use crate::scalar::formats::Minima;

/// Rows that advance together.
pub(crate) const ROWS: usize = 8;

/// Scales and minima of 256 values, with a lane per row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<V: Vector> {
    /// Scales of blocks of 32 or 16, as floats.
    pub(crate) floats: [V::Floats; 16],
    /// Minima of blocks of 32 with such scales, times -1/8.
    pub(crate) float_mins: [V::Floats; 8],
    /// Scales of blocks of 32 or 16, as integers.
    pub(crate) scales: [V; 16],
    /// Minima of blocks of 32 or 16, as integers.
    pub(crate) mins: [V; 16],
    pub(crate) d: V::Floats,
    pub(crate) d_min: V::Floats,
}

impl<V: Vector> Head<V> {
    #[inline(always)]
    pub(crate) fn zero() -> Self {
        let (none, zero) = (V::splat32(0), V::splat(0.0));
        Self {
            floats: [zero; 16],
            float_mins: [zero; 8],
            scales: [none; 16],
            mins: [none; 16],
            d: zero,
            d_min: zero,
        }
    }
}

/// The 256-blocks of the rows that are the lanes of a register; with lanes for four rows, the other four are empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quad<'a>([&'a [u8]; ROWS]);

impl<'a> Quad<'a> {
    /// Row after row of `bytes`, `stride` apart: blocks of `F`. What is cut here to a length that the compiler knows needs no
    /// check further on.
    #[inline(always)]
    pub(super) fn new<V: Vector, F: Format>(bytes: &'a [u8], stride: usize) -> Self {
        let mut rows: [&[u8]; ROWS] = [&[]; ROWS];
        for (row, out) in rows[..V::ROWS].iter_mut().enumerate() {
            *out = &bytes[row * stride..][..F::BYTES];
        }
        Self(rows)
    }

    /// 16 bytes at `at` of each row: register j holds dword j of every row.
    #[inline(always)]
    fn transpose<V: Vector>(self, at: usize) -> [V; 4] {
        let row = |row: usize| -> &[u8; 16] { self.0[row][at..].first_chunk().unwrap_or(&[0; 16]) };
        V::transpose([V::load(row, 0), V::load(row, 1), V::load(row, 2), V::load(row, 3)])
    }

    /// The f16 at `at` of each row.
    #[inline(always)]
    fn half<V: Vector>(self, at: usize) -> V::Floats {
        // Two bytes at once: of single ones, the compiler makes vectors of bytes first.
        V::half_of(|row| u16::from_le_bytes(*self.0[row][at..].first_chunk().unwrap_or(&[0; 2])))
    }

    /// What the byte at `at` of each row stands for.
    #[inline(always)]
    fn byte<V: Vector>(self, at: usize, value: impl Fn(u8) -> f32) -> V::Floats {
        V::float_of(|row| value(self.0[row][at]))
    }

    /// The f16 at the head of each of eight blocks of `step` bytes.
    #[inline(always)]
    fn block_scales<V: Vector>(self, step: usize, out: &mut Head<V>) {
        for (b, scale) in out.floats[..8].iter_mut().enumerate() {
            *scale = self.half::<V>(b * step);
        }
    }
}

/// A format with an integer product.
pub(crate) trait Format {
    /// How its activations are scaled.
    const KIND: ActKind;
    /// Bytes of 256 values of a row.
    const BYTES: usize;
    /// Values per scale: 32 or 16.
    const BLOCK: usize;
    /// Which blocks have minima.
    const MINS: Minima;
    /// Whether blocks of a type of 256 have float scales.
    const SCALED: bool = false;
    /// Scales and minima of a 256-block.
    fn head<V: Vector>(rows: Quad<'_>, out: &mut Head<V>);
    /// The bytes of part `part` of a 256-block, and where in k/4 order each belongs.
    fn part<V: Vector>(rows: Quad<'_>, part: usize, put: impl FnMut(usize, V));
}

/// See [`crate::scalar::formats`] for the layouts.
pub(crate) struct Q4_0;
/// See [`Q4_0`].
pub(crate) struct Q8_0;
/// See [`Q4_0`].
pub(crate) struct Q4K;
/// See [`Q4_0`].
pub(crate) struct Q5K;
/// See [`Q4_0`].
pub(crate) struct Q6K;

impl Format for Q4_0 {
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
        let (low, eight) = (V::splat8(15), V::splat8(8));
        for block in [part * 2, part * 2 + 1] {
            for (j, x) in rows.transpose::<V>(block * 18 + 2).into_iter().enumerate() {
                put(block * 8 + j, x.and(low).sub8(eight));
                put(block * 8 + 4 + j, x.shr8(4).sub8(eight));
            }
        }
    }
}

impl Format for Q8_0 {
    const KIND: ActKind = ActKind::Block32;
    const BYTES: usize = 272;
    const BLOCK: usize = 32;
    const MINS: Minima = Minima::None;

    #[inline(always)]
    fn head<V: Vector>(rows: Quad<'_>, out: &mut Head<V>) {
        rows.block_scales(34, out);
    }

    #[inline(always)]
    fn part<V: Vector>(rows: Quad<'_>, part: usize, mut put: impl FnMut(usize, V)) {
        for i in 0..4 {
            let at = (part * 2 + i / 2) * 34 + 2 + i % 2 * 16;
            for (j, x) in rows.transpose::<V>(at).into_iter().enumerate() {
                put(part * 16 + i * 4 + j, x);
            }
        }
    }
}

impl Format for Q4K {
    const KIND: ActKind = ActKind::Super256;
    const BYTES: usize = 144;
    const BLOCK: usize = 32;
    const MINS: Minima = Minima::Of32;

    #[inline(always)]
    fn head<V: Vector>(rows: Quad<'_>, out: &mut Head<V>) {
        head_with_mins(rows, out);
    }

    #[inline(always)]
    fn part<V: Vector>(rows: Quad<'_>, part: usize, mut put: impl FnMut(usize, V)) {
        let low = V::splat8(15);
        for x in 0..2 {
            for (j, q) in rows.transpose::<V>(16 + part * 32 + x * 16).into_iter().enumerate() {
                put(part * 16 + x * 4 + j, q.and(low));
                put(part * 16 + 8 + x * 4 + j, q.shr8(4));
            }
        }
    }
}

impl Format for Q5K {
    const KIND: ActKind = ActKind::Super256;
    const BYTES: usize = 176;
    const BLOCK: usize = 32;
    const MINS: Minima = Minima::Of32;

    #[inline(always)]
    fn head<V: Vector>(rows: Quad<'_>, out: &mut Head<V>) {
        head_with_mins(rows, out);
    }

    #[inline(always)]
    fn part<V: Vector>(rows: Quad<'_>, part: usize, mut put: impl FnMut(usize, V)) {
        let (low, one) = (V::splat8(15), V::splat8(1));
        for x in 0..2 {
            let high = rows.transpose::<V>(16 + x * 16);
            for (j, q) in rows.transpose::<V>(48 + part * 32 + x * 16).into_iter().enumerate() {
                // Bits 2 part and 2 part + 1 become bit 4.
                let fifth = |bit: u32| high[j].shr8(2 * part as u32 + bit).and(one).shl8(4);
                put(part * 16 + x * 4 + j, q.and(low).or(fifth(0)));
                put(part * 16 + 8 + x * 4 + j, q.shr8(4).or(fifth(1)));
            }
        }
    }
}

impl Format for Q6K {
    const KIND: ActKind = ActKind::Super256;
    const BYTES: usize = 210;
    const BLOCK: usize = 16;
    const MINS: Minima = Minima::None;

    #[inline(always)]
    fn head<V: Vector>(rows: Quad<'_>, out: &mut Head<V>) {
        out.d = rows.half::<V>(208);
        for (four, x) in out.scales.as_chunks_mut::<4>().0.iter_mut().zip(rows.transpose::<V>(192)) {
            *four = [x.shl32(24).sar32(24), x.shl32(16).sar32(24), x.shl32(8).sar32(24), x.sar32(24)];
        }
    }

    #[inline(always)]
    fn part<V: Vector>(rows: Quad<'_>, part: usize, mut put: impl FnMut(usize, V)) {
        // Halves of 128; a part has 16 of each of a half's four blocks of 32.
        let (half, x) = (part / 2, part % 2);
        let a = rows.transpose::<V>(half * 64 + x * 16);
        let b = rows.transpose::<V>(half * 64 + 32 + x * 16);
        let high = rows.transpose::<V>(128 + half * 32 + x * 16);
        let (low, bits, offset) = (V::splat8(15), V::splat8(48), V::splat8(32));
        for j in 0..4 {
            let mut put = |block: usize, four: V, two: V| {
                put(half * 32 + block * 8 + x * 4 + j, four.or(two.and(bits)).sub8(offset));
            };
            put(0, a[j].and(low), high[j].shl8(4));
            put(1, b[j].and(low), high[j].shl8(2));
            put(2, a[j].shr8(4), high[j]);
            put(3, b[j].shr8(4), high[j].shr8(2));
        }
    }
}

/// f16 d, f16 dmin and 12 bytes of 6-bit scales and minima.
#[inline(always)]
fn head_with_mins<V: Vector>(rows: Quad<'_>, out: &mut Head<V>) {
    let [d, a, b, c] = rows.transpose::<V>(0);
    out.d = d.halves();
    out.d_min = d.shr32(16).halves();
    let (low, six, byte) = (V::splat8(15), V::splat8(63), V::splat32(0xff));
    let two = |x: V| x.shr8(6).shl8(4);
    let scales = [a.and(six), c.and(low).or(two(a))];
    let mins = [b.and(six), c.shr8(4).or(two(b))];
    for block in 0..8 {
        let of = |fours: [V; 2]| fours[block / 4].shr32(8 * (block as u32 % 4)).and(byte);
        out.scales[block] = of(scales);
        out.mins[block] = of(mins);
    }
}
