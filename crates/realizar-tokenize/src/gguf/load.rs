//! From metadata to a tokenizer.

use std::sync::Arc;

use super::{BpeModel, Compat, Flags, GgufTokenizer, GgufVocab, Ids, Model, attr, control, models};
use crate::bpe::{Bpe, Fallback, Unit, Unknown};
use crate::lexicon::Lexicon;
use crate::pattern::Dialect;
use crate::pretokenize::{self, Flag, Passes, PreTokenizer};
use crate::special::{Special, Specials};
use crate::spm::{Spm, priority};
use crate::trie::Trie;
use crate::{TokenId, TokenizeError, Warning};

const MAX_TOKENS: usize = 4_194_304;
const MAX_TOKEN_BYTES: usize = 65_535;
const KNOWN_MODELS: &str = "bert, gemma4, gpt2, hybriddna, llama, plamo2, rwkv, t5, whitespace";

/// The kinds of `tokenizer.ggml.model`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bpe,
    Spm,
    WordPiece,
    Unigram,
    Rwkv,
    Plamo2,
}

impl GgufTokenizer {
    pub(crate) fn new(vocab: &GgufVocab<'_>, compat: Compat) -> Result<Self, TokenizeError> {
        let kind = match vocab.model {
            "llama" => Kind::Spm,
            "gpt2" | "gemma4" | "whitespace" | "hybriddna" => Kind::Bpe,
            "bert" => Kind::WordPiece,
            "t5" => Kind::Unigram,
            "rwkv" => Kind::Rwkv,
            "plamo2" => Kind::Plamo2,
            name => {
                return Err(TokenizeError::UnknownModel { name: name.to_owned(), known: KNOWN_MODELS });
            }
        };
        // Of these only llama.cpp's ids are known.
        let compat = match vocab.model {
            "whitespace" | "hybriddna" | "rwkv" | "plamo2" => Compat::LlamaCpp,
            _ => compat,
        };
        let mut warnings = Vec::new();
        check_arrays(vocab)?;
        let texts = Arc::new(read_texts(vocab, kind, &mut warnings)?);
        let mut attrs = read_attrs(vocab, &texts)?;
        let pre = pre_tokenizer(vocab, kind, &mut warnings);
        let has = |flag: Flag| pre.flags.contains(&flag);
        let flags = read_flags(vocab, kind, has)?;
        // llama.cpp writes token 11 where a file wants a beginning and does not say which.
        let unsaid = compat == Compat::Original && kind == Kind::Bpe && vocab.add_bos == Some(true);
        let ids = read_ids(vocab, kind, flags, unsaid || has(Flag::NoDefaultBos), &mut warnings)?;
        if kind == Kind::WordPiece && ids.sep.is_none() {
            return Err(TokenizeError::SpecialIdMissing { key: "tokenizer.ggml.seperator_token_id" });
        }
        if flags.add_bos && ids.bos.is_none() {
            return Err(TokenizeError::SpecialIdMissing { key: "tokenizer.ggml.add_bos_token" });
        }
        if flags.add_eos && ids.eos.is_none() {
            return Err(TokenizeError::SpecialIdMissing { key: "tokenizer.ggml.add_eos_token" });
        }
        let bpe = match kind {
            Kind::Bpe => Some(bpe(vocab, &texts, &attrs, pre, compat, &mut warnings)?),
            _ => None,
        };
        // To the original, a user-defined token and an ordinary piece that merging makes are no control tokens.
        let may_be_control = |id: TokenId, attr: u16| match (&bpe, compat) {
            (Some(model), Compat::Original) => attr == attr::NORMAL && !model.bpe.makes(id),
            _ => true,
        };
        let given = (ids.eos, ids.eot, ids.eom);
        let ends = control::find_ends(&texts, &mut attrs, given, may_be_control, &mut warnings);
        let model = match (bpe, kind) {
            (Some(bpe), _) => Model::Bpe(bpe),
            (None, Kind::WordPiece) => models::bert(vocab, &texts, ids.unk, compat)?,
            (None, Kind::Unigram) => models::unigram(vocab, &texts, &attrs, ids.unk, compat)?,
            (None, Kind::Rwkv) => models::rwkv(&texts, &attrs, ids.unk)?,
            (None, Kind::Plamo2) => models::plamo2(vocab, &texts, &attrs)?,
            (None, _) => Model::Spm(Box::new(spm(vocab, &texts, &attrs, ids.unk, compat, &mut warnings))),
        };
        strip_attrs(vocab, &texts, &mut attrs, has(Flag::MaskStripsLeft));
        let in_text = compat == Compat::Original && matches!(kind, Kind::Spm | Kind::Unigram);
        let specials = Specials::new(specials(&texts, &attrs, in_text));
        let ids = Ids { eot: ends.eot, ..ids };
        Ok(Self { texts, attrs, model, specials, ids, eog: ends.eog, flags, compat, warnings })
    }
}

