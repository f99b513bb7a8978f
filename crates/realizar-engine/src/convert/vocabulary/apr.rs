//! The vocabulary inside an `.apr` file: `tokenizer.vocabulary` and its neighbours.

use realizar_format::{Array, TensorSource};
use realizar_model::Fact;
use realizar_tokenize::TokenId;

use super::{ConvertError, Shape, Vocabulary, kind, refused};

/// The keys of such a vocabulary; none if there is none. One with scores says everything; one with merges does not say how
/// texts are cut, and is refused.
pub(super) fn keys(source: &dyn TensorSource) -> Result<Vec<(String, Fact)>, ConvertError> {
    let array = |key: &str| source.metadata(key).and_then(|value| value.as_array());
    let Some(words) = array("tokenizer.vocabulary") else { return Ok(Vec::new()) };
    let words: Option<Vec<&[u8]>> = words.strings().map(Iterator::collect);
    let words = words.ok_or_else(|| refused("`tokenizer.vocabulary` is not a list of texts"))?;
    let model = source.metadata("tokenizer.model_type").and_then(|value| value.as_str()).unwrap_or_default();
    let scores = array("tokenizer.scores").and_then(|scores: Array<'_>| scores.to_f32s());
    let Some(scores) = scores.filter(|_| model.is_empty() || model == "llama") else {
        return Err(refused(
            "`tokenizer.vocabulary` of an .apr file does not say how texts are cut into tokens",
        ));
    };
    if scores.len() != words.len() {
        return Err(refused(format!(
            "`tokenizer.scores` has {} elements, `tokenizer.vocabulary` {}",
            scores.len(),
            words.len()
        )));
    }
    let mut vocabulary = Vocabulary::empty(words.len())?;
    vocabulary.scores = scores;
    for (id, word) in words.iter().enumerate() {
        let word = std::str::from_utf8(word);
        let word = word.map_err(|_| refused(format!("`tokenizer.vocabulary`: token {id} is not UTF-8")))?;
        vocabulary.set(id, word, kind_of(word));
    }
    let number = |key: &str| source.metadata(key).and_then(|value| value.as_u32());
    let unknown = words.iter().position(|word| word == b"<unk>");
    let unknown = unknown.and_then(|id| TokenId::try_from(id).ok());
    let (bos, eos) = (number("tokenizer.bos_token_id"), number("tokenizer.eos_token_id"));
    vocabulary.specials = [bos, eos, unknown, None, None, None, None];
    for id in [bos, eos].into_iter().flatten() {
        if let Some(kind) = vocabulary.types.get_mut(id as usize) {
            *kind = kind::CONTROL;
        }
    }
    let own = Shape::scored(true).keys(&vocabulary.specials, &vocabulary.add);
    let template = source.metadata("chat_template").and_then(|value| value.as_str());
    let template = template.map(|text| ("tokenizer.chat_template".to_owned(), Fact::Text(text.to_owned())));
    Ok(own.into_iter().chain(vocabulary.lists()).chain(template).collect())
}

/// The list has no kinds: those of SentencePiece's own tokens are known by their texts.
fn kind_of(word: &str) -> i32 {
    match word {
        "<unk>" => kind::UNKNOWN,
        "<s>" | "</s>" => kind::CONTROL,
        _ if super::hf::is_byte(word) => kind::BYTE,
        _ => kind::NORMAL,
    }
}
