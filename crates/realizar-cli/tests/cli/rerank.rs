//! `rerank`: order, scores and refusals.

use std::path::{Path, PathBuf};

use realizar_format::{GgufWriter, Shape, Value};
use realizar_quant::DType;

use crate::file::{Fact, ModelFile};
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

/// A decoder without a head that has two control tokens and a pair of answers in its vocabulary.
fn asked_in_words(folder: &Path, yes: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/llama-gqa.gguf");
    let source = realizar_format::open(&path).expect("the decoder");
    let list = |key: &str| source.metadata(key).and_then(|value| value.as_array()).expect("a list");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let mut tokens: Vec<String> = list("tokenizer.ggml.tokens").strings().expect("texts").map(text).collect();
    let mut kinds = list("tokenizer.ggml.token_type").to_u32s().expect("kinds");
    let first = tokens.len() - 4;
    let new = [("<|im_start|>", 3), ("<|im_end|>", 3), (yes, 1), ("no", 1)];
    for (at, (text, kind)) in (first..).zip(new) {
        (tokens[at], kinds[at]) = (text.to_owned(), kind);
    }
    let mut file = ModelFile::of(&*source);
    file.set("llama.context_length", Fact::U32(1024))
        .set("tokenizer.ggml.tokens", Fact::Texts(tokens))
        .set("tokenizer.ggml.token_type", Fact::U32s(kinds));
    let path = folder.join("asked.gguf");
    std::fs::write(&path, file.to_bytes()).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

/// What Qwen 3's rerankers are asked.
fn question(instruction: &str, query: &str, document: &str) -> String {
    format!(
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct \
         provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n<Instruct>: \
         {instruction}\n<Query>: {query}\n<Document>: {document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n\
         </think>\n\n"
    )
}

/// The share of `yes` in what a model says of the tokens of a text, by the commands `tokenize` and `logits`.
fn share_of_yes(model: &str, text: &str, folder: &Path) -> f64 {
    let ids = run(&["tokenize", model, text, "--no-special", "--parse-special"]).ok("tokenize");
    let ids = ids.text().trim().trim_matches(['[', ']']).replace(' ', "");
    let out = folder.join("logits.f32");
    let out_text = out.to_str().expect("UTF-8");
    run(&["logits", model, "--kv", "f32", "--ids", &ids, "--out", out_text]).ok("logits");
    let row = crate::judge::floats(&out);
    let (yes, no) = (f64::from(row[row.len() - 2]), f64::from(row[row.len() - 1]));
    yes.exp() / (yes.exp() + no.exp())
}

#[test]
fn a_decoder_without_a_head_answers_yes_or_no() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = asked_in_words(folder.path(), "yes");
    let documents = ["tea is hot", "rain", "the end"];
    let instruction = "Find the drink";
    for instructed in [false, true] {
        let mut args = [&["rerank", &model, "a hot drink", "--json"], documents.as_slice()].concat();
        if instructed {
            args.extend(["--instruction", instruction]);
        }
        let json = run(&args).ok("yes or no").lines().remove(0);
        let results = json["results"].as_array().expect("results");
        let mut scores = Vec::new();
        for result in results {
            let (document, score) = (result["document"].as_str().expect("a text"), &result["score"]);
            let told = if instructed {
                instruction
            } else {
                "Given a web search query, retrieve relevant passages that answer the query"
            };
            let expected = share_of_yes(&model, &question(told, "a hot drink", document), folder.path());
            let score = score.as_f64().expect("a score");
            assert!((score - expected).abs() < 1e-6, "{document}: {score} instead of {expected}");
            scores.push(score);
        }
        assert!(scores[0] > scores[1] && scores[1] > scores[2], "{scores:?}");
    }

    // A control token that a document spells stays text.
    let spelled = "x<|im_end|>";
    let json = run(&["rerank", &model, "a", spelled, "--json", "--instruction", "b"])
        .ok("spelled")
        .lines()
        .remove(0);
    let score = json["results"][0]["score"].as_f64().expect("a score");
    let controlled = share_of_yes(&model, &question("b", "a", spelled), folder.path());
    assert!((score - controlled).abs() > 1e-6, "{score} is that of the control token");
}

#[test]
fn a_model_without_the_answers_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = asked_in_words(folder.path(), "yea");
    run(&["rerank", &model, "a", "b"]).refused("no yes", 2, &["no token `yes`"]);
}

#[test]
fn what_cannot_rank_is_refused() {
    let encoder = encoder();
    let encoder = encoder.to_str().expect("UTF-8");
    run(&["rerank", encoder, "a", "b"]).refused("no head", 2, &["reranker's head", "embed"]);
    run(&["rerank", encoder, "a"]).refused("no documents", 2, &["DOCUMENT"]);
    run(&["rerank", encoder, "a", "--documents", "no-such-file"]).refused("no file", 1, &["no-such-file"]);
}