fn check_arrays(vocab: &GgufVocab<'_>) -> Result<(), TokenizeError> {
    let expected = vocab.tokens.len();
    if expected == 0 {
        return Err(TokenizeError::EmptyVocabulary);
    }
    if expected > MAX_TOKENS {
        return Err(TokenizeError::TooMany { what: "tokens", found: expected, limit: MAX_TOKENS });
    }
    for (what, found) in [
        ("tokenizer.ggml.scores", vocab.scores.as_ref().map(Vec::len)),
        ("tokenizer.ggml.token_type", vocab.types.as_ref().map(Vec::len)),
    ] {
        if let Some(found) = found.filter(|found| *found < expected) {
            return Err(TokenizeError::ShortArray { what, found, expected });
        }
    }
    // The other models do not look at scores, or take them for what they are.
    let scores =
        vocab.scores.iter().flatten().take(expected).filter(|_| matches!(vocab.model, "llama" | "t5"));
    if let Some((id, score)) = (0u32..).zip(scores).find(|(_, score)| !score.is_finite()) {
        return Err(TokenizeError::BadScore { id, score: f64::from(*score) });
    }
    // Without merges every text would fall apart into bytes.
    if matches!(vocab.model, "gpt2" | "gemma4") && vocab.merges.is_empty() {
        return Err(TokenizeError::Missing { what: "`tokenizer.ggml.merges`" });
    }
    Ok(())
}

fn read_texts(
    vocab: &GgufVocab<'_>,
    kind: Kind,
    warnings: &mut Vec<Warning>,
) -> Result<Lexicon, TokenizeError> {
    let (strings, bytes) = (vocab.tokens.len(), vocab.tokens.iter().map(|token| token.len()).sum());
    // The others have tries.
    let mut texts = match kind {
        Kind::Bpe | Kind::Spm => Lexicon::with_capacity(strings, bytes),
        _ => Lexicon::unindexed(strings, bytes),
    };
    for (id, token) in vocab.tokens.iter().enumerate() {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenizeError::TooMany {
                what: "bytes of a token",
                found: token.len(),
                limit: MAX_TOKEN_BYTES,
            });
        }
        if token.is_empty() {
            texts.push(format!("[EMPTY_{id}]").as_bytes());
        } else {
            texts.push(token);
        }
    }
    let duplicates = texts.duplicates();
    if let Some(first) = duplicates.first() {
        let first = String::from_utf8_lossy(texts.text(*first)).into_owned();
        warnings.push(Warning::DuplicateTokens { count: duplicates.len(), first });
    }
    Ok(texts)
}

fn read_attrs(vocab: &GgufVocab<'_>, texts: &Lexicon) -> Result<Vec<u16>, TokenizeError> {
    let Some(types) = &vocab.types else { return Ok(vec![attr::NORMAL; vocab.tokens.len()]) };
    let mut attrs = Vec::with_capacity(vocab.tokens.len());
    for (id, kind) in (0u32..).zip(types.iter().take(vocab.tokens.len())) {
        let attr = match kind {
            1 => attr::NORMAL,
            2 => attr::UNKNOWN,
            3 => attr::CONTROL,
            4 => attr::USER_DEFINED,
            5 => attr::UNUSED,
            6 => attr::BYTE,
            _ => 0,
        };
        if attr == attr::BYTE && byte_token(texts.text(id)).is_none() {
            let text = String::from_utf8_lossy(texts.text(id)).into_owned();
            return Err(TokenizeError::BadByteToken { id, text });
        }
        attrs.push(attr);
    }
    Ok(attrs)
}

