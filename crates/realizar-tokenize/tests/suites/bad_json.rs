//! Broken `tokenizer.json` files are refused with the place, odd ones load with a warning.

use realizar_tokenize::{TokenizeError, Tokenizer, Warning};
use serde_json::{Value, json};

use crate::support::PLAIN;

fn file() -> Value {
    json!({
        "added_tokens": [{"id": 3, "content": "<s>", "special": true}],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "ByteLevel"},
        "post_processor": {"type": "ByteLevel"},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
    })
}

/// Whether the error names the part of the file that is broken.
fn names(error: &TokenizeError, name: &str, key: &str) -> bool {
    match error {
        TokenizeError::BadJson { path, what } if path == "$" => what.contains(&format!("`{key}`")),
        TokenizeError::BadJson { path, .. } | TokenizeError::UnknownComponent { path, .. } => {
            path.starts_with(&format!("$.{key}"))
        }
        TokenizeError::TooMany { what, .. } => *what == "bytes of a token",
        TokenizeError::IdTooHigh { .. } => name.starts_with("high"),
        TokenizeError::BadPattern { .. } => name.contains("regex"),
        TokenizeError::BadMerges { .. } => name.contains("merges"),
        TokenizeError::BadCharsMap { .. } => name == "bad map",
        _ => false,
    }
}

#[test]
fn broken_tokenizer_json_is_refused_with_the_path() {
    let mut nested = json!({"type": "Lowercase"});
    let mut nested_pre = json!({"type": "Whitespace"});
    let mut nested_post = json!({"type": "ByteLevel"});
    let mut nested_decoder = json!({"type": "Fuse"});
    for _ in 0..20 {
        nested = json!({"type": "Sequence", "normalizers": [nested]});
        nested_pre = json!({"type": "Sequence", "pretokenizers": [nested_pre]});
        nested_post = json!({"type": "Sequence", "processors": [nested_post]});
        nested_decoder = json!({"type": "Sequence", "decoders": [nested_decoder]});
    }
    let unigram = |vocab: Value, id: u32| json!({"type": "Unigram", "unk_id": id, "vocab": vocab});
    let cases: Vec<(&str, &str, Value)> = vec![
        ("no model", "model", Value::Null),
        ("unknown model", "model", json!({"type": "Nope"})),
        ("unknown normalizer", "normalizer", json!({"type": "Nope"})),
        ("unknown pre-tokenizer", "pre_tokenizer", json!({"type": "Nope"})),
        ("unknown post-processor", "post_processor", json!({"type": "Nope"})),
        ("unknown decoder", "decoder", json!({"type": "Nope"})),
        ("nested normalizers", "normalizer", nested),
        ("nested pre-tokenizers", "pre_tokenizer", nested_pre),
        ("nested post-processors", "post_processor", nested_post),
        ("nested decoders", "decoder", nested_decoder),
        ("type is no text", "normalizer", json!({"type": 3})),
        ("no type", "normalizer", json!({})),
        ("bad base64", "normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "!"})),
        ("bad map", "normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"})),
        (
            "bad regex",
            "pre_tokenizer",
            json!({"type": "Split", "pattern": {"Regex": "("}, "behavior": "Removed"}),
        ),
        ("no pattern", "pre_tokenizer", json!({"type": "Split", "pattern": {}, "behavior": "Removed"})),
        (
            "bad behavior",
            "pre_tokenizer",
            json!({"type": "Split", "pattern": {"String": "a"}, "behavior": "Eaten"}),
        ),
        (
            "bad prepend",
            "pre_tokenizer",
            json!({"type": "Metaspace", "replacement": "_", "prepend_scheme": "often"}),
        ),
        ("long mark", "pre_tokenizer", json!({"type": "Metaspace", "replacement": "__"})),
        ("empty added token", "added_tokens", json!([{"id": 1, "content": ""}])),
        ("added token without id", "added_tokens", json!([{"content": "x"}])),
        ("high added id", "added_tokens", json!([{"id": 4_000_000_000u32, "content": "x"}])),
        ("bad flag", "added_tokens", json!([{"id": 1, "content": "x", "special": 1}])),
        ("vocab is a list", "model", json!({"type": "BPE", "vocab": [], "merges": []})),
        ("id is a text", "model", json!({"type": "BPE", "vocab": {"a": "0"}, "merges": []})),
        ("high id", "model", json!({"type": "BPE", "vocab": {"a": 1_000_000_000}, "merges": []})),
        ("no merges", "model", json!({"type": "BPE", "vocab": {"a": 0}})),
        ("merges are no list", "model", json!({"type": "BPE", "vocab": {"a": 0}, "merges": 1})),
        ("a merge is a number", "model", json!({"type": "BPE", "vocab": {"a": 0}, "merges": [1]})),
        ("merges of nothing", "model", json!({"type": "BPE", "vocab": {"a": 0}, "merges": [["x", "y"]]})),
        (
            "unk is not there",
            "model",
            json!({"type": "BPE", "vocab": {"a": 0}, "merges": [], "unk_token": "?"}),
        ),
        ("wordpiece without unk", "model", json!({"type": "WordPiece", "vocab": {"a": 0}})),
        ("long token", "model", json!({"type": "WordLevel", "vocab": {"x".repeat(70_000): 0}})),
        ("unigram entry", "model", unigram(json!([["a"]]), 0)),
        ("unigram score", "model", unigram(json!([["a", "b"]]), 0)),
        ("unigram unk", "model", unigram(json!([["a", 0.5]]), 7)),
        (
            "template letter",
            "post_processor",
            json!({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "C"}}],
            "pair": [], "special_tokens": {}}),
        ),
        (
            "template token",
            "post_processor",
            json!({"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "x"}}], "pair": [], "special_tokens": {}}),
        ),
        ("cls is a text", "post_processor", json!({"type": "BertProcessing", "cls": "x", "sep": ["y", 1]})),
        ("truncation strategy", "truncation", json!({"max_length": 3, "strategy": "Nope"})),
        ("padding strategy", "padding", json!({})),
    ];
    for (name, key, value) in cases {
        let mut file = file();
        file[key] = value;
        let error = Tokenizer::from_json(file.to_string().as_bytes()).map(|_| ()).unwrap_err();
        assert!(names(&error, name, key), "{name}: {error}");
    }
}

