//! Every number and every tensor of every golden file, made wrong one at a time: an error that names it, or a change that
//! is listed here as one that a file may have. Never a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use realizar_model::Model;

use crate::file::{Fact, ModelFile};
use crate::golden::{self, chain};
use crate::mutants::run;

/// A fact made wrong in one way, where that way fits its kind.
type Change = fn(&Fact) -> Option<Fact>;

const CHANGES: &[(&str, Change)] = &[
    ("zero", |fact| match fact {
        Fact::U32(_) | Fact::I32(_) => Some(Fact::U32(0)),
        Fact::F32(_) => Some(Fact::F32(0.0)),
        Fact::U32s(list) => Some(Fact::U32s(vec![0; list.len()])),
        _ => None,
    }),
    ("huge", |fact| match fact {
        Fact::U32(_) | Fact::I32(_) => Some(Fact::U32(u32::MAX)),
        Fact::F32(_) => Some(Fact::F32(f32::INFINITY)),
        Fact::U32s(list) => Some(Fact::U32s(vec![u32::MAX; list.len()])),
        Fact::F32s(list) => Some(Fact::F32s(vec![f32::INFINITY; list.len()])),
        _ => None,
    }),
    ("NaN", |fact| match fact {
        Fact::F32(_) => Some(Fact::F32(f32::NAN)),
        Fact::F32s(list) => Some(Fact::F32s(vec![f32::NAN; list.len()])),
        _ => None,
    }),
    ("short", |fact| match fact {
        Fact::U32s(list) => Some(Fact::U32s(list[1..].to_vec())),
        Fact::F32s(list) => Some(Fact::F32s(list[1..].to_vec())),
        Fact::Bools(list) => Some(Fact::Bools(list[1..].to_vec())),
        _ => None,
    }),
    ("long", |fact| match fact {
        Fact::U32s(list) => Some(Fact::U32s([&list[..], &list[..1]].concat())),
        Fact::F32s(list) => Some(Fact::F32s([&list[..], &list[..1]].concat())),
        Fact::Bools(list) => Some(Fact::Bools([&list[..], &list[..1]].concat())),
        _ => None,
    }),
    ("sevens", |fact| match fact {
        Fact::Bools(list) => Some(Fact::U32s(vec![7; list.len()])),
        _ => None,
    }),
    ("word", |_| Some(Fact::Text("no such thing".into()))),
    ("words", |fact| match fact {
        Fact::U32s(list) => Some(Fact::Texts(vec!["full".into(); list.len()])),
        Fact::F32s(list) => Some(Fact::Texts(vec!["full".into(); list.len()])),
        Fact::Bools(list) => Some(Fact::Texts(vec!["full".into(); list.len()])),
        _ => None,
    }),
];

/// Keys that a change does not make wrong: what stands behind the architecture's name, the changes, why.
const TAKEN: &[(&str, &[&str], &str)] = &[
    ("attention.sliding_window", &["zero"], "no window"),
    ("attention.scale", &["zero"], "not set: by the width of the heads"),
    ("attention.output_scale", &["zero"], "not set: by the width of the heads"),
    ("attention.temperature_scale", &["zero"], "queries do not grow"),
    (
        "attention.layer_norm_epsilon",
        &["zero", "huge", "NaN", "word"],
        "nemotron_h: norms are of the other kind",
    ),
    ("attention.head_count", &["zero"], "mamba: no attention"),
    ("expert_gating_func", &["zero"], "not set: as the architecture does"),
    ("expert_group_count", &["zero"], "no groups"),
    ("expert_weights_scale", &["zero"], "not set"),
    ("expert_shared_count", &["zero"], "nemotron_h_moe: the width says whether there is one"),
    ("feed_forward_length", &["zero"], "all layers have experts"),
    ("leading_dense_block_count", &["zero"], "step35: layers without a router are plain in any case"),
    ("pooling_type", &["zero"], "vectors of all tokens"),
    (
        "rope.dimension_sections",
        &["zero", "huge", "short", "long", "word", "words"],
        "of images: text has one position",
    ),
    ("rope.freq_base", &["zero", "huge", "NaN", "word"], "granitehybrid-moe: nothing rotates"),
    ("rope.dimension_count", &["zero", "huge", "word"], "granitehybrid-moe: nothing rotates"),
    ("rope.scaling.finetuned", &["word"], "not asked for by architectures that rotate in any case"),
    ("rope.scaling.yarn_log_multiplier", &["zero"], "not set"),
    ("router_logit_softcapping", &["zero", "huge", "NaN", "word"], "grok: the reference does not apply it"),
    ("use_parallel_residual", &["word"], "stablelm: the tensors say it"),
];

/// Tensors without which a file is that of another model of the family: the end of the name, why.
const DROPPED: &[(&str, &str)] = &[
    ("output.weight", "the embedding serves"),
    ("exp_probs_b.bias", "no bias on the choice"),
    (".bias", "families whose models have some biases or none"),
    (".scale", "factors beside quantised matrices"),
    ("layer_output_scale.weight", "no factor"),
    ("ssm_norm.weight", "falcon-h1"),
    ("attn_v.weight", "gemma4: keys serve as values; gemma3n: another layer's do"),
    ("blk.20.attn_k.weight", "gemma3n: another layer's keys serve"),
    ("blk.20.attn_k_norm.weight", "gemma3n: another layer's keys serve"),
    ("rope_freqs.weight", "no factors"),
    ("token_types.weight", "no types"),
    ("attn_norm_2.weight", "falcon: one norm for both branches"),
    ("attn_sinks.weight", "mimo2: layers without sinks"),
    ("ffn_norm.weight", "stablelm: side by side"),
    ("attn_qkv.weight", "asked for in parts"),
    ("ffn_gate_up_exps.weight", "asked for in parts"),
    ("ssm_ba.weight", "asked for in parts"),
    ("ffn_gate_inp.weight", "a plain layer, whose tensors are asked for"),
    ("post_ffw_norm.weight", "grok: asked for under the other name"),
];

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        ["llama-gqa.gguf", "gemma2.gguf"].map(|name| golden::own().join(name)).into();
    if let Some(data) = golden::shared("every key and tensor of the golden files") {
        for folder in ["zoo", "zoo-modern"] {
            let names = std::fs::read_dir(data.join(folder)).unwrap().map(|entry| entry.unwrap().path());
            files.extend(names.filter(|path| path.extension().is_some_and(|ending| ending == "gguf")));
        }
    }
    // One file of each architecture's quantised ones is enough.
    files.retain(|path| !path.file_stem().unwrap().to_str().unwrap().contains("gqa256-"));
    files.sort();
    files
}

