//! tiktoken's rank files: one token a line, base64, with its rank, which is its id.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::bpe::merge::{NO_SYMBOL, Pairs};
use crate::bpe::{BpeScratch, WordCache};
use crate::lexicon::Lexicon;
use crate::pattern::{Dialect, Pattern};
use crate::pretokenize::Passes;
use crate::sink::Sink;
use crate::special::{Fragment, Special, Specials};
use crate::wanted::Wanted;
use crate::{Compat, TokenId, TokenizeError, Warning, base64, unicode};

/// The patterns of OpenAI's encodings, by name.
const PATTERNS: [(&str, &str); 3] = [
    ("gpt2", r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"),
    (
        "cl100k",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    ),
    (
        "o200k",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
];

/// Ranks, a pattern, special tokens.
#[derive(Debug)]
pub(crate) struct Tiktoken {
    ranks: Ranks,
    passes: Passes,
    specials: Specials,
    /// The texts of special tokens.
    special: FxHashMap<TokenId, Vec<u8>>,
    /// Tokens of single bytes.
    first: Box<[TokenId; 256]>,
    pub(crate) bos: Option<TokenId>,
    pub(crate) eos: Option<TokenId>,
    pub(crate) warnings: Vec<Warning>,
}

/// Tokens by rank; a hole is empty.
#[derive(Debug)]
struct Ranks(Lexicon);

struct InWord<'a>(&'a Ranks, &'a [u8]);

impl Pairs for InWord<'_> {
    const BY_PLACE: bool = true;

    fn pair(&self, _left: u32, _right: u32, start: usize, end: usize) -> Option<(u32, u32)> {
        let rank = self.0.0.find(self.1.get(start..end)?)?;
        Some((rank, rank))
    }
}

const MAX_RANK: usize = 4_194_304;

fn lexicon(tokens: &[Option<Vec<u8>>]) -> Lexicon {
    let mut texts = Lexicon::with_capacity(tokens.len(), 8 * tokens.len());
    for token in tokens {
        texts.push(token.as_deref().unwrap_or_default());
    }
    texts
}

impl Tiktoken {
    /// `pattern`: the name of one of OpenAI's, or a regular expression.
    pub(crate) fn parse(
        ranks: &[u8],
        pattern: &str,
        special: &[(&str, TokenId)],
    ) -> Result<Self, TokenizeError> {
        let mut tokens: Vec<Option<Vec<u8>>> = Vec::new();
        let mut order = Vec::new();
        for (index, line) in ranks.split(|byte| *byte == b'\n').enumerate() {
            let bad = |what| TokenizeError::BadRanks { line: index + 1, what };
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let space = line
                .iter()
                .position(|byte| *byte == b' ')
                .ok_or_else(|| bad("expected a token and a rank"))?;
            let (token, rank) = line.split_at(space);
            let rank = std::str::from_utf8(rank).ok().and_then(|rank| rank.trim().parse::<usize>().ok());
            let rank = rank.filter(|rank| *rank < MAX_RANK).ok_or_else(|| bad("bad rank"))?;
            let token =
                base64::decode(token).filter(|token| !token.is_empty()).ok_or_else(|| bad("bad base64"))?;
            if token.len() > usize::from(u16::MAX) {
                return Err(bad("the token is too long"));
            }
            if rank >= tokens.len() {
                tokens.resize(rank + 1, None);
            }
            match tokens.get_mut(rank) {
                Some(slot @ None) => {
                    *slot = Some(token);
                    order.push(rank);
                }
                _ => return Err(bad("the rank is taken")),
            }
        }
        let mut texts = lexicon(&tokens);
        let mut warnings = Vec::new();
        if let Some(first) = texts.repeats().first() {
            let first = String::from_utf8_lossy(texts.text(*first)).into_owned();
            warnings.push(Warning::RepeatedTokens { count: texts.repeats().len(), first });
            // The last line counts, whatever its rank, and the others make no token: so the library's reader does it.
            let mut seen = FxHashSet::default();
            for rank in order.into_iter().rev() {
                if !seen.insert(texts.text(rank as TokenId))
                    && let Some(token) = tokens.get_mut(rank)
                {
                    *token = None;
                }
            }
            texts = lexicon(&tokens);
        }
        let mut specials = Vec::new();
        for (text, id) in special {
            let taken = texts.text(*id).is_empty();
            if text.is_empty() || !taken || *id as usize >= MAX_RANK {
                let vocab = texts.len();
                return Err(TokenizeError::SpecialIdOutOfRange { key: "special token", id: *id, vocab });
            }
            while texts.len() <= *id as usize {
                texts.push(b"");
            }
            let text = text.as_bytes().to_vec();
            specials.push(Special { id: *id, text, control: true, strip: (false, false) });
        }
        Ok(Self { warnings, ..Self::new(texts, specials, pattern)? })
    }

    /// `texts` are the tokens by rank, which is their id; those of special tokens are empty.
    pub(crate) fn new(texts: Lexicon, specials: Vec<Special>, pattern: &str) -> Result<Self, TokenizeError> {
        if texts.len() == specials.len() {
            return Err(TokenizeError::EmptyVocabulary);
        }
        let mut first = Box::new([NO_SYMBOL; 256]);
        for (byte, slot) in (0..=255u8).zip(first.iter_mut()) {
            *slot = texts.find(&[byte]).ok_or(TokenizeError::NoToken { byte, offset: 0 })?;
        }
        let pattern = PATTERNS.iter().find(|row| row.0 == pattern).map_or(pattern, |row| row.1);
        Ok(Self {
            ranks: Ranks(texts),
            first,
            passes: Passes::from_pattern(Pattern::new(pattern, Dialect::Plain)?),
            special: specials.iter().map(|special| (special.id, special.text.clone())).collect(),
            specials: Specials::new(specials),
            bos: None,
            eos: None,
            warnings: Vec::new(),
        })
    }

    /// With tokens that begin and end a text; the former is put before it where special tokens are wanted.
    #[cfg(feature = "hf")]
    pub(crate) fn with_ends(self, (bos, eos): (Option<TokenId>, Option<TokenId>)) -> Self {
        Self { bos, eos, ..self }
    }

    pub(crate) fn encode(
        &self,
        text: &[u8],
        wanted: Wanted<'_>,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
    ) -> Result<(), TokenizeError> {
        if let Some(bos) = self.bos.filter(|_| wanted.add_special) {
            sink.token(bos, 0, 0);
        }
        self.specials.cut(text, wanted, &mut |fragment| {
            match fragment {
                Fragment::Token(id, place) => sink.token(id, place.start, place.end),
                Fragment::Text(range) => {
                    self.text(text.get(range.clone()).unwrap_or(&[]), range.start, scratch, sink)?
                }
            }
            Ok(())
        })
    }

    /// The pattern sees characters; what is not UTF-8 passes as one piece, byte by byte.
    fn text(
        &self,
        text: &[u8],
        base: usize,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
    ) -> Result<(), TokenizeError> {
        let mut at = base;
        for chunk in text.utf8_chunks() {
            self.passes.split(chunk.valid().as_bytes(), &mut |range| {
                let word = chunk.valid().as_bytes().get(range.clone()).unwrap_or(&[]);
                self.word(word, at + range.start, scratch, sink);
                Ok(())
            })?;
            at += chunk.valid().len();
            self.word(chunk.invalid(), at, scratch, sink);
            at += chunk.invalid().len();
        }
        Ok(())
    }

    fn word(&self, word: &[u8], base: usize, scratch: &mut BpeScratch, sink: &mut dyn Sink) {
        let cache: &mut WordCache = &mut scratch.cache;
        if word.is_empty() || cache.replay(word, base, sink) {
            return;
        }
        let mut recorder = cache.record(word, base, sink);
        if let Some(id) = self.ranks.0.find(word) {
            recorder.token(id, base, base + word.len());
        } else {
            let symbols =
                word.iter().map(|byte| (self.first.get(*byte as usize).copied().unwrap_or(NO_SYMBOL), 1));
            let pairs = InWord(&self.ranks, word);
            scratch.merger.merge(&pairs, symbols, |id, start, end| {
                recorder.token(id, base + start, base + end);
            });
        }
        recorder.finish();
    }

    pub(crate) fn vocab_len(&self) -> usize {
        self.ranks.0.len()
    }

    /// The text of a special token.
    pub(crate) fn special(&self, id: TokenId) -> Option<&[u8]> {
        self.special.get(&id).map(Vec::as_slice)
    }

    pub(crate) fn text_of(&self, id: TokenId) -> &[u8] {
        self.special(id).unwrap_or_else(|| self.ranks.0.text(id))
    }

    pub(crate) fn find(&self, text: &[u8]) -> Option<TokenId> {
        let special = self.special.iter().filter(|special| special.1 == text).map(|special| *special.0).min();
        special.or_else(|| self.ranks.0.find(text).filter(|_| !text.is_empty()))
    }

    /// The words that the pattern cuts.
    pub(crate) fn words(&self, text: &[u8]) -> Result<Vec<Vec<u8>>, TokenizeError> {
        let text = unicode::sanitize(text, Compat::Original, None)?;
        let mut out = Vec::new();
        self.passes.split(&text, &mut |range| {
            out.push(text.get(range).unwrap_or(&[]).to_vec());
            Ok(())
        })?;
        Ok(out)
    }
}
