//! `perplexity`, against llama.cpp's figures.

use std::path::Path;

use crate::harness::{run, shared};

#[test]
fn short_texts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("text");
    let path = path.to_str().expect("UTF-8");
    std::fs::write(path, "Once upon a time, there was a little duck. ".repeat(20)).expect("a file");
    let json = run(&["perplexity", "demo", path, "--ctx", "32", "--json"]).ok("json").lines().remove(0);
    assert!(json["ppl"].as_f64().is_some_and(|ppl| ppl > 1.0 && ppl < 50.0), "{json}");
    assert_eq!(
        json["tokens"].as_u64().zip(json["chunks"].as_u64()).map(|(t, c)| t == c * 15),
        Some(true),
        "{json}"
    );
    let words = run(&["perplexity", "demo", path, "--ctx", "32"]).ok("for people");
    assert!(words.text().starts_with("perplexity "), "{}", words.text());
    run(&["perplexity", "demo", path, "--ctx", "511"]).refused("too short", 2, &["--ctx 511", "tokens"]);
}

/// Model file below `shared/data`, llama.cpp's perplexity with F32 keys and values, how far ours may be from it in percent.
const FIGURES: &[(&str, f64, f64)] = &[
    ("demo-model/demo-f16.gguf", 2.162_017, 0.05),
    ("demo-model/demo-q8_0.gguf", 2.164_732, 0.3),
    ("golden/demo-q4_0.gguf", 2.197_081, 0.6),
    ("golden/demo-q4_k.gguf", 2.203_29, 0.6),
    ("golden/demo-q5_k.gguf", 2.170_062, 0.6),
    ("golden/demo-q6_k.gguf", 2.175_067, 0.6),
];

#[test]
fn golden_figures() {
    let Some(folder) = shared("golden", "perplexity") else { return };
    let text = folder.join("eval.txt");
    for &(model, expected, percent) in FIGURES {
        let path = folder.join("..").join(model);
        let ppl = perplexity(&path, &text);
        let off = (ppl["ppl"].as_f64().expect("a number") / expected - 1.0).abs() * 100.0;
        assert!(off <= percent, "{model}: {} instead of {expected}", ppl["ppl"]);
        assert_eq!((ppl["tokens"].as_u64(), ppl["chunks"].as_u64()), (Some(3302), Some(26)), "{model}");
    }
}

fn perplexity(model: &Path, text: &Path) -> serde_json::Value {
    let args = [
        "perplexity",
        model.to_str().expect("UTF-8"),
        text.to_str().expect("UTF-8"),
        "--ctx",
        "256",
        "--kv",
        "f32",
        "--json",
    ];
    run(&args).ok("perplexity").lines().remove(0)
}
