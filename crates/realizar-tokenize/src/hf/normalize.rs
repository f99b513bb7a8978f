//! Normalizers of `tokenizer.json`.

use std::ops::Range;

use super::aligned::Aligned;
use super::json::At;
use crate::charsmap::CharsMap;
use crate::pattern::{Dialect, Matcher, Pattern};
use crate::text::{Change, map_graphemes};
use crate::unicode::BertClass;
use crate::unicode::normal::{self, Form};
use crate::{TokenizeError, base64, unicode};

/// What is looked for: a text or a regular expression.
#[derive(Debug, Clone)]
pub(super) enum Finder {
    Text(String),
    Regex(Pattern),
}

/// One normalizer.
#[derive(Debug, Clone)]
pub(super) enum Normalizer {
    Sequence(Vec<Normalizer>),
    Bert { clean_text: bool, ideographs: bool, strip_accents: bool, lowercase: bool },
    Form(Form),
    Lowercase,
    StripAccents,
    Strip { left: bool, right: bool },
    Nmt,
    Precompiled(Option<CharsMap>),
    Replace(Finder, String),
    Prepend(String),
    ByteLevel,
}

const MAX_NESTING: usize = 16;
/// What a text may become: so many times its length, and so much more.
const MAX_TIMES: usize = 32;
const MAX_MORE: usize = 1 << 20;

impl Finder {
    pub(super) fn read(at: &At<'_>) -> Result<Self, TokenizeError> {
        let pattern = at.need("pattern")?;
        if let Some(text) = pattern.get("String") {
            return Ok(Self::Text(text.text()?.to_owned()));
        }
        let regex = pattern.need("Regex")?;
        Ok(Self::Regex(Pattern::new(regex.text()?, Dialect::Oniguruma)?))
    }

    /// All matches.
    pub(super) fn find(&self, text: &str) -> Result<Vec<Range<usize>>, TokenizeError> {
        let mut out = Vec::new();
        self.each(text, &mut |range| out.push(range))?;
        Ok(out)
    }

    /// Calls `emit` with each match. The empty text matches before every character and at the end.
    pub(super) fn each(&self, text: &str, emit: &mut dyn FnMut(Range<usize>)) -> Result<(), TokenizeError> {
        match self {
            Self::Text(wanted) => {
                text.match_indices(wanted.as_str()).for_each(|(at, _)| emit(at..at + wanted.len()));
                Ok(())
            }
            Self::Regex(pattern) => Matcher::new().each_match(pattern, text.as_bytes(), emit),
        }
    }
}

impl Normalizer {
    pub(super) fn read(at: &At<'_>, depth: usize) -> Result<Self, TokenizeError> {
        if depth > MAX_NESTING {
            return Err(at.error("normalizers are nested too deep"));
        }
        Ok(match at.kind()? {
            "Sequence" => {
                let parts = at.need("normalizers")?.list()?;
                Self::Sequence(
                    parts.iter().map(|part| Self::read(part, depth + 1)).collect::<Result<_, _>>()?,
                )
            }
            "BertNormalizer" => {
                let lowercase = at.flag("lowercase", true)?;
                Self::Bert {
                    clean_text: at.flag("clean_text", true)?,
                    ideographs: at.flag("handle_chinese_chars", true)?,
                    strip_accents: at.flag("strip_accents", lowercase)?,
                    lowercase,
                }
            }
            "NFC" => Self::Form(Form::Nfc),
            "NFD" => Self::Form(Form::Nfd),
            "NFKC" => Self::Form(Form::Nfkc),
            "NFKD" => Self::Form(Form::Nfkd),
            "Lowercase" => Self::Lowercase,
            "StripAccents" => Self::StripAccents,
            "Strip" => {
                Self::Strip { left: at.flag("strip_left", true)?, right: at.flag("strip_right", true)? }
            }
            "Nmt" => Self::Nmt,
            "Precompiled" => {
                let field = at.need("precompiled_charsmap")?;
                let bytes =
                    base64::decode(field.text()?.as_bytes()).ok_or_else(|| field.error("bad base64"))?;
                Self::Precompiled(CharsMap::parse(&bytes)?)
            }
            "Replace" => Self::Replace(Finder::read(at)?, at.need("content")?.text()?.to_owned()),
            "Prepend" => Self::Prepend(at.need("prepend")?.text()?.to_owned()),
            "ByteLevel" => Self::ByteLevel,
            _ => return Err(at.unknown("normalizer")),
        })
    }

    /// Normalises a text in place; what it becomes is limited.
    pub(super) fn apply(&self, text: &mut Aligned<'_>) -> Result<(), TokenizeError> {
        let limit = text.text.len().saturating_mul(MAX_TIMES).saturating_add(MAX_MORE);
        self.apply_within(text, limit)
    }

