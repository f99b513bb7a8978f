//! SentencePiece `.model` files.

mod proto;

use std::sync::Arc;

use crate::bpe::{BpeScratch, Fallback, Unknown, Waiting, chars};
use crate::charsmap::CharsMap;
use crate::gguf::byte_token;
use crate::lexicon::Lexicon;
use crate::sink::Sink;
use crate::special::{Fragment, Special, Specials};
use crate::spm::{SPACE, Spm, priority};
use crate::text::{Prepared, Relocate};
use crate::trie::Trie;
use crate::unigram::{Precision, Unigram, user_defined_score};
use crate::wanted::Wanted;
use crate::{TokenId, TokenizeError, Warning, unicode};
use proto::{Kind, ModelFile, ModelKind, Piece};

/// A file, ready to use.
#[derive(Debug)]
pub(crate) struct SentencePiece {
    pub(crate) texts: Arc<Lexicon>,
    kinds: Vec<Kind>,
    model: Model,
    map: Option<CharsMap>,
    user_defined: Trie,
    /// Control pieces, for those who ask for them.
    specials: Specials,
    unk_surface: String,
    add_dummy_prefix: bool,
    remove_extra_whitespaces: bool,
    escape_whitespaces: bool,
    whitespace_as_suffix: bool,
    /// See [`SentencePiece::with_steady`].
    steady: Box<[bool; 256]>,
    pub(crate) bos: Option<TokenId>,
    pub(crate) eos: Option<TokenId>,
    pub(crate) warnings: Vec<Warning>,
}

#[derive(Debug)]
enum Model {
    Unigram(Box<Unigram>),
    Bpe(Box<Spm>),
    /// Every character, or every word, is a piece.
    Pieces {
        words: bool,
        fallback: Fallback,
    },
}

const MAX_PIECES: usize = 4_194_304;
const MAX_PIECE_BYTES: usize = 65_535;

impl SentencePiece {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, TokenizeError> {
        let file = proto::read(bytes)?;
        if file.pieces.is_empty() {
            return Err(TokenizeError::EmptyVocabulary);
        }
        if file.pieces.len() > MAX_PIECES {
            return Err(TokenizeError::TooMany {
                what: "pieces",
                found: file.pieces.len(),
                limit: MAX_PIECES,
            });
        }
        if let Some(found) =
            file.pieces.iter().map(|piece| piece.text.len()).find(|len| *len > MAX_PIECE_BYTES)
        {
            return Err(TokenizeError::TooMany { what: "bytes of a piece", found, limit: MAX_PIECE_BYTES });
        }
        if let Some((id, piece)) = (0u32..).zip(&file.pieces).find(|(_, piece)| !piece.score.is_finite()) {
            return Err(TokenizeError::BadScore { id, score: f64::from(piece.score) });
        }
        check_pieces(&file)?;
        let bytes = file.pieces.iter().map(|piece| piece.text.len()).sum();
        let mut texts = match file.kind {
            ModelKind::Unigram => Lexicon::unindexed(file.pieces.len(), bytes),
            _ => Lexicon::with_capacity(file.pieces.len(), bytes),
        };
        for piece in &file.pieces {
            texts.push(piece.text.as_bytes());
        }
        if let Some(id) = texts.duplicates().first() {
            let text = file.pieces.get(*id as usize).map_or("", |piece| piece.text).to_owned();
            return Err(TokenizeError::BadPiece { id: *id, text, what: "there is one before it" });
        }
        let texts = Arc::new(texts);
        let numbered = || (0u32..).zip(&file.pieces);
        let unknown = numbered().find(|(_, piece)| piece.kind == Kind::Unknown).map(|(id, _)| id);
        let unknown = unknown.ok_or(TokenizeError::Missing { what: "the unknown piece" })?;
        let user_defined = numbered().filter(|(_, piece)| piece.kind == Kind::UserDefined);
        let user_defined = Trie::new(user_defined.map(|(id, piece)| (piece.text.as_bytes(), id)));
        let control = numbered().filter(|(_, piece)| piece.kind == Kind::Control);
        let special = |(id, piece): (u32, &Piece<'_>)| Special {
            id,
            text: piece.text.as_bytes().to_vec(),
            control: true,
            strip: (false, false),
        };
        let control_id = |text: &[u8]| {
            texts
                .find_once(text)
                .filter(|id| file.pieces.get(*id as usize).is_some_and(|piece| piece.kind == Kind::Control))
        };
        Ok(Self {
            bos: control_id(file.bos.as_bytes()),
            eos: control_id(file.eos.as_bytes()),
            warnings: trainer_warnings(&file),
            model: model(&file, &texts, unknown, &user_defined),
            kinds: file.pieces.iter().map(|piece| piece.kind).collect(),
            map: CharsMap::parse(file.charsmap)?,
            user_defined,
            specials: Specials::new(control.map(special).collect()),
            unk_surface: file.unk_surface.to_owned(),
            add_dummy_prefix: file.add_dummy_prefix,
            remove_extra_whitespaces: file.remove_extra_whitespaces,
            escape_whitespaces: file.escape_whitespaces,
            whitespace_as_suffix: file.whitespace_as_suffix,
            steady: Box::new([false; 256]),
            texts,
        }
        .with_steady())
    }

