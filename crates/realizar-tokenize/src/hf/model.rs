//! Models of `tokenizer.json`.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::aligned::Aligned;
use super::json::At;
use super::tree::Row;
use super::vocab;
use crate::bpe::{Affixes, Bpe, BpeScratch, Fallback, MAX_MERGES, Unit, Unknown};
use crate::gguf::hex_byte_tokens;
use crate::lexicon::Lexicon;
use crate::sink::Sink;
use crate::trie::Trie;
use crate::unigram::{Precision, Unigram};
use crate::wordpiece::WordPiece;
use crate::{TokenId, TokenizeError, Warning, bytelevel};

/// Most ids that are accepted.
pub(super) const MAX_IDS: usize = 4_194_304;
pub(super) const MAX_TOKEN_BYTES: usize = 65_535;

/// A model and its vocabulary.
#[derive(Debug)]
pub(super) struct Model {
    kind: Kind,
    /// Tokens by id; a hole is empty.
    pub(super) texts: Arc<Lexicon>,
    /// Number of entries, holes left out.
    pub(super) entries: usize,
}

#[derive(Debug)]
enum Kind {
    Bpe(Box<Bpe>),
    WordPiece(WordPiece),
    WordLevel { unknown: Option<TokenId> },
    Unigram(Box<Unigram>),
}

fn byte_tokens(texts: &Lexicon, wanted: bool) -> Box<[Option<TokenId>; 256]> {
    if !wanted {
        return Box::new([None; 256]);
    }
    let mut tokens = hex_byte_tokens(texts);
    for (byte, slot) in tokens.iter_mut().enumerate() {
        *slot = slot.or_else(|| texts.alias(format!("<0x{byte:02X}>").as_bytes()));
    }
    tokens
}

impl Model {
    /// Reads a model. `byte_level`: its words come in GPT-2's alphabet, or as bytes where it takes them.
    pub(super) fn read(
        at: &At<'_>,
        byte_level: bool,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, TokenizeError> {
        let default = if at.get("merges").is_some() {
            "BPE"
        } else if at.get("unk_id").is_some() {
            "Unigram"
        } else if at.get("continuing_subword_prefix").is_some() {
            "WordPiece"
        } else {
            "WordLevel"
        };
        at.once("type")?;
        match at.text_of("type", default)? {
            "BPE" => bpe(at, byte_level, warnings),
            "WordPiece" => {
                let (texts, entries) = vocab::read(&at.need("vocab")?, warnings)?;
                let prefix = at.text_of("continuing_subword_prefix", "##")?.as_bytes();
                let unknown = unknown_of(at, &texts, "[UNK]")?;
                let keys = || (0..texts.len() as u32).map(|id| (texts.text(id), id)).chain(texts.aliases());
                let rest = Trie::new(keys().filter_map(|(text, id)| Some((text.strip_prefix(prefix)?, id))));
                let max_chars =
                    at.get("max_input_chars_per_word").map_or(Ok(100), |at| at.number())? as usize;
                let unknown =
                    unknown.ok_or_else(|| at.error("the unknown token is not in the vocabulary"))?;
                Ok(Self {
                    kind: Kind::WordPiece(WordPiece::new(Trie::new(keys()), rest, unknown, max_chars)),
                    texts,
                    entries,
                })
            }
            "WordLevel" => {
                let (texts, entries) = vocab::read(&at.need("vocab")?, warnings)?;
                let unknown = unknown_of(at, &texts, "<unk>")?;
                Ok(Self { kind: Kind::WordLevel { unknown }, texts, entries })
            }
            "Unigram" => unigram(at, warnings),
            _ => Err(at.unknown("model")),
        }
    }

    /// Whether its words are bytes, not spelt in GPT-2's alphabet.
    pub(super) fn takes_bytes(&self) -> bool {
        matches!(&self.kind, Kind::Bpe(bpe) if bpe.takes_bytes())
    }

    /// The ids of some of its tokens, found in one pass over all of them: the index may not be there.
    pub(super) fn ids_of<'t>(&self, wanted: &FxHashSet<&'t str>) -> FxHashMap<&'t str, TokenId> {
        if self.texts.is_unique() {
            let find = |text: &&'t str| Some((*text, self.texts.find(text.as_bytes())?));
            return wanted.iter().filter(|text| !text.is_empty()).filter_map(find).collect();
        }
        let mut found = FxHashMap::default();
        let longest = wanted.iter().map(|text| text.len()).max().unwrap_or(0);
        for id in 0..self.texts.len() as u32 {
            let text = self.texts.text(id);
            if (1..=longest).contains(&text.len())
                && let Some(text) = std::str::from_utf8(text).ok().and_then(|text| wanted.get(text))
            {
                found.insert(*text, id);
            }
        }
        found
    }

    /// Encodes one word; places are bytes of the input.
    pub(super) fn word(
        &self,
        word: &Aligned<'_>,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
    ) -> Result<(), TokenizeError> {
        self.part(word, 0..word.text.len(), scratch, &mut Placing { word, sink })
    }

    /// Encodes a part of a word as if it were one; places are bytes of the word.
    pub(super) fn part(
        &self,
        word: &Aligned<'_>,
        range: Range<usize>,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
    ) -> Result<(), TokenizeError> {
        let (base, end) = (range.start, range.end);
        let text = word.text.as_bytes().get(range).unwrap_or(&[]);
        let missing = |at: usize| {
            let byte = word.text.as_bytes().get(at).copied().unwrap_or(0);
            TokenizeError::NoToken { byte, offset: word.place(at, at).0 }
        };
        match &self.kind {
            Kind::Bpe(bpe) => bpe.word(text, base, scratch, sink),
            Kind::WordPiece(model) => {
                model.word(text, base, &mut Vec::new(), sink);
                Ok(())
            }
            Kind::WordLevel { unknown } => {
                let found = self.texts.find(text).or(*unknown);
                sink.token(found.ok_or_else(|| missing(base))?, base, end);
                Ok(())
            }
            Kind::Unigram(model) if model.unknown() == NO_TOKEN => {
                let mut known = Known { sink, unknown: None };
                model.encode(text, base, true, scratch, &mut known);
                known.unknown.map_or(Ok(()), |at| Err(missing(at)))
            }
            Kind::Unigram(model) => {
                model.encode(text, base, true, scratch, sink);
                Ok(())
            }
        }
    }

    /// Whether some text may become a token of the model's own vocabulary. Merging makes a token in a word only if it makes it
    /// of the token's text alone.
    pub(super) fn reaches(&self, id: TokenId, scratch: &mut BpeScratch) -> bool {
        let Kind::Bpe(bpe) = &self.kind else { return (id as usize) < self.texts.len() };
        // A token that shares its id may be reached by the other's text.
        if self.texts.aliases().next().is_some() {
            return true;
        }
        let text = self.texts.text(id);
        match std::str::from_utf8(text) {
            Ok(letters) if letters.is_ascii() && !bpe.has_affixes() => {
                let mut ids = Vec::new();
                let word = Aligned::new(letters, 0, false);
                self.part(&word, 0..text.len(), scratch, &mut ids).is_err() || ids.contains(&id)
            }
            _ => true,
        }
    }

    /// The token of what has none.
    pub(super) fn unknown(&self) -> Option<TokenId> {
        match &self.kind {
            Kind::Bpe(bpe) => bpe.unknown(),
            Kind::WordPiece(model) => Some(model.unknown()),
            Kind::WordLevel { unknown } => *unknown,
            Kind::Unigram(model) => Some(model.unknown()),
        }
    }
}

