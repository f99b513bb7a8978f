//! GGUF vocabularies against llama.cpp's ids and the originals'.

use crate::sha256::sha256;
use crate::support::{Gguf, Score, ids_of, lines, roots, text_of};
use realizar_tokenize::{Compat, DecodeOptions, EncodeOptions, Tokenizer};

/// The ends that encoding adds: they are not part of `orig_ids_no_special`.
fn with_ends(tokenizer: &Tokenizer, ids: Vec<u32>, add_special: bool) -> Vec<u32> {
    if !add_special {
        return ids;
    }
    let mut ends = tokenizer.encode(b"", EncodeOptions { add_special: true, parse_special: false }).unwrap();
    let tail = ends.split_off(usize::from(tokenizer.adds_bos()));
    ends.extend(ids);
    ends.extend(tail);
    ends
}

/// Lines whose texts look like special tokens, for which the data have no answer of the original; these are
/// sentencepiece 0.2.3's.
const NOT_IN_THE_DATA: &[(&str, usize, &[u32])] = &[
    (
        "llama-bpe-bytefallback-identity",
        12,
        &[
            267, 283, 329, 390, 469, 431, 474, 267, 424, 475, 491, 481, 443, 437, 482, 431, 474, 482, 431,
            474, 5, 5, 5, 424, 587, 460, 890, 830, 738, 737, 425, 587, 482, 504, 376, 445, 269, 484, 427,
            462, 484, 285, 460, 428, 504, 474, 937, 939, 938, 840,
        ],
    ),
    ("llama-bpe-bytefallback-identity", 32, &[390, 469, 431, 474, 5, 482, 469, 431, 474]),
    ("llama-bpe-bytefallback-identity", 104, &[424, 5, 482, 291, 443, 474, 5]),
    ("llama-bpe-bytefallback-identity", 167, &[390, 431, 474, 5, 482, 431, 474]),
    ("t5-unigram-bytefallback-identity-nodummy", 105, &[1, 201, 157, 292, 1]),
    (
        "t5-unigram-bytefallback-identity-nodummy",
        135,
        &[
            684, 271, 293, 201, 179, 312, 281, 792, 409, 278, 271, 423, 670, 394, 278, 267, 457, 747, 684,
            271, 293,
        ],
    ),
    (
        "t5-unigram-bytefallback-identity-nodummy",
        173,
        &[
            318, 376, 583, 274, 736, 325, 585, 304, 230, 170, 191, 230, 170, 197, 230, 170, 174, 230, 171,
            147, 230, 170, 172, 230, 171, 134, 3, 3,
        ],
    ),
];

fn encode_suite(name: &str, tokenizer: &Tokenizer, compat: Compat, path: &std::path::Path) {
    let mut score = Score::default();
    let lines = lines(path);
    // A slice has other line numbers, and none of those lines.
    let whole = lines.len() > 100;
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.get("ids").is_some()) {
        if line.get("add_special").is_none() {
            continue;
        }
        let text = text_of(line);
        let flag = |name: &str| line[name].as_bool().unwrap();
        let options =
            EncodeOptions { add_special: flag("add_special"), parse_special: flag("parse_special") };
        let found = tokenizer.encode(&text, options).ok();
        let added = NOT_IN_THE_DATA.iter().find(|row| row.0 == name && row.1 == number + 1 && whole);
        let original = (compat == Compat::Original)
            .then(|| {
                added.map(|row| row.2.to_vec()).or_else(|| line.get("orig_ids_no_special").and_then(ids_of))
            })
            .flatten();
        let expected = match original {
            Some(ids) => Some(with_ends(tokenizer, ids, options.add_special)),
            None => ids_of(&line["ids"]),
        };
        if expected.is_none() && compat == Compat::Original {
            continue;
        }
        score.check(&found, &expected, || {
            format!("{name} {compat:?} line {} {options:?}: {:?}", number + 1, String::from_utf8_lossy(&text))
        });
        if let Some(found) = found {
            assert_eq!(tokenizer.count(&text, options).unwrap(), found.len());
            let placed = tokenizer.encode_with_offsets(&text, options).unwrap();
            assert_eq!(placed.ids, found, "{name} line {}", number + 1);
            for pair in placed.offsets.windows(2) {
                assert!(
                    pair[0].0 <= pair[1].0 && pair[0].0 <= pair[0].1 && pair[1].1 <= text.len(),
                    "{name} {number}"
                );
            }
        }
    }
    score.done(&format!("{name} {compat:?}"));
}

fn decode_suite(name: &str, tokenizer: &Tokenizer, path: &std::path::Path, ids: &str) {
    let mut score = Score::default();
    for line in lines(path).iter().filter(|line| line.get("remove_special").is_some()) {
        let flag = |name: &str| line[name].as_bool().unwrap();
        let options = DecodeOptions {
            keep_special: flag("unparse_special"),
            strip_ends: flag("remove_special"),
            clean_spaces: true,
        };
        let ids = ids_of(&line[ids]).unwrap();
        let found = tokenizer.decode(&ids, options).unwrap();
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        score.check(&shown(&found), &shown(&text_of(line)), || format!("{name} {options:?} {ids:?}"));
    }
    score.done(&format!("{name} decode"));
}

fn vocabulary(name: &str, file: &str, pre: Option<Option<&str>>) {
    for root in roots(name) {
        let folder = root.join("tokenizers/gguf");
        if folder.join(file).exists() {
            vocabulary_in(&folder, name, file, pre);
        }
    }
}

