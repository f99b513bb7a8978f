//! Models in another format give the same bits, and come back as they were.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "test code; a skipped suite says so")]

mod session;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use realizar_engine::{ConvertError, Converted, Loaded, convert};
use realizar_format::{DType, TensorSource, open};
use realizar_model::{Encoder, EncoderOptions, Model, Pooling};
use realizar_tensor::{Kernels, Pool};
use realizar_tokenize::Compat;
use session::score_bits;

/// Models of this repository, and where it is there those of the shared data.
fn models(suite: &str) -> Vec<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![home.join("../realizar-model/tests/data")];
    for name in ["zoo", "zoo-modern"] {
        let shared = home.join("../../../shared/data").join(name);
        if shared.is_dir() {
            folders.push(shared);
        } else {
            eprintln!("SKIPPED (no shared/data): {suite}");
        }
    }
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut files: Vec<PathBuf> = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "gguf"))
        .collect();
    files.sort();
    files
}

/// Bits of what the model computes for some tokens.
fn outcome(source: &dyn TensorSource) -> Result<Vec<u32>, String> {
    let model = Arc::new(Model::load(source).map_err(|error| error.to_string())?);
    let tokens: Vec<u32> = (0..24).map(|at| (at * 37 + 11) % model.config().vocab.min(250) as u32).collect();
    if !model.config().causal() {
        let (pool, kernels) = (Pool::new(1).unwrap(), Kernels::detect());
        let mut encoder = Encoder::new(model, EncoderOptions { pool, kernels, max_tokens: 64 }).unwrap();
        let vector = encoder.encode(&tokens, Pooling::Mean, false).unwrap();
        return Ok(vector.iter().map(|value| value.to_bits()).collect());
    }
    Ok(score_bits(model, &tokens))
}

fn converted(from: &Path, to: &Path) -> Result<Converted, ConvertError> {
    convert(&*open(from).unwrap(), to, &mut |_, _| true)
}

/// All of a GGUF file: keys, values, tensors, bytes.
fn assert_same(name: &str, ours: &dyn TensorSource, theirs: &dyn TensorSource) {
    let mut keys: Vec<&str> = theirs.metadata_keys().collect();
    let mut found: Vec<&str> = ours.metadata_keys().collect();
    keys.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, keys, "{name}");
    for key in keys {
        let (ours, theirs) = (ours.metadata(key).unwrap(), theirs.metadata(key).unwrap());
        // A list without elements has no type in JSON.
        if theirs.as_array().is_some_and(|array| array.is_empty()) {
            assert!(ours.as_array().unwrap().is_empty(), "{name}: {key}");
        } else {
            assert_eq!(ours, theirs, "{name}: {key}");
        }
    }
    assert_eq!(ours.tensors().count(), theirs.tensors().count(), "{name}");
    for tensor in theirs.tensors() {
        let ours = ours.tensor(tensor.name).unwrap_or_else(|| panic!("{name}: {}", tensor.name));
        assert_eq!((ours.dtype, &*ours.shape), (tensor.dtype, &*tensor.shape), "{name}: {}", tensor.name);
        assert!(ours.data == tensor.data, "{name}: {}", tensor.name);
    }
}

/// Types that a format lacks, as a conversion into it would name them.
fn lacks(source: &dyn TensorSource, target: &str) -> bool {
    use DType::{BF16, F16, F32, F64, I32, I64, Q4_K, Q6_K};
    let has: &[DType] =
        if target == "apr" { &[F32, F16, F64, I32, I64, BF16, Q4_K, Q6_K] } else { &[F32, F16, BF16, F64] };
    source.tensors().any(|tensor| !has.contains(&tensor.dtype))
}

/// A file by the keys of GGUF is carried whether it runs or not.
fn there_and_back(path: &Path, source: &dyn TensorSource) {
    let folder = tempfile::tempdir().unwrap();
    for ending in ["apr", "safetensors"] {
        let (there, back) = (folder.path().join(format!("a.{ending}")), folder.path().join("a.gguf"));
        converted(path, &there).unwrap_or_else(|error| panic!("{} to {ending}: {error}", path.display()));
        converted(&there, &back).unwrap();
        assert_same(&path.display().to_string(), &*open(&back).unwrap(), source);
    }
}

