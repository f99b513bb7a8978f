//! `info`: what a file holds.

use serde_json::json;

use crate::harness::{data, run, shared};

#[test]
fn json_of_the_built_in_model() {
    let info = run(&["info", "demo", "--json"]).ok("info").lines().remove(0);
    for (field, expected) in [
        ("format", json!("GGUF")),
        ("architecture", json!("llama")),
        ("parameters", json!(2_558_208)),
        ("context", json!(512)),
        ("vocab", json!(1280)),
        ("file_type", json!("Q8_0")),
    ] {
        assert_eq!(info[field], expected, "{field}");
    }
    let tensors = info["tensors"].as_array().expect("tensors");
    let embedding =
        tensors.iter().find(|tensor| tensor["name"] == "token_embd.weight").expect("token_embd.weight");
    assert_eq!(embedding["dtype"], "Q8_0");
    assert_eq!(embedding["shape"], json!([1280, 256]));
    assert_eq!(embedding["bytes"], 1280 * 256 / 32 * 34);
    assert!(embedding["offset"].as_u64().is_some_and(|offset| offset > 0));
    let metadata = &info["metadata"];
    assert_eq!(metadata["general.architecture"], "llama");
    assert_eq!(metadata["llama.block_count"], 4);
    assert_eq!(metadata["tokenizer.ggml.tokens"]["length"], 1280);
    assert_eq!(metadata["tokenizer.ggml.tokens"]["first"].as_array().map(Vec::len), Some(8));
}

#[test]
fn parts_and_full_arrays() {
    let tensors = run(&["info", "demo", "--json", "--tensors"]).ok("tensors").lines().remove(0);
    assert!(tensors["tensors"].is_array() && tensors["metadata"].is_null());
    let metadata = run(&["info", "demo", "--json", "--metadata", "--full"]).ok("metadata").lines().remove(0);
    assert!(metadata["tensors"].is_null());
    assert_eq!(metadata["metadata"]["tokenizer.ggml.tokens"].as_array().map(Vec::len), Some(1280));
    assert_eq!(metadata["metadata"]["tokenizer.ggml.token_type"][3], 6);
}

#[test]
fn for_people() {
    let summary = run(&["info", "demo"]).ok("summary");
    for line in ["format: GGUF", "architecture: llama", "parameters: 2558208", "file_type: Q8_0", "  F32 = 9"]
    {
        assert!(summary.text().lines().any(|found| found == line), "no `{line}` in {}", summary.text());
    }
    let all = run(&["info", "demo", "--tensors", "--metadata"]).ok("all");
    for line in ["  token_embd.weight Q8_0 [1280,256] (348160 bytes)", "  general.architecture = llama"] {
        assert!(all.text().lines().any(|found| found == line), "no `{line}` in {}", all.text());
    }
    assert!(!all.text().contains('\u{1b}'));
    let zoo = run(&["info", data("llama-gqa.gguf").to_str().expect("UTF-8")]).ok("zoo");
    assert!(zoo.text().contains("architecture: llama"));
}

#[test]
fn a_model_folder() {
    let Some(folder) = shared("demo-model/demo-hf", "info of a folder") else { return };
    let info = run(&["info", folder.to_str().expect("UTF-8"), "--json"]).ok("folder").lines().remove(0);
    for (field, expected) in
        [("architecture", json!("llama")), ("context", json!(512)), ("vocab", json!(1280))]
    {
        assert_eq!(info[field], expected, "{field}");
    }
}
