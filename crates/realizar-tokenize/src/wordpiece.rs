//! WordPiece: the longest piece that fits, from left to right, or the whole word is unknown.

use crate::TokenId;
use crate::bpe::chars;
use crate::sink::Sink;
use crate::trie::Trie;
use crate::unicode::{self, BertClass};

/// Pieces for the beginning of a word and for the rest of it.
#[derive(Debug, Clone)]
pub(crate) struct WordPiece {
    first: Trie,
    rest: Trie,
    unknown: TokenId,
    /// Words of more characters are unknown.
    max_chars: usize,
}

impl WordPiece {
    pub(crate) fn new(first: Trie, rest: Trie, unknown: TokenId, max_chars: usize) -> Self {
        Self { first, rest, unknown, max_chars }
    }

    /// The token of words that have none.
    #[cfg(feature = "hf")]
    pub(crate) fn unknown(&self) -> TokenId {
        self.unknown
    }

    /// Encodes one word, which is not empty and lies at `base`.
    pub(crate) fn word(
        &self,
        word: &[u8],
        base: usize,
        pieces: &mut Vec<(TokenId, usize)>,
        sink: &mut dyn Sink,
    ) {
        pieces.clear();
        let mut at = 0;
        let fits = self.max_chars == usize::MAX || chars(word).count() <= self.max_chars;
        while fits && at < word.len() {
            let trie = if at == 0 { &self.first } else { &self.rest };
            // Only whole characters.
            let whole = |end: &usize| word.get(*end).is_none_or(|byte| byte & 0xC0 != 0x80);
            let Some((end, id)) = trie.prefixes(word, at).filter(|(end, _)| whole(end)).last() else { break };
            pieces.push((id, end));
            at = end;
        }
        if at < word.len() {
            sink.token(self.unknown, base, base + word.len());
            return;
        }
        let mut start = 0;
        for (id, end) in pieces.iter() {
            sink.token(*id, base + start, base + end);
            start = *end;
        }
    }
}

/// Whether BERT makes a word of the character alone.
pub(crate) fn is_bert_punctuation(code: u32) -> bool {
    unicode::bert_class(code, BertClass::Punctuation)
}

/// Calls `emit` with the words of a text, cut at white space and around whatever `alone` accepts.
pub(crate) fn bert_words(
    text: &[u8],
    alone: impl Fn(u32) -> bool,
    mut emit: impl FnMut(std::ops::Range<usize>),
) {
    let mut start = 0;
    let mut flush = |from: usize, to: usize| {
        if from < to {
            emit(from..to);
        }
    };
    for (at, code) in unicode::codes(text) {
        let end = at + text.get(at).map_or(1, |lead| unicode::promised_len(*lead));
        if unicode::is_space(code) {
            flush(start, at);
            start = end;
        } else if alone(code) {
            flush(start, at);
            flush(at, end);
            start = end;
        }
    }
    flush(start, text.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_pieces_or_unknown() {
        let keys = |list: &'static [(&'static str, u32)]| {
            Trie::new(list.iter().map(|(key, id)| (key.as_bytes(), *id)))
        };
        let model = WordPiece::new(keys(&[("un", 1), ("u", 2)]), keys(&[("a", 3), ("able", 4)]), 0, 8);
        for (word, expected) in [
            ("unable", vec![1, 4]),
            ("una", vec![1, 3]),
            ("unx", vec![0]),
            ("unableable", vec![0]),
            ("x", vec![0]),
        ] {
            let mut ids: Vec<TokenId> = Vec::new();
            model.word(word.as_bytes(), 0, &mut Vec::new(), &mut ids);
            assert_eq!(ids, expected, "{word}");
        }
        let mut words = Vec::new();
        bert_words(" a,b\u{3000}c ".as_bytes(), is_bert_punctuation, |range| words.push(range));
        assert_eq!(words, [1..2, 2..3, 3..4, 7..8]);
    }
}
