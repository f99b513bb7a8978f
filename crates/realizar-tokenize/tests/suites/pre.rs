//! Every name of `tokenizer.ggml.pre`: words and ids with two tiny vocabularies.

use std::collections::BTreeMap;

use realizar_tokenize::{Compat, EncodeOptions, Tokenizer};
use serde_json::Value;

use crate::support::{Gguf, Score, ids_of, lines, roots, text_of};

/// Lengths of words in code points, as the data have them (without the empty ones that llama.cpp makes).
fn splits(tokenizer: &Tokenizer, text: &[u8]) -> Vec<usize> {
    let words = tokenizer.words(text).unwrap();
    words.iter().map(|word| word.iter().filter(|byte| **byte & 0xC0 != 0x80).count()).collect()
}

fn expected_splits(value: &Value) -> Option<Vec<usize>> {
    Some(value.as_array()?.iter().map(|len| len.as_u64().unwrap() as usize).filter(|len| *len > 0).collect())
}

#[test]
fn every_pre_tokenizer_name() {
    for root in roots("pre") {
        names_in(&root.join("tokenizers/pre"));
    }
}

fn names_in(folder: &std::path::Path) {
    let index: Vec<Value> =
        serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    let texts = lines(&folder.join("texts.jsonl"));
    let texts: BTreeMap<u64, &Value> = texts.iter().map(|text| (text["i"].as_u64().unwrap(), text)).collect();
    let mut vocabularies = BTreeMap::new();
    for name in ["tiny-bytes", "tiny-raw"] {
        vocabularies.insert(name, Gguf::open(&folder.join(format!("{name}.gguf"))));
    }
    let mut failures = Vec::new();
    for entry in &index {
        let file = entry["file"].as_str().unwrap();
        let expected = lines(&folder.join(file));
        for (number, name) in entry["names"].as_array().unwrap().iter().enumerate() {
            let name = name.as_str().unwrap();
            let model = entry["tokenizer_model"].as_str().unwrap();
            let gguf =
                vocabularies[entry["vocab"].as_str().unwrap()].clone().with_pre(Some(name)).with_model(model);
            let tokenizer = gguf.tokenizer(Compat::LlamaCpp);
            assert!(
                !tokenizer.warnings().iter().any(|warning| warning.to_string().contains("pre-tokenizer")),
                "{name}: {:?}",
                tokenizer.warnings()
            );
            let original = gguf.tokenizer(Compat::Original);
            let (mut ids, mut words, mut original_words) =
                (Score::default(), Score::default(), Score::default());
            for line in expected.iter().filter(|line| line.get("ids").is_some()) {
                let text = texts[&line["i"].as_u64().unwrap()];
                let flag = |name: &str| text[name].as_bool().unwrap();
                let options =
                    EncodeOptions { add_special: flag("add_special"), parse_special: flag("parse_special") };
                let bytes = text_of(text);
                let what = || format!("{name}, text {}: {:?}", line["i"], String::from_utf8_lossy(&bytes));
                let found = tokenizer.encode(&bytes, options).ok();
                ids.check(&found, &ids_of(&line["ids"]), what);
                if number > 0 {
                    continue;
                }
                if let Some(expected) = expected_splits(&line["splits"]) {
                    words.check(&splits(&tokenizer, &bytes), &expected, what);
                    let expected = line.get("orig_splits").and_then(expected_splits).unwrap_or(expected);
                    original_words.check(&splits(&original, &bytes), &expected, what);
                }
            }
            for (kind, score) in [("ids", ids), ("words", words), ("original words", original_words)] {
                if score.right < score.total {
                    failures.push(format!(
                        "{name} {kind}: {} of {}\n{}",
                        score.right,
                        score.total,
                        score.wrong.join("\n")
                    ));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
