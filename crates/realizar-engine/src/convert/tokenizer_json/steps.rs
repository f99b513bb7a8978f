//! The steps of a `tokenizer.json`: what is done to a text before and after it is made of pieces.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

/// A way through.
#[derive(Debug, Clone, Default)]
pub(super) struct Steps {
    pub(super) normalizer: Json,
    pub(super) pre_tokenizer: Json,
    pub(super) decoder: Json,
    /// A word that is a token as a whole is not merged from its parts.
    pub(super) ignore_merges: bool,
}

/// For pieces with scores; `space`: one is put before a text.
pub(super) fn scored(space: bool) -> Vec<Steps> {
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"});
    let normalizers = match space {
        true => json!([{"type": "Prepend", "prepend": "\u{2581}"}, replace]),
        false => json!([replace]),
    };
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if space {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let decoder = json!({"type": "Sequence", "decoders": decoders});
    let plain = Steps {
        normalizer: json!({"type": "Sequence", "normalizers": normalizers}),
        decoder: decoder.clone(),
        ..Steps::default()
    };
    // The other way to say it, by which a text after a special token gets a space or not.
    let scheme = if space { "always" } else { "never" };
    let pre_tokenizer =
        json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": false});
    vec![plain, Steps { pre_tokenizer, decoder, ..Steps::default() }]
}

/// How one family of byte-level vocabularies cuts texts, as published with its models.
#[derive(Debug)]
struct Cut {
    names: &'static [&'static str],
    /// Patterns, one after the other; none: the pattern that comes with the byte level.
    patterns: &'static [&'static str],
    nfc: bool,
    ignore_merges: bool,
}

const CUTS: &[Cut] = &[
    Cut {
        names: &["gpt-2", "phi-2", "mpt", "olmo", "jais", "roberta-bpe"],
        patterns: &[],
        nfc: false,
        ignore_merges: false,
    },
    Cut {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "dbrx", "smaug-bpe"],
        patterns: &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        nfc: false,
        ignore_merges: true,
    },
    Cut {
        names: &["qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan"],
        patterns: &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        nfc: true,
        ignore_merges: false,
    },
    Cut {
        names: &["qwen35"],
        patterns: &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        nfc: true,
        ignore_merges: false,
    },
    Cut {
        names: &["gpt-4o", "llama4"],
        patterns: &[
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        nfc: false,
        ignore_merges: false,
    },
    Cut {
        names: &["tekken"],
        patterns: &[
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        nfc: false,
        ignore_merges: true,
    },
    Cut {
        names: &["starcoder", "refact", "codeshell", "exaone", "smollm", "command-r", "minerva-7b"],
        patterns: &[r"\p{N}", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"],
        nfc: false,
        ignore_merges: false,
    },
];

/// For byte-level pieces that are cut in the way of this name.
pub(super) fn byte_level(name: &str) -> Vec<Steps> {
    let byte_level = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
    let Some(cut) = CUTS.iter().find(|cut| cut.names.contains(&name)) else { return Vec::new() };
    let split = |pattern: &&str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    let mut cuts: Vec<Json> = cut.patterns.iter().map(split).collect();
    cuts.push(byte_level(cuts.is_empty()));
    let steps = Steps {
        normalizer: Json::Null,
        pre_tokenizer: json!({"type": "Sequence", "pretokenizers": cuts}),
        decoder: byte_level(true),
        ignore_merges: cut.ignore_merges,
    };
    let composed = Steps { normalizer: json!({"type": "NFC"}), ..steps.clone() };
    // Models of one way of cutting differ in whether they compose marks.
    if cut.nfc { vec![composed, steps] } else { vec![steps, composed] }
}

/// For pieces of words, in the manner of BERT.
pub(super) fn words(lowercase: bool, strip_accents: bool) -> Vec<Steps> {
    vec![Steps {
        normalizer: json!({
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": strip_accents, "lowercase": lowercase,
        }),
        pre_tokenizer: json!({"type": "BertPreTokenizer"}),
        decoder: json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
        ignore_merges: false,
    }]
}

/// For pieces whose scores add up.
pub(super) fn unigram(charsmap: &[u8]) -> Vec<Steps> {
    let map = json!({"type": "Precompiled", "precompiled_charsmap": STANDARD.encode(charsmap)});
    let squeeze = json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "});
    let strip = json!({"type": "Strip", "strip_left": true, "strip_right": true});
    let metaspace = |scheme: &str| json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": true});
    let sequence = |list: &[&Json]| {
        let map = (!charsmap.is_empty()).then_some(&map);
        let list: Vec<&Json> = map.into_iter().chain(list.iter().copied()).collect();
        if list.is_empty() { Json::Null } else { json!({"type": "Sequence", "normalizers": list}) }
    };
    let by_word =
        json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace("always")]});
    let ways = [
        (sequence(&[]), by_word),
        (sequence(&[&strip, &squeeze]), metaspace("always")),
        (sequence(&[]), metaspace("always")),
        (sequence(&[]), metaspace("first")),
        (sequence(&[]), metaspace("never")),
    ];
    let decoder = metaspace("always");
    let step = |(normalizer, pre_tokenizer)| Steps {
        normalizer,
        pre_tokenizer,
        decoder: decoder.clone(),
        ignore_merges: false,
    };
    ways.into_iter().map(step).collect()
}
