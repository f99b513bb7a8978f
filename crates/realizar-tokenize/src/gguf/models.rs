//! Making the models other than plain byte-pair encoding.

use super::load::{byte_token, hex_byte_tokens};
use super::{BertModel, BpeKind, Compat, Dna, GgufVocab, Model, UnigramModel, attr};
use crate::charsmap::CharsMap;
use crate::greedy::{Cover, Longest, unescape_rwkv};
use crate::lexicon::Lexicon;
use crate::spm::SPACE;
use crate::trie::Trie;
use crate::unigram::{Precision, Unigram, user_defined_score};
use crate::wordpiece::WordPiece;
use crate::{TokenId, TokenizeError};

/// Marks the pieces of DNA in their texts, so that they differ from equal ordinary ones.
const DNA_MARK: &[u8] = "\u{E000}".as_bytes();

/// BERT drops words that are longer.
const BERT_MAX_CHARS: usize = 100;

fn score(vocab: &GgufVocab<'_>, id: usize) -> f32 {
    vocab.scores.as_ref().and_then(|scores| scores.get(id)).copied().unwrap_or(0.0)
}

pub(super) fn bert(
    vocab: &GgufVocab<'_>,
    texts: &Lexicon,
    unk: Option<TokenId>,
    compat: Compat,
) -> Result<Model, TokenizeError> {
    let unknown = unk.ok_or(TokenizeError::SpecialIdMissing { key: "tokenizer.ggml.unknown_token_id" })?;
    let keys = || (0..texts.len() as u32).map(|id| (texts.text(id), id));
    // Pieces that begin a word are marked by U+2581; llama.cpp lets the others begin one too, behind the mark alone.
    let first = Trie::new(keys().filter_map(|(text, id)| Some((text.strip_prefix(SPACE)?, id))));
    let original = compat == Compat::Original;
    let rest = Trie::new(keys().filter(|(text, _)| !(original && text.starts_with(SPACE))));
    let max_chars = if original { BERT_MAX_CHARS } else { usize::MAX };
    let lowercase = vocab.lowercase.unwrap_or(true);
    Ok(Model::WordPiece(BertModel {
        model: WordPiece::new(first, rest, unknown, max_chars),
        lowercase,
        strip_accents: vocab.strip_accents.unwrap_or(lowercase),
    }))
}

pub(super) fn unigram(
    vocab: &GgufVocab<'_>,
    texts: &Lexicon,
    attrs: &[u16],
    unk: Option<TokenId>,
    compat: Compat,
) -> Result<Model, TokenizeError> {
    let unknown = unk.ok_or(TokenizeError::SpecialIdMissing { key: "tokenizer.ggml.unknown_token_id" })?;
    let of_kind = |kind: u16| {
        (0u32..).zip(attrs).filter(move |(_, attr)| **attr & kind != 0).map(|(id, _)| (texts.text(id), id))
    };
    let normal = || of_kind(attr::NORMAL).map(|(_, id)| f64::from(score(vocab, id as usize)));
    let lowest = normal().fold(f64::from(f32::MAX), f64::min);
    let by_grapheme =
        compat == Compat::Original && vocab.architecture.is_some_and(|name| name.contains("bert"));
    let precision =
        if compat == Compat::Original && !by_grapheme { Precision::Single } else { Precision::Double };
    let scores = (0u32..).zip(attrs).map(|(id, attr)| match attr & attr::USER_DEFINED {
        0 => f64::from(score(vocab, id as usize)),
        _ if precision == Precision::Single => user_defined_score(texts.text(id).len()),
        // llama.cpp's way to make user-defined pieces win: the other scores are negative.
        _ => 0.0,
    });
    let bytes = if compat == Compat::Original { hex_byte_tokens(texts) } else { Box::new([None; 256]) };
    let pieces = of_kind(attr::NORMAL | attr::USER_DEFINED | attr::UNUSED);
    Ok(Model::Unigram(UnigramModel {
        model: Unigram::new(pieces, scores.collect(), lowest, unknown, bytes, precision),
        map: CharsMap::parse(vocab.precompiled_charsmap.unwrap_or(&[]))?,
        by_grapheme,
        user_defined: Trie::new(of_kind(attr::USER_DEFINED)),
        remove_extra_spaces: vocab.remove_extra_whitespaces.unwrap_or(false),
    }))
}