    pub(crate) fn encode(
        &self,
        text: &[u8],
        wanted: Wanted<'_>,
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
        places: bool,
    ) -> Result<(), TokenizeError> {
        if let Some(bos) = self.bos.filter(|_| wanted.add_special) {
            sink.token(bos, 0, 0);
        }
        let mut part = |fragment: Fragment| {
            match fragment {
                Fragment::Token(id, place) => sink.token(id, place.start, place.end),
                Fragment::Text(range) => {
                    let text = self.normalized(text.get(range.clone()).unwrap_or(&[]), places);
                    if places {
                        let mut sink = Relocate::new(&text, range.start, sink);
                        self.pieces(&text.bytes, scratch, &mut sink)?;
                    } else {
                        self.pieces(&text.bytes, scratch, sink)?;
                    }
                }
            }
            Ok(())
        };
        match wanted.looks_for_special() {
            true => self.specials.cut(text, wanted, &mut part),
            false if text.is_empty() => Ok(()),
            false => part(Fragment::Text(0..text.len())),
        }
    }

    fn pieces(
        &self,
        text: &[u8],
        scratch: &mut BpeScratch,
        sink: &mut dyn Sink,
    ) -> Result<(), TokenizeError> {
        match &self.model {
            Model::Unigram(model) => model.encode(text, 0, true, scratch, sink),
            Model::Bpe(model) => model.encode(text, scratch, sink)?,
            Model::Pieces { words, fallback } => {
                let mut waiting = Waiting::default();
                let mut at = 0;
                while at < text.len() {
                    let user = self.user_defined.prefixes(text, at).last().map(|(end, _)| end);
                    let char = chars(text.get(at..).unwrap_or(&[])).next().map_or(1, <[u8]>::len);
                    let end = match user {
                        Some(end) => end,
                        None if *words => self.word_end(text, at),
                        None => at + char,
                    };
                    let piece = text.get(at..end).unwrap_or(&[]);
                    if let Some(id) = self.texts.find(piece).filter(|id| self.is_text(*id)) {
                        fallback.flush(&mut waiting, sink);
                        sink.token(id, at, end);
                    } else {
                        fallback.emit(piece, at, &mut waiting, sink)?;
                    }
                    at = end;
                }
                fallback.flush(&mut waiting, sink);
            }
        }
        Ok(())
    }

    /// Where the word that begins at `at` ends: before the next mark, or behind it where marks are suffixes.
    fn word_end(&self, text: &[u8], at: usize) -> usize {
        let rest = text.get(at + 1..).unwrap_or(&[]);
        let mark = rest.windows(SPACE.len()).position(|window| window == SPACE).map(|found| at + 1 + found);
        let end = mark.map(|mark| if self.whitespace_as_suffix { mark + SPACE.len() } else { mark });
        end.unwrap_or(text.len())
    }

