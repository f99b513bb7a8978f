//! Real files: every model of the shared data opens, and shows what is known about it.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "test code")]

use std::path::{Path, PathBuf};

use realizar_format::open;

/// The shared data beside the repository, when it is there.
fn shared_data(suite: &str) -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !data.is_dir() {
        eprintln!("SKIPPED (no shared/data): {suite}");
        return None;
    }
    Some(data)
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
    eprintln!("{files} files opened");
}
