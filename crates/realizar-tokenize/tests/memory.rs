//! Long runs of one character take a few times their length in memory, whatever the vocabulary.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::path::Path;

use realizar_tokenize::{Compat, EncodeOptions, GgufVocab, Tokenizer};

const BYTES: usize = 150_000;
const OPTIONS: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };

fn texts() -> Vec<(&'static str, Vec<u8>)> {
    let mut state = 1u64;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    });
    // Bytes from 0xF4 on may encode numbers above U+10FFFF, which llama.cpp refuses.
    let random = random.filter(|byte| *byte < 0xF4).take(BYTES).collect();
    let units = ["a", " ", "🙂", "^", "1", "\n", "\u{301}", "e\u{301}"];
    let runs = units.into_iter().map(|unit| (unit, unit.repeat(BYTES / unit.len()).into_bytes()));
    runs.chain([("random bytes", random)]).collect()
}

/// What encoding takes on its way, in times the text. What grows counts twice here, since the counter lets nothing grow in
/// its place; a list of pieces or of matches would still take more.
fn check(name: &str, tokenizer: &Tokenizer, texts: &[(&str, Vec<u8>)]) {
    for (unit, text) in texts {
        // The first time makes working memory that does not depend on the text.
        tokenizer.count(text, OPTIONS).unwrap();
        let info = allocation_counter::measure(|| drop(tokenizer.count(text, OPTIONS)));
        let times = info.bytes_max as f64 / text.len() as f64;
        assert!(times <= 18.0, "{name}, {unit:?}: {times:.1} times the text");
    }
}

fn files(folder: &str, ending: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizers").join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let wanted = paths.into_iter().filter(|path| path.to_string_lossy().ends_with(ending));
    wanted.map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}

#[test]
fn sentencepiece_and_tiktoken_take_a_few_times_the_text() {
    let texts = texts();
    let models = files("spm", ".model");
    let ranks = files("tiktoken", ".tiktoken");
    assert!(models.len() >= 2 && !ranks.is_empty());
    for (name, bytes) in models {
        check(&name, &Tokenizer::from_sentencepiece(&bytes).unwrap(), &texts);
    }
    for (name, bytes) in ranks {
        check(&name, &Tokenizer::from_tiktoken(&bytes, "cl100k", &[]).unwrap(), &texts);
    }
}

#[test]
#[cfg(feature = "hf")]
fn tokenizer_json_takes_a_few_times_the_text() {
    let texts = texts();
    let files = files("hf", ".tokenizer.json");
    assert!(files.len() >= 10);
    for (name, bytes) in files {
        check(&name, &Tokenizer::from_json(&bytes).unwrap(), &texts);
    }
}

#[test]
fn tokens_that_are_found_in_many_lengths_take_no_memory() {
    let runs: Vec<Vec<u8>> = (2..=24).map(|count| vec![b' '; count]).collect();
    let tokens: Vec<&[u8]> = runs.iter().map(Vec::as_slice).chain([&b"a"[..], b"1", b"a1"]).collect();
    let vocab = GgufVocab {
        model: "gpt2",
        pre: Some("mpt"),
        // User-defined, then normal.
        types: Some(tokens.iter().map(|token| if token[0] == b' ' { 4 } else { 1 }).collect()),
        tokens,
        merges: vec![b"a 1"],
        ..GgufVocab::default()
    };
    let tokenizer = Tokenizer::from_gguf(&vocab, Compat::Original).unwrap();
    let ids = tokenizer.encode(&[b' '; 50], OPTIONS).unwrap();
    assert_eq!(ids, [22, 22, 0]);
    check("runs of spaces", &tokenizer, &texts());
}