fn vocabulary_in(folder: &std::path::Path, name: &str, file: &str, pre: Option<Option<&str>>) {
    let mut gguf = Gguf::open(&folder.join(file));
    if let Some(pre) = pre {
        gguf = gguf.with_pre(pre);
    }
    let file = |end: &str| folder.join(format!("{name}.{end}"));
    for compat in [Compat::LlamaCpp, Compat::Original] {
        let tokenizer = gguf.tokenizer(compat);
        encode_suite(name, &tokenizer, compat, &file("suite.jsonl"));
        if compat == Compat::Original {
            continue;
        }
        decode_suite(name, &tokenizer, &file("detok.jsonl"), "ids");
        let meta: serde_json::Value =
            serde_json::from_slice(&std::fs::read(file("meta.json")).unwrap()).unwrap();
        assert_eq!(tokenizer.eog_ids(), ids_of(&meta["eog_ids"]).unwrap(), "{name}");
        assert_eq!(tokenizer.vocab_len() as u64, meta["n_tokens"].as_u64().unwrap(), "{name}");
        assert_eq!(u64::from(tokenizer.adds_bos()), meta["add_bos"].as_u64().unwrap(), "{name}");
        let id = |name: &str| u32::try_from(meta[name].as_i64().unwrap()).ok();
        assert_eq!((tokenizer.bos(), tokenizer.eos()), (id("bos"), id("eos")), "{name}");
        for (key, keep_special) in [("pieces_sha256_special", true), ("pieces_sha256_plain", false)] {
            let mut bytes = Vec::new();
            for token in 0..tokenizer.vocab_len() as u32 {
                let piece = tokenizer.token_bytes(token, keep_special).unwrap();
                bytes.extend((piece.len() as u32).to_le_bytes());
                bytes.extend_from_slice(&piece);
            }
            assert_eq!(sha256(&bytes), meta[key].as_str().unwrap(), "{name} {key}");
        }
    }
}

#[test]
fn llama_spm() {
    vocabulary("llama-spm", "llama-spm.gguf", None);
}

#[test]
fn llama_bpe() {
    vocabulary("llama-bpe", "llama-bpe.gguf", None);
}

#[test]
fn gpt_2() {
    vocabulary("gpt-2", "gpt-2.gguf", None);
}

#[test]
fn qwen2() {
    vocabulary("qwen2", "qwen2.gguf", None);
}

#[test]
fn other_byte_pair_vocabularies() {
    for (name, file, pre) in [
        ("command-r", "command-r.gguf.xz", None),
        ("deepseek-coder", "deepseek-coder.gguf", None),
        ("deepseek-llm", "deepseek-llm.gguf", None),
        ("falcon", "falcon.gguf", None),
        ("gemma-4", "gemma-4.gguf.xz", None),
        ("gpt-neox", "mpt.gguf", Some(None)),
        ("mpt", "mpt.gguf", None),
        ("phi-3", "phi-3.gguf", None),
        ("qwen35", "qwen2.gguf", Some(Some("qwen35"))),
        ("refact", "refact.gguf", None),
        ("starcoder", "starcoder.gguf", None),
    ] {
        vocabulary(name, file, pre);
    }
}

#[test]
fn encoder_vocabularies() {
    for (name, file) in [("bert-bge", "bert-bge.gguf"), ("nomic-bert-moe", "nomic-bert-moe.gguf")] {
        vocabulary(name, file, None);
    }
}

#[test]
fn other_models() {
    for name in [
        "hybriddna",
        "llama-bpe-bytefallback-identity",
        "plamo2",
        "rwkv",
        "t5-unigram-bytefallback-identity-nodummy",
        "t5-unigram-nmt_nfkc",
        "whitespace",
        "whitespace-lower",
    ] {
        for root in roots(name) {
            model_in(&root.join("tokenizers/models"), name);
        }
    }
}

fn model_in(folder: &std::path::Path, name: &str) {
    let path = folder.join(format!("{name}.gguf"));
    if path.exists() {
        let suite = path.with_file_name(format!("{name}.suite.jsonl"));
        let gguf = Gguf::open(&path);
        for compat in [Compat::LlamaCpp, Compat::Original] {
            let tokenizer = gguf.tokenizer(compat);
            encode_suite(name, &tokenizer, compat, &suite);
            if compat == Compat::LlamaCpp {
                decode_suite(name, &tokenizer, &suite, "detok");
            }
        }
    }
}

#[test]
fn golden_demo_and_gold2() {
    for (name, file) in [("demo", "demo-model/demo-q8_0.gguf"), ("gold2", "golden/gold2-q8_0.gguf")] {
        for root in roots(name).into_iter().filter(|root| root.join(file).exists()) {
            let expected = std::fs::read(root.join(format!("golden/{name}-tokenize.json"))).unwrap();
            let expected: Vec<serde_json::Value> = serde_json::from_slice(&expected).unwrap();
            for compat in [Compat::LlamaCpp, Compat::Original] {
                let tokenizer = Gguf::open(&root.join(file)).tokenizer(compat);
                let mut score = Score::default();
                for line in &expected {
                    for (key, add_special, parse_special) in [
                        ("ids", false, false),
                        ("ids_with_special", true, false),
                        ("ids_parse_special", false, true),
                    ] {
                        let options = EncodeOptions { add_special, parse_special };
                        let found = tokenizer.encode(&text_of(line), options).unwrap();
                        score.check(&found, &ids_of(&line[key]).unwrap(), || format!("{name} {key} {line}"));
                    }
                }
                score.done(&format!("{name} {compat:?}"));
            }
        }
    }
}
