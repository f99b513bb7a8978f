//! The small trained models: logits, greedy text and perplexity against the reference and against the ideal engine.

use std::path::Path;
use std::sync::Arc;

use realizar_format::TensorSource;
use realizar_model::Model;
use realizar_quant::DType;
use realizar_tensor::{Kernels, KvType};
use serde_json::Value;

use crate::file::ModelFile;
use crate::golden::{self, Run, all, argmax, floats, ids, kl, last, load, log_softmax};

/// Model, format, file beside `golden/`, what the test itself does to it.
const FORMATS: &[(&str, &str, &str, Change)] = &[
    ("demo", "f32", "../demo-model/demo-f16.gguf", Change::Widen),
    ("demo", "f16", "../demo-model/demo-f16.gguf", Change::None),
    ("demo", "bf16", "../demo-model/demo-f16.gguf", Change::Round),
    ("demo", "q8_0", "../demo-model/demo-q8_0.gguf", Change::None),
    ("demo", "q4_0", "demo-q4_0.gguf", Change::None),
    ("demo", "q4_k", "demo-q4_k.gguf", Change::None),
    ("demo", "q5_k", "demo-q5_k.gguf", Change::None),
    ("demo", "q6_k", "demo-q6_k.gguf", Change::None),
    ("gold2", "f32", "gold2-f16.gguf", Change::Widen),
    ("gold2", "f16", "gold2-f16.gguf", Change::None),
    ("gold2", "q8_0", "gold2-q8_0.gguf", Change::None),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    None,
    Widen,
    Round,
}

fn model(folder: &Path, file: &str, change: Change) -> Arc<Model> {
    let path = folder.join(file);
    if change == Change::None {
        return Arc::new(load(&*realizar_format::open(&path).unwrap(), file));
    }
    let mut changed = ModelFile::open(&path);
    changed.widen(DType::F16);
    if change == Change::Round {
        changed.round_matrices();
    }
    let source: Box<dyn TensorSource> = changed.source();
    Arc::new(load(&*source, file))
}

fn run(model: &Model, kernels: &'static Kernels) -> Run {
    Run { kernels, chunk: 256, context: model.config().context, kv: KvType::F32, ..Run::plain() }
}

/// One line per finding; the test fails after all of them.
#[derive(Default)]
struct Report(Vec<String>);

impl Report {
    fn line(&mut self, good: bool, line: String) {
        eprintln!("{} {line}", if good { "pass" } else { "FAIL" });
        if !good {
            self.0.push(line);
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        assert!(self.0.is_empty() || std::thread::panicking(), "\n{}", self.0.join("\n"));
    }
}

fn golden_json(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("golden.json")).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn rms(a: &[f32], b: &[f32]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (squares / a.len() as f64).sqrt()
}

fn worst(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, f64::max)
}

/// Logits at the end of each prompt, and 48 greedy tokens after it.
fn answers(model: &Arc<Model>, kernels: &'static Kernels, prompts: &Value) -> Vec<(Vec<f32>, Vec<u32>)> {
    let mut session = run(model, kernels).session(model);
    let mut answer = |prompt: &Value| {
        let seq = session.open().unwrap();
        let end = last(&mut session, seq, &ids(&prompt["ids"]));
        let (mut logits, mut greedy) = (end.clone(), Vec::new());
        for _ in 0..48 {
            greedy.push(argmax(&logits));
            logits = last(&mut session, seq, &greedy[greedy.len() - 1..]);
        }
        session.close(seq).unwrap();
        (end, greedy)
    };
    prompts.as_array().unwrap().iter().map(&mut answer).collect()
}

/// How far the error of the worst prompt may be above the reference's worst.
///
/// 1.5 times, but for one: the last bit of a score in attention decides whether an activation falls to one or the other
/// side of a step, and the third prompt of `demo q8_0` has one that matters. Over ten orders of adding up a score
/// (the one we have, that of adjacent pairs, eight at random) and four kernel tables its error is 0.83 to 1.15 times the
/// reference's in 38 cases and 1.7 times in two, one of which is the scalar table's today. The mean of the
/// four prompts stays within 0.75 to 1.04 times the reference's; no other file's worst prompt is above 1.1 times.
fn allowed(name: &str, format: &str) -> f64 {
    if (name, format) == ("demo", "q8_0") { 2.0 } else { 1.5 }
}

