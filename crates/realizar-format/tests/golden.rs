//! Files written by the reference implementations, and what those see in them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "test code")]

use std::path::{Path, PathBuf};

use realizar_format::{Gguf, GgufWriter, TensorSource, Value, open};
use serde_json::Value as Json;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn listing(name: &str) -> Json {
    serde_json::from_str(&std::fs::read_to_string(data(name)).unwrap()).unwrap()
}

/// The shared data beside the repository, when it is there.
fn shared_data(suite: &str) -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !data.is_dir() {
        eprintln!("SKIPPED (no shared/data): {suite}");
        return None;
    }
    Some(data)
}

/// A value as the listings have it.
fn to_json(value: &Value<'_>) -> Json {
    match value {
        Value::F32(float) => Json::from(f64::from(*float)),
        Value::F64(float) => Json::from(*float),
        Value::Bool(bool) => Json::from(*bool),
        Value::String(text) => Json::from(text.as_str().unwrap()),
        Value::Array(array) => array.iter().map(|value| to_json(&value)).collect(),
        Value::U64(integer) => Json::from(*integer),
        other => Json::from(i64::try_from(other.as_i128().unwrap()).unwrap()),
    }
}

fn assert_metadata(source: &dyn TensorSource, expected: &Json) {
    let expected = expected.as_object().unwrap();
    assert_eq!(source.metadata_keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, expected) in expected {
        let ours = to_json(&source.metadata(key).unwrap_or_else(|| panic!("{key}")));
        if let Some(summary) = expected.as_object() {
            let ours = ours.as_array().unwrap();
            assert_eq!(ours.len() as u64, summary["len"].as_u64().unwrap(), "{key}");
            assert_eq!((&ours[0], ours.last().unwrap()), (&summary["first"], &summary["last"]), "{key}");
            if let Some(crc) = summary.get("crc32") {
                let text: Vec<_> = ours.iter().map(|text| text.as_str().unwrap()).collect();
                assert_eq!(Json::from(crc32fast::hash(text.join("\n").as_bytes())), *crc, "{key}");
            }
        } else {
            assert_eq!(ours, *expected, "{key}");
        }
    }
}

fn assert_tensors(source: &dyn TensorSource, expected: &Json, with_offsets: bool) {
    let expected = expected.as_array().unwrap();
    assert_eq!(source.tensors().count(), expected.len());
    for (tensor, expected) in source.tensors().zip(expected) {
        let name = tensor.name;
        assert_eq!(name, expected["name"], "{name}");
        assert_eq!(tensor.dtype.name(), expected["dtype"], "{name}");
        assert_eq!(Json::from(tensor.shape.to_vec()), expected["shape"], "{name}");
        assert_eq!(Json::from(crc32fast::hash(&tensor.data)), expected["crc32"], "{name}");
        assert_eq!(Json::from(tensor.data.len()), expected["bytes"], "{name}");
        if with_offsets {
            assert_eq!(Json::from(tensor.offset), expected["offset"], "{name}");
        }
    }
}

#[test]
fn gguf_files_of_the_reference_writer_are_read() {
    for name in ["types", "model", "types-big-endian"] {
        let source = open(data(&format!("{name}.gguf"))).unwrap();
        let expected = listing(&format!("{name}.json"));
        assert_metadata(&*source, &expected["metadata"]);
        assert_tensors(&*source, &expected["tensors"], true);
    }
    assert!(Gguf::open(data("types-big-endian.gguf")).unwrap().header().is_big_endian());
}

/// What the reference writes, we write to the byte: so its reader reads ours.
#[test]
fn gguf_files_are_written_as_the_reference_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["types.gguf", "model.gguf"] {
        let source = open(data(name)).unwrap();
        let mut writer = GgufWriter::new();
        for key in source.metadata_keys() {
            writer.metadata(key, source.metadata(key).unwrap()).unwrap();
        }
        for tensor in source.tensors() {
            writer.tensor(tensor.name, tensor.dtype, tensor.shape).unwrap();
        }
        let mut file = writer.create(folder.path().join(name)).unwrap();
        for tensor in source.tensors() {
            file.write(&tensor.data).unwrap();
        }
        file.finish().unwrap().commit().unwrap();
        let (ours, theirs) =
            (std::fs::read(folder.path().join(name)).unwrap(), std::fs::read(data(name)).unwrap());
        assert!(ours == theirs, "{name}: {} and {} bytes", ours.len(), theirs.len());
    }
}

#[test]
fn safetensors_files_of_the_reference_writer_are_read() {
    let source = open(data("types.safetensors")).unwrap();
    assert_eq!(source.require_str("größe").unwrap(), "ä");
    let names = [
        ("float32", "F32"),
        ("float16", "F16"),
        ("bool", "BOOL"),
        ("uint8", "U8"),
        ("int64", "I64"),
        ("uint16", "U16"),
    ];
    let expected = listing("types.safetensors.json");
    let expected = expected.as_array().unwrap();
    assert_eq!(source.tensors().count(), expected.len());
    for expected in expected {
        let name = expected["name"].as_str().unwrap();
        let tensor = source.tensor(name).unwrap_or_else(|| panic!("{name}"));
        let (_, dtype) = names.iter().find(|(numpy, _)| expected["dtype"] == *numpy).unwrap();
        assert_eq!(tensor.dtype.name(), *dtype, "{name}");
        assert_eq!(Json::from(tensor.shape.to_vec()), expected["shape"], "{name}");
        assert_eq!(Json::from(crc32fast::hash(&tensor.data)), expected["crc32"], "{name}");
    }
}

fn gguf_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gguf"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_shared_gguf_file_opens() {
    let Some(data) = shared_data("every_shared_gguf_file_opens") else { return };
    let mut files = 0;
    for folder in ["zoo", "zoo-modern", "golden", "demo-model", "tokenizers"] {
        for path in gguf_files(&data.join(folder)) {
            let model = open(&path).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(model.path(), Some(&*path));
            let architecture = model.require_str("general.architecture").unwrap();
            assert!(!architecture.is_empty(), "{}", path.display());
            for tensor in model.tensors() {
                let name = tensor.name;
                let row = tensor.dtype.row_bytes(tensor.shape.cols()).unwrap_or_else(|| panic!("{name}"));
                assert_eq!(tensor.data.len(), row * tensor.shape.rows(), "{name} of {}", path.display());
                let again = model.tensor(name).unwrap_or_else(|| panic!("{name} of {}", path.display()));
                assert_eq!((again.offset, again.shape), (tensor.offset, tensor.shape), "{name}");
            }
            for key in model.metadata_keys() {
                assert!(model.metadata(key).is_some(), "{key} of {}", path.display());
            }
            files += 1;
        }
    }
    assert!(files > 70, "{files} files");
}
