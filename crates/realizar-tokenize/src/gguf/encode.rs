//! Text to ids.

use std::borrow::Cow;

use super::{BertModel, BpeKind, BpeModel, Compat, Dna, GgufTokenizer, Model, UnigramModel};
use crate::bpe::BpeScratch;
use crate::greedy::without_mark;
use crate::sink::Sink;
use crate::special::Fragment;
use crate::spm::SPACE;
use crate::text::{Prepared, Relocate, map_graphemes};
use crate::unicode::BertClass;
use crate::unicode::normal::Form;
use crate::wanted::Wanted;
use crate::wordpiece::{bert_words, is_bert_punctuation};
use crate::{TokenId, TokenizeError, unicode};

/// Calls `emit` with each word between white space, behind a mark.
fn each_marked_word(text: &[u8], mut emit: impl FnMut(&[u8])) {
    let mut marked = Vec::new();
    let mut flush = |word: std::ops::Range<usize>| {
        if !word.is_empty() {
            marked.clear();
            marked.extend_from_slice(SPACE);
            marked.extend_from_slice(text.get(word).unwrap_or(&[]));
            emit(&marked);
        }
    };
    let (mut word, mut at) = (0, 0);
    while let Some(lead) = text.get(at) {
        let len = match lead {
            0x21..=0x7F => 1,
            // White space outside ASCII begins with one of these.
            0..=0x20 | 0xC2 | 0xE1..=0xE3 if unicode::is_space(unicode::decode(text, at).0) => {
                flush(word..at);
                word = at + unicode::promised_len(*lead);
                word - at
            }
            _ => unicode::promised_len(*lead),
        };
        at += len;
    }
    flush(word..text.len());
}

/// Calls `emit` with the stretches between spaces.
fn between_spaces(text: &[u8], mut emit: impl FnMut(std::ops::Range<usize>)) {
    let mut start = 0;
    for part in text.split(|byte| *byte == b' ') {
        let end = start + part.len();
        if start < end {
            emit(start..end);
        }
        start = end + 1;
    }
}

impl GgufTokenizer {
    pub(crate) fn encode(
        &self,
        text: &[u8],
        wanted: Wanted<'_>,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
        places: bool,
    ) -> Result<(), TokenizeError> {
        let (first, last) = self.ends(wanted.add_special);
        if let Some(first) = first {
            sink.token(first, 0, 0);
        }
        // The beginning counts as a special token: a space is put before what follows one.
        let mut after_special = true;
        self.specials.cut(text, wanted, &mut |fragment| {
            match fragment {
                Fragment::Token(id, place) => {
                    sink.token(id, place.start, place.end);
                    after_special = true;
                }
                Fragment::Text(range) => {
                    let part = text.get(range.clone()).unwrap_or(&[]);
                    self.fragment(part, after_special, range.start, scratch, sink, places)?;
                    after_special = false;
                }
            }
            Ok(())
        })?;
        if let Some(last) = last {
            sink.token(last, text.len(), text.len());
        }
        Ok(())
    }

    pub(crate) fn adds_bos(&self) -> bool {
        self.ends(true).0.is_some()
    }

    /// What is put before and after a text.
    fn ends(&self, add_special: bool) -> (Option<TokenId>, Option<TokenId>) {
        match &self.model {
            _ if !add_special => (None, None),
            Model::WordPiece(_) => (self.ids.bos, self.ids.sep),
            Model::Longest(_) | Model::Cover(_) => (None, None),
            _ => (self.ids.bos.filter(|_| self.flags.add_bos), self.ids.eos.filter(|_| self.flags.add_eos)),
        }
    }

