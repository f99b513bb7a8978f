//! Tokenizers of files, and what they become.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use realizar_format::{Format, TensorView};

use super::*;

/// A source that is nothing but files beside weights, and keys.
#[derive(Debug, Default)]
struct Beside {
    files: HashMap<&'static str, Vec<u8>>,
    keys: Vec<(&'static str, Fact)>,
}

impl TensorSource for Beside {
    fn format(&self) -> Format {
        Format::Safetensors
    }

    fn metadata(&self, key: &str) -> Option<Value<'_>> {
        self.keys.iter().find(|(known, _)| *known == key).map(|(_, fact)| fact.value())
    }

    fn metadata_keys(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.keys.iter().map(|(key, _)| *key))
    }

    fn tensor(&self, _name: &str) -> Option<TensorView<'_>> {
        None
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorView<'_>> + '_> {
        Box::new(std::iter::empty())
    }

    fn path(&self) -> Option<&Path> {
        None
    }

    fn companion(&self, name: &str) -> Option<Bytes> {
        self.files.get(name).cloned().map(Bytes::from)
    }
}

/// A file by the keys of GGUF, so that there is a view of it.
fn view_of(keys: Vec<(String, Fact)>, architecture: &str, see: &mut dyn FnMut(&GgufView<'_>)) {
    let own = vec![("general.architecture", Fact::Text(architecture.to_owned()))];
    let source = Beside { keys: own, ..Beside::default() };
    let mut view = GgufView::new(&source).unwrap();
    view.add(keys);
    see(&view);
}

fn carried(source: &Beside, architecture: &str) -> Result<Vec<(String, Fact)>, String> {
    let mut found = Err(String::new());
    view_of(Vec::new(), architecture, &mut |view| {
        found = of(source, view).map_err(|error| error.to_string());
    });
    found
}

/// A file of the shared data, if that is there.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/tokenizers").join(name);
    if !path.exists() {
        eprintln!("SKIPPED (no shared/data): conversion of {name}");
    }
    path.exists().then_some(path)
}

/// What a GGUF file with these keys makes of texts.
fn tokenizer_of(keys: &[(String, Fact)], architecture: &str) -> Tokenizer {
    let general = [("general.architecture", Value::from(architecture))];
    let facts = keys.iter().map(|(key, fact)| (&**key, fact.value()));
    crate::vocab::tokenizer(&Keys::new(general.into_iter().chain(facts)), Compat::Original).unwrap()
}

/// Every text of a suite gives the ids of the reference.
fn follows_suite(tokenizer: &Tokenizer, suite: &Path, parse_special: bool, case: &str) {
    let mut texts = 0;
    for line in std::fs::read_to_string(suite).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let (Some(text), Some(ids)) = (line["text"].as_str(), line["ids"].as_array()) else { continue };
        if !line["pair"].is_null() {
            continue;
        }
        let add_special = line["add_special"] == true;
        let ids: Vec<u64> = ids.iter().map(|id| id.as_u64().unwrap()).collect();
        let found = tokenizer.encode(text.as_bytes(), EncodeOptions { add_special, parse_special }).unwrap();
        let found: Vec<u64> = found.into_iter().map(u64::from).collect();
        assert_eq!(found, ids, "{case}: {text:?}");
        texts += 1;
    }
    assert!(texts > 100, "{case}: {texts}");
}

fn word<'k>(keys: &'k [(String, Fact)], key: &str) -> &'k str {
    let found = keys.iter().find(|(known, _)| known.strip_prefix("tokenizer.ggml.") == Some(key));
    match found {
        Some((_, Fact::Text(text))) => text,
        other => panic!("{key}: {other:?}"),
    }
}

fn json_file(bytes: Vec<u8>) -> Beside {
    Beside { files: HashMap::from([(JSON, bytes)]), ..Beside::default() }
}

