//! The main job against reference engines: logits and greedy continuations, end to end through the binary.

use std::path::Path;

use serde_json::Value;

use crate::harness::{data, run, shared};
use crate::judge::{ZOO, floats, json, mean_kl, rms};

/// Quantised models of the zoo, judged by their distance to the ideal logits.
const ZOO_QUANTISED: &[&str] = &[
    "llama-gqa256-F16",
    "llama-gqa64-BF16",
    "llama-gqa256-Q8_0",
    "llama-gqa256-Q4_0",
    "llama-gqa256-Q4_K",
    "llama-gqa256-Q5_K",
    "llama-gqa256-Q6_K",
];

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().expect("an array").iter().map(|item| item.as_u64().expect("a number")).collect()
}

fn list(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

/// The logits that `logits` writes, with F32 keys and values.
fn logits(model: &Path, ids: &[u64], positions: &[u64], context: Option<u64>) -> Vec<f32> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("logits");
    let (ids, positions) = (list(ids), list(positions));
    let (model, out_name) = (model.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
    let fixed = ["logits", model, "--ids", &ids, "--positions", &positions, "--kv", "f32", "--out", out_name];
    run(&with_context(&fixed, context)).ok(model);
    floats(&out)
}

fn with_context(args: &[&str], context: Option<u64>) -> Vec<String> {
    let mut args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    if let Some(context) = context {
        args.extend(["--ctx".to_owned(), context.to_string()]);
    }
    args
}

/// The context that a golden file was made with, where it makes a difference.
fn context(golden: &Value) -> Option<u64> {
    let model = golden["model"].as_str().expect("a file");
    model.contains("longrope").then(|| golden["n_ctx"].as_u64().expect("a context"))
}

/// The tokens that `run` picks greedily.
fn greedy(model: &Path, ids: &[u64], n: usize, context: Option<u64>) -> Vec<u64> {
    let (ids, n, model) = (list(ids), n.to_string(), model.to_str().expect("UTF-8"));
    let fixed = [
        "run",
        model,
        "--json",
        "--temp",
        "0",
        "--ids",
        &ids,
        "--raw",
        "--ignore-eos",
        "--kv",
        "f32",
        "-n",
        &n,
    ];
    run(&with_context(&fixed, context))
        .ok(model)
        .lines()
        .iter()
        .filter_map(|line| line["id"].as_u64())
        .collect()
}

/// The rows of one prompt, in the order of the golden file: its positions, where it goes on by `further`.
fn rows(golden: &Value, model: &Path, prompt: usize, further: &str) -> Vec<f32> {
    let entry = &golden["prompts"][prompt];
    let mut ids = numbers(&entry["tokens"]);
    ids.extend(numbers(&entry[further]));
    let of_prompt =
        golden["logits_rows"].as_array().expect("rows").iter().filter(|row| row["prompt"] == prompt);
    let positions: Vec<u64> = of_prompt.map(|row| row["pos"].as_u64().expect("a position")).collect();
    let last = *positions.last().expect("a position") as usize;
    logits(model, &ids[..=last], &positions, context(golden))
}

fn all_rows(golden: &Value, model: &Path, further: &str) -> Vec<f32> {
    let prompts = golden["prompts"].as_array().expect("prompts").len();
    (0..prompts).flat_map(|prompt| rows(golden, model, prompt, further)).collect()
}

/// The README's rules 1 and 2: every logit near the reference, every greedy token the same.
fn unquantised(folder: &Path, name: &str) {
    let golden = json(&folder.join(format!("{name}.golden.json")));
    let model = folder.join(golden["model"].as_str().expect("a file"));
    let expected = floats(&folder.join(golden["logits_file"].as_str().expect("a file")));
    let found = all_rows(&golden, &model, "greedy");
    assert_eq!(found.len(), expected.len(), "{name}");
    let limit = golden["tolerance"]["max_abs_over_std"].as_f64().expect("a tolerance")
        * golden["logits_std"].as_f64().expect("a std");
    let off = found.iter().zip(&expected).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    assert!(off <= limit, "{name}: logits are off by {off}, the limit is {limit}");
    for prompt in golden["prompts"].as_array().expect("prompts") {
        let expected = numbers(&prompt["greedy"]);
        assert_eq!(
            greedy(&model, &numbers(&prompt["tokens"]), expected.len(), context(&golden)),
            expected,
            "{name}"
        );
    }
}

/// The README's rule 3: how far from the ideal, in root mean square and in divergence of the probabilities.
fn quantised(folder: &Path, name: &str) {
    let golden = json(&folder.join(format!("{name}.golden.json")));
    let model = folder.join(golden["model"].as_str().expect("a file"));
    let ideal = floats(&folder.join(golden["logits_file"].as_str().expect("a file")));
    let found = all_rows(&golden, &model, "forced");
    let vocab = golden["n_vocab"].as_u64().expect("a vocabulary") as usize;
    judge(
        name,
        &found,
        &ideal,
        vocab,
        golden["limit_rms"].as_f64().expect("a limit"),
        golden["limit_kl"].as_f64().expect("a limit"),
    );
}

fn judge(name: &str, found: &[f32], ideal: &[f32], vocab: usize, limit_rms: f64, limit_kl: f64) {
    assert_eq!(found.len(), ideal.len(), "{name}");
    let rms = rms(found, ideal);
    let kl = mean_kl(ideal, found, vocab);
    assert!(rms <= limit_rms, "{name}: rms {rms}, the limit is {limit_rms}");
    assert!(kl <= limit_kl, "{name}: divergence {kl}, the limit is {limit_kl}");
}

#[test]
fn a_llama_model_in_f32() {
    unquantised(&data(""), "llama-gqa");
}

#[test]
fn the_built_in_model() {
    let golden = json(&data("demo-q8_0.golden.json"));
    let demo = Path::new("demo");
    let prompts = golden["prompts"].as_array().expect("prompts");
    let found: Vec<f32> = prompts
        .iter()
        .flat_map(|prompt| {
            let ids = numbers(&prompt["ids"]);
            logits(demo, &ids, &[ids.len() as u64 - 1], None)
        })
        .collect();
    let distance =
        near_ideal("demo-q8_0", &found, &data("demo-q8_0.ideal.f32"), &data("demo-q8_0.llamacpp.f32"), 1280);
    tokens_until_a_close_call(demo, &golden["prompts"], &golden, distance);
}

/// As rule 3, with llama.cpp's own distance taken from its logits; returns the largest distance of a logit that is allowed.
fn near_ideal(name: &str, found: &[f32], ideal: &Path, llamacpp: &Path, vocab: usize) -> f64 {
    let (ideal, theirs) = (floats(ideal), floats(llamacpp));
    let mean = ideal.iter().map(|&x| f64::from(x)).sum::<f64>() / ideal.len() as f64;
    let std = (ideal.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / ideal.len() as f64).sqrt();
    let kl_theirs = mean_kl(&ideal, &theirs, vocab);
    judge(name, found, &ideal, vocab, 1.5 * rms(&theirs, &ideal) + 2e-4 * std, 2.25 * kl_theirs + 1e-7);
    theirs.iter().zip(&ideal).map(|(a, b)| f64::from((a - b).abs())).fold(1e-4, f64::max)
}

/// Greedy tokens must equal llama.cpp's up to the first step whose two best scores lie so close together that an error of
/// `distance` in each could turn them round.
fn tokens_until_a_close_call(model: &Path, prompts: &Value, golden: &Value, distance: f64) {
    for (i, prompt) in prompts.as_array().expect("prompts").iter().enumerate() {
        let expected = numbers(&golden["greedy_llamacpp"][i]);
        let gaps = golden["greedy_gap"][i].as_array().expect("gaps");
        let sure =
            gaps.iter().position(|gap| gap.as_f64().expect("a gap") < 2.0 * distance).unwrap_or(gaps.len());
        let found = greedy(model, &numbers(&prompt["ids"]), sure.max(1), None);
        assert_eq!(found[..sure], expected[..sure], "{}: prompt {i}", model.display());
    }
}

#[test]
fn zoo_in_f32() {
    let Some(folder) = shared("zoo", "zoo, unquantised, through the binary") else { return };
    for name in ZOO {
        unquantised(&folder, name);
    }
}

#[test]
fn zoo_quantised() {
    let Some(folder) = shared("zoo", "zoo, quantised, through the binary") else { return };
    for name in ZOO_QUANTISED {
        quantised(&folder, name);
    }
}

#[test]
fn small_trained_models() {
    let Some(folder) = shared("golden", "small trained models through the binary") else { return };
    let golden = json(&folder.join("golden.json"));
    for (model, format, file) in [
        ("demo", "f16", "../demo-model/demo-f16.gguf"),
        ("demo", "q8_0", "../demo-model/demo-q8_0.gguf"),
        ("demo", "q4_0", "demo-q4_0.gguf"),
        ("demo", "q4_k", "demo-q4_k.gguf"),
        ("demo", "q5_k", "demo-q5_k.gguf"),
        ("demo", "q6_k", "demo-q6_k.gguf"),
    ] {
        let golden = &golden["models"][model];
        let of_format = &golden["formats"][format];
        let path = folder.join(file);
        let prompts = golden["prompts"].as_array().expect("prompts");
        let found: Vec<f32> = prompts
            .iter()
            .flat_map(|prompt| {
                let ids = numbers(&prompt["ids"]);
                logits(&path, &ids, &[ids.len() as u64 - 1], None)
            })
            .collect();
        let file = |key: &str| folder.join(of_format[key].as_str().expect("a file"));
        let vocab = golden["n_vocab"].as_u64().expect("a vocabulary") as usize;
        let name = format!("{model}-{format}");
        let distance = near_ideal(&name, &found, &file("logits_ideal"), &file("logits_llamacpp"), vocab);
        tokens_until_a_close_call(&path, &golden["prompts"], of_format, distance);
    }
}

#[test]
fn a_model_folder_writes_what_its_file_writes() {
    let Some(folder) = shared("demo-model", "a model folder through the binary") else { return };
    let (file, dir) = (folder.join("demo-f16.gguf"), folder.join("demo-hf"));
    let prompt = [1, 526, 527, 261, 417];
    assert_eq!(greedy(&dir, &prompt, 40, None), greedy(&file, &prompt, 40, None));
    let text = |model: &Path| {
        let model = model.to_str().expect("UTF-8");
        run(&["run", model, "Once upon a time", "-n", "30", "--temp", "0"]).ok(model).text().to_owned()
    };
    assert_eq!(text(&dir), text(&file));
}
