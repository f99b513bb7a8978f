//! Code points and what Unicode says about them.
//!
//! Texts inside this crate are *generalised UTF-8*: UTF-8, except that a lone surrogate may appear as its three
//! bytes. [`sanitize`] makes any byte string so; everything behind it may rely on it, though nothing breaks if
//! it is not so.

mod generated_bert;
mod generated_categories;
mod generated_scripts;
mod graphemes;
pub(crate) mod normal;

use std::borrow::Cow;
use std::sync::OnceLock;

use crate::{Compat, TokenizeError};

pub(crate) use generated_scripts::SCRIPT_NAMES;
pub(crate) use graphemes::{Cluster, each_grapheme};

/// General categories as bit numbers, in the order of [`CATEGORY_NAMES`].
pub(crate) const CATEGORY_NAMES: [&str; 30] = [
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf",
    "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn",
];
/// A category of our own: U+0085, the one control character outside ASCII that is white space.
pub(crate) const NEXT_LINE: u8 = 30;

pub(crate) const LETTER: u32 = 0b1_1111;
pub(crate) const MARK: u32 = 0b111 << 5;
pub(crate) const NUMBER: u32 = 0b111 << 8;
pub(crate) const DECIMAL: u32 = 1 << 8;
pub(crate) const PUNCTUATION: u32 = 0b111_1111 << 11;
pub(crate) const CONNECTOR: u32 = 1 << 11;
pub(crate) const SYMBOL: u32 = 0b1111 << 18;
/// White space outside ASCII.
pub(crate) const WIDE_SPACE: u32 = (0b111 << 22) | (1 << NEXT_LINE);
pub(crate) const CONTROL: u32 = (1 << 25) | (1 << NEXT_LINE);
/// What llama.cpp drops from BERT's texts: Cc, Cf, Cs and Co.
pub(crate) const LLAMA_CONTROL: u32 = CONTROL | (0b111 << 26);
pub(crate) const SPACE_SEPARATOR: u32 = 1 << 22;
pub(crate) const SURROGATE: u32 = 1 << 27;
pub(crate) const UNASSIGNED: u32 = 1 << 29;
pub(crate) const ALL: u32 = (1 << 31) - 1;

const FLAT: usize = 0x2_0000;

fn flat() -> &'static [u8] {
    static TABLE: OnceLock<Box<[u8]>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = vec![29u8; FLAT];
        let ranges = generated_categories::CATEGORY_RANGES;
        for (index, &(start, category)) in ranges.iter().enumerate() {
            let end = ranges.get(index + 1).map_or(FLAT, |next| (next.0 as usize).min(FLAT));
            if let Some(slice) = table.get_mut(start as usize..end) {
                slice.fill(category);
            }
        }
        if let Some(next_line) = table.get_mut(0x85) {
            *next_line = NEXT_LINE;
        }
        table.into_boxed_slice()
    })
}

/// The category's bit number of any code point, surrogates included.
#[inline]
pub(crate) fn category(code: u32) -> u8 {
    if let Some(&category) = flat().get(code as usize) {
        return category;
    }
    let ranges = generated_categories::CATEGORY_RANGES;
    let after = ranges.partition_point(|&(start, _)| start <= code);
    ranges.get(after.wrapping_sub(1)).map_or(29, |&(_, category)| category)
}

/// Whether the code point's category is in `mask`.
#[inline]
pub(crate) fn is(code: u32, mask: u32) -> bool {
    mask >> category(code) & 1 == 1
}

/// Unicode's `White_Space` property.
#[inline]
pub(crate) fn is_space(code: u32) -> bool {
    if code < 0x80 { matches!(code, 9..=13 | 32) } else { is(code, WIDE_SPACE) }
}

/// Index into [`SCRIPT_NAMES`].
pub(crate) fn script(code: u32) -> u8 {
    let ranges = generated_scripts::SCRIPT_RANGES;
    let after = ranges.partition_point(|&(start, _)| start <= code);
    ranges.get(after.wrapping_sub(1)).map_or(0, |&(_, script)| script)
}

