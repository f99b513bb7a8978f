//! Models by the other convention give the same bits: checkpoints as GGUF holds them, and as checkpoints again.

use std::ops::Range;
use std::path::{Path, PathBuf};

use realizar_format::{AprWriter, GgufWriter, SafetensorsWriter, Shape, TensorSource, Value};
use realizar_model::{Checkpoint, Fact, GgufView, Model, NewTensor};
use realizar_quant::DType;
use serde_json::{Value as Json, json};

use crate::file::ModelFile;
use crate::golden::{self, chain, ids};
use crate::judge;
use crate::transformers::{Tensor, rows, tensor, write_folder};

/// A checkpoint of the transformers library: `config.json`, its tensors, and tokens to run it on.
struct Case {
    config: Json,
    tensors: Vec<Tensor>,
    tokens: Vec<u32>,
}

impl Case {
    fn read(path: &Path, dtype: DType) -> Self {
        let golden = judge::json(path);
        let tensors = golden["tensors"].as_array().unwrap().iter().map(|row| tensor(row, dtype)).collect();
        Self { config: golden["config"].clone(), tensors, tokens: ids(&golden["ids"]) }
    }

    fn named(name: &str) -> Self {
        Self::read(&golden::own().join(format!("transformers/{name}.json")), DType::F32)
    }

    /// Opens it, in a folder that must outlive the source.
    fn open(&self) -> (tempfile::TempDir, Box<dyn TensorSource>) {
        let folder = tempfile::tempdir().unwrap();
        write_folder(folder.path(), &self.config, &self.tensors, 1);
        let source = realizar_format::open(folder.path()).unwrap();
        (folder, source)
    }
}

fn cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(golden::own().join("transformers")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    files
}

/// Gives the bytes of some rows of a tensor.
type Read<'a> = &'a dyn Fn(usize, Range<usize>) -> Vec<u8>;

/// All bytes of a tensor, read by one row, by three, or all at once.
fn data(index: usize, tensor: &NewTensor, read: Read<'_>) -> Vec<u8> {
    let total = tensor.shape.rows();
    let step = [1, 3, total][index % 3].max(1);
    let starts = (0..total).step_by(step);
    let data: Vec<u8> = starts.flat_map(|from| read(index, from..(from + step).min(total))).collect();
    assert_eq!(data.len() as u64, tensor.bytes(), "{}", tensor.name);
    data
}

/// The GGUF file of a view.
fn gguf(view: &GgufView<'_>) -> Box<dyn TensorSource> {
    let mut writer = GgufWriter::new();
    for (key, value) in view.metadata() {
        writer.metadata(key, value).unwrap();
    }
    for tensor in view.tensors() {
        writer.tensor(&tensor.name, tensor.dtype, tensor.shape).unwrap();
    }
    let mut file = writer.begin(Vec::new()).unwrap();
    let read = |index, rows: Range<usize>| view.rows(index, rows, &mut Vec::new()).unwrap().to_vec();
    for (index, tensor) in view.tensors().iter().enumerate() {
        file.write(&data(index, tensor, &read)).unwrap();
    }
    realizar_format::parse(file.finish().unwrap().into()).unwrap()
}

/// A value as `config.json` has it.
fn member(fact: &Fact) -> Json {
    match fact.value() {
        Value::Bool(flag) => json!(flag),
        Value::String(text) => json!(text.as_str().unwrap()),
        Value::Array(list) => list.iter().map(|word| json!(word.as_str().unwrap())).collect(),
        number => number.as_i128().map_or_else(|| json!(number.as_f32()), |whole| json!(whole as u64)),
    }
}

/// The checkpoint that a view is written as.
fn checkpoint(view: &GgufView<'_>, tokens: &[u32]) -> Result<Case, String> {
    let checkpoint = Checkpoint::of(view).map_err(|error| chain(&error))?;
    let mut config = json!({});
    for (key, fact) in &checkpoint.config {
        match key.split_once('.') {
            Some((object, key)) => config[object][key] = member(fact),
            None => config[key] = member(fact),
        }
    }
    let read = |index, rows: Range<usize>| checkpoint.rows(index, rows, &mut Vec::new()).unwrap().to_vec();
    let tensor = |(index, new): (usize, &NewTensor)| Tensor {
        name: new.name.clone(),
        dims: new.shape.to_vec(),
        dtype: new.dtype,
        data: data(index, new, &read),
    };
    let tensors = checkpoint.tensors.iter().enumerate().map(tensor).collect();
    Ok(Case { config, tensors, tokens: tokens.to_vec() })
}

fn bits(source: &dyn TensorSource, tokens: &[u32]) -> Result<Vec<u32>, String> {
    let model = Model::load(source).map_err(|error| chain(&error))?;
    Ok(rows(model, tokens).concat().iter().map(|value| value.to_bits()).collect())
}

