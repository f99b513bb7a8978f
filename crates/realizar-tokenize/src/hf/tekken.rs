//! Mistral's `tekken.json`: tiktoken's ranks, a pattern, and a number of special tokens whose ids come before all ranks.

use rustc_hash::FxHashSet;

use super::json::At;
use super::model::{MAX_IDS, MAX_TOKEN_BYTES};
use super::tree::{self, Row};
use crate::lexicon::Lexicon;
use crate::special::Special;
use crate::tiktoken::Tiktoken;
use crate::{TokenId, TokenizeError, base64};

/// Most special tokens that are accepted: most of them are not in the file.
const MAX_SPECIAL: usize = 65_536;
/// The special tokens of files that list none.
const UNLISTED: [&str; 20] = [
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
];

pub(crate) fn read(bytes: &[u8]) -> Result<Tiktoken, TokenizeError> {
    let (value, _) = tree::parse(bytes)?;
    let root = At::root(&value);
    let config = root.need("config")?;
    let count = |key: &str| -> Result<usize, TokenizeError> {
        let at = config.need(key)?;
        let found = usize::try_from(at.number()?).unwrap_or(usize::MAX);
        if found > MAX_IDS {
            return Err(TokenizeError::TooMany { what: "tokens", found, limit: MAX_IDS });
        }
        Ok(found)
    };
    let (vocab, reserved) = (count("default_vocab_size")?, count("default_num_special_tokens")?);
    if reserved > MAX_SPECIAL {
        return Err(TokenizeError::TooMany { what: "special tokens", found: reserved, limit: MAX_SPECIAL });
    }
    let listed = special_texts(&root)?;
    // The file holds more ranks than the model has tokens.
    let ranks =
        vocab.checked_sub(reserved).filter(|ranks| *ranks > 0).ok_or(TokenizeError::EmptyVocabulary)?;
    if listed.len() > reserved {
        return Err(config.error("`default_num_special_tokens` is less than the special tokens of the file"));
    }
    let list = root.need("vocab")?;
    let rows =
        list.rows()?.get(..ranks).ok_or_else(|| list.error("fewer ranks than the model has tokens"))?;
    let mut texts = Lexicon::with_capacity(vocab, 8 * vocab);
    let mut specials = Vec::with_capacity(reserved);
    for id in 0..reserved as TokenId {
        texts.push(b"");
        let text = match listed.get(id as usize) {
            Some(text) => text.clone().into_bytes(),
            None => format!("<SPECIAL_{id}>").into_bytes(),
        };
        specials.push(Special { id, text, control: true, strip: (false, false) });
    }
    for (index, row) in rows.iter().enumerate() {
        let bad = |what: &str| list.error(&format!("entry {index}: {what}"));
        let Row::Ranked(token, rank) = row else { return Err(bad("expected `rank` and `token_bytes`")) };
        if *rank != index as u64 {
            return Err(bad("the rank is not the place in the list"));
        }
        let token = base64::decode(token.as_bytes()).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| bad("bad base64"))?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenizeError::TooMany {
                what: "bytes of a token",
                found: token.len(),
                limit: MAX_TOKEN_BYTES,
            });
        }
        if !texts.push(&token) {
            return Err(bad("the token is there already"));
        }
    }
    let find = |text: &str| {
        specials.iter().find(|special| special.text == text.as_bytes()).map(|special| special.id)
    };
    let ends = (find("<s>"), find("</s>"));
    Ok(Tiktoken::new(texts, specials, config.need("pattern")?.text()?)?.with_ends(ends))
}

