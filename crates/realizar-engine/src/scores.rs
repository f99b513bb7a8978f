//! Probabilities of tokens, held back until all of their text is out: what a stop string takes from the text, it takes from
//! them too.

use std::collections::VecDeque;

use realizar_sample::{LogNormalizer, SampleError, top_logprobs};
use realizar_tokenize::{TokenId, Tokenizer};

use crate::event::{Finish, TokenLogprob, TopLogprob};

/// The most bytes of a letter that can be there before it is complete.
const HALF_LETTER: usize = 3;

/// Tokens whose text is not out yet.
///
/// All places are offsets in bytes from the beginning of the answer. Bytes of tokens and bytes of text are the same but for
/// letters that are not complete yet.
#[derive(Debug)]
pub(crate) struct Scores {
    /// How many of the best tokens are told.
    top: usize,
    /// Where each ends, in order.
    waiting: VecDeque<(usize, TokenLogprob)>,
    /// Where the last one ends.
    end: usize,
    /// The end of the text that tokens gave.
    text: usize,
    /// The end of the text that went out.
    out: usize,
}

impl Scores {
    pub(crate) fn new(top: usize) -> Self {
        Self { top, waiting: VecDeque::new(), end: 0, text: 0, out: 0 }
    }

    /// Takes a token that came with so many bytes of text. One that never is text is forgotten at once.
    pub(crate) fn add(
        &mut self,
        logits: &[f32],
        id: TokenId,
        text: usize,
        tokenizer: &Tokenizer,
    ) -> Result<(), SampleError> {
        let normalizer = LogNormalizer::of(logits)?;
        let bytes = tokenizer.token_bytes(id, false).unwrap_or_default().into_owned();
        let spelled = |id| tokenizer.token_bytes(id, true).unwrap_or_default().into_owned();
        let best = top_logprobs(logits, self.top)?;
        let top = best.into_iter().map(|t| TopLogprob { id: t.id, bytes: spelled(t.id), logprob: t.logprob });
        let top = top.collect();
        let logprob = normalizer.logprob(logits[id as usize]);
        self.push(TokenLogprob { id, logprob, bytes, top }, text);
        Ok(())
    }

    fn push(&mut self, token: TokenLogprob, text: usize) {
        let whole = !token.bytes.is_empty();
        self.end += token.bytes.len();
        self.text += text;
        if !(self.text..=self.text + HALF_LETTER).contains(&self.end) {
            // Bytes that are no letters were replaced by a sign of another length.
            self.end = self.text;
        }
        if whole {
            self.waiting.push_back((self.end, token));
        }
    }

    /// So many further bytes of text go out, and with them the answer may end: gives the tokens that are told with them.
    pub(crate) fn told(&mut self, text: usize, finish: Option<&Finish>) -> Vec<TokenLogprob> {
        self.out += text;
        let mut told = Vec::new();
        while let Some((_, token)) = self.waiting.pop_front_if(|(end, _)| *end <= self.out) {
            told.push(token);
        }
        match finish {
            None => {}
            Some(Finish::Stop(_)) => {
                let last = self.waiting.pop_front();
                let begins = last.as_ref().map_or(0, |(end, token)| end.saturating_sub(token.bytes.len()));
                if let Some((_, mut token)) = last.filter(|_| begins < self.out) {
                    token.bytes.truncate(self.out - begins);
                    told.push(token);
                }
                self.waiting.clear();
            }
            Some(_) => told.extend(self.waiting.drain(..).map(|(_, token)| token)),
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a token brings, the text that it completes, the text that goes out with it.
    type Step = (&'static [u8], usize, usize);
    /// Name, tokens, whether a stop string ends them (or the end of the text), what is told with each.
    type Case = (&'static str, &'static [Step], bool, &'static [&'static [&'static [u8]]]);

    const CASES: &[Case] = &[
        ("as they come", &[(b"a", 1, 1), (b" b", 2, 2)], false, &[&[b"a"], &[b" b"]]),
        ("no text of their own", &[(b"", 0, 0), (b"a", 1, 1), (b"", 0, 0)], false, &[&[], &[b"a"], &[]]),
        ("half a letter", &[(b"x\xC3", 1, 1), (b"\xA9", 2, 2)], false, &[&[], &[b"x\xC3", b"\xA9"]]),
        ("a letter that is never whole", &[(b"a", 1, 1), (b"\xC3", 3, 3)], false, &[&[b"a"], &[b"\xC3"]]),
        ("held back and given out", &[(b"a<", 2, 1), (b"b", 1, 2)], false, &[&[], &[b"a<", b"b"]]),
        (
            "a stop string of two tokens",
            &[(b"a", 1, 1), (b"<", 1, 0), (b">b", 2, 0)],
            true,
            &[&[b"a"], &[], &[]],
        ),
        ("a stop string inside a token", &[(b"a", 1, 1), (b"b<c", 3, 1)], true, &[&[b"a"], &[b"b"]]),
        ("a stop string that begins inside a token", &[(b"ab<", 3, 2), (b">", 1, 0)], true, &[&[], &[b"ab"]]),
        ("a stop string of half letters", &[(b"a\xC3", 1, 1), (b"\xA9", 2, 0)], true, &[&[], &[b"a"]]),
        ("a stop string at once", &[(b"<>", 2, 0)], true, &[&[]]),
        (
            "bytes that are no letters",
            &[(b"\xFF", 3, 3), (b"a", 1, 1), (b"<", 1, 0)],
            true,
            &[&[b"\xFF"], &[b"a"], &[]],
        ),
    ];

    #[test]
    fn the_bytes_of_what_is_told_are_the_text() {
        for &(name, steps, stopped, expected) in CASES {
            let mut scores = Scores::new(0);
            for (at, &(bytes, text, out)) in steps.iter().enumerate() {
                scores.push(TokenLogprob { id: 0, logprob: 0.0, bytes: bytes.to_vec(), top: vec![] }, text);
                let last = at + 1 == steps.len();
                let end = if stopped { Finish::Stop("<".to_owned()) } else { Finish::Eos };
                let told = scores.told(out, Some(&end).filter(|_| last));
                let told: Vec<&[u8]> = told.iter().map(|token| token.bytes.as_slice()).collect();
                assert_eq!(told, expected[at], "{name}, token {at}");
            }
        }
    }
}
