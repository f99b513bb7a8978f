//! Activations as the integer kernels read them.
//!
//! Every 256 values of k of one token become one record of `i32` words; the records of up to `group` tokens are
//! interleaved word by word, so that the kernel walks forward through memory with one pointer:
//! `[256-block][token group][word][token]`.
//!
//! | words | [`ActKind::Block32`] | [`ActKind::Super256`] |
//! |---|---|---|
//! | 0..64 | four int8 values each | the same |
//! | 64..72 | -128 x the sum of each 32 | |
//! | 72..80 | -8 x the sum of each 32 | |
//! | 80..88 | f32 scale of each 32 | |
//! | 64..80 | | -32 x the sum of each 16 |
//! | 80..88 | | -16 x the sum of each 32 |
//! | 88..92 | | sums of 32 as i16 pairs (b, b + 2): (0, 2), (1, 3), (4, 6), (5, 7) |
//! | 92 | | f32 scale |
//!
//! Rows that are not whole 256-blocks end in a block padded with zeros.

/// Values of k per record.
pub(crate) const SUPER: usize = 256;

/// Tokens whose sums a kernel keeps at once, at most.
pub(crate) const MOST_SUMS: usize = 258;

/// Where the parts of a record begin, in words.
pub(crate) mod word {
    /// [`super::ActKind::Block32`]: sums of 32 times -128, to take an offset of 128 off all weights of a block.
    pub(crate) const B32_MINUS_128: usize = 64;
    /// [`super::ActKind::Block32`]: sums of 32 times -8.
    pub(crate) const B32_MINUS_8: usize = 72;
    /// [`super::ActKind::Block32`]: scales of 32 values each.
    pub(crate) const B32_SCALE: usize = 80;
    /// [`super::ActKind::Super256`]: sums of 16 times -32.
    pub(crate) const S16_MINUS_32: usize = 64;
    /// [`super::ActKind::Super256`]: sums of 32 times -16.
    pub(crate) const S32_MINUS_16: usize = 80;
    /// [`super::ActKind::Super256`]: pairs of sums of 32.
    pub(crate) const S32_PAIRS: usize = 88;
    /// [`super::ActKind::Super256`]: the scale.
    pub(crate) const S_SCALE: usize = 92;
}

/// How activations are scaled: as the blocks of the weights they meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActKind {
    /// One scale per 32 values, for the types with blocks of 32.
    Block32,
    /// One scale per 256 values, for the types with blocks of 256. It is coarse enough that the product of any 16 values
    /// with weights of magnitude up to 32, which K types have, stays within 16 bits.
    Super256,
}

impl ActKind {
    /// Words of one token's record.
    pub(crate) const fn words(self) -> usize {
        match self {
            Self::Block32 => 88,
            Self::Super256 => 93,
        }
    }
}

/// The quantised activations of some tokens: all of a buffer's, or those that go to one expert.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acts<'a> {
    /// `[256-block][token of the buffer]` records, interleaved by group.
    pub(crate) data: &'a [i32],
    pub(crate) kind: ActKind,
    /// Tokens in the buffer.
    pub(crate) stride: usize,
    /// The first of our tokens in it.
    pub(crate) first: usize,
    /// Number of our tokens.
    pub(crate) tokens: usize,
    /// Tokens per group; the last group may be smaller.
    pub(crate) group: usize,
}

impl<'a> Acts<'a> {
    /// The words of the group of `count` tokens that starts at token `first` of ours, in one 256-block.
    pub(crate) fn group(&self, block: usize, first: usize, count: usize) -> &'a [i32] {
        let words = self.kind.words();
        &self.data[(block * self.stride + self.first + first) * words..][..count * words]
    }
}

/// Cuts `tokens` into groups: first token and number of tokens of each.
pub(crate) fn groups(tokens: usize, group: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..tokens).step_by(group).map(move |first| (first, group.min(tokens - first)))
}

/// The size of equal groups of at most `most` tokens.
pub(crate) fn group_size(tokens: usize, most: usize) -> usize {
    tokens.div_ceil(tokens.div_ceil(most).max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::group_size;

    #[test]
    fn groups_are_even() {
        for (tokens, most, size) in
            [(1, 14, 1), (14, 14, 14), (15, 14, 8), (16, 14, 8), (29, 14, 10), (256, 14, 14), (7, 1, 1)]
        {
            assert_eq!(group_size(tokens, most), size, "{tokens} tokens in groups of at most {most}");
        }
    }
}