/// The ideographs that BERT sets apart. (The range from U+2B920 is the published tokenizer's own.)
pub(crate) fn is_bert_ideograph(code: u32) -> bool {
    matches!(code, 0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x2_0000..=0x2_A6DF | 0x2_A700..=0x2_B73F
        | 0x2_B740..=0x2_B81F | 0x2_B920..=0x2_CEAF | 0xF900..=0xFAFF | 0x2_F800..=0x2_FA1F)
}

/// Whether BERT's tokenizers take a character for punctuation, a nonspacing mark, or something to drop.
pub(crate) fn bert_class(code: u32, class: BertClass) -> bool {
    let (table, ascii) = match class {
        BertClass::Punctuation => (generated_bert::PUNCTUATION, PUNCTUATION | SYMBOL),
        BertClass::Nonspacing => (generated_bert::NONSPACING, 0),
        BertClass::Control => (generated_bert::CONTROL, CONTROL),
    };
    if code < 0x80 {
        return is(code, ascii);
    }
    let after = table.partition_point(|range| range.0 <= code);
    after.checked_sub(1).and_then(|at| table.get(at)).is_some_and(|range| code <= range.1)
}

/// Classes of [`bert_class`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BertClass {
    Punctuation,
    Nonspacing,
    Control,
}

/// Bytes of the code point whose first byte is `lead`, as the lead byte promises them.
#[inline]
pub(crate) fn promised_len(lead: u8) -> usize {
    match lead {
        0..=0xBF => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        _ => 4,
    }
}

/// The code point at `pos` of generalised UTF-8 and its length; U+FFFD and 1 where there is none.
#[inline]
pub(crate) fn decode(text: &[u8], pos: usize) -> (u32, usize) {
    let Some(&[a, ref rest @ ..]) = text.get(pos..) else { return (0xFFFD, 1) };
    let a = u32::from(a);
    let low = |byte: u8| u32::from(byte & 0x3F);
    match (a, rest) {
        (0..=0x7F, _) => (a, 1),
        (0xC0..=0xDF, &[b, ..]) => ((a & 0x1F) << 6 | low(b), 2),
        (0xE0..=0xEF, &[b, c, ..]) => ((a & 0xF) << 12 | low(b) << 6 | low(c), 3),
        (0xF0..=0xF7, &[b, c, d, ..]) => ((a & 7) << 18 | low(b) << 12 | low(c) << 6 | low(d), 4),
        _ => (0xFFFD, 1),
    }
}

/// Where the character that ends before `pos` begins.
#[inline]
pub(crate) fn step_back(text: &[u8], pos: usize) -> usize {
    let mut at = pos.saturating_sub(1);
    while at > 0 && text.get(at).is_some_and(|byte| byte & 0xC0 == 0x80) {
        at -= 1;
    }
    at
}

/// Start offsets and code points of generalised UTF-8.
pub(crate) fn codes(text: &[u8]) -> impl Iterator<Item = (usize, u32)> + '_ {
    let mut pos = 0;
    std::iter::from_fn(move || {
        if pos >= text.len() {
            return None;
        }
        let (code, len) = decode(text, pos);
        let at = pos;
        pos += len;
        Some((at, code))
    })
}

/// Appends a code point, a surrogate too.
pub(crate) fn push_code(out: &mut Vec<u8>, code: u32) {
    match char::from_u32(code) {
        Some(char) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.extend_from_slice(&[
            0xE0 | (code >> 12 & 0xF) as u8,
            0x80 | (code >> 6 & 0x3F) as u8,
            0x80 | (code & 0x3F) as u8,
        ]),
    }
}

/// A strict step over possibly invalid bytes: the number that a well-formed sequence of 1 to 4 bytes holds
/// (overlong forms and surrogates included), or `None` where the byte cannot begin one.
pub(crate) fn decode_lenient(text: &[u8], pos: usize) -> Option<(u32, usize)> {
    let lead = *text.get(pos)?;
    let len = match lead {
        0..=0x7F => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => return None,
    };
    let sequence = text.get(pos..pos + len)?;
    sequence.iter().skip(1).all(|byte| byte & 0xC0 == 0x80).then(|| decode(sequence, 0))
}

