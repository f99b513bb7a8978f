//! A `tokenizer.json`.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use realizar_format::TensorSource;
use realizar_tokenize::Tokenizer;
use serde_json::Value as Json;

use super::{Around, ConvertError, NO_TOKEN, Shape, Vocabulary, kind, refused, specials};

/// BERT's longest word, in characters: GGUF has no key for another length.
const LONGEST_WORD: u64 = 100;

/// The vocabulary of a file that `original` was made of.
pub(super) fn read(
    bytes: &[u8],
    source: &dyn TensorSource,
    original: &Tokenizer,
    rows: usize,
) -> Result<Vocabulary, ConvertError> {
    // It was read as JSON just now.
    let json: Json = serde_json::from_slice(bytes).map_err(|_| refused("tokenizer.json is not JSON"))?;
    let model = &json["model"];
    let kind = match model["type"].as_str() {
        Some(kind) => kind,
        None if model["merges"].is_array() => "BPE",
        None if !model["unk_id"].is_null() => "Unigram",
        None if model["continuing_subword_prefix"].is_string() => "WordPiece",
        None => "WordLevel",
    };
    let words = words(model)?;
    let added = added(&json)?;
    let ids = words.iter().map(|word| word.0).chain(added.iter().map(|token| token.0));
    let count = ids.max().map_or(0, |id| id.saturating_add(1)).max(rows);
    let mut vocabulary = Vocabulary::empty(count)?;
    let has_bytes = model["byte_fallback"] == true;
    for (id, word, _) in &words {
        let is_byte = has_bytes && is_byte(word);
        vocabulary.set(*id, word, if is_byte { kind::BYTE } else { kind::NORMAL });
    }
    for (id, word, special) in &added {
        vocabulary.set(*id, word, if *special { kind::CONTROL } else { kind::USER_DEFINED });
    }
    vocabulary.specials = specials(source, original);
    let is_word_based = matches!(kind, "WordPiece" | "WordLevel");
    vocabulary.learn(Around::of(original), is_word_based);
    let by_text = model["unk_token"].as_str().and_then(|text| original.token_id(text.as_bytes()));
    let by_id = model["unk_id"].as_u64().and_then(|id| u32::try_from(id).ok());
    let unknown = by_text.or(by_id);
    if let Some(unknown) = unknown {
        vocabulary.specials[2] = Some(unknown);
        // What is no added token is no special one either: its text is text.
        let is_special = added.iter().any(|(id, ..)| *id == unknown as usize);
        if is_special
            && (kind == "Unigram" || has_bytes)
            && let Some(kind) = vocabulary.types.get_mut(unknown as usize)
        {
            *kind = kind::UNKNOWN;
        }
    }
    match kind {
        "BPE" => {
            let has_affix = |key: &str| model[key].as_str().is_some_and(|affix| !affix.is_empty());
            if has_affix("continuing_subword_prefix") || has_affix("end_of_word_suffix") {
                return Err(refused("GGUF has no place for the affixes of its pieces"));
            }
            let pairs = pairs(&model["merges"]);
            if has_bytes {
                vocabulary.scores = scores(&pairs, &vocabulary);
                vocabulary.shapes = vec![Shape::scored(true), Shape::scored(false), Shape::raw_merges()];
            } else {
                vocabulary.shapes = Shape::byte_level();
            }
            vocabulary.merges = pairs.into_iter().map(|(a, b)| format!("{a} {b}")).collect();
        }
        "Unigram" => {
            vocabulary.scores = vec![NO_TOKEN; count];
            for (id, _, score) in &words {
                if let Some(slot) = vocabulary.scores.get_mut(*id) {
                    *slot = *score;
                }
            }
            vocabulary.charsmap = charsmap(&json["normalizer"]).unwrap_or_default();
            vocabulary.shapes = [(true, true), (true, false), (false, true), (false, false)]
                .map(|(space, squeeze)| Shape::unigram(space, squeeze))
                .to_vec();
        }
        "WordPiece" | "WordLevel" => {
            let longest = model["max_input_chars_per_word"].as_u64().unwrap_or(LONGEST_WORD);
            if kind == "WordPiece" && longest != LONGEST_WORD {
                return Err(refused(format!(
                    "words of more than {longest} characters are unknown to it, in GGUF those of more than {LONGEST_WORD}"
                )));
            }
            let prefix = model["continuing_subword_prefix"].as_str().filter(|_| kind == "WordPiece");
            mark_beginnings(&mut vocabulary, prefix);
            let normalizer = json["normalizer"].to_string();
            let lowercase = normalizer.contains("\"lowercase\":true");
            let strips = normalizer.contains("\"strip_accents\":true");
            let strips_too = strips || lowercase && !normalizer.contains("\"strip_accents\":false");
            vocabulary.shapes =
                [(None, None), (Some(lowercase), Some(strips_too)), (Some(lowercase), Some(strips))]
                    .map(|(lowercase, strips)| Shape::words(lowercase, strips))
                    .to_vec();
        }
        other => return Err(refused(format!("its model is {other:?}, which is not carried to GGUF"))),
    }
    Ok(vocabulary)
}

