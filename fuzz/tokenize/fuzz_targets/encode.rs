//! Any bytes through one tokenizer of each kind. The first byte says which, and how.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use realizar_tokenize::{DecodeOptions, EncodeOptions, Tokenizer};

macro_rules! data {
    ($file:literal) => {
        include_bytes!(concat!("../../../crates/realizar-tokenize/tests/data/tokenizers/", $file))
    };
}

static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let json = [
        &data!("hf/bytelevel-llama3.tokenizer.json")[..],
        data!("hf/bytelevel-qwen.tokenizer.json"),
        data!("hf/wordpiece-bert-uncased.tokenizer.json"),
        data!("hf/unigram-bytefallback.tokenizer.json"),
        data!("hf/normalizer-zoo.tokenizer.json"),
        data!("hf/added-token-zoo.tokenizer.json"),
    ];
    let models = [
        &data!("spm/bpe-bytefallback-identity.model")[..],
        data!("spm/unigram-bytefallback-identity-nodummy.model"),
    ];
    let ranks = data!("tiktoken/small.tiktoken");
    let count = ranks.iter().filter(|byte| **byte == b'\n').count() as u32;
    let special = [("<|endoftext|>", count), ("<|im_start|>", count + 1)];
    let mut out: Vec<Tokenizer> = json.iter().map(|bytes| Tokenizer::from_json(bytes).unwrap()).collect();
    out.extend(models.iter().map(|bytes| Tokenizer::from_sentencepiece(bytes).unwrap()));
    out.extend(
        ["gpt2", "cl100k", "o200k"].map(|name| Tokenizer::from_tiktoken(ranks, name, &special).unwrap()),
    );
    out
});

/// Tokens that are not shown, but for those that stand for what has no token.
static CONTROL: LazyLock<Vec<Vec<u32>>> = LazyLock::new(|| {
    let control = |tokenizer: &Tokenizer| {
        let shown = |id, all| !tokenizer.token_bytes(id, all).unwrap().is_empty();
        let unknown = |id| matches!(tokenizer.token_text(id), b"<unk>" | b"[UNK]");
        (0..tokenizer.vocab_len() as u32)
            .filter(|id| shown(*id, true) && !shown(*id, false) && !unknown(*id))
            .collect()
    };
    TOKENIZERS.iter().map(control).collect()
});

fuzz_target!(|bytes: &[u8]| {
    let Some((which, text)) = bytes.split_first() else { return };
    let which_one = *which as usize / 4 % TOKENIZERS.len();
    let (tokenizer, control) = (&TOKENIZERS[which_one], &CONTROL[which_one]);
    let options = EncodeOptions { add_special: which & 1 == 1, parse_special: which & 2 == 2 };
    let Ok(ids) = tokenizer.encode(text, options) else { return };
    assert_eq!(tokenizer.count(text, options), Ok(ids.len()));
    if !options.parse_special {
        // Those that are put around any text.
        let around = tokenizer.count(b"", options).unwrap();
        assert!(ids.iter().filter(|id| control.contains(id)).count() <= around, "{ids:?}");
    }
    let guarded = |plain: std::ops::Range<usize>| {
        tokenizer.encode_guarded(text, std::slice::from_ref(&plain), options).unwrap()
    };
    let typed = EncodeOptions { parse_special: false, ..options };
    assert_eq!(guarded(0..text.len()), tokenizer.encode(text, typed).unwrap());
    guarded(text.len() / 3..text.len() / 2);
    // The second time words come from memory.
    let encoded = tokenizer.encode_with_offsets(text, options).unwrap();
    assert_eq!(encoded.ids, ids);
    assert!(encoded.offsets.iter().all(|place| place.0 <= place.1));
    let decode = DecodeOptions { keep_special: true, clean_spaces: false, strip_ends: false };
    let whole = tokenizer.decode(&ids, decode).unwrap();
    let mut stream = tokenizer.stream();
    for id in &ids {
        stream.push(*id).unwrap();
    }
    drop(whole);
});
