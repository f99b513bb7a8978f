//! Ids to bytes.

use std::borrow::Cow;

use super::encode::unescape;
use super::load::byte_token;
use super::models::without_dna_mark;
use super::{BpeKind, BpeModel, Compat, GgufTokenizer, Model, attr};
use crate::greedy::unescape_rwkv;
use crate::{DecodeOptions, TokenId, bytelevel, unicode};

impl GgufTokenizer {
    /// The bytes of one token; nothing for a control token unless it is kept. The id must be in range.
    pub(crate) fn piece(&self, id: TokenId, keep_special: bool) -> Cow<'_, [u8]> {
        let attr = self.attrs.get(id as usize).copied().unwrap_or(0);
        let mut text = self.texts.text(id);
        if let Model::Bpe(BpeModel { kind: BpeKind::Dna(_), .. }) = &self.model {
            text = without_dna_mark(text);
        }
        if attr & (attr::UNKNOWN | attr::CONTROL) != 0 {
            return Cow::Borrowed(if keep_special { text } else { &[] });
        }
        match &self.model {
            Model::Longest(_) => return Cow::Owned(unescape_rwkv(text)),
            Model::Cover(_) => {
                return match byte_token(text).filter(|_| attr & attr::BYTE != 0) {
                    Some(byte) => Cow::Owned(vec![byte]),
                    None => Cow::Borrowed(text),
                };
            }
            _ if attr & attr::USER_DEFINED != 0 => return Cow::Borrowed(text),
            _ => {}
        }
        if attr & attr::NORMAL != 0 {
            return match &self.model {
                Model::Bpe(_) if !self.flags.escape_spaces => self.spelt(text),
                _ => unescape(text),
            };
        }
        match byte_token(text).filter(|_| attr & attr::BYTE != 0) {
            Some(byte) => Cow::Owned(vec![byte]),
            None => Cow::Borrowed(&[]),
        }
    }

    /// What a token in GPT-2's alphabet spells. Outside the alphabet the original takes the text itself, llama.cpp
    /// says so in the output.
    fn spelt<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let mut out = Vec::with_capacity(text.len());
        if bytelevel::unspell(text, &mut out) {
            return Cow::Owned(out);
        }
        if self.compat == Compat::Original {
            return Cow::Borrowed(text);
        }
        for (at, code) in unicode::codes(text) {
            match bytelevel::byte_of(code) {
                Some(byte) => out.push(byte),
                None => {
                    let char = text.get(at..at + unicode::promised_len(text.get(at).copied().unwrap_or(0)));
                    let hex: String = char.unwrap_or(&[]).iter().map(|byte| format!("{byte:02x}")).collect();
                    out.extend_from_slice(format!("[UNK_BYTE_0x{hex}").as_bytes());
                    out.extend_from_slice(text);
                    out.push(b']');
                }
            }
        }
        Cow::Owned(out)
    }

    pub(crate) fn decode(&self, ids: &[TokenId], options: DecodeOptions) -> Vec<u8> {
        let mut ids = ids;
        let mut strip_space = self.flags.add_space_prefix;
        if options.strip_ends {
            if self.flags.add_bos
                && let Some((first, rest)) = ids.split_first()
                && Some(*first) == self.ids.bos
            {
                ids = rest;
                strip_space = false;
            }
            if self.flags.add_eos
                && let Some((last, rest)) = ids.split_last()
                && Some(*last) == self.ids.eos
            {
                ids = rest;
            }
        }
        let mut out = Vec::new();
        for id in ids {
            let piece = self.piece(*id, options.keep_special);
            let piece: &[u8] = match piece.split_first() {
                Some((b' ', rest)) if strip_space => rest,
                _ => &piece,
            };
            out.extend_from_slice(piece);
            strip_space = false;
        }
        if options.clean_spaces && self.flags.clean_spaces { clean(&out) } else { out }
    }

    /// Whether the first token loses a leading space.
    pub(crate) fn strips_first_space(&self) -> bool {
        self.flags.add_space_prefix
    }
}

/// llama.cpp's removal of spaces before punctuation and contractions, in its three passes.
fn clean(text: &[u8]) -> Vec<u8> {
    let is = |text: &[u8], at: usize, set: &[u8]| text.get(at).is_some_and(|byte| set.contains(byte));
    let first = clean_pass(text, |text, at| (is(text, at, b"?!.,"), false));
    let second = clean_pass(&first, |text, at| {
        let alone = is(text, at, b"'") && is(text, at + 1, b" ");
        (alone, alone)
    });
    clean_pass(&second, |text, at| {
        let pair = text.get(at + 1..at + 3);
        let contraction = is(text, at + 1, b"sm") || pair == Some(b"re") || pair == Some(b"ve");
        (is(text, at, b"'") && contraction, false)
    })
}

/// Asks `drops` about every byte that follows a space: whether to drop that space, and the one after.
fn clean_pass(text: &[u8], drops: impl Fn(&[u8], usize) -> (bool, bool)) -> Vec<u8> {
    let mut out: Vec<u8> = text.iter().take(1).copied().collect();
    let mut after_space = text.first() == Some(&b' ');
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        let (before, after) = if after_space { drops(text, at) } else { (false, false) };
        if before {
            out.pop();
        }
        out.push(*byte);
        // A space that was dropped does not count for what follows it.
        after_space = *byte == b' ';
        at += 1 + usize::from(after);
    }
    out
}
