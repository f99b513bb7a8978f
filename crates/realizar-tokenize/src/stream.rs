//! Decoding one id at a time.

use crate::{TokenId, TokenizeError, Tokenizer};

/// Turns ids into text as they come. It never gives out part of a character, and holds back only bytes that may still
/// become one.
#[derive(Debug)]
pub struct StreamDecoder<'a> {
    tokenizer: &'a Tokenizer,
    /// Bytes not given out: the beginning of one character.
    held: Vec<u8>,
    /// What was given out last.
    out: String,
    keep_special: bool,
    first: bool,
}

impl<'a> StreamDecoder<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, held: Vec::new(), out: String::new(), keep_special: false, first: true }
    }

    /// Shows control tokens by their text.
    #[must_use]
    pub fn keep_special(mut self, keep: bool) -> Self {
        self.keep_special = keep;
        self
    }

    /// Continues after a prompt: the first token keeps its leading space.
    #[must_use]
    pub fn after_prompt(mut self) -> Self {
        self.first = false;
        self
    }

    /// Takes an id and gives the text that is complete with it. Bytes that can never become a character come out as
    /// U+FFFD.
    ///
    /// # Errors
    /// An id outside the vocabulary.
    pub fn push(&mut self, id: TokenId) -> Result<&str, TokenizeError> {
        let piece = self.tokenizer.token_bytes(id, self.keep_special)?;
        let strip = self.first && self.tokenizer.strips_first_space();
        let piece: &[u8] = match piece.split_first() {
            Some((b' ', rest)) if strip => rest,
            _ => &piece,
        };
        self.first = false;
        self.held.extend_from_slice(piece);
        self.out.clear();
        drain(&mut self.held, &mut self.out);
        Ok(&self.out)
    }

    /// The end: what was held back, as U+FFFD.
    pub fn finish(&mut self) -> &str {
        self.out.clear();
        self.out.push_str(&String::from_utf8_lossy(&self.held));
        self.held.clear();
        &self.out
    }
}

/// Moves everything that is decided from `held` to `out`.
fn drain(held: &mut Vec<u8>, out: &mut String) {
    let mut done = 0;
    while let Some(rest) = held.get(done..).filter(|rest| !rest.is_empty()) {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                out.push_str(valid);
                done = held.len();
            }
            Err(error) => {
                let valid = rest.get(..error.valid_up_to()).unwrap_or(&[]);
                out.push_str(std::str::from_utf8(valid).unwrap_or(""));
                done += valid.len();
                match error.error_len() {
                    Some(bad) => {
                        out.push('\u{FFFD}');
                        done += bad;
                    }
                    None => break,
                }
            }
        }
    }
    held.drain(..done);
}