/// Loads a changed file and runs it; `Err` says how it was refused.
fn outcome(file: &ModelFile, what: &str) -> Result<(), String> {
    let Ok(source) = realizar_format::parse(file.to_bytes().into()) else { return Err(what.to_owned()) };
    let loaded = catch_unwind(AssertUnwindSafe(|| match Model::load(&*source) {
        Ok(model) => {
            // What is not used is told.
            let told =
                model.warnings().iter().map(|warning| format!("tensor: {warning}")).collect::<String>();
            run(model);
            if told.is_empty() { Ok(()) } else { Err(told) }
        }
        Err(error) => Err(chain(&error)),
    }));
    loaded.unwrap_or_else(|_| panic!("{what}: a panic"))
}

fn architecture(file: &ModelFile) -> String {
    file.facts
        .iter()
        .find_map(|(key, fact)| match fact {
            Fact::Text(name) if key == "general.architecture" => Some(name.clone()),
            _ => None,
        })
        .unwrap()
}

#[test]
fn every_wrong_number_is_refused() {
    let mut findings = Vec::new();
    for path in files() {
        let original = ModelFile::open(&path);
        let arch = architecture(&original);
        if realizar_model::ArchFacts::find(&arch).is_none() {
            continue;
        }
        let prefix = format!("{arch}.");
        for (key, fact) in &original.facts {
            let name = key.strip_prefix(&prefix).unwrap_or(key);
            if name == key && !key.starts_with("xielu.") {
                continue;
            }
            let shown = format!("{}: {key}", path.file_stem().unwrap().display());
            let mut file = original.clone();
            file.remove(key);
            // A file may lack it: then what the rule gives without it must run.
            let _ = outcome(&file, &format!("{shown} removed"));
            for (change, wrong) in CHANGES {
                let Some(wrong) = wrong(fact).filter(|wrong| wrong != fact) else { continue };
                let mut file = original.clone();
                file.set(key, wrong);
                let taken =
                    TAKEN.iter().any(|(taken, changes, _)| *taken == name && changes.contains(change));
                match outcome(&file, &format!("{shown}, {change}")) {
                    Ok(()) if !taken => findings.push(format!("{shown}, {change}: taken")),
                    Err(error)
                        if !taken
                            && !error.contains(name)
                            && !error.contains("tensor")
                            && !error.contains("a weight there") =>
                    {
                        findings.push(format!("{shown}, {change}: does not name it: {error}"));
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

/// The same tensor with one row more, or with rows and columns exchanged.
fn misshapen(file: &ModelFile, at: usize) -> Vec<(&'static str, ModelFile)> {
    let mut files = Vec::new();
    let tensor = &file.tensors[at];
    let mut longer = file.clone();
    let bytes = tensor.data.len() / tensor.dims[0];
    longer.tensors[at].dims[0] += 1;
    longer.tensors[at].data.extend_from_slice(&tensor.data[..bytes]);
    files.push(("a row more", longer));
    let wide: Vec<usize> = tensor.dims.iter().copied().filter(|dim| *dim > 1).collect();
    if wide.len() > 1 && wide.first() != wide.last() {
        let mut turned = file.clone();
        turned.tensors[at].dims.reverse();
        files.push(("turned", turned));
    }
    files
}

#[test]
fn every_misshapen_tensor_is_refused() {
    let mut findings = Vec::new();
    for path in files() {
        let original = ModelFile::open(&path);
        if realizar_model::ArchFacts::find(&architecture(&original)).is_none() {
            continue;
        }
        for at in 0..original.tensors.len() {
            let name = original.tensors[at].name.clone();
            let shown = format!("{}: {name}", path.file_stem().unwrap().display());
            for (change, file) in misshapen(&original, at) {
                match outcome(&file, &shown) {
                    // A larger vocabulary than the tokenizer's; types beyond the first; a layer that another one serves.
                    Ok(())
                        if change == "a row more"
                            && ["token_embd", "token_types", "blk.20.attn_"]
                                .iter()
                                .any(|part| name.starts_with(part)) => {}
                    Ok(()) => findings.push(format!("{shown}, {change}: taken")),
                    Err(error) if !error.contains(&name) && name != "token_embd.weight" => {
                        findings.push(format!("{shown}, {change}: does not name it: {error}"));
                    }
                    Err(_) => {}
                }
            }
            let mut file = original.clone();
            file.drop_tensor(&name);
            let optional = DROPPED.iter().any(|(part, _)| name.ends_with(part));
            match outcome(&file, &shown) {
                Ok(()) if !optional => findings.push(format!("{shown}, dropped: taken")),
                Err(error) if !optional && !error.contains(&name) => {
                    findings.push(format!("{shown}, dropped: does not name it: {error}"));
                }
                _ => {}
            }
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}