/// Files of the reference library, and what they become: a model and a cut, or a refusal with these words. All that are not
/// named are refused as well.
const CARRIED: &[(&str, &str, &str)] = &[
    ("bytefallback-metaspace-never", "llama", "default"),
    ("bytelevel-gpt2", "gpt2", "gpt-2"),
    ("bytelevel-llama3", "gpt2", "llama-bpe"),
    ("bytelevel-qwen", "gpt2", "qwen2"),
    ("llama2-normalizer", "llama", "default"),
    ("split-contiguous", "gpt2", "superbpe"),
    ("split-isolated-invert", "gpt2", "superbpe"),
    ("trunc-pad", "bert", "default"),
    ("trunc-pad-left", "gpt2", "llama-bpe"),
    ("wordpiece-bert-uncased", "bert", "default"),
];
const REFUSED: &[(&str, &str)] = &[
    ("added-token-zoo", "gives other ids for \"Hello world\""),
    ("bpe-clip", "no place for the affixes"),
    ("bpe-subword-prefix", "no place for the affixes"),
    ("bytelevel-roberta", "gives other ids for \"Hello world\""),
    ("nfd-bytelevel", "gives other ids for \"größe naïve"),
    ("unigram-precompiled", "`t5` gives other ids for \"e"),
    ("wordlevel-whitespace", "`bert` gives other ids for \"Hello world\""),
    (
        "wordpiece-bert-cased",
        "words of more than 12 characters are unknown to it, in GGUF those of more than 100",
    ),
];

#[test]
fn tokenizers_of_the_library_are_carried_or_refused() {
    let Some(folder) = shared("hf") else { return };
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = entries.filter_map(|name| name.into_string().ok()).collect();
    let names: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".tokenizer.json")).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let source = json_file(std::fs::read(folder.join(format!("{name}.tokenizer.json"))).unwrap());
        let result = carried(&source, "llama");
        let expected = CARRIED.iter().find(|(known, ..)| *known == name);
        let Some((_, model, pre)) = expected else {
            let error = result.expect_err(name);
            assert!(error.starts_with("the tokenizer cannot be carried over: "), "{name}: {error}");
            for (_, words) in REFUSED.iter().filter(|(known, _)| *known == name) {
                assert!(error.contains(words), "{name}: {error}");
            }
            continue;
        };
        let keys = result.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((word(&keys, "model"), word(&keys, "pre")), (*model, *pre), "{name}");
        // Suites of files that pad have the padding in the ids.
        if !name.starts_with("trunc-pad") {
            let suite = folder.join(format!("{name}.suite.jsonl"));
            follows_suite(&tokenizer_of(&keys, "llama"), &suite, true, name);
        }
    }
}