/// In place of an unknown token where there is none.
const NO_TOKEN: TokenId = TokenId::MAX;

/// Notes where the unknown token would stand that there is not.
struct Known<'a> {
    sink: &'a mut dyn Sink,
    unknown: Option<usize>,
}

impl Sink for Known<'_> {
    fn token(&mut self, id: TokenId, start: usize, end: usize) {
        if id == NO_TOKEN {
            self.unknown.get_or_insert(start);
        } else {
            self.sink.token(id, start, end);
        }
    }
}

/// Turns places in a word into places in the input.
pub(super) struct Placing<'a> {
    pub(super) word: &'a Aligned<'a>,
    pub(super) sink: &'a mut dyn Sink,
}

impl Sink for Placing<'_> {
    fn token(&mut self, id: TokenId, start: usize, end: usize) {
        let (start, end) = self.word.place(start, end);
        self.sink.token(id, start, end);
    }
}

fn unknown_of(at: &At<'_>, texts: &Lexicon, default: &str) -> Result<Option<TokenId>, TokenizeError> {
    Ok(texts.find(at.text_of("unk_token", default)?.as_bytes()))
}

fn bpe(at: &At<'_>, byte_level: bool, warnings: &mut Vec<Warning>) -> Result<Model, TokenizeError> {
    let (texts, entries) = vocab::read(&at.need("vocab")?, warnings)?;
    if at.get("dropout").map_or(Ok(0.0), |at| at.float())? > 0.0 {
        warnings.push(Warning::NotApplied { what: "dropout" });
    }
    let prefix = at.text_of("continuing_subword_prefix", "")?;
    let suffix = at.text_of("end_of_word_suffix", "")?;
    let affixes = Affixes { prefix: prefix.as_bytes().to_vec(), suffix: suffix.as_bytes().to_vec() };
    let plain = affixes.prefix.is_empty() && affixes.suffix.is_empty() && !at.flag("byte_fallback", false)?;
    let raw = byte_level && plain;
    let unknown = match at.get("unk_token") {
        None => Unknown::Vanish,
        Some(unk) => match texts.find(unk.text()?.as_bytes()) {
            None => return Err(unk.error("the unknown token is not in the vocabulary")),
            Some(id) if at.flag("fuse_unk", false)? => Unknown::Fused(id),
            Some(id) => Unknown::Token(id),
        },
    };
    let bytes = byte_tokens(&texts, at.flag("byte_fallback", false)?);
    if unknown == Unknown::Vanish {
        let spelled = |byte: &u8| {
            let letter = bytelevel::char_of(*byte);
            texts.find(letter.encode_utf8(&mut [0; 4]).as_bytes()).is_some()
        };
        let missing = 256 - (0..=255u8).filter(spelled).count();
        if !byte_level && bytes.contains(&None) {
            warnings.push(Warning::NoUnknownToken);
        } else if byte_level && missing > 0 {
            warnings.push(Warning::MissingBytes { count: missing });
        }
    }
    let unit = if raw { Unit::Byte } else { Unit::Char };
    let mut bpe = Bpe::new(Arc::clone(&texts), Vec::new(), unit, Fallback { bytes, unknown });
    bpe.ignore_merges = at.flag("ignore_merges", false)?;
    bpe.last_merge_counts = true;
    let merges = at.need("merges")?;
    let list = merges.rows()?;
    if list.len() > MAX_MERGES {
        return Err(TokenizeError::TooMany { what: "merges", found: list.len(), limit: MAX_MERGES });
    }
    if list.iter().any(|row| !matches!(row, Row::Text(_) | Row::Pair(..))) {
        return Err(merges.error("a merge is neither a text nor a pair of texts"));
    }
    let merges = list.iter().map(|row| match row {
        Row::Text(line) => {
            let cut = line.bytes().position(|byte| byte == b' ');
            let sides =
                cut.and_then(|cut| Some((line.get(..cut)?.as_bytes(), line.get(cut + 1..)?.as_bytes())));
            (sides, line.as_bytes())
        }
        Row::Pair(left, right) => (Some((left.as_bytes(), right.as_bytes())), left.as_bytes()),
        _ => (None, &[][..]),
    });
    bpe.set_affixes(affixes);
    bpe.add_merges(merges, warnings)?;
    Ok(Model { kind: Kind::Bpe(Box::new(bpe)), texts, entries })
}