/// The byte that `<0xHH>` names.
#[inline]
pub(crate) fn byte_token(text: &[u8]) -> Option<u8> {
    match text {
        [b'<', b'0', b'x', high, low, b'>'] => {
            let digit = |byte: u8| (byte as char).to_digit(16);
            Some((digit(*high)? * 16 + digit(*low)?) as u8)
        }
        _ => None,
    }
}

/// The row of the pre-tokenizer's name; for other kinds of vocabulary one that means nothing.
fn pre_tokenizer(vocab: &GgufVocab<'_>, kind: Kind, warnings: &mut Vec<Warning>) -> &'static PreTokenizer {
    if kind != Kind::Bpe {
        return &pretokenize::DEFAULT;
    }
    let name =
        if vocab.model == "gemma4" { Some("gemma4") } else { vocab.pre.filter(|name| !name.is_empty()) };
    let Some(name) = name else {
        warnings.push(Warning::MissingPreTokenizer);
        return &pretokenize::DEFAULT;
    };
    pretokenize::find(name).unwrap_or_else(|| {
        warnings.push(Warning::UnknownPreTokenizer { name: name.to_owned() });
        &pretokenize::DEFAULT
    })
}

/// The ids with a meaning. One outside the vocabulary is refused where the model needs it and ignored elsewhere: files
/// write the vocabulary's size or 0xffffffff for a token that they do not have.
fn read_ids(
    vocab: &GgufVocab<'_>,
    kind: Kind,
    flags: Flags,
    no_default_bos: bool,
    warnings: &mut Vec<Warning>,
) -> Result<Ids, TokenizeError> {
    let size = vocab.tokens.len();
    let mut read = |key: &'static str, id: Option<TokenId>, default: Option<TokenId>, needed: bool| match id {
        Some(id) if id as usize >= size => {
            if needed {
                return Err(TokenizeError::SpecialIdOutOfRange { key, id, vocab: size });
            }
            warnings.push(Warning::SpecialIdIgnored { key, id, vocab: size });
            Ok(None)
        }
        Some(id) => Ok(Some(id)),
        None => Ok(default.filter(|id| (*id as usize) < size)),
    };
    let mut defaults = match kind {
        Kind::Spm | Kind::Plamo2 => Ids { bos: Some(1), eos: Some(2), unk: Some(0), ..Ids::default() },
        Kind::Bpe if vocab.model == "gemma4" => Ids::default(),
        Kind::Bpe => Ids { bos: Some(11), eos: Some(11), ..Ids::default() },
        Kind::WordPiece => Ids { bos: Some(101), unk: Some(100), sep: Some(102), ..Ids::default() },
        Kind::Unigram => Ids { eos: Some(1), unk: Some(2), ..Ids::default() },
        Kind::Rwkv => Ids::default(),
    };
    if no_default_bos {
        defaults.bos = None;
    }
    let bert = kind == Kind::WordPiece;
    let needs_unk = !matches!(kind, Kind::Bpe | Kind::Plamo2);
    read("tokenizer.ggml.padding_token_id", vocab.pad, None, false)?;
    read("tokenizer.ggml.cls_token_id", vocab.cls, None, false)?;
    read("tokenizer.ggml.mask_token_id", vocab.mask, None, false)?;
    Ok(Ids {
        bos: read("tokenizer.ggml.bos_token_id", vocab.bos, defaults.bos, bert || flags.add_bos)?,
        eos: read("tokenizer.ggml.eos_token_id", vocab.eos, defaults.eos, true)?,
        eot: read("tokenizer.ggml.eot_token_id", vocab.eot, None, false)?,
        eom: read("tokenizer.ggml.eom_token_id", vocab.eom, None, false)?,
        unk: read("tokenizer.ggml.unknown_token_id", vocab.unk, defaults.unk, needs_unk)?,
        sep: read("tokenizer.ggml.seperator_token_id", vocab.sep, defaults.sep, bert)?,
    })
}

