//! What can be wrong with a vocabulary, a tokenizer file, a text or a list of ids.

/// Why a tokenizer could not be made, or could not do what it was asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum TokenizeError {
    #[error("tokenizer model `{name}` is not known (known: {known})")]
    UnknownModel { name: String, known: &'static str },
    #[error("{what} `{name}` is not known, at {path}")]
    UnknownComponent { what: &'static str, name: String, path: String },
    #[error("the vocabulary has no tokens")]
    EmptyVocabulary,
    #[error("{what} has {found} entries, the vocabulary has {expected}")]
    ShortArray { what: &'static str, found: usize, expected: usize },
    #[error("`{key}` is {id}, the vocabulary has {vocab} tokens")]
    SpecialIdOutOfRange { key: &'static str, id: u32, vocab: usize },
    #[error("`{key}` asks for a token that the vocabulary does not name")]
    SpecialIdMissing { key: &'static str },
    #[error("{what} is missing")]
    Missing { what: &'static str },
    #[error("token {id} is marked as a byte but is named `{text}`, expected `<0xHH>`")]
    BadByteToken { id: u32, text: String },
    #[error("token {id} has the score {score}, expected a finite number")]
    BadScore { id: u32, score: f64 },
    #[error("{unusable} of {total} merges name unknown tokens, the first is `{first}`")]
    BadMerges { unusable: usize, total: usize, first: String },
    #[error("{found} {what}, at most {limit} are allowed")]
    TooMany { what: &'static str, found: usize, limit: usize },
    #[error("the id of `{text}` is {id}, ids below {limit} are allowed")]
    IdTooHigh { text: String, id: u64, limit: usize },
    #[error("precompiled character map: {what} at byte {offset}")]
    BadCharsMap { what: &'static str, offset: usize },
    #[error("pattern `{pattern}`: {what} at byte {offset}")]
    BadPattern { pattern: String, what: &'static str, offset: usize },
    #[error("the pre-tokenizer's pattern needs too many steps on this text")]
    PatternTooCostly,
    #[error("bytes at {offset} encode a number above U+10FFFF")]
    NotACodePoint { offset: usize },
    #[error("the text has {bytes} bytes, at most {limit} are allowed")]
    TextTooLong { bytes: usize, limit: usize },
    #[error("normalising the text gives more than {limit} bytes")]
    NormalizedTooLong { limit: usize },
    #[error("byte 0x{byte:02x} at {offset} has no token, and there is no unknown token")]
    NoToken { byte: u8, offset: usize },
    #[error("range {index} ({start}..{end}) lies outside the text or before the end of the one before it")]
    BadRange { index: usize, start: usize, end: usize },
    #[error("id {id} at index {index} is outside the vocabulary of {vocab} tokens")]
    IdOutOfRange { id: u32, index: usize, vocab: usize },
    #[error("tokenizer.json at {path}: {what}")]
    BadJson { path: String, what: String },
    #[error("`byte_fallback` is on, and there is no piece for byte 0x{byte:02x}")]
    MissingByte { byte: u8 },
    #[error("piece {id} `{text}`: {what}")]
    BadPiece { id: u32, text: String, what: &'static str },
    #[error("SentencePiece model at byte {offset}: {what}")]
    BadSentencePiece { offset: usize, what: &'static str },
    #[error("tiktoken ranks, line {line}: {what}")]
    BadRanks { line: usize, what: &'static str },
}

/// Something odd about a vocabulary that does not stop it from being used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum Warning {
    #[error(
        "pre-tokenizer `{name}` is not known: text is cut as by `default`, so ids may differ from the original's"
    )]
    UnknownPreTokenizer { name: String },
    #[error(
        "the file names no pre-tokenizer: text is cut as by `default`, so ids may differ from the original's"
    )]
    MissingPreTokenizer,
    #[error(
        "{count} tokens share their text with an earlier one; encoding picks the lowest id (first: `{first}`)"
    )]
    DuplicateTokens { count: usize, first: String },
    #[error("{count} tokens are given again further on, and the last counts (first: `{first}`)")]
    RepeatedTokens { count: usize, first: String },
    #[error(
        "{count} tokens have the id of another one and are decoded as that (first: `{first}` has {id}, as `{other}`)"
    )]
    SharedIds { count: usize, first: String, other: String, id: u32 },
    #[error("{count} fields of the file are given again further on, and the last counts (first: `{first}`)")]
    RepeatedFields { count: usize, first: String },
    #[error("{count} merges are given more than once (first: `{first}`)")]
    RepeatedMerges { count: usize, first: String },
    #[error("{count} of {total} merges are unusable and were left out (first: `{first}`)")]
    UnusableMerges { count: usize, total: usize, first: String },
    #[error(
        "the vocabulary has neither tokens for {count} of 256 bytes nor an unknown token: text that needs one is refused"
    )]
    RefusedBytes { count: usize },
    #[error("the vocabulary has no token for {count} of 256 bytes: such bytes vanish from the text")]
    MissingBytes { count: usize },
    #[error("the vocabulary has no unknown token: characters without a token vanish from the text")]
    NoUnknownToken,
    #[error("`{what}` of tokenizer.json is kept but not applied unless asked for")]
    NotApplied { what: &'static str },
    #[error("added token `{text}` has id {id}, as in the reference library, not {given} as the file says")]
    AddedTokenId { text: String, given: u32, id: u32 },
    #[error("token {id} `{text}` looks like a control token and is treated as one")]
    ControlByText { id: u32, text: String },
    #[error("`{key}` is {id}, the vocabulary has {vocab} tokens: refused where it is asked for")]
    SpecialIdRefused { key: &'static str, id: u32, vocab: usize },
    #[error("`{key}` is {id}, the vocabulary has {vocab} tokens: ignored")]
    SpecialIdIgnored { key: &'static str, id: u32, vocab: usize },
}
