//! Decoding in pieces, batches, offsets: what must hold for every vocabulary and every text.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use realizar_tokenize::{Compat, DecodeOptions, EncodeOptions, TokenizeError, Tokenizer};

use crate::support::{Gguf, roots};

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };
const SHOWN: DecodeOptions = DecodeOptions { keep_special: false, clean_spaces: false, strip_ends: false };

/// A vocabulary of each kind.
fn vocabularies() -> Vec<(String, Tokenizer)> {
    let root = roots("streams").swap_remove(0).join("tokenizers");
    let mut out = Vec::new();
    for (file, pre) in [
        ("models/llama-bpe-bytefallback-identity.gguf", None),
        ("models/t5-unigram-bytefallback-identity-nodummy.gguf", None),
        ("models/plamo2.gguf", None),
        ("models/rwkv.gguf", None),
        ("models/hybriddna.gguf", None),
        ("pre/tiny-bytes.gguf", Some("llama3")),
        ("pre/tiny-bytes.gguf", Some("qwen2")),
        ("pre/tiny-bytes.gguf", Some("tekken")),
        ("pre/tiny-raw.gguf", Some("gemma4")),
    ] {
        let mut gguf = Gguf::open(&root.join(file));
        if pre.is_some() {
            gguf = gguf.with_pre(pre);
        }
        for compat in [Compat::Original, Compat::LlamaCpp] {
            out.push((format!("{file} {pre:?} {compat:?}"), gguf.tokenizer(compat)));
        }
    }
    #[cfg(feature = "hf")]
    for name in [
        "added-token-zoo",
        "bpe-clip",
        "bytefallback-metaspace-first",
        "bytelevel-llama3",
        "ctc-chars",
        "unigram-bytefallback",
        "wordpiece-bert-uncased",
        "normalizer-zoo",
    ] {
        let bytes = std::fs::read(root.join(format!("hf/{name}.tokenizer.json"))).unwrap();
        out.push((name.to_owned(), Tokenizer::from_json(&bytes).unwrap()));
    }
    for name in ["bpe-bytefallback-identity", "unigram-bytefallback-identity-nodummy"] {
        let bytes = std::fs::read(root.join(format!("spm/{name}.model"))).unwrap();
        out.push((name.to_owned(), Tokenizer::from_sentencepiece(&bytes).unwrap()));
    }
    let ranks = std::fs::read(root.join("tiktoken/small.tiktoken")).unwrap();
    out.push(("tiktoken".to_owned(), Tokenizer::from_tiktoken(&ranks, "o200k", &[("<|x|>", 2000)]).unwrap()));
    out
}