pub(super) fn is_byte(word: &str) -> bool {
    let hex = word.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    hex.is_some_and(|hex| hex.len() == 2 && u8::from_str_radix(hex, 16).is_ok())
}

/// Ids, texts and scores: the vocabulary is an object of ids, or a list of texts with scores.
fn words(model: &Json) -> Result<Vec<(usize, &str, f32)>, ConvertError> {
    let id = |id: &Json| id.as_u64().and_then(|id| usize::try_from(id).ok());
    let words: Option<Vec<(usize, &str, f32)>> = match &model["vocab"] {
        Json::Object(words) => words.iter().map(|(word, at)| Some((id(at)?, &**word, 0.0))).collect(),
        Json::Array(list) => {
            let rows = list.iter().enumerate();
            rows.map(|(at, row)| Some((at, row.get(0)?.as_str()?, row.get(1)?.as_f64()? as f32))).collect()
        }
        _ => None,
    };
    words.ok_or_else(|| refused("its vocabulary is neither texts with ids nor texts with scores"))
}

/// Ids, texts, and whether they are special.
fn added(json: &Json) -> Result<Vec<(usize, &str, bool)>, ConvertError> {
    let list = json["added_tokens"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut tokens = Vec::with_capacity(list.len());
    for token in list {
        let id = token["id"].as_u64().and_then(|id| usize::try_from(id).ok());
        let (Some(id), Some(text)) = (id, token["content"].as_str()) else {
            return Err(refused("an added token has no id or no text"));
        };
        tokens.push((id, text, token["special"] == true));
    }
    Ok(tokens)
}

/// Merges are strings, or pairs where tokens hold spaces.
fn pairs(merges: &Json) -> Vec<(String, String)> {
    let pair = |merge: &Json| match merge {
        Json::String(text) => text.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())),
        Json::Array(pair) => Some((pair.first()?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned())),
        _ => None,
    };
    merges.as_array().into_iter().flatten().filter_map(pair).collect()
}

/// Scores that say the same as a list of merges.
fn scores(pairs: &[(String, String)], vocabulary: &Vocabulary) -> Vec<f32> {
    let ids: HashMap<&str, usize> =
        vocabulary.tokens.iter().enumerate().map(|(id, token)| (&**token, id)).collect();
    // Tokens that no merge makes are never merged to: they are single characters, bytes and special ones.
    let mut scores = vec![0.0; vocabulary.tokens.len()];
    for (rank, (a, b)) in pairs.iter().enumerate().rev() {
        let made = ids.get(&*format!("{a}{b}")).and_then(|id| scores.get_mut(*id));
        if let Some(score) = made {
            *score = -(rank as f32) - 1.0;
        }
    }
    let unmade = -(pairs.len() as f32) - 2.0;
    for (score, kind) in scores.iter_mut().zip(&vocabulary.types) {
        if *score == 0.0 && *kind == kind::NORMAL {
            *score = unmade;
        }
    }
    scores
}

/// The table of a normaliser, wherever it stands in a list of steps.
fn charsmap(normalizer: &Json) -> Option<Vec<u8>> {
    if normalizer["type"] == "Precompiled" {
        return STANDARD.decode(normalizer["precompiled_charsmap"].as_str()?).ok();
    }
    normalizer["normalizers"].as_array()?.iter().find_map(charsmap)
}

/// GGUF marks what begins a word, not what goes on.
fn mark_beginnings(vocabulary: &mut Vocabulary, prefix: Option<&str>) {
    for (token, kind) in vocabulary.tokens.iter_mut().zip(&vocabulary.types) {
        match prefix.and_then(|prefix| token.strip_prefix(prefix)) {
            _ if *kind != kind::NORMAL => {}
            Some(rest) => *token = rest.to_owned(),
            None => token.insert(0, '\u{2581}'),
        }
    }
}