#[test]
fn unknown_models_and_deep_or_large_files_are_named() {
    let error = Tokenizer::from_json(br#"{"model": {"type": "Nope"}}"#).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "model `Nope` is not known, at $.model");
    let error = |bytes: &[u8]| Tokenizer::from_json(bytes).map(|_| ()).unwrap_err();
    let deep = error("[".repeat(100_000).as_bytes());
    assert!(
        matches!(&deep, TokenizeError::TooMany { what: "nested levels of tokenizer.json", .. }),
        "{deep}"
    );
    let large = error(&vec![b' '; (64 << 20) + 1]);
    assert!(matches!(large, TokenizeError::TooMany { limit: 0x400_0000, .. }), "{large}");
    assert!(Tokenizer::from_json(file().to_string().as_bytes()).is_ok());
}

#[test]
fn what_is_not_applied_is_said() {
    let mut file = file();
    file["truncation"] = json!({"max_length": 1});
    file["padding"] = json!({"strategy": {"Fixed": 4}, "pad_id": 1});
    file["model"]["dropout"] = json!(0.1);
    let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
    let not_applied = |warning: &&Warning| matches!(warning, Warning::NotApplied { .. });
    assert_eq!(tokenizer.warnings().iter().filter(not_applied).count(), 3, "{:?}", tokenizer.warnings());
    let short = tokenizer.encode_pair("aba", Some("b"), PLAIN, true).unwrap().unwrap();
    assert_eq!(short.ids.len(), 4);
    assert_eq!(tokenizer.vocab_len(), 4);
    assert_eq!(tokenizer.token_id(b"<s>"), Some(3));
    assert_eq!(tokenizer.token_text(3), b"<s>");
    assert_eq!(tokenizer.words(b"ab b").unwrap(), [b" ab".to_vec(), b" b".to_vec()]);
    assert!(
        !tokenizer.adds_bos()
            && tokenizer.bos().is_none()
            && tokenizer.eos().is_none()
            && tokenizer.eot().is_none()
    );
}

#[test]
fn normaliser_bombs_are_stopped() {
    let mut file = file();
    file["normalizer"] =
        json!({"type": "Replace", "pattern": {"String": "a"}, "content": "x".repeat(1 << 20)});
    let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
    let result = tokenizer.encode(&[b'a'; 100], PLAIN);
    assert_eq!(result, Err(TokenizeError::NormalizedTooLong { limit: (1 << 20) + 32 * 100 }));
    // Nor is anything made of a text that would become too long, here a terabyte.
    file["normalizer"] = json!({"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": "a"}, "content": "b".repeat(1 << 20)},
        {"type": "Replace", "pattern": {"Regex": "b"}, "content": "c".repeat(1 << 20)},
    ]});
    let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
    let limit = (1 << 20) + 32;
    assert_eq!(tokenizer.encode(b"a", PLAIN), Err(TokenizeError::NormalizedTooLong { limit }));
    let result = tokenizer.encode_with_offsets(b"a", PLAIN);
    assert_eq!(result, Err(TokenizeError::NormalizedTooLong { limit }));
    // One of the longest expansions that NFKC has.
    file["normalizer"] = json!({"type": "NFKC"});
    let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
    assert!(tokenizer.encode("\u{FDFA}".repeat(1000).as_bytes(), PLAIN).is_ok());
    file["pre_tokenizer"] =
        json!({"type": "Split", "pattern": {"Regex": "(?:a|aa|aaa)+c"}, "behavior": "Removed"});
    let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
    assert_eq!(tokenizer.encode(&[b'a'; 200], PLAIN), Err(TokenizeError::PatternTooCostly));
}
