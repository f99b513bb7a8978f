//! Bytes of tokens to whole letters: a letter may be spread over several tokens.

/// Collects bytes until they are whole letters.
///
/// Bytes that can never become a letter turn into U+FFFD, one for each maximal ill-formed part, as Unicode recommends;
/// `pending` is therefore at most three bytes long, the beginning of one letter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Utf8Stream {
    pending: Vec<u8>,
}

impl Utf8Stream {
    /// Takes the bytes of a token, gives the letters that are complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut rest = self.pending.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    rest = after;
                    match error.error_len() {
                        Some(bad) => {
                            text.push(char::REPLACEMENT_CHARACTER);
                            rest = &rest[bad..];
                        }
                        None => break,
                    }
                }
            }
        }
        self.pending = rest.to_vec();
        text
    }

    /// What is left at the end: U+FFFD for a letter that was never finished.
    pub(crate) fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn letters_come_out_whole() {
        for (name, pieces, expected) in [
            ("ascii", &[b"ab".as_slice(), b"c"][..], &["ab", "c", ""][..]),
            ("two tokens for a letter", &[b"\xC3", b"\xA9!"], &["", "é!", ""]),
            ("four tokens for a letter", &[b"\xF0", b"\x9F", b"\x98", b"\x80"], &["", "", "", "😀", ""]),
            ("never finished", &[b"a\xE2\x82"], &["a", "\u{FFFD}"]),
            ("cut off by another letter", &[b"\xE2\x82", b"x"], &["", "\u{FFFD}x", ""]),
            ("impossible byte", &[b"\xFFa"], &["\u{FFFD}a", ""]),
        ] {
            let mut stream = Utf8Stream::default();
            let mut found: Vec<String> = pieces.iter().map(|piece| stream.push(piece)).collect();
            found.push(stream.finish());
            assert_eq!(found, expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_text_of_the_whole(bytes in prop::collection::vec(proptest::num::u8::ANY, 0..40), cut in 1usize..5) {
            let mut stream = Utf8Stream::default();
            let mut text = String::new();
            for piece in bytes.chunks(cut) {
                text.push_str(&stream.push(piece));
                prop_assert!(stream.pending.len() < 4);
            }
            text.push_str(&stream.finish());
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn valid_text_is_unchanged(text in "\\PC{0,20}", cut in 1usize..5) {
            let mut stream = Utf8Stream::default();
            let mut out: String = text.as_bytes().chunks(cut).map(|piece| stream.push(piece)).collect();
            out.push_str(&stream.finish());
            prop_assert_eq!(out, text);
        }
    }
}