    fn apply_within(&self, text: &mut Aligned<'_>, limit: usize) -> Result<(), TokenizeError> {
        match self {
            Self::Sequence(parts) => parts.iter().try_for_each(|part| part.apply_within(text, limit))?,
            Self::Bert { clean_text, ideographs, strip_accents, lowercase } => {
                if *clean_text {
                    text.filter(|char| !is_bert_dropped(char));
                    text.map(|char| [if char.is_whitespace() { ' ' } else { char }]);
                }
                if *ideographs && !text.text.is_ascii() {
                    part_ideographs(text);
                }
                if *strip_accents {
                    form(text, Form::Nfd);
                    text.filter(|char| !unicode::bert_class(char as u32, BertClass::Nonspacing));
                }
                if *lowercase {
                    text.lowercase();
                }
            }
            Self::Form(wanted) => form(text, *wanted),
            Self::Lowercase => text.lowercase(),
            Self::StripAccents => text.filter(|char| !normal::is_mark(char)),
            Self::Strip { left, right } => text.strip(*left, *right),
            Self::Nmt => {
                text.filter(|char| !matches!(char as u32, 1..=8 | 0xB | 0xE..=0x1F | 0x7F | 0x8F | 0x9F));
                text.map(|char| [if is_nmt_space(char) { ' ' } else { char }]);
            }
            Self::Precompiled(Some(map)) if text.wants_places() => precompiled(text, map),
            Self::Precompiled(Some(map)) => {
                let bytes = map_graphemes(&text.text, map);
                text.set(
                    String::from_utf8(bytes)
                        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
                );
            }
            Self::Precompiled(None) => {}
            Self::Replace(finder, content) => replace(text, finder, content, limit)?,
            Self::Prepend(prefix) => text.prepend(prefix),
            Self::ByteLevel => text.spell_bytes(),
        }
        within(text.text.len(), limit)
    }
}

fn within(len: usize, limit: usize) -> Result<(), TokenizeError> {
    if len > limit { Err(TokenizeError::NormalizedTooLong { limit }) } else { Ok(()) }
}

/// Replaces what is found, unless that gives too much.
fn replace(
    text: &mut Aligned<'_>,
    finder: &Finder,
    content: &str,
    limit: usize,
) -> Result<(), TokenizeError> {
    if let Finder::Text(wanted) = finder {
        let count = text.text.matches(wanted.as_str()).count();
        within(
            (text.text.len() - count * wanted.len()).saturating_add(count.saturating_mul(content.len())),
            limit,
        )?;
        text.replace_all(wanted, content);
        return Ok(());
    }
    let (mut matches, mut new, mut done, mut len) = (Vec::new(), String::new(), 0, text.text.len());
    finder.each(&text.text, &mut |range| {
        len = (len - range.len()).saturating_add(content.len());
        if len > limit {
        } else if text.wants_places() {
            matches.push(range);
        } else {
            new.push_str(text.text.get(done..range.start).unwrap_or(""));
            new.push_str(content);
            done = range.end;
        }
    })?;
    within(len, limit)?;
    if text.wants_places() {
        text.replace(&matches, content);
    } else if done > 0 || !new.is_empty() {
        new.push_str(text.text.get(done..).unwrap_or(""));
        text.set(new);
    }
    Ok(())
}

fn form(text: &mut Aligned<'_>, form: Form) {
    if text.text.is_ascii() {
        return;
    }
    if !text.wants_places() {
        if let Some(new) = normal::normalized(&text.text, form) {
            text.set(new);
        }
        return;
    }
    let mut changed: Vec<Change> = Vec::new();
    normal::each_unsettled(&text.text, form, |range| {
        let part = text.text.get(range.clone()).unwrap_or("");
        changed.push((range, normal::normalize(part, form)));
    });
    text.splice(&changed);
}

fn is_bert_dropped(char: char) -> bool {
    matches!(char, '\0' | '\u{FFFD}')
        || (!matches!(char, '\t' | '\n' | '\r') && unicode::bert_class(char as u32, BertClass::Control))
}

/// Puts spaces around ideographs.
fn part_ideographs(text: &mut Aligned<'_>) {
    let is_ideograph = |char| unicode::is_bert_ideograph(char as u32);
    if !text.wants_places() {
        let count = text.text.chars().filter(|char| is_ideograph(*char)).count();
        let mut new = String::with_capacity(text.text.len() + 2 * count);
        for char in text.text.chars() {
            if is_ideograph(char) {
                new.extend([' ', char, ' ']);
            } else {
                new.push(char);
            }
        }
        text.set(new);
        return;
    }
    let mut changes: Vec<(char, isize)> = Vec::with_capacity(text.text.len());
    for char in text.text.chars() {
        if is_ideograph(char) {
            changes.extend([(' ', 0), (char, 1), (' ', 1)]);
        } else {
            changes.push((char, 0));
        }
    }
    text.transform(changes.into_iter(), 0);
}

fn is_nmt_space(char: char) -> bool {
    matches!(
        char as u32,
        9 | 0xA | 0xC | 0xD | 0x1680 | 0x200B..=0x200F | 0x2028 | 0x2029 | 0x2581 | 0xFEFF | 0xFFFD
    )
}

/// Each grapheme of fewer than six bytes as a whole, else each character.
fn precompiled(text: &mut Aligned<'_>, map: &CharsMap) {
    let mut changes: Vec<(char, isize)> = Vec::with_capacity(text.text.len());
    let mut put = |old: &str, new: &[u8]| {
        let new = String::from_utf8_lossy(new);
        let more = new.chars().count() as isize - old.chars().count() as isize;
        changes.extend(new.chars().map(|char| (char, 0)));
        if more > 0 {
            changes.iter_mut().rev().take(more as usize).for_each(|change| change.1 = 1);
        } else if let Some(last) = changes.last_mut() {
            last.1 += more;
        }
    };
    unicode::each_grapheme(
        &text.text,
        |_, _| false,
        |grapheme, _| {
            let whole = if grapheme.len() < 6 { map.shortest(grapheme.as_bytes()) } else { None };
            if let Some(new) = whole {
                put(grapheme, new);
                return;
            }
            for (at, char) in grapheme.char_indices() {
                let char = grapheme.get(at..at + char.len_utf8()).unwrap_or("");
                put(char, map.shortest(char.as_bytes()).unwrap_or(char.as_bytes()));
            }
        },
    );
    text.transform(changes.into_iter(), 0);
}