fn texts() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        "[ -~]{0,12}".prop_map(String::into_bytes),
        "\\PC{0,6}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..6),
        prop_oneof![
            Just("<s>"),
            Just("</s>"),
            Just("<dna>acg"),
            Just("</dna>"),
            Just("\u{2581}"),
            Just(" \n\t  "),
            Just("🙂"),
            Just("1234567"),
            Just("I'LL"),
            Just("e\u{301}"),
            Just("<|bos|>"),
            Just("  "),
            Just("漢字"),
            Just("<L>"),
        ]
        .prop_map(|text: &str| text.as_bytes().to_vec()),
    ];
    proptest::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_way_of_encoding_agrees(text in texts(), add_special: bool, parse_special: bool) {
        let options = EncodeOptions { add_special, parse_special };
        for (name, tokenizer) in vocabularies() {
            let ids = match tokenizer.encode(&text, options) {
                Ok(ids) => ids,
                Err(TokenizeError::NotACodePoint { .. } | TokenizeError::NoToken { .. }) => continue,
                Err(error) => panic!("{name}: {error}"),
            };
            prop_assert_eq!(tokenizer.count(&text, options).unwrap(), ids.len(), "{}", &name);
            let placed = tokenizer.encode_with_offsets(&text, options).unwrap();
            prop_assert_eq!(&placed.ids, &ids, "{}", &name);
            for (start, end) in &placed.offsets {
                prop_assert!(start <= end && *end <= text.len(), "{} {:?}", &name, &placed);
            }
            // No guarded stretch, or nothing but one.
            let guarded = |plain: &[std::ops::Range<usize>]| tokenizer.encode_guarded(&text, plain, options);
            prop_assert_eq!(&guarded(&[]).unwrap(), &ids, "{}", &name);
            let typed = tokenizer.encode(&text, EncodeOptions { parse_special: false, ..options });
            let all = 0..text.len();
            prop_assert_eq!(guarded(std::slice::from_ref(&all)), typed, "{}", &name);
            let batch = tokenizer.encode_batch(&[&text, b"x", &text], options, NonZeroUsize::new(2).unwrap()).unwrap();
            prop_assert_eq!(&batch[2], &ids, "{}", &name);
            prop_assert!(ids.iter().all(|id| (*id as usize) < tokenizer.vocab_len()), "{}", &name);
            // Text never becomes a control token unless it may.
            let controls = [tokenizer.bos(), tokenizer.eos()];
            if !add_special && !parse_special && !name.contains("LlamaCpp") && !name.contains("hybriddna") {
                prop_assert!(!ids.iter().any(|id| controls.contains(&Some(*id))), "{} {:?}", &name, &ids);
            }
        }
    }

    #[test]
    fn a_stream_gives_what_decoding_gives(seeds in proptest::collection::vec(any::<u32>(), 0..24), keep_special: bool) {
        for (name, tokenizer) in vocabularies() {
            let ids: Vec<u32> = seeds.iter().map(|seed| seed % tokenizer.vocab_len() as u32).collect();
            let whole = tokenizer.decode(&ids, DecodeOptions { keep_special, ..SHOWN }).unwrap();
            let whole = String::from_utf8_lossy(&whole).into_owned();
            let mut stream = tokenizer.stream().keep_special(keep_special);
            let mut text = String::new();
            for id in &ids {
                text.push_str(stream.push(*id).unwrap());
            }
            text.push_str(stream.finish());
            // Of a run of byte tokens the Hugging Face library shows all or nothing, which no stream can know.
            if name.contains("bytefallback") && whole.contains('\u{FFFD}') {
                continue;
            }
            // The libraries turn undecodable bytes into different numbers of U+FFFD.
            let plain = |text: &str| text.replace('\u{FFFD}', "");
            prop_assert_eq!(plain(&text), plain(&whole), "{} {:?}", &name, &ids);
        }
    }

    #[test]
    fn byte_level_texts_come_back(text in "\\PC{0,40}") {
        for (name, tokenizer) in vocabularies() {
            if !name.contains("LlamaCpp") || !name.contains("tiny-bytes") {
                continue;
            }
            let ids = tokenizer.encode_str(&text, PLAIN).unwrap();
            prop_assert_eq!(tokenizer.decode(&ids, SHOWN).unwrap(), text.as_bytes(), "{}", &name);
        }
    }
}

#[test]
fn a_stream_holds_back_no_more_than_it_must() {
    let (_, tokenizer) = vocabularies().into_iter().find(|(name, _)| name.contains("llama3")).unwrap();
    let ids = tokenizer.encode_str("a🙂", PLAIN).unwrap();
    let mut stream = tokenizer.stream().after_prompt();
    let pieces: Vec<String> = ids.iter().map(|id| stream.push(*id).unwrap().to_owned()).collect();
    assert_eq!(pieces.concat(), "a🙂");
    assert_eq!(pieces.last().unwrap(), "🙂");
    let half = ["é", "漢", "𐌰"].iter().map(|char| tokenizer.encode_str(char, PLAIN).unwrap());
    let half = half.into_iter().find(|ids| ids.len() > 1).unwrap()[0];
    let mut stream = tokenizer.stream();
    assert_eq!(stream.push(half).unwrap(), "");
    // The byte that cannot go on ends the character.
    let a = tokenizer.encode_str("a", PLAIN).unwrap()[0];
    assert_eq!(stream.push(a).unwrap(), "\u{FFFD}a");
    assert_eq!(stream.push(half).unwrap(), "");
    assert_eq!(stream.finish(), "\u{FFFD}");
    assert_eq!(stream.finish(), "");
    assert!(matches!(stream.push(1 << 30), Err(TokenizeError::IdOutOfRange { .. })));
}
