//! GPT-2's alphabet, in which every byte is a visible character.

/// The character of each byte.
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

/// Appends the spelling of some bytes.
pub(crate) fn spell(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        if byte.is_ascii_graphic() {
            out.push(*byte);
        } else {
            out.extend_from_slice(char_of(*byte).encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Whether every character is of the alphabet.
pub(crate) fn is_spelt(text: &[u8]) -> bool {
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return true,
            [0x21..=0x7E, after @ ..] => after,
            [lead @ 0xC2..=0xC5, next, after @ ..]
                if byte_of(u32::from(lead & 0x1F) << 6 | u32::from(next & 0x3F)).is_some() =>
            {
                after
            }
            _ => return false,
        };
    }
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
        assert!(is_spelt("Ġa".as_bytes()) && !is_spelt("Ġa ".as_bytes()) && !is_spelt("ń".as_bytes()));
        let (all, mut back): (Vec<u8>, _) = ((0..=255).collect(), Vec::new());
        out.clear();
        spell(&all, &mut out);
        assert!(is_spelt(&out) && unspell(&out, &mut back));
        assert_eq!(back, all);
    }
}
