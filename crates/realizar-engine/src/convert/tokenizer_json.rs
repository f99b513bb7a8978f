//! A vocabulary with scores, as GGUF has it, as the `tokenizer.json` that other programs read.

use std::collections::HashMap;

use realizar_format::Value;
use realizar_model::GgufView;
use realizar_tokenize::{Compat, EncodeOptions, GgufVocab, Tokenizer};
use serde_json::{Map, Value as Json, json};

use super::vocabulary::{PROBES, kind};

/// The text of the file; `None` for tokenizer models that are not written, and where the result would give other ids.
pub(super) fn of(view: &GgufView<'_>) -> Option<String> {
    let key = |key: &str| view.value(&format!("tokenizer.ggml.{key}"));
    if key("model")?.as_str()? != "llama" {
        return None;
    }
    let tokens: Vec<&[u8]> = key("tokens")?.as_array()?.strings()?.collect();
    let texts: Vec<&str> =
        tokens.iter().map(|token| std::str::from_utf8(token).ok()).collect::<Option<_>>()?;
    let scores = key("scores")?.as_array()?.to_f32s()?;
    let types = key("token_type")?.as_array()?.to_i32s()?;
    let id = |name: &str| key(name).and_then(|id| id.as_u32());
    let flag = |name: &str, or: bool| key(name).and_then(|flag| flag.as_bool()).unwrap_or(or);
    let (bos, eos, unk) = (id("bos_token_id"), id("eos_token_id"), id("unknown_token_id"));
    let (add_bos, add_eos) = (flag("add_bos_token", true), flag("add_eos_token", false));
    let space = flag("add_space_prefix", true);

    let text_of = |id: Option<u32>| id.and_then(|id| texts.get(id as usize)).copied();
    let around = |add: bool, id: Option<u32>| text_of(id.filter(|_| add));
    let unknown = text_of(unk);
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"});
    let normalizers = match space {
        true => json!([{"type": "Prepend", "prepend": "\u{2581}"}, replace]),
        false => json!([replace]),
    };
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if space {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let text = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added(&texts, &types),
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": null,
        "post_processor": template(around(add_bos, bos).zip(bos), around(add_eos, eos).zip(eos)),
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocab(&texts)?, "merges": merges(&texts, &scores),
        },
    })
    .to_string();
    let vocabulary = GgufVocab {
        model: "llama",
        tokens,
        scores: Some(scores),
        types: Some(types),
        bos,
        eos,
        unk,
        add_bos: Some(add_bos),
        add_eos: Some(add_eos),
        add_space_prefix: Some(space),
        ..GgufVocab::default()
    };
    let ours = Tokenizer::from_gguf(&vocabulary, Compat::Original).ok()?;
    let theirs = Tokenizer::from_json(text.as_bytes()).ok()?;
    let ids = |tokenizer: &Tokenizer, text: &str, add_special| {
        tokenizer.encode(text.as_bytes(), EncodeOptions { add_special, parse_special: true }).ok()
    };
    let agrees = PROBES
        .iter()
        .all(|text| [false, true].iter().all(|add| ids(&ours, text, *add) == ids(&theirs, text, *add)));
    agrees.then_some(text)
}

/// Tokens by their texts; `None` if two have the same.
fn vocab(texts: &[&str]) -> Option<Map<String, Json>> {
    let mut vocab = Map::new();
    for (id, text) in texts.iter().enumerate() {
        if vocab.insert((*text).to_owned(), id.into()).is_some() {
            return None;
        }
    }
    Some(vocab)
}

/// Every way to make a token of two others, the best token first.
fn merges(texts: &[&str], scores: &[f32]) -> Vec<Json> {
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

fn added(texts: &[&str], types: &[i32]) -> Vec<Json> {
    let is_added = |kind: i32| [kind::UNKNOWN, kind::CONTROL, kind::USER_DEFINED].contains(&kind);
    let token = |(id, (text, kind)): (usize, (&&str, &i32))| {
        json!({
            "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": *kind != kind::USER_DEFINED,
        })
    };
    texts.iter().zip(types).enumerate().filter(|(_, (_, kind))| is_added(**kind)).map(token).collect()
}

/// What stands around a text.
fn template(bos: Option<(&str, u32)>, eos: Option<(&str, u32)>) -> Json {
    let special = |token: Option<(&str, u32)>, kind: u8| {
        token.map(|(text, _)| json!({"SpecialToken": {"id": text, "type_id": kind}}))
    };
    let sequence = |name: &str, kind: u8| {
        let text = json!({"Sequence": {"id": name, "type_id": kind}});
        special(bos, kind).into_iter().chain([text]).chain(special(eos, kind)).collect::<Vec<_>>()
    };
    let tokens: Map<String, Json> = [bos, eos]
        .into_iter()
        .flatten()
        .map(|(text, id)| (text.to_owned(), json!({"id": text, "ids": [id], "tokens": [text]})))
        .collect();
    let pair: Vec<Json> = sequence("A", 0).into_iter().chain(sequence("B", 1)).collect();
    json!({"type": "TemplateProcessing", "single": sequence("A", 0), "pair": pair, "special_tokens": tokens})
}

/// Whether a model has a vocabulary at all.
pub(super) fn is_there(view: &GgufView<'_>) -> bool {
    matches!(view.value("tokenizer.ggml.tokens"), Some(Value::Array(_)))
}
