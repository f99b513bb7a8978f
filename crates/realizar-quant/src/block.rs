//! Walking a row block by block.

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
