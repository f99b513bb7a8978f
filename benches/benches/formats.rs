//! Headers of model files: opening a GGUF file of 1 GiB by the size of its vocabulary, and safetensors headers beside the
//! `safetensors` crate on the same bytes.

use std::error::Error;
use std::fs::OpenOptions;
use std::path::Path;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion};
use realizar_format::{DType, GgufWriter, PackedArray, Safetensors, SafetensorsWriter, Shape, Value};

/// Layers, matrices a layer, and their rows of 2048 elements: 1 GiB of F16 in all.
const SHAPE: (usize, usize, usize) = (32, 8, 1024);

/// A GGUF file of 1 GiB with so many tokens. Its weights are a hole in the file, which opening never looks at.
fn gguf(path: &Path, tokens: usize) -> Result<(), Box<dyn Error>> {
    let (layers, matrices, rows) = SHAPE;
    let texts = PackedArray::strings((0..tokens).map(|token| format!("token{token}")));
    let scores = PackedArray::f32s((0..tokens).map(|token| -(token as f32)));
    let types = PackedArray::i32s((0..tokens).map(|_| 1));
    let merges = PackedArray::strings((0..tokens).map(|token| format!("tok {token}")));
    let mut writer = GgufWriter::new();
    writer.metadata("general.architecture", Value::from("llama"))?;
    for (key, list) in [("tokens", &texts), ("scores", &scores), ("token_type", &types), ("merges", &merges)]
    {
        writer.metadata(&format!("tokenizer.ggml.{key}"), Value::Array(list.as_array()))?;
    }
    let shape = Shape::new(&[rows, 2048]).ok_or("too many dimensions")?;
    for layer in 0..layers {
        for matrix in 0..matrices {
            writer.tensor(&format!("blk.{layer}.{matrix}.weight"), DType::F16, shape)?;
        }
    }
    // What is written ends where the data begins.
    let mut head = Vec::new();
    drop(writer.begin(&mut head)?);
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    std::io::Write::write_all(&mut &file, &head)?;
    file.set_len(head.len() as u64 + (layers * matrices * rows * 2048 * 2) as u64)?;
    Ok(())
}

/// A safetensors file with so many small tensors, named as checkpoints name theirs.
fn safetensors(tensors: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut writer = SafetensorsWriter::new();
    writer.metadata("format", "pt")?;
    for tensor in 0..tensors {
        let name = format!("model.layers.{}.mlp.experts.{}.down_proj.weight", tensor / 256, tensor % 256);
        writer.tensor(&name, DType::BF16, Shape::new(&[2, 4]).ok_or("too many dimensions")?)?;
    }
    let mut data = writer.begin(Vec::new())?;
    for _ in 0..tensors {
        data.write(&[0; 16])?;
    }
    Ok(data.finish()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let folder = tempfile::tempdir()?;
    let mut group = criterion.benchmark_group("open 1 GiB");
    for tokens in [32_000, 256_000] {
        let path = folder.path().join(format!("{tokens}.gguf"));
        gguf(&path, tokens)?;
        let mut opened = realizar_format::open(&path);
        group.bench_function(BenchmarkId::new("tokens", tokens), |bencher| {
            bencher.iter(|| opened = realizar_format::open(&path));
        });
        opened?;
    }
    group.finish();
    for tensors in [300, 50_000] {
        let bytes = Bytes::from(safetensors(tensors)?);
        let mut group = criterion.benchmark_group(format!("safetensors header, {tensors} tensors"));
        let mut ours = Safetensors::parse(bytes.clone());
        group.bench_function("realizar-format", |bencher| {
            bencher.iter(|| ours = Safetensors::parse(bytes.clone()));
        });
        ours?;
        let mut theirs = safetensors::SafeTensors::deserialize(&bytes).map(|file| file.len());
        group.bench_function("safetensors", |bencher| {
            bencher.iter(|| theirs = safetensors::SafeTensors::deserialize(&bytes).map(|file| file.len()));
        });
        theirs?;
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}
