//! What a user types never becomes a control token unless that is asked for, with one file of each kind of model.
//! Not so for `whitespace` of GGUF, to which control tokens are text.

use std::path::Path;
#[cfg(feature = "hf")]
use std::path::PathBuf;

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

#[cfg(feature = "hf")]
fn json_files(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> =
        files.filter(|path| path.to_string_lossy().ends_with(".tokenizer.json")).collect();
    assert!(!files.is_empty(), "{}", folder.display());
    files
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
    #[cfg(feature = "hf")]
    for path in roots("typed").iter().flat_map(|root| json_files(&root.join("tokenizers/hf"))) {
        let tokenizer = Tokenizer::from_json(&std::fs::read(&path).unwrap()).unwrap();
        if !control(&tokenizer).is_empty() {
            check(&path.display().to_string(), &tokenizer, &mut wrong);
        }
    }
    let ranks = read("tokenizers/tiktoken/small.tiktoken");
    let count = ranks.iter().filter(|byte| **byte == b'\n').count() as u32;
    for name in ["gpt2", "cl100k", "o200k"] {
        let special = [("<|endoftext|>", count), ("<|im_start|>", count + 1)];
        check(name, &Tokenizer::from_tiktoken(&ranks, name, &special).unwrap(), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A `tokenizer.json` whose merges make a control token of its letters: the library would give it, unlike what was asked for.
#[test]
#[cfg(feature = "hf")]
fn merges_that_make_a_control_token() {
    let file = serde_json::json!({
        "model": {
            "type": "BPE",
            "vocab": {"<": 0, "s": 1, ">": 2, "<s": 3, "<s>": 4, "a": 5},
            "merges": [["<", "s"], ["<s", ">"]],
        },
        "added_tokens": [{"id": 4, "content": "<s>", "special": true}],
    });
    let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
    let options = |parse_special| EncodeOptions { add_special: false, parse_special };
    let encoded = tokenizer.encode_with_offsets(b"a<s>a<s", options(false)).unwrap();
    assert_eq!(encoded.ids, [5, 0, 1, 2, 5, 3]);
    assert_eq!(encoded.offsets, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 7)]);
    assert_eq!(tokenizer.encode(b"a<s>a<s", options(true)).unwrap(), [5, 4, 5, 3]);
    let guarded =
        tokenizer.encode_guarded(b"<s><s><s>", std::slice::from_ref(&(3..6)), options(true)).unwrap();
    assert_eq!(guarded, [4, 0, 1, 2, 4]);
}
