//! Vectors of every type that weights have keep their bits on the way to another format.

#![allow(clippy::unwrap_used, reason = "test code")]

mod session;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use realizar_engine::convert;
use realizar_format::{
    DType, DataWriter, GgufWriter, SafetensorsWriter, Shape, TensorSource, TensorView, open,
};
use realizar_model::Model;
use session::score_bits;

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../realizar-model/tests/data").join(name)
}

/// Bits of what the model computes for some tokens.
fn outcome(path: &Path) -> Vec<u32> {
    let model = Arc::new(Model::load(&*open(path).unwrap()).unwrap());
    let tokens: Vec<u32> = (0..24).map(|at| (at * 37 + 11) % 250).collect();
    score_bits(model, &tokens)
}

/// A tensor of the model to be made: its name, its shape, its type and its bytes.
type Made = (String, Shape, DType, Vec<u8>);

/// All tensors, those without rows by another type, and a bias of the rows that `biases` name.
fn retyped(source: &dyn TensorSource, dtype: DType, biases: &[&str]) -> Vec<Made> {
    let wide = |numbers: &mut dyn Iterator<Item = f32>| -> Vec<u8> {
        numbers
            .flat_map(|number| match dtype {
                DType::F64 => f64::from(number).to_le_bytes().to_vec(),
                DType::BF16 => (number.to_bits() >> 16).to_le_bytes()[..2].to_vec(),
                _ => unreachable!(),
            })
            .collect()
    };
    let mut all: Vec<Made> = Vec::new();
    for TensorView { name, dtype: from, shape, data, .. } in source.tensors() {
        if shape.len() == 1 && from == DType::F32 {
            let mut numbers = data.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four));
            all.push((name.to_owned(), shape, dtype, wide(&mut numbers)));
        } else {
            all.push((name.to_owned(), shape, from, data.to_vec()));
        }
        if let Some(stem) =
            name.strip_suffix(".weight").filter(|stem| biases.iter().any(|b| stem.ends_with(b)))
        {
            let mut numbers = (0..shape.rows()).map(|at| (at % 13) as f32 / 8.0 - 0.5);
            let bias = Shape::new(&[shape.rows()]).unwrap();
            all.push((format!("{stem}.bias"), bias, dtype, wide(&mut numbers)));
        }
    }
    all
}

fn fill<W: std::io::Write>(data: &mut DataWriter<W>, all: &[Made]) {
    for (name, _, _, bytes) in all {
        assert!(data.due().is_some_and(|(due, left)| due == name && left == bytes.len() as u64));
        data.write(bytes).unwrap();
    }
}

/// The model in every format has the bits of the one at `path`.
fn assert_kept(case: &str, path: &Path, folder: &Path) {
    let expected = outcome(path);
    for (number, name) in ["a.gguf", "a.apr", "a.safetensors", "folder"].iter().enumerate() {
        let new = folder.join(name);
        convert(&*open(path).unwrap(), &new, &mut |_, _| true)
            .unwrap_or_else(|error| panic!("{case} to {name}: {error}"));
        assert!(outcome(&new) == expected, "{case} to {name}: other bits");
        let again = folder.join(format!("again{number}.gguf"));
        convert(&*open(&new).unwrap(), &again, &mut |_, _| true)
            .unwrap_or_else(|error| panic!("{case} to {name} to GGUF: {error}"));
        assert!(outcome(&again) == expected, "{case} to {name} to GGUF: other bits");
    }
}

#[test]
fn vectors_of_every_type_are_carried() {
    for (name, dtype) in [("llama-gqa.gguf", DType::F64), ("llama-gqa.gguf", DType::BF16)]
        .into_iter()
        .chain([("gemma2.gguf", DType::F64), ("gemma2.gguf", DType::BF16)])
    {
        let folder = tempfile::tempdir().unwrap();
        let source = open(model(name)).unwrap();
        let is_llama = name.starts_with("llama");

        let made = retyped(&*source, dtype, if is_llama { &["attn_q", "attn_k"] } else { &[] });
        let mut writer = GgufWriter::new();
        for key in source.metadata_keys() {
            writer.metadata(key, source.metadata(key).unwrap()).unwrap();
        }
        for (name, shape, dtype, _) in &made {
            writer.tensor(name, *dtype, *shape).unwrap();
        }
        let file = folder.path().join("source.gguf");
        let mut data = writer.create(&file).unwrap();
        fill(&mut data, &made);
        data.finish().unwrap().commit().unwrap();
        assert_kept(&format!("{name}, {dtype}"), &file, tempfile::tempdir().unwrap().path());

        // The same by the names of checkpoints, where rows stand in another order and gains are less 1.
        let checkpoint = folder.path().join("checkpoint");
        convert(&*source, &checkpoint, &mut |_, _| true).unwrap();
        let made =
            retyped(&*open(&checkpoint).unwrap(), dtype, if is_llama { &["q_proj", "k_proj"] } else { &[] });
        let mut writer = SafetensorsWriter::new();
        for (name, shape, dtype, _) in &made {
            writer.tensor(name, *dtype, *shape).unwrap();
        }
        let mut data = writer.create(checkpoint.join("model.safetensors")).unwrap();
        fill(&mut data, &made);
        data.finish().unwrap().commit().unwrap();
        assert_kept(
            &format!("checkpoint of {name}, {dtype}"),
            &checkpoint,
            tempfile::tempdir().unwrap().path(),
        );
    }
}
