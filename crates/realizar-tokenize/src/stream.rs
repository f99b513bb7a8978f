//! Decoding one id at a time.

use crate::{DecodeOptions, TokenId, TokenizeError, Tokenizer};

/// Turns ids into text as they come. It never gives out part of a character, and holds back only bytes that may still
/// become one.
#[derive(Debug)]
pub struct StreamDecoder<'a> {
    tokenizer: &'a Tokenizer,
    /// Bytes not given out: the beginning of one character.
    held: Vec<u8>,
    /// Where tokens have no bytes of their own: the last ids, and how many of them are given out.
    window: Vec<TokenId>,
    shown: usize,
    /// What was given out last.
    out: String,
    keep_special: bool,
    first: bool,
}

/// Ids held back at most where the text of several depends on each other: a character has four bytes.
const WINDOW: usize = 8;

impl<'a> StreamDecoder<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer) -> Self {
        let (held, window, out) = (Vec::new(), Vec::new(), String::new());
        Self { tokenizer, held, window, shown: 0, out, keep_special: false, first: true }
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
        self.out.clear();
        if !self.tokenizer.stream_piece(id, self.keep_special, &mut self.first, &mut self.held)? {
            self.push_to_window(id)?;
            return Ok(&self.out);
        }
        drain(&mut self.held, &mut self.out);
        Ok(&self.out)
    }

    /// Decodes the last ids with and without the new one; the difference is what it adds.
    fn push_to_window(&mut self, id: TokenId) -> Result<(), TokenizeError> {
        if self.tokenizer.is_hidden(id) && !self.keep_special {
            // It must not take the place of the last one that shows.
            return Ok(());
        }
        self.window.push(id);
        let text = self.window_text(self.window.len())?;
        let before = self.window_text(self.shown)?;
        let undecided = text.ends_with('\u{FFFD}') || text == before;
        if undecided && self.window.len() - self.shown < WINDOW {
            return Ok(());
        }
        self.out.push_str(text.get(before.len()..).unwrap_or(""));
        self.window.drain(..self.shown);
        self.shown = self.window.len();
        Ok(())
    }

    fn window_text(&self, ids: usize) -> Result<String, TokenizeError> {
        let options =
            DecodeOptions { keep_special: self.keep_special, clean_spaces: false, strip_ends: false };
        let bytes = self.tokenizer.decode(self.window.get(..ids).unwrap_or(&[]), options)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The end: what was held back, as U+FFFD.
    pub fn finish(&mut self) -> &str {
        self.out.clear();
        self.out.push_str(&String::from_utf8_lossy(&self.held));
        self.held.clear();
        if self.shown < self.window.len()
            && let (Ok(text), Ok(before)) =
                (self.window_text(self.window.len()), self.window_text(self.shown))
        {
            self.out.push_str(text.get(before.len()..).unwrap_or(""));
        }
        self.window.clear();
        self.shown = 0;
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