/// Checkpoints that GGUF has no way to say, and what would be lost.
const ONE_WAY: &[(&str, &str)] = &[
    ("deepseek2-groups", "group_score: Best`"),
    ("gemma2", "scale: 0.2236068`"),
    ("gemma3", "scale: 0.20412414`"),
    ("gptoss", "whole_pairs: false`"),
    ("gptoss-mxfp4", "whole_pairs: false`"),
    ("llama-dynamic", "scaling: Dynamic {`"),
    ("mistral", "window: Some(`"),
    ("phi3-window", "window: Some(`"),
    ("starcoder2", "window: Some(`"),
];

#[test]
fn checkpoints_keep_their_bits_there_and_back() {
    let (mut findings, mut there, mut back) = (Vec::new(), 0, 0);
    for path in cases() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let lost = ONE_WAY.iter().find(|(case, _)| *case == name).map(|(_, lost)| *lost);
        for dtype in [DType::F32, DType::BF16] {
            let case = Case::read(&path, dtype);
            let (_folder, source) = case.open();
            let same = |what: &str, found: &dyn TensorSource| {
                let found = bits(found, &case.tokens);
                let same = found == bits(&*source, &case.tokens);
                (!same).then(|| format!("{name} in {dtype} {what}: other bits {:?}", found.err()))
            };
            let view = match (GgufView::new(&*source), lost) {
                (Ok(view), None) => view,
                (Err(error), Some(lost)) if chain(&error).contains(lost) => continue,
                (found, _) => {
                    findings.push(format!("{name} in {dtype}: {:?}", found.err().map(|error| chain(&error))));
                    continue;
                }
            };
            let file = gguf(&view);
            findings.extend(same("as GGUF", &*file));
            there += 1;
            let again = match checkpoint(&GgufView::new(&*file).unwrap(), &case.tokens) {
                Ok(again) => again,
                Err(error) if error.contains("cannot be carried over") => continue,
                Err(error) => panic!("{name} in {dtype}: {error}"),
            };
            let (_folder, source) = again.open();
            findings.extend(same("back", &*source));
            back += 1;
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(there > 80 && back > 40, "{there} there, {back} back");
}

/// A checkpoint's tensors made wrong, and what the refusal says.
type Wrong = (&'static str, &'static str, fn(&mut Vec<Tensor>), &'static str);

fn change<'a>(tensors: &'a mut [Tensor], end: &str) -> &'a mut Tensor {
    tensors.iter_mut().find(|tensor| tensor.name.ends_with(end)).unwrap_or_else(|| panic!("no {end}"))
}

/// The same bytes as a tensor of one dimension.
fn flat(tensor: &mut Tensor) {
    tensor.dims = vec![tensor.dims.iter().product()];
}

const WRONG: &[Wrong] = &[
    (
        "tensors of another architecture",
        "llama",
        |tensors| {
            for number in 0..7 {
                let (dims, data) = (vec![1], vec![0; 4]);
                tensors.push(Tensor { name: format!("extra.{number}"), dims, dtype: DType::F32, data });
            }
        },
        "`extra.3`, `extra.4` and 2 more cannot be carried over: the architecture has no such tensors",
    ),
    (
        "an expert is missing",
        "qwen3moe",
        |tensors| tensors.retain(|tensor| !tensor.name.contains("layers.1.mlp.experts.2.up_proj")),
        "model.layers.1.mlp.experts.2.up_proj.weight",
    ),
    (
        "an expert of another shape",
        "qwen3moe",
        |tensors| change(tensors, "layers.0.mlp.experts.3.gate_proj.weight").dims.reverse(),
        "model.layers.0.mlp.experts.3.gate_proj.weight",
    ),
    (
        "blocks without their exponents",
        "gptoss-mxfp4",
        |tensors| tensors.retain(|tensor| !tensor.name.ends_with("0.mlp.experts.down_proj_scales")),
        "model.layers.0.mlp.experts.down_proj_scales",
    ),
    (
        "blocks of another shape",
        "gptoss-mxfp4",
        |tensors| flat(change(tensors, "0.mlp.experts.down_proj_blocks")),
        "model.layers.0.mlp.experts.down_proj_blocks",
    ),
    (
        "experts that cannot be turned",
        "gptoss",
        |tensors| flat(change(tensors, "0.mlp.experts.down_proj")),
        "model.layers.0.mlp.experts.down_proj",
    ),
    (
        "projections that are not those of the heads",
        "falcon-7b",
        |tensors| change(tensors, "0.self_attention.query_key_value.weight").dims.reverse(),
        "transformer.h.0.self_attention.query_key_value.weight",
    ),
    (
        "latent heads of another width",
        "deepseek3",
        |tensors| change(tensors, "0.self_attn.kv_b_proj.weight").dims.reverse(),
        "model.layers.0.self_attn.kv_b_proj.weight",
    ),
    (
        "gains to which nothing can be added",
        "gemma",
        |tensors| change(tensors, "1.input_layernorm.weight").dtype = DType::I32,
        "tensor `blk.1.attn_norm.weight` cannot be carried over: a vector of I32 cannot be changed",
    ),
];

