//! Grapheme clusters, found fast where text is ASCII or ideographs.

use unicode_segmentation::UnicodeSegmentation as _;

use super::promised_len;

/// The length of the character at `at` if it is one that joins no other of its kind: ASCII without line ends, ideographs
/// and their punctuation, pictures that change no other.
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
        // U+1F300 to U+1F3BF, U+1F400 to U+1F6FF, U+1F900 to U+1F9FF.
        0xF0 if second(0x9F..=0x9F)
            && matches!(text.get(at + 2), Some(0x8C..=0x8E | 0x90..=0x9B | 0xA4..=0xA7)) =>
        {
            Some(4)
        }
        _ => None,
    }
}

/// The end of the run of clusters of one loner each, all of which are `steady`, that begins at `start`.
#[inline]
fn loners(text: &[u8], start: usize, steady: impl Fn(&[u8], usize) -> bool) -> usize {
    let mut at = start;
    let mut len = loner(text, at);
    while let Some(this) = len {
        len = loner(text, at + this);
        if (len.is_none() && at + this < text.len()) || !steady(text, at) {
            break;
        }
        at += this;
    }
    at
}

/// Calls `emit` with each grapheme cluster of a text. Clusters of one character that are `steady` (it is given the text and
/// their place) come together with their neighbours of that kind.
pub(crate) fn each_grapheme<'t>(
    text: &'t str,
    steady: impl Fn(&[u8], usize) -> bool,
    mut emit: impl FnMut(&'t str, Cluster),
) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let run = loners(bytes, at, &steady);
        if run > at {
            emit(text.get(at..run).unwrap_or(""), Cluster::Steady);
            at = run;
            continue;
        }
        let alone =
            loner(bytes, at).filter(|len| at + len == bytes.len() || loner(bytes, at + len).is_some());
        if let Some(len) = alone {
            emit(text.get(at..at + len).unwrap_or(""), Cluster::Any);
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
        text.get(at..end).unwrap_or("").graphemes(true).for_each(|grapheme| emit(grapheme, Cluster::Any));
        at = end;
    }
}

/// What comes out of [`each_grapheme`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cluster {
    /// A run of clusters that are steady.
    Steady,
    /// One cluster.
    Any,
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
            each_grapheme(&text, |_, _| false, |grapheme, _| found.push(grapheme));
            prop_assert_eq!(&found, &text.graphemes(true).collect::<Vec<_>>());
            let (mut apart, mut together) = (Vec::new(), String::new());
            let steady = |text: &[u8], at: usize| text[at] != b'b';
            each_grapheme(&text, steady, |part, cluster| {
                together.push_str(part);
                match cluster {
                    Cluster::Steady => apart.extend(part.chars().map(String::from)),
                    Cluster::Any => apart.push(part.to_owned()),
                }
            });
            prop_assert_eq!(&apart, &found);
            prop_assert_eq!(together, text);
        }
    }
}
