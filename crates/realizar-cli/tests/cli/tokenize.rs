//! `tokenize` and `detokenize`, also against the golden suites.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{data, run, run_with_stdin, shared};

#[test]
fn text_becomes_ids_and_text_again() {
    for (args, expected) in [
        (&["tokenize", "demo", "Hello world"][..], json!([1, 378, 284, 1189, 537, 333])),
        (&["tokenize", "demo", "Hello world", "--no-special"], json!([378, 284, 1189, 537, 333])),
        (&["tokenize", "demo", "", "--no-special"], json!([])),
        (&["tokenize", "demo", "</s>", "--no-special", "--parse-special"], json!([2])),
    ] {
        assert_eq!(run(args).ok("tokenize").lines(), [expected], "{args:?}");
    }
    let answer = run_with_stdin(&["tokenize", "demo"], b"Hello world").ok("stdin");
    assert_eq!(answer.lines(), [json!([1, 378, 284, 1189, 537, 333])]);
    let text = run(&["detokenize", "demo", "--ids", "1,378,284,1189,537,333"]).ok("detokenize");
    assert_eq!(text.text().trim_start(), "Hello world");
    let kept = run(&["detokenize", "demo", "--ids", "1,378,2", "--keep-special"]).ok("kept");
    assert!(kept.text().contains("<s>") && kept.text().ends_with("</s>"), "{}", kept.text());
}

#[test]
fn lines_of_json() {
    let input = concat!(
        "{\"text\":\"Hello world\"}\n\n",
        "{\"text\":\"Hello world\",\"add_special\":false}\n",
        "{\"b64\":\"SGVsbG8gd29ybGQ=\",\"add_special\":false}\n",
        "{\"text\":\"</s>\",\"add_special\":false,\"parse_special\":true}\n",
    );
    let answer = run_with_stdin(&["tokenize", "demo", "--jsonl"], input.as_bytes()).ok("lines");
    let with = json!({"ids": [1, 378, 284, 1189, 537, 333]});
    let without = json!({"ids": [378, 284, 1189, 537, 333]});
    assert_eq!(answer.lines(), [with, without.clone(), without, json!({"ids": [2]})]);
    let ids = "{\"ids\":[378, 284, 1189]}\n\n{\"ids\":[]}\n";
    let answer = run_with_stdin(&["detokenize", "demo", "--jsonl"], ids.as_bytes()).ok("lines");
    assert_eq!(answer.lines().len(), 2);
    assert_eq!(answer.lines()[1], json!({"b64": ""}));
}

#[test]
fn bad_lines_are_named_by_number() {
    for (command, input, words) in [
        ("tokenize", "{\"text\":\"a\"}\nnot json\n", &["line 2", "standard input"][..]),
        ("tokenize", "{}\n", &["line 1", "`text`", "`b64`"]),
        ("tokenize", "{\"text\":\"a\",\"b64\":\"YQ==\"}\n", &["line 1", "one of"]),
        ("tokenize", "{\"b64\":\"***\"}\n", &["line 1", "b64"]),
        ("detokenize", "{\"ids\":[99999]}\n", &["line 1", "99999"]),
        ("detokenize", "{\"ids\":[-1]}\n", &["line 1"]),
        ("detokenize", "[]\n", &["line 1"]),
        ("detokenize", "\u{1}\n", &["line 1"]),
    ] {
        run_with_stdin(&[command, "demo", "--jsonl"], input.as_bytes()).refused(input, 1, words);
    }
    run_with_stdin(&["tokenize", "demo", "--jsonl"], b"\xFF\n").refused("not UTF-8", 1, &["standard input"]);
}

#[test]
fn the_demo_suite() {
    let suite = std::fs::read(data("demo-tokenize.json")).expect("the suite");
    let cases: Vec<Value> = serde_json::from_slice(&suite).expect("JSON");
    let mut input = String::new();
    let mut expected = Vec::new();
    for case in &cases {
        for (field, special, parse) in
            [("ids_with_special", true, false), ("ids", false, false), ("ids_parse_special", false, true)]
        {
            input.push_str(
                &json!({"text": case["text"], "add_special": special, "parse_special": parse}).to_string(),
            );
            input.push('\n');
            expected.push(json!({"ids": case[field]}));
        }
    }
    let answer = run_with_stdin(&["tokenize", "demo", "--jsonl"], input.as_bytes()).ok("suite");
    assert_eq!(answer.lines(), expected);
}

/// Vocabularies whose suites count for the main job.
const SUITES: &[&str] = &["llama-spm", "llama-bpe", "gpt-2", "qwen2"];

