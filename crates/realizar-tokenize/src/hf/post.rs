//! Post-processors of `tokenizer.json`: tokens around one text or two.

use super::encoding::Encoding;
use super::json::At;
use crate::{TokenId, TokenizeError, bytelevel};

/// One post-processor.
#[derive(Debug, Clone)]
pub(super) enum Post {
    Sequence(Vec<Post>),
    Template { single: Vec<Part>, pair: Vec<Part> },
    ByteLevel { add_prefix_space: bool, trim_offsets: bool },
    Roberta { cls: TokenId, sep: TokenId, add_prefix_space: bool, trim_offsets: bool },
}

/// What stands in a template.
#[derive(Debug, Clone)]
pub(super) enum Part {
    First { type_id: u32 },
    Second { type_id: u32 },
    Tokens { ids: Vec<TokenId>, type_id: u32 },
}

const MAX_NESTING: usize = 16;

impl Post {
    pub(super) fn read(at: &At<'_>, depth: usize) -> Result<Self, TokenizeError> {
        if depth > MAX_NESTING {
            return Err(at.error("post-processors are nested too deep"));
        }
        let token = |key: &str| {
            let field = at.need(key)?;
            let [_, id] = <[At<'_>; 2]>::try_from(field.list()?)
                .map_err(|_| field.error("expected a text and an id"))?;
            id.id()
        };
        Ok(match at.kind()? {
            "Sequence" => {
                let parts = at.need("processors")?.list()?;
                Self::Sequence(
                    parts.iter().map(|part| Self::read(part, depth + 1)).collect::<Result<_, _>>()?,
                )
            }
            "TemplateProcessing" => {
                let parts = |key: &str| {
                    at.need(key)?
                        .list()?
                        .iter()
                        .map(|part| Part::read(part, at))
                        .collect::<Result<Vec<Part>, _>>()
                };
                Self::Template { single: parts("single")?, pair: parts("pair")? }
            }
            "BertProcessing" => {
                let (cls, sep) = (token("cls")?, token("sep")?);
                let special = |id, type_id| Part::Tokens { ids: vec![id], type_id };
                Self::Template {
                    single: vec![special(cls, 0), Part::First { type_id: 0 }, special(sep, 0)],
                    pair: vec![
                        special(cls, 0),
                        Part::First { type_id: 0 },
                        special(sep, 0),
                        Part::Second { type_id: 1 },
                        special(sep, 1),
                    ],
                }
            }
            "RobertaProcessing" => Self::Roberta {
                cls: token("cls")?,
                sep: token("sep")?,
                add_prefix_space: at.flag("add_prefix_space", true)?,
                trim_offsets: at.flag("trim_offsets", true)?,
            },
            "ByteLevel" => Self::ByteLevel {
                add_prefix_space: at.flag("add_prefix_space", true)?,
                trim_offsets: at.flag("trim_offsets", true)?,
            },
            _ => return Err(at.unknown("post-processor")),
        })
    }

    /// The highest id that it adds.
    pub(super) fn highest(&self) -> Option<TokenId> {
        match self {
            Self::Sequence(parts) => parts.iter().filter_map(Self::highest).max(),
            Self::ByteLevel { .. } => None,
            Self::Roberta { cls, sep, .. } => Some(*cls.max(sep)),
            Self::Template { single, pair } => {
                let ids = |part: &Part| {
                    if let Part::Tokens { ids, .. } = part { ids.iter().copied().max() } else { None }
                };
                single.iter().chain(pair).filter_map(ids).max()
            }
        }
    }

    /// How many tokens are added to a text, or to a pair.
    pub(super) fn added(&self, pair: bool) -> usize {
        match self {
            Self::Sequence(parts) => parts.iter().map(|part| part.added(pair)).sum(),
            Self::Template { single, pair: two } => {
                let count = |part: &Part| if let Part::Tokens { ids, .. } = part { ids.len() } else { 0 };
                if pair { two } else { single }.iter().map(count).sum()
            }
            Self::ByteLevel { .. } => 0,
            Self::Roberta { .. } => {
                if pair {
                    4
                } else {
                    2
                }
            }
        }
    }

    /// What is put before and after a single text, where that is all that happens to its ids.
    pub(super) fn ends(&self) -> Option<(Vec<TokenId>, Vec<TokenId>)> {
        match self {
            Self::Sequence(parts) => {
                let (mut before, mut after) = (Vec::new(), Vec::new());
                for part in parts {
                    let (first, last) = part.ends()?;
                    before.splice(0..0, first);
                    after.extend(last);
                }
                Some((before, after))
            }
            Self::ByteLevel { .. } => Some((Vec::new(), Vec::new())),
            Self::Roberta { cls, sep, .. } => Some((vec![*cls], vec![*sep])),
            Self::Template { single, .. } => {
                let ids = |parts: &[Part]| -> Option<Vec<TokenId>> {
                    let ids = |part: &Part| match part {
                        Part::Tokens { ids, .. } => Some(ids.clone()),
                        _ => None,
                    };
                    Some(parts.iter().map(ids).collect::<Option<Vec<_>>>()?.concat())
                };
                let text = single.iter().position(|part| matches!(part, Part::First { .. }))?;
                Some((ids(single.get(..text)?)?, ids(single.get(text + 1..)?)?))
            }
        }
    }

    /// Works on the one or two encodings, in place; templates join them into one.
    pub(super) fn apply(&self, parts: &mut Vec<Encoding>, texts: &[&str], add_special: bool) {
        match self {
            Self::Sequence(posts) => posts.iter().for_each(|post| post.apply(parts, texts, add_special)),
            Self::ByteLevel { add_prefix_space, trim_offsets } => {
                if *trim_offsets {
                    parts.iter_mut().zip(texts).for_each(|(part, text)| trim(part, text, *add_prefix_space));
                }
            }
            Self::Template { single, pair } => {
                let template = if parts.len() > 1 { pair } else { single };
                let joined = join(template, parts, add_special);
                *parts = vec![joined];
            }
            Self::Roberta { cls, sep, add_prefix_space, trim_offsets } => {
                if *trim_offsets {
                    parts.iter_mut().zip(texts).for_each(|(part, text)| trim(part, text, *add_prefix_space));
                }
                // RoBERTa has one type only.
                parts.iter_mut().for_each(|part| part.set_type(0));
                let special = |id: &TokenId| Part::Tokens { ids: vec![*id], type_id: 0 };
                let mut template = vec![special(cls), Part::First { type_id: 0 }, special(sep)];
                if parts.len() > 1 {
                    template.extend([special(sep), Part::Second { type_id: 0 }, special(sep)]);
                }
                if add_special {
                    *parts = vec![join(&template, parts, true)];
                }
            }
        }
    }
}

impl Part {
    fn read(at: &At<'_>, template: &At<'_>) -> Result<Self, TokenizeError> {
        if let Some(sequence) = at.get("Sequence") {
            let type_id = sequence.get("type_id").map_or(Ok(0), |at| at.id())?;
            return match sequence.need("id")?.text()? {
                "A" => Ok(Self::First { type_id }),
                "B" => Ok(Self::Second { type_id }),
                _ => Err(sequence.error("expected A or B")),
            };
        }
        let special = at.need("SpecialToken")?;
        let type_id = special.get("type_id").map_or(Ok(0), |at| at.id())?;
        let name = special.need("id")?.text()?;
        let ids = template.need("special_tokens")?.need(name)?.need("ids")?;
        Ok(Self::Tokens { ids: ids.list()?.iter().map(At::id).collect::<Result<_, _>>()?, type_id })
    }
}

/// Fills a template, for the texts and for each of their further windows.
fn join(template: &[Part], parts: &[Encoding], add_special: bool) -> Encoding {
    let fill = |first: Option<&Encoding>, second: Option<&Encoding>| {
        let mut out = Encoding::default();
        for part in template {
            match part {
                Part::First { type_id } => out.append(first, *type_id),
                Part::Second { type_id } => out.append(second, *type_id),
                Part::Tokens { ids, type_id } if add_special => {
                    ids.iter().for_each(|id| out.push_special(*id, *type_id));
                }
                Part::Tokens { .. } => {}
            }
        }
        out
    };
    let (first, second) = (parts.first(), parts.get(1));
    let mut out = fill(first, second);
    let windows = |part: Option<&Encoding>| part.map_or(&[][..], |part| part.overflowing.as_slice()).to_vec();
    let (of_first, of_second) = (windows(first), windows(second));
    for window in &of_first {
        out.overflowing.push(fill(Some(window), second));
        for other in &of_second {
            out.overflowing.push(fill(Some(window), Some(other)));
        }
    }
    for other in &of_second {
        out.overflowing.push(fill(first, Some(other)));
    }
    out
}

/// Takes the white space at a token's ends out of its place.
fn trim(part: &mut Encoding, text: &str, add_prefix_space: bool) {
    let is_space = |char: &char| *char == bytelevel::char_of(b' ') || char.is_whitespace();
    for (index, (place, token)) in part.offsets.iter_mut().zip(&part.texts).enumerate() {
        let mut leading = token.chars().take_while(is_space).count();
        let trailing = token.chars().rev().take_while(is_space).count();
        // A single space at the beginning is the one that was put there.
        if leading == 1 && (index == 0 || place.0 == 0) && add_prefix_space {
            leading = 0;
        }
        let right: usize = text.get(place.0..).unwrap_or("").chars().take(leading).map(char::len_utf8).sum();
        place.0 = (place.0 + right).min(place.1);
        let before = text.get(..place.1).unwrap_or("");
        if trailing > 0 && before.chars().count() >= trailing {
            let left: usize = before.chars().rev().take(trailing).map(char::len_utf8).sum();
            place.1 = (place.1 - left).max(place.0);
        }
    }
    part.overflowing.iter_mut().for_each(|window| trim(window, text, add_prefix_space));
}

/// Encodings that no template has joined, one after the other.
pub(super) fn concat(parts: Vec<Encoding>) -> Encoding {
    let mut parts = parts;
    if parts.len() == 1 {
        return parts.pop().unwrap_or_default();
    }
    let types: Vec<u32> = parts.iter().flat_map(|part| part.type_ids.iter().copied()).collect();
    let template = [Part::First { type_id: 0 }, Part::Second { type_id: 1 }];
    let mut out = join(&template, &parts, false);
    out.type_ids = types;
    out
}