#[test]
fn tensors_that_would_be_lost_or_made_wrong_are_refused_by_name() {
    for (what, case, wrong, expected) in WRONG {
        let mut case = Case::named(case);
        wrong(&mut case.tensors);
        let (_folder, source) = case.open();
        let error = GgufView::new(&*source).err().unwrap_or_else(|| panic!("{what}: taken"));
        assert!(chain(&error).contains(expected), "{what}: {}", chain(&error));
    }
}

#[test]
fn what_is_computed_or_serves_another_use_is_told_and_left() {
    let mut case = Case::named("bert");
    let name = "embeddings.position_ids".to_owned();
    case.tensors.push(Tensor { name, dims: vec![1], dtype: DType::F32, data: vec![0; 4] });
    let (_folder, source) = case.open();
    let view = GgufView::new(&*source).unwrap();
    let mut warnings = view.warnings().to_vec();
    warnings.sort();
    assert_eq!(
        warnings,
        [
            "`embeddings.position_ids` is not carried over: it is computed from the configuration",
            "`pooler.dense.bias` is not carried over: it serves another use of the model",
            "`pooler.dense.weight` is not carried over: it serves another use of the model",
        ]
    );
}

/// Experts' matrices of a stack are made one at a time, of four-bit floats and of plain ones.
#[test]
fn stacks_of_experts_are_made_matrix_by_matrix() {
    for name in ["gptoss", "gptoss-mxfp4"] {
        let mut case = Case::named(name);
        case.config["rope_scaling"]["truncate"] = json!(true);
        let (_folder, source) = case.open();
        let file = gguf(&GgufView::new(&*source).unwrap());
        let experts = file.tensor("blk.0.ffn_gate_exps.weight").unwrap();
        assert_eq!(experts.dtype, if name == "gptoss" { DType::F32 } else { DType::MXFP4 });
        assert_eq!(bits(&*file, &case.tokens), bits(&*source, &case.tokens), "{name}");
    }
}

/// An `.apr` file has the numbers of `config.json` beside words about itself: those get their keys of GGUF.
#[test]
fn apr_files_keep_their_bits_and_words() {
    let case = Case::named("llama");
    let mut writer = AprWriter::new();
    for (key, value) in case.config.as_object().unwrap() {
        if let Some(number) = value.as_u64() {
            writer.metadata(key, Value::U64(number)).unwrap();
        } else if let Some(number) = value.as_f64() {
            writer.metadata(key, Value::F64(number)).unwrap();
        }
    }
    let words =
        [("architecture", "llama"), ("name", "Tiny"), ("license", "MIT"), ("tokenizer.ggml.model", "gpt2")];
    for (key, word) in words {
        writer.metadata(key, Value::from(word)).unwrap();
    }
    for tensor in &case.tensors {
        writer.tensor(&tensor.name, tensor.dtype, Shape::new(&tensor.dims).unwrap()).unwrap();
    }
    let mut data = writer.begin(Vec::new()).unwrap();
    case.tensors.iter().for_each(|tensor| data.write(&tensor.data).unwrap());
    let source = realizar_format::parse(data.finish().unwrap().into()).unwrap();
    let view = GgufView::new(&*source).unwrap();
    for (key, expected) in [
        ("general.name", Some("Tiny")),
        ("general.license", Some("MIT")),
        ("general.architecture", Some("llama")),
        ("tokenizer.ggml.model", Some("gpt2")),
        ("name", None),
    ] {
        assert_eq!(view.value(key).and_then(|value| value.as_str()), expected, "{key}");
    }
    assert_eq!(bits(&*gguf(&view), &case.tokens), bits(&*source, &case.tokens));
}

