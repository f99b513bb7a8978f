//! Added tokens: cut out of the text before and after normalisation.

use rustc_hash::{FxHashMap, FxHashSet};

use super::aligned::Aligned;
use super::json::At;
use super::model::Model;
use super::normalize::Normalizer;
use super::vocab::check_id;
use crate::pattern::class::Class;
use crate::pattern::word;
use crate::trie::Trie;
use crate::wanted::Wanted;
use crate::{TokenId, TokenizeError, Warning, unicode};

const MAX_ADDED: usize = 1_048_576;

/// Takes pieces of a text, and the id of the added token that a piece is.
type Emit<'e> = dyn FnMut(Aligned<'_>, Option<TokenId>) -> Result<(), TokenizeError> + 'e;

/// One added token.
#[derive(Debug, Clone)]
struct Added {
    id: TokenId,
    text: String,
    single_word: bool,
    strip: (bool, bool),
    special: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct AddedTokens {
    tokens: Vec<Added>,
    by_id: FxHashMap<TokenId, usize>,
    by_text: FxHashMap<String, TokenId>,
    /// Special tokens are known by their text as it was given.
    special: FxHashSet<String>,
    /// To be found in the text as it is; indices into `tokens`.
    raw: Trie,
    /// To be found in the normalised text.
    normalized: Trie,
    word: Class,
    end: TokenId,
}

impl AddedTokens {
    /// An added token gets its id from the model's vocabulary, or else the next one behind it, whatever the file says: so
    /// the reference does it, and warns.
    pub(super) fn read(
        root: &At<'_>,
        normalizer: Option<&Normalizer>,
        model: &Model,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, TokenizeError> {
        let list = root.get("added_tokens").map_or(Ok(Vec::new()), |at| at.list())?;
        if list.len() > MAX_ADDED {
            return Err(TokenizeError::TooMany { what: "added tokens", found: list.len(), limit: MAX_ADDED });
        }
        let texts = list.iter().map(|at| at.need("content")?.text()).collect::<Result<Vec<_>, _>>()?;
        let known = model.ids_of(&texts.iter().copied().collect());
        let mut next = model.entries as TokenId;
        let mut by_text: FxHashMap<String, TokenId> = FxHashMap::default();
        let mut special = FxHashSet::default();
        // Of those with the same id the last says what is found, and how.
        let mut last: FxHashMap<TokenId, usize> = FxHashMap::default();
        let (mut repeated, mut shared) = (Vec::new(), Vec::new());
        for ((index, at), &text) in list.iter().enumerate().zip(&texts) {
            at.distinct()?;
            if text.is_empty() {
                return Err(at.error("an added token is empty"));
            }
            let given = check_id(text, at.need("id")?.number()?)?;
            let id = match known.get(text).or_else(|| by_text.get(text)) {
                Some(id) => *id,
                None => {
                    next += 1;
                    next - 1
                }
            };
            if id != given {
                warnings.push(Warning::AddedTokenId { text: text.to_owned(), given, id });
            }
            let of_model = model.texts.text(id);
            match last.insert(id, index).and_then(|before| texts.get(before)) {
                Some(before) if *before == text => repeated.push(text),
                Some(before) => shared.push((text, before.as_bytes(), id)),
                None if of_model.is_empty() || of_model == text.as_bytes() => {}
                // What shares an id in the vocabulary has been named.
                None if known.contains_key(text) => {}
                None => shared.push((text, of_model, id)),
            }
            by_text.insert(text.to_owned(), id);
            if at.flag("special", false)? {
                special.insert(text.to_owned());
            }
        }
        let mut tokens = Vec::with_capacity(list.len());
        let (mut raw, mut normalized) = (Vec::new(), Vec::new());
        let (mut by_id, mut end) = (FxHashMap::default(), 0);
        for ((index, at), &text) in list.iter().enumerate().zip(&texts) {
            let Some(id) = by_text.get(text).copied().filter(|id| last.get(id) == Some(&index)) else {
                continue;
            };
            let mut shown = Aligned::new(text, 0, false);
            let place = tokens.len();
            if at.flag("normalized", !at.flag("special", false)?)? {
                if let Some(normalizer) = normalizer {
                    normalizer.apply(&mut shown)?;
                }
                normalized.push((shown.text.to_string(), place as u32));
            } else {
                raw.push((text, place as u32));
            }
            // The reference shows the normalised text.
            let token = Added {
                id,
                text: shown.text.into_owned(),
                single_word: at.flag("single_word", false)?,
                strip: (at.flag("lstrip", false)?, at.flag("rstrip", false)?),
                // Another entry does not make a control token an ordinary one.
                special: special.contains(text),
            };
            by_id.insert(id, place);
            end = end.max(id + 1);
            tokens.push(token);
        }
        if let Some(first) = repeated.first() {
            let (count, first) = (repeated.len(), (*first).to_owned());
            warnings.push(Warning::RepeatedTokens { count, first });
        }
        if let Some((first, other, id)) = shared.first() {
            warnings.push(Warning::SharedIds {
                count: shared.len(),
                first: (*first).to_owned(),
                other: String::from_utf8_lossy(other).into_owned(),
                id: *id,
            });
        }
        Ok(Self {
            tokens,
            by_id,
            by_text,
            special,
            raw: Trie::new(raw.iter().map(|(text, index)| (text.as_bytes(), *index))),
            normalized: Trie::new(normalized.iter().map(|(text, index)| (text.as_bytes(), *index))),
            word: Class::new(word()),
            end,
        })
    }

    /// One more than the highest id.
    pub(super) fn end(&self) -> TokenId {
        self.end
    }

    pub(super) fn text(&self, id: TokenId) -> Option<&str> {
        self.by_id.get(&id).and_then(|index| self.tokens.get(*index)).map(|token| token.text.as_str())
    }

    pub(super) fn find(&self, text: &[u8]) -> Option<TokenId> {
        self.by_text.get(std::str::from_utf8(text).ok()?).copied()
    }

    pub(super) fn is_special(&self, text: &str) -> bool {
        self.special.contains(text)
    }

    pub(super) fn specials(&self) -> impl Iterator<Item = TokenId> + '_ {
        self.tokens.iter().filter(|token| token.special).map(|token| token.id)
    }