    /// Whether text may become this piece.
    fn is_text(&self, id: TokenId) -> bool {
        matches!(self.kinds.get(id as usize), Some(Kind::Normal | Kind::UserDefined | Kind::Unused))
    }

    /// The length of a run of characters other than spaces that stay as they are, as far as that is easily seen. The text is
    /// UTF-8.
    #[inline]
    fn unchanged(&self, text: &[u8], at: usize) -> usize {
        let joins = |first: u8, second: u8| self.map.as_ref().is_some_and(|map| map.may_begin(first, second));
        let mut end = at;
        while let Some(first) = text.get(end) {
            let next = text.get(end + 1).filter(|next| !next.is_ascii());
            if self.steady.get(*first as usize) != Some(&true)
                || next.is_some_and(|next| joins(*first, *next))
            {
                break;
            }
            end += unicode::promised_len(*first);
        }
        end - at
    }

    /// Whether an ASCII character stays as it is where another, or nothing, follows.
    #[inline]
    fn plain(&self, byte: u8) -> bool {
        byte < 0x80
            && self.map.as_ref().is_none_or(|map| map.is_plain(byte))
            && !self.user_defined.may_start(byte)
    }

    /// Bytes that begin a character which stays as it is unless a key of the map begins with it.
    fn with_steady(mut self) -> Self {
        for byte in 0..=255u8 {
            let steady = match byte {
                b' ' => false,
                0..0x80 => self.plain(byte),
                _ => byte >= 0xC2 && !self.user_defined.may_start(byte),
            };
            if let Some(slot) = self.steady.get_mut(byte as usize) {
                *slot = steady;
            }
        }
        self
    }