fn unigram(at: &At<'_>, warnings: &mut Vec<Warning>) -> Result<Model, TokenizeError> {
    let vocab = at.need("vocab")?;
    let list = vocab.rows()?;
    if list.len() > MAX_IDS {
        return Err(TokenizeError::TooMany { what: "tokens", found: list.len(), limit: MAX_IDS });
    }
    let mut texts = Lexicon::unindexed(list.len(), 8 * list.len());
    let mut scores = Vec::with_capacity(list.len());
    for (index, row) in list.iter().enumerate() {
        let Row::Scored(text, score) = row else {
            return Err(vocab.error(&format!("entry {index} is not a text and a score")));
        };
        if text.len() > MAX_TOKEN_BYTES {
            return Err(TokenizeError::TooMany {
                what: "bytes of a token",
                found: text.len(),
                limit: MAX_TOKEN_BYTES,
            });
        }
        texts.push(text.as_bytes());
        scores.push(*score);
    }
    let lowest = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let id = match at.get("unk_id") {
        None => NO_TOKEN,
        Some(unknown) => match unknown.id()? {
            id if id as usize >= texts.len() => {
                return Err(unknown.error("the unknown id is outside the vocabulary"));
            }
            id => id,
        },
    };
    let bytes = byte_tokens(&texts, at.flag("byte_fallback", false)?);
    // Of equal texts the last counts, as in the reference.
    let last: FxHashMap<&[u8], u32> = (0..texts.len() as u32).map(|id| (texts.text(id), id)).collect();
    let count = texts.len() - last.len();
    let mut ids = (0..texts.len() as u32).filter(|_| count > 0);
    if let Some(first) = ids.find(|id| last.get(texts.text(*id)) != Some(id)) {
        let first = String::from_utf8_lossy(texts.text(first)).into_owned();
        warnings.push(Warning::RepeatedTokens { count, first });
    }
    let model = Unigram::new(
        last.iter().map(|(text, id)| (*text, *id)),
        scores,
        lowest,
        id,
        bytes,
        Precision::Double,
    );
    Ok(Model { kind: Kind::Unigram(Box::new(model)), entries: texts.len(), texts: Arc::new(texts) })
}
