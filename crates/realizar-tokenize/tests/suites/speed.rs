//! Time grows linearly with the text, and no stack overflows. Figures are measured by `benches/tokenizers`.

use std::time::{Duration, Instant};

use realizar_tokenize::{Compat, EncodeOptions, GgufVocab, Tokenizer};

use crate::support::{Gguf, roots};

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };

/// Time that this thread has run so far: others may share the machine.
fn running() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn time<T>(action: impl FnOnce() -> T) -> (T, Duration) {
    let (start, before) = (Instant::now(), running());
    let value = action();
    let wall = start.elapsed();
    let ran = running().zip(before).and_then(|(after, before)| after.checked_sub(before));
    // The kernel counts in ticks on some machines.
    (value, ran.filter(|ran| !ran.is_zero()).unwrap_or(wall))
}

fn same_texts(bytes: usize) -> Vec<(&'static str, Vec<u8>)> {
    let mut state = 1u64;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    });
    vec![
        ("one letter", vec![b'a'; bytes]),
        ("spaces", vec![b' '; bytes]),
        ("one emoji", "🙂".repeat(bytes / 4).into_bytes()),
        ("random bytes", random.take(bytes).filter(|byte| *byte < 0xF4).collect()),
        ("^", vec![b'^'; bytes]),
        ("digits", vec![b'1'; bytes]),
        ("newlines", vec![b'\n'; bytes]),
    ]
}

/// Vocabularies of every kind of model, from the crate's own data.
fn small_vocabularies() -> Vec<(String, Tokenizer)> {
    let root = roots("linear time").swap_remove(0).join("tokenizers");
    let mut out = Vec::new();
    for name in
        ["llama-bpe-bytefallback-identity", "t5-unigram-bytefallback-identity-nodummy", "plamo2", "rwkv"]
    {
        let gguf = Gguf::open(&root.join(format!("models/{name}.gguf")));
        out.push((name.to_owned(), gguf.tokenizer(Compat::Original)));
    }
    for pre in [
        "default",
        "llama3",
        "deepseek-llm",
        "gpt-4o",
        "tiny_aya",
        "superbpe",
        "bloom",
        "afmoe",
        "exaone-moe",
    ] {
        let gguf = Gguf::open(&root.join("pre/tiny-bytes.gguf")).with_pre(Some(pre));
        out.push((pre.to_owned(), gguf.tokenizer(Compat::Original)));
        out.push((format!("{pre}, llama.cpp"), gguf.tokenizer(Compat::LlamaCpp)));
    }
    let tokens: Vec<&[u8]> = vec![b"[UNK]", b"\xE2\x96\x81a", b"a", b"aa", b"[CLS]", b"[SEP]"];
    let vocab =
        GgufVocab { model: "bert", tokens, unk: Some(0), bos: Some(4), sep: Some(5), ..GgufVocab::default() };
    out.push(("bert".to_owned(), Tokenizer::from_gguf(&vocab, Compat::LlamaCpp).unwrap()));
    for name in ["bpe-bytefallback-identity", "unigram-bytefallback-identity-nodummy"] {
        let bytes = std::fs::read(root.join(format!("spm/{name}.model"))).unwrap();
        out.push((format!("{name}.model"), Tokenizer::from_sentencepiece(&bytes).unwrap()));
    }
    let ranks = std::fs::read(root.join("tiktoken/small.tiktoken")).unwrap();
    out.push(("tiktoken".to_owned(), Tokenizer::from_tiktoken(&ranks, "cl100k", &[]).unwrap()));
    #[cfg(feature = "hf")]
    for name in ["bytelevel-llama3", "wordpiece-bert-uncased", "unigram-bytefallback", "bytelevel-qwen"] {
        let bytes = std::fs::read(root.join(format!("hf/{name}.tokenizer.json"))).unwrap();
        out.push((name.to_owned(), Tokenizer::from_json(&bytes).unwrap()));
    }
    out
}

#[test]
fn time_grows_linearly() {
    // On a machine that others use, a ratio below 4 between sizes that differ by 4 is proof enough: quadratic time
    // gives 16.
    const SMALL: usize = 1 << 14;
    for (name, tokenizer) in small_vocabularies() {
        for ((what, small), (_, large)) in same_texts(SMALL).into_iter().zip(same_texts(4 * SMALL)) {
            let best = |text: &[u8]| {
                (0..2).map(|_| time(|| tokenizer.encode(text, PLAIN).map(|ids| ids.len())).1).min().unwrap()
            };
            let (small, large) = (best(&small), best(&large));
            let ratio = large.as_secs_f64() / small.as_secs_f64();
            assert!(
                ratio < 10.0 || large < Duration::from_millis(20),
                "{name}, {what}: {small:?} to {large:?}"
            );
        }
    }
}

#[test]
fn long_runs_need_no_stack() {
    let work = || {
        for (name, tokenizer) in small_vocabularies() {
            for (what, text) in same_texts(1 << 17) {
                assert!(
                    tokenizer.count(&text, PLAIN).unwrap() > 0 || name == "bert" || what != "one letter",
                    "{name}"
                );
            }
        }
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap().join().unwrap();
}
