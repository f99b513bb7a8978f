//! Text from outside, made safe to print: one line, no control characters, at most 256 bytes.

use std::fmt::{self, Write};
use std::path::Path;

/// Longest piece of outside text that a message repeats, in bytes.
const SHOWN_BYTES: usize = 256;

/// Bytes of unknown origin. `Display` escapes control characters and invalid UTF-8, and cuts long text.
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl<'a> Escaped<'a> {
    pub(crate) fn path(path: &'a Path) -> Self {
        Self(path.as_os_str().as_encoded_bytes())
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = SHOWN_BYTES;
        let mut put = |piece: &str| -> Result<bool, fmt::Error> {
            let Some(rest) = left.checked_sub(piece.len()) else {
                f.write_str("...")?;
                return Ok(false);
            };
            left = rest;
            f.write_str(piece)?;
            Ok(true)
        };
        let mut piece = String::new();
        for chunk in self.0.utf8_chunks() {
            for char in chunk.valid().chars() {
                piece.clear();
                // Bidirectional controls and line separators can forge a message as well as newlines can.
                let hidden = matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
                if char.is_control() || hidden {
                    write!(piece, "{}", char.escape_unicode())?;
                } else {
                    piece.push(char);
                }
                if !put(&piece)? {
                    return Ok(());
                }
            }
            for byte in chunk.invalid() {
                piece.clear();
                write!(piece, "\\x{byte:02x}")?;
                if !put(&piece)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    const CASES: &[(&str, &[u8], &str)] = &[
        ("plain", b"llama.block_count", "llama.block_count"),
        ("letters", "größe".as_bytes(), "größe"),
        ("newline and escape", b"a\n\x1b[31m", "a\\u{a}\\u{1b}[31m"),
        ("nul", b"a\0b", "a\\u{0}b"),
        ("right to left override", "a\u{202e}b".as_bytes(), "a\\u{202e}b"),
        ("not utf-8", b"a\xff\xc3b", "a\\xff\\xc3b"),
    ];

    #[test]
    fn outside_text_is_shown_on_one_line() {
        for (case, bytes, shown) in CASES {
            assert_eq!(Escaped(bytes).to_string(), *shown, "{case}");
        }
    }

    #[test]
    fn long_text_is_cut() {
        for bytes in [[b'x'; 1000], [0xff; 1000], [b'\n'; 1000]] {
            let shown = Escaped(&bytes).to_string();
            assert!(shown.len() <= 256 + 3 && shown.ends_with("..."), "{shown}");
        }
    }
}
