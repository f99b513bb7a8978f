//! Walking a row block by block, and the bit arithmetic that blocks share.

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
