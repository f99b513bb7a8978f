//! Hugging Face `tokenizer.json` files.

mod added;
mod aligned;
mod decode;
mod encoding;
mod generated_unscripted;
mod json;
mod lossy;
mod model;
mod normalize;
mod post;
mod pretokenize;
pub(crate) mod tekken;
mod tree;
mod typed;
mod vocab;

use std::borrow::Cow;

use rustc_hash::FxHashSet;

use crate::bpe::BpeScratch;
use crate::sink::Sink;
use crate::wanted::Wanted;
use crate::{TokenId, TokenizeError, Warning, bytelevel};
use added::AddedTokens;
use aligned::Aligned;
use decode::Decoder;
pub use encoding::Encoding;
use encoding::{Padding, Truncation};
use json::At;
pub(crate) use lossy::Lossy;
use model::Model;
use normalize::Normalizer;
use post::Post;
use pretokenize::PreTokenizer;
use typed::{Typed, barred};

/// Where the file names the token that fills up.
const PAD_ID: &str = "padding.pad_id";

/// The whole file.
#[derive(Debug)]
pub(crate) struct HfTokenizer {
    added: AddedTokens,
    normalizer: Option<Normalizer>,
    pre_tokenizer: Option<PreTokenizer>,
    model: Model,
    post: Option<Post>,
    decoder: Option<Decoder>,
    truncation: Option<Truncation>,
    padding: Option<Padding>,
    /// Special tokens that the model itself makes of their text.
    barred: FxHashSet<TokenId>,
    pub(crate) warnings: Vec<Warning>,
}

impl HfTokenizer {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, TokenizeError> {
        let (value, repeated) = tree::parse(bytes)?;
        let root = At::root(&value);
        let mut warnings = Vec::new();
        if let Some(first) = repeated.first() {
            warnings.push(Warning::RepeatedFields { count: repeated.len(), first: first.clone() });
        }
        let normalizer = root.get("normalizer").map(|at| Normalizer::read(&at, 0)).transpose()?;
        let mut pre_tokenizer = root.get("pre_tokenizer").map(|at| PreTokenizer::read(&at, 0)).transpose()?;
        let spell = pre_tokenizer.as_mut().and_then(PreTokenizer::last_spelling);
        let model = Model::read(&root.need("model")?, spell.is_some(), &mut warnings)?;
        if let Some(spell) = spell {
            *spell = !model.takes_bytes();
        }
        let added = AddedTokens::read(&root, normalizer.as_ref(), &model, &mut warnings)?;
        let post = root.get("post_processor").map(|at| Post::read(&at, 0)).transpose()?;
        let vocab = model.texts.len().max(added.end() as usize);
        if let Some(id) = post.as_ref().and_then(Post::highest).filter(|id| *id as usize >= vocab) {
            let what = format!("it adds the id {id}, the vocabulary has {vocab} tokens");
            return Err(root.need("post_processor")?.error(&what));
        }
        let decoder = root.get("decoder").map(|at| Decoder::read(&at, 0)).transpose()?;
        let truncation = root.get("truncation").map(|at| Truncation::read(&at)).transpose()?;
        let padding = root.get("padding").map(|at| Padding::read(&at)).transpose()?;
        for (what, there) in [("truncation", truncation.is_some()), ("padding", padding.is_some())] {
            if there {
                warnings.push(Warning::NotApplied { what });
            }
        }
        if let Some(id) = padding.map(|padding| padding.id).filter(|id| *id as usize >= vocab) {
            warnings.push(Warning::SpecialIdRefused { key: PAD_ID, id, vocab });
        }
        let barred = barred(&model, added.specials());
        Ok(Self {
            added,
            normalizer,
            pre_tokenizer,
            model,
            post,
            decoder,
            truncation,
            padding,
            barred,
            warnings,
        })
    }

    pub(crate) fn vocab_len(&self) -> usize {
        self.model.texts.len().max(self.added.end() as usize)
    }

