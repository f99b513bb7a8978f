//! Vocabularies of `tokenizer.json` that are given as text to id.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::json::At;
use super::model::{MAX_IDS, MAX_TOKEN_BYTES};
use super::tree::Json;
use crate::lexicon::Lexicon;
use crate::{TokenId, TokenizeError, Warning};

/// The tokens by id, a hole is empty, and the number of different texts.
pub(super) fn read(at: &At<'_>, warnings: &mut Vec<Warning>) -> Result<(Arc<Lexicon>, usize), TokenizeError> {
    let object = at.fields()?;
    if object.len() > MAX_IDS {
        return Err(TokenizeError::TooMany { what: "tokens", found: object.len(), limit: MAX_IDS });
    }
    let mut by_id: Vec<&str> = Vec::with_capacity(object.len());
    let mut shared = false;
    for (text, id) in object {
        let Json::Whole(id) = id else {
            return Err(at.error(&format!("the id of `{text}` is not a whole number")));
        };
        let id = check_id(text, *id)? as usize;
        if text.len() > MAX_TOKEN_BYTES {
            return Err(TokenizeError::TooMany {
                what: "bytes of a token",
                found: text.len(),
                limit: MAX_TOKEN_BYTES,
            });
        }
        if id >= by_id.len() {
            by_id.resize(id + 1, "");
        }
        if let Some(slot) = by_id.get_mut(id) {
            shared |= !slot.is_empty();
            *slot = text;
        }
    }
    let texts = lexicon(&by_id);
    if !shared && texts.repeats().is_empty() {
        return Ok((Arc::new(texts), object.len()));
    }
    let numbered = object.iter().filter_map(|(text, id)| match id {
        Json::Whole(id) => Some((&**text, *id as TokenId)),
        _ => None,
    });
    let (texts, entries) = with_repeats(numbered, warnings);
    Ok((Arc::new(texts), entries))
}

/// An id of the file, if it is none that is absurd.
pub(super) fn check_id(text: &str, id: u64) -> Result<TokenId, TokenizeError> {
    match TokenId::try_from(id) {
        Ok(id) if (id as usize) < MAX_IDS => Ok(id),
        _ => Err(TokenizeError::IdTooHigh { text: text.to_owned(), id, limit: MAX_IDS }),
    }
}

fn lexicon(by_id: &[&str]) -> Lexicon {
    let mut texts = Lexicon::with_capacity(by_id.len(), 8 * by_id.len());
    for text in by_id {
        texts.push(text.as_bytes());
    }
    texts
}

/// Of equal texts the last counts; of different ones with the same id the first is shown, and each becomes the id.
fn with_repeats<'t>(
    tokens: impl Iterator<Item = (&'t str, TokenId)> + Clone,
    warnings: &mut Vec<Warning>,
) -> (Lexicon, usize) {
    let mut last: FxHashMap<&str, usize> = FxHashMap::default();
    let (mut count, mut repeated) = (0, None);
    for (place, (text, _)) in tokens.clone().enumerate() {
        if last.insert(text, place).is_some() {
            count += 1;
            repeated.get_or_insert(text);
        }
    }
    if let Some(first) = repeated {
        warnings.push(Warning::RepeatedTokens { count, first: first.to_owned() });
    }
    let mut by_id: Vec<&str> = Vec::new();
    let mut sharing: Vec<(&str, TokenId)> = Vec::new();
    for (_, (text, id)) in tokens.enumerate().filter(|(place, (text, _))| last.get(text) == Some(place)) {
        if by_id.len() <= id as usize {
            by_id.resize(id as usize + 1, "");
        }
        match by_id.get_mut(id as usize) {
            Some(slot) if slot.is_empty() => *slot = text,
            _ => sharing.push((text, id)),
        }
    }
    let mut texts = lexicon(&by_id);
    if let Some((first, id)) = sharing.first() {
        warnings.push(Warning::SharedIds {
            count: sharing.len(),
            first: (*first).to_owned(),
            other: by_id.get(*id as usize).copied().unwrap_or("").to_owned(),
            id: *id,
        });
    }
    for (text, id) in sharing {
        texts.add_alias(text.as_bytes(), id);
    }
    (texts, last.len())
}