fn read_flags(vocab: &GgufVocab<'_>, kind: Kind, has: impl Fn(Flag) -> bool) -> Result<Flags, TokenizeError> {
    let defaults = match kind {
        Kind::Spm => Flags { add_bos: true, add_space_prefix: true, escape_spaces: true, ..Flags::default() },
        Kind::Bpe => Flags {
            add_bos: has(Flag::AddBos),
            clean_spaces: !has(Flag::KeepSpaces),
            escape_spaces: has(Flag::EscapeSpaces),
            ..Flags::default()
        },
        Kind::WordPiece => {
            Flags { add_bos: true, clean_spaces: true, escape_spaces: true, ..Flags::default() }
        }
        Kind::Unigram => Flags { add_eos: true, escape_spaces: true, ..Flags::default() },
        Kind::Rwkv | Kind::Plamo2 => Flags::default(),
    };
    // Published Gemma 4 files say that no BOS is added, the model wants one.
    let always_bos = has(Flag::WholeNewlines);
    Ok(Flags {
        add_bos: always_bos || vocab.add_bos.unwrap_or(defaults.add_bos),
        add_eos: vocab.add_eos.unwrap_or(defaults.add_eos),
        add_space_prefix: vocab.add_space_prefix.unwrap_or(defaults.add_space_prefix),
        ..defaults
    })
}

/// Tokens of single bytes by `<0xHH>` with capital letters; of equal ones the first.
pub(crate) fn hex_byte_tokens(texts: &Lexicon) -> Box<[Option<TokenId>; 256]> {
    let mut bytes = Box::new([None; 256]);
    for id in (0..texts.len() as u32).rev() {
        let text = texts.text(id);
        if let Some(byte) = byte_token(text)
            && !text.iter().skip(3).any(u8::is_ascii_lowercase)
            && let Some(slot) = bytes.get_mut(byte as usize)
        {
            *slot = Some(id);
        }
    }
    bytes
}

fn spm(
    vocab: &GgufVocab<'_>,
    texts: &Arc<Lexicon>,
    attrs: &[u16],
    unk: Option<TokenId>,
    compat: Compat,
    warnings: &mut Vec<Warning>,
) -> Spm {
    // Token 0 stands for what is unknown where it is such a token; another one would be a wrong word.
    let is_unknown = |id: &TokenId| {
        compat == Compat::LlamaCpp
            || vocab.unk.is_some()
            || attrs.get(*id as usize).is_some_and(|attr| attr & attr::UNKNOWN != 0)
            || texts.text(*id) == b"<unk>"
    };
    let unk = unk.filter(is_unknown);
    let mut bytes = hex_byte_tokens(texts);
    for (byte, slot) in (0..=255u8).zip(bytes.iter_mut()) {
        *slot = slot.or_else(|| texts.find(&[byte]));
    }
    let missing = bytes.iter().filter(|token| token.is_none()).count();
    if unk.is_none() && missing > 0 {
        warnings.push(Warning::RefusedBytes { count: missing });
    }
    let fallback = Fallback { bytes, unknown: unk.map_or(Unknown::Refuse, Unknown::Token) };
    let priorities = (0..texts.len())
        .map(|id| {
            let attr = attrs.get(id).copied().unwrap_or(0);
            // The original never makes a control or byte piece out of text.
            if compat == Compat::Original && attr & (attr::CONTROL | attr::UNKNOWN | attr::BYTE) != 0 {
                return u32::MAX;
            }
            priority(vocab.scores.as_ref().and_then(|scores| scores.get(id)).copied().unwrap_or(0.0))
        })
        .collect();
    // To the original user-defined pieces are part of the text, spaces and all; llama.cpp cuts them out before.
    let user_defined = (compat == Compat::Original).then(|| {
        let is_user = |id: u32| attrs.get(id as usize).is_some_and(|attr| *attr == attr::USER_DEFINED);
        Trie::new((0..texts.len() as u32).filter(|id| is_user(*id)).map(|id| (texts.text(id), id)))
    });
    Spm::new(Arc::clone(texts), priorities, user_defined, fallback)
}

