//! Every model of the zoo against the logits and the greedy continuation of its reference.

use std::path::Path;
use std::sync::Arc;

use realizar_tensor::{Kernels, KvType};

use crate::golden::{self, Golden, Run, outcome};
use crate::judge::ZOO;

/// Quantised weights: error and divergence within the file's limits.
const QUANTISED: &[&str] = &[
    "llama-gqa64-BF16",
    "llama-gqa256-F16",
    "llama-gqa256-IQ1_M",
    "llama-gqa256-IQ1_S",
    "llama-gqa256-IQ2_S",
    "llama-gqa256-IQ2_XS",
    "llama-gqa256-IQ2_XXS",
    "llama-gqa256-IQ3_S",
    "llama-gqa256-IQ3_XXS",
    "llama-gqa256-IQ4_NL",
    "llama-gqa256-IQ4_XS",
    "llama-gqa256-MXFP4",
    "llama-gqa256-Q2_K",
    "llama-gqa256-Q3_K",
    "llama-gqa256-Q4_0",
    "llama-gqa256-Q4_1",
    "llama-gqa256-Q4_K",
    "llama-gqa256-Q4_K_M",
    "llama-gqa256-Q5_0",
    "llama-gqa256-Q5_1",
    "llama-gqa256-Q5_K",
    "llama-gqa256-Q6_K",
    "llama-gqa256-Q8_0",
    "llama-gqa256-TQ1_0",
    "llama-gqa256-TQ2_0",
    "gpt-oss-MXFP4",
];

/// Other cache types: golden, its type.
const KV_TYPES: &[(&str, KvType)] = &[
    ("llama-gqa.kv-f16", KvType::F16),
    ("llama-gqa.kv-f16-fa", KvType::F16),
    ("llama-hd32.kv-f16", KvType::F16),
    ("llama-hd32.kv-f16-fa", KvType::F16),
    ("llama-hd32.kv-q8_0", KvType::Q8_0),
];

/// One line per model and what is wrong with it, if anything is.
struct Report(Vec<String>);

impl Report {
    fn line(&mut self, good: bool, text: String) {
        eprintln!("{} {text}", if good { "pass" } else { "FAIL" });
        if !good {
            self.0.push(text);
        }
    }

    fn finish(self) {
        assert!(self.0.is_empty(), "\n{}", self.0.join("\n"));
    }
}

fn exact(folder: &Path, name: &str, kernels: &'static Kernels, report: &mut Report) {
    let golden = Golden::read(folder, name);
    let model = Arc::new(golden.model());
    let run = Run { kernels, context: golden.context().min(model.config().context), ..Run::plain() };
    let result = outcome(&golden, &golden, &model, run);
    let error = result.max_abs() / golden.number("logits_std");
    let limit = golden.json["tolerance"]["max_abs_over_std"].as_f64().unwrap();
    let good = error <= limit && result.strayed.is_empty();
    let strayed = result.strayed.join("; ");
    report.line(
        good,
        format!("{name} on {}: max|diff|/std {error:.1e}, limit {limit:.1e} {strayed}", kernels.name()),
    );
}

/// `golden` may speak of another file's prompts.
fn rounded(golden: &Golden, prompts: &Golden, name: &str, run: Run, report: &mut Report) {
    let result = outcome(golden, prompts, &Arc::new(prompts.model()), run);
    let (rms, kl) = (result.rms(), result.kl());
    let (limit_rms, limit_kl) = (golden.number("limit_rms"), golden.number("limit_kl"));
    let text = format!(
        "{name} on {}: RMS {rms:.2e}, limit {limit_rms:.2e}; KL {kl:.2e}, limit {limit_kl:.2e}",
        run.kernels.name()
    );
    report.line(rms <= limit_rms && kl <= limit_kl, text);
}

#[test]
fn exact_models_agree() {
    let Some(data) = golden::shared("zoo, unquantised") else { return };
    let mut report = Report(Vec::new());
    for name in ZOO {
        exact(&data.join("zoo"), name, Kernels::detect(), &mut report);
    }
    report.finish();
}

#[test]
fn quantised_models_agree() {
    let Some(data) = golden::shared("zoo, quantised") else { return };
    let mut report = Report(Vec::new());
    for name in QUANTISED {
        for kernels in Kernels::available() {
            let golden = Golden::read(&data.join("zoo"), name);
            rounded(&golden, &golden, name, Run { kernels, ..Run::plain() }, &mut report);
        }
    }
    report.finish();
}

#[test]
fn cache_types_agree() {
    let Some(data) = golden::shared("zoo, cache types") else { return };
    let mut report = Report(Vec::new());
    for &(name, kv) in KV_TYPES {
        for kernels in Kernels::available() {
            let golden = Golden::read(&data.join("zoo"), name);
            let base = golden.json["base_golden"].as_str().unwrap().trim_end_matches(".golden.json");
            let prompts = Golden::read(&data.join("zoo"), base);
            rounded(&golden, &prompts, name, Run { kernels, kv, ..Run::plain() }, &mut report);
        }
    }
    report.finish();
}

/// The slice of the zoo that stands in the repository, on every instruction set of this machine.
#[test]
fn own_models_agree() {
    let mut report = Report(Vec::new());
    for kernels in Kernels::available() {
        exact(&golden::own(), "llama-gqa", kernels, &mut report);
        exact(&golden::own(), "gemma2", kernels, &mut report);
        let golden = Golden::read(&golden::own(), "llama-gqa256-Q4_K");
        rounded(&golden, &golden, "llama-gqa256-Q4_K", Run { kernels, ..Run::plain() }, &mut report);
    }
    report.finish();
}
