//! Models by the other convention give the same bits: checkpoints as GGUF holds them, and as checkpoints again.

use std::ops::Range;
use std::path::{Path, PathBuf};

use realizar_format::{GgufWriter, TensorSource, Value};
use realizar_model::{Checkpoint, Fact, GgufView, Model, NewTensor};
use realizar_quant::DType;
use serde_json::{Value as Json, json};

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
