//! Figures, not verdicts: `cargo test --release -p realizar-tokenize --test suites speed -- --ignored --nocapture`.
//! Linear time has a verdict, and runs always, on smaller texts.

use std::time::{Duration, Instant};

use realizar_tokenize::{Compat, EncodeOptions, GgufVocab, Tokenizer};

use crate::support::{Gguf, roots};

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };

/// English, code, Chinese, emoji and numbers, shuffled.
fn mixed(bytes: usize) -> String {
    const PARTS: [&str; 12] = [
        "The quick brown fox jumps over the lazy dog, and nobody minds. ",
        "Call me Ishmael. Some years ago, never mind how long precisely, having little or no money in my purse ",
        "It is a truth universally acknowledged, that a single man in possession of a good fortune ",
        "fn main() {\n    let total: u32 = (0..10).map(|x| x * x).sum();\n    println!(\"{total}\");\n}\n",
        "    for (index, value) in self.values.iter().enumerate() {\n        if *value > limit { return Some(index); }\n",
        "def quicksort(xs):\n\tif len(xs) <= 1:\n\t\treturn xs\n",
        "话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。",
        "学而时习之，不亦说乎？有朋自远方来，不亦乐乎？",
        "🙂🎉 let's celebrate 🥳🥳 ",
        "In 1999, about 3.5 million people (roughly 7%) moved; 1,234,567 stayed.\n",
        "don't can't won't I'd've they're ",
        "Übergröße façade naïve coöperate Привет мир ",
    ];
    let mut text = String::with_capacity(bytes + 200);
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(PARTS[(state % 12) as usize]);
    }
    text
}

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

#[test]
#[ignore = "prints figures; wants a release build"]
fn speed() {
    let Some(root) = roots("speed").into_iter().nth(1) else { return };
    let text = mixed(10_000_000);
    if let Some(out) = std::env::var_os("SPEED_TEXT") {
        std::fs::write(out, &text).unwrap();
    }
    for name in ["gpt-2", "llama-bpe", "qwen2", "llama-spm", "nomic-bert-moe", "bert-bge"] {
        let gguf = Gguf::open(&root.join(format!("tokenizers/gguf/{name}.gguf")));
        let mut charsmap = Vec::new();
        let vocab = gguf.vocab(&mut charsmap);
        let load =
            (0..8).map(|_| time(|| Tokenizer::from_gguf(&vocab, Compat::Original).unwrap()).1).min().unwrap();
        if std::env::var_os("SPEED_LOAD_ONLY").is_some() {
            eprintln!("{name}: load {load:?}");
            continue;
        }
        let tokenizer = Tokenizer::from_gguf(&vocab, Compat::Original).unwrap();
        let (count, first) = time(|| tokenizer.encode(text.as_bytes(), PLAIN).unwrap().len());
        let second = time(|| tokenizer.encode(text.as_bytes(), PLAIN).unwrap().len()).1;
        let best = first.min(second).as_secs_f64();
        eprintln!("{name}: load {load:?}, {:.1} MB/s, {count} tokens", text.len() as f64 / 1e6 / best);
        for (what, text) in same_texts(10_000_000) {
            let (count, took) = time(|| tokenizer.encode(&text, PLAIN).unwrap().len());
            eprintln!("    10 MB of {what}: {took:?}, {count} tokens");
        }
    }
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

#[test]
#[ignore = "prints figures; wants a release build"]
fn speed_of_other_sources() {
    let Some(root) = roots("speed").into_iter().nth(1) else { return };
    let text = mixed(10_000_000);
    for name in ["bpe-bytefallback-identity", "unigram-nmt_nfkc"] {
        let bytes = std::fs::read(root.join(format!("tokenizers/spm/{name}.model"))).unwrap();
        let tokenizer = Tokenizer::from_sentencepiece(&bytes).unwrap();
        let (count, took) = time(|| tokenizer.encode(text.as_bytes(), PLAIN).unwrap().len());
        eprintln!("{name}: {:.1} MB/s, {count} tokens", text.len() as f64 / 1e6 / took.as_secs_f64());
    }
    for name in ["bytelevel-llama3", "bytelevel-gpt2", "wordpiece-bert-uncased", "unigram-metaspace"] {
        let bytes = std::fs::read(root.join(format!("tokenizers/hf/{name}.tokenizer.json"))).unwrap();
        let tokenizer = Tokenizer::from_json(&bytes).unwrap();
        let (count, took) = time(|| tokenizer.encode(text.as_bytes(), PLAIN).unwrap().len());
        eprintln!("{name}: {:.1} MB/s, {count} tokens", text.len() as f64 / 1e6 / took.as_secs_f64());
    }
}