#[test]
fn models_keep_their_bits_in_every_format() {
    let (mut checkpoints, mut not_run, mut refused, mut done) = (Vec::new(), Vec::new(), 0, 0);
    for path in models("conversions") {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let source = open(&path).unwrap();
        let Ok(expected) = outcome(&*source) else {
            there_and_back(&path, &*source);
            not_run.push(name);
            continue;
        };
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (target, file) in
            [("apr", "model.apr"), ("safetensors", "model.safetensors"), ("folder", "Model-1.5B")]
        {
            let new = at(file);
            let result = converted(&path, &new);
            if lacks(&*source, target) {
                let error = result.unwrap_err().to_string();
                assert!(
                    error.contains(" of `") && error.contains("a type that"),
                    "{name} to {target}: {error}"
                );
                assert!(!new.exists(), "{name} to {target}");
                refused += 1;
                continue;
            }
            let result = result.unwrap_or_else(|error| panic!("{name} to {target}: {error}"));
            if result.layout.contains("checkpoints") {
                checkpoints.push(name.clone());
            }
            let new = open(&new).unwrap();
            let found = outcome(&*new).unwrap_or_else(|error| panic!("{name} to {target}: {error}"));
            assert!(found == expected, "{name} to {target}: other bits");
            done += 1;
        }
        // And back, and from one of the others to the other.
        for (from, to) in [
            ("model.apr", "a.gguf"),
            ("model.safetensors", "s.gguf"),
            ("Model-1.5B", "f.gguf"),
            ("model.apr", "from-apr"),
            ("Model-1.5B", "from-folder.apr"),
            ("model.safetensors", "from-file.apr"),
        ] {
            let (from, to) = (at(from), at(to));
            if !from.exists() || (to.extension().is_some_and(|e| e == "apr") && lacks(&*source, "apr")) {
                continue;
            }
            if to.file_name().unwrap() == "from-apr" && lacks(&*source, "safetensors") {
                assert!(converted(&from, &to).is_err());
                continue;
            }
            let case = format!("{name}, {} to {}", from.display(), to.display());
            converted(&from, &to).unwrap_or_else(|error| panic!("{case}: {error}"));
            let new = open(&to).unwrap();
            assert!(
                outcome(&*new).unwrap_or_else(|error| panic!("{case}: {error}")) == expected,
                "{case}: other bits"
            );
            if to.extension().is_some_and(|e| e == "gguf") && !from.is_dir() {
                assert_same(&case, &*new, &*source);
            }
            done += 1;
        }
        let left = std::fs::read_dir(folder.path())
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        let left: Vec<String> = left.filter(|name| name.contains("partial")).collect();
        assert!(left.is_empty(), "{name}: {left:?}");
    }
    eprintln!(
        "{done} conversions with the same bits, {refused} refused by name; by checkpoint names: {checkpoints:?}"
    );
    assert!(done > 8, "{done}");
    assert!(not_run.iter().all(|name| name == "t5"), "models that do not run: {not_run:?}");
    assert!(checkpoints.iter().any(|name| name.starts_with("llama-gqa")), "{checkpoints:?}");
}

/// A folder may name many tokens that end an answer; other formats have a place for them as well.
#[test]
fn what_ends_an_answer_is_carried() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let source = at("source");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../realizar-model/tests/data/llama-gqa.gguf");
    converted(&model, &source).unwrap();
    std::fs::remove_file(source.join("gguf.json")).unwrap();
    std::fs::write(source.join("generation_config.json"), r#"{"eos_token_id":[2,5,40,7,9]}"#).unwrap();
    let ends = |path: &Path| Loaded::new(&*open(path).unwrap(), Compat::Original).unwrap().ends().to_vec();
    assert_eq!(ends(&source), [2, 5, 7, 9, 40]);
    for name in ["a.gguf", "a.apr", "a.safetensors", "again"] {
        converted(&source, &at(name)).unwrap();
        assert_eq!(ends(&at(name)), [2, 5, 7, 9, 40], "{name}");
        let back = at(&format!("back-{name}"));
        converted(&at(name), &back).unwrap();
        assert_eq!(ends(&back), [2, 5, 7, 9, 40], "{name} and on");
    }
    // Programs that know no list know two more.
    let gguf = open(at("a.gguf")).unwrap();
    let id = |key: &str| gguf.metadata(&format!("tokenizer.ggml.{key}")).and_then(|value| value.as_u32());
    assert_eq!([id("eos_token_id"), id("eot_token_id"), id("eom_token_id")], [Some(2), Some(5), Some(7)]);
}

#[test]
fn one_part_of_several_is_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../realizar-model/tests/data/llama-gqa.gguf");
    converted(&model, &at("whole.safetensors")).unwrap();
    for (name, parts) in [
        ("model-00002-of-00003.safetensors", Some(3)),
        ("model-00001-of-00001.safetensors", None),
        ("best-of-00003.safetensors", None),
        ("model-1-of-3.safetensors", None),
    ] {
        std::fs::rename(at("whole.safetensors"), at(name)).unwrap();
        match (converted(&at(name), &at("new.gguf")), parts) {
            (Err(ConvertError::OnePart { parts }), Some(expected)) => assert_eq!(parts, expected, "{name}"),
            (Ok(_), None) => std::fs::remove_file(at("new.gguf")).unwrap(),
            (other, _) => panic!("{name}: {other:?}"),
        }
        std::fs::rename(at(name), at("whole.safetensors")).unwrap();
    }
}
