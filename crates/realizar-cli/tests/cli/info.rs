//! `info`: what a file holds.

use std::path::{Path, PathBuf};

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
    for line in [
        "format: GGUF",
        "architecture: llama",
        "parameters: 2558208",
        "file_type: Q8_0",
        "  Q8_0: 29 tensors, 99.9 % of the parameters",
        "  F32: 9 tensors, 0.1 % of the parameters",
        "tokenizer: llama, default, 1280 tokens, bos <s>, eos </s>",
        "template: 65 characters",
        "runs: yes",
    ] {
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
fn memory_and_what_does_not_run() {
    let memory =
        |args: &[&str]| run(&[&["info", "demo", "--json"], args].concat()).ok("memory").lines().remove(0);
    let (small, large) = (memory(&["--ctx", "64"]), memory(&["--ctx", "512", "--kv", "f32"]));
    assert_eq!((&small["memory"]["context"], &large["memory"]["context"]), (&json!(64), &json!(512)));
    // Two key heads of 32 in four layers, keys and values, in f16 and in f32.
    assert_eq!(small["memory"]["kv"], 64 * 2 * 32 * 4 * 2 * 2);
    assert_eq!(large["memory"]["kv"], 512 * 2 * 32 * 4 * 2 * 4);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.safetensors");
    let mut file = 65_u64.to_le_bytes().to_vec();
    file.extend(br#"{"t":{"dtype":"F8_E8M0","shape":[2,2],"data_offsets":[0,4]}}     "#);
    file.extend([0; 4]);
    std::fs::write(&path, file).expect("written");
    let info = run(&["info", path.to_str().expect("UTF-8")]).ok("other");
    for words in ["runs: no: ", "metadata key `general.architecture` is missing"] {
        assert!(info.text().contains(words), "{}", info.text());
    }
    assert!(info.text().contains("  F8_E8M0: 1 tensors, 100.0 % of the parameters"), "{}", info.text());
}

/// A classic model is shown and not run.
#[test]
fn apr_of_version_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("classic.apr");
    let mut file = b"APRN\x01\x00\x01\x00".to_vec();
    for number in [7_u32, 0, 0] {
        file.extend(number.to_le_bytes());
    }
    file.extend([0; 12]);
    file.extend(b"\x81\xa4name\x07");
    file.extend(crc32(&file).to_le_bytes());
    std::fs::write(&path, &file).expect("written");
    let info = run(&["info", path.to_str().expect("UTF-8")]).ok("classic");
    for line in
        ["model_type: linear regression", "runs: no: a classic model, not a transformer", "  name = 7"]
    {
        assert!(info.text().lines().any(|found| found == line), "no `{line}` in {}", info.text());
    }
    run(&["run", path.to_str().expect("UTF-8"), "x"]).refused(
        "run",
        1,
        &["classic model, not a transformer"],
    );
    file[9] ^= 1;
    std::fs::write(&path, &file).expect("written");
    run(&["info", path.to_str().expect("UTF-8")]).refused(
        "damaged",
        1,
        &["classic.apr: `metadata` at byte 32"],
    );
    // A payload that is not there is not read, nor is memory taken for it.
    std::fs::File::options()
        .write(true)
        .open(&path)
        .expect("opened")
        .set_len(1 << 36)
        .expect("a sparse file");
    run(&["info", path.to_str().expect("UTF-8")]).refused(
        "sparse",
        1,
        &["classic.apr: `footer_crc32` at byte 295"],
    );
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(u32::MAX, step)
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
    // `tokenizer.json` does not say which these are, the files beside it do.
    assert_eq!(info["tokenizer"]["bos"], json!({ "id": 1, "text": "<s>" }));
    assert_eq!(info["tokenizer"]["eos"], json!({ "id": 2, "text": "</s>" }));
    assert_eq!(info["tokenizer"]["adds_bos"], json!(true));
}

/// Files under a folder, links left out.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            files_below(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

/// Models, vocabularies, texts, weights without a name: each is told, or refused on one line.
#[test]
fn every_file_of_the_shared_data_is_told_or_refused() {
    let Some(folder) = shared("", "info of all files") else { return };
    let mut files = Vec::new();
    files_below(&folder, &mut files);
    files.sort();
    let (mut told, mut refused) = (0, 0);
    for path in &files {
        // One of a hundred texts is like the other.
        let is_model =
            path.extension().is_some_and(|e| ["gguf", "safetensors", "apr"].iter().any(|known| e == *known));
        if !is_model && refused >= 150 {
            continue;
        }
        let name = path.to_str().expect("UTF-8");
        let result = run(&["info", name, "-q"]);
        if result.code == Some(0) {
            told += 1;
            assert!(result.text().starts_with("format: "), "{name}: {}", result.text());
        } else {
            refused += 1;
            result.refused(name, 1, &[]);
            assert!(!is_model, "{name}: {}", result.stderr);
        }
    }
    assert!(told > 150 && refused >= 150, "{told} told, {refused} refused");
}

#[test]
fn recurrent_states_are_told_as_such() {
    let Some(model) = shared("zoo-modern/qwen35.gguf", "memory of recurrent states") else { return };
    let path = model.to_str().expect("UTF-8");
    let states = |more: &[&str]| {
        let info =
            run(&[&["info", path, "--json", "--ctx", "1024"], more].concat()).ok("states").lines().remove(0);
        info["memory"]["states"].as_u64().expect("a number")
    };
    // One that it works on, one before the last step, and those that are kept.
    assert_eq!(states(&["--checkpoints", "3"]), states(&["--checkpoints", "0"]) / 2 * 5);
    let text = run(&["info", path, "--ctx", "1024"]).ok("text");
    assert!(text.text().contains(", recurrent states 0.0, "), "{}", text.text());
    let plain = run(&["info", "demo"]).ok("plain");
    assert!(!plain.text().contains("states"), "{}", plain.text());
}

#[test]
fn scores_of_tokens_need_no_tokenizer() {
    let path = data("llama-gqa.gguf");
    let source = realizar_format::open(&path).expect("a model");
    let mut writer = realizar_format::GgufWriter::new();
    for key in source.metadata_keys().filter(|key| !key.starts_with("tokenizer.")) {
        writer.metadata(key, source.metadata(key).expect("a value")).expect("a key");
    }
    for tensor in source.tensors() {
        writer.tensor(tensor.name, tensor.dtype, tensor.shape).expect("a tensor");
    }
    let mut file = writer.begin(Vec::new()).expect("a head");
    for tensor in source.tensors() {
        file.write(&tensor.data).expect("its data");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let bare = folder.path().join("bare.gguf");
    std::fs::write(&bare, file.finish().expect("all of them")).expect("written");
    let scores = |model: &Path, name: &str| {
        let out = folder.path().join(name);
        let args = [
            "logits",
            model.to_str().expect("UTF-8"),
            "--ids",
            "1,7,9",
            "--out",
            out.to_str().expect("UTF-8"),
        ];
        run(&args).ok(name);
        std::fs::read(&out).expect("scores")
    };
    assert!(scores(&path, "whole") == scores(&bare, "bare"));
    let shown = run(&["logits", bare.to_str().expect("UTF-8"), "--ids", "1,7,9"]).ok("shown");
    assert!(shown.text().starts_with("2:  ") && !shown.text().contains('"'), "{}", shown.text());
}