    /// [`SentencePiece::normalized`] where nobody asks for places.
    fn normalized_bytes(&self, text: &[u8]) -> Vec<u8> {
        let squeeze = self.remove_extra_whitespaces;
        let space = if self.escape_whitespaces { SPACE } else { b" " };
        let mut out = Vec::with_capacity(text.len() + text.len() / 8 + 2 * space.len());
        if self.add_dummy_prefix && !self.whitespace_as_suffix {
            out.extend_from_slice(space);
        }
        let valid = std::str::from_utf8(text).is_ok();
        let (mut heading, mut after_space) = (true, squeeze);
        let mut step = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let unchanged = if valid { self.unchanged(text, at) } else { 0 };
            if unchanged > 0 {
                out.extend_from_slice(text.get(at..at + unchanged).unwrap_or(&[]));
                (heading, after_space) = (false, false);
                at += unchanged;
                continue;
            }
            let ascii_follows = text.get(at + 1).is_none_or(u8::is_ascii);
            if text.get(at) == Some(&b' ') && ascii_follows && self.plain(b' ') {
                at += 1;
                if !after_space {
                    out.extend_from_slice(space);
                }
                // After spaces at the beginning nothing has begun where they are squeezed.
                (heading, after_space) = (heading && squeeze, squeeze);
                continue;
            }
            step.clear();
            at += self.step(text, at, &mut step);
            if heading && squeeze && step == b" " {
                continue;
            }
            heading = false;
            let skip = if after_space { step.iter().take_while(|byte| **byte == b' ').count() } else { 0 };
            let kept = step.get(skip..).unwrap_or(&[]);
            for byte in kept {
                match byte {
                    b' ' => out.extend_from_slice(space),
                    byte => out.push(*byte),
                }
            }
            if let Some(last) = kept.last() {
                after_space = squeeze && *last == b' ';
            }
        }
        if heading {
            return Vec::new();
        }
        if squeeze {
            while out.ends_with(space) {
                out.truncate(out.len() - space.len());
            }
        }
        if self.add_dummy_prefix && self.whitespace_as_suffix {
            out.extend_from_slice(space);
        }
        if out.capacity() > out.len() + out.len() / 8 {
            out.shrink_to_fit();
        }
        out
    }

    /// The text as the model sees it.
    fn normalized<'t>(&self, text: &'t [u8], places: bool) -> Prepared<'t> {
        if !places {
            return Prepared::owned(self.normalized_bytes(text));
        }
        let mut out = Prepared::raw(text, places);
        let squeeze = self.remove_extra_whitespaces;
        let space = if self.escape_whitespaces { SPACE } else { b" " };
        let (mut heading, mut after_space) = (true, squeeze);
        let mut step = Vec::new();
        out.rewrite_stretches(|text, at, out| {
            step.clear();
            let used = self.step(text, at, &mut step);
            if heading && squeeze && step == b" " {
                return used;
            }
            heading = false;
            let skip = if after_space { step.iter().take_while(|byte| **byte == b' ').count() } else { 0 };
            let kept = step.get(skip..).unwrap_or(&[]);
            for byte in kept {
                match byte {
                    b' ' => out.extend_from_slice(space),
                    byte => out.push(*byte),
                }
            }
            if let Some(last) = kept.last() {
                after_space = squeeze && *last == b' ';
            }
            used
        });
        if heading {
            return out;
        }
        if self.add_dummy_prefix && !self.whitespace_as_suffix {
            out.insert(true, space);
        }
        if squeeze {
            out.trim_end(space);
        }
        if self.add_dummy_prefix && self.whitespace_as_suffix {
            out.insert(false, space);
        }
        out
    }

    /// One step of normalising: appends what stands for the bytes at `at`, whose number it returns.
    fn step(&self, text: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
        if let Some((end, _)) = self.user_defined.prefixes(text, at).last() {
            out.extend_from_slice(text.get(at..end).unwrap_or(&[]));
            return end - at;
        }
        if let Some((len, new)) = self.map.as_ref().and_then(|map| map.longest(text, at)) {
            out.extend_from_slice(new);
            return len;
        }
        // One character is enough: looking at all of the rest each time would be quadratic.
        let rest = text.get(at..text.len().min(at + 4)).unwrap_or(&[]);
        let valid = rest.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        match valid.chars().next() {
            Some(char) => {
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                char.len_utf8()
            }
            None => {
                out.extend_from_slice("\u{FFFD}".as_bytes());
                1
            }
        }
    }

    /// The text of ids, as the reference joins it.
    pub(crate) fn decode(&self, ids: &[TokenId], keep_special: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut bytes: Vec<u8> = Vec::new();
        let mut first = true;
        for id in ids {
            if self.kinds.get(*id as usize) == Some(&Kind::Byte) {
                self.push_piece(*id, keep_special, &mut first, &mut bytes);
            } else {
                flush_bytes(&mut bytes, &mut out);
                self.push_piece(*id, keep_special, &mut first, &mut out);
            }
        }
        flush_bytes(&mut bytes, &mut out);
        out
    }

    /// Appends the bytes of one piece. `first` says that the text is still empty.
    pub(crate) fn push_piece(&self, id: TokenId, keep_special: bool, first: &mut bool, out: &mut Vec<u8>) {
        let text = self.texts.text(id);
        let before = out.len();
        match self.kinds.get(id as usize) {
            Some(Kind::Byte) => out.extend(byte_token(text)),
            Some(Kind::Control) if !keep_special => {}
            Some(Kind::Control) => out.extend_from_slice(text),
            Some(Kind::Unknown) => out.extend_from_slice(self.unk_surface.as_bytes()),
            _ => return self.push_surface(text, first, out),
        }
        *first &= out.len() == before;
    }

    fn push_surface(&self, text: &[u8], first: &mut bool, out: &mut Vec<u8>) {
        let mut rest = text;
        let strip = *first && self.strips_first_space();
        if strip && let Some(after) = rest.strip_prefix(SPACE) {
            rest = after;
            // The reference goes on stripping where it removes extra spaces.
            *first = self.remove_extra_whitespaces && rest.is_empty();
        } else {
            *first = false;
        }
        for char in chars(rest) {
            out.extend_from_slice(if char == SPACE { b" " } else { char });
        }
    }

    fn strips_first_space(&self) -> bool {
        self.add_dummy_prefix || self.remove_extra_whitespaces
    }
}