#[test]
fn sentencepiece_files_are_carried_or_refused() {
    let Some(folder) = shared("spm") else { return };
    let cases: &[(&str, Result<&str, &str>)] = &[
        ("bpe-bytefallback-identity", Ok("llama")),
        ("bpe-nfkc_cf", Err("`llama` gives other ids for \"Hello world\"")),
        ("char-nmt_nfkc", Ok("t5")),
        ("unigram-bytefallback-identity-nodummy", Ok("t5")),
        ("unigram-nmt_nfkc", Ok("t5")),
        ("unigram-suffix-nfkc", Err("`t5` gives other ids for \"Hello world\"")),
    ];
    for (name, expected) in cases {
        let bytes = std::fs::read(folder.join(format!("{name}.model"))).unwrap();
        let source = Beside { files: HashMap::from([(PIECES, bytes)]), ..Beside::default() };
        match (carried(&source, "llama"), expected) {
            (Ok(keys), Ok(model)) => {
                assert_eq!(word(&keys, "model"), *model, "{name}");
                let suite = folder.join(format!("{name}.suite.jsonl"));
                follows_suite(&tokenizer_of(&keys, "llama"), &suite, false, name);
            }
            (Err(error), Err(words)) => assert!(error.contains(words), "{name}: {error}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
}

/// XLM-RoBERTa's way: a table by graphemes, words with a mark each.
#[test]
fn a_unigram_vocabulary_of_an_encoder_is_carried() {
    let Some(path) = shared("hf/unigram-precompiled.tokenizer.json") else { return };
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    json["normalizer"] = json["normalizer"]["normalizers"][0].clone();
    json["pre_tokenizer"] = serde_json::json!({"type": "Sequence", "pretokenizers": [
        {"type": "WhitespaceSplit"},
        {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true},
    ]});
    let source = json_file(json.to_string().into_bytes());
    let keys = carried(&source, "bert").unwrap();
    assert_eq!(word(&keys, "model"), "t5");
    let original = Tokenizer::from_json(json.to_string().as_bytes()).unwrap();
    let difference =
        Probes::of(&original, Reference::Json).difference(&tokenizer_of(&keys, "bert"), &original);
    assert!(difference.is_none(), "{difference:?}");
    assert!(keys.iter().any(|(key, _)| key.ends_with("precompiled_charsmap")));
}

const AROUND: &str = r#"{"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}"#;
const SPECIAL: &str = r#"[{"id": 0, "content": "[UNK]", "special": true}, {"id": 1, "content": "[CLS]", "special": true},
    {"id": 2, "content": "[SEP]", "special": true}]"#;
const BERT: &str = r#""normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
    "strip_accents": null, "lowercase": true}, "pre_tokenizer": {"type": "BertPreTokenizer"}"#;

/// Small files, and the model of GGUF that they become.
#[test]
fn small_tokenizers_are_carried() {
    let word_piece = format!(
        r#"{{"added_tokens": {SPECIAL}, {BERT}, "post_processor": {AROUND}, "model": {{"type": "WordPiece",
        "unk_token": "[UNK]", "continuing_subword_prefix": "@@", "max_input_chars_per_word": 100,
        "vocab": {{"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "hello": 3, "@@lo": 4, "hel": 5, "wor": 6, "@@ld": 7, "!": 8}}}}}}"#
    );
    let word_level = format!(
        r#"{{"added_tokens": {SPECIAL}, {BERT}, "post_processor": {AROUND}, "model": {{"type": "WordLevel",
        "unk_token": "[UNK]", "vocab": {{"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "hello": 3, "world": 4, "hell": 5, "!": 6}}}}}}"#
    );
    let unigram = r#"{"added_tokens": [{"id": 0, "content": "<unk>", "special": true}], "normalizer": {"type": "Sequence",
        "normalizers": [{"type": "Strip", "strip_left": true, "strip_right": true},
            {"type": "Replace", "pattern": {"Regex": "[ ]{2,}"}, "content": " "}]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁", -2.0], ["l", -3.0], ["o", -3.5],
            ["▁hel", -4.0], ["lo", -4.5], ["▁world", -5.0], ["h", -6.0], ["e", -6.5]]}}"#;
    let cases = [
        ("word piece", &*word_piece, "bert", "hello world !", vec![3, 6, 7, 8]),
        ("word level", &*word_level, "bert", "hello world !", vec![3, 4, 6]),
    ];
    for (name, text, model, words, ids) in cases {
        let keys =
            carried(&json_file(text.as_bytes().to_vec()), "bert").unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(word(&keys, "model"), model, "{name}");
        let tokenizer = tokenizer_of(&keys, "bert");
        let options = EncodeOptions { add_special: true, parse_special: true };
        let around: Vec<u32> = [1].into_iter().chain(ids).chain([2]).collect();
        assert_eq!(tokenizer.encode(words.as_bytes(), options).unwrap(), around, "{name}");
    }
    // The library squeezes spaces only, and takes other white space away at the ends: a text of tabs tells.
    let error = carried(&json_file(unigram.as_bytes().to_vec()), "t5").unwrap_err();
    assert!(error.contains("`t5` gives other ids for"), "{error}");
}

/// A file of SentencePiece by hand: fields of protocol buffers.
fn pieces_file(model: u8, pieces: &[(&str, f32, u8)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (text, score, kind) in pieces {
        let mut piece = vec![0x0A, text.len() as u8];
        piece.extend(text.as_bytes());
        piece.push(0x15);
        piece.extend(score.to_le_bytes());
        piece.extend([0x18, *kind]);
        out.extend([0x0A, piece.len() as u8]);
        out.extend(piece);
    }
    out.extend([0x12, 2, 0x18, model]);
    // Pieces that are merged keep runs of spaces.
    out.extend([0x1A, 2, 0x20, u8::from(model != 2)]);
    // Fields that nobody asked for: a fixed number of 64 bits.
    out.extend([0x79, 0, 0, 0, 0, 0, 0, 0, 0]);
    out
}

#[test]
fn a_small_sentencepiece_file_is_carried() {
    let pieces: &[(&str, f32, u8)] = &[
        ("<unk>", 0.0, 2),
        ("<s>", 0.0, 3),
        ("</s>", 0.0, 3),
        ("\u{2581}", -9.0, 1),
        ("a", -8.0, 1),
        ("b", -7.0, 1),
        ("ab", -1.0, 1),
        ("\u{2581}ab", -2.0, 1),
    ];
    let file =
        |model| Beside { files: HashMap::from([(PIECES, pieces_file(model, pieces))]), ..Beside::default() };
    let keys = carried(&file(1), "llama").unwrap();
    assert_eq!(word(&keys, "model"), "t5");
    let options = EncodeOptions { add_special: true, parse_special: false };
    assert_eq!(tokenizer_of(&keys, "llama").encode(b"ab ab", options).unwrap(), [1, 7, 7]);
    // Without byte pieces, neighbours that are no pieces are one unknown token to the library, and several in GGUF.
    assert!(carried(&file(2), "llama").unwrap_err().contains("`llama` gives other ids for"));
    assert!(carried(&file(3), "llama").unwrap_err().contains("no tokenizer model of whole words"));
    let broken = Beside { files: HashMap::from([(PIECES, vec![0x0A, 9])]), ..Beside::default() };
    assert_eq!(carried(&broken, "llama").unwrap_err(), "cannot make a tokenizer of `tokenizer.model`");
}

#[test]
fn the_vocabulary_of_an_apr_file_is_carried_where_it_says_enough() {
    let texts = |list: &[&str]| Fact::List(PackedArray::strings(list));
    let words = texts(&["<unk>", "<s>", "</s>", "<0x41>", "\u{2581}", "a", "\u{2581}a"]);
    let scores = Fact::List(PackedArray::f32s([0.0, 0.0, 0.0, 0.0, -3.0, -2.0, -1.0]));
    let id = |id| Fact::Scalar(Value::U32(id));
    let apr = |keys| Beside { keys, ..Beside::default() };
    let whole = vec![
        ("tokenizer.vocabulary", words.clone()),
        ("tokenizer.scores", scores),
        ("tokenizer.model_type", Fact::Text("llama".to_owned())),
        ("tokenizer.bos_token_id", id(1)),
        ("tokenizer.eos_token_id", id(2)),
        ("chat_template", Fact::Text("{{ x }}".to_owned())),
    ];
    let keys = carried(&apr(whole), "llama").unwrap();
    let options = EncodeOptions { add_special: true, parse_special: false };
    assert_eq!(tokenizer_of(&keys, "llama").encode(b"a aA", options).unwrap(), [1, 6, 6, 3]);
    assert!(keys.iter().any(|(key, _)| key == "tokenizer.chat_template"));
    let short = Fact::List(PackedArray::f32s([0.0]));
    let cases = [
        ("merges", vec![("tokenizer.vocabulary", words.clone())], "does not say how texts are cut"),
        (
            "short",
            vec![("tokenizer.vocabulary", words), ("tokenizer.scores", short)],
            "`tokenizer.scores` has 1 elements, `tokenizer.vocabulary` 7",
        ),
        (
            "no texts",
            vec![("tokenizer.vocabulary", Fact::List(PackedArray::u32s([1])))],
            "is not a list of texts",
        ),
    ];
    for (name, keys, expected) in cases {
        let error = carried(&apr(keys), "llama").expect_err(name);
        assert!(error.contains(expected), "{name}: {error}");
    }
    assert_eq!(carried(&Beside::default(), "llama").unwrap(), []);
}

#[test]
fn what_is_broken_is_refused() {
    let model = |model: &str| format!(r#"{{"added_tokens": [], "model": {model}}}"#);
    let cases = [
        ("no tokenizer", "{}".to_owned(), "cannot make a tokenizer of `tokenizer.json`"),
        (
            "affixes",
            model(r#"{"type": "BPE", "vocab": {"a": 0}, "merges": [], "end_of_word_suffix": "</w>"}"#),
            "no place for the affixes",
        ),
        (
            "far",
            model(r#"{"type": "WordLevel", "unk_token": "a", "vocab": {"a": 3}}"#),
            "of GGUF gives the same tokens",
        ),
    ];
    for (name, text, expected) in cases {
        let error = carried(&json_file(text.into_bytes()), "llama").expect_err(name);
        assert!(error.contains(expected), "{name}: {error}");
    }
    let rows = vec![("config.vocab_size", Fact::Scalar(Value::U32(u32::MAX)))];
    let text = model(r#"{"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0}}"#);
    let source = Beside { keys: rows, ..json_file(text.into_bytes()) };
    assert_eq!(
        carried(&source, "llama").unwrap_err(),
        "the tokenizer cannot be carried over: an id is above 16777216"
    );
}

/// Vocabularies of GGUF files, and whether a `tokenizer.json` gives their ids.
#[test]
fn vocabularies_of_gguf_become_tokenizer_json() {
    let cases: &[(&str, Result<(), &str>)] = &[
        ("gguf/bert-bge.gguf", Ok(())),
        ("gguf/deepseek-llm.gguf", Err("no steps of a tokenizer.json are known for `deepseek-llm`")),
        ("gguf/gpt-2.gguf", Ok(())),
        ("gguf/llama-bpe.gguf", Ok(())),
        ("gguf/llama-spm.gguf", Ok(())),
        ("gguf/mpt.gguf", Ok(())),
        ("gguf/phi-3.gguf", Err("it would give other ids for \"<|user|>")),
        ("gguf/qwen2.gguf", Ok(())),
        ("gguf/refact.gguf", Ok(())),
        ("gguf/starcoder.gguf", Ok(())),
        ("models/rwkv.gguf", Err("no tokenizer.json is written of `rwkv`")),
        ("models/t5-unigram-nmt_nfkc.gguf", Err("it would give other ids for \"e")),
    ];
    for (name, expected) in cases {
        let Some(path) = shared(name) else { return };
        let source = realizar_format::open(&path).unwrap();
        let view = GgufView::new(&*source).unwrap();
        match (crate::convert::tokenizer_json::of(&view), expected) {
            (Ok(text), Ok(())) => {
                // Not the probes: other texts, with the file's own tokenizer as the reference.
                let theirs = Tokenizer::from_json(text.as_bytes()).unwrap();
                let ours = crate::vocab::tokenizer(&*source, Compat::Original).unwrap();
                let suite = path.with_extension("suite.jsonl");
                let mut texts = 0;
                for line in std::fs::read_to_string(suite).unwrap().lines() {
                    let line: serde_json::Value = serde_json::from_str(line).unwrap();
                    let Some(text) = line["text"].as_str().filter(|text| !text.contains('\u{2581}')) else {
                        continue;
                    };
                    for add_special in [false, true] {
                        let options = EncodeOptions { add_special, parse_special: true };
                        let ids = |tokenizer: &Tokenizer| tokenizer.encode(text.as_bytes(), options).unwrap();
                        assert_eq!(ids(&theirs), ids(&ours), "{name}: {text:?}");
                    }
                    texts += 1;
                }
                assert!(texts > 300, "{name}: {texts}");
            }
            (Err(why), Err(words)) => assert!(why.contains(words), "{name}: {why}"),
            (found, _) => panic!("{name}: {:?}", found.map(|text| text.len())),
        }
    }
}