/// The texts of the special tokens in the order of their ids.
fn special_texts(root: &At<'_>) -> Result<Vec<String>, TokenizeError> {
    let Some(list) = root.get("special_tokens") else { return Ok(UNLISTED.map(String::from).to_vec()) };
    let mut texts = Vec::new();
    for (index, at) in list.list()?.iter().enumerate() {
        if at.need("rank")?.number()? != index as u64 {
            return Err(at.error("the rank is not the place in the list"));
        }
        let text = at.need("token_str")?.text()?;
        if text.is_empty() {
            return Err(at.error("a special token is empty"));
        }
        texts.push(text.to_owned());
    }
    let mut known = FxHashSet::default();
    if let Some(text) = texts.iter().find(|text| !known.insert(text.as_str())) {
        return Err(root.error(&format!("the special token `{text}` is given twice")));
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use crate::{DecodeOptions, EncodeOptions, Tokenizer};

    /// A file with the 256 bytes and `ab`, whose last token is left out by the size of the vocabulary.
    fn file(config: &str, special: &str) -> String {
        let mut vocab = String::new();
        let base64 = |bytes: &[u8]| {
            use ::base64::Engine as _;
            ::base64::engine::general_purpose::STANDARD.encode(bytes)
        };
        for byte in 0..=255u8 {
            write!(vocab, r#"{{"rank": {byte}, "token_bytes": "{}", "token_str": null}}, "#, base64(&[byte]))
                .unwrap();
        }
        for (rank, token) in [(256, "ab"), (257, "abc")] {
            write!(vocab, r#"{{"rank": {rank}, "token_bytes": "{}"}}, "#, base64(token.as_bytes())).unwrap();
        }
        let vocab = vocab.trim_end_matches(", ");
        format!(r#"{{"config": {{"pattern": "\\w+|\\W+", {config}}}, "vocab": [{vocab}]{special}}}"#)
    }

    const CONFIG: &str = r#""default_vocab_size": 280, "default_num_special_tokens": 23, "version": "v3""#;

    #[test]
    fn special_tokens_come_first() {
        let tokenizer = Tokenizer::from_tekken(file(CONFIG, "").as_bytes()).unwrap();
        assert_eq!((tokenizer.vocab_len(), tokenizer.bos(), tokenizer.eos()), (280, Some(1), Some(2)));
        assert!(tokenizer.adds_bos() && tokenizer.is_eog(2));
        let encode = |text: &str, add_special, parse_special| {
            tokenizer.encode_str(text, EncodeOptions { add_special, parse_special }).unwrap()
        };
        let byte = |byte: u8| u32::from(byte) + 23;
        assert_eq!(encode("abc", true, false), [1, 279, byte(b'c')]);
        assert_eq!(encode("[INST]ab<SPECIAL_22>", false, true), [3, 279, 22]);
        assert!(encode("[INST]", false, false).iter().all(|id| *id >= 23));
        let decode = |ids: &[u32], keep_special| {
            let options = DecodeOptions { keep_special, clean_spaces: false, strip_ends: false };
            String::from_utf8(tokenizer.decode(ids, options).unwrap()).unwrap()
        };
        assert_eq!(decode(&[1, 3, 279, 2], true), "<s>[INST]ab</s>");
        assert_eq!(decode(&[1, 3, 279, 2], false), "ab");
        let listed = r#", "special_tokens": [{"rank": 0, "token_str": "<s>", "is_control": true}]"#;
        let tokenizer = Tokenizer::from_tekken(file(CONFIG, listed).as_bytes()).unwrap();
        assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(0), None));
        assert_eq!(tokenizer.token_id(b"<SPECIAL_1>"), Some(1));
    }

    #[test]
    fn broken_files_are_refused() {
        let sizes = |vocab: &str, special: &str| {
            file(&format!(r#""default_vocab_size": {vocab}, "default_num_special_tokens": {special}"#), "")
        };
        let with = |special: &str| file(CONFIG, &format!(r#", "special_tokens": {special}"#));
        let vocab = |from: &str, to: &str| file(CONFIG, "").replacen(from, to, 1);
        for (name, json, part) in [
            ("no sizes", file(r#""x": 1"#, ""), "default_vocab_size"),
            ("too few ranks", sizes("9000", "23"), "fewer ranks"),
            ("too few special tokens", sizes("280", "3"), "default_num_special_tokens"),
            ("no ranks", sizes("23", "23"), "no tokens"),
            ("less than no ranks", sizes("20", "23"), "no tokens"),
            ("too many", sizes("4194305", "23"), "4194305 tokens, at most 4194304"),
            ("too many special tokens", sizes("100000", "65537"), "65537 special tokens, at most 65536"),
            ("too large a number", sizes("18446744073709551615", "23"), "18446744073709551615 tokens"),
            ("no numbers", sizes("\"x\"", "23"), "whole number"),
            ("a rank elsewhere", vocab(r#""rank": 3,"#, r#""rank": 4,"#), "entry 3: the rank"),
            ("bad base64", vocab("AQ==", "A==="), "entry 1: bad base64"),
            ("empty token", vocab("AQ==", ""), "entry 1: bad base64"),
            ("a token twice", vocab("AQ==", "AA=="), "entry 1: the token is there already"),
            (
                "a special token twice",
                with(r#"[{"rank": 0, "token_str": "x"}, {"rank": 1, "token_str": "x"}]"#),
                "the special token `x` is given twice",
            ),
            ("no rank", vocab(r#""rank": 3,"#, ""), "entry 3: expected"),
            (
                "a list for a token",
                vocab(r#"{"rank": 0, "token_bytes": "AA==", "token_str": null}"#, "[]"),
                "entry 0",
            ),
            ("special not in order", with(r#"[{"rank": 1, "token_str": "x"}]"#), "$.special_tokens[0]"),
            ("special without text", with(r#"[{"rank": 0, "token_str": ""}]"#), "empty"),
            ("special as text", with("\"x\""), "list"),
            ("pattern", vocab(r"\\w+", r"(\\w+"), "pattern"),
            ("a byte without token", vocab("AQ==", "AQE="), "0x01"),
        ] {
            let error = Tokenizer::from_tekken(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {error}");
        }
    }
}
