//! A tokenizer of another format as the keys of a GGUF file.
//!
//! GGUF has a handful of tokenizer models and, for byte-level ones, names for the ways in which texts are cut. Which of
//! them a tokenizer is, is found by trying: the first that gives the same ids for every probe is taken, and if there is
//! none, the tokenizer is refused. What is compared is what a reader of the new file will make of its keys.

mod apr;
mod hf;
mod pieces;
mod shape;

use realizar_format::{PackedArray, TensorSource, Value};
use realizar_model::{Fact, GgufView};
use realizar_tokenize::{Compat, EncodeOptions, TokenId, Tokenizer};

use super::ConvertError;
use super::keys::Keys;
use super::probes::{Probes, Reference};
use crate::EngineError;
use shape::Shape;

const JSON: &str = "tokenizer.json";
const PIECES: &str = "tokenizer.model";

/// The keys of a model's tokenizer; none if it has no tokenizer. `view`: the model without them.
pub(super) fn of(
    source: &dyn TensorSource,
    view: &GgufView<'_>,
) -> Result<Vec<(String, Fact)>, ConvertError> {
    let rows = rows(source);
    let bad = |file| move |source| ConvertError::BadTokenizer { file, source };
    let (vocabulary, original, reference) = if let Some(bytes) = source.companion(JSON) {
        let original = Tokenizer::from_json(&bytes).map_err(bad(JSON))?;
        (hf::read(&bytes, source, &original, rows)?, original, Reference::Json)
    } else if let Some(bytes) = source.companion(PIECES) {
        let original = Tokenizer::from_sentencepiece(&bytes).map_err(bad(PIECES))?;
        (pieces::read(&bytes, source, &original, rows)?, original, Reference::Pieces)
    } else {
        return apr::keys(source);
    };
    let (mut keys, ours) = vocabulary.fitting(view, &original, reference)?;
    keys.extend(ends(source, &original, &ours));
    keys.extend(template(source).map(|text| ("tokenizer.chat_template".to_owned(), Fact::Text(text))));
    Ok(keys)
}

/// Keys for the tokens that end an answer and are not known to do so by their texts: other programs have two more such
/// keys, the list is read by ours.
fn ends(source: &dyn TensorSource, original: &Tokenizer, ours: &Tokenizer) -> Vec<(String, Fact)> {
    let known = ours.eog_ids();
    let more: Vec<TokenId> =
        crate::load::ends(source, original).iter().copied().filter(|id| !known.contains(id)).collect();
    let key = |key: &str| format!("tokenizer.ggml.{key}");
    let mut free = ["eot_token_id", "eom_token_id"]
        .into_iter()
        .filter(|key| *key == "eom_token_id" || ours.eot().is_none());
    let mut keys: Vec<(String, Fact)> = Vec::new();
    for id in &more {
        if let Some(name) = free.next() {
            keys.push((key(name), Fact::Scalar(Value::U32(*id))));
        }
    }
    if !more.is_empty() {
        keys.push((crate::load::ENDS.to_owned(), Fact::List(PackedArray::u32s(more))));
    }
    keys
}

fn refused(why: impl Into<String>) -> ConvertError {
    ConvertError::Tokenizer { why: why.into() }
}

/// Rows of the embedding table: the tokens of a GGUF file are as many.
fn rows(source: &dyn TensorSource) -> usize {
    let key = ["config.vocab_size", "config.text_config.vocab_size", "vocab_size"];
    let found = key.iter().find_map(|key| source.metadata(key).and_then(|value| value.as_u32()));
    found.unwrap_or_default() as usize
}

fn template(source: &dyn TensorSource) -> Option<String> {
    if let Some(text) = source.companion("chat_template.jinja") {
        return Some(String::from_utf8_lossy(&text).into_owned());
    }
    let found = source.metadata("tokenizer_config.chat_template")?;
    found.as_str().map(str::to_owned)
}

/// Numbers of kinds of tokens in a GGUF file.
pub(super) mod kind {
    pub(in crate::convert) const NORMAL: i32 = 1;
    pub(in crate::convert) const UNKNOWN: i32 = 2;
    pub(in crate::convert) const CONTROL: i32 = 3;
    pub(in crate::convert) const USER_DEFINED: i32 = 4;
    pub(in crate::convert) const UNUSED: i32 = 5;
    pub(in crate::convert) const BYTE: i32 = 6;
}

/// The most tokens that are carried over.
const MAX_TOKENS: usize = 1 << 24;
/// The score of a row that no token has: text never becomes it.
const NO_TOKEN: f32 = -10_000.0;

/// Keys of special tokens and what a folder calls them.
const SPECIALS: [(&str, &str); 7] = [
    ("bos_token_id", "bos_token"),
    ("eos_token_id", "eos_token"),
    ("unknown_token_id", "unk_token"),
    ("seperator_token_id", "sep_token"),
    ("padding_token_id", "pad_token"),
    ("cls_token_id", "cls_token"),
    ("mask_token_id", "mask_token"),
];

/// A vocabulary, and what is known of it before the first try.
#[derive(Debug, Default)]
struct Vocabulary {
    tokens: Vec<String>,
    scores: Vec<f32>,
    types: Vec<i32>,
    merges: Vec<String>,
    charsmap: Vec<u8>,
    specials: [Option<TokenId>; 7],
    add: [Option<bool>; 3],
    /// What it may be in GGUF, the likeliest first.
    shapes: Vec<Shape>,
}