    fn is_word_at(&self, text: &str, pos: usize) -> bool {
        matches!(text.get(pos..).and_then(|rest| rest.chars().next()), Some('\u{200C}' | '\u{200D}'))
            || self.word.matches(text.as_bytes(), pos).is_some()
    }

    /// Cuts a piece at the added tokens, from left to right and the longest first; calls `emit` with each piece and
    /// the id of the token that it is. `normalized` says which of the two kinds is looked for.
    pub(super) fn cut(
        &self,
        piece: Aligned<'_>,
        normalized: bool,
        wanted: Wanted<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<(), TokenizeError> {
        let trie = if normalized { &self.normalized } else { &self.raw };
        let text = piece.text.as_ref();
        let bytes = text.as_bytes();
        let (mut at, mut done) = (0, 0);
        while let Some(byte) = bytes.get(at) {
            let found = if trie.may_start(*byte) { trie.prefixes(bytes, at).last() } else { None };
            let Some((end, token)) =
                found.and_then(|(end, index)| Some((end, self.tokens.get(index as usize)?)))
            else {
                at += 1;
                continue;
            };
            let before = unicode::step_back(bytes, at);
            let touches = (at > 0 && self.is_word_at(text, before)) || self.is_word_at(text, end);
            let looked_for = || match wanted.is_guarded() {
                true => {
                    let (start, end) = piece.place(at, end);
                    wanted.looks_for_special_at(start, end)
                }
                false => wanted.looks_for_special(),
            };
            if (token.special && !looked_for()) || (token.single_word && touches) {
                at = end;
                continue;
            }
            let (mut from, mut to) = (at, end);
            if token.strip.0 {
                let kept = text.get(..at).map_or(at, |left| left.trim_end().len());
                from = kept.max(done);
            }
            if token.strip.1 {
                let right = text.get(end..).unwrap_or("");
                to = end + right.len() - right.trim_start().len();
            }
            if done < from {
                emit(piece.slice(done..from), None)?;
            }
            emit(piece.slice(from..to.max(from)), Some(token.id))?;
            done = to;
            at = end;
        }
        match text.len() {
            // Where nothing was found the text itself goes on, not a copy beside it.
            len if done == 0 && len > 0 => emit(piece.into_slice(), None),
            len if done < len => emit(piece.slice(done..len), None),
            _ => Ok(()),
        }
    }
}
