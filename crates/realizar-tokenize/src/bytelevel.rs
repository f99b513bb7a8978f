//! GPT-2's alphabet, in which every byte is a visible character.

use std::sync::OnceLock;

use crate::unicode;

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
pub(crate) fn byte_of(code: u32) -> Option<u8> {
    static BYTES: OnceLock<Vec<Option<u8>>> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| {
        let mut bytes = vec![None; 0x144];
        for byte in 0..=255u8 {
            if let Some(slot) = bytes.get_mut(char_of(byte) as usize) {
                *slot = Some(byte);
            }
        }
        bytes
    });
    bytes.get(code as usize).copied().flatten()
}

/// Appends the bytes that `text` spells; false, and nothing, where some character is outside the alphabet.
pub(crate) fn unspell(text: &[u8], out: &mut Vec<u8>) -> bool {
    let before = out.len();
    for (_, code) in unicode::codes(text) {
        match byte_of(code) {
            Some(byte) => out.push(byte),
            None => {
                out.truncate(before);
                return false;
            }
        }
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