/// What a folder has by the keys of GGUF comes along, the file's kind is counted, and further keys can be added.
#[test]
fn keys_of_gguf_beside_a_checkpoint_are_carried() {
    let case = Case::named("llama");
    let (folder, _) = case.open();
    let write = |text: &str| std::fs::write(folder.path().join("gguf.json"), text).unwrap();
    write(r#"{"tokenizer.ggml.model":"gpt2","tokenizer.ggml.bos_token_id":7,"llama.block_count":99}"#);
    let source = realizar_format::open(folder.path()).unwrap();
    let mut view = GgufView::new(&*source).unwrap();
    let number = |view: &GgufView<'_>, key: &str| view.value(key).and_then(|value| value.as_u32());
    assert_eq!(number(&view, "tokenizer.ggml.bos_token_id"), Some(7));
    assert_eq!(number(&view, "llama.block_count"), Some(2), "the configuration counts");
    assert_eq!(number(&view, "general.file_type"), Some(0));
    let three = |key: &str| (key.to_owned(), Fact::Scalar(Value::U32(3)));
    view.add(vec![three("tokenizer.ggml.bos_token_id"), three("tokenizer.ggml.eos_token_id")]);
    assert_eq!(number(&view, "tokenizer.ggml.bos_token_id"), Some(7), "what is there stays");
    assert_eq!(number(&view, "tokenizer.ggml.eos_token_id"), Some(3));
    let behind = view.tensors().len();
    assert_eq!(view.rows(behind, 0..1, &mut Vec::new()).unwrap(), [0; 0]);
    let checkpoint = Checkpoint::of(&view).unwrap();
    assert_eq!(checkpoint.rows(behind, 0..1, &mut Vec::new()).unwrap(), [0; 0]);
    assert!(checkpoint.config.iter().any(|(key, fact)| key == "eos_token_id" && member(fact) == json!(3)));

    write(r#"{"tokenizer.ggml.odd":[5000000000,-1]}"#);
    let source = realizar_format::open(folder.path()).unwrap();
    let error = chain(&GgufView::new(&*source).err().unwrap());
    let expected = "metadata key `tokenizer.ggml.odd` cannot be carried over: GGUF has no such list";
    assert!(error.contains(expected), "{error}");
}

/// A GGUF file is seen as it is; so is a file of another format by the keys of GGUF.
#[test]
fn files_by_the_keys_of_gguf_are_seen_as_they_are() {
    let file = realizar_format::open(golden::own().join("llama-gqa.gguf")).unwrap();
    let view = GgufView::new(&*file).unwrap();
    let again = gguf(&view);
    assert_eq!(again.metadata_keys().count(), file.metadata_keys().count());
    let mut writer = SafetensorsWriter::new();
    let numbers = |value: Value<'_>| value.as_i128().map(|number| json!(number as i64));
    let scalar = |value: Value<'_>| value.as_str().map(|text| json!(text)).or_else(|| numbers(value));
    let keys: serde_json::Map<String, Json> = view
        .metadata()
        .filter_map(|(key, value)| {
            Some((key.to_owned(), scalar(value).or_else(|| value.as_f32().map(|number| json!(number)))?))
        })
        .collect();
    writer.metadata("gguf.json", &Json::Object(keys).to_string()).unwrap();
    for tensor in file.tensors() {
        writer.tensor(tensor.name, tensor.dtype, tensor.shape).unwrap();
    }
    let mut data = writer.begin(Vec::new()).unwrap();
    file.tensors().for_each(|tensor| data.write(&tensor.data).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, data.finish().unwrap()).unwrap();
    let other = realizar_format::open(&path).unwrap();
    let tokens = [1, 5, 9];
    let expected = bits(&*file, &tokens).unwrap();
    for source in [again, gguf(&GgufView::new(&*other).unwrap())] {
        assert_eq!(bits(&*source, &tokens), Ok(expected.clone()));
    }
}

/// A checkpoint and what it is made of, changed; what of it cannot stand in a folder.
#[test]
fn what_a_folder_cannot_hold_is_refused_by_name() {
    // The published way to divide frequencies is found again; another one is a tensor that folders do not have.
    for (original, expected) in [(8192, None), (4096, Some("rope_freqs.weight"))] {
        let mut case = Case::named("llama-llama3");
        case.config["rope_scaling"]["original_max_position_embeddings"] = json!(original);
        case.config["max_position_embeddings"] = json!(131_072);
        let (_folder, source) = case.open();
        let file = gguf(&GgufView::new(&*source).unwrap());
        match (checkpoint(&GgufView::new(&*file).unwrap(), &case.tokens), expected) {
            (Ok(again), None) => {
                assert_eq!(again.config["rope_scaling"]["rope_type"], json!("llama3"));
                let (_folder, again) = again.open();
                assert_eq!(bits(&*again, &case.tokens), bits(&*source, &case.tokens));
            }
            (Err(error), Some(expected)) => assert!(error.contains(expected), "{error}"),
            (found, _) => panic!("{original}: {:?}", found.err()),
        }
    }

    // Gains of Gemma stand in a folder less 1: that must come out even.
    let (_folder, source) = Case::named("gemma").open();
    let mut file = ModelFile::of(&*gguf(&GgufView::new(&*source).unwrap()));
    file.tensor("blk.1.attn_norm.weight").data[..4].copy_from_slice(&1e-9_f32.to_le_bytes());
    let source = file.source();
    let error = checkpoint(&GgufView::new(&*source).unwrap(), &[]).err().unwrap();
    let expected = "have it less 1, which would round";
    assert!(error.contains("blk.1.attn_norm.weight") && error.contains(expected), "{error}");
}
