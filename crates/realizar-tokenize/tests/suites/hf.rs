//! `tokenizer.json` files against the Hugging Face library.

use realizar_tokenize::{DecodeOptions, EncodeOptions, TokenizeError, Tokenizer, Warning};
use serde_json::{Value, json};

use crate::support::{Score, ids_of, lines, roots};

/// Byte offsets as a flat list of offsets in characters of the texts that they lie in.
fn in_chars(offsets: &[(usize, usize)], types: &[u32], texts: [&str; 2], pair_starts: usize) -> Vec<usize> {
    let mut out = Vec::new();
    for (index, (start, end)) in offsets.iter().enumerate() {
        let _ = types;
        let text = texts[usize::from(index >= pair_starts)];
        for at in [start, end] {
            out.push(text.get(..*at).map_or(usize::MAX, |before| before.chars().count()));
        }
    }
    out
}

fn flags(value: Option<&Value>, len: usize, default: bool) -> Vec<bool> {
    match value.and_then(Value::as_array) {
        Some(list) => list.iter().map(|flag| flag.as_u64() == Some(1)).collect(),
        None => vec![default; len],
    }
}

#[test]
fn every_file() {
    for root in roots("hf") {
        files_in(&root.join("tokenizers/hf"));
    }
}

fn files_in(folder: &std::path::Path) {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().to_str()?.strip_suffix(".tokenizer.json").map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(names.len() >= 12);
    let mut failures = Vec::new();
    for name in names {
        let bytes = std::fs::read(folder.join(format!("{name}.tokenizer.json"))).unwrap();
        let tokenizer = match Tokenizer::from_json(&bytes) {
            Ok(tokenizer) => tokenizer,
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                continue;
            }
        };
        let [mut ids, mut offsets, mut rest, mut decode] = <[Score; 4]>::default();
        for (number, line) in lines(&folder.join(format!("{name}.suite.jsonl"))).iter().enumerate() {
            let what = || format!("{name} line {}: {}", number + 1, line["text"]);
            let show = |ids: &[u32], keep_special| {
                let options = DecodeOptions { keep_special, clean_spaces: false, strip_ends: false };
                String::from_utf8(tokenizer.decode(ids, options).unwrap()).unwrap()
            };
            let all = |key: &str| line.get(key).and_then(ids_of);
            let shown = all("decode_ids").or(all("ids")).unwrap();
            let expected = line["decode"].as_str().unwrap();
            decode.check(&show(&shown, false).as_str(), &expected, what);
            let with_special =
                line.get("decode_with_special").map_or(expected, |text| text.as_str().unwrap());
            decode.check(&show(&shown, true).as_str(), &with_special, what);
            if line.get("text").is_none() {
                continue;
            }
            let text = line["text"].as_str().unwrap();
            let pair = line.get("pair").map(|pair| pair.as_str().unwrap());
            let options =
                EncodeOptions { add_special: line["add_special"].as_bool().unwrap(), parse_special: true };
            let found = tokenizer.encode_pair(text, pair, options, true).unwrap().unwrap();
            let expected = all("ids").unwrap();
            ids.check(&found.ids, &expected, what);
            let flat: Vec<usize> =
                line["offsets"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap() as usize).collect();
            // Each place may lie in either text: take the one in which it means what is expected.
            let first = in_chars(&found.offsets, &found.type_ids, [text, text], 0);
            let second = in_chars(&found.offsets, &found.type_ids, [pair.unwrap_or(text); 2], 0);
            let placed: Vec<usize> = if flat.len() == first.len() {
                (0..flat.len()).map(|at| if first[at] == flat[at] { first[at] } else { second[at] }).collect()
            } else {
                first
            };
            offsets.check(&placed, &flat, what);
            let len = expected.len();
            let types = all("type_ids").unwrap_or_else(|| vec![0; len]);
            rest.check(&found.type_ids, &types, || format!("{} types", what()));
            rest.check(&found.special, &flags(line.get("special_mask"), len, false), || {
                format!("{} special", what())
            });
            rest.check(&found.attention, &flags(line.get("attention_mask"), len, true), || {
                format!("{} attention", what())
            });
            let windows: Vec<Vec<u32>> = found.overflowing.iter().map(|window| window.ids.clone()).collect();
            let expected = line.get("overflowing").cloned().unwrap_or_else(|| json!([]));
            rest.check(&json!(windows), &expected, || format!("{} overflowing", what()));
            if pair.is_none() && !name.starts_with("trunc") {
                let plain = tokenizer.encode(text.as_bytes(), options).unwrap();
                ids.check(&plain, &found.ids, || format!("{} plain", what()));
                assert_eq!(tokenizer.count(text.as_bytes(), options).unwrap(), plain.len());
            }
        }
        for (kind, score) in [("ids", ids), ("offsets", offsets), ("rest", rest), ("decode", decode)] {
            if score.right < score.total {
                let wrong = score.wrong.iter().take(3).cloned().collect::<Vec<_>>().join("\n");
                failures.push(format!("{name} {kind}: {} of {}\n{wrong}", score.right, score.total));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn bytes_are_spelt_where_the_model_needs_it_and_added_tokens_get_the_models_ids() {
    // What the library gives, too.
    let file = |added: Value| {
        let part = |content: &str, id: u32| json!({"id": id, "content": content, "special": id == 7});
        let added: Vec<Value> = added
            .as_array()
            .unwrap()
            .iter()
            .map(|row| part(row[0].as_str().unwrap(), row[1].as_u64().unwrap() as u32))
            .collect();
        json!({
            "added_tokens": added,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": r"\p{L}+"}, "behavior": "Removed", "invert": true},
                {"type": "ByteLevel", "add_prefix_space": false}]},
            "model": {"type": "BPE", "unk_token": "a</w>", "end_of_word_suffix": "</w>", "merges": ["Ã ©</w>"],
                "vocab": {"Ã": 0, "©</w>": 1, "Ã©</w>": 2, "a</w>": 3, "a": 4}},
        })
    };
    for (name, added, text, expected) in [
        ("suffix", json!([]), "é a, aé", vec![2, 3, 4, 2]),
        ("ids", json!([["<x>", 7], ["a", 1]]), "é<x>a", vec![2, 5, 4]),
    ] {
        let tokenizer = Tokenizer::from_json(file(added).to_string().as_bytes()).unwrap();
        let options = EncodeOptions { add_special: false, parse_special: true };
        assert_eq!(tokenizer.encode_str(text, options).unwrap(), expected, "{name}");
        assert_eq!(tokenizer.encode_with_offsets(text.as_bytes(), options).unwrap().ids, expected, "{name}");
        let warned = tokenizer
            .warnings()
            .iter()
            .filter(|warning| matches!(warning, Warning::AddedTokenId { .. }))
            .count();
        assert_eq!(warned, if name == "ids" { 2 } else { 0 });
    }
}

#[test]
fn what_has_no_token_vanishes_before_anything_is_merged() {
    // What the library gives; its places are those of the text without the characters that have vanished.
    let options = EncodeOptions { add_special: false, parse_special: false };
    let ids_and_places = |model: Value, pre: Value, text: &str| {
        let file = json!({"model": model, "pre_tokenizer": pre});
        let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
        let found = tokenizer.encode_with_offsets(text.as_bytes(), options).unwrap();
        assert_eq!(tokenizer.encode_str(text, options).unwrap(), found.ids);
        (found.ids, found.offsets)
    };
    let merges = json!(["a b", "ab c"]);
    let vocab =
        json!({"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, "a$": 5, "c$": 6, "<0xC3>": 7, "<0xA9>": 8});
    let plain = json!({"type": "BPE", "vocab": vocab, "merges": merges});
    let bytes = json!({"type": "BPE", "vocab": vocab, "merges": merges, "byte_fallback": true});
    let suffix = json!({"type": "BPE", "vocab": vocab, "merges": merges, "end_of_word_suffix": "$"});
    let level = json!({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false});
    for (name, model, pre, text, ids, places) in [
        ("between", &plain, json!(null), "a世b", vec![3], vec![(0, 5)]),
        ("around", &plain, json!(null), "世ab世c世", vec![4], vec![(3, 9)]),
        ("nothing", &plain, json!(null), "世界", vec![], vec![]),
        ("whole", &plain, json!(null), "abc", vec![4], vec![(0, 3)]),
        (
            "bytes of another",
            &bytes,
            json!(null),
            "aéb",
            vec![0, 7, 8, 1],
            vec![(0, 1), (1, 3), (1, 3), (3, 4)],
        ),
        ("bytes, too", &bytes, json!(null), "a世b", vec![3], vec![(0, 5)]),
        ("a suffix of what vanishes", &suffix, json!(null), "ab世", vec![3], vec![(0, 2)]),
        ("a suffix", &suffix, json!(null), "a世c", vec![0, 6], vec![(0, 1), (4, 5)]),
        ("bytes of GPT-2", &plain, level, "aéb c", vec![4], vec![(0, 6)]),
    ] {
        assert_eq!(ids_and_places(model.clone(), pre, text), (ids, places), "{name}");
    }
}

/// What `UnigramTrainer` makes unless it is told of an unknown token.
#[test]
fn unigram_without_an_unknown_token() {
    let mut file = serde_json::json!({
        "model": {"type": "Unigram", "unk_id": null, "vocab": [["a", -1.0], ["b", -1.0], ["ab", -1.5]]},
    });
    for absent in [false, true] {
        if absent {
            file["model"].as_object_mut().unwrap().remove("unk_id");
        }
        let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
        let options = EncodeOptions { add_special: false, parse_special: false };
        assert_eq!(tokenizer.encode_str("abba", options).unwrap(), [2, 1, 0]);
        let error = tokenizer.encode_str("ab\u{e9}a", options).unwrap_err();
        assert_eq!(error, TokenizeError::NoToken { byte: 0xc3, offset: 2 });
    }
}

/// Text that is lost without an error is warned of at load.
#[test]
fn what_will_vanish_is_said() {
    let warnings = |pre: Value, unk: Value| {
        let file = json!({
            "pre_tokenizer": pre,
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [], "unk_token": unk},
        });
        Tokenizer::from_json(file.to_string().as_bytes()).unwrap().warnings().to_vec()
    };
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false});
    assert_eq!(warnings(byte_level.clone(), Value::Null), [Warning::MissingBytes { count: 254 }]);
    assert_eq!(warnings(Value::Null, Value::Null), [Warning::NoUnknownToken]);
    assert_eq!(warnings(byte_level, json!("a")), []);
    assert_eq!(warnings(Value::Null, json!("a")), []);
}

/// Ids that only the post-processor knows would be of no token.
#[test]
fn what_is_put_around_a_text_is_in_the_vocabulary() {
    for (post, id) in [
        (json!({"type": "BertProcessing", "cls": ["a", 0], "sep": ["y", 2]}), 2),
        (json!({"type": "RobertaProcessing", "cls": ["x", 9], "sep": ["b", 1]}), 9),
        (
            json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}],
            "pair": [], "special_tokens": {"x": {"id": "x", "ids": [100_000_000], "tokens": ["x"]}}}),
            100_000_000,
        ),
    ] {
        let file = json!({
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
            "post_processor": {"type": "Sequence", "processors": [post]},
        });
        let error = Tokenizer::from_json(file.to_string().as_bytes()).map(|_| ()).unwrap_err();
        let what = format!("it adds the id {id}, the vocabulary has 2 tokens");
        assert_eq!(error, TokenizeError::BadJson { path: "$.post_processor".to_owned(), what });
    }
}
