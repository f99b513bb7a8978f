//! Special tokens that somebody spells out in a conversation: there they are text like any other.
//!
//! A template writes control tokens as text, so its output is read with them; what stands in a message must not be. But a
//! template may trim, cut and compare the messages, and the text that comes out does not tell who wrote what. So before the
//! template runs, each control token that is spelled out in a message is replaced by a private character that occurs
//! nowhere else. In what the template wrote it is put back, and the tokenizer is told where no control token may be.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use realizar_tokenize::{EncodeOptions, TokenId, TokenizeError, Tokenizer};
use serde_json::{Map, Value};

use crate::template::{ChatMessage, ChatPrompt};

/// Unicode's private characters outside its first plane: no vocabulary and no template gives them a meaning.
const PRIVATE: [std::ops::RangeInclusive<char>; 2] = ['\u{F0000}'..='\u{FFFFD}', '\u{100000}'..='\u{10FFFD}'];

/// What was replaced, and by which character.
#[derive(Debug, Default)]
pub(crate) struct Spelled {
    /// Characters that stand for texts.
    texts: BTreeMap<char, String>,
}

/// A conversation without control tokens in its texts.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) messages: Vec<ChatMessage>,
    pub(crate) extra: Map<String, Value>,
    pub(crate) spelled: Spelled,
}

impl Plain {
    /// Replaces what is spelled out in `prompt`; `None` when there is nothing to replace, as nearly always.
    ///
    /// Roles stay as they are: they are words of the caller, and templates build tokens of them.
    pub(crate) fn of(
        prompt: &ChatPrompt<'_>,
        template: &str,
        tokenizer: &Tokenizer,
    ) -> Result<Option<Self>, TokenizeError> {
        let mut found = BTreeSet::new();
        each_text(prompt, &mut |text| {
            for range in controls(text, tokenizer)? {
                found.insert(text[range].to_owned());
            }
            Ok(())
        })?;
        if found.is_empty() {
            return Ok(None);
        }
        let mut taken: BTreeSet<char> = template.chars().collect();
        each_text(prompt, &mut |text| {
            taken.extend(text.chars());
            Ok(())
        })?;
        let free = PRIVATE.into_iter().flatten().filter(|letter| !taken.contains(letter));
        // The longest first, so that one inside another is not taken out of it. Should the private characters not be enough,
        // which takes a hundred thousand of them in one request, the rest is taken out.
        let mut texts: Vec<String> = found.into_iter().collect();
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        let letters = free.map(Some).chain(std::iter::repeat(None));
        let table: Vec<(String, Option<char>)> = texts.into_iter().zip(letters).collect();
        let replaced = |text: &str| {
            table.iter().fold(text.to_owned(), |text, (spelled, letter)| {
                text.replace(spelled, letter.map(String::from).as_deref().unwrap_or_default())
            })
        };
        let messages = prompt.messages.iter().map(|message| ChatMessage {
            role: message.role.clone(),
            content: replaced(&message.content),
            extra: map_object(&message.extra, &replaced),
        });
        let messages = messages.collect();
        let extra = map_object(prompt.extra, &replaced);
        let texts = table.into_iter().filter_map(|(text, letter)| Some((letter?, text))).collect();
        Ok(Some(Self { messages, extra, spelled: Spelled { texts } }))
    }
}

impl Spelled {
    /// The tokens of what the template wrote: control tokens are those of the template, and what was replaced is text.
    pub(crate) fn encode(
        &self,
        rendered: &str,
        add_special: bool,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<TokenId>, TokenizeError> {
        let rendered = self.unescaped(rendered);
        let (mut text, mut plain) = (String::with_capacity(rendered.len()), Vec::new());
        for letter in rendered.chars() {
            let Some(spelled) = self.texts.get(&letter) else {
                text.push(letter);
                continue;
            };
            plain.push(text.len()..text.len() + spelled.len());
            text.push_str(spelled);
        }
        tokenizer.encode_guarded(text.as_bytes(), &plain, EncodeOptions { add_special, parse_special: true })
    }

    /// Templates may write texts as JSON in ASCII: the private characters are found there too.
    fn unescaped(&self, text: &str) -> String {
        self.texts.keys().fold(text.to_owned(), |text, letter| {
            let mut units = [0; 2];
            let escaped = letter.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}"));
            text.replace(&escaped.collect::<String>(), &letter.to_string())
        })
    }
}

/// Whether a token has a text that is only read where control tokens are asked for.
fn is_control(id: TokenId, tokenizer: &Tokenizer) -> bool {
    let len = |keep| tokenizer.token_bytes(id, keep).map_or(0, |bytes| bytes.len());
    len(false) == 0 && len(true) > 0
}

/// Where control tokens are spelled out in a text.
fn controls(text: &str, tokenizer: &Tokenizer) -> Result<Vec<Range<usize>>, TokenizeError> {
    let options = EncodeOptions { add_special: false, parse_special: true };
    let ids = tokenizer.encode(text.as_bytes(), options)?;
    if !ids.iter().any(|id| is_control(*id, tokenizer)) {
        return Ok(Vec::new());
    }
    let encoded = tokenizer.encode_with_offsets(text.as_bytes(), options)?;
    let found = encoded.ids.into_iter().zip(encoded.offsets);
    let found = found.filter(|(id, (start, end))| start < end && is_control(*id, tokenizer));
    Ok(found.map(|(_, (start, end))| start..end).filter(|range| text.get(range.clone()).is_some()).collect())
}

/// Every text of a conversation that is not a role.
fn each_text(
    prompt: &ChatPrompt<'_>,
    see: &mut dyn FnMut(&str) -> Result<(), TokenizeError>,
) -> Result<(), TokenizeError> {
    for message in prompt.messages {
        see(&message.content)?;
        each_in_object(&message.extra, see)?;
    }
    each_in_object(prompt.extra, see)
}

fn each_in_object(
    object: &Map<String, Value>,
    see: &mut dyn FnMut(&str) -> Result<(), TokenizeError>,
) -> Result<(), TokenizeError> {
    object.iter().try_for_each(|(key, value)| {
        see(key)?;
        each_in(value, see)
    })
}

fn each_in(
    value: &Value,
    see: &mut dyn FnMut(&str) -> Result<(), TokenizeError>,
) -> Result<(), TokenizeError> {
    match value {
        Value::String(text) => see(text),
        Value::Array(list) => list.iter().try_for_each(|value| each_in(value, see)),
        Value::Object(object) => each_in_object(object, see),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn map_object(object: &Map<String, Value>, change: &dyn Fn(&str) -> String) -> Map<String, Value> {
    object.iter().map(|(key, value)| (change(key), map_value(value, change))).collect()
}

fn map_value(value: &Value, change: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(change(text)),
        Value::Array(list) => Value::Array(list.iter().map(|value| map_value(value, change)).collect()),
        Value::Object(object) => Value::Object(map_object(object, change)),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