/// The error against the ideal engine stays within 1.5 times the reference's own, in the mean of the prompts and (as
/// [`allowed`] tells) for the worst of each; the divergence within 2.25 times the reference's. Without rounded
/// activations the greedy text is the ideal's.
#[test]
fn logits_and_greedy_text_agree() {
    let Some(data) = golden::shared("trained models, logits") else { return };
    let folder = data.join("golden");
    let json = golden_json(&folder);
    let mut report = Report::default();
    for &(name, format, file, change) in FORMATS {
        let (facts, model) = (&json["models"][name], model(&folder, file, change));
        let golden = &facts["formats"][format];
        let ideal = floats(&folder.join(golden["logits_ideal"].as_str().unwrap()));
        let ideal: Vec<&[f32]> = ideal.chunks(model.config().vocab).collect();
        let theirs = |key: &str| numbers(&golden["distance_llamacpp_to_ideal"][key]);
        for kernels in Kernels::available() {
            let answers = answers(&model, kernels, &facts["prompts"]);
            let pairs = || answers.iter().zip(&ideal);
            let ours: Vec<f64> = pairs().map(|(a, ideal)| rms(&a.0, ideal)).collect();
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            let typical = mean(&ours) / (1.5 * mean(&theirs("rms")) + 2e-5);
            let error = worst(ours) / (allowed(name, format) * worst(theirs("rms")) + 2e-5);
            let divergence = worst(pairs().map(|(a, ideal)| kl(ideal, &a.0)));
            let limit = 2.25 * worst(theirs("kl_ideal_to_llamacpp")) + 1e-7;
            let expected = golden["greedy_ideal"].as_array().unwrap().iter().map(ids);
            let same = answers.iter().zip(expected).filter(|(a, expected)| a.1 == *expected).count();
            let rounded = !matches!(format, "f32" | "f16" | "bf16");
            report.line(
                error <= 1.0 && typical <= 1.0 && divergence <= limit && (rounded || same == 4),
                format!(
                    "{name} {format} on {}: rms at most {:.0} % of the limit, in the mean {:.0} %; KL {divergence:.1e}, limit {limit:.1e}; \
                     greedy text {same} of 4",
                    kernels.name(),
                    100.0 * error,
                    100.0 * typical
                ),
            );
        }
    }
}

/// The greedy text of the ideal engine, token by token: what we would choose is the same token, or one whose logit is
/// above it by no more than errors within the limit can explain (as [`logits_and_greedy_text_agree`] holds them, against
/// the largest error of the reference).
#[test]
fn greedy_text_of_rounded_weights_is_the_ideals() {
    let Some(data) = golden::shared("trained models, greedy text") else { return };
    let folder = data.join("golden");
    let json = golden_json(&folder);
    let mut report = Report::default();
    for &(name, format, file, change) in FORMATS {
        let (facts, model) = (&json["models"][name], model(&folder, file, change));
        let golden = &facts["formats"][format];
        let error = worst(numbers(&golden["distance_llamacpp_to_ideal"]["max_abs"]));
        let limit = 2.0 * 1.5 * error + 1e-4;
        let mut session = run(&model, Kernels::detect()).session(&model);
        let (mut steps, mut same, mut widest) = (0, 0, 0.0_f64);
        for (prompt, text) in
            facts["prompts"].as_array().unwrap().iter().zip(golden["greedy_ideal"].as_array().unwrap())
        {
            let (tokens, text) = (ids(&prompt["ids"]), ids(text));
            let rows = golden::forced(&mut session, &tokens, &text);
            for (row, token) in rows[tokens.len() - 1..].iter().zip(&text) {
                let ours = argmax(row);
                let gap = f64::from(row[ours as usize] - row[*token as usize]);
                (steps, same) = (steps + 1, same + usize::from(ours == *token));
                widest = widest.max(gap);
            }
        }
        report.line(
            widest <= limit && steps == 192,
            format!(
                "{name} {format}: {same} of {steps} tokens; the widest gap {widest:.3}, limit {limit:.3}"
            ),
        );
    }
}

/// Negative log likelihood of a held-out text, by the windows of llama.cpp: chunks of 256 tokens that each begin with
/// an empty cache and with BOS where the model has one; the second half of a chunk is scored. All 26 and 27 chunks.
#[test]
fn perplexity_agrees() {
    const WINDOW: usize = 256;
    let Some(data) = golden::shared("trained models, perplexity") else { return };
    let folder = data.join("golden");
    let json = golden_json(&folder);
    let mut report = Report::default();
    for &(name, format, file, change) in FORMATS {
        let golden = &json["models"][name]["formats"][format];
        let model = model(&folder, file, change);
        let bytes = std::fs::read(golden::own().join(format!("{name}-eval.u16"))).unwrap();
        let tokens: Vec<u32> =
            bytes.chunks(2).map(|two| u16::from_le_bytes(two.try_into().unwrap()).into()).collect();
        let mut session = run(&model, Kernels::detect()).session(&model);
        let mut chunk_nll = |chunk: &[u32]| {
            let mut chunk = chunk.to_vec();
            if name == "demo" {
                chunk[0] = 1;
            }
            let seq = session.open().unwrap();
            let rows = all(&mut session, seq, &chunk);
            session.close(seq).unwrap();
            (WINDOW / 2..WINDOW - 1).map(|pos| -log_softmax(&rows[pos])[chunk[pos + 1] as usize]).sum::<f64>()
        };
        let nll: f64 = tokens.chunks_exact(WINDOW).map(&mut chunk_nll).sum();
        let theirs: f64 = numbers(&golden["chunk_nll_llamacpp"]).iter().sum();
        let ideal: f64 = numbers(&golden["chunk_nll_ideal"]).iter().sum();
        let scored = (tokens.len() / WINDOW * (WINDOW / 2 - 1)) as f64;
        let off = |other: f64| ((nll - other) / scored).exp_m1();
        let limit = if matches!(format, "f32" | "f16" | "bf16") { 0.000_5 } else { 0.01 };
        report.line(
            off(theirs).abs() <= limit && off(ideal).abs() <= limit,
            format!(
                "{name} {format}: perplexity {:.5}, {:+.4} % of llama.cpp's, {:+.4} % of the ideal, limit {} %",
                (nll / scored).exp(),
                100.0 * off(theirs),
                100.0 * off(ideal),
                100.0 * limit
            ),
        );
    }
}
