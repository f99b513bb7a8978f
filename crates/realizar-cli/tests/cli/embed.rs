//! `embed`: vectors of texts, also against the golden ones.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{run, run_with_stdin, shared};

/// A small encoder that belongs to the engine's tests.
fn encoder() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../realizar-engine/tests/data/bert-cls.gguf");
    path.to_str().expect("UTF-8").to_owned()
}

fn vector(line: &Value) -> Vec<f32> {
    line["embedding"]
        .as_array()
        .expect("a vector")
        .iter()
        .map(|x| x.as_f64().expect("a number") as f32)
        .collect()
}

#[test]
fn vectors_in_every_form() {
    let model = encoder();
    let by_ids = run(&["embed", &model, "--ids", "2,111,44,155,3", "--json"]).ok("ids").lines().remove(0);
    let unit: f32 = vector(&by_ids).iter().map(|x| x * x).sum();
    assert!((unit - 1.0).abs() < 1e-4, "{unit}");
    let raw = run(&["embed", &model, "--ids", "2,111,44,155,3", "--json", "--no-normalize"])
        .ok("raw")
        .lines()
        .remove(0);
    assert_ne!(raw, by_ids);
    let mut seen = vec![by_ids.clone()];
    for pooling in ["mean", "last"] {
        let other = run(&["embed", &model, "--ids", "2,111,44,155,3", "--json", "--pooling", pooling])
            .ok(pooling)
            .lines()
            .remove(0);
        assert!(!seen.contains(&other), "{pooling}");
        seen.push(other);
    }
    let cls = run(&["embed", &model, "--ids", "2,111,44,155,3", "--json", "--pooling", "cls"])
        .ok("cls")
        .lines()
        .remove(0);
    assert_eq!(cls, by_ids, "the file asks for the first token");
    let each = run(&["embed", &model, "--ids", "2,111,44,155,3", "--json", "--pooling", "none"])
        .ok("none")
        .lines()
        .remove(0);
    assert_eq!(each["embedding"].as_array().map(Vec::len), Some(5));
    let words = run(&["embed", &model, "--ids", "2,111,44,155,3"]).ok("for people");
    assert_eq!(words.text().split_whitespace().count(), vector(&by_ids).len());
}

#[test]
fn texts_and_lines() {
    let model = encoder();
    let texts = run(&["embed", &model, "a b", "b a", "--json"]).ok("texts").lines();
    assert_eq!(texts.len(), 2);
    let lines = run_with_stdin(&["embed", &model, "--jsonl"], b"{\"text\":\"a b\"}\n\n{\"text\":\"b a\"}\n")
        .ok("lines")
        .lines();
    assert_eq!(lines, texts);
    run_with_stdin(&["embed", &model, "--jsonl"], b"{}\n").refused("a line", 1, &["line 1", "text"]);
    run_with_stdin(&["embed", &model, "--jsonl"], b"{\"text\":\"a\"}\n").ok("a good line");
    run(&["embed", &model]).refused("nothing", 2, &["TEXT"]);
    run(&["embed", &model, "--ids", "9999"]).refused("an unknown id", 1, &["9999"]);
    run(&["embed", &model, "x", "--pooling", "max"]).refused("pooling", 2, &["--pooling", "mean"]);
}

/// An encoder sees what follows and says nothing of the next token: its states are no scores of words.
#[test]
fn encoders_write_no_text() {
    let model = encoder();
    let text = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(text.path(), "a b ".repeat(200)).expect("a text");
    let text = text.path().to_str().expect("UTF-8");
    for args in [
        &["run", &model, "a b", "-n", "2"][..],
        &["logits", &model, "--ids", "2,111,3"],
        &["perplexity", &model, text],
        &["bench", &model],
    ] {
        run(args).refused(args[0], 1, &["encoder", "bert"]);
    }
}

#[test]
fn golden_vectors() {
    let Some(folder) = shared("zoo", "embed") else { return };
    for name in ["bert-mean", "bert-cls", "nomic-bert", "jina-bert-v2"] {
        golden(&folder, name);
    }
}

fn golden(folder: &Path, name: &str) {
    let golden: Value =
        serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.golden.json"))).expect("golden"))
            .expect("JSON");
    let bytes = std::fs::read(folder.join(format!("{name}.embd.f32"))).expect("golden");
    let values: Vec<f32> =
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let width = golden["n_embd"].as_u64().expect("a width") as usize;
    let model = folder.join(format!("{name}.gguf"));
    for (row, expected) in golden["embd_rows"].as_array().expect("rows").iter().zip(values.chunks(width)) {
        if row["normalised"] != true {
            continue;
        }
        let seq = row["seq"].as_u64().expect("a sequence") as usize;
        let ids: Vec<String> =
            golden["sequences"][seq].as_array().expect("ids").iter().map(ToString::to_string).collect();
        let pooling = row["pooling"].as_str().expect("a pooling");
        let args = [
            "embed",
            model.to_str().expect("UTF-8"),
            "--ids",
            &ids.join(","),
            "--json",
            "--pooling",
            pooling,
        ];
        let found = vector(&run(&args).ok(name).lines().remove(0));
        let cosine: f32 = found.iter().zip(expected).map(|(a, b)| a * b).sum();
        assert!(cosine >= 0.99999, "{name} {pooling} {seq}: {cosine}");
    }
}