impl Vocabulary {
    /// So many rows without tokens.
    fn empty(count: usize) -> Result<Self, ConvertError> {
        if count > MAX_TOKENS {
            return Err(refused(format!("an id is above {MAX_TOKENS}")));
        }
        let tokens = (0..count).map(|id| format!("[PAD{id}]")).collect();
        Ok(Self { tokens, types: vec![kind::UNUSED; count], ..Self::default() })
    }

    fn set(&mut self, at: usize, word: &str, kind: i32) {
        if let (Some(token), Some(old)) = (self.tokens.get_mut(at), self.types.get_mut(at)) {
            word.clone_into(token);
            *old = kind;
        }
    }

    /// What stands around a text says which tokens begin and end one, whatever the folder calls them.
    fn learn(&mut self, around: Around, bert: bool) {
        let Around { begin, end } = around;
        let [bos, eos, _, sep, _, cls, _] = &mut self.specials;
        if bert {
            // GGUF's readers take the one that begins a text from the first of these.
            (*bos, *cls, *sep) = (begin.or(*bos), begin.or(*cls), end.or(*sep));
            return;
        }
        *bos = begin.or(*bos);
        *eos = if end.is_some() && end == *sep { *eos } else { end.or(*eos) };
        let ends_by_eos = end.is_some() && end == *eos;
        self.add = [Some(begin.is_some()), Some(ends_by_eos), (end.is_some() && end == *sep).then_some(true)];
    }

    /// The keys of the first shape that gives the original's ids, and the tokenizer that they are.
    fn fitting(
        self,
        view: &GgufView<'_>,
        original: &Tokenizer,
        reference: Reference,
    ) -> Result<(Vec<(String, Fact)>, Tokenizer), ConvertError> {
        let probes = Probes::of(original, reference);
        let general = ["general.architecture", "general.name"].map(|key| Some((key, view.value(key)?)));
        let general: Vec<(&str, Value<'_>)> = general.into_iter().flatten().collect();
        let lists = self.lists();
        let (mut farthest, mut why) = (0, String::new());
        for shape in &self.shapes {
            let own = shape.keys(&self.specials, &self.add);
            let listed = lists.iter().filter(|(key, _)| shape.wants(key));
            let facts = listed.chain(&own).map(|(key, fact)| (&**key, fact.value()));
            let reader = Keys::new(general.iter().copied().chain(facts));
            let ours = match crate::vocab::tokenizer(&reader, Compat::Original) {
                Ok(ours) => ours,
                Err(EngineError::Tokenizer { source, .. }) => {
                    if why.is_empty() {
                        why = format!("`{shape}`: {source}");
                    }
                    continue;
                }
                Err(error) => return Err(refused(error.to_string())),
            };
            let Some(difference) = probes.difference(&ours, original) else {
                let listed = lists.into_iter().filter(|(key, _)| shape.wants(key));
                return Ok((own.into_iter().chain(listed).collect(), ours));
            };
            if difference.passed >= farthest {
                farthest = difference.passed;
                why = format!("`{shape}` gives other ids for \"{}\"", difference.text);
            }
        }
        Err(refused(format!("no tokenizer model of GGUF gives the same tokens: {why}")))
    }

    /// The keys that are long.
    fn lists(&self) -> Vec<(String, Fact)> {
        let list = |key: &str, list| (format!("tokenizer.ggml.{key}"), Fact::List(list));
        let mut keys = vec![list("tokens", PackedArray::strings(&self.tokens))];
        if !self.scores.is_empty() {
            keys.push(list("scores", PackedArray::f32s(self.scores.iter().copied())));
        }
        keys.push(list("token_type", PackedArray::i32s(self.types.iter().copied())));
        if !self.merges.is_empty() {
            keys.push(list("merges", PackedArray::strings(&self.merges)));
        }
        if !self.charsmap.is_empty() {
            keys.push(list("precompiled_charsmap", PackedArray::u8s(self.charsmap.iter().copied())));
        }
        keys
    }
}

/// Ids of the special tokens, as the files beside the weights name them.
fn specials(source: &dyn TensorSource, original: &Tokenizer) -> [Option<TokenId>; 7] {
    SPECIALS.map(|(ours, theirs)| {
        let named = ["tokenizer_config", "special_tokens_map"]
            .map(|file| [format!("{file}.{theirs}"), format!("{file}.{theirs}.content")]);
        let text =
            named.iter().flatten().find_map(|key| source.metadata(key).and_then(|value| value.as_str()));
        let by_text = text.and_then(|text| original.token_id(text.as_bytes()));
        let by_id = ["config", "generation_config"].iter().find_map(|file| {
            let value = source.metadata(&format!("{file}.{ours}"))?;
            value.as_u32().or_else(|| value.as_array()?.iter().next()?.as_u32())
        });
        by_text.or(by_id)
    })
}

/// The tokens that are put before and behind a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    pub(super) begin: Option<TokenId>,
    pub(super) end: Option<TokenId>,
}

impl Around {
    pub(super) fn of(tokenizer: &Tokenizer) -> Self {
        let ids = |add_special| {
            let options = EncodeOptions { add_special, parse_special: false };
            tokenizer.encode(b"a", options).unwrap_or_default()
        };
        let (with, without) = (ids(true), ids(false));
        let more = with.len().saturating_sub(without.len());
        let begin = with.first().copied().filter(|_| more > 0 && with.first() != without.first());
        let end = with.last().copied().filter(|_| more > usize::from(begin.is_some()));
        Self { begin, end }
    }
}

#[cfg(test)]
mod tests;
