//! Text that somebody typed: a special token that the model's own vocabulary reaches is spelled in its letters.

use rustc_hash::FxHashSet;

use super::aligned::Aligned;
use super::model::{Model, Placing};
use crate::bpe::BpeScratch;
use crate::sink::Sink;
use crate::wanted::Wanted;
use crate::{TokenId, TokenizeError};

/// The special tokens that a model may give by itself. The unknown token is none of them: it is what text becomes.
pub(super) fn barred(model: &Model, special: impl Iterator<Item = TokenId>) -> FxHashSet<TokenId> {
    let unknown = model.unknown();
    // Some vocabularies have thousands.
    let mut scratch = BpeScratch::default();
    special.filter(|id| Some(*id) != unknown && model.reaches(*id, &mut scratch)).collect()
}

/// Passes on the tokens of a word, but for special ones that nobody asked for.
pub(super) struct Typed<'a> {
    model: &'a Model,
    barred: &'a FxHashSet<TokenId>,
    word: &'a Aligned<'a>,
    wanted: Wanted<'a>,
    sink: &'a mut dyn Sink,
    scratch: Option<Box<BpeScratch>>,
    error: Option<TokenizeError>,
}

impl<'a> Typed<'a> {
    pub(super) fn new(
        model: &'a Model,
        barred: &'a FxHashSet<TokenId>,
        word: &'a Aligned<'a>,
        wanted: Wanted<'a>,
        sink: &'a mut dyn Sink,
    ) -> Self {
        Self { model, barred, word, wanted, sink, scratch: None, error: None }
    }

    /// The first error of what was spelled.
    pub(super) fn finish(self) -> Result<(), TokenizeError> {
        self.error.map_or(Ok(()), Err)
    }

    /// Each letter by itself, so that they do not make the token again.
    fn spell(&mut self, start: usize, end: usize) -> Result<(), TokenizeError> {
        let scratch = self.scratch.get_or_insert_default();
        let mut at = start;
        while at < end {
            let next = (at + 1..end).find(|next| self.word.text.is_char_boundary(*next)).unwrap_or(end);
            let mut letters = Placing { word: self.word, sink: &mut *self.sink };
            self.model.part(self.word, at..next, scratch, &mut letters)?;
            at = next;
        }
        Ok(())
    }
}

impl Sink for Typed<'_> {
    #[inline]
    fn token(&mut self, id: TokenId, start: usize, end: usize) {
        let (from, to) = self.word.place(start, end);
        if !self.barred.contains(&id) || self.wanted.looks_for_special_at(from, to) {
            self.sink.token(id, from, to);
        } else if let Err(error) = self.spell(start, end) {
            self.error.get_or_insert(error);
        }
    }
}
