//! The parts of a `tokenizer.json` that hold the vocabulary.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};

use super::{Vocab, kind};

/// Pieces with scores, as merges: every way to make a piece of two others.
pub(super) fn scored(vocab: &Vocab<'_>, unknown: Option<&str>) -> Option<Json> {
    Some(json!({
        "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
        "vocab": ids(vocab.texts.iter().copied())?, "merges": merges_of(&vocab.texts, vocab.scores.as_ref()?),
    }))
}

/// Byte-level pieces and their merges.
pub(super) fn merged(vocab: &Vocab<'_>) -> Option<Json> {
    Some(json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
        "vocab": ids(vocab.texts.iter().copied())?, "merges": vocab.merges,
    }))
}

/// Pieces of words. GGUF marks those that begin one, the file those that go on.
pub(super) fn words(vocab: &Vocab<'_>, unknown: &str) -> Option<Json> {
    let texts: Vec<String> =
        vocab.texts.iter().zip(&vocab.types).map(|(text, kind)| word(text, *kind)).collect();
    Some(json!({
        "type": "WordPiece", "unk_token": word(unknown, kind::CONTROL), "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": ids(texts.iter().map(String::as_str))?,
    }))
}

/// A piece of a word as the file spells it.
pub(super) fn word(text: &str, kind: i32) -> String {
    let is_special = kind != kind::NORMAL || (text.starts_with('[') && text.ends_with(']'));
    match text.strip_prefix('\u{2581}') {
        Some(rest) => rest.to_owned(),
        None if is_special => text.to_owned(),
        None => format!("##{text}"),
    }
}

/// Pieces whose scores add up.
pub(super) fn unigram(vocab: &Vocab<'_>, unknown: u32) -> Option<Json> {
    let scores = vocab.scores.as_ref()?;
    let pieces: Vec<Json> =
        vocab.texts.iter().zip(scores).map(|(text, score)| json!([text, score])).collect();
    let has_bytes = vocab.types.contains(&kind::BYTE);
    Some(json!({"type": "Unigram", "unk_id": unknown, "vocab": pieces, "byte_fallback": has_bytes}))
}

/// Tokens by their texts; `None` if two have the same.
fn ids<'t>(texts: impl Iterator<Item = &'t str>) -> Option<Map<String, Json>> {
    let mut ids = Map::new();
    for (id, text) in texts.enumerate() {
        if ids.insert(text.to_owned(), id.into()).is_some() {
            return None;
        }
    }
    Some(ids)
}

/// Every way to make a token of two others, the best token first.
fn merges_of(texts: &[&str], scores: &[f32]) -> Vec<Json> {
    let ids: HashMap<&str, usize> = texts.iter().enumerate().map(|(id, text)| (*text, id)).collect();
    let mut merges = Vec::new();
    for (id, text) in texts.iter().enumerate() {
        let score = scores.get(id).copied().unwrap_or_default();
        let cuts = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
        for (a, b) in cuts {
            if let (Some(first), Some(second)) = (ids.get(a), ids.get(b)) {
                merges.push((score, *first, *second, a, b));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    merges.into_iter().map(|(_, _, _, a, b)| json!([a, b])).collect()
}

/// Tokens that are looked for before anything else.
pub(super) fn added(vocab: &Vocab<'_>) -> Vec<Json> {
    let is_added = |kind: i32| [kind::UNKNOWN, kind::CONTROL, kind::USER_DEFINED].contains(&kind);
    let token = |(id, (text, kind)): (usize, (&&str, &i32))| {
        json!({
            "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": *kind != kind::USER_DEFINED,
        })
    };
    let tokens = vocab.texts.iter().zip(&vocab.types).enumerate();
    tokens.filter(|(_, (_, kind))| is_added(**kind)).map(token).collect()
}

/// What stands around a text.
pub(super) fn template(begin: Option<(&str, u32)>, end: Option<(&str, u32)>) -> Json {
    let special = |token: Option<(&str, u32)>, kind: u8| {
        token.map(|(text, _)| json!({"SpecialToken": {"id": text, "type_id": kind}}))
    };
    let sequence = |name: &str, kind: u8| {
        let text = json!({"Sequence": {"id": name, "type_id": kind}});
        special(begin, kind).into_iter().chain([text]).chain(special(end, kind)).collect::<Vec<_>>()
    };
    let tokens: Map<String, Json> = [begin, end]
        .into_iter()
        .flatten()
        .map(|(text, id)| (text.to_owned(), json!({"id": text, "ids": [id], "tokens": [text]})))
        .collect();
    let pair: Vec<Json> = sequence("A", 0).into_iter().chain(sequence("B", 1)).collect();
    json!({"type": "TemplateProcessing", "single": sequence("A", 0), "pair": pair, "special_tokens": tokens})
}
