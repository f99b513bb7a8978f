//! `convert`: models in other formats.

use std::path::Path;

use crate::harness::{data, run, shared};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The scores of a model as bytes.
fn logits(model: &str, folder: &Path) -> Vec<u8> {
    let out = folder.join("logits.f32");
    let args = ["logits", model, "--ids", "1,5,9,40,7,7,3", "--kv", "f32", "--out", text(&out), "-q"];
    run(&args).ok(model);
    std::fs::read(out).expect("written")
}

/// A checkpoint, whose rows of queries and keys lie in another order than a GGUF file's.
#[test]
fn a_folder_becomes_files_with_the_same_bits_and_tokens() {
    let Some(source) = shared("demo-model/demo-hf", "convert of a folder") else { return };
    let source = text(&source).to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    let expected = logits(&source, folder.path());
    let tokens = |model: &str| {
        run(&["tokenize", model, "Once upon a time, größe 😀 \n x"]).ok(model).text().to_owned()
    };
    for name in ["a.gguf", "a.apr", "a.safetensors", "other"] {
        let new = folder.path().join(name);
        let summary = run(&["convert", &source, text(&new), "--json"]).ok(name).lines().remove(0);
        assert!(summary["tensors"].as_u64().is_some_and(|count| count > 30), "{summary}");
        assert!(logits(text(&new), folder.path()) == expected, "{name}: other bits");
        assert_eq!(tokens(text(&new)), tokens(&source), "{name}");
        // And on from there.
        let back = folder.path().join(format!("{name}.gguf"));
        run(&["convert", text(&new), text(&back), "-q"]).ok(name);
        assert!(logits(text(&back), folder.path()) == expected, "{name} to GGUF: other bits");
        assert_eq!(tokens(text(&back)), tokens(&source), "{name} to GGUF");
    }
}

#[test]
fn a_gguf_file_becomes_a_checkpoint() {
    let source = data("llama-gqa.gguf");
    let folder = tempfile::tempdir().expect("a folder");
    let new = folder.path().join("Model-1.5");
    run(&["convert", text(&source), text(&new)]).ok("folder");
    let config = std::fs::read_to_string(new.join("config.json")).expect("config.json");
    let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config["architectures"][0], "LlamaForCausalLM");
    assert_eq!((&config["hidden_size"], &config["num_key_value_heads"]), (&64.into(), &2.into()));
    let info = run(&["info", text(&new), "--json"]).ok("info").lines().remove(0);
    assert!(
        info["tensors"].as_array().is_some_and(|all| all.iter().any(|t| t["name"] == "model.norm.weight"))
    );
    assert_eq!(info["runs"], "yes");
}

/// With the vocabulary of the demo a `tokenizer.json` is written that gives the same ids.
#[test]
fn a_vocabulary_becomes_a_tokenizer_json() {
    let Some(source) = shared("demo-model/demo-f16.gguf", "convert of a vocabulary") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let new = folder.path().join("demo");
    run(&["convert", text(&source), text(&new), "-q"]).ok("folder");
    let json = new.join("tokenizer.json");
    let ids = |model: &str, words: &str| run(&["tokenize", model, words]).ok(words).text().to_owned();
    for words in ["Once upon a time", "  two  spaces\n", "größe 😀 <s>", ""] {
        assert_eq!(ids(text(&json), words), ids(text(&source), words), "{words:?}");
    }
    assert!(new.join("tokenizer_config.json").is_file());
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| text(&folder.path().join(name)).to_owned();
    let copy = at("copy.gguf");
    std::fs::copy(data("llama-gqa.gguf"), &copy).expect("copied");
    std::fs::create_dir(at("taken")).expect("a folder");
    std::fs::write(at("taken/file"), "x").expect("written");
    let cases: &[(&str, &str, &str, &[&str])] = &[
        (
            "quantised",
            "demo",
            &at("a.safetensors"),
            &["`dtype` of `token_embd.weight`", "Q8_0", "a type that safetensors has"],
        ),
        ("quantised apr", "demo", &at("a.apr"), &["of `token_embd.weight`", "Q8_0", "a type that .apr has"]),
        ("quantised folder", "demo", &at("folder"), &["of `model.embed_tokens.weight`", "Q8_0"]),
        ("itself", &copy, &copy, &["copy.gguf` is what is read"]),
        ("another spelling", &copy, &at("taken/../copy.gguf"), &["is what is read"]),
        ("ending", &copy, &at("a.onnx"), &["nothing is written as `.onnx`"]),
        ("taken", &copy, &at("taken"), &["is there already and is not empty"]),
        ("no such folder", &copy, &at("missing/a.gguf"), &["cannot create", "a.gguf"]),
        ("no such file", &at("missing.gguf"), &at("a.gguf"), &["cannot open", "missing.gguf"]),
    ];
    for (name, from, to, words) in cases {
        run(&["convert", from, to]).refused(name, 1, words);
    }
    run(&["convert", &copy]).refused("no output", 2, &["OUT"]);
    // A file of weights inside the folder that is read.
    run(&["convert", &copy, &at("new")]).ok("folder");
    let weights = at("new/model.safetensors");
    for from in [at("new"), weights.clone()] {
        run(&["convert", &from, &weights]).refused("weights", 1, &["is what is read"]);
        run(&["convert", &from, &at("new")]).refused("their folder", 1, &["is what is read"]);
    }
    std::fs::remove_dir_all(at("new")).expect("removed");
    let mut left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|e| e.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["copy.gguf", "taken"]);
}
