//! Grapheme clusters, found fast where text is ASCII or ideographs.

use unicode_segmentation::UnicodeSegmentation as _;

use super::promised_len;

/// The length of the character at `at` if it is one that joins no other of its kind: ASCII without line ends, ideographs
/// and their punctuation.
#[inline]
fn loner(text: &[u8], at: usize) -> Option<usize> {
    let second =
        |range: std::ops::RangeInclusive<u8>| text.get(at + 1).is_some_and(|byte| range.contains(byte));
    match text.get(at)? {
        b'\r' | b'\n' => None,
        0..=0x7F => Some(1),
        0xE4..=0xE9 => Some(3),
        // U+3001 to U+3020.
        0xE3 if second(0x80..=0x80) && matches!(text.get(at + 2), Some(0x81..=0xA0)) => Some(3),
        // U+FF00 to U+FF7F.
        0xEF if second(0xBC..=0xBD) => Some(3),
        _ => None,
    }
}

/// Calls `emit` with each grapheme cluster of a text.
pub(crate) fn each_grapheme<'t>(text: &'t str, mut emit: impl FnMut(&'t str)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let alone =
            loner(bytes, at).filter(|len| at + len == bytes.len() || loner(bytes, at + len).is_some());
        if let Some(len) = alone {
            emit(text.get(at..at + len).unwrap_or(""));
            at += len;
            continue;
        }
        // Up to where two loners meet.
        let mut end = at;
        while let Some(lead) = bytes.get(end) {
            let len = promised_len(*lead);
            let meet = loner(bytes, end).is_some() && loner(bytes, end + len).is_some();
            end += len;
            if meet {
                break;
            }
        }
        text.get(at..end).unwrap_or("").graphemes(true).for_each(&mut emit);
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARTS: [&str; 16] = [
        "a",
        "b ",
        "\r",
        "\n",
        "\r\n",
        "\u{301}",
        "中",
        "文",
        "、",
        "，",
        "か\u{3099}",
        "🙂",
        "🇫🇷",
        "👩\u{200D}💻",
        "\u{600}",
        "\u{200D}",
    ];

    proptest! {
        #[test]
        fn clusters_are_those_of_the_standard(parts in proptest::collection::vec(0..PARTS.len(), 0..12)) {
            let text: String = parts.into_iter().map(|part| PARTS[part]).collect();
            let mut found = Vec::new();
            each_grapheme(&text, |grapheme| found.push(grapheme));
            prop_assert_eq!(found, text.graphemes(true).collect::<Vec<_>>());
        }
    }
}