/// Bytes that are UTF-8 become text, each other byte U+FFFD.
fn flush_bytes(bytes: &mut Vec<u8>, out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        chunk.invalid().iter().for_each(|_| out.extend_from_slice("\u{FFFD}".as_bytes()));
    }
    bytes.clear();
}

/// Refuses what the reference library refuses to load.
fn check_pieces(file: &ModelFile<'_>) -> Result<(), TokenizeError> {
    let (mut unknown, mut seen) = (false, [false; 256]);
    for (id, piece) in (0u32..).zip(&file.pieces) {
        let bad = |what| Err(TokenizeError::BadPiece { id, text: piece.text.to_owned(), what });
        match piece.kind {
            _ if piece.text.is_empty() => return bad("it is empty"),
            Kind::Unknown if unknown => return bad("it is a second unknown piece"),
            Kind::Unknown => unknown = true,
            Kind::Byte if !file.byte_fallback => return bad("it is a byte, and `byte_fallback` is off"),
            Kind::Byte => match byte_token(piece.text.as_bytes()) {
                Some(byte) => {
                    if let Some(slot) = seen.get_mut(byte as usize) {
                        *slot = true;
                    }
                }
                None => return Err(TokenizeError::BadByteToken { id, text: piece.text.to_owned() }),
            },
            _ => {}
        }
    }
    match seen.iter().position(|seen| !seen).filter(|_| file.byte_fallback) {
        Some(byte) => Err(TokenizeError::MissingByte { byte: byte as u8 }),
        None => Ok(()),
    }
}

/// Ids outside the vocabulary; -1 says that there is none.
fn trainer_warnings(file: &ModelFile<'_>) -> Vec<Warning> {
    let vocab = file.pieces.len();
    let outside = |(key, id): &(&'static str, u64)| {
        let id = *id as u32;
        (id as i32 >= 0 && id as usize >= vocab).then_some(Warning::SpecialIdIgnored { key, id, vocab })
    };
    file.trainer_ids.iter().filter_map(outside).collect()
}

fn model(file: &ModelFile<'_>, texts: &Arc<Lexicon>, unknown: TokenId, user_defined: &Trie) -> Model {
    let mut bytes = Box::new([None; 256]);
    for (id, piece) in (0u32..).zip(&file.pieces) {
        if file.byte_fallback
            && piece.kind == Kind::Byte
            && let Some(slot) =
                byte_token(piece.text.as_bytes()).and_then(|byte| bytes.get_mut(byte as usize))
        {
            *slot = Some(id);
        }
    }
    let numbered = || (0u32..).zip(&file.pieces);
    match file.kind {
        ModelKind::Unigram => {
            let normal =
                || numbered().filter(|(_, piece)| piece.kind == Kind::Normal).map(|(_, piece)| piece.score);
            let lowest = f64::from(normal().fold(f32::MAX, f32::min));
            let usable =
                numbered().filter(|(_, piece)| matches!(piece.kind, Kind::Normal | Kind::UserDefined));
            let scores = file.pieces.iter().map(|piece| match piece.kind {
                Kind::UserDefined => user_defined_score(piece.text.len()),
                _ => f64::from(piece.score),
            });
            let pieces = usable.map(|(id, piece)| (piece.text.as_bytes(), id));
            let (scores, precision) = (scores.collect(), Precision::Single);
            Model::Unigram(Box::new(Unigram::new(pieces, scores, lowest, unknown, bytes, precision)))
        }
        ModelKind::Bpe => {
            let priorities = file.pieces.iter().map(|piece| match piece.kind {
                Kind::Normal | Kind::UserDefined | Kind::Unused => priority(piece.score),
                _ => u32::MAX,
            });
            let fallback = Fallback { bytes, unknown: Unknown::Fused(unknown) };
            Model::Bpe(Box::new(Spm::new(
                Arc::clone(texts),
                priorities.collect(),
                Some(user_defined.clone()),
                fallback,
            )))
        }
        ModelKind::Word | ModelKind::Char => {
            let fallback = Fallback { bytes, unknown: Unknown::Fused(unknown) };
            Model::Pieces { words: file.kind == ModelKind::Word, fallback }
        }
    }
}
