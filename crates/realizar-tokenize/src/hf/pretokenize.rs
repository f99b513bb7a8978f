//! Pre-tokenizers of `tokenizer.json`.

use std::ops::Range;

use super::aligned::Aligned;
use super::generated_unscripted::UNSCRIPTED;
use super::json::At;
use super::normalize::Finder;
use crate::pattern::class::Class;
use crate::pattern::{Dialect, Pattern, word};
use crate::wordpiece::is_bert_punctuation;
use crate::{TokenizeError, unicode};

/// What becomes of what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behavior {
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// When Metaspace puts its mark before a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prepend {
    Always,
    First,
    Never,
}

/// One pre-tokenizer.
#[derive(Debug, Clone)]
pub(super) enum PreTokenizer {
    Sequence(Vec<PreTokenizer>),
    /// The bytes are spelt in GPT-2's alphabet here, or by a model that knows raw ones.
    ByteLevel {
        add_prefix_space: bool,
        pattern: Option<Finder>,
        spell: bool,
    },
    Metaspace {
        mark: char,
        prepend: Prepend,
        split: bool,
    },
    Split {
        finder: Finder,
        behavior: Behavior,
        invert: bool,
    },
    Chars {
        found: fn(char) -> bool,
        behavior: Behavior,
    },
    Char(char),
    Bert,
    Whitespace(Box<Class>),
    Scripts,
    FixedLength(usize),
}

const MAX_NESTING: usize = 16;
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

impl Behavior {
    fn read(at: &At<'_>) -> Result<Self, TokenizeError> {
        Ok(match at.text()? {
            "Removed" => Self::Removed,
            "Isolated" => Self::Isolated,
            "MergedWithPrevious" => Self::MergedWithPrevious,
            "MergedWithNext" => Self::MergedWithNext,
            "Contiguous" => Self::Contiguous,
            _ => return Err(at.error("unknown behavior")),
        })
    }
}

/// Takes stretches that follow each other, and whether each was found, and passes on those that are kept.
struct Keep<'e> {
    behavior: Behavior,
    /// One that others may still join, and whether the last was found.
    waiting: Option<Range<usize>>,
    before: bool,
    emit: &'e mut dyn FnMut(Range<usize>),
}

impl<'e> Keep<'e> {
    fn new(behavior: Behavior, emit: &'e mut dyn FnMut(Range<usize>)) -> Self {
        Self { behavior, waiting: None, before: false, emit }
    }

    fn push(&mut self, range: Range<usize>, found: bool) {
        let joins = match self.behavior {
            Behavior::Isolated => false,
            Behavior::Removed if found => return,
            Behavior::Removed => false,
            Behavior::Contiguous => found == self.before,
            Behavior::MergedWithPrevious => found && !self.before,
            Behavior::MergedWithNext => self.before && !found,
        };
        self.before = found;
        match &mut self.waiting {
            Some(waiting) if joins => waiting.end = range.end,
            _ => {
                self.flush();
                self.waiting = Some(range);
            }
        }
    }

    fn flush(&mut self) {
        if let Some(range) = self.waiting.take().filter(|range| !range.is_empty()) {
            (self.emit)(range);
        }
    }
}

impl PreTokenizer {
    pub(super) fn read(at: &At<'_>, depth: usize) -> Result<Self, TokenizeError> {
        if depth > MAX_NESTING {
            return Err(at.error("pre-tokenizers are nested too deep"));
        }
        let behavior = |default| at.get("behavior").map_or(Ok(default), |at| Behavior::read(&at));
        Ok(match at.kind()? {
            "Sequence" => {
                let parts = at.need("pretokenizers")?.list()?;
                Self::Sequence(
                    parts.iter().map(|part| Self::read(part, depth + 1)).collect::<Result<_, _>>()?,
                )
            }
            "ByteLevel" => Self::ByteLevel {
                spell: true,
                add_prefix_space: at.flag("add_prefix_space", true)?,
                pattern: if at.flag("use_regex", true)? {
                    Some(Finder::Regex(Pattern::new(GPT2, Dialect::Oniguruma)?))
                } else {
                    None
                },
            },
            "Metaspace" => Self::Metaspace {
                mark: at.char_of("replacement")?,
                prepend: read_prepend(at)?,
                split: at.flag("split", true)?,
            },
            "Split" => Self::Split {
                finder: Finder::read(at)?,
                behavior: Behavior::read(&at.need("behavior")?)?,
                invert: at.flag("invert", false)?,
            },
            "Punctuation" => Self::Chars {
                found: |char| is_bert_punctuation(char as u32),
                behavior: behavior(Behavior::Isolated)?,
            },
            "Digits" => Self::Chars {
                found: char::is_numeric,
                behavior: if at.flag("individual_digits", false)? {
                    Behavior::Isolated
                } else {
                    Behavior::Contiguous
                },
            },
            "WhitespaceSplit" => Self::Chars { found: char::is_whitespace, behavior: Behavior::Removed },
            "Whitespace" => Self::Whitespace(Box::new(Class::new(word()))),
            "BertPreTokenizer" => Self::Bert,
            "CharDelimiterSplit" => Self::Char(at.char_of("delimiter")?),
            "UnicodeScripts" => Self::Scripts,
            "FixedLength" => {
                Self::FixedLength(at.get("length").map_or(Ok(5), |at| at.number())?.max(1) as usize)
            }
            _ => return Err(at.unknown("pre-tokenizer")),
        })
    }