fn bpe(
    vocab: &GgufVocab<'_>,
    texts: &Arc<Lexicon>,
    attrs: &[u16],
    pre: &PreTokenizer,
    compat: Compat,
    warnings: &mut Vec<Warning>,
) -> Result<BpeModel, TokenizeError> {
    let has = |flag: Flag| pre.flags.contains(&flag);
    let raw = has(Flag::EscapeSpaces) || vocab.pre == Some("whitespace");
    // To the original a control token is not text; to llama.cpp it may be.
    let control = |attr: &u16| compat == Compat::Original && attr & (attr::CONTROL | attr::UNKNOWN) != 0;
    let hidden = attrs.iter().map(control).collect();
    let bytes = if raw { hex_byte_tokens(texts) } else { Box::new([None; 256]) };
    let missing_hex = bytes.iter().filter(|token| token.is_none()).count();
    let unknown = if compat == Compat::Original { Unknown::Vanish } else { Unknown::Drop };
    let fallback = Fallback { bytes, unknown };
    let unit = if raw { Unit::Char } else { Unit::Byte };
    let mut bpe = Bpe::new(Arc::clone(texts), hidden, unit, fallback);
    let missing = if raw { missing_hex } else { bpe.missing_bytes() };
    if missing > 0 {
        warnings.push(Warning::MissingBytes { count: missing });
    }
    bpe.ignore_merges = has(Flag::IgnoreMerges);
    bpe.whole_newlines = has(Flag::WholeNewlines);
    bpe.last_merge_counts = compat == Compat::Original;
    let merges = vocab.merges.iter().map(|merge| {
        // A part may begin with a space, so the cut is looked for behind the first byte.
        let cut = merge.iter().skip(1).position(|byte| *byte == b' ').map(|at| at + 1);
        (cut.and_then(|cut| Some((merge.get(..cut)?, merge.get(cut + 1..)?))), *merge)
    });
    bpe.add_merges(merges, warnings)?;
    let passes = match compat {
        Compat::Original => Passes::new(pre.original, Dialect::Oniguruma)?,
        Compat::LlamaCpp => Passes::new(pre.llama_cpp, Dialect::Plain)?,
    };
    let nfc = compat == Compat::Original && has(Flag::Nfc);
    Ok(BpeModel { bpe: Box::new(bpe), passes, nfc, kind: models::bpe_kind(vocab, texts) })
}

/// Which special tokens swallow white space; GGUF has no key for it, so the model's name decides.
fn strip_attrs(vocab: &GgufVocab<'_>, texts: &Lexicon, attrs: &mut [u16], mask_by_pre: bool) {
    let mut set = |id: Option<TokenId>, bit: u16, on: bool| {
        if let Some(attr) = id.and_then(|id| attrs.get_mut(id as usize)) {
            *attr = if on { *attr | bit } else { *attr & !bit };
        }
    };
    let name = vocab.name.unwrap_or("").to_ascii_lowercase();
    let architecture = vocab.architecture.unwrap_or("");
    if mask_by_pre || architecture.contains("nomic-bert-moe") || architecture.contains("jina-bert-v3") {
        set(texts.find_once(b"<mask>"), attr::LSTRIP, true);
    } else if name.contains("phi-3") || name.contains("phi3") {
        for id in 0..texts.len() as u32 {
            let special = attr::CONTROL | attr::USER_DEFINED | attr::UNKNOWN;
            if let Some(attr) = attrs.get_mut(id as usize)
                && *attr & special != 0
            {
                *attr |= attr::RSTRIP;
            }
        }
        let mut set = |text: &[u8], on: bool| {
            if let Some(attr) = texts.find_once(text).and_then(|id| attrs.get_mut(id as usize)) {
                *attr = if on { *attr | attr::RSTRIP } else { *attr & !attr::RSTRIP };
            }
        };
        set(b"</s>", true);
        [&b"<unk>"[..], b"<s>", b"<|endoftext|>"].into_iter().for_each(|text| set(text, false));
    } else if name.contains("modern-bert") {
        set(texts.find_once(b"[MASK]"), attr::LSTRIP, true);
    }
}

/// The tokens that are cut out of a text; without the user-defined ones where the model finds them in the text.
fn specials(texts: &Lexicon, attrs: &[u16], user_defined_in_text: bool) -> Vec<Special> {
    let special = attr::CONTROL | attr::UNKNOWN | if user_defined_in_text { 0 } else { attr::USER_DEFINED };
    (0u32..)
        .zip(attrs)
        .filter(|(_, attr)| **attr & special != 0)
        .map(|(id, attr)| Special {
            id,
            text: texts.text(id).to_vec(),
            control: attr & (attr::CONTROL | attr::UNKNOWN) != 0,
            strip: (attr & attr::LSTRIP != 0, attr & attr::RSTRIP != 0),
        })
        .collect()
}
