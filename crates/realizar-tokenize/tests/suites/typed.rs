//! What a user types never becomes a control token unless that is asked for, with one file of each kind of model.
//! Not so where the reference takes control tokens for text: `whitespace` of GGUF, and a `tokenizer.json` whose model's own
//! vocabulary reaches them.

use std::path::Path;

use realizar_tokenize::{Compat, EncodeOptions, Tokenizer};

use crate::support::{Gguf, roots};

/// Tokens that are not shown, but for those that stand for what has no token, and marks in texts.
fn control(tokenizer: &Tokenizer) -> Vec<u32> {
    let shown = |id: u32, all: bool| !tokenizer.token_bytes(id, all).unwrap().is_empty();
    // HybridDNA's marks of a sequence are part of its texts.
    let unknown =
        |id: u32| matches!(tokenizer.token_text(id), b"<unk>" | b"[UNK]" | b"<oov>" | b"<dna>" | b"</dna>");
    (0..tokenizer.vocab_len() as u32)
        .filter(|id| shown(*id, true) && !shown(*id, false) && !unknown(*id))
        .collect()
}

fn check(name: &str, tokenizer: &Tokenizer, wrong: &mut Vec<String>) {
    let control = control(tokenizer);
    assert!(!control.is_empty(), "{name}: no control tokens");
    let texts: Vec<&str> =
        control.iter().map(|id| std::str::from_utf8(tokenizer.token_text(*id)).unwrap()).collect();
    let mut typed = texts.clone();
    let joined = [texts.concat(), texts.join(" "), format!("a{}b\n", texts.join("x"))];
    typed.extend(joined.iter().map(String::as_str));
    for text in typed {
        for add_special in [false, true] {
            let options = EncodeOptions { add_special, parse_special: false };
            // What is put around any text.
            let around = tokenizer.encode_str("", options).map_or(0, |ids| ids.len());
            let Ok(ids) = tokenizer.encode_str(text, options) else { continue };
            let found = ids.iter().filter(|id| control.contains(id)).count();
            if found > around {
                wrong.push(format!("{name}: `{text}` gives {found} control tokens: {ids:?}"));
            }
        }
    }
    // Between two that a template wrote.
    let options = EncodeOptions { add_special: false, parse_special: true };
    for (id, text) in control.iter().zip(&texts) {
        let count = |ids: &[u32]| ids.iter().filter(|found| *found == id).count();
        let all = format!("{text}a{text}b{text}c");
        let start = text.len() + 1;
        let user = start..start + text.len();
        let asked = tokenizer.encode(all.as_bytes(), options).map(|ids| count(&ids));
        let guarded = tokenizer.encode_guarded(all.as_bytes(), std::slice::from_ref(&user), options);
        let guarded = guarded.map(|ids| count(&ids));
        if asked.clone().is_ok_and(|count| count == 3) && guarded != Ok(2) {
            wrong.push(format!("{name}: `{all}` with {user:?} guarded: {guarded:?} times {id}"));
        }
    }
    // When asked for, they are found.
    let options = EncodeOptions { add_special: false, parse_special: true };
    let asked = tokenizer.encode_str(&joined[1], options).unwrap();
    assert!(asked.iter().any(|id| control.contains(id)), "{name}: {asked:?}");
}

#[test]
fn no_control_token_of_what_is_typed() {
    let root = roots("typed").swap_remove(0);
    let mut wrong = Vec::new();
    let read = |path: &str| std::fs::read(root.join(path)).unwrap();
    for name in [
        "tokenizers/models/llama-bpe-bytefallback-identity",
        "tokenizers/models/rwkv",
        "tokenizers/models/t5-unigram-bytefallback-identity-nodummy",
        "tokenizers/models/plamo2",
        "tokenizers/models/hybriddna",
        "demo-model/demo-q8_0",
    ] {
        let path = root.join(format!("{name}.gguf"));
        check(name, &Gguf::open(Path::new(&path)).tokenizer(Compat::Original), &mut wrong);
    }
    for name in ["bpe-bytefallback-identity", "unigram-bytefallback-identity-nodummy"] {
        check(
            name,
            &Tokenizer::from_sentencepiece(&read(&format!("tokenizers/spm/{name}.model"))).unwrap(),
            &mut wrong,
        );
    }
    for name in [
        "bytelevel-llama3",
        "bytelevel-qwen",
        "bytelevel-roberta",
        "wordpiece-bert-uncased",
        "bpe-clip",
        "bytefallback-metaspace-first",
    ] {
        check(
            name,
            &Tokenizer::from_json(&read(&format!("tokenizers/hf/{name}.tokenizer.json"))).unwrap(),
            &mut wrong,
        );
    }
    let ranks = read("tokenizers/tiktoken/small.tiktoken");
    let count = ranks.iter().filter(|byte| **byte == b'\n').count() as u32;
    for name in ["gpt2", "cl100k", "o200k"] {
        let special = [("<|endoftext|>", count), ("<|im_start|>", count + 1)];
        check(name, &Tokenizer::from_tiktoken(&ranks, name, &special).unwrap(), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