/// Text as llama.cpp reads it: every byte that begins no sequence becomes U+FFFD, overlong forms become the
/// character that they encode. A number above U+10FFFF, of which llama.cpp throws, is no sequence to the original. `source[i]`
/// is where byte `i` of the result came from, kept where asked for.
pub(crate) fn sanitize<'a>(
    text: &'a [u8],
    compat: Compat,
    source: Option<&mut Vec<(u32, u32)>>,
) -> Result<Cow<'a, [u8]>, TokenizeError> {
    if std::str::from_utf8(text).is_ok() {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    let mut spans = Vec::new();
    let mut pos = 0;
    while pos < text.len() {
        let (code, len) = match decode_lenient(text, pos) {
            Some((code, _)) if code > 0x10_FFFF && compat == Compat::LlamaCpp => {
                return Err(TokenizeError::NotACodePoint { offset: pos });
            }
            Some((code, len)) if code <= 0x10_FFFF => (code, len),
            _ => (0xFFFD, 1),
        };
        push_code(&mut out, code);
        if source.is_some() {
            spans.resize(out.len(), (pos as u32, (pos + len) as u32));
        }
        pos += len;
    }
    if let Some(source) = source {
        *source = spans;
    }
    Ok(Cow::Owned(out))
}

/// Lower case, one code point for one, as llama.cpp has it.
pub(crate) fn simple_lower(code: u32) -> u32 {
    let Some(char) = char::from_u32(code) else { return code };
    let mut lower = char.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one as u32,
        // The only character whose lower case is two: U+0130.
        (Some(first), Some(_)) => first as u32,
        _ => code,
    }
}

/// Appends the lower case, which may be several characters.
pub(crate) fn push_lower(code: u32, out: &mut Vec<u8>) {
    match char::from_u32(code) {
        Some(char) => char.to_lowercase().for_each(|char| push_code(out, char as u32)),
        None => push_code(out, code),
    }
}

/// The first character of the canonical decomposition.
pub(crate) fn base_of(code: u32) -> u32 {
    if code < 0x80 {
        return code;
    }
    let mut first = None;
    if let Some(char) = char::from_u32(code) {
        unicode_normalization_alignments::char::decompose_canonical(char, |part| {
            first.get_or_insert(part as u32);
        });
    }
    first.unwrap_or(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_characters_have_their_category() {
        for (name, code, expected) in [
            ("A", 0x41, "Lu"),
            ("han", 0x4E2D, "Lo"),
            ("plane 2", 0x2_0000, "Lo"),
            ("combining acute", 0x301, "Mn"),
            ("surrogate", 0xD800, "Cs"),
            ("private", 0xF_0000, "Co"),
            ("unassigned", 0xE_0080, "Cn"),
            ("beyond", 0x11_0000, "Cn"),
            ("arabic digit", 0x661, "Nd"),
        ] {
            let found = CATEGORY_NAMES.get(category(code) as usize);
            assert_eq!(found, Some(&expected), "{name}");
        }
        assert_eq!(category(0x85), NEXT_LINE);
        assert!(is_space(0x85) && is_space(0x3000) && is_space(9) && !is_space(0x200B));
    }

    #[test]
    fn sanitising_reads_invalid_bytes_as_llama_cpp_does() {
        for (name, bytes, expected) in [
            ("valid", &b"abc"[..], &b"abc"[..]),
            ("stray continuation", b"a\x80b", b"a\xEF\xBF\xBDb"),
            ("cut short", b"a\xE4\xB8", b"a\xEF\xBF\xBD\xEF\xBF\xBD"),
            ("overlong", b"\xC0\x80", b"\0"),
            ("surrogate", b"\xED\xA0\x80", b"\xED\xA0\x80"),
        ] {
            for compat in [Compat::Original, Compat::LlamaCpp] {
                assert_eq!(sanitize(bytes, compat, None).unwrap().as_ref(), expected, "{name}");
            }
        }
        let beyond = b"x\xF4\x90\x80\x80\xF7\xBF\xBF\xBFy";
        let marks = format!("x{}y", "\u{FFFD}".repeat(8));
        assert_eq!(sanitize(beyond, Compat::Original, None).unwrap().as_ref(), marks.as_bytes());
        assert_eq!(sanitize(beyond, Compat::LlamaCpp, None), Err(TokenizeError::NotACodePoint { offset: 1 }));
        let mut source = Vec::new();
        sanitize(b"a\x80", Compat::Original, Some(&mut source)).unwrap();
        assert_eq!(source, [(0, 1), (1, 2), (1, 2), (1, 2)]);
    }
}
