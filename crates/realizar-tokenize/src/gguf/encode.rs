//! Text to ids.

use std::borrow::Cow;

use super::{BpeModel, GgufTokenizer, Model};
use crate::bpe::BpeScratch;
use crate::sink::Sink;
use crate::special::Fragment;
use crate::spm::SPACE;
use crate::text::{Prepared, Relocate};
use crate::unicode::normal::Form;
use crate::{EncodeOptions, TokenizeError};

impl GgufTokenizer {
    pub(crate) fn encode(
        &self,
        text: &[u8],
        options: EncodeOptions,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
        places: bool,
    ) -> Result<(), TokenizeError> {
        if options.add_special
            && self.flags.add_bos
            && let Some(bos) = self.ids.bos
        {
            sink.token(bos, 0, 0);
        }
        // The beginning counts as a special token: a space is put before what follows one.
        let mut after_special = true;
        for fragment in self.specials.cut(text, options.parse_special) {
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
        }
        if options.add_special
            && self.flags.add_eos
            && let Some(eos) = self.ids.eos
        {
            sink.token(eos, text.len(), text.len());
        }
        Ok(())
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
                let mut text = Prepared::sanitized(part, places)?;
                if model.nfc {
                    text.normalize(Form::Nfc);
                }
                if self.flags.escape_spaces {
                    text.replace_spaces(false);
                }
                let mut sink = Relocate::new(&text, base, sink);
                model.words(&text.bytes, scratch, &mut sink)
            }
            Model::Spm(spm) => {
                let mut text = Prepared::raw(part, places);
                text.replace_spaces(self.flags.add_space_prefix && after_special);
                let mut sink = Relocate::new(&text, base, sink);
                spm.encode(&text.bytes, scratch, &mut sink)
            }
        }
    }

    /// The words that a text without special tokens is cut into.
    pub(crate) fn words(&self, text: &[u8]) -> Result<Vec<Vec<u8>>, TokenizeError> {
        let mut out = Vec::new();
        if let Model::Bpe(model) = &self.model {
            let mut text = Prepared::sanitized(text, false)?;
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
    fn words(&self, text: &[u8], scratch: &mut BpeScratch, sink: &mut dyn Sink) -> Result<(), TokenizeError> {
        self.passes.split(text, &mut |range| {
            let word = text.get(range.clone()).unwrap_or(&[]);
            self.bpe.word(word, range.start, scratch, sink)
        })
    }
}

/// Spaces as U+2581.
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