    /// The last of all, where that is one that spells bytes: whether it is to do so.
    pub(super) fn last_spelling(&mut self) -> Option<&mut bool> {
        match self {
            Self::ByteLevel { spell, .. } => Some(spell),
            Self::Sequence(parts) => parts.last_mut()?.last_spelling(),
            _ => None,
        }
    }

    /// Cuts a piece of text into smaller ones, and calls `emit` with each.
    pub(super) fn apply(
        &self,
        piece: Aligned<'_>,
        emit: &mut dyn FnMut(Aligned<'_>) -> Result<(), TokenizeError>,
    ) -> Result<(), TokenizeError> {
        let mut piece = piece;
        let mut result = Ok(());
        match self {
            Self::Sequence(parts) => return sequence(parts, piece, emit),
            Self::ByteLevel { add_prefix_space, pattern, spell } => {
                if *add_prefix_space && !piece.text.starts_with(' ') {
                    piece.prepend(" ");
                }
                let mut word = |mut word: Aligned<'_>| {
                    if *spell {
                        word.spell_bytes();
                    }
                    emit(word)
                };
                match pattern {
                    None => return word(piece),
                    Some(finder) => return each_found(finder, &piece, &mut word),
                }
            }
            Self::Split { finder, behavior: Behavior::Isolated, .. } => {
                return each_found(finder, &piece, emit);
            }
            Self::Metaspace { mark, prepend, split } => {
                let mark = String::from(*mark);
                piece.replace_all(" ", &mark);
                let first =
                    *prepend == Prepend::Always || (*prepend == Prepend::First && piece.origin() == 0);
                if first && !piece.text.starts_with(&mark) {
                    piece.prepend(&mark);
                }
                if !split {
                    return emit(piece);
                }
                // Each mark begins a word.
                let starts = piece.text.match_indices(&*mark).map(|(at, _)| at).filter(|at| *at > 0);
                let mut done = 0;
                for end in starts.chain([piece.text.len()]) {
                    if end > done {
                        emit(piece.slice(done..end))?;
                    }
                    done = end;
                }
                return Ok(());
            }
            _ => {}
        }
        let mut each = |range: Range<usize>| {
            if result.is_ok() {
                result = emit(piece.slice(range));
            }
        };
        match self {
            Self::Split { finder, behavior, invert } => {
                let mut keep = Keep::new(*behavior, &mut each);
                found(finder, &piece.text, &mut |range, found| keep.push(range, found != *invert))?;
                keep.flush();
            }
            Self::Chars { found, behavior } => by_char(&piece.text, found, *behavior, &mut each),
            Self::Char(delimiter) => {
                by_char(&piece.text, |char| char == *delimiter, Behavior::Removed, &mut each);
            }
            Self::Bert => crate::wordpiece::bert_words(piece.text.as_bytes(), is_bert_punctuation, each),
            Self::Whitespace(word) => whitespace(&piece.text, word, each),
            Self::Scripts => scripts(&piece.text, each),
            Self::FixedLength(length) => {
                let mut done = 0;
                let starts = piece.text.char_indices().map(|(at, _)| at).step_by(*length).skip(1);
                for end in starts.chain([piece.text.len()]) {
                    each(done..end);
                    done = end;
                }
            }
            Self::Sequence(_) | Self::ByteLevel { .. } | Self::Metaspace { .. } => {}
        }
        result
    }
}

