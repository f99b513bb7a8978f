//! Every key that loading a model asks for, whether the file has it or not, with values of every wrong kind: an error that
//! names the key. Nothing is taken for something else, and nothing is passed over in silence.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;

use realizar_format::{Format, TensorSource, TensorView, Value};
use realizar_model::Model;
use realizar_quant::DType;

use crate::file::{Fact, ModelFile};
use crate::golden::{self, chain};
use crate::transformers::{newer, tensor, write_folder};

/// A file that notes which keys are asked for, and has another value for one of them.
#[derive(Debug)]
struct Watched<'a> {
    file: &'a dyn TensorSource,
    asked: Mutex<BTreeSet<String>>,
    /// The key, and what has its value under which name.
    changed: Option<(&'a str, &'a dyn TensorSource, &'a str)>,
}

impl TensorSource for Watched<'_> {
    fn format(&self) -> Format {
        self.file.format()
    }

    fn metadata(&self, key: &str) -> Option<Value<'_>> {
        self.asked.lock().unwrap().insert(key.to_owned());
        match self.changed {
            Some((changed, donor, name)) if changed == key => donor.metadata(name),
            _ => self.file.metadata(key),
        }
    }

    fn metadata_keys(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        self.file.metadata_keys()
    }

    fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        self.file.tensor(name)
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorView<'_>> + '_> {
        self.file.tensors()
    }

    fn path(&self) -> Option<&Path> {
        self.file.path()
    }
}

/// Values that are right for no key, but for truth values where one is meant and lists of 17 of them.
fn wrong() -> ModelFile {
    let mut file = ModelFile::default();
    for (name, fact) in [
        ("a word", Fact::Text("no such thing".into())),
        ("words", Fact::Texts(vec!["no such thing".into(); 17])),
        ("below 0", Fact::I32(-1)),
        ("huge", Fact::U32(u32::MAX)),
        ("NaN", Fact::F32(f32::NAN)),
        ("infinite", Fact::F32(f32::INFINITY)),
        ("a fraction below 0", Fact::F32(-0.5)),
        ("an empty list", Fact::U32s(vec![])),
        ("17 numbers", Fact::U32s(vec![2; 17])),
        ("17 fractions", Fact::F32s(vec![0.5; 17])),
        ("17 truth values", Fact::Bools(vec![true; 17])),
        ("true", Fact::Bool(true)),
    ] {
        file.set(name, fact);
    }
    file
}

/// Keys that take a value all the same, and why: the end of the key, the values, the reason.
const TAKEN: &[(&str, &[&str], &str)] = &[
    ("attention.causal", &["true"], "what decoders are"),
    ("expert_weights_norm", &["true"], "a truth value"),
    ("use_parallel_residual", &["true"], "a truth value"),
    ("ssm.dt_b_c_rms", &["true"], "a truth value"),
    ("rope.scaling.finetuned", &["true"], "a truth value"),
    ("tie_word_embeddings", &["true"], "a truth value"),
    ("use_sliding_window", &["true"], "a truth value"),
    ("parallel_attn", &["true"], "a truth value"),
    ("scale_attn_weights", &["true"], "a truth value"),
    ("multi_query", &["true"], "a truth value"),
    ("rope_local_base_freq", &["huge"], "a base of 4e9"),
    ("norm_topk_prob", &["true"], "a truth value"),
    ("truncate", &["true"], "a truth value"),
    ("rope_interleave", &["true"], "a truth value"),
    ("new_decoder_architecture", &["true"], "a truth value"),
    (
        "text_config.hidden_size",
        &["huge"],
        "the language part of a larger model, of which the rest is missing",
    ),
    ("pooling_mode_mean_tokens", &["true"], "a truth value"),
    ("pooling_mode_lasttoken", &["true"], "a truth value"),
    ("pooling_mode_cls_token", &["true"], "a truth value"),
    ("model_type", &["a word"], "the class says more"),
    ("rope_theta", &["huge"], "a base of 4e9"),
    ("rotary_emb_base", &["huge"], "a base of 4e9"),
    ("xielu.alpha_p", &["a fraction below 0"], "a number of either sign"),
    ("xielu.alpha_n", &["a fraction below 0"], "a number of either sign"),
    ("xielu.beta", &["a fraction below 0"], "a number of either sign"),
    ("xielu.eps", &["a fraction below 0"], "a number of either sign"),
];

fn load(source: &dyn TensorSource, what: &str) -> Result<Model, String> {
    let loaded = catch_unwind(AssertUnwindSafe(|| Model::load(source).map_err(|error| chain(&error))));
    loaded.unwrap_or_else(|_| panic!("{what}: a panic"))
}

/// What is wrong with how a file's keys are read.
fn findings(name: &str, file: &dyn TensorSource) -> Vec<String> {
    let plain = Watched { file, asked: Mutex::default(), changed: None };
    if let Err(error) = load(&plain, name) {
        return vec![format!("{name}: {error}")];
    }
    let asked = plain.asked.into_inner().unwrap();
    let facts = wrong();
    let donor = facts.source();
    let mut out = Vec::new();
    for key in
        asked.iter().filter(|key| !["general.", "tokenizer."].iter().any(|start| key.starts_with(start)))
    {
        for (change, _) in &facts.facts {
            let changed = Some((key.as_str(), &*donor, change.as_str()));
            let source = Watched { file, asked: Mutex::default(), changed };
            let shown = format!("{name}: `{key}` as {change}");
            let taken = TAKEN
                .iter()
                .any(|(end, changes, _)| key.ends_with(end) && changes.contains(&change.as_str()));
            match load(&source, &shown) {
                // What is not read is told.
                Ok(model)
                    if !taken && !model.warnings().iter().any(|told| told.to_string().contains(key)) =>
                {
                    out.push(format!("{shown}: taken"));
                }
                Err(error) if !taken && !error.contains(&format!("`{key}`")) => {
                    out.push(format!("{shown}: {error}"))
                }
                _ => {}
            }
        }
    }
    out
}

#[test]
fn every_key_of_the_golden_files() {
    let Some(data) = golden::shared("every key that is read") else { return };
    let mut out = Vec::new();
    for folder in ["zoo", "zoo-modern"] {
        for entry in std::fs::read_dir(data.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path.extension().is_some_and(|ending| ending == "gguf") && !name.contains("gqa256-") {
                let file = realizar_format::open(&path).unwrap();
                let arch = file.metadata("general.architecture").and_then(|value| value.as_str()).unwrap();
                if realizar_model::ArchFacts::find(arch).is_some() {
                    out.extend(findings(&name, &*file));
                }
            }
        }
    }
    assert!(out.is_empty(), "{} findings\n{}", out.len(), out.join("\n"));
}

#[test]
fn every_key_of_the_checkpoints() {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(golden::own().join("transformers")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let tensors: Vec<_> =
            golden["tensors"].as_array().unwrap().iter().map(|row| tensor(row, DType::F32)).collect();
        for config in [golden["config"].clone(), newer(&golden["config"])] {
            let folder = tempfile::tempdir().unwrap();
            write_folder(folder.path(), &config, &tensors, 1);
            out.extend(findings(name, &*realizar_format::open(folder.path()).unwrap()));
        }
    }
    assert!(out.is_empty(), "{} findings\n{}", out.len(), out.join("\n"));
}
