//! A vocabulary, as GGUF has it, as the `tokenizer.json` that other programs read.
//!
//! What GGUF says by a tokenizer model and a name for the cutting, the file says by steps. Several may do; the first that
//! gives the same ids for every probe is taken.

mod parts;
mod steps;

use realizar_format::Value;
use realizar_model::GgufView;
use realizar_tokenize::{Compat, Tokenizer};
use serde_json::{Map, Value as Json, json};

use super::keys::Keys;
use super::probes::{Probes, Reference};
use super::vocabulary::{Around, kind};
use steps::Steps;

/// A vocabulary by its keys.
#[derive(Debug)]
struct Vocab<'a> {
    texts: Vec<&'a str>,
    types: Vec<i32>,
    scores: Option<Vec<f32>>,
    merges: Vec<&'a str>,
    charsmap: Vec<u8>,
    unknown: Option<u32>,
}

/// The text of the file, or why there is none: the tokenizer model is not written, or the result would give other ids.
pub(super) fn of(view: &GgufView<'_>) -> Result<String, String> {
    let reader = Keys::new(view.metadata());
    let original = crate::vocab::tokenizer(&reader, Compat::Original).map_err(|error| error.to_string())?;
    let key = |key: &str| view.value(&format!("tokenizer.ggml.{key}"));
    let word = |name: &str| key(name).and_then(|value| value.as_str());
    let flag = |name: &str| key(name).and_then(|value| value.as_bool());
    let vocab = vocab(view).ok_or("a token is not UTF-8, or has no kind")?;
    let model = word("model").unwrap_or_default();
    let candidates = match model {
        "llama" => steps::scored(flag("add_space_prefix").unwrap_or(true)),
        "gpt2" => steps::byte_level(word("pre").unwrap_or_default()),
        "bert" => {
            let lowercase = flag("normalizer.lowercase").unwrap_or(true);
            steps::words(lowercase, flag("normalizer.strip_accents").unwrap_or(lowercase))
        }
        "t5" => steps::unigram(&vocab.charsmap),
        _ => return Err(format!("no tokenizer.json is written of `{model}`")),
    };
    let mut json = whole(&vocab, model, Around::of(&original))
        .ok_or("two tokens have the same text, or the scores are missing")?;
    let probes = Probes::of(&original, Reference::Json);
    let mut farthest = 0;
    let mut why = format!("no steps of a tokenizer.json are known for `{}`", word("pre").unwrap_or(model));
    for steps in candidates {
        let Steps { normalizer, pre_tokenizer, decoder, ignore_merges } = steps;
        let parts = [("normalizer", normalizer), ("pre_tokenizer", pre_tokenizer), ("decoder", decoder)];
        for (key, part) in parts {
            json.insert(key.to_owned(), part);
        }
        if let Some(Json::Object(model)) = json.get_mut("model").filter(|_| ignore_merges) {
            model.insert("ignore_merges".to_owned(), true.into());
        }
        let text = serde_json::to_string(&json).map_err(|error| error.to_string())?;
        let theirs = Tokenizer::from_json(text.as_bytes()).map_err(|error| error.to_string())?;
        match probes.difference(&theirs, &original) {
            None => return Ok(text),
            Some(difference) if difference.passed >= farthest => {
                farthest = difference.passed;
                why = format!("it would give other ids for \"{}\"", difference.text);
            }
            Some(_) => {}
        }
    }
    Err(why)
}

fn vocab<'v>(view: &'v GgufView<'_>) -> Option<Vocab<'v>> {
    let key = |key: &str| view.value(&format!("tokenizer.ggml.{key}"));
    let texts = |name: &str| -> Option<Vec<&'v str>> {
        key(name)?.as_array()?.strings()?.map(|text| std::str::from_utf8(text).ok()).collect()
    };
    let byte = |value: Value<'_>| Some((value.as_i128()? & 0xFF) as u8);
    let charsmap =
        || -> Option<Vec<u8>> { key("precompiled_charsmap")?.as_array()?.iter().map(byte).collect() };
    let tokens = texts("tokens")?;
    // A file without kinds has ordinary tokens only.
    let types = match key("token_type") {
        Some(types) => types.as_array()?.to_i32s()?,
        None => vec![kind::NORMAL; tokens.len()],
    };
    Some(Vocab {
        texts: tokens,
        types,
        scores: key("scores").and_then(|scores| scores.as_array()?.to_f32s()),
        merges: texts("merges").unwrap_or_default(),
        charsmap: charsmap().unwrap_or_default(),
        unknown: key("unknown_token_id").and_then(|id| id.as_u32()),
    })
}

/// All but the steps; `None` if two tokens have the same text, or scores are missing.
fn whole(vocab: &Vocab<'_>, model: &str, around: Around) -> Option<Map<String, Json>> {
    let text_of = |id: Option<u32>| id.and_then(|id| vocab.texts.get(id as usize)).copied();
    let (begin, end) = (text_of(around.begin).zip(around.begin), text_of(around.end).zip(around.end));
    let model = match model {
        "llama" => parts::scored(vocab, text_of(vocab.unknown.or(Some(0))))?,
        "gpt2" => parts::merged(vocab)?,
        "bert" => parts::words(vocab, text_of(vocab.unknown.or(Some(100)))?)?,
        _ => parts::unigram(vocab, vocab.unknown.unwrap_or(2))?,
    };
    let json = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": parts::added(vocab),
        "normalizer": null,
        "pre_tokenizer": null,
        "post_processor": parts::template(begin, end),
        "decoder": null,
        "model": model,
    });
    match json {
        Json::Object(json) => Some(json),
        _ => None,
    }
}

/// Whether a model has a vocabulary at all.
pub(super) fn is_there(view: &GgufView<'_>) -> bool {
    matches!(view.value("tokenizer.ggml.tokens"), Some(Value::Array(_)))
}