#[test]
fn golden_suites() {
    let Some(folder) = shared("tokenizers/gguf", "tokenize --jsonl") else { return };
    for name in SUITES {
        let lines = std::fs::read_to_string(folder.join(format!("{name}.suite.jsonl"))).expect("a suite");
        for compat in ["llama.cpp", "original"] {
            suite(name, &folder, &lines, compat);
        }
    }
}

fn suite(name: &str, folder: &Path, lines: &str, compat: &str) {
    let mut input = String::new();
    let mut expected = Vec::new();
    for line in lines.lines() {
        let case: Value = serde_json::from_str(line).expect("a case");
        let original = &case["orig_ids_no_special"];
        let add = case["add_special"] == true;
        // The original's ids are known without special tokens only.
        let (ids, add) =
            if compat == "original" && original.is_array() { (original, false) } else { (&case["ids"], add) };
        if ids.is_null() {
            continue; // llama.cpp refuses this one.
        }
        let mut request = json!({"add_special": add, "parse_special": case["parse_special"]});
        for field in ["text", "b64"] {
            if !case[field].is_null() {
                request[field] = case[field].clone();
            }
        }
        input.push_str(&format!("{request}\n"));
        expected.push(json!({"ids": ids}));
    }
    let model = folder.join(format!("{name}.gguf"));
    let model = model.to_str().expect("UTF-8");
    let answer =
        run_with_stdin(&["tokenize", model, "--jsonl", "--compat", compat], input.as_bytes()).ok(name);
    let found = answer.lines();
    assert_eq!(found.len(), expected.len(), "{name}");
    for ((found, expected), request) in found.iter().zip(&expected).zip(input.lines()) {
        assert_eq!(found, expected, "{name} ({compat}): {request}");
    }
}

#[test]
fn bytes_survive_the_round_trip() {
    let text = "Zwölf Boxkämpfer 😀\n\tjagen";
    let ids = run(&["tokenize", "demo", text, "--no-special"]).ok("ids").lines();
    let line = json!({"ids": ids[0]}).to_string();
    let answer = run_with_stdin(&["detokenize", "demo", "--jsonl"], line.as_bytes()).ok("bytes");
    let b64 = answer.lines()[0]["b64"].as_str().expect("b64").to_owned();
    let bytes = STANDARD.decode(b64).expect("base64");
    assert_eq!(String::from_utf8_lossy(&bytes).trim_start(), text);
}

#[test]
fn tokenizer_files_of_every_kind() {
    let Some(folder) = shared("tokenizers", "bare tokenizer files") else { return };
    let first = |kind: &str, ending: &str| {
        let mut files: Vec<_> = std::fs::read_dir(folder.join(kind))
            .expect("a folder")
            .filter_map(Result::ok)
            .map(|e| e.path())
            .collect();
        files.sort();
        files
            .into_iter()
            .find(|path| path.to_string_lossy().ends_with(ending))
            .expect("a file")
            .to_str()
            .expect("UTF-8")
            .to_owned()
    };
    let (json, model, ranks) = (first("hf", ".json"), first("spm", ".model"), first("tiktoken", ".tiktoken"));
    for (name, args) in [
        ("tokenizer.json", &[json.as_str()][..]),
        ("SentencePiece", &[&model]),
        ("tiktoken", &[&ranks, "--pattern", "cl100k"]),
        ("a folder", &[folder.join("../demo-model/demo-hf").to_str().expect("UTF-8")]),
    ] {
        let ids = run(&[&["tokenize", args[0], "Hello world", "--no-special"], &args[1..]].concat())
            .ok(name)
            .lines()
            .remove(0);
        let list = ids.as_array().expect("ids").iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        assert!(!list.is_empty(), "{name}");
        let text = run(&[&["detokenize", args[0], "--ids", &list], &args[1..]].concat()).ok(name);
        assert!(text.text().to_lowercase().contains("hello"), "{name}: {}", text.text());
    }
}

#[test]
fn tokenizer_files_that_are_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, pattern) in
        [("bad.json", None), ("bad.model", None), ("ranks", Some("cl100k")), ("ranks2", Some("("))]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, b"\x01nothing of the kind").expect("a file");
        let path = path.to_str().expect("UTF-8");
        let pattern = pattern.map_or(vec![], |pattern| vec!["--pattern", pattern]);
        run(&[&["tokenize", path, "x"], &pattern[..]].concat()).refused(name, 1, &[name]);
    }
    run(&["tokenize", "/no/such/tokenizer.json", "x"]).refused("missing", 1, &["/no/such/tokenizer.json"]);
}
