//! `rerank`: order, scores and refusals.

use std::path::{Path, PathBuf};

use realizar_format::{GgufWriter, Shape, Value};
use realizar_quant::DType;

use crate::harness::{run, run_with_stdin};

/// The small encoder of the engine's tests.
fn encoder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../realizar-engine/tests/data/bert-cls.gguf")
}

/// The same with a reranker's head.
fn reranker(folder: &Path) -> String {
    let source = realizar_format::open(encoder()).expect("the encoder");
    let mut writer = GgufWriter::new();
    for key in source.metadata_keys().filter(|key| !key.ends_with("pooling_type")) {
        writer.metadata(key, source.metadata(key).expect("a value")).expect("a fact");
    }
    writer.metadata("bert.pooling_type", Value::U32(4)).expect("a fact");
    let hidden = source.tensor("token_embd.weight").expect("embeddings").shape[1];
    for view in source.tensors() {
        writer.tensor(view.name, view.dtype, Shape::new(&view.shape).expect("a shape")).expect("a tensor");
    }
    writer
        .tensor("cls.output.weight", DType::F32, Shape::new(&[1, hidden]).expect("a shape"))
        .expect("a head");
    let mut data = writer.begin(Vec::new()).expect("a file");
    for view in source.tensors() {
        data.write(&view.data).expect("data");
    }
    let head: Vec<u8> =
        (0..hidden).flat_map(|at| ((at * 37 % 29) as f32 / 29.0 - 0.5).to_le_bytes()).collect();
    data.write(&head).expect("data");
    let path = folder.join("reranker.gguf");
    std::fs::write(&path, data.finish().expect("a file")).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn documents_are_sorted_by_their_scores() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = reranker(folder.path());
    let documents = ["a b c", "d e", "a a a a a a", "x"];
    let all = run(&[&["rerank", &model, "a b"], documents.as_slice(), &["--json"]].concat()).ok("json");
    let json = all.lines().remove(0);
    let results = json["results"].as_array().expect("results").clone();
    let score = |at: usize| results[at]["score"].as_f64().expect("a score");
    let index = |at: usize| results[at]["index"].as_u64().expect("an index") as usize;
    assert_eq!(results.len(), 4);
    for at in 0..4 {
        assert_eq!(results[at]["document"], documents[index(at)], "{json}");
        assert!(at == 0 || score(at - 1) >= score(at), "{json}");
    }
    assert!(score(0) > score(3), "{json}");

    // Alone or beside others, from a file or from standard input: the same score.
    let best = documents[index(0)];
    let alone = run(&["rerank", &model, "a b", best, "--json"]).ok("alone").lines().remove(0);
    assert_eq!(alone["results"][0]["score"], results[0]["score"]);
    let path = folder.path().join("documents");
    std::fs::write(&path, documents.join("\n\n")).expect("a file");
    let path = path.to_str().expect("UTF-8");
    let from_file = run(&["rerank", &model, "a b", "--documents", path, "--json"]).ok("a file");
    assert_eq!(from_file.lines(), all.lines());
    let args = ["rerank", &model, "a b", "--documents", "-", "--json", "--top", "2"];
    let top = run_with_stdin(&args, documents.join("\n").as_bytes()).ok("standard input").lines().remove(0);
    assert_eq!(top["results"].as_array().map(Vec::as_slice), Some(&results[..2]));

    let words = run(&["rerank", &model, "a b", best]).ok("for people");
    assert!(words.text().ends_with(&format!("\t0\t{best}\n")), "{}", words.text());
}

#[test]
fn what_cannot_rank_is_refused() {
    let encoder = encoder();
    let encoder = encoder.to_str().expect("UTF-8");
    run(&["rerank", encoder, "a", "b"]).refused("no head", 2, &["reranker's head", "embed"]);
    run(&["rerank", encoder, "a"]).refused("no documents", 2, &["DOCUMENT"]);
    run(&["rerank", encoder, "a", "--documents", "no-such-file"]).refused("no file", 1, &["no-such-file"]);
}