    fn fragment(
        &self,
        part: &[u8],
        after_special: bool,
        base: usize,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
        places: bool,
    ) -> Result<(), TokenizeError> {
        match &self.model {
            Model::Bpe(model) => {
                let mut text = Prepared::sanitized(part, self.compat, places)?;
                if model.nfc {
                    text.normalize(Form::Nfc);
                }
                if self.flags.escape_spaces {
                    text.replace_spaces(false);
                }
                if let BpeKind::Whitespace { lowercase: true } = model.kind {
                    text.rewrite(|code, out| unicode::push_code(out, unicode::simple_lower(code)));
                }
                model.encode(&text.bytes, scratch, &mut Relocate::new(&text, base, sink))
            }
            Model::Spm(spm) => {
                let mut text = Prepared::raw(part, places);
                text.replace_spaces(self.flags.add_space_prefix && after_special);
                spm.encode(&text.bytes, scratch, &mut Relocate::new(&text, base, sink))
            }
            Model::WordPiece(model) => {
                let text = self.bert_text(model, part, places)?;
                let mut sink = Relocate::new(&text, base, sink);
                let alone = |code| self.is_alone(code);
                let mut pieces = Vec::new();
                bert_words(&text.bytes, alone, |range| {
                    let word = text.bytes.get(range.clone()).unwrap_or(&[]);
                    model.model.word(word, range.start, &mut pieces, &mut sink);
                });
                Ok(())
            }
            Model::Unigram(model) => {
                let original = self.original_on(part);
                if let Some(text) = original.filter(|_| model.by_grapheme && !places) {
                    let text = model
                        .map
                        .as_ref()
                        .map_or(Cow::Borrowed(part), |map| Cow::Owned(map_graphemes(text, map)));
                    each_marked_word(&text, |word| model.model.encode(word, 0, true, scratch, sink));
                    return Ok(());
                }
                let original = original.is_some();
                let text = self.unigram_text(model, part, original, places);
                let mut relocate;
                let sink: &mut dyn Sink = if places {
                    relocate = Relocate::new(&text, base, sink);
                    &mut relocate
                } else {
                    sink
                };
                if !(original && model.by_grapheme) {
                    model.model.encode(&text.bytes, 0, original, scratch, sink);
                    return Ok(());
                }
                // Only spaces are left of the white space.
                between_spaces(&text.bytes, |range| {
                    let word = text.bytes.get(range.clone()).unwrap_or(&[]);
                    model.model.encode(word, range.start, original, scratch, sink);
                });
                Ok(())
            }
            Model::Longest(model) => {
                model.encode(part, base, sink);
                Ok(())
            }
            Model::Cover(model) => {
                let part = without_mark(part);
                let text = Prepared::sanitized(part, self.compat, places)?;
                model.encode(&text.bytes, 0, &mut Relocate::new(&text, base, sink));
                Ok(())
            }
        }
    }

    /// The original is followed where it is wanted and defined, which it is not on text that is not UTF-8.
    fn original_on<'t>(&self, part: &'t [u8]) -> Option<&'t str> {
        std::str::from_utf8(part).ok().filter(|_| self.compat == Compat::Original)
    }

    /// Whether BERT makes a word of the character alone.
    fn is_alone(&self, code: u32) -> bool {
        let punctuation = match self.compat {
            Compat::Original => is_bert_punctuation(code),
            // llama.cpp goes by the categories, and by those of symbols up to `}`.
            Compat::LlamaCpp => {
                unicode::is(code, unicode::PUNCTUATION) || (code < 0x7F && unicode::is(code, unicode::SYMBOL))
            }
        };
        punctuation || unicode::is_bert_ideograph(code)
    }

    fn bert_text<'t>(
        &self,
        model: &BertModel,
        part: &'t [u8],
        places: bool,
    ) -> Result<Prepared<'t>, TokenizeError> {
        let mut text = Prepared::sanitized(part, self.compat, places)?;
        let original = self.original_on(part).is_some();
        let dropped = |code: u32| {
            let kept = original && matches!(code, 9 | 10 | 13) || !original && unicode::is_space(code);
            let control = if original {
                unicode::bert_class(code, BertClass::Control)
            } else {
                unicode::is(code, unicode::LLAMA_CONTROL)
            };
            code == 0 || code == 0xFFFD || (control && !kept)
        };
        if !original {
            text.rewrite(|code, out| {
                let code = if model.strip_accents { unicode::base_of(code) } else { code };
                let accent = model.strip_accents && unicode::is(code, unicode::MARK);
                if !dropped(code) && !accent {
                    unicode::push_code(out, if model.lowercase { unicode::simple_lower(code) } else { code });
                }
            });
            return Ok(text);
        }
        text.rewrite(|code, out| {
            if !dropped(code) {
                unicode::push_code(out, code);
            }
        });
        if model.strip_accents {
            text.normalize(Form::Nfd);
            text.rewrite(|code, out| {
                if !unicode::bert_class(code, BertClass::Nonspacing) {
                    unicode::push_code(out, code);
                }
            });
        }
        if model.lowercase {
            text.rewrite(unicode::push_lower);
        }
        Ok(text)
    }

    fn unigram_text<'t>(
        &self,
        model: &UnigramModel,
        part: &'t [u8],
        original: bool,
        places: bool,
    ) -> Prepared<'t> {
        let mut text = Prepared::raw(part, places);
        if model.by_grapheme && original {
            if let Some(map) = &model.map {
                text.map_graphemes(map);
            }
            // White space separates words, each of which gets its mark.
            let mut in_word = false;
            text.rewrite(|code, out| {
                let space = unicode::is_space(code);
                if !space && !in_word {
                    out.extend_from_slice(SPACE);
                }
                in_word = !space;
                unicode::push_code(out, if space { 0x20 } else { code });
            });
            return text;
        }
        text.rewrite_stretches(|text, at, out| {
            let walked = model.user_defined.walk(text, at);
            if walked > at {
                out.extend_from_slice(text.get(at..walked).unwrap_or(&[]));
                return walked - at;
            }
            if let Some((len, replacement)) = model.map.as_ref().and_then(|map| map.longest(text, at)) {
                out.extend_from_slice(replacement);
                return len;
            }
            let Some((_, len)) = unicode::decode_lenient(text, at) else {
                out.extend_from_slice("\u{FFFD}".as_bytes());
                return 1;
            };
            out.extend_from_slice(text.get(at..at + len).unwrap_or(&[]));
            len
        });
        let (prefix, squeeze) = (self.flags.add_space_prefix, model.remove_extra_spaces);
        let (mut in_word, mut prefixed) = (false, false);
        text.rewrite_stretches(|text, at, out| {
            let byte = text.get(at).copied().unwrap_or(0);
            if byte == b' ' {
                in_word = false;
                if !squeeze {
                    out.extend_from_slice(SPACE);
                }
                return 1;
            }
            if !in_word {
                in_word = true;
                if (prefix && !prefixed) || squeeze {
                    out.extend_from_slice(SPACE);
                    prefixed = true;
                }
            }
            out.push(byte);
            1
        });
        text
    }

    /// The words that a text without special tokens is cut into.
    pub(crate) fn words(&self, text: &[u8]) -> Result<Vec<Vec<u8>>, TokenizeError> {
        let mut out = Vec::new();
        if let Model::Bpe(model) = &self.model {
            let mut text = Prepared::sanitized(text, self.compat, false)?;
            if self.flags.escape_spaces {
                text.replace_spaces(false);
            }
            model.passes.split(&text.bytes, &mut |range| {
                out.push(text.bytes.get(range).unwrap_or(&[]).to_vec());
                Ok(())
            })?;
        } else {
            out.push(text.to_vec());
        }
        Ok(out)
    }
}

