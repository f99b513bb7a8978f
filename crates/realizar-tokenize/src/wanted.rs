//! What a call of `encode` asks for.

use std::ops::Range;

use crate::{EncodeOptions, TokenizeError};

/// Options, and the stretches of the text in which no token is looked for that must be asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) add_special: bool,
    parse_special: bool,
    /// In order, apart, and inside the text.
    plain: &'a [Range<usize>],
}

impl<'a> Wanted<'a> {
    pub(crate) fn new(options: EncodeOptions) -> Self {
        Self { add_special: options.add_special, parse_special: options.parse_special, plain: &[] }
    }

    /// With stretches of a text that has `len` bytes.
    pub(crate) fn guarded(
        options: EncodeOptions,
        plain: &'a [Range<usize>],
        len: usize,
    ) -> Result<Self, TokenizeError> {
        let mut done = 0;
        for (index, range) in plain.iter().enumerate() {
            if range.start < done || range.end < range.start || range.end > len {
                return Err(TokenizeError::BadRange { index, start: range.start, end: range.end });
            }
            done = range.end;
        }
        Ok(Self { plain, ..Self::new(options) })
    }

    /// The same for other stretches.
    #[cfg(feature = "hf")]
    pub(crate) fn with_plain(self, plain: &'a [Range<usize>]) -> Self {
        Self { plain, ..self }
    }

    #[cfg(feature = "hf")]
    pub(crate) fn plain(self) -> &'a [Range<usize>] {
        self.plain
    }

    /// Whether tokens that must be asked for are looked for anywhere.
    #[inline]
    pub(crate) fn looks_for_special(self) -> bool {
        self.parse_special
    }

    /// Whether the answer depends on the place.
    #[inline]
    pub(crate) fn is_guarded(self) -> bool {
        self.parse_special && !self.plain.is_empty()
    }

    /// Whether a token that must be asked for is looked for at `start..end`.
    #[inline]
    pub(crate) fn looks_for_special_at(self, start: usize, end: usize) -> bool {
        let after = self.plain.partition_point(|range| range.end <= start);
        let mut near = self.plain.iter().skip(after).take_while(|range| range.start < end);
        self.parse_special && !near.any(|range| !range.is_empty())
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one")]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_in_order_and_inside() {
        let options = EncodeOptions { add_special: false, parse_special: true };
        let guarded = |plain: &[Range<usize>]| Wanted::guarded(options, plain, 9).map(|_| ());
        for good in [&[][..], &[0..9], &[0..0, 0..1, 1..1, 1..9, 9..9]] {
            assert_eq!(guarded(good), Ok(()), "{good:?}");
        }
        #[expect(clippy::reversed_empty_ranges, reason = "one that is refused")]
        for bad in [&[0..10][..], &[4..3], &[4..5, 3..6], &[10..10]] {
            let index = bad.len() - 1;
            let (start, end) = (bad[index].start, bad[index].end);
            assert_eq!(guarded(bad), Err(TokenizeError::BadRange { index, start, end }), "{bad:?}");
        }
        let plain = [2..4, 5..5, 6..8];
        let wanted = Wanted::guarded(options, &plain, 9).unwrap();
        for (start, end, looked_for) in [
            (0, 2, true),
            (0, 3, false),
            (3, 4, false),
            (4, 6, true),
            (5, 6, true),
            (1, 9, false),
            (8, 9, true),
        ] {
            assert_eq!(wanted.looks_for_special_at(start, end), looked_for, "{start}..{end}");
        }
    }
}
