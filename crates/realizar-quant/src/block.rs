//! Walking a row block by block, and the bit arithmetic that blocks share.

use crate::float::{f16_to_f32, f32_to_f16};

/// Calls `decode` on each block of `B` bytes and its `E` elements.
#[inline]
pub(crate) fn decode_blocks<const B: usize, const E: usize>(
    bytes: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; B], &mut [f32; E]),
) {
    for (block, out) in bytes.as_chunks::<B>().0.iter().zip(out.as_chunks_mut::<E>().0) {
        decode(block, out);
    }
}

/// Calls `encode` on the `E` elements of each block, their importance and the block's `B` bytes.
#[inline]
pub(crate) fn encode_blocks<const E: usize, const B: usize>(
    row: &[f32],
    importance: Option<&[f32]>,
    out: &mut [u8],
    encode: impl Fn(&[f32; E], Option<&[f32]>, &mut [u8; B]),
) {
    for (i, (row, block)) in row.as_chunks::<E>().0.iter().zip(out.as_chunks_mut::<B>().0).enumerate() {
        encode(row, importance.map(|weights| &weights[i * E..][..E]), block);
    }
}

/// Writes `value` as f16 and gives back what was written.
#[inline]
pub(crate) fn write_f16(block: &mut [u8], at: usize, value: f32) -> f32 {
    let bits = f32_to_f16(value);
    block[at..at + 2].copy_from_slice(&bits.to_le_bytes());
    f16_to_f32(bits)
}

/// The largest magnitude of finite numbers, eight at a time.
#[inline]
pub(crate) fn magnitude(x: &[f32]) -> f32 {
    eights(x, 0.0, |largest, x| if largest > x.abs() { largest } else { x.abs() })
}

/// A fold whose order does not matter, over a multiple of eight elements.
#[inline]
pub(crate) fn eights(x: &[f32], start: f32, fold: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; 8];
    for x in x.as_chunks::<8>().0 {
        for (lane, &x) in lanes.iter_mut().zip(x) {
            *lane = fold(*lane, x);
        }
    }
    lanes.into_iter().fold(start, fold)
}

/// Eight bytes of `80` (bit set) or `00` from eight bits; the lowest bit makes the lowest byte.
#[inline]
pub(crate) const fn spread_bits(bits: u8) -> u64 {
    // A copy in each byte, of which byte i keeps bit i alone; then any bit carries into the top one.
    let alone = (bits as u64 * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
    (alone + 0x7f7f_7f7f_7f7f_7f7f) & 0x8080_8080_8080_8080
}

#[cfg(test)]
mod tests {
    #[test]
    fn bits_spread_in_order() {
        for bits in 0..=255u8 {
            let expected = std::array::from_fn(|i| (bits >> i & 1) << 7);
            assert_eq!(super::spread_bits(bits).to_le_bytes(), expected, "{bits:08b}");
        }
    }
}