    /// The token of an id as the file spells it; empty where there is none.
    pub(crate) fn text(&self, id: TokenId) -> &[u8] {
        self.added.text(id).map_or_else(|| self.model.texts.text(id), str::as_bytes)
    }

    pub(crate) fn find(&self, text: &[u8]) -> Option<TokenId> {
        self.added.find(text).or_else(|| self.model.texts.find(text).filter(|_| !text.is_empty()))
    }

    pub(crate) fn is_special(&self, id: TokenId) -> bool {
        std::str::from_utf8(self.text(id)).is_ok_and(|text| self.added.is_special(text))
    }

    /// The special tokens' ids.
    pub(crate) fn specials(&self) -> impl Iterator<Item = TokenId> + '_ {
        self.added.specials()
    }

    /// Ids of one text; places are bytes of the text.
    fn text_tokens(
        &self,
        text: Cow<'_, str>,
        wanted: Wanted<'_>,
        places: bool,
        scratch: &mut BpeScratch,
        sink: &mut dyn Placed,
    ) -> Result<(), TokenizeError> {
        // Where the text is guarded somebody asks for places.
        let whole = Aligned::new(text, 0, places || wanted.is_guarded());
        self.added.cut(whole, false, wanted, &mut |piece, id| {
            if let Some(id) = id {
                let place = piece.place(0, piece.text.len());
                sink.added(id, place, &piece.text);
                return Ok(());
            }
            let mut piece = piece;
            if let Some(normalizer) = &self.normalizer {
                normalizer.apply(&mut piece)?;
            }
            self.added.cut(piece, true, wanted, &mut |piece, id| {
                if let Some(id) = id {
                    let place = piece.place(0, piece.text.len());
                    sink.added(id, place, &piece.text);
                    return Ok(());
                }
                match &self.pre_tokenizer {
                    None if piece.text.is_empty() => Ok(()),
                    None => self.word(&piece, wanted, scratch, sink.as_sink()),
                    Some(pre) => pre.apply(piece, &mut |word| {
                        if word.text.is_empty() {
                            Ok(())
                        } else {
                            self.word(&word, wanted, scratch, sink.as_sink())
                        }
                    }),
                }
            })
        })
    }

    /// One word; special tokens come out of it only where they are looked for.
    fn word(
        &self,
        word: &Aligned<'_>,
        wanted: Wanted<'_>,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
    ) -> Result<(), TokenizeError> {
        if self.barred.is_empty() || (wanted.looks_for_special() && !wanted.is_guarded()) {
            return self.model.word(word, scratch, sink);
        }
        let mut typed = Typed::new(&self.model, &self.barred, word, wanted, sink);
        self.model.part(word, 0..word.text.len(), scratch, &mut typed)?;
        typed.finish()
    }

    /// The ids with their places, and the ends where they are wanted.
    pub(crate) fn encode(
        &self,
        text: Cow<'_, str>,
        wanted: Wanted<'_>,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
        places: bool,
    ) -> Result<(), TokenizeError> {
        // A template may leave the text out, or repeat it, even where no special tokens are wanted.
        let ends = self.post.as_ref().map_or(Some((Vec::new(), Vec::new())), Post::ends);
        if let Some((before, after)) = ends.filter(|_| !places) {
            let special = |ids: &[TokenId], sink: &mut dyn Sink| {
                if wanted.add_special {
                    ids.iter().for_each(|id| sink.token(*id, 0, 0));
                }
            };
            special(&before, sink);
            self.text_tokens(text, wanted, false, scratch, &mut Plain(sink))?;
            special(&after, sink);
        } else {
            let encoding = self.encoding(&text, None, wanted, false, scratch)?;
            for (id, (start, end)) in encoding.ids.iter().zip(encoding.offsets) {
                sink.token(*id, start, end);
            }
        }
        Ok(())
    }

    /// Everything about one text or a pair. `to_length`: applies the file's truncation and padding.
    pub(crate) fn encoding(
        &self,
        text: &str,
        pair: Option<&str>,
        wanted: Wanted<'_>,
        to_length: bool,
        scratch: &mut BpeScratch,
    ) -> Result<Encoding, TokenizeError> {
        let mut parts = Vec::new();
        for (text, type_id) in std::iter::once(text).chain(pair).zip(0..) {
            let mut collect = Collect { tokenizer: self, out: Encoding::default() };
            self.text_tokens(Cow::Borrowed(text), wanted, true, scratch, &mut collect)?;
            collect.out.set_type(type_id);
            parts.push(collect.out);
        }
        if let Some(truncation) = self.truncation.filter(|_| to_length) {
            let wanted = self.post.as_ref().filter(|_| wanted.add_special);
            truncation.apply(&mut parts, wanted.map_or(0, |post| post.added(pair.is_some())));
        }
        if let Some(post) = &self.post {
            let texts: Vec<&str> = std::iter::once(text).chain(pair).collect();
            post.apply(&mut parts, &texts, wanted.add_special);
        }
        let mut encoding = post::concat(parts);
        if let Some(padding) = self.padding.filter(|_| to_length) {
            let (id, vocab) = (padding.id, self.vocab_len());
            if id as usize >= vocab {
                return Err(TokenizeError::SpecialIdOutOfRange { key: PAD_ID, id, vocab });
            }
            padding.apply(&mut encoding);
        }
        Ok(encoding)
    }

    /// Appends the bytes of a token, where they do not depend on others.
    pub(crate) fn push_bytes(&self, id: TokenId, keep_special: bool, out: &mut Vec<u8>) -> bool {
        let Some(Decoder::ByteLevel) = &self.decoder else { return false };
        let text = self.text(id);
        if (keep_special || !self.is_special(id)) && !bytelevel::unspell(text, out) {
            out.extend_from_slice(text);
        }
        true
    }

    /// The words that a text without added tokens is cut into.
    pub(crate) fn words(&self, text: &str) -> Result<Vec<Vec<u8>>, TokenizeError> {
        let mut piece = Aligned::new(text, 0, false);
        if let Some(normalizer) = &self.normalizer {
            normalizer.apply(&mut piece)?;
        }
        let mut out = Vec::new();
        let mut emit = |word: Aligned<'_>| {
            out.push(word.text.as_bytes().to_vec());
            Ok(())
        };
        match &self.pre_tokenizer {
            None => emit(piece)?,
            Some(pre) => pre.apply(piece, &mut emit)?,
        }
        Ok(out)
    }

    pub(crate) fn decode(&self, ids: &[TokenId], keep_special: bool) -> Result<String, TokenizeError> {
        let shown = ids.iter().filter(|id| keep_special || !self.is_special(**id)).map(|id| self.text(*id));
        let texts: Vec<String> = shown
            .filter(|text| !text.is_empty())
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect();
        Ok(match &self.decoder {
            Some(decoder) => decoder.apply(texts)?.concat(),
            None => texts.join(" "),
        })
    }
}

/// A sink that is told of added tokens, too.
trait Placed {
    fn added(&mut self, id: TokenId, place: (usize, usize), text: &str);
    fn as_sink(&mut self) -> &mut dyn Sink;
}

/// Only what a plain sink wants.
struct Plain<'a>(&'a mut dyn Sink);

impl Placed for Plain<'_> {
    fn added(&mut self, id: TokenId, place: (usize, usize), _text: &str) {
        self.0.token(id, place.0, place.1);
    }

    fn as_sink(&mut self) -> &mut dyn Sink {
        self.0
    }
}

/// Collects an encoding.
struct Collect<'a> {
    tokenizer: &'a HfTokenizer,
    out: Encoding,
}

impl Placed for Collect<'_> {
    fn added(&mut self, id: TokenId, place: (usize, usize), text: &str) {
        self.out.push(id, place, text.to_owned());
    }

    fn as_sink(&mut self) -> &mut dyn Sink {
        self
    }
}

impl Sink for Collect<'_> {
    fn token(&mut self, id: TokenId, start: usize, end: usize) {
        let text = String::from_utf8_lossy(self.tokenizer.text(id)).into_owned();
        self.out.push(id, (start, end), text);
    }
}