/// Calls `emit` with every match and all that lies between.
fn each_found(
    finder: &Finder,
    piece: &Aligned<'_>,
    emit: &mut dyn FnMut(Aligned<'_>) -> Result<(), TokenizeError>,
) -> Result<(), TokenizeError> {
    let (mut done, mut result) = (0, Ok(()));
    let mut each = |range: Range<usize>| {
        if result.is_ok() && !range.is_empty() {
            result = emit(piece.slice(range));
        }
    };
    finder.each(&piece.text, &mut |range| {
        each(done..range.start);
        done = range.end;
        each(range);
    })?;
    each(done..piece.text.len());
    result
}

fn sequence(
    parts: &[PreTokenizer],
    piece: Aligned<'_>,
    emit: &mut dyn FnMut(Aligned<'_>) -> Result<(), TokenizeError>,
) -> Result<(), TokenizeError> {
    match parts {
        [] => emit(piece),
        [first, rest @ ..] => first.apply(piece, &mut |piece| {
            if piece.text.is_empty() { Ok(()) } else { sequence(rest, piece, emit) }
        }),
    }
}

/// `prepend_scheme`, or what older files say.
pub(super) fn read_prepend(at: &At<'_>) -> Result<Prepend, TokenizeError> {
    Ok(match at.text_of("prepend_scheme", "")? {
        "always" => Prepend::Always,
        "first" => Prepend::First,
        "never" => Prepend::Never,
        "" if at.flag("add_prefix_space", true)? => Prepend::Always,
        "" => Prepend::Never,
        _ => return Err(at.error("unknown prepend_scheme")),
    })
}

/// Calls `emit` with what is found and what lies between, and which of them it is.
fn found(finder: &Finder, text: &str, emit: &mut dyn FnMut(Range<usize>, bool)) -> Result<(), TokenizeError> {
    let mut done = 0;
    finder.each(text, &mut |range| {
        if range.start > done {
            emit(done..range.start, false);
        }
        done = range.end;
        emit(range, true);
    })?;
    if done < text.len() {
        emit(done..text.len(), false);
    }
    Ok(())
}

fn by_char(
    text: &str,
    wanted: impl Fn(char) -> bool,
    behavior: Behavior,
    emit: &mut dyn FnMut(Range<usize>),
) {
    let mut keep = Keep::new(behavior, emit);
    let mut done = 0;
    for (at, char) in text.char_indices().filter(|(_, char)| wanted(*char)) {
        if at > done {
            keep.push(done..at, false);
        }
        done = at + char.len_utf8();
        keep.push(at..done, true);
    }
    if done < text.len() {
        keep.push(done..text.len(), false);
    }
    keep.flush();
}

/// Runs of word characters, and runs of what is neither that nor white space.
fn whitespace(text: &str, word: &Class, mut emit: impl FnMut(Range<usize>)) {
    let kind = |at: usize, char: char| {
        if word.matches(text.as_bytes(), at).is_some() || matches!(char, '\u{200C}' | '\u{200D}') {
            1
        } else if char.is_whitespace() {
            0
        } else {
            2
        }
    };
    let (mut start, mut before) = (0, 0);
    for (at, char) in text.char_indices() {
        let kind = kind(at, char);
        if kind != before {
            if before != 0 {
                emit(start..at);
            }
            (start, before) = (at, kind);
        }
    }
    if before != 0 {
        emit(start..text.len());
    }
}

fn is_unscripted(code: u32) -> bool {
    let after = UNSCRIPTED.partition_point(|range| range.0 <= code);
    after.checked_sub(1).and_then(|at| UNSCRIPTED.get(at)).is_some_and(|range| code <= range.1)
}

/// Runs of one script; a space joins what is before it. Kana count as Han.
fn scripts(text: &str, mut emit: impl FnMut(Range<usize>)) {
    let named =
        |script: &str| unicode::SCRIPT_NAMES.iter().position(|name| *name == script).map(|index| index as u8);
    let han = named("Han");
    let of = |char: char| match unicode::SCRIPT_NAMES.get(unicode::script(char as u32) as usize) {
        _ if char == ' ' => None,
        _ if char == '\u{30FC}' => han,
        // The reference's table is older than ours: what it does not know goes with any script.
        _ if is_unscripted(char as u32) => None,
        Some(&("Hiragana" | "Katakana")) => han,
        _ if matches!(char, '\u{589}' | '\u{61C}') => named("Common"),
        _ if matches!(char, '\u{953}' | '\u{954}') => named("Devanagari"),
        _ => Some(unicode::script(char as u32)),
    };
    let (mut start, mut last) = (None, None);
    for (at, char) in text.char_indices() {
        let Some(script) = of(char) else { continue };
        if last != Some(script)
            && let Some(before) = start.replace(at)
        {
            emit(before..at);
        }
        last = Some(script);
    }
    if let Some(start) = start {
        emit(start..text.len());
    }
}
