//! The JSON files of a model folder: an index of shards, a configuration, or keys of GGUF.
#![no_main]

use std::cell::OnceCell;
use std::fs;

use libfuzzer_sys::fuzz_target;
use realizar_format::open;
use tempfile::TempDir;

const SHARD: &[u8] = b"\x35\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}a";

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| {
            let folder = tempfile::tempdir().expect("a folder for temporary files");
            fs::write(folder.path().join("model.safetensors"), SHARD).expect("room for a small file");
            folder
        });
        let Some((which, text)) = data.split_first() else { return };
        let name = ["model.safetensors.index.json", "config.json", "gguf.json"][usize::from(*which) % 3];
        let path = folder.path().join(name);
        fs::write(&path, text).expect("room for a small file");
        if let Ok(model) = open(folder.path()) {
            for key in model.metadata_keys() {
                assert!(model.metadata(key).is_some());
            }
            assert_eq!(model.tensors().count(), 1);
        }
        fs::remove_file(path).expect("the file was written");
    });
});