impl BpeModel {
    fn encode(
        &self,
        text: &[u8],
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
    ) -> Result<(), TokenizeError> {
        match &self.kind {
            BpeKind::Plain => self.words(text, 0, scratch, sink),
            BpeKind::Whitespace { .. } => {
                let mut result = Ok(());
                bert_words(
                    text,
                    |_| false,
                    |range| {
                        if result.is_ok() {
                            let word = text.get(range.clone()).unwrap_or(&[]);
                            result = self.bpe.word(word, range.start, scratch, sink);
                        }
                    },
                );
                result
            }
            BpeKind::Dna(dna) => {
                let mut at = 0;
                while let Some(start) = find(text, b"<dna>", at) {
                    self.words(text.get(at..start).unwrap_or(&[]), at, scratch, sink)?;
                    sink.token(dna.begin, start, start + 5);
                    let end = find(text, b"</dna>", start + 5);
                    dna.encode(
                        text.get(start + 5..end.unwrap_or(text.len())).unwrap_or(&[]),
                        start + 5,
                        sink,
                    );
                    let Some(end) = end else { return Ok(()) };
                    sink.token(dna.end, end, end + 6);
                    at = end + 6;
                }
                self.words(text.get(at..).unwrap_or(&[]), at, scratch, sink)
            }
        }
    }

    fn words(
        &self,
        text: &[u8],
        base: usize,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
    ) -> Result<(), TokenizeError> {
        self.passes.split(text, &mut |range| {
            let word = text.get(range.clone()).unwrap_or(&[]);
            self.bpe.word(word, base + range.start, scratch, sink)
        })
    }
}

impl Dna {
    /// Sixes of letters; what is left over is filled up with `A`.
    fn encode(&self, text: &[u8], base: usize, sink: &mut dyn Sink) {
        for (index, part) in text.chunks(6).enumerate() {
            let mut word = [b'A'; 6];
            for (to, from) in word.iter_mut().zip(part) {
                *to = from.to_ascii_uppercase();
            }
            let whole = self.words.prefixes(&word, 0).find(|(end, _)| *end == 6);
            let start = base + 6 * index;
            sink.token(whole.map_or(self.unknown, |(_, id)| id), start, start + part.len());
        }
    }
}

fn find(text: &[u8], part: &[u8], from: usize) -> Option<usize> {
    text.get(from..)?.windows(part.len()).position(|window| window == part).map(|at| from + at)
}

/// U+2581 as spaces.
pub(super) fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.windows(SPACE.len()).any(|window| window == SPACE) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(SPACE) {
            out.push(b' ');
            rest = after;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    Cow::Owned(out)
}
