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
    let mut out: Vec<Tokenizer> = json.iter().map(|bytes| Tokenizer::from_json(bytes).unwrap()).collect();
    out.extend(models.iter().map(|bytes| Tokenizer::from_sentencepiece(bytes).unwrap()));
    out.extend(["gpt2", "cl100k", "o200k"].map(|name| Tokenizer::from_tiktoken(ranks, name, &[]).unwrap()));
    out
});

fuzz_target!(|bytes: &[u8]| {
    let Some((which, text)) = bytes.split_first() else { return };
    let tokenizer = &TOKENIZERS[*which as usize / 4 % TOKENIZERS.len()];
    let options = EncodeOptions { add_special: which & 1 == 1, parse_special: which & 2 == 2 };
    let Ok(ids) = tokenizer.encode(text, options) else { return };
    assert_eq!(tokenizer.count(text, options), Ok(ids.len()));
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