/// Text never becomes a control token here, unlike in llama.cpp: the original vocabulary has none.
pub(super) fn rwkv(texts: &Lexicon, attrs: &[u16], unk: Option<TokenId>) -> Result<Model, TokenizeError> {
    let spelt: Vec<Vec<u8>> = (0..texts.len() as u32).map(|id| unescape_rwkv(texts.text(id))).collect();
    let pieces = spelt.iter().map(Vec::as_slice).zip(0..).zip(attrs);
    let pieces = pieces.filter(|(_, attr)| **attr & attr::CONTROL == 0).map(|(piece, _)| piece);
    let mut has = [false; 256];
    for piece in pieces.clone() {
        if let [byte] = piece.0 {
            has.get_mut(*byte as usize).into_iter().for_each(|found| *found = true);
        }
    }
    // Where each byte is a piece, as in the published vocabulary, nothing is unknown.
    let unknown = match unk {
        None if has.contains(&false) => {
            return Err(TokenizeError::SpecialIdMissing { key: "tokenizer.ggml.unknown_token_id" });
        }
        unk => unk.unwrap_or(0),
    };
    Ok(Model::Longest(Longest::new(Trie::new(pieces), unknown)))
}

pub(super) fn plamo2(vocab: &GgufVocab<'_>, texts: &Lexicon, attrs: &[u16]) -> Result<Model, TokenizeError> {
    let mut bytes = Box::new([None; 256]);
    let mut pieces = Vec::new();
    for (id, attr) in (0u32..).zip(attrs) {
        let text = texts.text(id);
        if attr & (attr::BYTE | attr::CONTROL | attr::UNKNOWN) == 0 {
            pieces.push((text, id));
        } else if let Some(slot) = byte_token(text).and_then(|byte| bytes.get_mut(byte as usize)) {
            *slot = Some(id);
        }
    }
    let mut all = Box::new([0; 256]);
    for (byte, (slot, token)) in (0..=255u8).zip(all.iter_mut().zip(bytes.iter())) {
        *slot = token.ok_or(TokenizeError::NoToken { byte, offset: 0 })?;
    }
    let scores: Vec<f32> = (0..attrs.len()).map(|id| score(vocab, id)).collect();
    Ok(Model::Cover(Cover::new(pieces, &scores, all)))
}

/// What a byte-pair vocabulary does besides merging.
pub(super) fn bpe_kind(vocab: &GgufVocab<'_>, texts: &Lexicon) -> BpeKind {
    if vocab.model == "whitespace" {
        return BpeKind::Whitespace { lowercase: vocab.lowercase.unwrap_or(false) };
    }
    if vocab.model != "hybriddna" {
        return BpeKind::Plain;
    }
    let find = |text: &[u8]| texts.find_once(text);
    match (find(b"<dna>"), find(b"</dna>"), find(b"<oov>")) {
        (Some(begin), Some(end), Some(unknown)) => {
            let keys =
                (0..texts.len() as u32).filter_map(|id| Some((texts.text(id).strip_suffix(DNA_MARK)?, id)));
            BpeKind::Dna(Box::new(Dna { begin, end, unknown, words: Trie::new(keys) }))
        }
        _ => BpeKind::Plain,
    }
}

/// The text of a token without the mark of DNA.
pub(super) fn without_dna_mark(text: &[u8]) -> &[u8] {
    text.strip_suffix(DNA_MARK).filter(|text| !text.is_empty()).unwrap_or(text)
}
