//! The tokenizer of a model file: out of its metadata, or from a file beside its weights.

use realizar_format::{Array, FormatError, TensorSource, Value};
use realizar_tokenize::{Compat, GgufVocab, TokenizeError, Tokenizer};

use crate::EngineError;
use crate::load::file_name;

/// Makes the tokenizer that a model file describes, or that lies beside its weights. The file need not hold weights.
///
/// # Errors
/// [`EngineError::NoTokenizer`] when there is none; a key of the wrong type, or a vocabulary that the tokenizer refuses,
/// with the file's name where there is one.
pub fn tokenizer(source: &dyn TensorSource, compat: Compat) -> Result<Tokenizer, EngineError> {
    let made = if let Some(model) = source.get_str("tokenizer.ggml.model")? {
        from_metadata(source, model, compat)?
    } else if let Some(json) = source.companion("tokenizer.json") {
        Tokenizer::from_json(&json)
    } else if let Some(pieces) = source.companion("tokenizer.model") {
        Tokenizer::from_sentencepiece(&pieces)
    } else {
        return Err(EngineError::NoTokenizer { file: file_name(source) });
    };
    made.map_err(|error| EngineError::Tokenizer { file: file_name(source), source: error })
}

/// The tokenizer of a GGUF file; the inner error is the vocabulary's.
fn from_metadata(
    source: &dyn TensorSource,
    model: &str,
    compat: Compat,
) -> Result<Result<Tokenizer, TokenizeError>, FormatError> {
    let strings = |key| -> Result<Vec<&[u8]>, FormatError> {
        let texts = array(source, key, "an array of strings", |array| array.strings())?;
        Ok(texts.map(Iterator::collect).unwrap_or_default())
    };
    let id = |name: &str| source.get_u32(&format!("tokenizer.ggml.{name}"));
    let flag = |name: &str| source.get_bool(&format!("tokenizer.ggml.{name}"));
    // Files hold the bytes as signed integers too.
    let byte = |value: Value<'_>| u8::try_from(value.as_i128()? & 0xFF).ok();
    let chars_map: Option<Vec<u8>> =
        array(source, "tokenizer.ggml.precompiled_charsmap", "an array of bytes", |array| {
            array.iter().map(byte).collect()
        })?;
    let vocab = GgufVocab {
        model,
        pre: source.get_str("tokenizer.ggml.pre")?,
        tokens: strings("tokenizer.ggml.tokens")?,
        scores: array(source, "tokenizer.ggml.scores", "an array of floats", |array| array.to_f32s())?,
        types: array(source, "tokenizer.ggml.token_type", "an array of integers", |array| array.to_i32s())?,
        merges: strings("tokenizer.ggml.merges")?,
        bos: id("bos_token_id")?,
        eos: id("eos_token_id")?,
        eot: id("eot_token_id")?,
        eom: id("eom_token_id")?,
        unk: id("unknown_token_id")?,
        sep: id("seperator_token_id")?,
        pad: id("padding_token_id")?,
        cls: id("cls_token_id")?,
        mask: id("mask_token_id")?,
        add_bos: flag("add_bos_token")?,
        add_eos: flag("add_eos_token")?,
        add_sep: flag("add_sep_token")?,
        add_space_prefix: flag("add_space_prefix")?,
        remove_extra_whitespaces: flag("remove_extra_whitespaces")?,
        precompiled_charsmap: chars_map.as_deref(),
        lowercase: flag("normalizer.lowercase")?,
        strip_accents: flag("normalizer.strip_accents")?,
        name: source.get_str("general.name")?,
        architecture: source.get_str("general.architecture")?,
    };
    Ok(Tokenizer::from_gguf(&vocab, compat))
}

/// The array behind `key` as `read` takes it; one that it does not take is refused.
fn array<'a, T>(
    source: &'a dyn TensorSource,
    key: &str,
    expected: &'static str,
    read: impl FnOnce(Array<'a>) -> Option<T>,
) -> Result<Option<T>, FormatError> {
    let Some(found) = source.get_array(key)? else { return Ok(None) };
    let wrong = || {
        let error =
            FormatError::WrongType { key: key.to_owned(), found: format!("array {found:?}"), expected };
        match source.path() {
            Some(path) => FormatError::InFile { path: path.to_owned(), error: Box::new(error) },
            None => error,
        }
    };
    read(found).ok_or_else(wrong).map(Some)
}
