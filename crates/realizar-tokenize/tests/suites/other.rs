//! SentencePiece `.model` files and tiktoken rank files against their libraries.

use base64::Engine as _;
use realizar_tokenize::{DecodeOptions, EncodeOptions, Tokenizer};

use crate::support::{Score, ids_of, lines, roots, text_of};

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };
const SHOWN: DecodeOptions = DecodeOptions { keep_special: false, clean_spaces: false, strip_ends: false };

#[test]
fn sentencepiece_models() {
    for name in [
        "bpe-bytefallback-identity",
        "bpe-nfkc_cf",
        "char-nmt_nfkc",
        "unigram-bytefallback-identity-nodummy",
        "unigram-nmt_nfkc",
        "unigram-suffix-nfkc",
    ] {
        for root in roots(name) {
            sentencepiece_in(&root.join("tokenizers/spm"), name);
        }
    }
}

fn sentencepiece_in(folder: &std::path::Path, name: &str) {
    let path = folder.join(format!("{name}.model"));
    if path.exists() {
        let tokenizer = Tokenizer::from_sentencepiece(&std::fs::read(&path).unwrap()).unwrap();
        let mut score = Score::default();
        let mut decode = Score::default();
        for (number, line) in lines(&path.with_file_name(format!("{name}.suite.jsonl"))).iter().enumerate() {
            let what = || format!("{name} line {}: {}", number + 1, line);
            let ids = line.get("decode_ids").or(line.get("ids")).and_then(ids_of).unwrap();
            let shown = String::from_utf8(tokenizer.decode(&ids, SHOWN).unwrap()).unwrap();
            decode.check(&shown.as_str(), &line["decode"].as_str().unwrap(), what);
            if line.get("ids").is_some() {
                let text = text_of(line);
                score.check(&tokenizer.encode(&text, PLAIN).unwrap(), &ids, what);
                let placed = tokenizer.encode_with_offsets(&text, PLAIN).unwrap();
                assert_eq!(placed.ids, ids, "{}", what());
                assert!(
                    placed.offsets.iter().all(|(start, end)| start <= end && *end <= text.len()),
                    "{}",
                    what()
                );
            }
        }
        score.done(name);
        decode.done(&format!("{name} decode"));
    }
}

#[test]
fn tiktoken_ranks() {
    for name in ["gpt2", "cl100k", "o200k"] {
        for root in roots(name) {
            tiktoken_in(&root.join("tokenizers/tiktoken/small.tiktoken"), name);
        }
    }
}

fn tiktoken_in(path: &std::path::Path, name: &str) {
    {
        let ranks = std::fs::read(path).unwrap();
        let count = ranks.iter().filter(|byte| **byte == b'\n').count() as u32;
        let special = [("<|endoftext|>", count), ("<|fim_prefix|>", count + 1), ("<|im_start|>", count + 2)];
        let tokenizer = Tokenizer::from_tiktoken(&ranks, name, &special).unwrap();
        assert_eq!(tokenizer.eog_ids(), [count]);
        let mut score = Score::default();
        for (number, line) in lines(&path.with_file_name(format!("{name}.suite.jsonl"))).iter().enumerate() {
            let what = || format!("{name} line {}: {}", number + 1, line);
            if let Some(ids) = line.get("decode_ids").and_then(ids_of) {
                let expected =
                    base64::prelude::BASE64_STANDARD.decode(line["decode_b64"].as_str().unwrap()).unwrap();
                let options = DecodeOptions { keep_special: true, ..SHOWN };
                score.check(&tokenizer.decode(&ids, options).unwrap(), &expected, what);
                continue;
            }
            let text = text_of(line);
            let ordinary = ids_of(&line["ordinary"]).unwrap();
            score.check(&tokenizer.encode(&text, PLAIN).unwrap(), &ordinary, what);
            let special = line.get("special").and_then(ids_of).unwrap_or(ordinary);
            let options = EncodeOptions { parse_special: true, ..PLAIN };
            score.check(&tokenizer.encode(&text, options).unwrap(), &special, what);
        }
        score.done(name);
    }
}
