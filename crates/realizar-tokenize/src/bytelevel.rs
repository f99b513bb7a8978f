//! GPT-2's alphabet, in which every byte is a visible character.

/// The character of each byte.
#[cfg(any(test, feature = "hf"))]
pub(crate) fn char_of(byte: u8) -> char {
    let code = match byte {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => u32::from(byte),
        0..=0x20 => 0x100 + u32::from(byte),
        0x7F..=0xA0 => 0x121 + u32::from(byte) - 0x7F,
        0xAD => 0x143,
    };
    char::from_u32(code).unwrap_or('\u{FFFD}')
}

/// The byte of a character.
#[inline]
pub(crate) fn byte_of(code: u32) -> Option<u8> {
    Some(match code {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => code as u8,
        0x100..=0x120 => (code - 0x100) as u8,
        0x121..=0x142 => (code - 0x121 + 0x7F) as u8,
        0x143 => 0xAD,
        _ => return None,
    })
}

/// Appends the bytes that `text` spells; false, and nothing, where some character is outside the alphabet.
pub(crate) fn unspell(text: &[u8], out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let mut rest = text;
    while let [lead, after @ ..] = rest {
        let (byte, used) = match (lead, after) {
            (0x21..=0x7E, _) => (Some(*lead), 1),
            (0xC2..=0xC5, [next, ..]) => (byte_of(u32::from(lead & 0x1F) << 6 | u32::from(next & 0x3F)), 2),
            _ => (None, 1),
        };
        let Some(byte) = byte else {
            out.truncate(before);
            return false;
        };
        out.push(byte);
        rest = rest.get(used..).unwrap_or(&[]);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_has_a_character_for_every_byte() {
        for byte in 0..=255u8 {
            assert_eq!(byte_of(char_of(byte) as u32), Some(byte));
        }
        assert_eq!(char_of(b' '), 'Ġ');
        let mut out = Vec::new();
        assert!(unspell("Ġa".as_bytes(), &mut out));
        assert!(!unspell("a b".as_bytes(), &mut out));
        assert_eq!(out, b" a");
    }
}
