//! Decoders of `tokenizer.json`.

use super::json::At;
use super::normalize::Finder;
use super::pretokenize::{Prepend, read_prepend};
use crate::gguf::byte_token;
use crate::{TokenizeError, bytelevel};

/// One decoder.
#[derive(Debug, Clone)]
pub(super) enum Decoder {
    Sequence(Vec<Decoder>),
    ByteLevel,
    Replace(Finder, String),
    WordPiece { prefix: String, cleanup: bool },
    ByteFallback,
    Fuse,
    Strip { content: char, start: usize, stop: usize },
    Metaspace { mark: char, keep_first: bool },
    Bpe { suffix: String },
    Ctc { pad: String, delimiter: String, cleanup: bool },
}

const MAX_NESTING: usize = 16;

impl Decoder {
    pub(super) fn read(at: &At<'_>, depth: usize) -> Result<Self, TokenizeError> {
        if depth > MAX_NESTING {
            return Err(at.error("decoders are nested too deep"));
        }
        let owned = |key, default| at.text_of(key, default).map(str::to_owned);
        Ok(match at.kind()? {
            "Sequence" => {
                let parts = at.need("decoders")?.list()?;
                Self::Sequence(
                    parts.iter().map(|part| Self::read(part, depth + 1)).collect::<Result<_, _>>()?,
                )
            }
            "ByteLevel" => Self::ByteLevel,
            "Replace" => Self::Replace(Finder::read(at)?, at.need("content")?.text()?.to_owned()),
            "WordPiece" => {
                Self::WordPiece { prefix: owned("prefix", "##")?, cleanup: at.flag("cleanup", true)? }
            }
            "ByteFallback" => Self::ByteFallback,
            "Fuse" => Self::Fuse,
            "Strip" => Self::Strip {
                content: at.char_of("content")?,
                start: at.need("start")?.number()? as usize,
                stop: at.need("stop")?.number()? as usize,
            },
            "Metaspace" => Self::Metaspace {
                mark: at.char_of("replacement")?,
                keep_first: read_prepend(at)? == Prepend::Never,
            },
            "BPEDecoder" => Self::Bpe { suffix: owned("suffix", "</w>")? },
            "CTC" => Self::Ctc {
                pad: owned("pad_token", "<pad>")?,
                delimiter: owned("word_delimiter_token", "|")?,
                cleanup: at.flag("cleanup", true)?,
            },
            _ => return Err(at.unknown("decoder")),
        })
    }

    /// The texts of tokens to pieces of text.
    pub(super) fn apply(&self, tokens: Vec<String>) -> Result<Vec<String>, TokenizeError> {
        Ok(match self {
            Self::Sequence(parts) => {
                let mut tokens = tokens;
                for part in parts {
                    tokens = part.apply(tokens)?;
                }
                tokens
            }
            Self::ByteLevel => {
                let mut bytes = Vec::new();
                for token in &tokens {
                    if !bytelevel::unspell(token.as_bytes(), &mut bytes) {
                        bytes.extend_from_slice(token.as_bytes());
                    }
                }
                vec![String::from_utf8_lossy(&bytes).into_owned()]
            }
            Self::Replace(finder, content) => {
                tokens.iter().map(|token| replace(token, finder, content)).collect::<Result<_, _>>()?
            }
            Self::WordPiece { prefix, cleanup } => {
                let piece = |(index, token): (usize, String)| {
                    let token = match token.strip_prefix(prefix.as_str()) {
                        _ if index == 0 => token,
                        Some(rest) => rest.to_owned(),
                        None => format!(" {token}"),
                    };
                    if *cleanup { clean(&token) } else { token }
                };
                tokens.into_iter().enumerate().map(piece).collect()
            }
            Self::ByteFallback => byte_fallback(tokens),
            Self::Fuse => vec![tokens.concat()],
            Self::Strip { content, start, stop } => {
                tokens.iter().map(|token| strip(token, *content, *start, *stop)).collect()
            }
            Self::Metaspace { mark, keep_first } => {
                let piece = |(index, token): (usize, String)| {
                    let mapped = token.chars().filter_map(|char| match char {
                        char if char != *mark => Some(char),
                        _ if index == 0 && !keep_first => None,
                        _ => Some(' '),
                    });
                    mapped.collect()
                };
                tokens.into_iter().enumerate().map(piece).collect()
            }
            Self::Bpe { suffix } => {
                let last = tokens.len().saturating_sub(1);
                let piece = |(index, token): (usize, String)| {
                    token.replace(suffix.as_str(), if index == last { "" } else { " " })
                };
                tokens.into_iter().enumerate().map(piece).collect()
            }
            Self::Ctc { pad, delimiter, cleanup } => {
                let mut tokens = tokens;
                tokens.dedup();
                let piece = |token: String| {
                    let token = token.replace(pad.as_str(), "");
                    if *cleanup { clean(&token).replace(delimiter.as_str(), " ") } else { token }
                };
                tokens.into_iter().map(piece).filter(|token| !token.is_empty()).collect()
            }
        })
    }
}

fn replace(token: &str, finder: &Finder, content: &str) -> Result<String, TokenizeError> {
    let mut out = String::with_capacity(token.len());
    let mut done = 0;
    for range in finder.find(token)? {
        out.push_str(token.get(done..range.start).unwrap_or(""));
        out.push_str(content);
        done = range.end;
    }
    out.push_str(token.get(done..).unwrap_or(""));
    Ok(out)
}

fn clean(text: &str) -> String {
    const RULES: [(&str, &str); 11] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" do not", " don't"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    RULES.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Runs of byte tokens that are UTF-8 become text, others one U+FFFD a byte.
fn byte_fallback(tokens: Vec<String>) -> Vec<String> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut bytes: Vec<u8> = Vec::new();
    let flush = |bytes: &mut Vec<u8>, out: &mut Vec<String>| {
        if !bytes.is_empty() {
            match String::from_utf8(std::mem::take(bytes)) {
                Ok(text) => out.push(text),
                Err(error) => out.extend(error.as_bytes().iter().map(|_| "\u{FFFD}".to_owned())),
            }
        }
    };
    for token in tokens {
        match byte_token(token.as_bytes()) {
            Some(byte) => bytes.push(byte),
            None => {
                flush(&mut bytes, &mut out);
                out.push(token);
            }
        }
    }
    flush(&mut bytes, &mut out);
    out
}

fn strip(token: &str, content: char, start: usize, stop: usize) -> String {
    let chars: Vec<char> = token.chars().collect();
    let from = chars.iter().take(start).take_while(|char| **char == content).count();
    let cut = chars.iter().rev().take(stop).take_while(|char| **char == content).count();
    chars
        .into_iter()
        .skip(from)
        .collect::<Vec<char>>()
        .into_iter()
        .rev()
        .skip(cut)
        .collect::<Vec<char>>()
        .into_iter()
        .rev()
        .collect()
}
